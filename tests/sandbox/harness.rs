//! A world for rooms: a root with a busybox in it, a place to build in, and what came of a command.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rebeam::sandbox::{
    self, Access, Bounds, Guise, Level, Mount, Outcome, Reach, Reply, Room, SandboxError, Status,
};
use tempfile::TempDir;

/// The programs that the tests use; all are busybox.
const APPLETS: &[&str] = &[
    "cat", "chmod", "cp", "dd", "env", "false", "hostname", "id", "ifconfig", "kill", "ls",
    "mkdir", "mknod", "mount", "nc", "nproc", "ps", "pwd", "readlink", "rm", "sed", "seq",
    "setsid", "sh", "sleep", "stat", "tail", "timeout", "touch", "true", "umount", "uname",
    "unshare", "wc", "wget", "yes",
];

/// Names another `rebeam` than the one that was built with the tests.
pub(crate) const EXECUTABLE: &str = "REBEAM_TEST_EXECUTABLE";

pub(crate) struct World {
    home: TempDir,
    pub(crate) room: Room,
}

/// What came of a command.
pub(crate) struct Seen {
    pub(crate) result: Result<Outcome, SandboxError>,
    pub(crate) lines: Vec<String>,
}

impl Seen {
    pub(crate) fn status(&self) -> Status {
        match &self.result {
            Ok(outcome) => outcome.status,
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(error)),
        }
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The lines of a command that must have gone well.
    pub(crate) fn well(self) -> Vec<String> {
        assert_eq!(self.status(), Status::Exited(0), "{}", self.text());
        self.lines
    }
}

fn busybox() -> PathBuf {
    let places = ["/bin/busybox", "/usr/bin/busybox"];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    let found = found.expect("these tests need a static busybox: `apt-get install busybox-static`");
    let bytes = fs::read(&found).unwrap();
    assert!(
        !bytes.windows(8).any(|part| part == b"/ld-linu"),
        "these tests need a static busybox: `apt-get install busybox-static`"
    );
    found
}

impl World {
    pub(crate) fn new() -> Self {
        let other = std::env::var(EXECUTABLE);
        let executable = other.unwrap_or_else(|_| env!("CARGO_BIN_EXE_rebeam").to_owned());
        sandbox::set_executable(Path::new(&executable));
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = home.path().join("root");
        for directory in ["usr/bin", "etc"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        symlink("usr/bin", root.join("bin")).unwrap();
        fs::copy(busybox(), root.join("usr/bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", root.join("usr/bin").join(applet)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "build:x:1000:1000::/build:/bin/sh\n").unwrap();
        let build = home.path().join("build");
        fs::create_dir(&build).unwrap();
        let room = Room {
            root,
            mounts: vec![mount(&build, "/build", Access::ReadWrite)],
            argv: Vec::new(),
            env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
            cwd: "/build".into(),
            user: (1000, 1000),
            bounds: Bounds {
                wall_s: 60,
                memory_bytes: None,
                processes: 256,
                file_bytes: 1 << 30,
                cores: 2,
            },
            reach: Reach::Closed,
            level: Level::Userns,
            guise: Guise::default(),
        };
        Self { home, room }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn mount(&mut self, host: &Path, inside: &str, access: Access) {
        self.room.mounts.push(mount(host, inside, access));
    }

    /// Runs a line of shell in the room.
    pub(crate) fn sh(&self, script: &str) -> Seen {
        self.sh_until(script, &mut |_| Reply::Continue)
    }

    pub(crate) fn sh_until(&self, script: &str, on_line: &mut dyn FnMut(&str) -> Reply) -> Seen {
        let mut room = self.room.clone();
        room.argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        self.run_room(&room, on_line)
    }

    /// Runs the room's own command.
    pub(crate) fn run(&self) -> Seen {
        self.run_room(&self.room, &mut |_| Reply::Continue)
    }

    fn run_room(&self, room: &Room, on_line: &mut dyn FnMut(&str) -> Reply) -> Seen {
        let mut lines = Vec::new();
        let result = sandbox::run(room, &self.path("log"), &mut |line| {
            lines.push(line.to_owned());
            on_line(line)
        });
        Seen { result, lines }
    }

    /// Runs one of the ignored tests of this program in a room that has the host's libraries.
    pub(crate) fn inside(&mut self, test: &str) -> Seen {
        self.room.root = "/".into();
        let tests = std::env::current_exe().unwrap();
        self.mount(&tests, "/opt/tests", Access::ReadOnly);
        let rebeam = std::env::var(EXECUTABLE);
        let rebeam = rebeam.unwrap_or_else(|_| env!("CARGO_BIN_EXE_rebeam").to_owned());
        self.mount(Path::new(&rebeam), "/opt/rebeam", Access::ReadOnly);
        self.room.env.insert(EXECUTABLE.into(), "/opt/rebeam".into());
        let argv = ["/opt/tests", "--ignored", "--exact", "--nocapture", test];
        self.room.argv = argv.map(str::to_owned).to_vec();
        self.run()
    }

    /// A word that no other process of this machine has in its arguments.
    pub(crate) fn mark(&self) -> String {
        let name = self.home.path().file_name().unwrap();
        format!("mark{}", name.to_str().unwrap().trim_start_matches('.'))
    }
}

/// The processes of the machine that have a word in their arguments.
pub(crate) fn processes_with(word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let own = entry.file_name().to_string_lossy() == std::process::id().to_string();
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if !own && arguments.contains(word) {
            found.push(arguments);
        }
    }
    found
}

/// Waits for something to become so.
pub(crate) fn until(so: impl Fn() -> bool) -> bool {
    for _ in 0..100 {
        if so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

pub(crate) fn am_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn mount(host: &Path, inside: &str, access: Access) -> Mount {
    Mount { host: host.to_owned(), inside: inside.to_owned(), access }
}
