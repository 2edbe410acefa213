//! Probe: how Compose asks whether a service is ready, in the words of what its image holds.

use super::yaml::{self, Yaml, map, text, words};
use super::{Export, ExportError, words as texts};
use crate::manifest::{Probe, Restart, Runs, Server, ServiceWish};

const TCP: &str = "exec 3<>\"/dev/tcp/$1/$2\"";
const PAGE: &str = "exec 3<>\"/dev/tcp/$1/$2\"; \
    printf 'GET %s HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' \"$3\" \"$1:$2\" >&3; \
    read -r _ status _ <&3; [ \"$status\" -lt 400 ]";
/// `pg_isready` stands in a directory of the version.
const POSTGRES: &str = "/usr/lib/postgresql/*/bin/pg_isready -q -h 127.0.0.1 -p \"$1\"";
const REDIS: &str = "redis-cli -p \"$1\" ping | grep -q PONG";
const BUSYBOX: &str = "/usr/bin/busybox";
const LOOPBACK: &str = "127.0.0.1";

/// What a service is asked, or why it cannot be.
pub(super) enum Asked {
    /// A command in its container, as Compose has it.
    Command(Yaml),
    /// A line of its output, for which a shell of its image reads along.
    Line(Line),
    /// Nothing: it is ready when it runs.
    Nothing,
    /// What it would be asked has no counterpart.
    NoCounterpart(&'static str),
}

/// A text that a service says once it is ready.
pub(super) struct Line {
    /// The shell that reads its script.
    shell: &'static [&'static str],
    /// What that calls its tools by.
    tool: &'static str,
    text: String,
}

/// What reads along, as each container sees it.
pub(super) const LISTEN: &str = include_str!("listen.sh");
pub(super) const LISTEN_AT: &str = "/etc/rebeam/listen.sh";
/// Where it writes down that it heard it. A container that is started again keeps its files, so it begins by removing it.
const HEARD: &str = "/tmp/rebeam-heard/ready";

impl Line {
    /// What the container runs; the service's own command comes behind it.
    pub(super) fn entrypoint(&self) -> Vec<Yaml> {
        let mut words = yaml::texts(self.shell);
        words.extend(yaml::texts(&[LISTEN_AT, self.tool, &self.text]));
        words
    }

    /// What asks whether the text was said.
    pub(super) fn test(&self) -> Yaml {
        let tool: &[&str] = if self.tool == BUSYBOX { &[BUSYBOX] } else { &[] };
        words(&[&["CMD"], tool, &["test", "-e", HEARD]].concat())
    }
}

/// Says how a service is asked. `variables` are its own.
pub(super) fn asked(
    export: &Export<'_>,
    (name, wish): (&str, &ServiceWish),
    variables: &texts::Variables,
) -> Result<Asked, ExportError> {
    let first = texts::ports(wish).first().copied();
    let expand = |text: &str| texts::expand(text, variables, &format!("services.{name}"));
    Ok(match (&wish.ready, &wish.runs) {
        (Some(Probe::Exec(command)), _) => {
            let mut test = vec![Yaml::Text("CMD".into())];
            for word in command {
                test.push(Yaml::Compose(expand(word)?));
            }
            Asked::Command(Yaml::Words(test))
        }
        (Some(Probe::Tcp(port)), runs) => tcp(export, runs, *port),
        (Some(Probe::Http(page)), runs) => {
            let page = expand(page)?;
            let (host, port, path) = place(&page, first);
            get(export, runs, (&host, port, &path))
        }
        (Some(Probe::Log(_)), Runs::Server(server)) => of_server(*server, first),
        (Some(Probe::Log(text)), runs) => line(export, runs, text),
        (None, Runs::Server(server)) => of_server(*server, first),
        (None, runs) => match first.filter(|_| wish.restart != Restart::No) {
            Some(port) => tcp(export, runs, port),
            None => Asked::Nothing,
        },
    })
}

fn of_server(server: Server, port: Option<u16>) -> Asked {
    let port = port.unwrap_or(server.port()).to_string();
    Asked::Command(match server {
        Server::Postgres => shell("/bin/sh", POSTGRES, &[&port]),
        Server::Redis => shell("/bin/sh", REDIS, &[&port]),
        Server::Mosquitto => shell("bash", TCP, &[LOOPBACK, &port]),
    })
}

fn shell(shell: &str, script: &str, arguments: &[&str]) -> Yaml {
    words(&[&["CMD", shell, "-c", script, "ready"], arguments].concat())
}

/// A release has busybox or no tool at all; packages have bash.
fn tcp(export: &Export<'_>, runs: &Runs, port: u16) -> Asked {
    let port = port.to_string();
    match (runs, export.has_busybox()) {
        (Runs::Release, false) => Asked::NoCounterpart(NO_TOOL),
        (Runs::Release, true) => {
            let command = ["CMD", BUSYBOX, "nc", "-w", "2", LOOPBACK, &port, "-e", "/usr/bin/true"];
            Asked::Command(words(&command))
        }
        _ => Asked::Command(shell("bash", TCP, &[LOOPBACK, &port])),
    }
}

const NO_TOOL: &str =
    "the image has no tool that could ask; `shell = \"busybox\"` of `[image]` brings one";

fn line(export: &Export<'_>, runs: &Runs, text: &str) -> Asked {
    let text = text.to_owned();
    match (runs, export.has_busybox()) {
        (Runs::Release, false) => Asked::NoCounterpart(NO_TOOL),
        (Runs::Release, true) => Asked::Line(Line { shell: &[BUSYBOX, "sh"], tool: BUSYBOX, text }),
        _ => Asked::Line(Line { shell: &["bash"], tool: "command", text }),
    }
}

/// Compose may put values into host and path: they stand as they were expanded.
fn get(export: &Export<'_>, runs: &Runs, (host, port, path): (&str, u16, &str)) -> Asked {
    let own = |text: String| Yaml::Compose(text);
    let test = match (runs, export.has_busybox()) {
        (Runs::Release, false) => return Asked::NoCounterpart(NO_TOOL),
        (Runs::Release, true) => {
            let mut test =
                yaml::texts(&["CMD", BUSYBOX, "wget", "-q", "-T", "2", "-O", "/dev/null"]);
            test.push(own(format!("http://{host}:{port}{path}")));
            test
        }
        _ => {
            let mut test = yaml::texts(&["CMD", "bash", "-c", PAGE, "ready"]);
            test.extend([host.to_owned(), port.to_string(), path.to_owned()].map(own));
            test
        }
    };
    Asked::Command(Yaml::Words(test))
}

/// Takes an address apart; a path alone is one of the service's first port.
fn place(page: &str, first: Option<u16>) -> (String, u16, String) {
    let Some(rest) = page.strip_prefix("http://") else {
        return (LOOPBACK.into(), first.unwrap_or(80), page.to_owned());
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
    (name.to_owned(), port.parse().unwrap_or(80), format!("/{path}"))
}

/// Wraps a command as a healthcheck of a service that may take `seconds` to be ready.
pub(super) fn healthcheck(test: Yaml, seconds: u64) -> Yaml {
    map([
        ("test", test),
        ("interval", text("2s")),
        ("timeout", text("5s")),
        ("start_period", text(&format!("{seconds}s"))),
        ("retries", Yaml::Number(3)),
    ])
}
