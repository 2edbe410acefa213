//! Plan: from what the manifest says of services to units that can be started.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::kinds;
use super::names::{self, expand};
use super::unit::{Archive, Body, Ready, Unit, slug};
use crate::dev::error::DevError;
use crate::dev::ports::Ports;
use crate::disk;
use crate::manifest::{Probe, Restart, Runs, ServiceWish};
use crate::sandbox::{Access, Bounds, Guise, Level, Mount, Reach, Room};

/// The name of the release among services where the manifest gives it none.
pub const RELEASE: &str = "release";
/// The user of a service inside its room.
const USER: (u32, u32) = (1000, 1000);
/// Directories of this machine that a command without packages sees.
const MACHINE: [&str; 11] =
    ["bin", "etc", "home", "lib", "lib32", "lib64", "nix", "opt", "sbin", "usr", "var"];

/// Everything that services are started from.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The services, the release among them where there is one.
    pub services: &'a BTreeMap<String, ServiceWish>,
    /// The roots, by the packages that they are made of.
    pub roots: &'a BTreeMap<Vec<String>, PathBuf>,
    /// The image file of the project's release.
    pub image: Option<&'a Path>,
    /// Variables of this machine that a command without packages gets.
    pub machine: &'a BTreeMap<String, String>,
    /// The project.
    pub project: &'a Path,
    /// The stack's directory.
    pub place: &'a Path,
    /// How strongly rooms are closed.
    pub level: Level,
    /// The address of the database with the rules of access, as the manifest says it. Where that is one of these
    /// services, it begins with emqttd's tables.
    pub rules: Option<&'a str>,
}

impl Plan<'_> {
    /// The directory of all services' state.
    pub(super) fn state(&self) -> PathBuf {
        self.place.join("services")
    }
}

/// Ports that are held until services are started, so that nothing else of the stack takes them.
#[derive(Debug)]
pub struct Reserved {
    /// By service, what was wished and what is had.
    pub(super) ports: BTreeMap<String, Vec<(u16, u16)>>,
    _listeners: Vec<TcpListener>,
}

/// Units, and what programs are told of them.
#[derive(Debug)]
pub struct Planned {
    /// The units.
    pub units: Vec<Unit>,
    /// Variables with the addresses of all services; passwords stand in them.
    pub variables: BTreeMap<String, String>,
}

/// Holds a port for each one that a service wishes for.
///
/// # Errors
/// Where one is taken that the service cannot do without, or none is free.
pub fn reserve(
    services: &BTreeMap<String, ServiceWish>,
    ports: &Ports,
) -> Result<Reserved, DevError> {
    let mut listeners = Vec::new();
    let mut had = BTreeMap::new();
    for (name, wish) in services {
        let standard = match &wish.runs {
            Runs::Server(server) if wish.ports.is_empty() => vec![server.port()],
            _ => wish.ports.clone(),
        };
        let mut pairs = Vec::new();
        for port in standard {
            let listener = match moves(wish) {
                true => ports.standard_or_stable(&format!("{name} {port}"), port)?,
                false => ports.exactly(name, port)?,
            };
            let got = listener.local_addr().map_err(DevError::Runtime)?.port();
            pairs.push((port, got));
            listeners.push(listener);
        }
        had.insert(name.clone(), pairs);
    }
    Ok(Reserved { ports: had, _listeners: listeners })
}

/// Tells whether a service can be told of another port.
fn moves(wish: &ServiceWish) -> bool {
    let asks = |text: &String| text.contains("${PORT");
    match &wish.runs {
        Runs::Server(_) => true,
        Runs::Command { command, .. } => command.iter().chain(wish.env.values()).any(asks),
        Runs::Release => wish.env.values().any(asks),
    }
}

/// Makes units. `variables` are those of what runs in this process.
///
/// # Errors
/// Where a variable is not known, a root lacks its server, or a file cannot be written.
pub fn plan(
    plan: &Plan<'_>,
    reserved: &Reserved,
    variables: &BTreeMap<String, String>,
) -> Result<Planned, DevError> {
    let mut variables = variables.clone();
    let state = plan.state();
    let places = names::tell(plan, reserved, &mut variables)?;
    let hosts = names::hosts(&state, plan.services.keys(), &variables)?;
    let mut units = Vec::new();
    for (name, wish) in plan.services {
        let mut own = variables.clone();
        for (index, (wished, port)) in reserved.ports[name].iter().enumerate() {
            if index == 0 {
                own.insert("PORT".into(), port.to_string());
            }
            own.insert(format!("PORT_{wished}"), port.to_string());
        }
        let draft = Draft {
            plan,
            name,
            wish,
            directory: state.join(name),
            hosts: hosts.clone(),
            variables: own,
            place: places.get(name).cloned(),
            ports: &reserved.ports[name],
        };
        units.push(draft.unit()?);
    }
    Ok(Planned { units, variables })
}

/// One unit in the making.
pub(super) struct Draft<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) name: &'a str,
    pub(super) wish: &'a ServiceWish,
    /// The service's own state.
    pub(super) directory: PathBuf,
    pub(super) hosts: PathBuf,
    /// Everything that may stand between `${` and `}`.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) place: Option<(SocketAddr, String)>,
    pub(super) ports: &'a [(u16, u16)],
}

impl Draft<'_> {
    fn unit(&self) -> Result<Unit, DevError> {
        disk::create_dir_all(&self.directory)?;
        let (body, first) = match &self.wish.runs {
            Runs::Server(server) => kinds::server(self, *server)?,
            Runs::Command { command, packages } => (self.command(command, packages)?, None),
            Runs::Release => (self.release()?, None),
        };
        let mut needs: BTreeSet<String> = self.wish.depends_on.iter().cloned().collect();
        needs.remove(self.name);
        Ok(Unit {
            name: self.name.to_owned(),
            body,
            first,
            ready: self.ready()?,
            patience: Duration::from_secs(self.wish.ready_timeout_s),
            restart: self.wish.restart,
            needs,
            place: self.place.clone(),
            others: self.ports.iter().skip(1).map(|(_, port)| *port).collect(),
        })
    }

    fn ready(&self) -> Result<Ready, DevError> {
        let own = self.place.as_ref().map(|(address, _)| *address);
        let had = |wished: u16| {
            let pair = self.ports.iter().find(|(known, _)| *known == wished);
            SocketAddr::from((Ipv4Addr::LOCALHOST, pair.map_or(wished, |(_, port)| *port)))
        };
        Ok(match (&self.wish.ready, &self.wish.runs) {
            (Some(Probe::Tcp(port)), _) => Ready::Tcp(had(*port)),
            (Some(Probe::Log(text)), _) => Ready::Log(text.clone()),
            (Some(Probe::Exec(command)), _) => Ready::Exec(self.all(command)?),
            (Some(Probe::Http(page)), _) => self.page(page, own)?,
            (None, Runs::Server(server)) => kinds::ready(*server, own),
            (None, Runs::Command { .. } | Runs::Release) => match own {
                // A job that is done with once has nothing to be asked.
                Some(address) if self.wish.restart != Restart::No => Ready::Tcp(address),
                _ => Ready::AtOnce,
            },
        })
    }

    fn page(&self, page: &str, own: Option<SocketAddr>) -> Result<Ready, DevError> {
        let page = self.expand(page)?;
        let wrong = || DevError::BadPage { service: self.name.to_owned(), page: page.clone() };
        if let Some(address) = own.filter(|_| page.starts_with('/')) {
            return Ok(Ready::Http { address, host: self.name.to_owned(), path: page });
        }
        let rest = page.strip_prefix("http://").ok_or_else(wrong)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
        let port: u16 = port.parse().map_err(|_| wrong())?;
        // Names are those of the stack, and everything of it is on the loopback.
        let ip = name.parse().unwrap_or(Ipv4Addr::LOCALHOST.into());
        let address = SocketAddr::new(ip, port);
        Ok(Ready::Http { address, host: host.to_owned(), path: format!("/{path}") })
    }

    /// Puts values in the place of `${NAME}`.
    pub(super) fn expand(&self, text: &str) -> Result<String, DevError> {
        expand(text, &self.variables).map_err(|variable| DevError::UnknownVariable {
            table: format!("services.{}", self.name),
            variable,
            known: self.variables.keys().cloned().collect(),
        })
    }

    fn all(&self, texts: &[String]) -> Result<Vec<String>, DevError> {
        texts.iter().map(|text| self.expand(text)).collect()
    }

    /// The service's variables: where everything is, and what its table says.
    fn env(&self) -> Result<BTreeMap<String, String>, DevError> {
        let mut env = self.variables.clone();
        for (name, text) in &self.wish.env {
            env.insert(name.clone(), self.expand(text)?);
        }
        Ok(env)
    }

    pub(super) fn mounts(&self) -> Result<Vec<Mount>, DevError> {
        let mut mounts = vec![read_only(&self.hosts, "/etc/hosts")];
        for shown in &self.wish.volumes {
            mounts.push(match &shown.project {
                Some(path) => read_only(&self.plan.project.join(path), &shown.inside),
                None => {
                    let host = self.directory.join("volumes").join(slug(&shown.inside));
                    disk::create_dir_all(&host)?;
                    writable(&host, &shown.inside)
                }
            });
        }
        if let Some(missing) = mounts.iter().find(|mount| !disk::exists(&mount.host)) {
            let (service, path) = (self.name.to_owned(), missing.host.clone());
            return Err(DevError::NothingThere { service, path });
        }
        Ok(mounts)
    }

    /// A room whose root is this one, and that sees what every service sees.
    pub(super) fn room(&self, root: &Path, argv: Vec<String>) -> Result<Room, DevError> {
        let mut env = self.env()?;
        env.entry("PATH".into()).or_insert_with(|| {
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()
        });
        for (name, value) in [("HOME", "/tmp"), ("LANG", "C.UTF-8"), ("TZ", "UTC")] {
            env.entry(name.into()).or_insert_with(|| value.into());
        }
        Ok(Room {
            root: root.to_owned(),
            mounts: self.mounts()?,
            argv,
            env,
            cwd: "/".into(),
            user: USER,
            bounds: Bounds::lasting(),
            reach: Reach::Host,
            level: self.plan.level,
            guise: Guise { host_name: self.name.to_owned(), ..Guise::default() },
        })
    }

    pub(super) fn root(&self) -> Result<&Path, DevError> {
        let packages = self.wish.runs.packages();
        let root = self.plan.roots.get(&packages).map(PathBuf::as_path);
        root.ok_or_else(|| DevError::NoRoot { service: self.name.to_owned(), packages })
    }

    fn command(&self, command: &[String], packages: &[String]) -> Result<Body, DevError> {
        let argv = self.all(command)?;
        let project = disk::canonical(self.plan.project)?;
        let inside = project.to_string_lossy().into_owned();
        let mut room = match packages.is_empty() {
            false => self.room(self.root()?, argv)?,
            // Without mounts all of the machine would have to be linked, and what only root may read be copied.
            true if self.plan.level == Level::Chroot => {
                return Err(DevError::NoMachine { service: self.name.to_owned() });
            }
            true => {
                let root = self.directory.join("machine");
                let (mounts, links) = machine(&root)?;
                let mut room = self.room(&root, argv)?;
                // A place below one of this machine's directories is seen by it already.
                let is_seen =
                    |own: &Mount| own.access == Access::ReadOnly && links.contains(&own.inside);
                room.mounts.retain(|own| !is_seen(own));
                room.mounts.extend(mounts);
                for (name, value) in self.plan.machine {
                    if !self.wish.env.contains_key(name) {
                        room.env.insert(name.clone(), value.clone());
                    }
                }
                room
            }
        };
        // At the weaker levels a directory that is written to changes its owner meanwhile, and this one is a person's.
        room.mounts.push(match self.plan.level {
            Level::Userns => writable(&project, &inside),
            Level::Root | Level::Chroot => read_only(&project, &inside),
        });
        room.cwd = inside;
        Ok(Body::Room(Box::new(room)))
    }

    fn release(&self) -> Result<Body, DevError> {
        let file =
            self.plan.image.ok_or_else(|| DevError::NotBuilt { service: self.name.into() })?;
        Ok(Body::Image(Box::new(Archive {
            file: file.to_owned(),
            at: self.directory.join("image"),
            level: self.plan.level,
            env: self.env()?.into_iter().collect(),
            mounts: self.mounts()?,
            volumes: self.directory.join("volumes"),
        })))
    }
}

/// Makes a root in which this machine's programs are seen, and tells which names in it are links.
fn machine(root: &Path) -> Result<(Vec<Mount>, Vec<String>), DevError> {
    disk::create_dir_all(root)?;
    let (mut mounts, mut links) = (Vec::new(), Vec::new());
    for name in MACHINE {
        let host = Path::new("/").join(name);
        let Some(status) = disk::status(&host)? else { continue };
        match status.kind {
            disk::Kind::Directory => mounts.push(read_only(&host, &format!("/{name}"))),
            disk::Kind::Symlink => {
                let link = root.join(name);
                if disk::status(&link)?.is_none() {
                    disk::symlink(&disk::read_link(&host)?, &link)?;
                }
                links.push(format!("/{name}"));
            }
            disk::Kind::File { .. } | disk::Kind::Special => {}
        }
    }
    Ok((mounts, links))
}

pub(super) fn read_only(host: &Path, inside: &str) -> Mount {
    Mount { host: host.to_owned(), inside: inside.to_owned(), access: Access::ReadOnly }
}

pub(super) fn writable(host: &Path, inside: &str) -> Mount {
    Mount { host: host.to_owned(), inside: inside.to_owned(), access: Access::ReadWrite }
}
