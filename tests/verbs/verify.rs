//! `rebeam verify` without a key: an image is built once more and held against what it was.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rebeam::digest::Digest;
use serde_json::{Value, json};

use super::harness::World;

#[test]
fn an_image_that_comes_out_the_same_in_rooms_that_vary_is_good() {
    let world = World::with("hello").with_own_store();
    let cold = Instant::now();
    world.rebeam(&["build"]).succeeds();
    let cold = cold.elapsed();
    let warm = Instant::now();
    let verified = world.rebeam(&["verify"]).succeeds();
    assert!(warm.elapsed() < 2 * cold, "{:?} to build, {:?} to verify", cold, warm.elapsed());
    assert!(verified.stdout.starts_with("GOOD sha256:"), "{}", verified.stdout);
    // Nothing that was built before counts.
    assert!(verified.stderr.contains("(0 reused, 5 built)"), "{}", verified.stderr);
    let varied = ["host name: elsewhere", "user and group: 4711", "umask: 077", "UTC+12:45"];
    for words in varied.into_iter().chain(["locale: de_AT", "schedulers: 1", "clock: 34567890 s"]) {
        assert!(verified.stderr.contains(words), "{words:?} is missing in:\n{}", verified.stderr);
    }
    // What varied is remembered by nobody: the next build reuses what the first one made.
    world.edit("src/hello_page.erl", "not found", "nothing here");
    let built = world.rebeam(&["build"]).succeeds();
    assert!(built.stderr.contains("4 reused, 1 built"), "{}", built.stderr);
    world.rebeam(&["verify", "--vary", "none", "--json"]).succeeds();
}

#[test]
fn an_image_into_which_a_room_leaked_is_bad_and_says_what() {
    let world = World::with("hello").with_own_store();
    world.write("priv/keep", "");
    world.write("hook.sh", "uname -n > priv/host\ndate +%Y-%m-%d > priv/day\n");
    let hook = "{pre_hooks, [{compile, \"sh hook.sh\"}]}.\n\n{deps,";
    world.edit("rebar.config", "{deps,", hook);
    world.rebeam(&["build", "--no-boot-check"]).succeeds();
    let verified = world.rebeam(&["verify", "--html", "../page.html"]).fails(1, &[]);
    assert!(verified.stdout.starts_with("BAD sha256:"), "{}", verified.stdout);
    for words in [
        "hello-1.0.0/priv/host: text: host name of the room it was built in",
        "`elsewhere` stands in the second only",
        "hello-1.0.0/priv/day: text: times",
        "1 text: times; set SOURCE_DATE_EPOCH",
    ] {
        assert!(verified.stdout.contains(words), "{words:?} is missing in:\n{}", verified.stdout);
    }
    assert!(world.read("../page.html").contains("host name of the room"));
    // Without what differs it is good.
    world.rebeam(&["verify", "--vary", "locale,cores"]).fails(0, &[]);
}

#[test]
fn another_build_directory_is_told_as_what_it_is() {
    let world = World::with("hello");
    world.rebeam(&["build"]).succeeds();
    let verified = world.rebeam(&["verify", "--vary", "path", "--json"]).fails(1, &[]);
    let last: Value = serde_json::from_str(verified.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["verdict"], "BAD");
    let causes = last["comparison"]["causes"].as_array().unwrap();
    let found: Vec<&str> = causes.iter().map(|cause| cause["cause"].as_str().unwrap()).collect();
    assert_eq!(found, ["path"], "{}", last["comparison"]);
    assert!(causes[0]["remedy"].as_str().unwrap().contains("deterministic"));
}

/// Replaces a text of the configuration layer, and makes every digest fit again: what somebody would do who wants to
/// pass another image off as this one.
fn tampered(image: &Path, to: &Path, from: &[u8], into: &[u8]) {
    let mut blobs: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut archive = tar::Archive::new(fs::File::open(image).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        blobs.insert(entry.path().unwrap().to_str().unwrap().to_owned(), bytes);
    }
    let name = |digest: &Value| format!("blobs/sha256/{}", &digest.as_str().unwrap()[7..]);
    let index: Value = serde_json::from_slice(&blobs["index.json"]).unwrap();
    let mut manifest: Value =
        serde_json::from_slice(&blobs[&name(&index["manifests"][0]["digest"])]).unwrap();
    let mut config: Value =
        serde_json::from_slice(&blobs[&name(&manifest["config"]["digest"])]).unwrap();
    let last = manifest["layers"].as_array().unwrap().len() - 1;
    let mut layer = Vec::new();
    let packed = &blobs[&name(&manifest["layers"][last]["digest"])];
    flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut layer).unwrap();
    let at = layer.windows(from.len()).position(|part| part == from).unwrap();
    layer[at..at + from.len()].copy_from_slice(into);
    config["rootfs"]["diff_ids"][last] = json!(Digest::of(&layer));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&layer).unwrap();
    fs::create_dir_all(to.join("blobs/sha256")).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(to.join(format!("blobs/sha256/{}", digest.hex())), bytes).unwrap();
        (json!(digest), json!(bytes.len()))
    };
    let (digest, size) = put(&gzip.finish().unwrap());
    manifest["layers"][last]["digest"] = digest;
    manifest["layers"][last]["size"] = size;
    let (digest, size) = put(config.to_string().as_bytes());
    manifest["config"]["digest"] = digest;
    manifest["config"]["size"] = size;
    for layer in &manifest["layers"].as_array().unwrap()[..last] {
        put(&blobs[&name(&layer["digest"])]);
    }
    let (digest, size) = put(manifest.to_string().as_bytes());
    let mut index = index;
    index["manifests"][0]["digest"] = digest;
    index["manifests"][0]["size"] = size;
    fs::write(to.join("index.json"), index.to_string()).unwrap();
    fs::write(to.join("oci-layout"), br#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
}

#[test]
fn an_image_that_was_tampered_with_is_bad_and_the_file_is_named() {
    let world = World::with("hello");
    world.rebeam(&["build"]).succeeds();
    let layout = world.path("tampered");
    tampered(&world.project().join("hello-1.0.0.tar"), &layout, b"+sbwt none", b"+sbwt long");
    let verified = world.rebeam(&["verify", layout.to_str().unwrap()]);
    let verified = verified.fails(1, &[]);
    assert!(
        verified.stdout.contains("app/releases/1.0.0/vm.args: text: other lines"),
        "{}",
        verified.stdout
    );
}

fn git(world: &World, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(world.project()).args(["-c", "user.name=a", "-c", "user.email=a@b.test"]);
    let ran = command.args(arguments).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn the_commit_that_an_image_names_is_found_in_the_repository_around() {
    let world = World::with("hello");
    world.rebeam(&["lock"]).succeeds();
    world.write(".gitignore", "*.tar\n_build\n");
    for arguments in [&["init", "-q"][..], &["add", "-A"], &["commit", "-qm", "one"]] {
        git(&world, arguments);
    }
    world.rebeam(&["build"]).succeeds();
    // The project goes on; the image stays what it was.
    world.edit("src/hello_page.erl", "not found", "nothing here");
    let verified = world.rebeam(&["verify", "--vary", "host"]).succeeds();
    assert!(verified.stdout.starts_with("GOOD"), "{}", verified.stdout);
    assert!(!verified.stderr.contains("own word: that the files"), "{}", verified.stderr);
    fs::remove_dir_all(world.project().join(".git")).unwrap();
    let said = ["was not found", "has other files: rebeam.project sha256-", "name a clone"];
    let verified = world.rebeam(&["verify"]).fails(2, &said);
    assert_eq!(verified.stdout, "FAIL\n");
}

#[test]
fn what_cannot_be_verified_fails_with_the_reason() {
    let world = World::with("hello");
    world.write("odd.tar", "no tar at all");
    for (image, said) in [
        ("odd.tar", "is no image file"),
        ("nothing.tar", "there is no file `nothing.tar`"),
        ("rebar.config", "is no image file"),
    ] {
        let verified = world.rebeam(&["verify", image]).fails(2, &[said]);
        assert_eq!(verified.stdout, "FAIL\n");
    }
}

/// A registry, where Debian's is installed; it ends with this.
struct Registry(std::process::Child, u16);

impl Registry {
    fn start(world: &World) -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = world.path("registry");
        fs::create_dir_all(&data).unwrap();
        let settings = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\", relativeurls: true}}\n",
            data.display()
        );
        fs::write(world.path("registry.yml"), settings).unwrap();
        let mut serve = Command::new("docker-registry");
        serve.arg("serve").arg(world.path("registry.yml"));
        let quiet = std::process::Stdio::null;
        let child = serve.stdout(quiet()).stderr(quiet()).spawn().ok()?;
        let registry = Self(child, port);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Some(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn an_image_of_a_registry_is_verified_and_compared_where_it_was_pushed() {
    let world = World::with("hello");
    let Some(registry) = Registry::start(&world) else {
        return;
    };
    world.rebeam(&["build"]).succeeds();
    let place = format!("localhost:{}/hello:1", registry.1);
    world.rebeam(&["push", &place]).succeeds();
    let same = world.rebeam(&["diff", "hello-1.0.0.tar", &place]).succeeds();
    assert_eq!(same.stdout, "the same\n");
    let verified = world.rebeam(&["verify", &place, "--vary", "cores"]).succeeds();
    assert!(verified.stdout.starts_with("GOOD"), "{}", verified.stdout);
    let told = world.rebeam(&["explain", "--image", &place, "/etc/passwd"]).succeeds();
    assert!(told.stdout.contains("rebeam, which lays out"), "{}", told.stdout);
    let gone = format!("localhost:{}/hello:2", registry.1);
    let verified = world.rebeam(&["verify", &gone]).fails(2, &["hello:2"]);
    assert_eq!(verified.stdout, "FAIL\n");
}
