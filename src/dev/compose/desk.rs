//! Desk: what runs in rebeam's own process, as one container of this very program.

use std::collections::{BTreeMap, BTreeSet};

use super::service::{bound, depends_on, kept, published};
use super::words::{self, Variables};
use super::yaml::{Yaml, map, plain, text, words as line};
use super::{Beside, Export, ExportError, probe};
use crate::dev::services::stem;
use crate::manifest::{AccessProvider, Runs, Server, ServiceWish};

/// Where the container keeps the state, and where it sees what it reads of the project: its image knows both.
pub(super) const STATE: &str = "/state";
pub(super) const PROJECT: &str = "/desk";
/// Where this program stands.
pub(super) const PROGRAM: &str = "/bin/rebeam";
/// What `[dev]` says, as a file in the container.
const STACK: &str = "/etc/rebeam/stack.toml";
const CONFIG: &str = "stack";
/// Where each container finds whose certificates it has to trust.
pub(super) const AUTHORITY: &str = "/etc/rebeam/tls";
pub(super) const AUTHORITY_FILE: &str = "/etc/rebeam/tls/ca.pem";
/// How long it may take to be ready.
const READY_S: u64 = 30;
/// Who we are elsewhere; nothing of that stands in the file.
const HANDED: [&str; 5] = [
    "REBEAM_ELASTICSEARCH_API_KEY",
    "REBEAM_ELASTICSEARCH_PASSWORD",
    "REBEAM_ELASTICSEARCH_USER",
    "REBEAM_REDIS_PASSWORD",
    "REBEAM_REDIS_USER",
];

pub(super) fn service(
    export: &Export<'_>,
    addresses: &Variables,
    beside: &mut Beside,
) -> Result<Yaml, ExportError> {
    beside.configs.insert(CONFIG.into(), stack(export, addresses)?);
    let mut command =
        vec!["dev", "up", "--alone", "--listen", "0.0.0.0", "--insecure", "-f", STACK];
    if let Some(profile) = export.dev.profile {
        command.extend(["--profile", profile.name()]);
    }
    if export.things {
        command.push("--things");
    }
    beside.authority = beside.volume(export.desk_name(), "authority");
    command.extend(["--authority", AUTHORITY_FILE]);
    let aliases: Vec<String> = export.embedded.iter().map(|one| export.alias(one.name)).collect();
    let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
    let state = beside.volume(export.desk_name(), STATE);
    let mut volumes = vec![kept(&state, STATE), kept(&beside.authority, AUTHORITY)];
    if let Some(file) = &export.dev.access.file {
        volumes.push(bound(&export.in_project(file), &format!("{PROJECT}/{file}"), true));
    }
    if let Some(file) = &export.dev.events.ndjson {
        match file.rsplit_once('/') {
            Some((directory, _)) => {
                let inside = format!("{PROJECT}/{directory}");
                volumes.push(bound(&export.in_project(directory), &inside, false));
            }
            None => volumes.push(bound(export.project, PROJECT, false)),
        }
    }
    let mut entries = vec![
        ("image".to_owned(), text(&export.desk)),
        ("pull_policy".into(), text("never")),
        ("command".into(), line(&command)),
        // Its certificate is for this name, too, and is made anew where that changes.
        ("hostname".into(), text(export.desk_name())),
    ];
    let mut put = |key: &str, value: Yaml| entries.push((key.to_owned(), value));
    let handed = handed(export);
    if !handed.is_empty() {
        let entry = |name: &str| (name.to_owned(), Yaml::Nothing);
        put("environment", Yaml::Map(handed.into_iter().map(entry).collect()));
    }
    put("configs", Yaml::List(vec![map([("source", text(CONFIG)), ("target", text(STACK))])]));
    put("volumes", Yaml::List(volumes));
    put("ports", Yaml::List(ports(export)));
    put("networks", map([("default", map([("aliases", line(&aliases))]))]));
    let needs: Vec<String> = needs(export).into_iter().collect();
    if !needs.is_empty() {
        put("depends_on", Yaml::Map(depends_on(export, addresses, &needs)?));
    }
    let test = line(&["CMD", PROGRAM, "dev", "ps", "--ready"]);
    put("healthcheck", probe::healthcheck(test, READY_S));
    put("restart", text("on-failure"));
    Ok(Yaml::Map(entries))
}

/// The certificate of the authority as others see it; it comes in there once the desk runs.
pub(super) fn authority(volume: &str) -> Yaml {
    map([
        ("type", text("volume")),
        ("source", text(volume)),
        ("target", text(AUTHORITY)),
        ("read_only", Yaml::Flag(true)),
        // Its owner is the one that it has in the desk's image.
        ("volume", map([("nocopy", Yaml::Flag(true))])),
    ])
}

/// The ports that are published: where a service of the manifest has one, ours is found ten thousand higher.
fn ports(export: &Export<'_>) -> Vec<Yaml> {
    const HIGHER: u16 = 10_000;
    let mut taken: BTreeSet<u16> = export.services.values().flat_map(words::ports).collect();
    let mut ports = Vec::new();
    for one in &export.embedded {
        let wished = (0..6).filter_map(|step| one.port.checked_add(HIGHER * step));
        let free = wished.into_iter().find(|port| !taken.contains(port));
        if let Some(port) = free {
            taken.insert(port);
            ports.push(published(&export.alias(one.name), port, one.port));
        }
    }
    ports
}

/// Variables of the environment that are handed on as they are.
fn handed<'a>(export: &'a Export<'_>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    if !export.dev.events.forward.is_empty() {
        names.extend(HANDED);
    }
    names.extend(export.dev.access.url_env.as_deref());
    names.extend(export.dev.things.bootstrap_key_env.as_deref());
    names
}

/// The address of the database with the rules, as the manifest says it.
pub(super) fn rules<'a>(export: &'a Export<'_>) -> Option<&'a str> {
    let access = &export.dev.access;
    let is_asked = access.provider == AccessProvider::Sql && access.url_env.is_none();
    access.url.as_deref().filter(|_| is_asked)
}

/// The services that the rules are asked of.
fn needs(export: &Export<'_>) -> BTreeSet<String> {
    let Some(url) = rules(export) else {
        return BTreeSet::new();
    };
    let is_named = |name: &&String| url.contains(&format!("${{{}_", stem(name)));
    export.services.keys().filter(is_named).cloned().collect()
}

/// Those, and what they wait for.
pub(super) fn needs_all(export: &Export<'_>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut next: Vec<String> = needs(export).into_iter().collect();
    while let Some(name) = next.pop() {
        let below = export.services.get(&name).map(|wish| wish.depends_on.clone());
        if all.insert(name) {
            next.extend(below.unwrap_or_default());
        }
    }
    all
}

/// What `[dev]` says of what runs here, with addresses among containers.
fn stack(export: &Export<'_>, addresses: &Variables) -> Result<String, ExportError> {
    let is_ours = |table: &str| ["dev.access", "dev.events", "dev.things"].contains(&table);
    let mut tables: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in export.values.iter().filter(|one| is_ours(&one.table)) {
        let value = match one.table == "dev.access" && one.key == "url" {
            true => words::expand(&one.value, addresses, &one.table)?,
            false => plain(&one.value),
        };
        tables.entry(&one.table).or_default().push(format!("{} = {value}\n", one.key));
    }
    let forward = forward(export);
    if !forward.is_empty() {
        let lines = tables.entry("dev.events").or_default();
        lines.retain(|line| !line.starts_with("forward = "));
        let quoted: Vec<String> = forward.iter().map(|url| format!("\"{}\"", plain(url))).collect();
        lines.push(format!("forward = [{}]\n", quoted.join(", ")));
    }
    let mut stack = "# What rebeam.toml says of the stack.\n".to_owned();
    for (table, lines) in tables {
        stack += &format!("[{table}]\n{}", lines.concat());
    }
    Ok(stack)
}

/// Where events go: where the manifest says, and to each real Redis, as on the desk.
fn forward(export: &Export<'_>) -> Vec<String> {
    let is_redis = |wish: &ServiceWish| wish.runs == Runs::Server(Server::Redis);
    let redis = export.services.iter().filter(|(_, wish)| is_redis(wish));
    let own = redis.flat_map(|(name, wish)| {
        words::ports(wish).first().map(|port| format!("redis://{name}:{port}"))
    });
    export.dev.events.forward.iter().cloned().chain(own).collect()
}
