//! Consumers: the image file in the programs that load images, each with a store of its own.
//!
//! Each that is installed is tried; with `REBEAM_CONSUMERS=all` a missing one fails. A loader skips what its
//! store already holds, so nothing is shared between them. All need root except skopeo and umoci.

// Clippy knows tests by their attribute alone; what they share in this file is test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rebeam::cache::{self, Cache, Caches, Way};
use rebeam::event::Silent;
use rebeam::http::{Http, Mirrors, Network};
use rebeam::image::{self, Image};
use rebeam::lock::{Lock, ToolchainLock};
use rebeam::manifest::{
    Build, ImageWish, Manifest, Project, ReleaseWish, Shell, Tool, ToolchainWish,
};
use rebeam::registry::{self, Credentials, Door, Origin, Platform, Security};
use rebeam::release::{self, Inputs};
use rebeam::store::{BuildKey, Record, Store};
use rebeam::tree;

const NAME: &str = "rebeam/consumers";
const TAG: &str = "1.0.0";
const SAYS: &str = "the image has started as 65532 in /app";

/// A synthetic image on disk, with busybox in the place of an emulator.
struct World {
    _directory: tempfile::TempDir,
    root: PathBuf,
    archive: PathBuf,
    image: Image,
}

impl World {
    /// Makes the image; `None` where no static busybox is installed.
    fn new() -> Option<Self> {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
        let busybox = busybox.into_iter().find(|path| path.exists() && is_static(path));
        let Some(busybox) = busybox else {
            missing("busybox-static");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let (made, toolchain) = (root.join("release"), root.join("toolchain"));
        let put = |path: PathBuf, bytes: &[u8], mode| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let program = fs::read(busybox).unwrap();
        put(toolchain.join("usr/bin/busybox"), &program, 0o755);
        for tool in ["beam.smp", "erlexec", "erl_child_setup", "inet_gethost"] {
            put(made.join("erts-13.0/bin").join(tool), &program, 0o755);
        }
        let rel = r#"{release, {"fake", "1.0.0"}, {erts, "13.0"}, [{app, "1.0.0"}]}."#;
        put(made.join("releases/start_erl.data"), b"13.0 1.0.0", 0o644);
        put(made.join("releases/1.0.0/fake.rel"), rel.as_bytes(), 0o644);
        put(made.join("releases/1.0.0/start.boot"), b"boot", 0o644);
        let long = format!("lib/app-1.0.0/priv/{}/{}", "d".repeat(180), "größe".repeat(10));
        put(made.join(long), b"a long name", 0o644);
        let image = assemble(&root, &made, &toolchain);
        let archive = root.join("image.tar");
        image::write_archive(&image, NAME, TAG, &archive).unwrap();
        Some(Self { _directory: directory, root, archive, image })
    }

    /// Makes an empty directory for a consumer's store.
    fn store(&self, name: &str) -> PathBuf {
        let path = self.root.join(name);
        fs::create_dir(&path).unwrap();
        path
    }
}

fn assemble(root: &Path, made: &Path, toolchain: &Path) -> Image {
    let store = Store::open(&root.join("store")).unwrap();
    let manifest = manifest();
    let listing = tree::scan(made, &[]).unwrap().tree;
    let release = release::assemble(&Inputs {
        base: None,
        release: made,
        listing: &listing,
        natives: None,
        toolchain,
        otp: None,
        owner: &|_| None,
        papers: &|_| Ok(None),
        provider: &|_| Vec::new(),
        dep_apps: &BTreeSet::new(),
        manifest: &manifest,
        lock_text: &lock().to_text(),
        provenance: "{}",
    })
    .unwrap();
    image::assemble(&release, &lock(), &manifest, &store, &Silent).unwrap()
}

fn manifest() -> Manifest {
    let say = "echo the image has started as $(id -u) in $(pwd)".to_owned();
    Manifest {
        content: rebeam::digest::Digest::of(b""),
        project: Project { name: "fake".into(), version: TAG.into() },
        toolchain: ToolchainWish { otp: "25".into(), packages: vec![] },
        build: Build { tool: Tool::Rebar3, profile: "prod".into(), ..Build::default() },
        lock: Default::default(),
        deps: BTreeMap::new(),
        tools: BTreeMap::new(),
        release: ReleaseWish::default(),
        image: ImageWish {
            name: NAME.into(),
            platforms: vec![],
            base: None,
            ports: vec!["8080/tcp".into()],
            env: BTreeMap::new(),
            user: (65532, 65532),
            volumes: vec!["/data".into()],
            labels: BTreeMap::new(),
            health: None,
            entrypoint: Some(vec!["/bin/sh".into(), "-c".into(), say]),
            cmd: vec![],
            epmd: None,
            shell: Some(Shell::Busybox),
            tzdata: false,
            ca_certificates: None,
        },
        hex: BTreeMap::new(),
        mirrors: BTreeMap::new(),
        dev: Default::default(),
        services: BTreeMap::new(),
    }
}

fn lock() -> Lock {
    Lock {
        base: None,
        project: "fake".into(),
        epoch: 1_700_000_000,
        image_format: rebeam::lock::IMAGE_FORMAT,
        platforms: vec![],
        toolchain: ToolchainLock {
            otp: "25".into(),
            wished: vec![],
            suite: "bookworm".into(),
            debs: vec![],
        },
        sources: vec![],
        services: vec![],
    }
}

fn is_static(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    // A program that wants a loader names it.
    !bytes
        .windows(10)
        .take(4096)
        .any(|part| part.starts_with(b"/lib64/ld-") || part.starts_with(b"/lib/ld-"))
}

/// Says that a consumer is missing, as loudly as was asked for.
fn missing(name: &str) {
    assert!(
        std::env::var("REBEAM_CONSUMERS").as_deref() != Ok("all"),
        "`{name}` is not installed, and REBEAM_CONSUMERS=all wants every consumer tried"
    );
    println!("skipped: `{name}` is not installed");
}

/// Finds a program and makes the world to try it in.
fn tried(programs: &[&str]) -> Option<World> {
    for program in programs {
        if find(program).is_none() {
            missing(program);
            return None;
        }
    }
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let rootless = ["skopeo", "umoci"].contains(&programs[0]);
    if !is_root && !rootless {
        missing(&format!("{} (needs root)", programs[0]));
        return None;
    }
    World::new()
}

/// The distribution's own program comes first: another in PATH may be a newer client of the same name.
fn find(program: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"]
        .into_iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.exists())
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(find(program).unwrap()).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{said}{errors}", output.status);
    said
}

/// A daemon that ends with the test.
struct Daemon(Child);

impl Daemon {
    fn start(program: &str, arguments: &[&str], log: &Path, ready: impl Fn() -> bool) -> Self {
        let log_file = fs::File::create(log).unwrap();
        let child = Command::new(find(program).unwrap())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log_file.try_clone().unwrap())
            .stderr(log_file)
            .spawn()
            .unwrap();
        let daemon = Self(child);
        let begun = Instant::now();
        while !ready() {
            let waited = begun.elapsed() < Duration::from_secs(60);
            assert!(waited, "{program} did not start:\n{}", fs::read_to_string(log).unwrap());
            std::thread::sleep(Duration::from_millis(100));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Starts Docker's daemon with a store below `at`, and returns its address.
fn dockerd(at: &Path) -> (Daemon, String) {
    let (data, exec, pid) = (at.join("data"), at.join("exec"), at.join("pid"));
    let host = format!("unix://{}", text(&at.join("s")));
    let ready = || {
        let mut ping = Command::new(find("docker").unwrap());
        ping.args(["-H", &host, "info"]).output().is_ok_and(|output| output.status.success())
    };
    let arguments = [
        "--data-root",
        text(&data),
        "--exec-root",
        text(&exec),
        "--pidfile",
        text(&pid),
        "-H",
        &host,
        "--storage-driver",
        "vfs",
        "--iptables=false",
        "--bridge=none",
    ];
    (Daemon::start("dockerd", &arguments, &at.join("log"), ready), host)
}

#[test]
fn docker_loads_and_runs_the_image() {
    let Some(world) = tried(&["docker", "dockerd"]) else {
        return;
    };
    let (_daemon, host) = dockerd(&world.store("docker"));
    run("docker", &["-H", &host, "load", "-i", text(&world.archive)]);
    let reference = format!("{NAME}:{TAG}");
    let id = run("docker", &["-H", &host, "image", "inspect", "-f", "{{.Id}}", &reference]);
    assert_eq!(id.trim(), world.image.image_id().to_string());
    let said = run(
        "docker",
        &["-H", &host, "run", "--rm", "--network", "none", "--read-only", &reference],
    );
    assert_eq!(said.trim(), SAYS);
}

/// A call of rebeam with a home of its own.
fn rebeam(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rebeam"));
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &world.root);
    command.current_dir(&world.root);
    command
}

/// Runs it and returns what it told.
fn told(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}\n{told}", output.status);
    told
}

#[test]
fn docker_gets_the_image_through_its_socket_and_only_once() {
    let Some(world) = tried(&["docker", "dockerd"]) else {
        return;
    };
    let at = world.store("docker");
    let (_daemon, host) = dockerd(&at);
    let load =
        || told(rebeam(&world, &["image", "load", text(&world.archive)]).env("DOCKER_HOST", &host));
    assert!(!load().contains("nothing to send"));
    let reference = format!("{NAME}:{TAG}");
    let id = || run("docker", &["-H", &host, "image", "inspect", "-f", "{{.Id}}", &reference]);
    assert_eq!(id().trim(), world.image.image_id().to_string());
    assert!(load().contains("nothing to send"));
    // What lost its name gets it again.
    run("docker", &["-H", &host, "tag", &reference, "other:1"]);
    run("docker", &["-H", &host, "rmi", &reference]);
    assert!(load().contains("nothing to send"));
    assert_eq!(id().trim(), world.image.image_id().to_string());
    // A user outside the group is told how to get in.
    for path in [&world.root, &at] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut stranger = rebeam(&world, &["image", "load", text(&world.archive)]);
    let refused = stranger.env("DOCKER_HOST", &host).uid(4242).gid(4242).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{told}");
    assert!(told.contains("does not let this user in"), "{told}");
}

#[test]
fn podman_gets_the_image_through_its_socket_and_only_once() {
    let Some(world) = tried(&["podman"]) else {
        return;
    };
    let at = world.store("podman");
    let (root, runroot, socket) = (at.join("root"), at.join("run"), at.join("s"));
    let host = format!("unix://{}", text(&socket));
    let own = ["--root", text(&root), "--runroot", text(&runroot), "--storage-driver", "vfs"];
    let own = [&own[..], &["--cgroup-manager", "cgroupfs", "--events-backend", "file"]].concat();
    let service = [&own[..], &["system", "service", "--time", "0", &host]].concat();
    let _daemon = Daemon::start("podman", &service, &at.join("log"), || socket.exists());
    let load =
        || told(rebeam(&world, &["image", "load", text(&world.archive)]).env("DOCKER_HOST", &host));
    assert!(!load().contains("nothing to send"));
    let reference = format!("docker.io/{NAME}:{TAG}");
    let id =
        || run("podman", &[&own[..], &["image", "inspect", "-f", "{{.Id}}", &reference]].concat());
    assert_eq!(id().trim(), world.image.image_id().hex());
    assert!(load().contains("nothing to send"));
    run("podman", &[&own[..], &["tag", &reference, "other:1"]].concat());
    run("podman", &[&own[..], &["untag", &reference]].concat());
    assert!(load().contains("nothing to send"));
    assert_eq!(id().trim(), world.image.image_id().hex());
}

/// Starts a registry with its data below `at`, and returns its port.
fn registry(at: &Path, more: &str) -> (Daemon, u16) {
    registry_by(at, "", more)
}

/// The same, which also listens as `http` says.
fn registry_by(at: &Path, http: &str, more: &str) -> (Daemon, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = at.join("config.yml");
    let settings = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
         http: {{addr: \"127.0.0.1:{port}\", relativeurls: true{http}}}\n{more}",
        text(&at.join("data")),
    );
    fs::write(&config, settings).unwrap();
    let ready = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    let arguments = ["serve", text(&config)];
    (Daemon::start("docker-registry", &arguments, &at.join("log"), ready), port)
}

#[test]
fn a_registry_that_knows_its_people_lets_only_them_push() {
    if find("docker-registry").is_none() {
        missing("docker-registry");
        return;
    }
    let Some(world) = World::new() else {
        return;
    };
    let at = world.store("registry");
    let people = at.join("people");
    // The password is `secret`.
    let ann = "ann:$2b$05$FpJnCt.V/e8SCN7XT1skB.WG17bD/lP5NH.gGAwdoS1cyPiLTXf9G\n";
    fs::write(&people, ann).unwrap();
    let more = format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", text(&people));
    let (_daemon, port) = registry(&at, &more);
    let place = format!("localhost:{port}/{NAME}");
    let push = || rebeam(&world, &["push", &place, "--file", text(&world.archive)]);
    let login = |password: &str| {
        let auths = format!(
            r#"{{"auths":{{"localhost:{port}":{{"username":"ann","password":"{password}"}}}}}}"#
        );
        fs::create_dir_all(world.root.join(".docker")).unwrap();
        fs::write(world.root.join(".docker/config.json"), auths).unwrap();
    };
    let refused = |says: &str| {
        let output = push().output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains(says), "{told}");
        assert!(told.contains(&format!("docker login localhost:{port}")), "{told}");
    };
    refused("without a login");
    login("wrong");
    refused("does not accept the login of `ann`");
    login("secret");
    assert!(told(&mut push()).contains("Pushed"));
}

#[test]
fn a_registry_has_the_very_image_that_was_pushed() {
    if find("docker-registry").is_none() {
        missing("docker-registry");
        return;
    }
    let Some(world) = tried(&["skopeo"]) else {
        return;
    };
    let at = world.store("registry");
    let (_daemon, port) = registry(&at, "");
    let place = format!("localhost:{port}/{NAME}");
    let file = ["--file", text(&world.archive)];
    let push = |more: &[&str]| told(&mut rebeam(&world, &[&["push"], more, &file].concat()));
    let said = push(&[&place, "--tag", "latest", "--tag", TAG]);
    let manifest = world.image.manifest_digest().to_string();
    assert!(said.contains(&format!("{place}:latest@{manifest}")), "{said}");
    assert!(push(&[&place]).contains("nothing to send"));
    let inspected = |place: &str, tag: &str| -> serde_json::Value {
        let at = format!("docker://{place}:{tag}");
        serde_json::from_str(&run("skopeo", &["inspect", "--tls-verify=false", &at])).unwrap()
    };
    let layers: Vec<String> =
        world.image.layers.iter().map(|layer| layer.blob.digest().to_string()).collect();
    for tag in ["latest", TAG] {
        let there = inspected(&place, tag);
        assert_eq!(there["Digest"], manifest.as_str());
        assert_eq!(there["Layers"], serde_json::json!(layers));
    }
    // Another repository takes the blobs from the first.
    let other = format!("localhost:{port}/other");
    assert!(push(&[&other, "--mount-from", NAME]).contains("nothing to send"));
    assert_eq!(inspected(&other, TAG)["Digest"], manifest.as_str());
    // What a registry gives back is the file that was pushed.
    let policy = at.join("policy.json");
    fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let (from, back) = (format!("docker://{other}:{TAG}"), at.join("back"));
    let to = format!("dir:{}", text(&back));
    run("skopeo", &["--policy", text(&policy), "copy", "--src-tls-verify=false", &from, &to]);
    for layer in &world.image.layers {
        assert!(back.join(layer.blob.digest().hex()).exists());
    }
    // So does rebeam, which then reads the image as it reads the file.
    let pull = |what: &str, network| {
        let store = Store::open(&at.join("pulled")).unwrap();
        let http = Http::new(network, Mirrors::default());
        let credentials = Credentials { files: vec![], programs: None, ms_max: 1_000 };
        let door = Door {
            http: &http,
            credentials: &credentials,
            security: Security::Encrypted,
            observer: &Silent,
        };
        let origin = Origin::parse(what).unwrap();
        let pulled = registry::pull(&origin, &Platform::of_this_machine(), &store, door).unwrap();
        let there = image::inspect(pulled.lay_out(&store).unwrap().path()).unwrap();
        assert_eq!(there.manifest_digest, Some(world.image.manifest_digest()));
        assert_eq!(there.image_id, world.image.image_id());
        pulled.received_bytes
    };
    assert!(pull(&format!("{other}:{TAG}"), Network::Open) > 0);
    assert_eq!(pull(&format!("{other}@{manifest}"), Network::Offline), 0);
}

#[test]
fn a_registry_hands_results_from_one_store_to_another() {
    if find("docker-registry").is_none() {
        missing("docker-registry");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("registry");
    fs::create_dir(&at).unwrap();
    let (_daemon, port) = registry(&at, "");
    let cache = |place: &str| {
        let http = Http::new(Network::Open, Mirrors::default());
        let credentials = Credentials { files: vec![], programs: None, ms_max: 1_000 };
        let place = cache::Place::parse(place).unwrap();
        Cache::new(place, Way { http, credentials, security: Security::Encrypted })
    };
    let place = format!("localhost:{port}/team/cache");
    let [one, two] = ["one", "two"].map(|name| Store::open(&directory.path().join(name)).unwrap());
    let mut keys = Vec::new();
    for step in 0..12 {
        let scratch = one.scratch().unwrap();
        fs::write(scratch.path().join("made"), vec![step; 40_000]).unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::rename(scratch.path().join("made"), tree.join("made")).unwrap();
        let tree = one.insert_tree("made", &tree, None).unwrap();
        let key = BuildKey::of(&format!("step {step}"));
        let outputs = vec![("output".to_owned(), tree.digest())];
        one.remember(key, &Record { inputs: format!("step {step}\n"), outputs }).unwrap();
        keys.push(key);
    }
    cache(&place).fill(keys.clone(), &one, &Silent).unwrap();
    two.look_also(std::sync::Arc::new(Caches(vec![cache(&place)])));
    for key in keys {
        let brought = two.recall_shared(key, &Silent).unwrap();
        assert_eq!(brought, one.recall(key).unwrap());
        assert!(brought.is_some());
    }
    assert_eq!(two.recall_shared(BuildKey::of("nothing"), &Silent).unwrap(), None);
}

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

#[test]
fn podman_loads_the_image_under_its_name() {
    let Some(world) = tried(&["podman"]) else {
        return;
    };
    let at = world.store("podman");
    let (root, runroot) = (at.join("root"), at.join("run"));
    let podman = |arguments: &[&str]| {
        let own = ["--root", text(&root), "--runroot", text(&runroot), "--storage-driver", "vfs"];
        run(
            "podman",
            &[&own[..], &["--cgroup-manager", "cgroupfs", "--events-backend", "file"], arguments]
                .concat(),
        )
    };
    podman(&["load", "-i", text(&world.archive)]);
    let id = podman(&["image", "inspect", "-f", "{{.Id}}", &format!("docker.io/{NAME}:{TAG}")]);
    assert_eq!(id.trim(), world.image.image_id().hex());
}

#[test]
fn containerd_imports_the_image_with_its_manifest() {
    let Some(world) = tried(&["ctr", "containerd"]) else {
        return;
    };
    let at = world.store("containerd");
    let (root, state, socket) = (at.join("root"), at.join("state"), at.join("s"));
    let ready = || socket.exists();
    let arguments = ["--root", text(&root), "--state", text(&state), "--address", text(&socket)];
    let _daemon = Daemon::start("containerd", &arguments, &at.join("log"), ready);
    // The overlay snapshotter wants a file system that takes overlays; the native one takes any.
    let ctr = |arguments: &[&str]| run("ctr", &[&["--address", text(&socket)], arguments].concat());
    ctr(&["images", "import", "--snapshotter", "native", text(&world.archive)]);
    let listed = ctr(&["images", "ls"]);
    assert!(listed.contains(&format!("docker.io/{NAME}:{TAG}")), "{listed}");
    assert!(listed.contains(&world.image.manifest_digest().to_string()), "{listed}");
}

#[test]
fn skopeo_reads_both_halves_of_the_file() {
    let Some(world) = tried(&["skopeo"]) else {
        return;
    };
    let at = world.store("skopeo");
    let policy = at.join("policy.json");
    fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    for transport in ["docker-archive", "oci-archive"] {
        let from = format!("{transport}:{}", text(&world.archive));
        let to = at.join(transport);
        run("skopeo", &["--policy", text(&policy), "copy", &from, &format!("dir:{}", text(&to))]);
        assert!(to.join(world.image.image_id().hex()).exists(), "{transport}");
    }
}

#[test]
fn umoci_unpacks_the_very_files() {
    let Some(world) = tried(&["umoci", "tar"]) else {
        return;
    };
    let at = world.store("umoci");
    let (layout, bundle) = (at.join("layout"), at.join("bundle"));
    fs::create_dir(&layout).unwrap();
    run("tar", &["-xf", text(&world.archive), "-C", text(&layout)]);
    let image = format!("{}:{TAG}", text(&layout));
    let rootless: &[&str] = match run_uid().as_str() {
        "0" => &[],
        _ => &["--rootless"],
    };
    run("umoci", &[&["unpack"], rootless, &["--image", &image, text(&bundle)]].concat());
    let root = bundle.join("rootfs");
    let lock = fs::read_to_string(root.join(release::LOCK_PATH)).unwrap();
    assert_eq!(lock, self::lock().to_text());
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("tmp"), 0o1777);
    assert_eq!(mode("app/erts-13.0/bin/beam.smp"), 0o755);
}

fn run_uid() -> String {
    run("id", &["-u"]).trim().to_owned()
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

#[test]
fn a_registry_behind_tls_and_a_login_is_spoken_to_on_this_machine_too() {
    let Some(world) = tried(&["docker-registry"]) else {
        return;
    };
    let at = world.store("registry");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let (trusted, closed) = (at.join("trusted.pem"), at.join("key.pem"));
    fs::write(&trusted, certificate.pem()).unwrap();
    fs::write(&closed, key.serialize_pem()).unwrap();
    let people = at.join("people");
    // The password is `secret`.
    let ann = "ann:$2b$05$FpJnCt.V/e8SCN7XT1skB.WG17bD/lP5NH.gGAwdoS1cyPiLTXf9G\n";
    fs::write(&people, ann).unwrap();
    let tls = format!(", tls: {{certificate: {}, key: {}}}", text(&trusted), text(&closed));
    let people = format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", text(&people));
    let (_daemon, port) = registry_by(&at, &tls, &people);
    let place = format!("localhost:{port}/{NAME}:{TAG}");
    let auths =
        format!(r#"{{"auths":{{"localhost:{port}":{{"username":"ann","password":"secret"}}}}}}"#);
    fs::create_dir_all(world.root.join(".docker")).unwrap();
    fs::write(world.root.join(".docker/config.json"), auths).unwrap();
    let push = || rebeam(&world, &["push", &place, "--file", text(&world.archive)]);
    let output = push().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("is not trusted, so nothing was sent"), "{said}");
    assert!(said.contains("SSL_CERT_FILE"), "{said}");
    let with_trust = |mut command: Command| told(command.env("SSL_CERT_FILE", &trusted));
    assert!(with_trust(push()).contains("Attached SPDX, SLSA provenance"));
    assert!(with_trust(push()).contains("nothing to send"));
    let inspected = rebeam(&world, &["image", "inspect", &place]);
    assert!(with_trust(inspected).contains("Pulled"));
}

#[test]
fn a_push_that_is_killed_names_nothing_and_the_next_one_finishes_it() {
    let Some(world) = tried(&["docker-registry"]) else {
        return;
    };
    let at = world.store("registry");
    let (_daemon, port) = registry(&at, "");
    let narrow = Narrow::before(port, 300_000);
    let place = |port| format!("localhost:{port}/{NAME}:{TAG}");
    let slow = place(narrow.port);
    let mut push = rebeam(&world, &["push", &slow, "--file", text(&world.archive)]);
    let mut child = push.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    narrow.wait();
    child.kill().unwrap();
    child.wait().unwrap();
    let tags = at.join("data/docker/registry/v2/repositories").join(NAME).join("_manifests/tags");
    assert!(!tags.exists());
    let said = told(&mut rebeam(&world, &["push", &place(port), "--file", text(&world.archive)]));
    assert!(said.contains(&world.image.manifest_digest().to_string()), "{said}");
    let back = format!("docker://{}", place(port));
    let inspected = run("skopeo", &["inspect", "--tls-verify=false", &back]);
    assert!(inspected.contains(&world.image.manifest_digest().to_string()), "{inspected}");
}

/// A way to a server that takes so many bytes and no more.
struct Narrow {
    port: u16,
    full: std::sync::mpsc::Receiver<()>,
}

impl Narrow {
    fn before(port: u16, bytes: usize) -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let (tell, full) = std::sync::mpsc::channel();
        let passed = std::sync::Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (mut from, mut to) = (client, server);
                let (tell, passed) = (tell.clone(), passed.clone());
                std::thread::spawn(move || {
                    let mut buffer = [0; 16 << 10];
                    loop {
                        let count = std::io::Read::read(&mut from, &mut buffer).unwrap_or(0);
                        if count == 0 {
                            return;
                        }
                        // What is too much is held back, and the connection stands until the client is gone.
                        if passed.fetch_add(count, Ordering::SeqCst) > bytes {
                            let _ = tell.send(());
                        } else if std::io::Write::write_all(&mut to, &buffer[..count]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port: own, full }
    }

    fn wait(&self) {
        self.full.recv_timeout(Duration::from_secs(60)).expect("more is sent than passes");
    }
}
