//! Fetch: makes every source of a lock present, by content, and finds what a wish means today.
//!
//! What the store holds is not asked for again. A source that is not what the lock says never
//! becomes held: the store hashes what was fetched and refuses it.

mod age;
mod answer;
pub mod debian;
mod find;
pub(crate) mod fuzz;
pub mod git;
pub mod hex;
mod news;
#[cfg(test)]
mod tests;
pub mod url;
mod vendored;

use std::collections::BTreeMap;
use std::path::PathBuf;

use thiserror::Error;

use crate::digest::Digest;
use crate::each::each;
use crate::event::Observer;
use crate::explain::{Blame, Explain};
use crate::http::Http;
use crate::limits::DOWNLOADS_MAX;
use crate::lock::{Lock, Pin, Role, Source};
use crate::manifest::rebar::{GitRef, Wish};
use crate::store::{HeldTree, Store, StoreError};
use crate::tree::TreeError;

pub use age::Cooldown;
pub use answer::Answer;
use git::{Git, GitCommit, GitError};
use hex::{Hex, HexError, HexPackage, HexRepository};
pub use news::{News, Standing};
use url::{Tarball, UrlError};
pub use vendored::vendored_place;

/// What sources are fetched with.
#[derive(Clone)]
pub struct Doors<'a> {
    /// Keeps what is fetched.
    pub store: &'a Store,
    /// The way to servers.
    pub http: &'a Http,
    /// Hears the facts.
    pub observer: &'a dyn Observer,
    /// Repositories of hex packages, in the order in which they are asked.
    pub repositories: Vec<HexRepository>,
    /// How old must be what is pinned for the first time; `None` where nobody asked.
    pub cooldown: Option<Cooldown>,
    /// A directory that `rebeam vendor` made, asked before any origin.
    pub vendor: Option<PathBuf>,
}

/// The sources of a lock, all held. Path sources are the project's and not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Each source's files, by role and application name.
    pub trees: BTreeMap<(Role, String), HeldTree>,
}

/// What a wish means today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What exactly it is.
    pub pin: Pin,
    /// The version that `{vsn, git}` means here.
    pub describe: Option<String>,
    /// What was asked for, in words.
    pub wanted: String,
    /// Its files.
    pub tree: HeldTree,
    /// When it was committed or published, in seconds since 1970; 0 where nobody says.
    pub time: i64,
    /// What a hex package asks for, as its registry says; `None` for what states it in its own files.
    pub deps: Option<Vec<Wish>>,
}

/// A source could not be had.
#[derive(Debug, Error)]
pub enum FetchError {
    /// What was fetched is not what the lock says.
    #[error("`{name}` is not what the lock says\n  locked:  {locked}\n  fetched: {fetched}")]
    Mismatch {
        /// The application.
        name: String,
        /// The digest in the lock.
        locked: Digest,
        /// The digest of what came.
        fetched: Digest,
    },
    /// A hex repository that nobody told us of.
    #[error("`{app}` comes from the repository `{repository}`, which is not known")]
    UnknownRepository {
        /// The application.
        app: String,
        /// The repository.
        repository: String,
    },
    /// It was made public too short a time ago.
    #[error("`{name}`: {what} is {age} old, and `minimum-age` is {minimum}")]
    TooYoung {
        /// The application or package.
        name: String,
        /// The commit or release.
        what: String,
        /// Its age.
        age: String,
        /// The age that is asked for.
        minimum: String,
        /// The time until then.
        wait: String,
    },
    /// A git source.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A hex package.
    #[error(transparent)]
    Hex(#[from] HexError),
    /// A tarball.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A directory of sources was changed.
    #[error("`{place}` is not what the lock says\n  locked: {locked}\n  found:  {found}")]
    Altered {
        /// The directory.
        place: String,
        /// The digest in the lock.
        locked: Digest,
        /// The digest of what stands there.
        found: Digest,
    },
    /// A directory of sources cannot be read.
    #[error(transparent)]
    Vendored(TreeError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Explain for FetchError {
    fn blame(&self) -> Blame {
        match self {
            Self::Mismatch { .. } => Blame::World,
            Self::UnknownRepository { .. } | Self::TooYoung { .. } | Self::Altered { .. } => {
                Blame::User
            }
            Self::Git(error) => error.blame(),
            Self::Hex(error) => error.blame(),
            Self::Url(error) => error.blame(),
            Self::Vendored(error) => error.blame(),
            Self::Store(error) => error.blame(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Mismatch { name, .. } => Some(format!(
                "a tag moved or a file was replaced upstream; look, then `rebeam lock --update {name}`"
            )),
            Self::UnknownRepository { .. } => {
                Some("name its address and public key in rebeam.toml".into())
            }
            Self::TooYoung { wait, .. } => Some(format!(
                "wait {wait}, ask for an older one, or pin it all the same: `rebeam lock --any-age`"
            )),
            Self::Altered { .. } => Some(
                "`rebeam vendor DIR` writes it anew; changes of your own belong into a patch under `[deps.NAME]`".into(),
            ),
            Self::Git(error) => error.hint(),
            Self::Hex(error) => error.hint(),
            Self::Url(error) => error.hint(),
            Self::Vendored(error) => error.hint(),
            Self::Store(error) => error.hint(),
        }
    }
}

/// Returns the content hash of a commit's tree: of `URL#COMMIT`, or of the head of `URL`.
pub fn hash_git(address: &str, doors: &Doors<'_>) -> Result<Digest, FetchError> {
    let (url, commit) = address.split_once('#').unwrap_or((address, "HEAD"));
    Ok(doors.take_git(url, commit)?.digest())
}

/// Makes every source of a lock present, several at once, with the public hex repository.
pub fn fetch(
    lock: &Lock,
    store: &Store,
    http: &Http,
    observer: &dyn Observer,
) -> Result<Sources, FetchError> {
    Doors::new(store, http, observer).fetch(lock)
}

/// Finds what a wish means today, and fetches it.
pub fn find(wish: &Wish, doors: &Doors<'_>) -> Result<Found, FetchError> {
    doors.find(wish, None)
}

impl<'a> Doors<'a> {
    /// Takes the doors, with the public hex repository.
    pub fn new(store: &'a Store, http: &'a Http, observer: &'a dyn Observer) -> Self {
        let repositories = vec![HexRepository::hexpm()];
        Self { store, http, observer, repositories, cooldown: None, vendor: None }
    }

    /// Makes every source of a lock present, several at once. Does nothing for those that are held.
    pub fn fetch(&self, lock: &Lock) -> Result<Sources, FetchError> {
        self.fetch_sources(&lock.sources)
    }

    /// Makes these locked sources present, several at once.
    pub fn fetch_sources(&self, wanted: &[Source]) -> Result<Sources, FetchError> {
        let mut sources = Sources::default();
        let mut missing = Vec::new();
        for source in wanted {
            let Some(digest) = source.pin.tree() else {
                continue;
            };
            match self.store.tree(digest)? {
                Some(held) => drop(sources.trees.insert(key(source), held)),
                None => missing.push(source),
            }
        }
        for (source, held) in missing.iter().zip(self.fetch_all(&missing)?) {
            sources.trees.insert(key(source), held);
        }
        Ok(sources)
    }

    /// Fetches sources side by side. After a failure nothing new is begun; of several failures the
    /// first in the lock's order counts.
    fn fetch_all(&self, missing: &[&Source]) -> Result<Vec<HeldTree>, FetchError> {
        each(missing, DOWNLOADS_MAX, |source| self.fetch_one(source))
    }

    fn fetch_one(&self, source: &Source) -> Result<HeldTree, FetchError> {
        let app = source.app.as_str();
        if let Some(locked) = source.pin.tree()
            && let Some(held) = self.take_vendored(source, locked)?
        {
            return Ok(held);
        }
        let fetched: Result<HeldTree, FetchError> = match &source.pin {
            Pin::Git { url, commit, subdir, tree } => {
                let wanted = source.wanted.as_str();
                let subdir = subdir.as_deref();
                let commit = GitCommit { app, url, commit, subdir, wanted };
                self.git().checkout(&commit, Some(*tree)).map_err(Into::into)
            }
            Pin::Hex { repository, package, version, outer, tree } => {
                let repository = self.repository(app, repository)?;
                let package =
                    HexPackage { repository, package, version, outer: Some(*outer), inner: None };
                let fetched = self.hex().checkout(&package, Some(*tree));
                fetched.map(|(held, _)| held).map_err(Into::into)
            }
            Pin::Url { url, sha256, tree } => {
                let tarball = Tarball { app, url, sha256: *sha256 };
                url::checkout(&tarball, self.store, self.http, self.observer, Some(*tree))
                    .map_err(Into::into)
            }
            Pin::Path { .. } => unreachable!("a path source has no content hash to be missing"),
        };
        fetched.map_err(|error| as_mismatch(app, error))
    }

    /// Takes the files of a commit, or of what a name means today, without their history where it is not needed.
    pub fn take_git(&self, url: &str, commit: &str) -> Result<HeldTree, FetchError> {
        let is_whole = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_whole {
            let whole = GitCommit { app: url, url, commit, subdir: None, wanted: "" };
            return Ok(self.git().checkout(&whole, None)?);
        }
        let reference = GitRef::Commit(commit.to_owned());
        Ok(self.find_git(url, url, &reference, None)?.tree)
    }

    fn repository(&self, app: &str, name: &str) -> Result<&HexRepository, FetchError> {
        let found = self.repositories.iter().find(|repository| repository.name == name);
        found.ok_or_else(|| FetchError::UnknownRepository {
            app: app.to_owned(),
            repository: name.to_owned(),
        })
    }

    /// Returns the way to git sources.
    pub fn git(&self) -> Git<'a> {
        Git { store: self.store, http: self.http, observer: self.observer }
    }

    /// Returns the way to hex packages.
    pub fn hex(&self) -> Hex<'a> {
        Hex { store: self.store, http: self.http, observer: self.observer }
    }
}

fn key(source: &Source) -> (Role, String) {
    (source.role, source.app.clone())
}

/// Puts a digest that differs in the words of the lock.
fn as_mismatch(app: &str, error: FetchError) -> FetchError {
    let (locked, fetched) = match &error {
        FetchError::Git(GitError::Store(StoreError::Mismatch { promised, received, .. }))
        | FetchError::Hex(HexError::Store(StoreError::Mismatch { promised, received, .. }))
        | FetchError::Url(UrlError::Store(StoreError::Mismatch { promised, received, .. }))
        | FetchError::Hex(HexError::Mismatch { promised, received, .. })
        | FetchError::Url(UrlError::Mismatch { promised, received, .. }) => (*promised, *received),
        _ => return error,
    };
    FetchError::Mismatch { name: app.to_owned(), locked, fetched }
}
