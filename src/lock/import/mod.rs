//! Import: an existing `rebar.lock`, read as pins and compared with ours; `print` writes one.

mod mix;
mod print;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::digest::Digest;
use crate::explain::Explain;
use crate::limits::LOCK_SOURCES_MAX;
use crate::lock::{Lock, Pin, Role, Source, git_url};
use crate::manifest::Manifest;
use crate::manifest::rebar::{Wish, WishSource};
use crate::terms::{self, Term, TermError};

pub use mix::{MIX_LOCK, MixEntry, MixLock, MixLockError};
pub use print::rebar_lock_text;

/// The file's name in a rebar3 project's root.
pub const REBAR_LOCK: &str = "rebar.lock";

/// What a `rebar.lock` pins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebarLock {
    /// Entries by application name.
    pub entries: BTreeMap<String, RebarEntry>,
}

/// One entry of a `rebar.lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebarEntry {
    /// What it pins.
    pub pin: RebarPin,
    /// 0 for what the project itself names.
    pub level: u32,
}

/// What a `rebar.lock` pins an application to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebarPin {
    /// A commit.
    Git {
        /// As written.
        url: String,
        /// As written; 40 hex digits where rebar3 wrote it.
        commit: String,
        /// The directory inside, for `git_subdir`.
        subdir: Option<String>,
    },
    /// A hex package.
    Hex {
        /// Package name.
        package: String,
        /// Version.
        version: String,
        /// SHA-256 of the tarball (`pkg_hash_ext`), where rebar3 knew it.
        outer: Option<Digest>,
        /// The older inner checksum (`pkg_hash`).
        inner: Option<Digest>,
    },
}

/// A `rebar.lock` cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ImportError {
    /// The text is not made of terms.
    #[error("`rebar.lock` cannot be read")]
    Malformed {
        /// Where and why.
        #[source]
        source: TermError,
    },
    /// The terms are not those of a lock.
    #[error("`rebar.lock` is no lock of rebar3: it begins with `{found}`")]
    NotALock {
        /// The term, shortened.
        found: String,
    },
    /// An entry has none of rebar3's forms.
    #[error("`rebar.lock` holds `{entry}`, which is no entry that rebar3 writes")]
    BadEntry {
        /// The term, shortened.
        entry: String,
    },
    /// An entry's checksum is none.
    #[error("`rebar.lock` has `{found}` in place of a checksum of `{app}`")]
    BadChecksum {
        /// The application.
        app: String,
        /// The term, shortened.
        found: String,
    },
    /// One application stands there twice.
    #[error("`rebar.lock` holds `{app}` twice")]
    Duplicate {
        /// The application.
        app: String,
    },
    /// There are more entries than a lock may have.
    #[error("`rebar.lock` has more than {LOCK_SOURCES_MAX} entries (`LOCK_SOURCES_MAX`)")]
    TooManySources,
}

impl Explain for ImportError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { source } if source.hint().is_some() => source.hint(),
            Self::TooManySources => None,
            _ => Some(
                "restore it with `git checkout rebar.lock`, or remove it: `rebeam lock` needs none"
                    .into(),
            ),
        }
    }
}

/// One thing that `rebar.lock` and ours say differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The application.
    pub app: String,
    /// `commit`, `version`, `url` or another; `entry` where one side has none.
    pub field: &'static str,
    /// What `rebar.lock` says.
    pub rebar: Option<String>,
    /// What ours says.
    pub ours: Option<String>,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".into());
        let (rebar, ours) = (said(&self.rebar), said(&self.ours));
        let Self { app, field, .. } = self;
        write!(f, "{field} of `{app}`: rebar.lock has {rebar}, rebeam.lock has {ours}")
    }
}

impl RebarLock {
    /// Reads a `rebar.lock` in any of the forms that rebar3 has written: the bare list of its first
    /// versions, and the versioned one with checksums behind it.
    pub fn parse(text: &str) -> Result<Self, ImportError> {
        let terms = terms::parse_all(text).map_err(|source| ImportError::Malformed { source })?;
        let Some((first, attributes)) = terms.split_first() else {
            return Ok(Self::default());
        };
        let entries = match first.as_tuple() {
            // A newer version is read as far as it is known, as rebar3 itself does.
            Some([Term::String(_), entries]) => entries.as_list(),
            _ => first.as_list(),
        };
        let entries = entries.ok_or_else(|| ImportError::NotALock { found: shorten(first) })?;
        if entries.len() > LOCK_SOURCES_MAX {
            return Err(ImportError::TooManySources);
        }
        let attributes = attributes.first().and_then(Term::as_list).unwrap_or_default();
        let mut lock = Self::default();
        for entry in entries {
            let (app, entry) = read_entry(entry, attributes)?;
            if lock.entries.insert(app.clone(), entry).is_some() {
                return Err(ImportError::Duplicate { app });
            }
        }
        Ok(lock)
    }

    /// Returns the pin for a wish, where the lock's entry has the wish's address.
    pub fn pin_for(&self, wish: &Wish) -> Option<&RebarPin> {
        let pin = &self.entries.get(&wish.app)?.pin;
        let fits = match (pin, &wish.source) {
            (
                RebarPin::Git { url, subdir, .. },
                WishSource::Git { url: wished, subdir: wished_subdir, .. },
            ) => git_url::same(url, wished) && subdir == wished_subdir,
            (RebarPin::Hex { package, .. }, WishSource::Hex { package: wished, .. }) => {
                package == wished
            }
            _ => false,
        };
        fits.then_some(pin)
    }

    /// Compares with a lock of ours: what rebar3 locks must be locked the same in both, but for what the manifest
    /// itself has taken from elsewhere.
    pub fn verify_against(&self, lock: &Lock, manifest: &Manifest) -> Vec<Disagreement> {
        let is_wished =
            |app: &str| manifest.deps.get(app).is_some_and(|wish| wish.source.is_some());
        let ours: BTreeMap<&str, &Source> =
            rebar_sources(lock).map(|source| (source.app.as_str(), source)).collect();
        let mut disagreements = Vec::new();
        let mut say = |app: &str, field, rebar: Option<&str>, ours: Option<&str>| {
            disagreements.push(Disagreement {
                app: app.to_owned(),
                field,
                rebar: rebar.map(str::to_owned),
                ours: ours.map(str::to_owned),
            });
        };
        for (app, entry) in &self.entries {
            let rebar = entry.pin.words();
            let Some(source) = ours.get(app.as_str()) else {
                say(app, "entry", Some(&rebar), None);
                continue;
            };
            let differences = entry.pin.differences(&source.pin).into_iter();
            for (field, rebar, ours) in differences.filter(|_| !is_wished(app)) {
                say(app, field, Some(&rebar), Some(&ours));
            }
        }
        for (app, source) in ours.iter().filter(|(app, _)| !self.entries.contains_key(**app)) {
            say(app, "entry", None, Some(&pin_words(&source.pin)));
        }
        disagreements.sort_by(|a, b| (&a.app, a.field).cmp(&(&b.app, b.field)));
        disagreements
    }
}

/// What rebar3 locks of ours: dependencies of the default profile that are fetched.
fn rebar_sources(lock: &Lock) -> impl Iterator<Item = &Source> {
    lock.sources.iter().filter(|source| {
        let is_fetched = matches!(source.pin, Pin::Git { .. } | Pin::Hex { .. });
        source.role == Role::Dep && source.profiles.is_empty() && is_fetched
    })
}

impl RebarPin {
    fn words(&self) -> String {
        match self {
            Self::Git { commit, .. } => commit.clone(),
            Self::Hex { package, version, .. } => format!("{package} {version}"),
        }
    }

    /// Lists what differs from a pin of ours: field, theirs, ours.
    fn differences(&self, pin: &Pin) -> Vec<(&'static str, String, String)> {
        let mut differences = Vec::new();
        let mut compare = |field, theirs: &str, ours: &str, is_same: bool| {
            if !is_same {
                differences.push((field, theirs.to_owned(), ours.to_owned()));
            }
        };
        match (self, pin) {
            (
                Self::Git { url, commit, subdir },
                Pin::Git { url: our_url, commit: our_commit, subdir: our_subdir, .. },
            ) => {
                compare("url", url, our_url, git_url::same(url, our_url));
                compare("commit", commit, our_commit, our_commit.starts_with(commit));
                let text = |subdir: &Option<String>| subdir.clone().unwrap_or_else(|| ".".into());
                compare("subdir", &text(subdir), &text(our_subdir), subdir == our_subdir);
            }
            (
                Self::Hex { package, version, outer, .. },
                Pin::Hex { package: our_package, version: our_version, outer: our_outer, .. },
            ) => {
                compare("package", package, our_package, package == our_package);
                compare("version", version, our_version, version == our_version);
                if let Some(outer) = outer {
                    let is_same = version != our_version || outer == our_outer;
                    compare("checksum", &outer.hex(), &our_outer.hex(), is_same);
                }
            }
            _ => compare("source", &self.words(), &pin_words(pin), false),
        }
        differences
    }
}

fn pin_words(pin: &Pin) -> String {
    match pin {
        Pin::Git { commit, .. } => commit.clone(),
        Pin::Hex { package, version, .. } => format!("{package} {version}"),
        Pin::Url { url, .. } => url.clone(),
        Pin::Path { path } => path.clone(),
    }
}

fn read_entry(term: &Term, attributes: &[Term]) -> Result<(String, RebarEntry), ImportError> {
    let bad = || ImportError::BadEntry { entry: shorten(term) };
    let Some([name, source, level]) = term.as_tuple() else {
        return Err(bad());
    };
    let app = name.as_text().filter(|app| !app.is_empty()).ok_or_else(bad)?;
    let level = level.as_integer().and_then(|level| u32::try_from(level).ok()).ok_or_else(bad)?;
    let Some([Term::Atom(kind), rest @ ..]) = source.as_tuple() else {
        return Err(bad());
    };
    let pin = match (kind.as_str(), rest) {
        ("git", [url, reference]) => RebarPin::Git {
            url: url.as_text().ok_or_else(bad)?,
            commit: read_commit(reference).ok_or_else(bad)?,
            subdir: None,
        },
        ("git_subdir", [url, reference, subdir]) => RebarPin::Git {
            url: url.as_text().ok_or_else(bad)?,
            commit: read_commit(reference).ok_or_else(bad)?,
            subdir: Some(subdir.as_text().ok_or_else(bad)?),
        },
        ("pkg", [package, version, ..]) => RebarPin::Hex {
            package: package.as_text().ok_or_else(bad)?,
            version: version.as_text().ok_or_else(bad)?,
            outer: checksum(attributes, "pkg_hash_ext", &app)?,
            inner: checksum(attributes, "pkg_hash", &app)?,
        },
        _ => return Err(bad()),
    };
    Ok((app, RebarEntry { pin, level }))
}

/// Reads `{ref, "…"}`, and the bare text that rebar3's first versions wrote.
fn read_commit(reference: &Term) -> Option<String> {
    let text = match reference.tagged("ref") {
        Some([commit]) => commit.as_text(),
        Some(_) => None,
        None if reference.as_tuple().is_some() => None,
        None => reference.as_text(),
    };
    text.filter(|commit| !commit.is_empty())
}

fn checksum(attributes: &[Term], key: &str, app: &str) -> Result<Option<Digest>, ImportError> {
    let sums = terms::get(attributes, key).and_then(Term::as_list).unwrap_or_default();
    let is_named = |name: &Term| name.as_text().as_deref() == Some(app);
    let sum = sums.iter().find_map(|pair| match pair.as_tuple()? {
        [name, sum] if is_named(name) => Some(sum),
        _ => None,
    });
    let Some(sum) = sum else {
        return Ok(None);
    };
    let digest = sum.as_text().and_then(|text| Digest::from_hex(&text).ok());
    match digest {
        Some(digest) => Ok(Some(digest)),
        None => Err(ImportError::BadChecksum { app: app.to_owned(), found: shorten(sum) }),
    }
}

fn shorten(term: &Term) -> String {
    term.to_string().chars().take(80).collect()
}
