//! Makefile: what an erlang.mk project's Makefile says once `make` itself has evaluated it.
//!
//! `make` prints one fact a line, parted by tabs ([`PROGRAM`] is what it is given for that); here they are read, and a
//! dependency in one of erlang.mk's forms becomes a [`Wish`].

mod dep;
mod kind;

use std::collections::{BTreeMap, BTreeSet};

pub use dep::{MakeDep, MakeError, Place};
pub use kind::{DepKind, makefile, rebar_in, without_ignored};

use super::DepOverride;
use super::rebar::Wish;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::rebar::{GitRef, WishSource};

    fn git(reference: GitRef, subdir: Option<&str>) -> WishSource {
        let url = "https://host/x".into();
        WishSource::Git { url, reference, subdir: subdir.map(str::to_owned) }
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
}
