//! Dep: a dependency in one of erlang.mk's forms, and where it is to come from.

use thiserror::Error;

use crate::explain::Explain;
use crate::manifest::rebar::{GitRef, WishSource, revision};

/// Where RabbitMQ's fetch methods look where the project is no clone of anybody's.
const RABBITMQ: &str = "https://github.com/rabbitmq";

/// A dependency as erlang.mk knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MakeDep {
    /// Its name, which is its directory's.
    pub name: String,
    /// The words of `dep_NAME`, or of the package index.
    pub words: Vec<String>,
    /// `dep_NAME_commit`, which beats the commit among the words.
    pub commit: Option<String>,
}

/// A dependency that erlang.mk would fetch and rebeam cannot.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum MakeError {
    /// Neither a `dep_NAME` line nor the package index knows it.
    #[error("the Makefile of `{parent}` asks for `{name}` and does not say where it is")]
    Unknown {
        /// Whose Makefile.
        parent: String,
        /// The dependency.
        name: String,
    },
    /// A method that rebeam does not fetch by.
    #[error(
        "the Makefile of `{parent}` takes `{name}` by `{method}`, which rebeam does not do: `dep_{name} = {line}`"
    )]
    Method {
        /// Whose Makefile.
        parent: String,
        /// The dependency.
        name: String,
        /// `svn`, `hg` or another.
        method: String,
        /// The whole line.
        line: String,
    },
    /// A directory that belongs to no pinned source.
    #[error("the Makefile of `{parent}` copies `{name}` from `{path}`, which no lock can pin")]
    Outside {
        /// Whose Makefile.
        parent: String,
        /// The dependency.
        name: String,
        /// The directory.
        path: String,
    },
    /// The file that a Makefile includes is not there.
    #[error("the Makefile of `{parent}` includes `erlang.mk`, which is not there")]
    NoErlangMk {
        /// Whose Makefile.
        parent: String,
    },
    /// There is no Makefile.
    #[error("`{parent}` has no Makefile for erlang.mk")]
    NoMakefile {
        /// The application.
        parent: String,
    },
}

impl Explain for MakeError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { name, .. } | Self::Method { name, .. } | Self::Outside { name, .. } => format!(
                "say where it comes from in rebeam.toml: `[deps.{name}]` with `source = \"git+https://…#tag=…\"` or `\"./path\"`"
            ),
            Self::NoErlangMk { .. } => {
                "commit the `erlang.mk` that the project was made with; nothing is downloaded in a build".into()
            }
            Self::NoMakefile { .. } => {
                "is the Makefile in a directory below? `[build] dir = \"…\"` names it".into()
            }
        })
    }
}

/// Whose Makefile names a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// The project's, in this directory of it: a directory that it names is the project's own.
    Project(&'a str),
    /// A dependency's.
    Dep,
}

impl Place<'_> {
    /// Returns the directory that a Makefile there means by `path`, below the project's top or beside it; `None` where it is
    /// no directory of the project's.
    fn holds(self, path: &str) -> Option<String> {
        let Self::Project(at) = self else { return None };
        if path.starts_with('/') {
            return None;
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in at.split('/').chain(path.split('/')) {
            match part {
                "" | "." => {}
                ".." if parts.last().is_some_and(|last| *last != "..") => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        Some(parts.join("/"))
    }
}

impl MakeDep {
    pub(super) fn read(name: &str, line: &str, commit: &str, index: &[&str]) -> Self {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            words =
                index.iter().filter(|word| !word.is_empty()).map(|&word| word.to_owned()).collect();
        }
        let commit = Some(commit.to_owned()).filter(|commit| !commit.is_empty());
        Self { name: name.to_owned(), words, commit }
    }

    /// Says where it is to come from, by each of the fetch methods.
    pub(super) fn source(&self, parent: &str, place: Place<'_>) -> Result<WishSource, MakeError> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let git = |url: &str, reference: Option<&&str>, subdir: Option<&&str>| {
            let reference = self.commit.as_deref().or(reference.copied());
            WishSource::Git {
                url: url.replacen("git://github.com/", "https://github.com/", 1),
                reference: reference.map_or(GitRef::Default, |name| revision(name.to_owned())),
                subdir: subdir.map(|dir| dir.trim_matches('/').to_owned()),
            }
        };
        match words.as_slice() {
            ["cp" | "ln", path, ..] if let Some(path) = place.holds(path) => {
                Ok(WishSource::Path { path })
            }
            [] => Err(MakeError::Unknown { parent: parent.to_owned(), name: self.name.clone() }),
            ["git", url, rest @ ..] => Ok(git(url, rest.first(), None)),
            ["git-subfolder", url, reference, directory, ..] => {
                Ok(git(url, Some(reference), Some(directory)))
            }
            // RabbitMQ's own: a repository of its owner's, or a directory of the one that took them in.
            ["git_rmq", repository, rest @ ..] => {
                Ok(git(&format!("{RABBITMQ}/{repository}"), rest.first(), None))
            }
            ["git_rmq-subfolder", _, rest @ ..] => {
                let directory = format!("deps/{}", self.name);
                Ok(git(
                    &format!("{RABBITMQ}/rabbitmq-server"),
                    rest.first(),
                    Some(&directory.as_str()),
                ))
            }
            // What the project's own repository pins lies in the project already.
            ["git-submodule", ..] if place != Place::Dep => {
                Ok(WishSource::Path { path: format!("deps/{}", self.name) })
            }
            ["hex", version, rest @ ..] => Ok(WishSource::Hex {
                package: rest.first().map_or_else(|| self.name.clone(), |&name| name.to_owned()),
                requirement: Some(format!("== {}", self.commit.as_deref().unwrap_or(version))),
                repository: None,
            }),
            ["cp" | "ln", path, ..] => Err(MakeError::Outside {
                parent: parent.to_owned(),
                name: self.name.clone(),
                path: (*path).to_owned(),
            }),
            // The form of before 2014: the address, and perhaps the commit.
            [url, rest @ ..] if url.contains("://") => {
                Ok(git(url, rest.first().or(Some(&"master")), None))
            }
            [method, ..] => Err(MakeError::Method {
                parent: parent.to_owned(),
                name: self.name.clone(),
                method: (*method).to_owned(),
                line: words.join(" "),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dep(line: &str) -> Result<WishSource, MakeError> {
        let words = line.split_whitespace().map(str::to_owned).collect();
        let dep = MakeDep { name: "x".into(), words, commit: None };
        dep.source("shop", Place::Project(""))
    }

    fn git(reference: GitRef, subdir: Option<&str>) -> WishSource {
        let url = "https://host/x".into();
        WishSource::Git { url, reference, subdir: subdir.map(str::to_owned) }
    }

    #[test]
    fn every_fetch_method_becomes_a_wish() {
        let hex = |package: &str| WishSource::Hex {
            package: package.into(),
            requirement: Some("== 1.2.0".into()),
            repository: None,
        };
        let cases = [
            ("git https://host/x 1.2.0", git(GitRef::Tag("1.2.0".into()), None)),
            ("git https://host/x master", git(GitRef::Branch("master".into()), None)),
            ("git https://host/x", git(GitRef::Default, None)),
            (
                "git-subfolder https://host/x 0123456 deps/y",
                git(GitRef::Commit("0123456".into()), Some("deps/y")),
            ),
            ("https://host/x", git(GitRef::Branch("master".into()), None)),
            ("hex 1.2.0", hex("x")),
            ("hex 1.2.0 xx", hex("xx")),
            ("cp ../x", WishSource::Path { path: "../x".into() }),
            ("ln ./lib/x/", WishSource::Path { path: "lib/x".into() }),
            ("git-submodule", WishSource::Path { path: "deps/x".into() }),
        ];
        for (line, source) in cases {
            assert_eq!(dep(line), Ok(source), "{line}");
        }
    }

    #[test]
    fn a_directory_is_looked_for_from_where_the_makefile_stands() {
        let at = |at: &str, path: &str| Place::Project(at).holds(path);
        assert_eq!(at("apps/shop", "../../lib/x/").as_deref(), Some("lib/x"));
        assert_eq!(at("apps/shop", "./x").as_deref(), Some("apps/shop/x"));
        assert_eq!(at("apps", "../../x").as_deref(), Some("../x"));
        assert_eq!(at("", "../../x").as_deref(), Some("../../x"));
        assert_eq!(at("", "/x"), None);
        assert_eq!(Place::Dep.holds("x"), None);
    }

    #[test]
    fn the_methods_of_rabbitmq_lead_to_its_repositories() {
        let source = |repository: &str, subdir: Option<&str>| WishSource::Git {
            url: format!("https://github.com/rabbitmq/{repository}"),
            reference: GitRef::Branch("master".into()),
            subdir: subdir.map(str::to_owned),
        };
        assert_eq!(
            dep("git_rmq rabbitmq-common master master master"),
            Ok(source("rabbitmq-common", None))
        );
        assert_eq!(
            dep("git_rmq-subfolder rabbitmq-common master master"),
            Ok(source("rabbitmq-server", Some("deps/x")))
        );
    }

    #[test]
    fn a_method_that_is_not_known_names_the_dependency() {
        let error = dep("hg https://host/x tip").unwrap_err();
        assert!(error.to_string().contains("takes `x` by `hg`"), "{error}");
        assert!(error.hint().unwrap().contains("[deps.x]"));
        assert!(dep("").unwrap_err().to_string().contains("does not say where"));
    }
}
