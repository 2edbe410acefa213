//! `[image] base`: a release over an image of others, pinned by the lock. The image comes from Debian's registry
//! on loopback, where that is installed.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::harness::World;
use rebeam::digest::Digest;

/// A registry on loopback, for as long as this lives.
struct Registry {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Registry {
    fn start() -> Option<Self> {
        let program = Path::new("/usr/bin/docker-registry");
        if !program.exists() {
            let all = std::env::var_os("REBEAM_CONSUMERS").is_some_and(|wish| wish == "all");
            assert!(!all, "docker-registry is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let config = directory.path().join("config.yml");
        let data = directory.path().join("data");
        let settings = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
            data.display()
        );
        fs::write(&config, settings).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, port, _directory: directory })
    }

    fn place(&self, name: &str) -> String {
        format!("localhost:{}/{name}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes an image file of one layer with these files, as others make them, and pushes it.
fn publish(world: &World, place: &str, files: &[(&str, Vec<u8>)]) {
    let mut tar = tar::Builder::new(Vec::new());
    let put = |tar: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    for (name, bytes) in files {
        put(&mut tar, name, bytes);
    }
    let plain = tar.into_inner().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let layer = gzip.finish().unwrap();
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux",
        "config": { "Env": ["PATH=/opt/company/bin:/usr/bin", "COMPANY=acme", "LANG=de"], "Cmd": ["sh"], "User": "root",
            "ExposedPorts": { "9100/tcp": {} },
            "Labels": { "company": "acme", "org.opencontainers.image.title": "theirs" } },
        "history": [{ "created_by": "rebeam layer=theirs" }, { "created_by": "ENV", "empty_layer": true }],
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&plain)] } })
    .to_string();
    let descriptor = |kind: &str, bytes: &[u8]| serde_json::json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() });
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": descriptor("application/vnd.docker.container.image.v1+json", config.as_bytes()),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &layer)] })
    .to_string();
    let index = serde_json::json!({ "schemaVersion": 2,
        "manifests": [descriptor("application/vnd.docker.distribution.manifest.v2+json", manifest.as_bytes())] })
    .to_string();
    let member = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let docker = serde_json::json!([{ "Config": member(config.as_bytes()), "RepoTags": ["base:1"], "Layers": [member(&layer)] }]);
    let mut file = tar::Builder::new(Vec::new());
    put(&mut file, "index.json", index.as_bytes());
    put(&mut file, "manifest.json", docker.to_string().as_bytes());
    for bytes in [manifest.as_bytes(), config.as_bytes(), &layer] {
        put(&mut file, &member(bytes), bytes);
    }
    fs::write(world.path("base.tar"), file.into_inner().unwrap()).unwrap();
    let arguments = ["push", place, "--file", "../base.tar", "--sbom", "none", "--no-provenance"];
    world.rebeam(&arguments).succeeds();
}

fn inspected(world: &World, what: &str) -> serde_json::Value {
    let ran = world.rebeam(&["image", "inspect", what, "--json"]).succeeds();
    let last = ran.stdout.lines().last().unwrap().to_owned();
    serde_json::from_str(&last).unwrap()
}

/// Names the base in the manifest.
fn over(world: &World, base: &str) {
    let text = world.read("rebeam.toml");
    let others = text.lines().filter(|line| !line.starts_with("base = "));
    let line = format!("[image]\nbase = \"{base}\"");
    let text = others.collect::<Vec<_>>().join("\n").replace("[image]", &line);
    world.write("rebeam.toml", &format!("{text}\n"));
}

#[test]
fn a_release_goes_over_a_base_that_the_lock_pins() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let world = World::with("hello");
    let place = registry.place("company/base");
    let passwd = b"root:x:0:0::/:/bin/sh\ncompany:x:7:7::/:/bin/sh\n".to_vec();
    let files = [("etc/passwd", passwd), ("opt/company/bin/agent", b"#!/bin/sh\n".to_vec())];
    publish(&world, &format!("{place}:1"), &files);
    let base = inspected(&world, &format!("{place}:1"));
    over(&world, &format!("{place}:1"));
    world.rebeam(&["build", "--locked"]).fails(1, &["`image` of [base] is `none`"]);
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    let digest = base["manifest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    assert!(lock.contains(&format!("image = \"{place}:1\"\ndigest = \"{digest}\"")), "{lock}");
    // From the lock on nothing is asked of the registry, and a moved tag moves nothing.
    publish(&world, &format!("{place}:1"), &[("other", b"other".to_vec())]);
    let ran = world.rebeam(&["build", "--offline", "--locked"]).succeeds();
    let image = inspected(&world, "hello-1.0.0.tar");
    let layers = image["layers"].as_array().unwrap();
    assert_eq!(layers[0], base["layers"][0], "the base's layer is the very same");
    assert!(layers.len() > 3, "{}", ran.stderr);
    let env: Vec<&str> =
        image["env"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
    assert!(env.contains(&"COMPANY=acme") && env.contains(&"LANG=C.UTF-8"), "{env:?}");
    assert!(
        env.iter()
            .any(|e| e.starts_with("PATH=/app/erts-")
                && e.ends_with("/bin:/opt/company/bin:/usr/bin")),
        "{env:?}"
    );
    let labels = &image["labels"];
    assert_eq!(
        (&labels["company"], &labels["org.opencontainers.image.title"]),
        (&"acme".into(), &"hello".into())
    );
    assert_eq!(labels["org.opencontainers.image.base.name"], format!("{place}:1"));
    assert_eq!(labels["org.opencontainers.image.base.digest"], format!("sha256:{digest}"));
    assert!(image["ports"].as_array().unwrap().contains(&"9100/tcp".into()));
    assert_ne!(image["user"], "root");
    // In the base's registry its layers are taken from the base's repository.
    let hello = registry.place("hello");
    let pushed =
        world.rebeam(&["push", &hello, "--json", "--sbom", "none", "--no-provenance"]).succeeds();
    let facts: Vec<&str> = pushed.stdout.lines().chain(pushed.stderr.lines()).collect();
    let mounted = facts.iter().filter(|fact| fact.contains("\"arrival\":\"mounted\"")).count();
    assert_eq!(mounted, 1, "{facts:?}");
    assert_eq!(inspected(&world, &format!("{hello}:1.0.0"))["image_id"], image["image_id"]);
    // Only who asks for it gets the tag's new image.
    world.rebeam(&["update", "base"]).succeeds();
    assert!(!world.read("rebeam.lock").contains(&digest));
    world.rebeam(&["build"]).succeeds();
}

#[test]
fn a_bundle_brings_the_base_to_a_machine_without_a_network() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let world = World::with("hello").with_own_store();
    let place = format!("{}:1", registry.place("base"));
    publish(&world, &place, &[("opt/agent", b"#!/bin/sh\n".to_vec())]);
    over(&world, &place);
    world.rebeam(&["lock"]).succeeds();
    let bundle = world.path("all.bundle").display().to_string();
    let made = world.rebeam(&["bundle", "export", &bundle]).succeeds();
    assert!(made.stderr.contains(&format!("the base `{place}`")), "{}", made.stderr);
    world.rebeam(&["build", "--no-boot-check"]).succeeds();
    let image = world.project().join("hello-1.0.0.tar");
    let here = fs::read(&image).unwrap();
    fs::remove_file(&image).unwrap();
    fs::remove_dir_all(world.path("git")).unwrap();
    fs::rename(world.path("store"), world.path("old-store")).unwrap();
    drop(registry);
    let arrived = world.rebeam(&["bundle", "import", &bundle]).succeeds();
    assert!(arrived.stderr.contains(&format!("the base `{place}`")), "{}", arrived.stderr);
    world.rebeam(&["build", "--offline", "--locked", "--no-boot-check"]).succeeds();
    assert!(fs::read(&image).unwrap() == here, "the images differ");
    // What the lock pins stays pinned, too, when it is made anew.
    let lock = world.read("rebeam.lock");
    world.rebeam(&["lock", "--offline"]).succeeds();
    assert_eq!(world.read("rebeam.lock"), lock);
}

#[test]
fn the_libraries_of_a_base_with_a_loader_count() {
    let (loader, libc) = ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6");
    let Some(registry) = Registry::start() else {
        return;
    };
    let world = World::with("hello");
    let place = registry.place("base");
    let read = |path: &str| (path.trim_start_matches('/').to_owned(), fs::read(path).unwrap());
    let files = [read(loader), read(libc)];
    let files: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    publish(&world, &format!("{place}:1"), &files);
    over(&world, &format!("{place}:1"));
    world.rebeam(&["build"]).succeeds();
    let sizes = world.rebeam(&["image", "size", "--files=1000"]).succeeds().stdout;
    let names = |needle: &str| sizes.lines().filter(|line| line.ends_with(needle)).count();
    assert_eq!(names("libc.so.6"), 1, "the base's alone is there:\n{sizes}");
    assert_eq!(names("libm.so.6"), 1, "what the base lacks came along:\n{sizes}");
}

#[test]
fn a_base_that_is_not_there_or_none_is_named() {
    let world = World::with("hello");
    let with = |base: &str| over(&world, base);
    with("r.example/base:1");
    world
        .rebeam(&["lock", "--offline"])
        .fails(3, &["`r.example/base:1` is not here, and the network is closed"]);
    with("r.example/BASE");
    world
        .rebeam(&["lock", "--offline"])
        .fails(2, &["`r.example/BASE` names no place in a registry"]);
    with("a b");
    world.rebeam(&["lock", "--offline"]).fails(1, &["base"]);
}
