//! Makefile: what an erlang.mk project's Makefile says once `make` itself has evaluated it.
//!
//! `make` prints one fact a line, parted by tabs ([`PROGRAM`] is what it is given for that); here they are read, and a
//! dependency in one of erlang.mk's forms becomes a [`Wish`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use thiserror::Error;

use super::DepOverride;
use super::rebar::{GitRef, Wish, WishSource, revision};
use crate::disk::{self, DiskError};
use crate::explain::Explain;
use crate::limits::TEXT_FILE_BYTES_MAX;

/// The makefile that is read behind the project's own, and whose goal `rebeam-facts` prints the facts.
pub const PROGRAM: &str = "\
rebeam-tab := $(shell printf '\\t')
rebeam-words = $(subst $() $(),,$(foreach word,$1,|$(word)))
rebeam-name = $(if $(dep_$1),$1,$(or $(pkg_$1_name),$1))
rebeam-dep = $(file >>$(REBEAM_FACTS),$(subst |,$(rebeam-tab),dep|$1|$(call rebeam-name,$2)|$(strip $(dep_$2))|$(strip $(dep_$2_commit))|$(pkg_$2_fetch)|$(pkg_$2_repo)|$(pkg_$2_commit)))
rebeam-list = $(file >>$(REBEAM_FACTS),$(subst |,$(rebeam-tab),$1$(call rebeam-words,$2)))
rebeam-facts:
	@$(call rebeam-list,file,$(ERLANG_MK_FILENAME))
	@$(call rebeam-list,project,$(PROJECT))
	@$(call rebeam-list,no_autopatch,$(NO_AUTOPATCH))
	@$(call rebeam-list,ignore,$(IGNORE_DEPS))
	@$(call rebeam-list,local,$(LOCAL_DEPS))
	@$(call rebeam-list,plugins,$(foreach plugin,$(DEP_EARLY_PLUGINS) $(DEP_PLUGINS),$(firstword $(subst /, ,$(plugin)))))
	@$(call rebeam-list,rebar,$(REBAR_GIT) $(REBAR_COMMIT))
	@$(foreach dep,$(filter-out $(IGNORE_DEPS),$(BUILD_DEPS)),$(call rebeam-dep,build,$(dep)))
	@$(foreach dep,$(filter-out $(IGNORE_DEPS),$(DEPS)),$(call rebeam-dep,run,$(dep)))
	@$(foreach dep,$(filter-out $(IGNORE_DEPS),$(REL_DEPS)),$(call rebeam-dep,release,$(dep)))
.PHONY: rebeam-facts
";

/// Where RabbitMQ's fetch methods look where the project is no clone of anybody's.
const RABBITMQ: &str = "https://github.com/rabbitmq";

/// What erlang.mk leaves out of the dependencies of what it takes over from rebar.
const IGNORED_OF_REBAR: [&str; 8] = [
    "edown",
    "eper",
    "eunit_formatters",
    "meck",
    "node_package",
    "rebar_lock_deps_plugin",
    "rebar_vsn_plugin",
    "reltool_util",
];

/// What a Makefile states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MakeFacts {
    /// `BUILD_DEPS` and then `DEPS`, in the order in which erlang.mk fetches them.
    pub deps: Vec<MakeDep>,
    /// `REL_DEPS`.
    pub release_deps: Vec<MakeDep>,
    /// `NO_AUTOPATCH`.
    pub no_autopatch: NoAutopatch,
    /// `IGNORE_DEPS`.
    pub ignored: BTreeSet<String>,
    /// `LOCAL_DEPS`: applications of OTP or of the project itself.
    pub local: Vec<String>,
    /// Those of the dependencies whose makefiles it includes: `DEP_EARLY_PLUGINS` and `DEP_PLUGINS`.
    pub plugins: BTreeSet<String>,
    /// `REBAR_GIT` and `REBAR_COMMIT`.
    pub rebar: Option<(String, String)>,
    /// `PROJECT`.
    pub project: String,
    /// Where the file erlang.mk itself stands, below the source's top.
    pub erlang_mk: Option<String>,
}

/// What stands in `NO_AUTOPATCH` where a dependency's Makefile is evaluated, for what whoever builds it says there.
pub const ABOVE: &str = "rebeam-above";

/// What a Makefile's `NO_AUTOPATCH` says of what it fetches: it is left as it is.
///
/// erlang.mk exports the variable. So a dependency's Makefile sees what counts where it is built, and may add to it or
/// set it anew; a `rebar.config` says nothing of it and hands it down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoAutopatch {
    /// The dependencies that it names itself.
    pub names: BTreeSet<String>,
    /// It sets the variable anew, so that what counts above does not count here.
    pub replaces: bool,
}

impl NoAutopatch {
    fn read(words: &[&str]) -> Self {
        let names = words.iter().filter(|&&word| word != ABOVE);
        Self {
            names: names.map(|&word| word.to_owned()).collect(),
            replaces: !words.contains(&ABOVE),
        }
    }

    /// Returns what counts for what this Makefile fetches, if `above` counts where it is built.
    pub fn below(&self, above: &BTreeSet<String>) -> BTreeSet<String> {
        match self.replaces {
            true => self.names.clone(),
            false => above.union(&self.names).cloned().collect(),
        }
    }
}

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

/// How erlang.mk builds what lies in a dependency's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepKind {
    /// Its Makefile includes erlang.mk.
    ErlangMk,
    /// Autopatch makes a Makefile of its `rebar.config`.
    Rebar,
    /// A Makefile of its own, or none at all.
    Other,
}

impl DepKind {
    /// Looks at a dependency as `dep_autopatch` does; `is_patched` is false for what `NO_AUTOPATCH` names.
    pub fn of(directory: &Path, is_patched: bool) -> Result<Self, DiskError> {
        let has = |name: &str| disk::exists(&directory.join(name));
        let is_rebar = ["rebar", "rebar.config", "rebar.config.script", "rebar.lock"];
        let is_rebar = is_rebar.into_iter().any(has);
        let rebar = if is_rebar { Self::Rebar } else { Self::Other };
        let Some(makefile) = makefile(directory)? else {
            return Ok(rebar);
        };
        if has("erlang.mk") || includes_erlang_mk(&makefile) {
            return Ok(Self::ErlangMk);
        }
        let code = |line: &str| !line.starts_with('#');
        let names_rebar =
            makefile.to_lowercase().lines().any(|line| code(line) && line.contains("rebar"));
        Ok(if !is_patched || names_rebar { rebar } else { Self::Other })
    }
}

/// Reads the Makefile that `make` would take.
pub fn makefile(directory: &Path) -> Result<Option<String>, DiskError> {
    for name in ["GNUmakefile", "makefile", "Makefile"] {
        let path = directory.join(name);
        if disk::exists(&path) {
            return disk::read_text(&path, TEXT_FILE_BYTES_MAX).map(Some);
        }
    }
    Ok(None)
}

fn includes_erlang_mk(makefile: &str) -> bool {
    let include = |line: &str| {
        let line = line.trim_start_matches('-');
        line.strip_prefix("include ").is_some_and(|file| file.trim() == "erlang.mk")
    };
    makefile.lines().any(include)
}

/// Leaves out of a rebar dependency's wishes what autopatch leaves out.
pub fn without_ignored(mut deps: Vec<Wish>, ignored: &BTreeSet<String>) -> Vec<Wish> {
    deps.retain(|wish| {
        !IGNORED_OF_REBAR.contains(&wish.app.as_str()) && !ignored.contains(&wish.app)
    });
    deps
}

/// Reads the commit of rebar that an `erlang.mk` from before `REBAR_COMMIT` checks out.
pub fn rebar_in(erlang_mk: &str) -> Option<(String, String)> {
    let clone = erlang_mk.find("$(ERLANG_MK_TMP)/rebar; \\")?;
    let url = erlang_mk[..clone].rsplit(' ').nth(1)?;
    let rest = &erlang_mk[clone..];
    let commit = rest[rest.find("git checkout -q ")?..].split_whitespace().nth(3)?;
    let commit = commit.trim_end_matches(';');
    let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
    (is_commit && url.starts_with("https://")).then(|| (url.to_owned(), commit.to_owned()))
}

impl MakeFacts {
    /// Reads what `make` printed.
    pub fn read(text: &str) -> Self {
        let mut facts = Self::default();
        for line in text.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let owned = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
            match fields.as_slice() {
                ["no_autopatch", names @ ..] => facts.no_autopatch = NoAutopatch::read(names),
                ["project", name] => facts.project = (*name).to_owned(),
                ["file", path] => {
                    facts.erlang_mk = path.strip_prefix("/build/").map(str::to_owned);
                }
                ["plugins", names @ ..] => facts.plugins = owned(names),
                ["ignore", names @ ..] => facts.ignored = owned(names),
                ["local", names @ ..] => {
                    facts.local = names.iter().map(|&name| name.to_owned()).collect();
                }
                ["rebar", url, commit] => {
                    facts.rebar = Some(((*url).to_owned(), (*commit).to_owned()));
                }
                ["dep", kind, name, line, commit, index @ ..] => {
                    let dep = MakeDep::read(name, line, commit, index);
                    let list = match *kind {
                        "release" => &mut facts.release_deps,
                        _ => &mut facts.deps,
                    };
                    if !list.iter().any(|known| known.name == dep.name) {
                        list.push(dep);
                    }
                }
                _ => {}
            }
        }
        facts
    }

    /// Returns the dependencies of `parent` as wishes. What the manifest gives a source is believed to be fetchable,
    /// however the Makefile takes it.
    pub fn wishes(
        deps: &[MakeDep],
        parent: &str,
        place: Place<'_>,
        stated: &BTreeMap<String, DepOverride>,
    ) -> Result<Vec<Wish>, MakeError> {
        let wish = |dep: &MakeDep| {
            let source = stated.get(&dep.name).and_then(|dep| dep.source.clone());
            let source = source.map_or_else(|| dep.source(parent, place), Ok)?;
            Ok(Wish { app: dep.name.clone(), source })
        };
        deps.iter().map(wish).collect()
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
    fn read(name: &str, line: &str, commit: &str, index: &[&str]) -> Self {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            words =
                index.iter().filter(|word| !word.is_empty()).map(|&word| word.to_owned()).collect();
        }
        let commit = Some(commit.to_owned()).filter(|commit| !commit.is_empty());
        Self { name: name.to_owned(), words, commit }
    }

    /// Says where it is to come from, by each of the fetch methods.
    fn source(&self, parent: &str, place: Place<'_>) -> Result<WishSource, MakeError> {
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

    #[test]
    fn trap_17_the_commit_variable_beats_the_line() {
        let facts = MakeFacts::read(
            "dep\trun\tx\tgit https://host/x master\t2.10.0\tgit\thttps://other\t1.0\n",
        );
        let wishes =
            MakeFacts::wishes(&facts.deps, "shop", Place::Project(""), &BTreeMap::new()).unwrap();
        assert_eq!(wishes[0].source, git(GitRef::Tag("2.10.0".into()), None));
    }

    #[test]
    fn trap_18_lists_are_told_apart_and_the_index_is_asked_last() {
        let facts = MakeFacts::read(
            "no_autopatch\tdatum\tknet\nignore\n\
             dep\tbuild\tb\tgit https://host/b\t\t\t\t\n\
             dep\trun\tx\t\tmaster\tgit\thttps://host/x\t1.0.4\n\
             dep\trun\tb\tgit https://host/b\t\t\t\t\n\
             dep\trelease\trelx\t\t\tgit\thttps://host/relx\tmain\n",
        );
        let names = |deps: &[MakeDep]| deps.iter().map(|dep| dep.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&facts.deps), ["b", "x"]);
        assert_eq!(names(&facts.release_deps), ["relx"]);
        assert!(facts.no_autopatch.names.contains("knet"));
        let wishes =
            MakeFacts::wishes(&facts.deps[1..], "shop", Place::Dep, &BTreeMap::new()).unwrap();
        assert_eq!(wishes[0].source, git(GitRef::Branch("master".into()), None));
    }

    #[test]
    fn what_is_left_unpatched_is_handed_down_unless_it_is_set_anew() {
        let above: BTreeSet<String> = ["a".to_owned()].into();
        let below = |line: &str| MakeFacts::read(line).no_autopatch.below(&above);
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(below("no_autopatch\trebeam-above\n"), above);
        assert_eq!(below("no_autopatch\trebeam-above\tb\n"), names(&["a", "b"]));
        assert_eq!(below("no_autopatch\tb\n"), names(&["b"]));
        assert_eq!(below("no_autopatch\n"), names(&[]));
        assert_eq!(NoAutopatch::default().below(&above), above);
    }

    #[test]
    fn trap_13_the_hidden_clone_of_rebar_is_found_in_an_old_erlang_mk() {
        let commit = "791db716b5a3a7671e0b351f95ddf24b848ee173";
        let text = format!(
            "\tif [ ! -d $(ERLANG_MK_TMP)/rebar ]; then \\\n\t\tgit clone -q -n -- https://github.com/rebar/rebar $(ERLANG_MK_TMP)/rebar; \\\n\t\tcd $(ERLANG_MK_TMP)/rebar; \\\n\t\tgit checkout -q {commit}; \\\n"
        );
        let found = rebar_in(&text);
        assert_eq!(found, Some(("https://github.com/rebar/rebar".into(), commit.into())));
        assert_eq!(rebar_in("nothing"), None);
    }
}
