//! Evidence: documents and signatures beside an image, as other programs see them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::registries::registry;
use super::world::{NAME, TAG, World, find, missing, rebeam, text, told, tried};

#[test]
fn a_registry_of_before_keeps_documents_and_signatures_too() {
    if find("docker-registry").is_none() {
        missing("docker-registry");
        return;
    }
    let Some(world) = World::new() else {
        return;
    };
    let at = world.store("registry");
    let (_daemon, port) = registry(&at, "");
    let place = format!("localhost:{port}/{NAME}:{TAG}");
    let call = |arguments: &[&str]| {
        let mut command = rebeam(&world, arguments);
        command.env("COSIGN_PASSWORD", "secret");
        command
    };
    for name in ["mine", "yours"] {
        told(&mut call(&["key", "generate", "--name", name]));
    }
    let verify = |key: &str| call(&["verify", "--key", key, &place]).output().unwrap();
    let refused = |key: &str, says: &str| {
        let output = verify(key);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains(says), "{told}");
    };
    let file = text(&world.archive);
    told(&mut call(&["push", &place, "--file", file]));
    refused("mine.pub", "has no signature");
    let sign = |key: &str| {
        told(&mut call(&["push", &place, "--file", file, "--sbom", "both", "--sign", key]))
    };
    assert!(sign("mine.key").contains("Attached SPDX, CycloneDX, SLSA provenance"));
    refused("yours.pub", "is signed, but not by the key `yours.pub`");
    sign("yours.key");
    for key in ["mine.pub", "yours.pub"] {
        let output = verify(key);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        for kind in
            ["https://spdx.dev/Document", "https://cyclonedx.org/bom", "slsa.dev/provenance/v1"]
        {
            assert!(told.contains(kind), "{told}");
        }
        let line = format!("{place}@{}\n", world.image.manifest_digest());
        assert_eq!(String::from_utf8_lossy(&output.stdout), line);
    }
    // Other hands' readers say the same of it; scripts/check installs them.
    let digest = world.image.manifest_digest();
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = top.join("target/validators/bin/python");
    if python.exists() {
        let other =
            call(&["push", &format!("localhost:{port}/one"), "--file", file, "--sign", "mine.key"])
                .output()
                .unwrap();
        assert!(other.status.success());
        fs::copy(world.root.join("mine.pub"), world.root.join("cosign.pub")).unwrap();
        let mut check = Command::new(python);
        check.arg(top.join("tests/validators.py")).current_dir(&world.root);
        check.arg(format!("http://localhost:{port}/v2/one")).arg(digest.to_string());
        told(&mut check);
    }
    // Signed once more, nothing is written: each tag has had one manifest for each key.
    sign("mine.key");
    sign("yours.key");
    let digest = digest.hex();
    let tags = at.join("data/docker/registry/v2/repositories").join(NAME).join("_manifests/tags");
    for (suffix, written) in [(".sig", 2), (".att", 2), ("", 2)] {
        let index = tags.join(format!("sha256-{digest}{suffix}/index/sha256"));
        assert_eq!(fs::read_dir(index).unwrap().count(), written, "{suffix}");
    }
}

/// Finds a program that `scripts/validators` installs. Where it did not, or not for this machine, it says so.
fn validator(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/validators/bin").join(name);
    if !path.exists() {
        println!("scripts/validators did not install {name}, so it is not tried");
    }
    path.exists().then_some(path)
}

#[test]
fn cosign_and_rebeam_agree_about_signatures_attestations_and_keys() {
    let Some((cosign, world)) = validator("cosign").zip(tried(&["docker-registry"])) else {
        return;
    };
    let at = world.store("registry");
    let (_daemon, port) = registry(&at, "");
    let place = format!("localhost:{port}/{NAME}:{TAG}");
    let rebeam = |arguments: &[&str]| {
        let mut command = rebeam(&world, arguments);
        command.env("COSIGN_PASSWORD", "secret");
        command
    };
    let cosign = |arguments: &[&str]| {
        let mut command = Command::new(&cosign);
        command.args(arguments).current_dir(&world.root).env("HOME", &world.root);
        command.env("COSIGN_PASSWORD", "secret").output().unwrap()
    };
    let passes = |arguments: &[&str]| {
        let output = cosign(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    told(&mut rebeam(&["key", "generate", "--name", "ours"]));
    passes(&["generate-key-pair", "--output-key-prefix", "theirs"]);
    let file = text(&world.archive);
    told(&mut rebeam(&["push", &place, "--file", file, "--sbom", "both", "--sign", "ours.key"]));
    let way = ["--insecure-ignore-tlog=true", "--allow-http-registry", &place];
    let verify = |key: &'static str| [&["verify", "--key", key], &way[..]].concat();
    let digest = world.image.manifest_digest().to_string();
    assert!(passes(&verify("ours.pub")).contains(&digest));
    assert!(!cosign(&verify("theirs.pub")).status.success());
    for kind in ["spdxjson", "cyclonedx", "slsaprovenance1"] {
        let attested = ["verify-attestation", "--key", "ours.pub", "--type", kind];
        assert!(passes(&[&attested, &way[..]].concat()).contains("application/vnd.in-toto+json"));
        let attested = ["verify-attestation", "--key", "theirs.pub", "--type", kind];
        assert!(!cosign(&[&attested, &way[..]].concat()).status.success(), "{kind}");
    }
    // What cosign signs is good here, and a key that it made signs here.
    let image = format!("localhost:{port}/{NAME}@{digest}");
    passes(&[
        "sign",
        "-y",
        "--key",
        "theirs.key",
        "--tlog-upload=false",
        "--allow-http-registry",
        &image,
    ]);
    told(&mut rebeam(&["verify", "--key", "theirs.pub", &place]));
    told(&mut rebeam(&["verify", "--key", "ours.pub", &place]));
    told(&mut rebeam(&["push", &place, "--file", file, "--sign", "theirs.key"]));
    passes(&verify("theirs.pub"));
    passes(&verify("ours.pub"));
}

#[test]
fn rebeam_verifies_what_cosign_3_keeps_in_bundles() {
    let Some((cosign, world)) = validator("cosign-3").zip(tried(&["docker-registry"])) else {
        return;
    };
    let at = world.store("registry");
    let (_daemon, port) = registry(&at, "");
    let place = format!("localhost:{port}/{NAME}:{TAG}");
    told(&mut rebeam(&world, &["push", &place, "--file", text(&world.archive)]));
    let cosign = |arguments: &[&str]| {
        let mut command = Command::new(&cosign);
        command.args(arguments).current_dir(&world.root).env("HOME", &world.root);
        let output = command.env("COSIGN_PASSWORD", "secret").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    for name in ["theirs", "other"] {
        cosign(&["generate-key-pair", "--output-key-prefix", name]);
    }
    let digest = world.image.manifest_digest().to_string();
    let image = format!("localhost:{port}/{NAME}@{digest}");
    let closed = ["--key", "theirs.key", "-y", "--tlog-upload=false", "--use-signing-config=false"];
    let way = ["--allow-http-registry", &image];
    let verify =
        |key: &str, name: &str| rebeam(&world, &["verify", "--key", key, name]).output().unwrap();
    let refused = |output: std::process::Output, says: &str| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(says), "{said}");
    };
    // What is attested is no signature.
    fs::write(world.root.join("said.json"), "{}").unwrap();
    let attest = ["attest", "--type", "https://r.example/said", "--predicate", "said.json"];
    cosign(&[&attest[..], &closed[..], &way[..]].concat());
    refused(verify("theirs.pub", &place), "has no signature");
    cosign(&[&["sign"], &closed[..], &way[..]].concat());
    let said = told(&mut rebeam(&world, &["verify", "--key", "theirs.pub", &place]));
    assert!(said.contains(&digest) && said.contains("https://r.example/said"), "{said}");
    refused(verify("other.pub", &place), "is signed, but not by the key `other.pub`");
    let bundle = ["sign-blob", "--bundle", "said.json.sigstore.json"];
    cosign(&[&bundle[..], &closed[..], &["said.json"]].concat());
    told(&mut rebeam(&world, &["verify", "--key", "theirs.pub", "said.json"]));
    refused(verify("other.pub", "said.json"), "is signed, but not by the key `other.pub`");
}
