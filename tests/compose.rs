//! Compose: the exported stack in Docker, with the images that rebeam makes for it and no registry.
//!
//! It needs root, Docker and what scripts/compose installs; with `REBEAM_CONSUMERS=all` a missing one fails.

// Clippy knows tests by their attribute alone; what they share in this file is test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// The stack: rules in a PostgreSQL, a filled Redis, a command that writes where it may, one that says when it is ready, and
/// the release with a directory that its image does not know.
const DESK: &str = r#"
[dev]
profile = "emqttd"
[services.cache]
kind = "redis"
seed = ["dev/cache.txt"]
[services.job]
command = ["sh", "-c", "cat dev/cache.txt && touch /kept/it && echo ${CACHE_URL}"]
packages = ["bash"]
volumes = ["/kept"]
restart = "no"
depends-on = ["cache", "postgres"]
[services.teller]
command = ["bash", "-c", "sleep 1; echo it is up; cat ${MQTTS_CA}; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
packages = ["bash"]
ready = { log = "is up" }
[services.hello]
release = true
env = { PORT = "8080" }
volumes = ["/kept"]
depends-on = ["teller"]
"#;

/// What listens, in one stack or another.
const PORTS: [&str; 16] = [
    "MQTT",
    "MQTTS",
    "MQTT_WS",
    "REDIS",
    "ELASTICSEARCH",
    "PAGE",
    "THINGS",
    "THINGS_USERS",
    "THINGS_API",
    "THINGS_AUTH",
    "THINGS_HTTP",
    "THINGS_BOOTSTRAP",
    "THINGS_READER",
    "CACHE",
    "POSTGRES",
    "HELLO",
];

struct World {
    directory: tempfile::TempDir,
    host: String,
    daemon: Child,
}

impl World {
    /// Makes the project and starts Docker's daemon; nothing where a part is missing.
    fn new() -> Option<Self> {
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let parts = [
            (is_root, "root"),
            (Path::new("/usr/sbin/dockerd").exists(), "dockerd"),
            (plugins().join("cli-plugins/docker-compose").exists(), "docker compose"),
        ];
        if let Some((_, name)) = parts.into_iter().find(|(is_there, _)| !is_there) {
            let is_wanted = std::env::var("REBEAM_CONSUMERS").as_deref() == Ok("all");
            assert!(
                !is_wanted,
                "`{name}` is missing, and REBEAM_CONSUMERS=all wants every consumer"
            );
            println!("skipped: `{name}` is missing");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let project = directory.path().join("project");
        copy(&Path::new(TOP).join("fixtures/hello"), &project);
        fs::create_dir_all(project.join("dev")).unwrap();
        let git = directory.path().join("git");
        said(&Command::new(Path::new(TOP).join("scripts/fixtures")).arg(&git).output().unwrap());
        let manifest = fs::read_to_string(project.join("rebeam.toml")).unwrap();
        let manifest = manifest.replace("../../target/fixtures/git/", "../git/");
        fs::write(project.join("rebeam.toml"), manifest).unwrap();
        fs::write(project.join("desk.toml"), DESK).unwrap();
        fs::write(project.join("dev/cache.txt"), "SET kept 7\nRPUSH list a b\n").unwrap();
        let at = directory.path();
        let host = format!("unix://{}", at.join("s").display());
        let log = fs::File::create(at.join("log")).unwrap();
        let daemon = Command::new("/usr/sbin/dockerd")
            .args(["--data-root", text(&at.join("data")), "--exec-root", text(&at.join("exec"))])
            .args(["--pidfile", text(&at.join("pid")), "-H", &host, "--storage-driver", "vfs"])
            .arg("--iptables=false")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let world = Self { directory, host, daemon };
        let begun = Instant::now();
        while !world.docker(&["info"]).output().unwrap().status.success() {
            let said = fs::read_to_string(world.directory.path().join("log")).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(120), "dockerd did not start:\n{said}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(world)
    }

    fn project(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(arguments).current_dir(self.project());
        command.env("DOCKER_HOST", &self.host).env("DOCKER_CONFIG", plugins());
        // Ports that the kernel chooses: other tests have the standard ones.
        for name in PORTS {
            command.env(format!("{name}_PORT"), "0");
        }
        command
    }

    fn compose(&self, arguments: &[&str]) -> String {
        let all = [&["compose"], arguments].concat();
        said(&self.docker(&all).output().unwrap())
    }

    fn rebeam(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rebeam"));
        command.args(arguments).current_dir(self.project()).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.directory.path());
        command.env("REBEAM_STORE", Path::new(TOP).join("target/test-store"));
        command.env("DOCKER_HOST", &self.host);
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        said(&command.output().unwrap())
    }

    /// Where a container's port is found.
    fn address(&self, service: &str, port: &str) -> String {
        self.compose(&["port", service, port]).trim().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.docker(&["compose", "down", "--volumes", "--timeout", "5"]).output());
        drop(Command::new("kill").arg(self.daemon.id().to_string()).status());
        drop(self.daemon.wait());
    }
}

fn plugins() -> PathBuf {
    Path::new(TOP).join("target/compose")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn said(output: &Output) -> String {
    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}{errors}", output.status);
    out.into_owned()
}

fn copy(from: &Path, to: &Path) {
    said(&Command::new("cp").args(["-r", text(from), text(to)]).output().unwrap());
}

/// Says something on a connection and reads the beginning of the answer.
fn ask(address: &str, asked: &[u8], length: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(asked).unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).unwrap();
    answer
}

/// An MQTT 3.1.1 CONNECT of a user.
fn connect(user: &str, password: &str) -> Vec<u8> {
    let field = |text: &str| [&[0, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let head = [&field("MQTT")[..], &[4, 0xC2, 0, 60]].concat();
    let body = [head, field("c1"), field(user), field(password)].concat();
    [&[0x10, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

/// Asks for a page and returns the whole answer.
fn page(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What is the same wherever the stack was written from: rules, seeds, events, the release, and what was said.
fn runs_as_on_the_desk(world: &World) {
    world.compose(&["up", "--detach", "--wait", "rebeam", "cache", "postgres", "hello"]);
    // Seed files were read, by the server of the pinned packages.
    assert_eq!(ask(&world.address("cache", "6379"), b"GET kept\r\n", 7), b"$1\r\n7\r\n");
    // The rules of the PostgreSQL decide who may connect to the broker that rebeam is.
    let broker = world.address("rebeam", "1883");
    assert_eq!(ask(&broker, &connect("username", "password"), 4), b"\x20\x02\0\0");
    assert_ne!(ask(&broker, &connect("username", "wrong"), 4)[3], 0);
    // What happened is found by Elasticsearch's own words.
    let health = b"GET /_cluster/health HTTP/1.0\r\nHost: elasticsearch\r\n\r\n";
    let answer = ask(&world.address("rebeam", "9200"), health, 12);
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.0 200");
    let job = world.compose(&["run", "--rm", "-T", "job"]);
    assert!(job.contains("SET kept 7") && job.ends_with("redis://cache:6379\n"), "{job}");
    // The release runs, and may write where the manifest says that it keeps things.
    let hello = page(&world.address("hello", "8080"), "GET / HTTP/1.0\r\n\r\n");
    assert!(hello.contains("hello from rebeam"), "{hello}");
    let inspect = ["volume", "inspect", "--format", "{{.Mountpoint}}", "hello_hello-kept"];
    let kept = said(&world.docker(&inspect).output().unwrap());
    assert_eq!(fs::metadata(kept.trim()).unwrap().uid(), 65_532);
    // It waited for a line, which stays heard or not by the container's own run; programs know whom to trust.
    world.compose(&["restart", "teller"]);
    world.compose(&["up", "--detach", "--wait", "teller"]);
    let said = world.compose(&["logs", "--no-log-prefix", "teller"]);
    for line in ["it is up", "-----BEGIN CERTIFICATE-----"] {
        assert_eq!(said.matches(line).count(), 2, "{said}");
    }
}

/// With Mainflux's profile the same image is its services, each on its own port.
fn runs_mainflux(world: &World) {
    let export = ["dev", "--state-dir", "../states", "export", "compose", "--without", "release"];
    let file = ["-o", "mainflux.yaml", "--profile", "mainflux"];
    world.rebeam(&[&export[..], &file].concat());
    let flux = |arguments: &[&str]| {
        world.compose(&[&["-f", "mainflux.yaml", "-p", "flux"], arguments].concat())
    };
    flux(&["up", "--detach", "--wait"]);
    let post = |port: &str, path: &str, head: &str, body: &str| {
        let address = flux(&["port", "rebeam", port]);
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.0\r\nContent-Type: application/json\r\n{head}Content-Length: {length}\r\n\r\n{body}"
        );
        page(address.trim(), &request)
    };
    let user = r#"{"email":"a@example.org","password":"12345678"}"#;
    assert!(post("8180", "/users", "", user).contains(" 201 "));
    let token = post("8180", "/tokens", "", user);
    let token = token.split('"').nth_back(1).unwrap();
    let thing = post("8182", "/things", &format!("Authorization: {token}\r\n"), "{}");
    assert!(thing.contains(" 201 ") && thing.contains("location: /things/"), "{thing}");
    // Things decide: nobody without a key gets in.
    let broker = flux(&["port", "rebeam", "1883"]);
    assert_ne!(ask(broker.trim(), &connect("username", "password"), 4)[3], 0);
    flux(&["down", "--volumes", "--timeout", "5"]);
}

#[test]
fn the_exported_stack_runs_in_docker_as_it_runs_on_the_desk() {
    let Some(world) = World::new() else {
        return;
    };
    world.rebeam(&["lock"]);
    world.rebeam(&["build"]);
    let export = ["dev", "--state-dir", "../states", "export", "compose", "-f", "desk.toml"];
    world.rebeam(&[&export[..], &["-o", "compose.yaml", "--load"]].concat());
    let file = fs::read_to_string(world.project().join("compose.yaml")).unwrap();
    world.compose(&["config", "-q"]);
    runs_as_on_the_desk(&world);
    runs_mainflux(&world);
    // Written once more it is the same, byte for byte.
    assert_eq!(world.rebeam(&export), file);
}
