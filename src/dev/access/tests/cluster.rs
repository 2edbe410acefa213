//! A PostgreSQL server of a test's own, below a directory of its own, that nobody else can reach.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The server does not run as root; where the tests do, it is another user's.
const NOBODY: u32 = 65534;

pub(super) struct Cluster {
    root: TempDir,
    programs: PathBuf,
    port: u16,
    server: Option<Child>,
}

/// Finds Debian's server, which is not on the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    programs.filter(|programs| programs.join("postgres").exists()).max()
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

impl Cluster {
    /// Starts a server, where one is installed.
    pub(super) fn start() -> Option<Self> {
        let programs = programs();
        let is_required = std::env::var("REBEAM_POSTGRES").is_ok_and(|value| value == "required");
        assert!(programs.is_some() || !is_required, "no PostgreSQL is installed");
        let programs = programs?;
        let root = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        if is_root() {
            std::os::unix::fs::chown(root.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut cluster = Self { root, programs, port, server: None };
        let data = cluster.data();
        let made = cluster
            .command("initdb")
            .args(["-U", "rebeam", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
            .arg(data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        cluster.up();
        Some(cluster)
    }

    /// Returns the server that tests which only ask have together; it ends with the last of them.
    pub(super) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return Some(cluster);
        }
        let cluster = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&cluster);
        Some(cluster)
    }

    /// Makes a database of its own, with these tables.
    pub(super) fn database(&self, schema: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("mqtt{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("create database {name}"), "postgres");
        self.sql(schema, &name);
        name
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.root.path()).env_clear();
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Starts the server on the port that it had.
    pub(super) fn up(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        command.args(["-h", "127.0.0.1", "-k", "", "-F", "-c", "max_connections=20"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(command.spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(20);
        while !self.psql("select 1", "postgres").status.success() {
            assert!(Instant::now() < until, "the server is not ready");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Ends the server at once, with all connections.
    pub(super) fn down(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        self.signal(&server, rustix::process::Signal::QUIT);
        server.wait().unwrap();
    }

    /// Lets the server hang, or go on.
    pub(super) fn freeze(&self, is_frozen: bool) {
        let signal = match is_frozen {
            true => rustix::process::Signal::STOP,
            false => rustix::process::Signal::CONT,
        };
        let server = self.server.as_ref().unwrap();
        self.signal(server, signal);
        // Each connection has a process of its own.
        let id = server.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        for child in children.split_whitespace() {
            let child = rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
            let _ = rustix::process::kill_process(child, signal);
        }
    }

    fn signal(&self, server: &Child, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://rebeam@127.0.0.1:{}/{database}", self.port)
    }

    pub(super) fn psql(&self, sql: &str, database: &str) -> Output {
        let port = self.port.to_string();
        let mut command = self.command("psql");
        command.args(["-qX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &port]);
        command.args(["-U", "rebeam", "-d", database, "-c", sql]).output().unwrap()
    }

    pub(super) fn sql(&self, sql: &str, database: &str) {
        let ran = self.psql(sql, database);
        assert!(ran.status.success(), "{sql}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.down();
    }
}
