//! World: a synthetic image, and the programs of this machine that take one.

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

pub(crate) const NAME: &str = "rebeam/consumers";
pub(crate) const TAG: &str = "1.0.0";
pub(crate) const SAYS: &str = "the image has started as 65532 in /app";

/// A synthetic image on disk, with busybox in the place of an emulator.
pub(crate) struct World {
    _directory: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) archive: PathBuf,
    pub(crate) image: Image,
}

impl World {
    /// Makes the image; `None` where no static busybox is installed.
    pub(crate) fn new() -> Option<Self> {
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
    pub(crate) fn store(&self, name: &str) -> PathBuf {
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

pub(crate) fn lock() -> Lock {
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
pub(crate) fn missing(name: &str) {
    assert!(
        std::env::var("REBEAM_CONSUMERS").as_deref() != Ok("all"),
        "`{name}` is not installed, and REBEAM_CONSUMERS=all wants every consumer tried"
    );
    println!("skipped: `{name}` is not installed");
}

/// Finds a program and makes the world to try it in.
pub(crate) fn tried(programs: &[&str]) -> Option<World> {
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
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"]
        .into_iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.exists())
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(find(program).unwrap()).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{said}{errors}", output.status);
    said
}

/// A daemon that ends with the test.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start(
        program: &str,
        arguments: &[&str],
        log: &Path,
        ready: impl Fn() -> bool,
    ) -> Self {
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

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A call of rebeam with a home of its own.
pub(crate) fn rebeam(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rebeam"));
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &world.root);
    command.current_dir(&world.root);
    command
}

/// Runs it and returns what it told.
pub(crate) fn told(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}\n{told}", output.status);
    told
}

pub(crate) fn run_uid() -> String {
    run("id", &["-u"]).trim().to_owned()
}
