//! `rebeam key`, `rebeam verify --key`, `rebeam sbom`: keys and signatures of files, and documents about an image.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::harness::{Ran, World};

fn with_password(world: &World, password: Option<&str>, arguments: &[&str]) -> Ran {
    let mut command = world.command(arguments);
    if let Some(password) = password {
        command.env("COSIGN_PASSWORD", password);
    }
    // A session of its own has no terminal, so nobody can be asked.
    let mut detached = Command::new("setsid");
    detached.arg("--wait").arg(command.get_program()).args(command.get_args());
    detached.current_dir(world.project()).env_clear();
    detached.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::of(&detached.output().unwrap())
}

fn mine(world: &World, arguments: &[&str]) -> Ran {
    with_password(world, Some("secret"), arguments)
}

#[test]
fn a_file_is_good_that_the_keys_holder_signed_and_no_other() {
    let world = World::of(&[("bill.json", "{}")]);
    mine(&world, &["key", "generate"]).succeeds();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(world.project().join("cosign.key")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let printed = mine(&world, &["key", "public"]).succeeds().stdout;
    assert_eq!(printed, world.read("cosign.pub"));
    let verify = |key: &str| world.rebeam(&["verify", "--key", key, "bill.json"]);
    verify("cosign.pub").fails(1, &["`bill.json` has no signature", "rebeam key sign"]);
    mine(&world, &["key", "sign", "bill.json"]).succeeds();
    let good = verify("cosign.pub").succeeds();
    assert!(good.stdout.starts_with("bill.json@sha256:"), "{}", good.stdout);
    verify("cosign.key").fails(1, &["is a private key", "rebeam key public cosign.key"]);
    mine(&world, &["key", "generate", "--name", "other"]).succeeds();
    verify("other.pub").fails(1, &["is signed, but not by the key `other.pub`"]);
    world.write("bill.json", "{ }");
    verify("cosign.pub").fails(1, &["is signed, but not by the key"]);
    world.write("bill.json.sig", "*");
    verify("cosign.pub").fails(1, &["holds no signature in base64"]);
    world.rebeam(&["verify", "--key", "cosign.pub", "./none.tar"]).fails(1, &["none.tar"]);
}

#[test]
fn a_key_is_never_overwritten_and_opens_only_with_its_password() {
    let world = World::of(&[("bill.json", "{}")]);
    with_password(&world, None, &["key", "generate"]).fails(
        1,
        &["a password is needed for `cosign.key`, and nobody is there", "COSIGN_PASSWORD"],
    );
    mine(&world, &["key", "generate"]).succeeds();
    mine(&world, &["key", "generate"]).fails(1, &["`cosign.key` is there already", "--name"]);
    with_password(&world, Some("wrong"), &["key", "sign", "bill.json"])
        .fails(1, &["the password does not open `cosign.key`", "COSIGN_PASSWORD"]);
    let text = world.read("cosign.key");
    world.write("cosign.key", &text[..text.len() / 2]);
    mine(&world, &["key", "public"]).fails(1, &["`cosign.key` is no private key of cosign's"]);
    assert!(!world.project().join("bill.json.sig").exists());
}

#[test]
fn a_wrong_key_is_found_before_anything_is_built_or_pushed() {
    let world = World::with("hello");
    world.write("cosign.key", "no key");
    mine(&world, &["build", "--push", "localhost:1/a", "--sign", "cosign.key"])
        .fails(1, &["`cosign.key` is no private key of cosign's"]);
    assert!(!world.project().join("hello-1.0.0.tar").exists());
    world.rebeam(&["build", "--sbom", "both"]).fails(2, &["go with `--push`"]);
    world.rebeam(&["sbom"]).fails(1, &["there is no image at", "rebeam build"]);
}

/// The formats' own readers, of other hands; scripts/check installs them.
#[test]
fn documents_and_signatures_pass_under_the_formats_own_validators() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = top.join("target/validators/bin/python");
    if !python.exists() {
        assert!(
            std::env::var_os("REBEAM_VALIDATORS").is_none_or(|wish| wish != "required"),
            "scripts/validators installs what is missing"
        );
        return;
    }
    let world = World::with("hello");
    world.rebeam(&["build", "--no-boot-check"]).succeeds();
    for (format, file) in
        [("spdx", "spdx.json"), ("cyclonedx", "cdx.json"), ("provenance", "slsa.json")]
    {
        world.rebeam(&["sbom", "--format", format, "-o", file]).succeeds();
        let printed = world.rebeam(&["sbom", "--format", format, "hello-1.0.0.tar"]).succeeds();
        assert_eq!(printed.stdout, world.read(file), "the same image has the same document");
    }
    let bill = world.read("spdx.json");
    for part in ["tinyhttp", "pkg:deb/debian/libc6@", "pkg:generic/erlang-otp@", "GLIBC"] {
        assert_eq!(bill.contains(part), part != "GLIBC", "{part}");
    }
    mine(&world, &["key", "generate"]).succeeds();
    mine(&world, &["key", "sign", "spdx.json"]).succeeds();
    let mut check = Command::new(python);
    check.arg(top.join("tests/validators.py")).current_dir(world.project());
    let ran = Ran::of(&check.env("COSIGN_PASSWORD", "secret").output().unwrap()).succeeds();
    assert_eq!(ran.stdout.lines().count(), 5, "{}", ran.stdout);
}

#[test]
fn a_scanner_finds_the_very_packages_that_the_documents_name_with_their_sources() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let syft = top.join("target/validators/bin/syft");
    if !syft.exists() {
        println!("scripts/validators did not install syft, so it is not tried");
        return;
    }
    let world = World::with("hello");
    world.rebeam(&["build", "--no-boot-check"]).succeeds();
    let scan = |arguments: &[&str]| -> serde_json::Value {
        let mut command = Command::new(&syft);
        command.args(arguments).args(["-q", "-o", "json"]).current_dir(world.project());
        command.env("SYFT_CHECK_FOR_APP_UPDATE", "false").env("HOME", world.project());
        serde_json::from_str(&Ran::of(&command.output().unwrap()).succeeds().stdout).unwrap()
    };
    // A package's name and version are what stands before the qualifiers, which scanners word differently.
    let packages = |found: &serde_json::Value| -> BTreeSet<String> {
        let purls =
            found["artifacts"].as_array().unwrap().iter().filter_map(|one| one["purl"].as_str());
        let debs = purls.filter(|purl| purl.starts_with("pkg:deb/debian/"));
        debs.map(|purl| purl.split('?').next().unwrap().to_owned()).collect()
    };
    let found = scan(&["scan", "docker-archive:hello-1.0.0.tar"]);
    assert_eq!(found["distro"]["versionID"], "12", "{}", found["distro"]);
    let scanned = packages(&found);
    assert!(scanned.len() > 5, "{scanned:?}");
    let sources: BTreeSet<&str> = found["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["metadata"]["source"].as_str())
        .collect();
    assert!(sources.contains("glibc") && sources.contains("erlang"), "{sources:?}");
    for format in ["spdx", "cyclonedx"] {
        world.rebeam(&["sbom", "--format", format, "-o", "bill.json"]).succeeds();
        assert_eq!(packages(&scan(&["convert", "bill.json"])), scanned, "{format}");
    }
}
