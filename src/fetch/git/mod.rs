//! Git: commits found, fetched and laid out as trees.
//!
//! Objects are read with libgit2, which hashes every object it reads and every pack it takes in, so
//! a tampered object never passes. A repository of this machine is read where it stands; of one on
//! the web a bare mirror is kept in the store, `git/<hash of the address>/`. A build needs the files of a
//! commit only and fetches no history; a lock needs the history for [`describe`], and fetches it.

mod address;
mod describe;
mod export;
#[cfg(test)]
pub(crate) mod fixture;
mod origin;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use git2::{ErrorCode, Oid};
use thiserror::Error;

use crate::digest::Digest;
use crate::disk::DiskError;
use crate::event::{Event, Observer};
use crate::explain::{Blame, Explain};
use crate::http::{Http, HttpError};
use crate::manifest::rebar::GitRef;
use crate::store::{HeldTree, Store, StoreError};
use crate::tree::TreeError;

use address::Address;
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

/// A repository or what was asked of it is not what it should be.
#[derive(Debug, Error)]
pub enum GitError {
    /// An address that no repository can stand at.
    #[error("`{url}`, the source of `{app}`, is not an address of a git repository")]
    BadAddress {
        /// The application.
        app: String,
        /// As written.
        url: String,
    },
    /// Nothing there speaks git.
    #[error("`{url}`, the source of `{app}`, is not a git repository")]
    NotGit {
        /// The application.
        app: String,
        /// The repository.
        url: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("`{url}`, the source of `{app}`, has no {reference}")]
    NoSuchReference {
        /// The application.
        app: String,
        /// The repository.
        url: String,
        /// What was asked for.
        reference: String,
        /// The name that looks most like it.
        nearest: Option<String>,
    },
    /// An abbreviated commit that several commits begin with.
    #[error("several commits of `{url}`, the source of `{app}`, begin with `{commit}`")]
    Ambiguous {
        /// The application.
        app: String,
        /// The repository.
        url: String,
        /// The abbreviation.
        commit: String,
    },
    /// A locked commit that the repository no longer has.
    #[error("`{url}` no longer has the commit that `{app}` is locked to\n  locked: {commit}{}", now_text(.now))]
    Vanished {
        /// The application.
        app: String,
        /// The repository.
        url: String,
        /// The locked commit.
        commit: String,
        /// What was asked for when it was locked, and the commit that this means now.
        now: Option<(String, String)>,
    },
    /// An object that a copy of a repository lacks.
    #[error("the copy of `{url}` lacks the object {object}, which `{app}` needs")]
    MissingObject {
        /// The application.
        app: String,
        /// The repository.
        url: String,
        /// The object's id.
        object: String,
    },
    /// An object or pack that is not what its hash says, or cannot be read.
    #[error("the objects of `{url}`, the source of `{app}`, are damaged or were tampered with")]
    Damaged {
        /// The application.
        app: String,
        /// The repository.
        url: String,
        /// libgit2's words.
        #[source]
        source: git2::Error,
    },
    /// A directory that the commit does not have.
    #[error("commit {commit} of `{url}` has no directory `{subdir}`, which `{app}` asks for")]
    NoSubdir {
        /// The application.
        app: String,
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// The directory.
        subdir: String,
    },
    /// The server said no, in its own words.
    #[error("the server of `{url}`, the source of `{app}`, refuses: {message}")]
    Refused {
        /// The application.
        app: String,
        /// The repository.
        url: String,
        /// The server's words.
        message: String,
    },
    /// The server said something that is not in git's protocol.
    #[error("the server of `{url}` does not keep to git's protocol: `{line}`")]
    Protocol {
        /// The repository.
        url: String,
        /// What it said.
        line: String,
    },
    /// A commit's files are more than a source may have.
    #[error("the source of `{app}` has more than {limit} {unit}")]
    TooLarge {
        /// The application.
        app: String,
        /// The limit.
        limit: u64,
        /// Bytes, entries or nested submodules.
        unit: &'static str,
    },
    /// A file name that a source must not have.
    #[error("`{app}` has a file named `{path}`, which a source must not have")]
    UnsafeName {
        /// The application.
        app: String,
        /// The name.
        path: String,
    },
    /// The web refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tree cannot be one.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

fn now_text(now: &Option<(String, String)>) -> String {
    now.as_ref().map_or_else(String::new, |(wanted, commit)| {
        format!("\n  now:    {commit} ({wanted})")
    })
}

impl Explain for GitError {
    fn blame(&self) -> Blame {
        match self {
            Self::BadAddress { .. } | Self::NoSuchReference { .. } | Self::Ambiguous { .. } => {
                Blame::User
            }
            Self::NoSubdir { .. } => Blame::User,
            Self::Http(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Tree(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchReference {
                nearest: Some(nearest),
                ..
            } => Some(format!("the nearest name there is `{nearest}`")),
            Self::Ambiguous { .. } => Some("write more digits of the commit".into()),
            Self::Vanished { app, .. } => Some(format!(
                "history was rewritten or a tag moved upstream; look, then `rebeam lock --update {app}`, \
                 or name a copy that has the commit under `[mirrors]`"
            )),
            Self::MissingObject { .. } => Some(
                "a copy under `[mirrors]` must be whole: `git fsck` there names what it lacks"
                    .into(),
            ),
            Self::Damaged { url, .. } => Some(match url.strip_prefix("file://") {
                Some(path) => format!("`git -C {path} fsck` names what is damaged"),
                None => "`rebeam store verify` looks at our own copy".into(),
            }),
            Self::Http(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Tree(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}

/// The application and repository that an error speaks of.
#[derive(Debug, Clone)]
struct Named {
    app: String,
    url: String,
}

impl Named {
    fn not_git(&self) -> GitError {
        GitError::NotGit {
            app: self.app.clone(),
            url: self.url.clone(),
        }
    }

    fn damaged(&self, source: git2::Error) -> GitError {
        GitError::Damaged {
            app: self.app.clone(),
            url: self.url.clone(),
            source,
        }
    }

    /// Makes the error of an object that could not be read.
    fn unread(&self, object: Oid, error: git2::Error) -> GitError {
        if error.code() == ErrorCode::NotFound {
            return GitError::MissingObject {
                app: self.app.clone(),
                url: self.url.clone(),
                object: object.to_string(),
            };
        }
        self.damaged(error)
    }
}

/// The branches and tags of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Listing {
    head: Option<Oid>,
    head_branch: Option<String>,
    branches: BTreeMap<String, Oid>,
    tags: BTreeMap<String, Tag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag {
    /// What the reference points to: a tag object, or the commit itself.
    object: Oid,
    /// What it means in the end.
    peeled: Oid,
}

impl Listing {
    /// Takes one reference in; `name^{}` is how old servers say what a tag means.
    fn add(&mut self, name: &str, object: Oid, peeled: Option<Oid>) {
        if name == "HEAD" {
            self.head = Some(object);
        } else if let Some(branch) = name.strip_prefix("refs/heads/") {
            self.branches.insert(branch.to_owned(), object);
        } else if let Some(tag) = name.strip_prefix("refs/tags/") {
            if let Some(known) = tag
                .strip_suffix("^{}")
                .and_then(|tag| self.tags.get_mut(tag))
            {
                known.peeled = object;
            } else {
                let peeled = peeled.unwrap_or(object);
                self.tags.insert(tag.to_owned(), Tag { object, peeled });
            }
        }
    }

    /// Returns everything that a whole copy holds.
    fn objects(&self) -> impl Iterator<Item = Oid> {
        let tags = self.tags.values().map(|tag| tag.object);
        self.branches.values().copied().chain(tags).chain(self.head)
    }

    fn tag(&self, name: &str) -> Option<Oid> {
        self.tags.get(name).map(|tag| tag.peeled)
    }

    fn branch(&self, name: &str) -> Option<Oid> {
        self.branches.get(name).copied()
    }

    fn default_branch(&self) -> Option<Oid> {
        let named = self
            .head_branch
            .as_deref()
            .and_then(|name| self.branch(name));
        named.or(self.head)
    }
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
        let origin = Origin::open(*self, &request.app, &request.url)?;
        if origin.address().changed_protocol() {
            let written = &origin.address().written;
            self.warn(
                &origin,
                &format!("is written `{written}`; that protocol is not used"),
            );
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

    /// Takes a commit's files into the store; with `promised` they must be that tree.
    pub fn checkout(
        &self,
        commit: &GitCommit<'_>,
        promised: Option<Digest>,
    ) -> Result<HeldTree, GitError> {
        let origin = Origin::open(*self, commit.app, commit.url)?;
        let id =
            parse_commit(commit.commit).ok_or_else(|| origin.no_such("commit", commit.commit))?;
        match origin.ensure(id, Depth::Tree) {
            Err(GitError::Vanished {
                app,
                url,
                commit: gone,
                ..
            }) => {
                let now = self.now(&origin, commit);
                return Err(GitError::Vanished {
                    app,
                    url,
                    commit: gone,
                    now,
                });
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
            GitRef::Tag(name) => (
                self.choose_tag(origin, &listing, name),
                "tag",
                name.as_str(),
            ),
            GitRef::Branch(name) => (
                self.choose_branch(origin, &listing, name),
                "branch",
                name.as_str(),
            ),
            _ => (listing.default_branch(), "default branch", ""),
        };
        chosen.ok_or_else(|| origin.no_such_of(&listing, kind, name))
    }

    fn choose_tag(&self, origin: &Origin<'_>, listing: &Listing, name: &str) -> Option<Oid> {
        listing.tag(name).or_else(|| {
            let branch = listing.branch(name)?;
            self.warn(
                origin,
                &format!("has no tag `{name}`; the branch of that name is taken"),
            );
            Some(branch)
        })
    }

    fn choose_branch(&self, origin: &Origin<'_>, listing: &Listing, name: &str) -> Option<Oid> {
        if let Some(commit) = listing.branch(name) {
            return Some(commit);
        }
        if let Some(commit) = listing.tag(name) {
            self.warn(
                origin,
                &format!("has no branch `{name}`; the tag of that name is taken"),
            );
            return Some(commit);
        }
        let renamed = ["master", "main"]
            .contains(&name)
            .then(|| listing.default_branch())
            .flatten()?;
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
        origin
            .expand(name)?
            .ok_or_else(|| origin.no_such("commit", name))
    }

    fn warn(&self, origin: &Origin<'_>, what: &str) {
        let message = format!(
            "`{}`, the source of `{}`, {what}",
            origin.url(),
            origin.app()
        );
        self.observer.observe(&Event::Warned { message: &message });
    }
}

fn parse_commit(text: &str) -> Option<Oid> {
    let whole = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| Oid::from_str(text).ok()).flatten()
}
