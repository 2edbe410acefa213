//! Change: what moved from one lock to the next, in a few words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::lock::{Deb, Lock, Pin, Role, Source};

/// Hex digits of a commit that are shown.
const COMMIT_DIGITS: usize = 8;
/// Names on one line of a summary.
const NAMES_MAX: usize = 8;

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A source.
    Source(Role),
    /// A Debian package of the toolchain.
    Package,
    /// A setting: OTP, suite, image format.
    Setting,
}

/// One thing that differs between two locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub subject: Subject,
    /// Its name.
    pub name: String,
    /// What it was; `None` where it is new.
    pub from: Option<String>,
    /// What it is; `None` where it is gone.
    pub to: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject {
            Subject::Source(Role::Dep) | Subject::Package | Subject::Setting => {}
            Subject::Source(role) => write!(f, "{} ", role.name())?,
        }
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "{} {from} → {to}", self.name),
            (Some(version), None) | (None, Some(version)) => write!(f, "{} {version}", self.name),
            (None, None) => f.write_str(&self.name),
        }
    }
}

/// Lists what differs between two locks; the epoch alone is no change.
pub fn changes(old: &Lock, new: &Lock) -> Vec<Change> {
    let mut changes = Vec::new();
    let format = |lock: &Lock| lock.image_format.to_string();
    for (name, from, to) in [
        ("otp", old.toolchain.otp.clone(), new.toolchain.otp.clone()),
        ("suite", old.toolchain.suite.clone(), new.toolchain.suite.clone()),
        ("image format", format(old), format(new)),
    ] {
        if from != to {
            changes.push(change(Subject::Setting, name.to_owned(), Some(from), Some(to)));
        }
    }
    changes.extend(source_changes(old, new));
    changes.extend(package_changes(old, new));
    changes
}

fn change(subject: Subject, name: String, from: Option<String>, to: Option<String>) -> Change {
    Change { subject, name, from, to }
}

fn source_changes(old: &Lock, new: &Lock) -> Vec<Change> {
    let (old, new) = (named_sources(old), named_sources(new));
    let keys: BTreeSet<(Role, &str)> = old.keys().chain(new.keys()).copied().collect();
    let compared = keys.into_iter().filter_map(|key| {
        let (from, to) = match (old.get(&key), new.get(&key)) {
            (Some(from), Some(to)) if from.pin == to.pin => return None,
            (Some(from), Some(to)) => {
                let (from, to) = apart(from, to);
                (Some(from), Some(to))
            }
            (from, to) => {
                let words = |source: &&Source| version(source);
                (from.map(words), to.map(words))
            }
        };
        Some(change(Subject::Source(key.0), key.1.to_owned(), from, to))
    });
    compared.collect()
}

fn named_sources(lock: &Lock) -> BTreeMap<(Role, &str), &Source> {
    let named = |source| -> ((Role, &str), &Source) {
        let source: &Source = source;
        ((source.role, &source.app), source)
    };
    lock.sources.iter().map(named).collect()
}

/// Says what a source is in a word: its tag, version or description, else its short commit.
pub fn version(source: &Source) -> String {
    match &source.pin {
        Pin::Git { commit, .. } => {
            let tag = source.wanted.strip_prefix("tag ").map(str::to_owned);
            tag.or_else(|| source.describe.clone()).unwrap_or_else(|| short(commit))
        }
        Pin::Hex { version, .. } => version.clone(),
        Pin::Url { sha256, .. } => short(&sha256.hex()),
        Pin::Path { path } => path.clone(),
    }
}

/// Says how two pins of one application differ where their versions are the same words.
fn apart(from: &Source, to: &Source) -> (String, String) {
    let words = (version(from), version(to));
    if words.0 != words.1 {
        return words;
    }
    let exact = |source: &Source, word: &str| match &source.pin {
        Pin::Git { commit, .. } if short(commit) != word => format!("{word} ({})", short(commit)),
        pin => {
            format!("{word} ({})", pin.tree().map_or_else(String::new, |tree| short(&tree.hex())))
        }
    };
    let same_commit = match (&from.pin, &to.pin) {
        (Pin::Git { commit: a, .. }, Pin::Git { commit: b, .. }) => a == b,
        _ => false,
    };
    if same_commit {
        let address = |source: &Source| format!("{} ({})", words.0, source.pin.address());
        return (address(from), address(to));
    }
    (exact(from, &words.0), exact(to, &words.1))
}

pub(super) fn short(digits: &str) -> String {
    digits.chars().take(COMMIT_DIGITS).collect()
}

fn package_changes(old: &Lock, new: &Lock) -> Vec<Change> {
    let (old, new) = (named_packages(old), named_packages(new));
    let names: BTreeSet<&(String, &str)> = old.keys().chain(new.keys()).collect();
    let compared = names.into_iter().filter_map(|key| {
        let (from, to) = (old.get(key), new.get(key));
        if from.map(|deb| deb.sha256) == to.map(|deb| deb.sha256) {
            return None;
        }
        let words = |deb: &&Deb| deb.version.clone();
        Some(change(Subject::Package, key.0.clone(), from.map(words), to.map(words)))
    });
    compared.collect()
}

/// Packages by name; the architecture tells two of one name apart.
fn named_packages(lock: &Lock) -> BTreeMap<(String, &str), &Deb> {
    let named = |deb| -> ((String, &str), &Deb) {
        let deb: &Deb = deb;
        ((deb.package.clone(), &deb.architecture), deb)
    };
    lock.debs().map(named).collect()
}

/// Says changes in a few lines: `2 moved: cowboy 2.9.0 → 2.10.0, ranch 1.8.0 → 2.1.0`.
pub fn summary(changes: &[Change]) -> Vec<String> {
    type Kind = (&'static str, fn(&Change) -> bool);
    const KINDS: [Kind; 3] = [
        ("moved", |change| change.from.is_some() && change.to.is_some()),
        ("added", |change| change.from.is_none()),
        ("removed", |change| change.to.is_none()),
    ];
    let mut lines = Vec::new();
    for (noun, is_package) in [("", false), (" packages", true)] {
        for (verb, is_kind) in KINDS {
            let fits = |change: &&Change| {
                (change.subject == Subject::Package) == is_package && is_kind(change)
            };
            let names: Vec<String> = changes.iter().filter(fits).map(ToString::to_string).collect();
            if names.is_empty() {
                continue;
            }
            let noun = if names.len() == 1 { noun.trim_end_matches('s') } else { noun };
            let more = names.len().saturating_sub(NAMES_MAX);
            let mut listed = names[..names.len() - more].join(", ");
            if more > 0 {
                listed.push_str(&format!(" and {more} more"));
            }
            lines.push(format!("{}{noun} {verb}: {listed}", names.len()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn source(app: &str, wanted: &str, commit: &str) -> Source {
        Source::of(
            app,
            Role::Dep,
            Pin::Git {
                url: format!("https://git.example/{app}"),
                commit: commit.repeat(40),
                subdir: None,
                tree: Digest::of(commit.as_bytes()),
            },
            wanted,
        )
    }

    fn deb(package: &str, version: &str) -> Deb {
        Deb {
            package: package.into(),
            version: version.into(),
            architecture: "amd64".into(),
            sha256: Digest::of(version.as_bytes()),
            size: 1,
            path: format!("pool/{package}"),
            suite: "bookworm".into(),
        }
    }

    fn lock(sources: Vec<Source>, debs: Vec<Deb>) -> Lock {
        let mut lock = Lock::of(sources);
        lock.toolchain.debs = debs;
        lock
    }

    #[test]
    fn what_moved_came_and_went_is_said_in_a_few_words() {
        let mut plugin = source("pc", "branch master", "7");
        plugin.role = Role::Plugin;
        let old = lock(
            vec![
                source("cowboy", "tag 2.9.0", "1"),
                source("gone", "branch main", "2"),
                source("ranch", "tag 1.8.0", "3"),
                source("same", "tag 1", "4"),
                plugin.clone(),
            ],
            vec![deb("libc6", "2.36-9"), deb("libssl3", "3.0.11"), deb("old", "1")],
        );
        plugin.pin = source("pc", "", "8").pin;
        let new = lock(
            vec![
                source("cowboy", "tag 2.10.0", "5"),
                source("gun", "tag 2.0.1", "6"),
                source("ranch", "tag 1.8.0", "9"),
                source("same", "tag 1", "4"),
                plugin,
            ],
            vec![deb("libc6", "2.36-9"), deb("libssl3", "3.0.15")],
        );
        let changes = changes(&old, &new);
        assert_eq!(
            summary(&changes),
            [
                "3 moved: cowboy 2.9.0 → 2.10.0, ranch 1.8.0 (33333333) → 1.8.0 (99999999), \
                 plugin pc 77777777 → 88888888",
                "1 added: gun 2.0.1",
                "1 removed: gone 22222222",
                "1 package moved: libssl3 3.0.11 → 3.0.15",
                "1 package removed: old 1",
            ]
        );
    }

    #[test]
    fn equal_locks_differ_in_nothing_and_the_epoch_is_no_change() {
        let old = lock(vec![source("a", "tag 1", "1")], vec![deb("libc6", "1")]);
        let mut new = old.clone();
        new.epoch = 7;
        assert_eq!(changes(&old, &new), []);
        assert!(summary(&[]).is_empty());
    }

    #[test]
    fn another_address_of_the_same_commit_is_named() {
        let old = lock(vec![source("a", "tag 1", "1")], vec![]);
        let mut new = old.clone();
        let Pin::Git { url, .. } = &mut new.sources[0].pin else { unreachable!("it is git") };
        *url = "https://elsewhere.example/a".into();
        assert_eq!(
            summary(&changes(&old, &new)),
            ["1 moved: a 1 (https://git.example/a) → 1 (https://elsewhere.example/a)"]
        );
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let debs = |version: &str| (0..30).map(|n| deb(&format!("p{n:02}"), version)).collect();
        let changes = changes(&lock(vec![], debs("1")), &lock(vec![], debs("2")));
        let summary = summary(&changes);
        assert_eq!(summary.len(), 1);
        assert!(summary[0].starts_with("30 packages moved: p00 1 → 2, "), "{summary:?}");
        assert!(summary[0].ends_with(" and 22 more"));
    }
}
