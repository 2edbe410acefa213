//! What can be wrong with a repository, and how it is said.

use git2::{ErrorCode, Oid};
use thiserror::Error;

use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::http::HttpError;
use crate::store::StoreError;
use crate::tree::TreeError;

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
    now.as_ref()
        .map_or_else(String::new, |(wanted, commit)| format!("\n  now:    {commit} ({wanted})"))
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
            Self::NoSuchReference { nearest: Some(nearest), .. } => {
                Some(format!("the nearest name there is `{nearest}`"))
            }
            Self::NotGit { url, .. } => Some(format!(
                "look at the address, and at `[mirrors]` in rebeam.toml: `git ls-remote {url}` tries it"
            )),
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
                None => "the server gave it so; try another copy under `[mirrors]`".into(),
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
pub(super) struct Named {
    pub(super) app: String,
    pub(super) url: String,
}

impl Named {
    pub(super) fn not_git(&self) -> GitError {
        GitError::NotGit { app: self.app.clone(), url: self.url.clone() }
    }

    pub(super) fn damaged(&self, source: git2::Error) -> GitError {
        GitError::Damaged { app: self.app.clone(), url: self.url.clone(), source }
    }

    /// Makes the error of an object that could not be read.
    pub(super) fn unread(&self, object: Oid, error: git2::Error) -> GitError {
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
