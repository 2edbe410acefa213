//! Stack: what several files say of the stack on one's desk, laid over one another; the later one wins.
//!
//! Tables are merged key by key, and anything else is replaced. Keys of which a table has one (`kind` or `command`, the
//! ways to ask whether a service is ready) take the place of each other. Each value remembers where it is from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Table, TableLike};

use super::error::{ManifestError, Place};
use super::keys::{STACK, TOP};
use super::section::Section;
use super::together::Absent;
use super::{DevWish, FILE_NAME, Profile, ServiceWish, check, dev, services};
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;

/// Keys of which a table has one.
const ONE_OF: [&[&str]; 2] = [&["kind", "command", "release"], &["tcp", "http", "log", "exec"]];

/// What all files together say of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackWish {
    /// `[dev]`.
    pub dev: DevWish,
    /// `[services]`.
    pub services: BTreeMap<String, ServiceWish>,
    /// Every value, by its key.
    pub values: Vec<StackValue>,
}

/// A value of the merged files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackValue {
    /// The table that it stands in: `services.db`.
    pub table: String,
    /// Its key.
    pub key: String,
    /// The value, as TOML.
    pub value: String,
    /// Where it is from: `rebeam.toml:12`, `profile emqttd`.
    pub origin: String,
}

/// Reads what the project in `dir`, if it has a manifest, and then `files` say of the stack.
///
/// `profile` decides over what the files say of a profile.
pub fn stack(
    dir: &Path,
    files: &[PathBuf],
    profile: Option<Profile>,
) -> Result<StackWish, ManifestError> {
    let own = dir.join(FILE_NAME);
    let mut layers = Vec::new();
    if disk::exists(&own) {
        let text = disk::read_text(&own, TEXT_FILE_BYTES_MAX)?;
        layers.push(Layer::read(&text, FILE_NAME, TOP)?);
    }
    for file in files {
        if !disk::exists(file) {
            return Err(ManifestError::Missing { path: file.clone() });
        }
        let text = disk::read_text(file, TEXT_FILE_BYTES_MAX)?;
        layers.push(Layer::read(&text, &file.display().to_string(), STACK)?);
    }
    merge(layers, profile, Absent::IsWrong)
}

/// Returns the services of a profile, for a manifest that names one.
pub(super) fn of_profile(
    profile: Profile,
    text: &str,
    file: &str,
) -> Result<BTreeMap<String, ServiceWish>, ManifestError> {
    let layers = vec![Layer::read(text, file, TOP)?];
    Ok(merge(layers, Some(profile), Absent::MayComeByProfile)?.services)
}

fn merge(
    layers: Vec<Layer>,
    profile: Option<Profile>,
    absent: Absent,
) -> Result<StackWish, ManifestError> {
    let said = layers.iter().rev().find_map(|layer| {
        let profile = layer.document.get("dev")?.as_table_like()?.get("profile")?.as_str()?;
        Profile::from_name(profile)
    });
    let mut merged = Merged::default();
    let profile = profile.or(said);
    if let Some(profile) = profile {
        merged.lay(&Layer::read(text_of(profile), &format!("profile {}", profile.name()), STACK)?);
    }
    for layer in &layers {
        merged.lay(layer);
    }
    let last = layers.last().map_or(FILE_NAME, |layer| &layer.file);
    let top = Section(Some(&merged.table as &dyn TableLike));
    let dev = DevWish { profile, ..dev::read(&top.section("dev")) };
    let services = services::read(&top, last, absent)?;
    let mut values = Vec::new();
    for ((table, key), origin) in &merged.origins {
        let value = merged.value(table, key);
        let (table, key) = (table.clone(), key.clone());
        values.push(StackValue { table, key, value, origin: origin.clone() });
    }
    Ok(StackWish { dev, services, values })
}

/// What a profile says before any file does. The database is the one that emqttd's plug-in asks by default, and its
/// driver knows no newer way to prove who it is than md5.
fn text_of(profile: Profile) -> &'static str {
    match profile {
        Profile::Bare | Profile::Mainflux => "",
        Profile::Emqttd => {
            "[dev.access]\nprovider = \"sql\"\nurl = \"${POSTGRES_URL}\"\ndenied = \"silent\"\n\
             [services.postgres]\nkind = \"postgres\"\n\
             [services.postgres.env]\nPOSTGRES_DB = \"mqtt\"\nPOSTGRES_HOST_AUTH_METHOD = \"md5\"\n"
        }
    }
}

/// Says how a service comes into the stack that a profile brings, where one does.
pub(super) fn brought_by(service: &str) -> Option<&'static str> {
    let table = format!("[services.{service}]\n");
    let profile = Profile::ALL.into_iter().find(|profile| text_of(*profile).contains(&table))?;
    Some(match profile {
        Profile::Emqttd => {
            "`--profile emqttd` brings it; or write it down: `[services.postgres]`, `kind = \"postgres\"`"
        }
        Profile::Bare | Profile::Mainflux => "`--profile` brings it, or write it down",
    })
}

/// One file.
struct Layer {
    file: String,
    text: String,
    document: Document<String>,
}

impl Layer {
    fn read(
        text: &str,
        file: &str,
        keys: &'static [super::keys::Key],
    ) -> Result<Self, ManifestError> {
        let document = check::read_as(text, file, keys)?;
        Ok(Self { file: file.to_owned(), text: text.to_owned(), document })
    }

    /// Says where a value stands; a profile has no lines.
    fn origin(&self, item: &Item) -> String {
        match item.span() {
            Some(span) if !self.file.starts_with("profile ") => {
                format!("{}:{}", self.file, Place::at(&self.file, &self.text, span.start).line)
            }
            _ => self.file.clone(),
        }
    }
}

/// Files laid over one another.
#[derive(Default)]
struct Merged {
    table: Table,
    /// By table and key.
    origins: BTreeMap<(String, String), String>,
}

impl Merged {
    fn lay(&mut self, layer: &Layer) {
        for name in ["dev", "services"] {
            if let Some(from) = layer.document.get(name).and_then(Item::as_table_like) {
                let into = table_in(&mut self.table, name);
                lay(into, from, name, (layer, &mut self.origins));
            }
        }
    }

    fn value(&self, table: &str, key: &str) -> String {
        let mut names = table.split('.').filter(|name| !name.is_empty());
        let found = names.try_fold(&self.table, |table, name| table.get(name)?.as_table());
        let item = found.and_then(|table| table.get(key));
        item.and_then(Item::as_value)
            .map_or_else(String::new, |value| value.clone().decorated("", "").to_string())
    }
}

fn table_in<'a>(table: &'a mut Table, name: &str) -> &'a mut Table {
    let item = table.entry(name).or_insert_with(|| Item::Table(Table::new()));
    if !item.is_table() {
        *item = Item::Table(Table::new());
    }
    item.as_table_mut().expect("it was made one")
}

fn lay(
    into: &mut Table,
    from: &dyn TableLike,
    path: &str,
    (layer, origins): (&Layer, &mut BTreeMap<(String, String), String>),
) {
    for group in ONE_OF {
        if group.iter().any(|name| from.contains_key(name)) {
            for name in group {
                into.remove(name);
                origins.remove(&(path.to_owned(), (*name).to_owned()));
            }
        }
    }
    for (name, item) in from.iter() {
        match item.as_table_like() {
            Some(table) => {
                let below = format!("{path}.{name}");
                lay(table_in(into, name), table, &below, (layer, &mut *origins));
            }
            None => {
                into.insert(name, item.clone());
                origins.insert((path.to_owned(), name.to_owned()), layer.origin(item));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Probe, Runs, Server};
    use super::*;

    fn merged(layers: &[(&str, &str)], profile: Option<Profile>) -> StackWish {
        let read = |(file, text): &(&str, &str)| Layer::read(text, file, STACK).unwrap();
        merge(layers.iter().map(read).collect(), profile, Absent::IsWrong).unwrap()
    }

    const BASE: &str = "[services.db]\nkind = \"postgres\"\nenv = { A = \"1\", B = \"2\" }\n\
                        ready = { tcp = 1, timeout = 7 }\nports = [5433]\n";

    #[test]
    fn the_later_file_wins_key_by_key_and_each_value_names_its_origin() {
        let over = "[services.db]\nports = [6000, 6001]\n[services.db.env]\nB = \"3\"\n[services.db.ready]\nlog = \"up\"\n";
        let wish = merged(&[("a.toml", BASE), ("b.toml", over)], None);
        let db = &wish.services["db"];
        assert_eq!(db.runs, Runs::Server(Server::Postgres));
        assert_eq!((db.env["A"].as_str(), db.env["B"].as_str()), ("1", "3"));
        assert_eq!(db.ports, [6000, 6001]);
        assert_eq!((&db.ready, db.ready_timeout_s), (&Some(Probe::Log("up".into())), 7));
        let lines: Vec<String> = wish
            .values
            .iter()
            .map(|one| format!("{}.{} {} {}", one.table, one.key, one.value, one.origin))
            .collect();
        assert_eq!(
            lines,
            [
                "services.db.kind \"postgres\" a.toml:2",
                "services.db.ports [6000, 6001] b.toml:2",
                "services.db.env.A \"1\" a.toml:3",
                "services.db.env.B \"3\" b.toml:4",
                "services.db.ready.log \"up\" b.toml:6",
                "services.db.ready.timeout 7 a.toml:4",
            ]
        );
    }

    #[test]
    fn another_kind_of_service_takes_the_place_of_the_first() {
        let wish = merged(&[("a", BASE), ("b", "[services.db]\ncommand = [\"./mine\"]\n")], None);
        assert!(matches!(wish.services["db"].runs, Runs::Command { .. }));
    }

    #[test]
    fn a_profile_lies_below_all_files_and_the_command_line_decides_which() {
        let wish = merged(&[("a", "[dev]\nprofile = \"emqttd\"\n")], None);
        assert_eq!(wish.services["postgres"].runs, Runs::Server(Server::Postgres));
        assert!(wish.values.iter().any(|value| value.origin == "profile emqttd"));
        let wish = merged(&[("a", "[dev]\nprofile = \"emqttd\"\n")], Some(Profile::Bare));
        assert_eq!((wish.services.len(), wish.dev.profile), (0, Some(Profile::Bare)));
    }

    #[test]
    fn a_service_that_a_profile_brings_may_be_waited_for_and_is_missed_only_without_it() {
        let text = "[services.app]\ncommand = [\"./a\"]\ndepends-on = [\"postgres\"]\n";
        let layer = || vec![Layer::read(text, "a", STACK).unwrap()];
        let emqttd = Some(Profile::Emqttd);
        assert_eq!(merge(layer(), emqttd, Absent::IsWrong).unwrap().services.len(), 2);
        assert!(merge(layer(), None, Absent::MayComeByProfile).is_ok());
        let error = merge(layer(), None, Absent::IsWrong).unwrap_err();
        assert!(error.to_string().contains("which only a profile brings"), "{error}");
        let hint = crate::explain::Explain::hint(&error).unwrap();
        assert!(hint.contains("--profile emqttd"), "{hint}");
    }

    #[test]
    fn a_file_that_speaks_of_anything_else_is_refused_with_its_line() {
        let error = Layer::read("[image]\nname = \"x\"\n", "b.toml", STACK).err().unwrap();
        assert!(
            error.to_string().starts_with("b.toml:1:2: the file has no key `image`"),
            "{error}"
        );
    }
}
