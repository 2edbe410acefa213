//! Consumers: the image file in the programs that load images, each with a store of its own.
//!
//! Each that is installed is tried; with `REBEAM_CONSUMERS=all` a missing one fails. A loader skips what its
//! store already holds, so nothing is shared between them. All need root except skopeo and umoci.

// Clippy knows tests by their attribute alone; what they share in this file is test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rebeam::event::Silent;
use rebeam::image::{self, Image};
use rebeam::lock::{Lock, ToolchainLock};
use rebeam::manifest::{
    Build, ImageWish, Manifest, Project, ReleaseWish, Shell, Tool, ToolchainWish,
};
use rebeam::release::{self, Inputs};
use rebeam::store::Store;
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
        release: made,
        listing: &listing,
        toolchain,
        otp: None,
        owner: &|_| None,
        provider: &|_| Vec::new(),
        dep_apps: &BTreeSet::new(),
        manifest: &manifest,
        lock_text: "version = 1\n",
        provenance: "{}",
    })
    .unwrap();
    image::assemble(&release, &lock(), &manifest, &store, &Silent).unwrap()
}

fn manifest() -> Manifest {
    let say = "echo the image has started as $(id -u) in $(pwd)".to_owned();
    Manifest {
        project: Project { name: "fake".into(), version: TAG.into() },
        toolchain: ToolchainWish { otp: "25".into(), packages: vec![] },
        build: Build { tool: Tool::Rebar3, profile: "prod".into(), ..Build::default() },
        lock: Default::default(),
        deps: BTreeMap::new(),
        tools: BTreeMap::new(),
        release: ReleaseWish::default(),
        image: ImageWish {
            name: NAME.into(),
            ports: vec!["8080/tcp".into()],
            env: BTreeMap::new(),
            user: (65532, 65532),
            volumes: vec!["/data".into()],
            labels: BTreeMap::new(),
            health: None,
            entrypoint: Some(vec!["/bin/sh".into(), "-c".into(), say]),
            cmd: vec![],
            shell: Some(Shell::Busybox),
            tzdata: false,
            ca_certificates: None,
        },
        hex: BTreeMap::new(),
        mirrors: BTreeMap::new(),
    }
}

fn lock() -> Lock {
    Lock {
        project: "fake".into(),
        epoch: 1_700_000_000,
        image_format: rebeam::lock::IMAGE_FORMAT,
        toolchain: ToolchainLock {
            otp: "25".into(),
            wished: vec![],
            suite: "bookworm".into(),
            debs: vec![],
        },
        sources: vec![],
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

#[test]
fn docker_loads_and_runs_the_image() {
    let Some(world) = tried(&["docker", "dockerd"]) else {
        return;
    };
    let at = world.store("docker");
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
    let _daemon = Daemon::start("dockerd", &arguments, &at.join("log"), ready);
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
    assert_eq!(lock, "version = 1\n");
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("tmp"), 0o1777);
    assert_eq!(mode("app/erts-13.0/bin/beam.smp"), 0o755);
}

fn run_uid() -> String {
    run("id", &["-u"]).trim().to_owned()
}
