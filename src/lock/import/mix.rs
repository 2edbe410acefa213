//! Mix: an existing `mix.lock`, in any of the forms that mix and Hex have written.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::digest::Digest;
use crate::explain::Explain;
use crate::limits::LOCK_SOURCES_MAX;
use crate::lock::git_url;
use crate::manifest::rebar::{Wish, WishSource};
use crate::terms::{self, Term, TermError};

use super::RebarPin;

/// The file's name in a mix project's root.
pub const MIX_LOCK: &str = "mix.lock";

/// What a `mix.lock` pins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MixLock {
    /// Entries by application name.
    pub entries: BTreeMap<String, MixEntry>,
}

/// One entry of a `mix.lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixEntry {
    /// What it pins; the forms are those of a `rebar.lock`.
    pub pin: RebarPin,
    /// The tools that build a package, as Hex noted them: `mix`, `rebar3`, `make`.
    pub managers: Vec<String>,
    /// A package's repository: `hexpm`, `hexpm:acme`.
    pub repository: Option<String>,
}

/// A `mix.lock` cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MixLockError {
    /// The text is no literal.
    #[error("`mix.lock` cannot be read")]
    Malformed {
        /// Where and why.
        #[source]
        source: TermError,
    },
    /// The text is no map.
    #[error("`mix.lock` is no lock of mix: it holds `{found}`")]
    NotALock {
        /// The term, shortened.
        found: String,
    },
    /// An entry has none of the forms of mix and Hex.
    #[error("`mix.lock` holds `{entry}` for `{app}`, which is no entry that mix or Hex writes")]
    BadEntry {
        /// The application.
        app: String,
        /// The term, shortened.
        entry: String,
    },
    /// There are more entries than a lock may have.
    #[error("`mix.lock` has more than {LOCK_SOURCES_MAX} entries (`LOCK_SOURCES_MAX`)")]
    TooManySources,
}

impl Explain for MixLockError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { source } if source.hint().is_some() => source.hint(),
            Self::TooManySources => None,
            _ => Some(
                "restore it with `git checkout mix.lock`, or remove it: `rebeam lock` needs none"
                    .into(),
            ),
        }
    }
}

impl MixLock {
    /// Reads a `mix.lock`.
    pub fn parse(text: &str) -> Result<Self, MixLockError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let term =
            terms::parse_elixir(text).map_err(|source| MixLockError::Malformed { source })?;
        let Some(pairs) = term.as_map() else {
            return Err(MixLockError::NotALock { found: shorten(&term) });
        };
        if pairs.len() > LOCK_SOURCES_MAX {
            return Err(MixLockError::TooManySources);
        }
        let mut lock = Self::default();
        for (key, value) in pairs {
            let app = key.as_text().unwrap_or_default();
            let bad = || MixLockError::BadEntry { app: app.clone(), entry: shorten(value) };
            let entry = entry(value).filter(|_| !app.is_empty()).ok_or_else(bad)?;
            lock.entries.insert(app, entry);
        }
        Ok(lock)
    }

    /// Returns the entry for a wish, where it has the wish's address.
    pub fn entry_for(&self, wish: &Wish) -> Option<&MixEntry> {
        let entry = self.entries.get(&wish.app)?;
        let fits = match (&entry.pin, &wish.source) {
            (
                RebarPin::Git { url, subdir, .. },
                WishSource::Git { url: wished, subdir: dir, .. },
            ) => git_url::same(url, wished) && (subdir.is_none() || subdir == dir),
            (RebarPin::Hex { package, .. }, WishSource::Hex { package: wished, .. }) => {
                package == wished
            }
            _ => false,
        };
        fits.then_some(entry)
    }
}

fn entry(term: &Term) -> Option<MixEntry> {
    match term.as_tuple()? {
        [Term::Atom(kind), rest @ ..] if kind == "git" => git(rest),
        [Term::Atom(kind), rest @ ..] if kind == "hex" => hex(rest),
        // Hex's first versions: `{:package, "1.0.0"}`.
        [Term::Atom(kind), package, version] if kind == "package" => {
            hex(&[package.clone(), version.clone()])
        }
        _ => None,
    }
}

/// `{:git, url, commit, options}`.
fn git(parts: &[Term]) -> Option<MixEntry> {
    let [url, commit, options] = parts else {
        return None;
    };
    let commit = commit.as_text()?;
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let options = options.as_list()?;
    let option = |key: &str| terms::get(options, key).and_then(Term::as_text);
    let subdir = option("sparse").or_else(|| option("subdir"));
    let pin = RebarPin::Git {
        url: url.as_text().filter(|url| !url.is_empty())?,
        commit: is_commit.then_some(commit)?,
        subdir: subdir.map(|dir| dir.trim_matches('/').to_owned()),
    };
    Some(MixEntry { pin, managers: Vec::new(), repository: None })
}

/// `{:hex, package, version}`, with `inner`, `managers`, `deps`, `repository` and `outer` behind it as Hex grew.
fn hex(parts: &[Term]) -> Option<MixEntry> {
    let [package, version, rest @ ..] = parts else {
        return None;
    };
    let sum = |place: usize| match rest.get(place) {
        None => Some(None),
        Some(sum) => Digest::from_hex(&sum.as_text()?).ok().map(Some),
    };
    let managers = match rest.get(1) {
        None => Vec::new(),
        Some(managers) => managers.as_list()?.iter().filter_map(Term::as_text).collect(),
    };
    if let Some(deps) = rest.get(2) {
        deps.as_list()?;
    }
    let pin = RebarPin::Hex {
        package: package.as_text().filter(|name| !name.is_empty())?,
        version: version.as_text().filter(|version| !version.is_empty())?,
        outer: sum(4)?,
        inner: sum(0)?,
    };
    Some(MixEntry { pin, managers, repository: rest.get(3).and_then(Term::as_text) })
}

fn shorten(term: &Term) -> String {
    term.to_string().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INNER: &str = "865dd8b6607e14cf03282e10e934023a1bd8be6f6bacf921a7e2a96d800cd452";
    const OUTER: &str = "2c729f934b4e1aa149aff882f57c6372c15399a20d54f65c8d67bef583021bde";

    fn one(value: &str) -> Result<MixEntry, MixLockError> {
        let lock = MixLock::parse(&format!("%{{\n  \"cowboy\" => {value},\n}}\n"))?;
        Ok(lock.entries["cowboy"].clone())
    }

    fn sums(entry: &MixEntry) -> (Option<String>, Option<String>) {
        let RebarPin::Hex { inner, outer, .. } = &entry.pin else {
            panic!("{entry:?} is no package");
        };
        (inner.map(|sum| sum.hex()), outer.map(|sum| sum.hex()))
    }

    #[test]
    fn a_package_reads_in_every_form_that_hex_has_written() {
        let whole = format!(
            "{{:hex, :cowboy, \"2.9.0\", \"{INNER}\", [:make, :rebar3], [{{:cowlib, \"2.11.0\", [hex: :cowlib, repo: \"hexpm\", optional: false]}}], \"hexpm\", \"{OUTER}\"}}"
        );
        let entry = one(&whole).unwrap();
        assert_eq!(sums(&entry), (Some(INNER.into()), Some(OUTER.into())));
        assert_eq!(entry.managers, ["make", "rebar3"]);
        assert_eq!(entry.repository.as_deref(), Some("hexpm"));
        let older = [
            format!("{{:hex, :cowboy, \"2.9.0\", \"{INNER}\", [:rebar3], [], \"hexpm\"}}"),
            format!("{{:hex, :cowboy, \"2.9.0\", \"{INNER}\", [:rebar3], []}}"),
            format!("{{:hex, :cowboy, \"2.9.0\", \"{INNER}\"}}"),
        ];
        for text in older {
            assert_eq!(sums(&one(&text).unwrap()), (Some(INNER.into()), None), "{text}");
        }
        for text in ["{:hex, :cowboy, \"2.9.0\"}", "{:package, \"cowboy\", \"2.9.0\"}"] {
            assert_eq!(sums(&one(text).unwrap()), (None, None), "{text}");
        }
    }

    #[test]
    fn a_commit_reads_with_old_and_new_keys() {
        let text = "%{\"emqttc\": {:git, \"https://github.com/phanimahesh/emqttc.git\", \"3cc87e14f7154cc6aa16b2e6d352a442874f22a3\", []},\n  \"x\": {:git, \"https://h/x\", \"8f1b715d36b650ec1e1f5612c00e28af6ab0de82\", [tag: \"0.1.9\", sparse: \"lib/x\"]}}";
        let lock = MixLock::parse(text).unwrap();
        let RebarPin::Git { commit, subdir, .. } = &lock.entries["x"].pin else {
            panic!("it is no commit");
        };
        assert_eq!(commit, "8f1b715d36b650ec1e1f5612c00e28af6ab0de82");
        assert_eq!(subdir.as_deref(), Some("lib/x"));
        let new = text.replace("\": {", "\" => {");
        assert_eq!(MixLock::parse(&new).unwrap(), lock);
    }

    #[test]
    fn what_mix_does_not_write_is_refused() {
        for value in [
            "{:git, \"u\", \"master\", []}",
            "{:hg, \"u\", \"c\", []}",
            "{:hex, :cowboy}",
            "{:hex, :cowboy, \"2.9.0\", \"12\"}",
            ":cowboy",
        ] {
            assert!(matches!(one(value), Err(MixLockError::BadEntry { .. })), "{value}");
        }
        assert!(matches!(MixLock::parse("[]"), Err(MixLockError::NotALock { .. })));
        assert_eq!(MixLock::parse("").unwrap(), MixLock::default());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "%\\{\"a\" => \\{:(git|hex), [\":a-f0-9, \\[\\]{}]{0,80}") {
            let _ = MixLock::parse(&text);
        }
    }
}
