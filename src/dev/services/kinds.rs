//! Kinds: how the real servers are started from Debian's packages, filled, asked and told of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::names::{stem, url_variable};
use super::plan::{Draft, read_only, writable};
use super::unit::{Body, First, Ready, Task, private};
use crate::dev::access::postgres_schema;
use crate::dev::error::DevError;
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::manifest::{Runs, Server, ServiceWish};

/// Where the packages of PostgreSQL stand, a directory for each major version.
const POSTGRES: &str = "usr/lib/postgresql";
/// Where a server's data is seen.
const DATA: &str = "/var/lib/rebeam/data";
/// Where seed files are seen.
const SEED: &str = "/var/lib/rebeam/seed";
/// The user and the database that PostgreSQL has where nothing else is said.
const POSTGRES_USER: &str = "postgres";

/// Has PostgreSQL end its clients' sessions when it is told to end, in place of waiting for them.
const POSTGRES_SCRIPT: &str = "\
child=
trap 'kill -INT $child' TERM
\"$@\" &
child=$!
wait $child
code=$?
if [ $code -gt 128 ] && kill -0 $child 2>/dev/null; then
  wait $child
  code=$?
fi
exit $code";

/// `initdb` reads the password from a file; `/tmp` is the room's own and in memory.
const INITDB_SCRIPT: &str = "\
umask 077
printf '%s\\n' \"$POSTGRES_PASSWORD\" >/tmp/password
exec \"$@\" --pwfile=/tmp/password";

/// `redis-cli` ends well whatever the server answers, so its answers are looked at.
const REDIS_SCRIPT: &str = "\
answers=$(\"$1/redis-cli\" -p \"$2\" <\"$3\" 2>&1) || { echo \"$answers\"; exit 1; }
! echo \"$answers\" | grep -E '^(\\(error\\)|ERR|WRONGTYPE|NOSCRIPT|EXECABORT|Could not connect)'";

/// Says where a service is: as variables, and as an address without any secret, which is returned.
pub(super) fn tell(
    name: &str,
    wish: &ServiceWish,
    address: SocketAddr,
    directory: &Path,
    variables: &mut BTreeMap<String, String>,
) -> Result<String, DevError> {
    let upper = stem(name);
    let mut put =
        |end: &str, value: String| drop(variables.insert(format!("{upper}_{end}"), value));
    put("HOST", name.to_owned());
    put("PORT", address.port().to_string());
    let url = match &wish.runs {
        Runs::Server(Server::Postgres) => {
            let cluster = Cluster::of(wish);
            let password = cluster.password(directory)?;
            let Cluster { user, database, .. } = cluster;
            let (safe_user, safe_database) = (encoded(&user), encoded(&database));
            let safe_password = encoded(&password);
            let url = |who: &str| format!("postgres://{who}@{address}/{safe_database}");
            put("URL", url(&format!("{safe_user}:{safe_password}")));
            put("USER", user);
            put("DATABASE", database);
            put("PASSWORD", password);
            return Ok(url(&safe_user));
        }
        Runs::Server(Server::Redis) => format!("redis://{address}"),
        Runs::Server(Server::Mosquitto) => format!("mqtt://{address}"),
        Runs::Command { .. } | Runs::Release => {
            let wished = wish.ports.first().copied().unwrap_or_default();
            format!("{}://{address}", scheme(wished))
        }
    };
    put("URL", url.clone());
    Ok(url)
}

/// What is spoken on a port that is known by its number.
fn scheme(port: u16) -> &'static str {
    match port {
        443 | 8443 => "https",
        1883 => "mqtt",
        8883 => "mqtts",
        5672 => "amqp",
        6379 => "redis",
        _ => "http",
    }
}

/// How a PostgreSQL begins: in the words of the image that many know, so that its variables mean here what they mean
/// there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its first user.
    pub user: String,
    /// The database that programs are told of.
    pub database: String,
    /// The first user's password, where the manifest says it.
    pub password: Option<String>,
    /// How a client proves who it is, as pg_hba.conf calls it.
    pub method: String,
}

impl Cluster {
    /// Reads what the manifest says.
    pub fn of(wish: &ServiceWish) -> Self {
        let said = |name: &str| wish.env.get(&format!("POSTGRES_{name}")).cloned();
        let user = said("USER").unwrap_or_else(|| POSTGRES_USER.into());
        Self {
            database: said("DB").unwrap_or_else(|| user.clone()),
            password: said("PASSWORD"),
            method: said("HOST_AUTH_METHOD").unwrap_or_else(|| "scram-sha-256".into()),
            user,
        }
    }

    /// Returns the password, made when it is asked for first where the manifest has none.
    fn password(&self, directory: &Path) -> Result<String, DevError> {
        self.password.clone().map_or_else(|| password(directory), Ok)
    }
}

/// Writes a text as a part of an address.
pub fn encoded(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

/// Returns the password of a server, made when it is asked for first.
fn password(directory: &Path) -> Result<String, DevError> {
    let path = directory.join("password");
    if !disk::exists(&path) {
        disk::create_dir_all(directory)?;
        let made = uuid::Uuid::new_v4().simple().to_string();
        disk::write_secret(&path, made.as_bytes())?;
    }
    Ok(disk::read_text(&path, TEXT_FILE_BYTES_MAX)?)
}

/// Returns how a server is known to be ready.
pub(super) fn ready(server: Server, own: Option<SocketAddr>) -> Ready {
    match (server, own) {
        (Server::Postgres, _) => {
            Ready::Log("database system is ready to accept connections".into())
        }
        (Server::Redis, _) => Ready::Log("eady to accept connections".into()),
        (Server::Mosquitto, Some(address)) => Ready::Tcp(address),
        (Server::Mosquitto, None) => Ready::AtOnce,
    }
}

/// Makes a server's room, and what comes before and after its first start.
pub(super) fn server(draft: &Draft<'_>, server: Server) -> Result<(Body, Option<First>), DevError> {
    let data = draft.directory.join("data");
    private(&data)?;
    let port = draft.ports.first().map_or(server.port(), |(_, port)| *port).to_string();
    let kind = Kind { draft, data, port };
    match server {
        Server::Postgres => kind.postgres(),
        Server::Redis => kind.redis(),
        Server::Mosquitto => kind.mosquitto(),
    }
}

struct Kind<'a> {
    draft: &'a Draft<'a>,
    data: PathBuf,
    port: String,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A script of the shell with its arguments.
fn script(text: &str, arguments: &[&str]) -> Vec<String> {
    [&["/bin/sh", "-c", text, "rebeam"], arguments]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

impl Kind<'_> {
    fn room(&self, argv: Vec<String>) -> Result<crate::sandbox::Room, DevError> {
        let mut room = self.draft.room(self.draft.root()?, argv)?;
        room.mounts.push(writable(&self.data, DATA));
        Ok(room)
    }

    /// The commands that read the seed files, in their order.
    fn seeds(&self, command: impl Fn(&str) -> Vec<String>) -> Result<Vec<Task>, DevError> {
        let mut tasks = Vec::new();
        for file in &self.draft.wish.seed {
            let host = self.draft.plan.project.join(file);
            if !disk::exists(&host) {
                let service = self.draft.name.to_owned();
                return Err(DevError::NothingThere { service, path: host });
            }
            tasks.push(self.seed(format!("reading `{file}`"), &host, &command)?);
        }
        Ok(tasks)
    }

    fn seed(
        &self,
        what: String,
        host: &Path,
        command: impl Fn(&str) -> Vec<String>,
    ) -> Result<Task, DevError> {
        let mut room = self.draft.room(self.draft.root()?, command(SEED))?;
        room.mounts.push(read_only(host, SEED));
        Ok(Task { what, room })
    }

    /// Tells whether the rules of access are asked of this server, and nothing is said of how it begins.
    fn begins_with_rules(&self) -> bool {
        let own = format!("${{{}}}", url_variable(self.draft.name));
        self.draft.plan.rules == Some(&own) && self.draft.wish.seed.is_empty()
    }

    fn first(&self, before: Vec<Task>, after: Vec<Task>) -> Option<First> {
        let done = self.draft.directory.join("filled");
        Some(First { done, state: self.data.clone(), before, after })
    }

    fn postgres(&self) -> Result<(Body, Option<First>), DevError> {
        let root = self.draft.root()?;
        let versions = disk::list(&root.join(POSTGRES))?;
        let number = |name: &Vec<u8>| String::from_utf8_lossy(name).parse::<u32>().ok();
        let version = versions.iter().filter_map(number).max().ok_or_else(|| DevError::NoRoot {
            service: self.draft.name.to_owned(),
            packages: self.draft.wish.runs.packages(),
        })?;
        let program = |name: &str| format!("/{POSTGRES}/{version}/bin/{name}");
        let (initdb, postgres, psql) = (program("initdb"), program("postgres"), program("psql"));
        let port = format!("port={}", self.port);
        let serve = [
            &*postgres,
            "-D",
            DATA,
            "-c",
            &*port,
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=/tmp",
            "-c",
            "jit=off",
            "-c",
            "shared_buffers=32MB",
            "-c",
            "logging_collector=off",
        ];
        let room = self.room(script(POSTGRES_SCRIPT, &serve))?;
        let cluster = Cluster::of(self.draft.wish);
        let password = cluster.password(&self.draft.directory)?;
        // What initdb writes is not waited for: if the machine goes down now, all of it is done again.
        let make = [
            &*initdb,
            "-D",
            DATA,
            "-U",
            &*cluster.user,
            "-A",
            &*cluster.method,
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ];
        let mut before = self.room(script(INITDB_SCRIPT, &make))?;
        before.env.insert("POSTGRES_PASSWORD".into(), password.clone());
        let psql = |database: &str, more: &[&str]| {
            let at = ["-h", "127.0.0.1", "-p", &self.port, "-U", &*cluster.user, "-d", database];
            words(&[&[&*psql, "-X", "-q", "-v", "ON_ERROR_STOP=1"], &at[..], more].concat())
        };
        let read = |file: &str| psql(&cluster.database, &["-f", file]);
        let mut after = self.seeds(read)?;
        if self.begins_with_rules() {
            let tables = self.draft.directory.join("rules.sql");
            disk::write_atomic(&tables, postgres_schema().as_bytes())?;
            after.push(self.seed("making the tables of the rules".into(), &tables, read)?);
        }
        if cluster.database != POSTGRES_USER {
            let name = cluster.database.replace('"', "\"\"");
            let create = format!("CREATE DATABASE \"{name}\"");
            let room = self.draft.room(root, psql(POSTGRES_USER, &["-c", &create]))?;
            let what = format!("making the database `{}`", cluster.database);
            after.insert(0, Task { what, room });
        }
        for task in &mut after {
            task.room.env.insert("PGPASSWORD".into(), password.clone());
        }
        let before = Task { what: "initdb".into(), room: before };
        Ok((Body::Room(Box::new(room)), self.first(vec![before], after)))
    }

    fn redis(&self) -> Result<(Body, Option<First>), DevError> {
        let serve = [
            "/usr/bin/redis-server",
            "--port",
            &self.port,
            "--bind",
            "127.0.0.1",
            "--dir",
            DATA,
            "--appendonly",
            "yes",
            "--save",
            "",
            "--daemonize",
            "no",
            "--logfile",
            "",
        ];
        let room = self.room(words(&serve))?;
        let after = self.seeds(|file| script(REDIS_SCRIPT, &["/usr/bin", &self.port, file]))?;
        Ok((Body::Room(Box::new(room)), self.first(vec![], after)))
    }

    fn mosquitto(&self) -> Result<(Body, Option<First>), DevError> {
        const CONFIGURATION: &str = "/etc/mosquitto/rebeam.conf";
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {DATA}/\nlog_dest stderr\n",
            self.port
        );
        let path = self.draft.directory.join("mosquitto.conf");
        disk::write_atomic(&path, text.as_bytes())?;
        let mut room = self.room(words(&["/usr/sbin/mosquitto", "-c", CONFIGURATION]))?;
        room.mounts.push(read_only(&path, CONFIGURATION));
        Ok((Body::Room(Box::new(room)), self.first(vec![], vec![])))
    }
}
