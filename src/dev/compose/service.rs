//! Service: one of the manifest's services, or the release, among containers.

use super::probe::{self, Asked, Line};
use super::words::{self, Variables};
use super::yaml::{Yaml, map, plain, text};
use super::{Beside, Export, ExportError, desk};
use crate::dev::access::postgres_schema;
use crate::dev::services::stem;
use crate::manifest::{Restart, Runs, Server, ServiceWish, Shown};

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
        let asked = probe::asked(self.export, (self.name, self.wish), &variables)?;
        let line = if let Asked::Line(line) = &asked { Some(line) } else { None };
        self.run(&variables, line)?.into_iter().for_each(|(key, value)| put(key, value));
        put("environment", Yaml::Map(self.environment(&variables)?));
        let ports = words::ports(self.wish);
        if !ports.is_empty() {
            let published = ports.iter().enumerate().map(|(index, port)| match index {
                0 => published(self.name, *port, *port),
                _ => published(&format!("{}-{port}", self.name), *port, *port),
            });
            put("ports", Yaml::List(published.collect()));
        }
        let (mut volumes, mut configs) = self.seen(beside);
        if self.is_told() {
            volumes.push(desk::authority(&beside.authority));
        }
        if line.is_some() {
            let source = "listen";
            beside.configs.insert(source.into(), plain(probe::LISTEN));
            configs.push(map([("source", text(source)), ("target", text(probe::LISTEN_AT))]));
        }
        if !volumes.is_empty() {
            put("volumes", Yaml::List(volumes));
        }
        if !configs.is_empty() {
            put("configs", Yaml::List(configs));
        }
        let mut needs = depends_on(self.export, self.addresses, &self.needs())?;
        if let Some(own) = self.owner(beside) {
            needs.push((own, condition("service_completed_successfully")));
        }
        if !needs.is_empty() {
            put("depends_on", Yaml::Map(needs));
        }
        let mut check =
            |test| put("healthcheck", probe::healthcheck(test, self.wish.ready_timeout_s));
        match asked {
            Asked::Command(test) => check(test),
            Asked::Line(line) => check(line.test()),
            Asked::NoCounterpart(why) => beside
                .notes
                .push(format!("`[services.{}]` counts as ready once it runs: {why}", self.name)),
            // `up --wait` takes whatever ends for a fault, unless another service waits for its end.
            Asked::Nothing if self.wish.restart == Restart::No => beside.notes.push(format!(
                "`[services.{}]` is a job: once it is done, `docker compose up --wait` ends with 1; start the stack with `docker compose up --detach`",
                self.name
            )),
            Asked::Nothing => {}
        }
        put("restart", text(self.wish.restart.name()));
        Ok(Yaml::Map(entries))
    }

    /// Tells whether it is told where everything is, and whom to trust there.
    fn is_told(&self) -> bool {
        !matches!(self.wish.runs, Runs::Server(_))
    }

    /// What the container runs: what its image says, or the service's own command, behind what reads along.
    fn run(
        &self,
        variables: &Variables,
        line: Option<&Line>,
    ) -> Result<Vec<(&'static str, Yaml)>, ExportError> {
        let before = line.map(Line::entrypoint);
        Ok(match &self.wish.runs {
            Runs::Server(_) => Vec::new(),
            Runs::Command { command, .. } => {
                let word = |word: &String| self.expand(word, variables).map(Yaml::Compose);
                let command = command.iter().map(word).collect::<Result<_, _>>()?;
                vec![
                    // The image of a server's packages has one, for that server.
                    ("entrypoint", Yaml::Words(before.unwrap_or_default())),
                    ("command", Yaml::Words(command)),
                    ("working_dir", text(PROJECT)),
                ]
            }
            Runs::Release => {
                // With another entry point Compose forgets what the image says of its command.
                let words = self.export.release.iter().flat_map(|image| &image.command);
                let command = Yaml::Words(words.map(|word| text(word)).collect());
                let entry = |before| [("entrypoint", Yaml::Words(before)), ("command", command)];
                before.map(entry).into_iter().flatten().collect()
            }
        })
    }

    /// Names what hands the release's volumes to its user before it starts. Docker makes them its own where the image
    /// has no such directory; those that the image names are in it.
    fn owner(&self, beside: &mut Beside) -> Option<String> {
        let image = self.export.release.as_ref().filter(|_| self.wish.runs == Runs::Release)?;
        let is_ours =
            |shown: &&Shown| shown.project.is_none() && !image.volumes.contains(&shown.inside);
        let volumes: Vec<&Shown> = self.wish.volumes.iter().filter(is_ours).collect();
        if volumes.is_empty() || image.user.0 == 0 {
            return None;
        }
        let name = self.export.free_name(&format!("{}-volumes", self.name));
        let user = format!("{}:{}", image.user.0, image.user.1);
        let mut command = vec!["dev".to_owned(), "own".into(), user];
        let mut seen = Vec::new();
        for shown in volumes {
            let inside = format!("/volumes{}", shown.inside);
            seen.push(kept(&beside.named(self.name, &shown.inside), &inside));
            command.push(inside);
        }
        let own = Yaml::Map(vec![
            ("image".into(), text(&self.export.desk)),
            ("pull_policy".into(), text("never")),
            ("user".into(), text("0:0")),
            ("command".into(), Yaml::Words(command.iter().map(|word| text(word)).collect())),
            ("network_mode".into(), text("none")),
            ("volumes".into(), Yaml::List(seen)),
            ("restart".into(), text("no")),
        ]);
        beside.services.push((name.clone(), own));
        Some(name)
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
        if self.is_told() {
            entries.push(("<<".to_owned(), Yaml::Alias("addresses")));
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
            beside.of_services.insert((self.name.to_owned(), inside.to_owned()), name.clone());
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
) -> Result<Vec<(String, Yaml)>, ExportError> {
    let mut entries = Vec::new();
    for name in names {
        let is_asked = match export.services.get(name) {
            Some(wish) => {
                let variables = words::of_service(addresses, wish);
                let asked = probe::asked(export, (name, wish), &variables)?;
                let own = export.release.as_ref().is_some_and(|image| image.has_health);
                matches!(asked, Asked::Command(_) | Asked::Line(_))
                    || wish.runs == Runs::Release && own
            }
            None => true,
        };
        let state = if is_asked { "service_healthy" } else { "service_started" };
        entries.push((name.clone(), condition(state)));
    }
    Ok(entries)
}

fn condition(state: &str) -> Yaml {
    map([("condition", text(state))])
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
