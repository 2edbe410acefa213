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
            let password = password(directory)?;
            put("USER", POSTGRES_USER.into());
            put("DATABASE", POSTGRES_USER.into());
            put("URL", format!("postgres://{POSTGRES_USER}:{password}@{address}/{POSTGRES_USER}"));
            put("PASSWORD", password);
            return Ok(format!("postgres://{POSTGRES_USER}@{address}/{POSTGRES_USER}"));
        }
        Runs::Server(Server::Redis) => format!("redis://{address}"),
        Runs::Server(Server::Mosquitto) => format!("mqtt://{address}"),
        Runs::Command { .. } | Runs::Release => format!("http://{address}"),
    };
    put("URL", url.clone());
    Ok(url)
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
        // What initdb writes is not waited for: if the machine goes down now, all of it is done again.
        let make = [
            &*initdb,
            "-D",
            DATA,
            "-U",
            POSTGRES_USER,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ];
        let mut before = self.room(script(INITDB_SCRIPT, &make))?;
        let password = password(&self.draft.directory)?;
        before.env.insert("POSTGRES_PASSWORD".into(), password.clone());
        let read = |file: &str| self.psql(&psql, file);
        let mut after = self.seeds(read)?;
        if self.begins_with_rules() {
            let tables = self.draft.directory.join("rules.sql");
            disk::write_atomic(&tables, postgres_schema().as_bytes())?;
            after.push(self.seed("making the tables of the rules".into(), &tables, read)?);
        }
        for task in &mut after {
            task.room.env.insert("PGPASSWORD".into(), password.clone());
        }
        let before = Task { what: "initdb".into(), room: before };
        Ok((Body::Room(Box::new(room)), self.first(vec![before], after)))
    }

    /// The command that reads a file of SQL, and ends at its first error.
    fn psql(&self, psql: &str, file: &str) -> Vec<String> {
        let at = ["-h", "127.0.0.1", "-p", &self.port, "-U", POSTGRES_USER, "-d", POSTGRES_USER];
        words(&[&[psql, "-X", "-q", "-v", "ON_ERROR_STOP=1"], &at[..], &["-f", file]].concat())
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
