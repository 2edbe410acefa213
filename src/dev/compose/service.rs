//! Service: one of the manifest's services, or the release, among containers.

use super::probe::{self, Asked};
use super::words::{self, Variables};
use super::yaml::{Yaml, map, plain, text};
use super::{Beside, Export, ExportError, desk};
use crate::dev::access::postgres_schema;
use crate::dev::services::stem;
use crate::manifest::{Runs, Server, ServiceWish};

/// Where a container sees the project.
const PROJECT: &str = "/project";
/// Where a server keeps its data, and where it looks for seed files: its image knows both.
pub(super) const DATA: &str = "/var/lib/rebeam/data";
pub(super) const SEED: &str = "/seed";

/// One service on its way into the file.
pub(super) struct One<'a> {
    pub(super) export: &'a Export<'a>,
    pub(super) name: &'a str,
    pub(super) wish: &'a ServiceWish,
    pub(super) addresses: &'a Variables,
}

impl One<'_> {
    pub(super) fn service(&self, beside: &mut Beside) -> Result<Yaml, ExportError> {
        let variables = words::of_service(self.addresses, self.wish);
        let mut entries = self.image()?;
        let mut put = |key: &str, value: Yaml| entries.push((key.to_owned(), value));
        if let Runs::Command { command, .. } = &self.wish.runs {
            let word = |word: &String| self.expand(word, &variables).map(Yaml::Compose);
            put("command", Yaml::Words(command.iter().map(word).collect::<Result<_, _>>()?));
            put("working_dir", text(PROJECT));
        }
        put("environment", Yaml::Map(self.environment(&variables)?));
        let ports = words::ports(self.wish);
        if !ports.is_empty() {
            let published = ports.iter().enumerate().map(|(index, port)| match index {
                0 => published(self.name, *port, *port),
                _ => published(&format!("{}-{port}", self.name), *port, *port),
            });
            put("ports", Yaml::List(published.collect()));
        }
        let (volumes, configs) = self.seen(beside);
        if !volumes.is_empty() {
            put("volumes", Yaml::List(volumes));
        }
        if !configs.is_empty() {
            put("configs", Yaml::List(configs));
        }
        let needs = self.needs();
        if !needs.is_empty() {
            put("depends_on", depends_on(self.export, self.addresses, &needs)?);
        }
        match probe::asked(self.export, (self.name, self.wish), &variables)? {
            Asked::Command(test) => {
                put("healthcheck", probe::healthcheck(test, self.wish.ready_timeout_s));
            }
            Asked::NoCounterpart(why) => beside
                .notes
                .push(format!("`[services.{}]` counts as ready once it runs: {why}", self.name)),
            Asked::Nothing => {}
        }
        put("restart", text(self.wish.restart.name()));
        Ok(Yaml::Map(entries))
    }

    fn expand(&self, text: &str, variables: &Variables) -> Result<String, ExportError> {
        words::expand(text, variables, &format!("services.{}", self.name))
    }

    fn image(&self) -> Result<Vec<(String, Yaml)>, ExportError> {
        let packages = self.wish.runs.packages();
        let (image, pull) = match &self.wish.runs {
            Runs::Release => {
                let image = self.export.release.as_ref().ok_or_else(|| {
                    crate::dev::DevError::NotBuilt { service: self.name.to_owned() }
                })?;
                (&image.reference, if image.has_registry { "missing" } else { "never" })
            }
            _ => match self.export.packages.get(&packages) {
                Some(reference) => (reference, "never"),
                None => return Err(ExportError::Machine { service: self.name.to_owned() }),
            },
        };
        Ok(vec![("image".into(), text(image)), ("pull_policy".into(), text(pull))])
    }

    /// Servers are told what they read, everything else where everything is.
    fn environment(&self, variables: &Variables) -> Result<Vec<(String, Yaml)>, ExportError> {
        let mut entries = Vec::new();
        match self.wish.runs {
            Runs::Server(_) => {}
            Runs::Command { .. } | Runs::Release => {
                entries.push(("<<".to_owned(), Yaml::Alias("addresses")));
            }
        }
        for (name, value) in
            variables.iter().filter(|(name, _)| !self.addresses.contains_key(*name))
        {
            entries.push((name.clone(), Yaml::Compose(value.clone())));
        }
        if self.wish.runs == Runs::Server(Server::Postgres) {
            let password = Yaml::Compose(words::password(self.name));
            entries.push(("POSTGRES_PASSWORD".into(), password));
        }
        for (name, value) in &self.wish.env {
            entries.retain(|(known, _)| known != name);
            entries.push((name.clone(), Yaml::Compose(self.expand(value, variables)?)));
        }
        Ok(entries)
    }

    /// What the service sees of the disk: volumes, and files that stand in the document.
    fn seen(&self, beside: &mut Beside) -> (Vec<Yaml>, Vec<Yaml>) {
        let (mut volumes, mut configs) = (Vec::new(), Vec::new());
        let mut keep = |inside: &str, volumes: &mut Vec<Yaml>| {
            let name = beside.volume(self.name, if inside == DATA { "data" } else { inside });
            volumes.push(kept(&name, inside));
        };
        match &self.wish.runs {
            Runs::Server(_) => keep(DATA, &mut volumes),
            Runs::Command { .. } => {
                volumes.push(bound(self.export.project, PROJECT, false));
            }
            Runs::Release => {
                let named = self.export.release.iter().flat_map(|image| &image.volumes);
                let is_said = |inside: &&String| {
                    !self.wish.volumes.iter().any(|shown| shown.inside == **inside)
                };
                named.filter(is_said).for_each(|inside| keep(inside, &mut volumes));
            }
        }
        for shown in &self.wish.volumes {
            match &shown.project {
                Some(path) => {
                    volumes.push(bound(&self.export.in_project(path), &shown.inside, true));
                }
                None => keep(&shown.inside, &mut volumes),
            }
        }
        for (index, file) in self.wish.seed.iter().enumerate() {
            let last = file.rsplit('/').next().unwrap_or(file);
            let inside = format!("{SEED}/{index:02}-{last}");
            volumes.push(bound(&self.export.in_project(file), &inside, true));
        }
        if self.begins_with_rules() {
            let config = format!("{}-rules", self.name);
            configs.push(map([
                ("source", text(&config)),
                ("target", text(&format!("{SEED}/00-rules.sql"))),
            ]));
            beside.configs.insert(config, plain(postgres_schema()));
        }
        (volumes, configs)
    }

    /// Tells whether the rules of access are asked of this server, and nothing is said of how it begins.
    fn begins_with_rules(&self) -> bool {
        let own = format!("${{{}_URL}}", stem(self.name));
        self.wish.runs == Runs::Server(Server::Postgres)
            && desk::rules(self.export) == Some(&own)
            && self.wish.seed.is_empty()
    }

    /// What is ready before the service starts: what it names, and the desk, unless that waits for the service.
    fn needs(&self) -> Vec<String> {
        let mut needs: Vec<String> = self.wish.depends_on.clone();
        needs.retain(|name| name != self.name);
        if !desk::needs_all(self.export).contains(self.name) {
            needs.push(self.export.desk_name().to_owned());
        }
        needs.sort_unstable();
        needs
    }
}

/// Writes what is waited for, each as it can be asked.
pub(super) fn depends_on(
    export: &Export<'_>,
    addresses: &Variables,
    names: &[String],
) -> Result<Yaml, ExportError> {
    let mut entries = Vec::new();
    for name in names {
        let is_asked = match export.services.get(name) {
            Some(wish) => {
                let variables = words::of_service(addresses, wish);
                let asked = probe::asked(export, (name, wish), &variables)?;
                let own = export.release.as_ref().is_some_and(|image| image.has_health);
                matches!(asked, Asked::Command(_)) || wish.runs == Runs::Release && own
            }
            None => true,
        };
        let condition = if is_asked { "service_healthy" } else { "service_started" };
        entries.push((name.clone(), map([("condition", text(condition))])));
    }
    Ok(Yaml::Map(entries))
}

/// A port of the container that this machine alone reaches; another one may be said by a variable.
pub(super) fn published(name: &str, outside: u16, inside: u16) -> Yaml {
    Yaml::Compose(format!("127.0.0.1:${{{}_PORT:-{outside}}}:{inside}", stem(name)))
}

/// A directory that is kept under a name.
pub(super) fn kept(name: &str, inside: &str) -> Yaml {
    map([("type", text("volume")), ("source", text(name)), ("target", text(inside))])
}

/// A path of the project that the container sees; what is not there is an error and not made.
pub(super) fn bound(from: &str, inside: &str, read_only: bool) -> Yaml {
    map([
        ("type", text("bind")),
        ("source", text(from)),
        ("target", text(inside)),
        ("read_only", Yaml::Flag(read_only)),
        ("bind", map([("create_host_path", Yaml::Flag(false))])),
    ])
}
