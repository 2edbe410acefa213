//! Services: what runs beside the release on one's desk, as `[services.NAME]` says it.

use std::collections::{BTreeMap, BTreeSet};

use super::Manifest;
use super::error::ManifestError;
use super::form::{self, Form};
use super::keys::{ENV, Key, Kind, SECONDS, key};
use super::section::{CHECKED, Section};
use super::server::Server;
use super::together::{self, Absent};

/// Seconds that a service may take to be ready where the manifest does not say.
const READY_S: u64 = 30;

/// `[services.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceWish {
    /// What runs.
    pub runs: Runs,
    /// Its variables; `${NAME_URL}` stands for another service's address.
    pub env: BTreeMap<String, String>,
    /// The TCP ports that it listens on, the first being the one that it is known by.
    pub ports: Vec<u16>,
    /// What it may write to, and what of the project it sees.
    pub volumes: Vec<Shown>,
    /// Files of the project that fill it when it runs for the first time.
    pub seed: Vec<String>,
    /// Services that are ready before it starts, sorted.
    pub depends_on: Vec<String>,
    /// How it is known that it is ready; by default its first port is asked, or the server's own tool.
    pub ready: Option<Probe>,
    /// Seconds that it may take to be ready.
    pub ready_timeout_s: u64,
    /// What becomes of it when it ends.
    pub restart: Restart,
}

/// What a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// A real server.
    Server(Server),
    /// A command: with packages among nothing but those, without among this machine's programs.
    Command {
        /// The command and its arguments.
        command: Vec<String>,
        /// Debian packages that it sees, sorted.
        packages: Vec<String>,
    },
    /// The project's own release.
    Release,
}

impl Runs {
    /// Returns the Debian packages that it runs from, sorted; none where it brings its files along.
    pub fn packages(&self) -> Vec<String> {
        match self {
            Self::Server(server) => vec![server.package().to_owned()],
            Self::Command { packages, .. } => packages.clone(),
            Self::Release => Vec::new(),
        }
    }
}

impl Manifest {
    /// Returns the lists of packages that services run from, each once.
    pub fn service_packages(&self) -> BTreeSet<Vec<String>> {
        let lists = self.services.values().map(|wish| wish.runs.packages());
        lists.filter(|packages| !packages.is_empty()).collect()
    }
}

/// What a service sees of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The project's file or directory, which is only read; none for a directory of the stack's state.
    pub project: Option<String>,
    /// Where the service sees it.
    pub inside: String,
}

/// How it is known that a service is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// This port takes a connection.
    Tcp(u16),
    /// This page is answered with a status below 400; a path is one of the first port.
    Http(String),
    /// A line holds this text.
    Log(String),
    /// This command ends with 0.
    Exec(Vec<String>),
}

/// What becomes of a service that ended by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    No,
    /// It is started again unless it ended with 0.
    #[default]
    OnFailure,
    /// It is started again.
    Always,
}

impl Restart {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::No, Self::OnFailure, Self::Always];

    /// Returns its name as files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
        }
    }

    /// Reads a choice.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|restart| restart.name() == name)
    }
}

/// The keys of `[services.NAME]`.
pub(super) const SERVICE: &[Key] = &[
    key(
        "kind",
        Kind::Text(Form::Server),
        "A real server, from Debian's packages that rebeam.lock pins.",
    ),
    key(
        "command",
        Kind::Command,
        "A command, run in the project's directory; `${PORT}` stands for its first port.",
    ),
    key(
        "packages",
        Kind::Texts(Form::Package),
        "Debian packages that rebeam.lock pins and that are all a command sees; without any it sees this machine's programs.",
    ),
    key("release", Kind::Flag, "That it is the project's own release."),
    key(
        "env",
        ENV,
        "Variables; `${NAME_URL}` stands for the address of the service NAME. For postgres POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and POSTGRES_HOST_AUTH_METHOD decide how it begins.",
    ),
    key(
        "ports",
        Kind::Texts(Form::Port),
        "TCP ports that it listens on, the one that it is known by first. A port that is taken gives way to another one that stays the same where the service asks for it by `${PORT}`.",
    ),
    key(
        "volumes",
        Kind::Texts(Form::Volume),
        "Directories that it keeps things in, or paths of the project and where it sees them: `/data`, `conf:/etc/app`.",
    ),
    key(
        "seed",
        Kind::Texts(Form::Inside),
        "Files of the project that fill it at the first start, in order: SQL for postgres, commands for redis.",
    ),
    key(
        "depends-on",
        Kind::Texts(Form::Service),
        "Services that are ready before it starts and end after it.",
    ),
    key(
        "ready",
        Kind::Table(READY),
        "How it is known that it is ready; by default its first port takes a connection.",
    ),
    key(
        "restart",
        Kind::Text(Form::Restart),
        "What becomes of it when it ends by itself; on-failure by default.",
    ),
];

const READY: &[Key] = &[
    key("tcp", Kind::Number(1, 65535), "A port of this machine that takes a connection."),
    key(
        "http",
        Kind::Text(Form::Page),
        "A page that is answered with a status below 400: an address, or a path of the first port.",
    ),
    key("log", Kind::Text(Form::Any), "A text in a line of its output."),
    key("exec", Kind::Command, "A command that ends with 0, run where the service runs."),
    key("timeout", SECONDS, "Seconds that it may take; 30 by default."),
];

/// Reads `[services]`; `file` names the last file in errors.
pub(super) fn read(
    top: &Section<'_>,
    file: &str,
    absent: Absent,
) -> Result<BTreeMap<String, ServiceWish>, ManifestError> {
    let mut services = BTreeMap::new();
    for (name, section) in top.sections("services", |section| *section) {
        let wish = service(&section).map_err(|Wrong { below, problem, hint }| {
            let table = format!("{name}{below}");
            ManifestError::Contradiction { file: file.to_owned(), table, problem, hint }
        })?;
        services.insert(name, wish);
    }
    together::check(&services, absent).map_err(|(name, problem, hint)| {
        ManifestError::Contradiction { file: file.to_owned(), table: name, problem, hint }
    })?;
    Ok(services)
}

/// What contradicts itself, in which table below the service's.
struct Wrong {
    below: &'static str,
    problem: String,
    hint: &'static str,
}

fn wrong(problem: impl Into<String>, hint: &'static str) -> Wrong {
    Wrong { below: "", problem: problem.into(), hint }
}

fn service(section: &Section<'_>) -> Result<ServiceWish, Wrong> {
    let runs = runs(section)?;
    let ports = ports(section)?;
    let seed = section.texts("seed").unwrap_or_default();
    let takes_seed = matches!(runs, Runs::Server(Server::Postgres | Server::Redis));
    if !seed.is_empty() && !takes_seed {
        return Err(wrong(
            "has a `seed`, which only `postgres` and `redis` read",
            "take it out, or let a command of yours fill the service",
        ));
    }
    let ready = section.section("ready");
    let probe = probe(&ready)?;
    let has_port = !ports.is_empty() || matches!(runs, Runs::Server(_));
    if matches!(&probe, Some(Probe::Http(page)) if page.starts_with('/')) && !has_port {
        return Err(Wrong {
            below: ".ready",
            problem: "asks for a path, and the service has no port".into(),
            hint: "name its port: `ports = [8080]`",
        });
    }
    let volumes = section.texts("volumes").unwrap_or_default().into_iter().map(|text| {
        let (project, inside) = form::volume(&text).expect(CHECKED);
        Shown { project: project.map(str::to_owned), inside: inside.to_owned() }
    });
    let restart = section.text("restart");
    Ok(ServiceWish {
        env: section.texts_by_name("env"),
        volumes: volumes.collect(),
        depends_on: section.sorted_texts("depends-on"),
        ready: probe,
        ready_timeout_s: ready.number("timeout").unwrap_or(READY_S),
        restart: restart
            .map_or(Restart::default(), |name| Restart::from_name(&name).expect(CHECKED)),
        runs,
        ports,
        seed,
    })
}

fn runs(section: &Section<'_>) -> Result<Runs, Wrong> {
    const ONE: &str =
        "write one: `kind = \"postgres\"`, `command = [\"./serve\"]` or `release = true`";
    let kind =
        section.text("kind").map(|name| Runs::Server(Server::from_name(&name).expect(CHECKED)));
    let packages = section.sorted_texts("packages");
    let has_packages = !packages.is_empty();
    let command = section.texts("command").map(|command| Runs::Command { command, packages });
    let release = section.flag("release").unwrap_or(false).then_some(Runs::Release);
    let mut said: Vec<Runs> = [kind, command, release].into_iter().flatten().collect();
    let runs = match said.len() {
        1 => said.remove(0),
        0 => return Err(wrong("says nothing of what runs", ONE)),
        _ => return Err(wrong("says more than one of `kind`, `command` and `release`", ONE)),
    };
    if has_packages && !matches!(runs, Runs::Command { .. }) {
        return Err(wrong(
            "has `packages`, which only a `command` takes",
            "take them out: a server brings its own",
        ));
    }
    Ok(runs)
}

fn ports(section: &Section<'_>) -> Result<Vec<u16>, Wrong> {
    let read = |text: &String| match form::port(text).expect(CHECKED) {
        (port, "tcp") => Ok(port),
        _ => Err(wrong(
            format!("has the port `{text}`, and only TCP ports are looked after"),
            "take it out: the service has this machine's network, so the port is open without a word",
        )),
    };
    section.texts("ports").unwrap_or_default().iter().map(read).collect()
}

fn probe(ready: &Section<'_>) -> Result<Option<Probe>, Wrong> {
    let tcp = ready.number("tcp").map(|port| Probe::Tcp(u16::try_from(port).expect(CHECKED)));
    let http = ready.text("http").map(Probe::Http);
    let log = ready.text("log").map(Probe::Log);
    let exec = ready.texts("exec").map(Probe::Exec);
    let mut said: Vec<Probe> = [tcp, http, log, exec].into_iter().flatten().collect();
    if said.len() > 1 {
        let problem =
            format!("wants one of `tcp`, `http`, `log` and `exec`, and has {}", said.len());
        let hint = "keep the one that says most";
        return Err(Wrong { below: ".ready", problem, hint });
    }
    Ok(said.pop())
}
