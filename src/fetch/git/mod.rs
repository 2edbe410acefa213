//! Git: commits found, fetched and laid out as trees.
//!
//! Objects are read with libgit2, which hashes every object it reads and every pack it takes in, so
//! a tampered object never passes. A repository of this machine is read where it stands; of one on
//! the web a bare mirror is kept in the store, `git/<hash of the address>/`. A build needs the files of a
//! commit only and fetches no history; a lock needs the history for [`describe`], and fetches it.

mod address;
mod age;
mod describe;
mod error;
mod export;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod fuzz;
mod listing;
mod mirror;
mod news;
mod origin;
mod packet;
#[cfg(test)]
mod tests;
mod wire;

use git2::Oid;

use crate::digest::Digest;
use crate::event::{Event, Observer};
use crate::http::{Http, Network};
use crate::manifest::rebar::GitRef;
use crate::store::{HeldTree, Store};

use address::Address;
pub use error::GitError;
use error::Named;
use listing::Listing;
pub use mirror::verify_mirrors;
pub use news::GitNews;
use origin::Origin;
use wire::Depth;

/// A commit that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRequest {
    /// The application's name, for people.
    pub app: String,
    /// The repository, as written.
    pub url: String,
    /// Which commit.
    pub reference: GitRef,
    /// The directory inside, for `git_subdir`.
    pub subdir: Option<String>,
}

/// The commit that a request means today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitFound {
    /// The repository, in its normal form, before mirrors.
    pub url: String,
    /// 40 hex digits.
    pub commit: String,
    /// The version that rebar3 puts for `{vsn, git}`.
    pub describe: Option<String>,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
}

/// A commit that is known by its id.
#[derive(Debug, Clone, Copy)]
pub struct GitCommit<'a> {
    /// The application's name, for people.
    pub app: &'a str,
    /// The repository.
    pub url: &'a str,
    /// 40 hex digits.
    pub commit: &'a str,
    /// The directory inside, for `git_subdir`.
    pub subdir: Option<&'a str>,
    /// What was asked for when it was locked, `tag 2.12.1`: says what is there now if it is gone.
    pub wanted: &'a str,
}

/// What the room works with.
#[derive(Clone, Copy)]
pub struct Git<'a> {
    /// Keeps mirrors and trees.
    pub store: &'a Store,
    /// The way to servers.
    pub http: &'a Http,
    /// Hears the facts.
    pub observer: &'a dyn Observer,
}

/// Tells whether two addresses, however written, mean one repository.
pub fn same_repository(one: &str, other: &str) -> bool {
    match (Address::new(one), Address::new(other)) {
        (Some(one), Some(other)) => one.key() == other.key(),
        _ => one == other,
    }
}

/// Returns the normal form of a repository's address, if it is one.
pub fn normal_url(url: &str) -> Option<String> {
    Some(Address::new(url)?.url)
}

impl Git<'_> {
    /// Finds the commit that a request means today, and fetches its history.
    pub fn resolve(&self, request: &GitRequest) -> Result<GitFound, GitError> {
        self.heal(|| self.resolve_once(request))
    }

    /// Takes a commit's files into the store; with `promised` they must be that tree.
    pub fn checkout(
        &self,
        commit: &GitCommit<'_>,
        promised: Option<Digest>,
    ) -> Result<HeldTree, GitError> {
        self.heal(|| self.checkout_once(commit, promised))
    }

    /// Makes a second attempt without our mirror where the mirror was found damaged.
    fn heal<T>(&self, attempt: impl Fn() -> Result<T, GitError>) -> Result<T, GitError> {
        match attempt() {
            Err(error @ (GitError::Damaged { .. } | GitError::MissingObject { .. })) => {
                let (GitError::Damaged { url, .. } | GitError::MissingObject { url, .. }) = &error
                else {
                    return Err(error);
                };
                if self.http.network() == Network::Offline || !mirror::forget(*self, url)? {
                    return Err(error);
                }
                let message = format!("our copy of `{url}` was damaged and is fetched anew");
                self.observer.observe(&Event::Warned { message: &message });
                attempt()
            }
            other => other,
        }
    }

    fn resolve_once(&self, request: &GitRequest) -> Result<GitFound, GitError> {
        let origin = Origin::open(*self, &request.app, &request.url)?;
        if origin.address().changed_protocol() {
            let written = &origin.address().written;
            self.warn(&origin, &format!("is written `{written}`; that protocol is not used"));
        }
        let commit = self.choose(&origin, request)?;
        origin.ensure(commit, Depth::History)?;
        let found = origin.commit(commit)?;
        Ok(GitFound {
            url: origin.url().to_owned(),
            commit: found.id().to_string(),
            describe: Some(describe::describe(&origin, &found)?),
            time: found.time().seconds(),
        })
    }

    fn checkout_once(
        &self,
        commit: &GitCommit<'_>,
        promised: Option<Digest>,
    ) -> Result<HeldTree, GitError> {
        let origin = Origin::open(*self, commit.app, commit.url)?;
        let id =
            parse_commit(commit.commit).ok_or_else(|| origin.no_such("commit", commit.commit))?;
        match origin.ensure(id, Depth::Tree) {
            Err(GitError::Vanished { app, url, commit: gone, .. }) => {
                let now = self.now(&origin, commit);
                return Err(GitError::Vanished { app, url, commit: gone, now });
            }
            other => other?,
        }
        let scratch = self.store.scratch()?;
        let root = scratch.path().join("tree");
        export::export(*self, &origin, id, commit.subdir, &root)?;
        Ok(self.store.insert_tree(commit.app, &root, promised)?)
    }

    /// Returns what the words of the lock mean now, if that can be found out.
    fn now(&self, origin: &Origin<'_>, commit: &GitCommit<'_>) -> Option<(String, String)> {
        let listing = origin.list().ok()?;
        let now = match commit.wanted.split_once(' ') {
            Some(("tag", name)) => listing.tag(name),
            Some(("branch", name)) => listing.branch(name),
            _ if commit.wanted == GitRef::Default.to_string() => listing.default_branch(),
            _ => None,
        };
        Some((commit.wanted.to_owned(), now?.to_string()))
    }

    fn choose(&self, origin: &Origin<'_>, request: &GitRequest) -> Result<Oid, GitError> {
        let reference = match &request.reference {
            GitRef::Commit(name) => match name.trim() {
                "" | "HEAD" | "origin/HEAD" => GitRef::Default,
                name => match name.strip_prefix("origin/") {
                    Some(branch) => GitRef::Branch(branch.to_owned()),
                    None => return self.choose_commit(origin, name),
                },
            },
            GitRef::Branch(name) if name.is_empty() || name == "HEAD" => GitRef::Default,
            other => other.clone(),
        };
        let listing = origin.list()?;
        let (chosen, kind, name) = match &reference {
            GitRef::Tag(name) => (self.choose_tag(origin, &listing, name), "tag", name.as_str()),
            GitRef::Branch(name) => {
                (self.choose_branch(origin, &listing, name), "branch", name.as_str())
            }
            _ => (listing.default_branch(), "default branch", ""),
        };
        chosen.ok_or_else(|| origin.no_such_of(&listing, kind, name))
    }

    fn choose_tag(&self, origin: &Origin<'_>, listing: &Listing, name: &str) -> Option<Oid> {
        listing.tag(name).or_else(|| {
            let branch = listing.branch(name)?;
            self.warn(origin, &format!("has no tag `{name}`; the branch of that name is taken"));
            Some(branch)
        })
    }

    fn choose_branch(&self, origin: &Origin<'_>, listing: &Listing, name: &str) -> Option<Oid> {
        if let Some(commit) = listing.branch(name) {
            return Some(commit);
        }
        if let Some(commit) = listing.tag(name) {
            self.warn(origin, &format!("has no branch `{name}`; the tag of that name is taken"));
            return Some(commit);
        }
        let renamed =
            ["master", "main"].contains(&name).then(|| listing.default_branch()).flatten()?;
        let now = listing.head_branch.as_deref().unwrap_or("HEAD");
        self.warn(
            origin,
            &format!("has no branch `{name}` any more; its default branch `{now}` is taken"),
        );
        Some(renamed)
    }

    /// Finds what `git checkout NAME` would: a whole id, a tag, a branch, or an abbreviated id.
    fn choose_commit(&self, origin: &Origin<'_>, name: &str) -> Result<Oid, GitError> {
        if let Some(id) = parse_commit(name) {
            return Ok(id);
        }
        let listing = origin.list()?;
        if let Some(id) = listing.tag(name).or_else(|| listing.branch(name)) {
            return Ok(id);
        }
        let digits =
            name.len() >= 4 && name.len() < 40 && name.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits {
            return Err(origin.no_such_of(&listing, "commit", name));
        }
        origin.expand(name)?.ok_or_else(|| origin.no_such("commit", name))
    }

    fn warn(&self, origin: &Origin<'_>, what: &str) {
        let message = format!("`{}`, the source of `{}`, {what}", origin.url(), origin.app());
        self.observer.observe(&Event::Warned { message: &message });
    }
}

fn parse_commit(text: &str) -> Option<Oid> {
    let whole = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| Oid::from_str(text).ok()).flatten()
}
