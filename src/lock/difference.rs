//! Difference: what differs between two locks, field by field. `change` says the same in a few words.

use std::collections::BTreeMap;
use std::fmt;

use crate::digest::Digest;
use crate::lock::change::{changes, version};
use crate::lock::{Change, Deb, Lock, Pin, Role, ServiceLock, Source, Subject};

/// One field of one entry that differs between two locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The entry: `toolchain`, `dep cowlib`, `package libc6:amd64`.
    pub entry: String,
    /// The field as the lock spells it; `entry` where the whole entry came or went.
    pub field: &'static str,
    /// What it was; `None` where it was not there.
    pub from: Option<String>,
    /// What it is; `None` where it is gone.
    pub to: Option<String>,
}

impl fmt::Display for Difference {
    /// Says it of a lock that is held against what is asked for now.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, field, .. } = self;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => {
                write!(f, "`{field}` of {entry} is `{from}`, and `{to}` is asked for")
            }
            (None, Some(to)) if *field == "entry" => {
                write!(f, "{entry} is not locked, and `{to}` is asked for")
            }
            (Some(from), None) if *field == "entry" => {
                write!(f, "{entry} is locked as `{from}`, and nothing asks for it any longer")
            }
            (None, Some(to)) => write!(f, "`{field}` of {entry} is empty, and `{to}` is asked for"),
            (Some(from), None) => {
                write!(f, "`{field}` of {entry} is `{from}`, and nothing asks for that any longer")
            }
            (None, None) => write!(f, "`{field}` of {entry} is stale"),
        }
    }
}

/// Lists the fields that differ, in the lock's order; the epoch is a field like any other here.
pub fn differences(old: &Lock, new: &Lock) -> Vec<Difference> {
    let mut found = Vec::new();
    let epoch = |lock: &Lock| lock.epoch.to_string();
    compare(&mut found, "project", &[("name", &old.project, &new.project)]);
    compare(&mut found, "project", &[("epoch", &epoch(old), &epoch(new))]);
    settings(&mut found, &changes(old, new));
    let wished = |lock: &Lock| lock.toolchain.wished.join(", ");
    compare(&mut found, "toolchain", &[("packages", &wished(old), &wished(new))]);
    entries(&mut found, &services(old), &services(new));
    entries(&mut found, &sources(old), &sources(new));
    entries(&mut found, &packages(old), &packages(new));
    found
}

/// An entry of a lock: what it is in a word, and its fields in the lock's order.
struct Entry {
    word: String,
    fields: Vec<(&'static str, String)>,
}

fn settings(found: &mut Vec<Difference>, changes: &[Change]) {
    for change in changes.iter().filter(|change| change.subject == Subject::Setting) {
        let (entry, field) = match change.name.as_str() {
            "otp" => ("toolchain", "otp"),
            "suite" => ("toolchain", "suite"),
            "base" => ("base", "digest"),
            _ => ("lock", "image_format"),
        };
        let (from, to) = (change.from.clone(), change.to.clone());
        found.push(Difference { entry: entry.to_owned(), field, from, to });
    }
}

fn compare(found: &mut Vec<Difference>, entry: &str, fields: &[(&'static str, &String, &String)]) {
    for (field, from, to) in fields.iter().filter(|(_, from, to)| from != to) {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let (from, to) = (some(from), some(to));
        found.push(Difference { entry: entry.to_owned(), field, from, to });
    }
}

/// Compares entries by name: what came, what went, and the fields of what stayed.
fn entries<K: Ord + Clone + Named>(
    found: &mut Vec<Difference>,
    old: &BTreeMap<K, Entry>,
    new: &BTreeMap<K, Entry>,
) {
    let keys: std::collections::BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let (from, to) = (old.get(key), new.get(key));
        let (Some(from), Some(to)) = (from, to) else {
            let word = |entry: Option<&Entry>| entry.map(|entry| entry.word.clone());
            let (from, to) = (word(from), word(to));
            found.push(Difference { entry: key.name(), field: "entry", from, to });
            continue;
        };
        let value = |entry: &Entry, field: &str| {
            let known = entry.fields.iter().find(|(name, _)| *name == field);
            known.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        let mut fields: Vec<&'static str> = to.fields.iter().map(|(name, _)| *name).collect();
        let more = from.fields.iter().map(|(name, _)| *name);
        fields.extend(more.filter(|name| to.fields.iter().all(|(known, _)| known != name)));
        for field in fields {
            let (from, to) = (value(from, field), value(to, field));
            if from != to {
                found.push(Difference { entry: key.name(), field, from, to });
            }
        }
    }
}

/// How an entry's key is called.
trait Named {
    fn name(&self) -> String;
}

impl Named for (Role, String) {
    fn name(&self) -> String {
        format!("{} {}", self.0.name(), self.1)
    }
}

impl Named for Vec<String> {
    fn name(&self) -> String {
        format!("service packages {}", self.join(", "))
    }
}

impl Named for (String, String) {
    fn name(&self) -> String {
        format!("package {}:{}", self.0, self.1)
    }
}

fn sources(lock: &Lock) -> BTreeMap<(Role, String), Entry> {
    let entry = |source: &Source| {
        let mut fields = pin(&source.pin);
        let list = |names: &mut dyn Iterator<Item = &String>| {
            names.map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        fields.extend([
            ("wanted", source.wanted.clone()),
            ("describe", source.describe.clone().unwrap_or_default()),
            ("tool", source.tool.name().to_owned()),
            ("autopatch", if source.untouched { "false".into() } else { String::new() }),
            ("level", source.level.to_string()),
            ("parents", list(&mut source.parents.iter())),
            ("deps", list(&mut source.deps.iter())),
            ("profiles", list(&mut source.profiles.iter())),
            ("lost", list(&mut source.lost.iter())),
        ]);
        ((source.role, source.app.clone()), Entry { word: version(source), fields })
    };
    lock.sources.iter().map(entry).collect()
}

/// The fields of a pin, as the lock spells them.
fn pin(pin: &Pin) -> Vec<(&'static str, String)> {
    let mut fields = match pin {
        Pin::Git { url, commit, subdir, .. } => vec![
            ("kind", "git".to_owned()),
            ("url", url.clone()),
            ("commit", commit.clone()),
            ("subdir", subdir.clone().unwrap_or_default()),
        ],
        Pin::Hex { repository, package, version, outer, .. } => vec![
            ("kind", "hex".to_owned()),
            ("repository", repository.clone()),
            ("package", package.clone()),
            ("version", version.clone()),
            ("outer", outer.hex()),
        ],
        Pin::Url { url, sha256, .. } => {
            vec![("kind", "url".to_owned()), ("url", url.clone()), ("sha256", sha256.hex())]
        }
        Pin::Path { path } => vec![("kind", "path".to_owned()), ("path", path.clone())],
    };
    fields.extend(pin.tree().map(|tree| ("hash", tree.sri())));
    fields
}

fn services(lock: &Lock) -> BTreeMap<Vec<String>, Entry> {
    let entry = |service: &ServiceLock| {
        let debs: String = service.debs.iter().map(|deb| deb.sha256.hex()).collect();
        let fields = vec![
            ("suite", service.suite.clone()),
            ("debs", Digest::of(debs.as_bytes()).to_string()),
        ];
        (service.wished.clone(), Entry { word: service.suite.clone(), fields })
    };
    lock.services.iter().map(entry).collect()
}

fn packages(lock: &Lock) -> BTreeMap<(String, String), Entry> {
    let entry = |deb: &Deb| {
        let fields = vec![
            ("version", deb.version.clone()),
            ("suite", deb.suite.clone()),
            ("path", deb.path.clone()),
            ("size", deb.size.to_string()),
            ("sha256", deb.sha256.hex()),
        ];
        let key = (deb.package.clone(), deb.architecture.clone());
        (key, Entry { word: deb.version.clone(), fields })
    };
    lock.debs().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn source(app: &str, commit: &str) -> Source {
        Source {
            parents: ["top".to_owned()].into(),
            ..Source::of(
                app,
                Role::Dep,
                Pin::Git {
                    url: format!("https://git.example/{app}"),
                    commit: commit.repeat(40),
                    subdir: None,
                    tree: Digest::of(commit.as_bytes()),
                },
                "branch main",
            )
        }
    }

    fn lock(sources: Vec<Source>) -> Lock {
        Lock { epoch: 1, ..Lock::of(sources) }
    }

    fn said(old: &Lock, new: &Lock) -> Vec<String> {
        let word =
            |text: &Option<String>| text.as_deref().unwrap_or("-").chars().take(12).collect();
        let line = |found: &Difference| {
            let (from, to): (String, String) = (word(&found.from), word(&found.to));
            format!("{} {} {from} {to}", found.entry, found.field)
        };
        differences(old, new).iter().map(line).collect()
    }

    #[test]
    fn each_field_that_moved_is_named_with_both_values() {
        let old = lock(vec![source("a", "1"), source("gone", "2")]);
        let mut new = lock(vec![source("a", "3"), source("new", "4")]);
        new.sources[0].parents.insert("b".into());
        new.toolchain.wished.push("libexpat1-dev".into());
        new.toolchain.otp = "27".into();
        assert_eq!(
            said(&old, &new),
            [
                "toolchain otp 25 27",
                "toolchain packages - libexpat1-de",
                "dep a commit 111111111111 333333333333",
                "dep a hash sha256-a4ayc sha256-TgdAh",
                "dep a parents top b, top",
                "dep gone entry 22222222 -",
                "dep new entry - 44444444",
            ]
        );
    }

    #[test]
    fn a_source_that_changed_its_kind_shows_the_fields_of_both() {
        let old = lock(vec![source("a", "1")]);
        let mut new = old.clone();
        new.sources[0].pin = Pin::Path { path: "lib/a".into() };
        assert_eq!(
            said(&old, &new),
            [
                "dep a kind git path",
                "dep a path - lib/a",
                "dep a url https://git. -",
                "dep a commit 111111111111 -",
                "dep a hash sha256-a4ayc -",
            ]
        );
    }

    #[test]
    fn equal_locks_differ_in_no_field() {
        assert_eq!(differences(&lock(vec![source("a", "1")]), &lock(vec![source("a", "1")])), []);
    }
}
