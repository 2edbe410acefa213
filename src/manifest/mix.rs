//! Mix: the facts that a `mix.exs` states, once it has been evaluated.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::rebar::{self, GitRef, Wish, WishSource};
use crate::explain::Explain;
use crate::terms::Term;

/// What a `mix.exs` states that matters to us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MixFacts {
    /// The application; none in an umbrella's root.
    pub app: Option<String>,
    /// Its version, empty where it states none.
    pub version: String,
    /// The releases that it names.
    pub releases: Vec<String>,
    /// The project's own applications by name, with their directories: an umbrella's, and those that are
    /// dependencies by a path inside the project.
    pub own: BTreeMap<String, String>,
    /// Which of them are dependencies by a path.
    pub by_path: BTreeSet<String>,
    /// What it and its own applications ask for.
    pub deps: Vec<MixDep>,
    /// Its configuration, by application: values in the external term format.
    pub config: BTreeMap<String, Vec<u8>>,
}

/// A dependency of a `mix.exs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixDep {
    /// The application that asks for it.
    pub parent: String,
    /// What is asked for.
    pub wish: Wish,
    /// The environments that it is asked for in; empty for all.
    pub only: BTreeSet<String>,
    /// Whether it counts only where something else asks for it too.
    pub optional: bool,
    /// Whether it counts whatever others ask for.
    pub wins: bool,
    /// Whether it has no application and is only looked at: `compile: false` or `app: false`.
    pub is_raw: bool,
    /// The tool that it names, as written.
    pub manager: Option<String>,
}

/// A `mix.exs` that rebeam cannot use.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MixError {
    /// A dependency that has none of mix's forms.
    #[error("`mix.exs` of `{parent}` holds `{dep}`, which is no dependency that mix knows")]
    BadDep {
        /// Who asks.
        parent: String,
        /// The term, shortened.
        dep: String,
    },
    /// A dependency whose requirement is a regular expression, which no registry answers.
    #[error(
        "`mix.exs` of `{parent}` asks for `{app}` by a regular expression, which no registry knows"
    )]
    Regex {
        /// Who asks.
        parent: String,
        /// For what.
        app: String,
    },
    /// What was evaluated has an unknown form.
    #[error("`mix.exs` was evaluated to `{found}`, which says nothing")]
    BadFact {
        /// The term, shortened.
        found: String,
    },
}

impl Explain for MixError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Regex { app, .. } => {
                Some(format!("`[deps.{app}] source = \"hex:{app}@…\"` in rebeam.toml decides"))
            }
            _ => None,
        }
    }
}

impl MixFacts {
    /// Takes the facts from the terms that the evaluation printed.
    pub fn from_terms(terms: &[Term]) -> Result<Self, MixError> {
        let mut facts = Self::default();
        for term in terms {
            facts.take(term)?;
        }
        let own: BTreeSet<&String> = facts.own.keys().collect();
        let deps = std::mem::take(&mut facts.deps);
        let deps = deps.into_iter().filter(|dep| !own.contains(&dep.wish.app));
        facts.deps = deps.collect();
        Ok(facts)
    }

    fn take(&mut self, term: &Term) -> Result<(), MixError> {
        let bad = || MixError::BadFact { found: shorten(term) };
        let Some((Term::Atom(kind), rest)) = term.as_tuple().and_then(<[Term]>::split_first) else {
            return Err(bad());
        };
        match (kind.as_str(), rest) {
            ("project", [app, version]) => {
                self.app = app.as_text().filter(|app| app != "undefined");
                self.version = version.as_text().ok_or_else(bad)?;
            }
            ("releases", [names]) => {
                let names = names.as_list().ok_or_else(bad)?;
                self.releases = names.iter().filter_map(Term::as_text).collect();
            }
            ("own", [app, path, kind]) => {
                let (app, path) = app.as_text().zip(path.as_text()).ok_or_else(bad)?;
                if kind.as_atom() == Some("path") {
                    self.by_path.insert(app.clone());
                }
                self.own.insert(app, path);
            }
            ("config", [app, values]) => {
                let (app, values) = app.as_text().zip(values.as_text()).ok_or_else(bad)?;
                let values = STANDARD.decode(values).map_err(|_| bad())?;
                self.config.insert(app, values);
            }
            ("dep", [parent, app, requirement, options]) => {
                let parent = parent.as_text().ok_or_else(bad)?;
                self.deps.extend(dep(parent, app, requirement, options)?);
            }
            _ => return Err(bad()),
        }
        Ok(())
    }

    /// Returns what is asked for in an environment.
    pub fn deps_in(&self, env: &str) -> impl Iterator<Item = &MixDep> {
        self.deps.iter().filter(move |dep| dep.only.is_empty() || dep.only.contains(env))
    }
}

/// Reads one dependency; none where it belongs to another application of the project.
fn dep(
    parent: String,
    app: &Term,
    requirement: &Term,
    options: &Term,
) -> Result<Option<MixDep>, MixError> {
    let bad = || MixError::BadDep { parent: parent.clone(), dep: shorten(app) };
    let name = app.as_atom().ok_or_else(bad)?;
    rebar::check_name(name).map_err(|_| bad())?;
    let options = options.as_list().ok_or_else(bad)?;
    let option =
        |key: &str| crate::terms::get(options, key).filter(|value| value.as_atom() != Some("nil"));
    let is_true = |key: &str| option(key).is_some_and(|value| value.as_atom() == Some("true"));
    let is_false = |key: &str| option(key).is_some_and(|value| value.as_atom() == Some("false"));
    if is_true("in_umbrella") || targets_elsewhere(option("targets")) {
        return Ok(None);
    }
    let text = |key: &str| option(key).and_then(Term::as_text);
    let requirement = match requirement {
        Term::Atom(_) => None,
        Term::Tuple(_) => return Err(MixError::Regex { parent, app: name.to_owned() }),
        text => text.as_text(),
    };
    let source = source(name, requirement, &text).ok_or_else(bad)?;
    let only = match option("only") {
        None => BTreeSet::new(),
        Some(Term::List(names)) => names.iter().filter_map(Term::as_text).collect(),
        Some(name) => name.as_text().into_iter().collect(),
    };
    Ok(Some(MixDep {
        wish: Wish { app: name.to_owned(), source },
        only,
        optional: is_true("optional"),
        wins: is_true("override"),
        is_raw: is_false("compile") || is_false("app"),
        manager: text("manager"),
        parent,
    }))
}

/// Tells whether a dependency is for other machines than the one that builds.
fn targets_elsewhere(targets: Option<&Term>) -> bool {
    match targets {
        None => false,
        Some(Term::List(names)) => !names.iter().any(|name| name.as_atom() == Some("host")),
        Some(name) => name.as_atom() != Some("host"),
    }
}

fn source(
    app: &str,
    requirement: Option<String>,
    text: &dyn Fn(&str) -> Option<String>,
) -> Option<WishSource> {
    if let Some(path) = text("path") {
        return rebar::is_plain(&path).then_some(WishSource::Path { path });
    }
    let github = text("github").map(|name| format!("https://github.com/{name}.git"));
    if let Some(url) = text("git").or(github) {
        let reference = match (text("ref"), text("tag"), text("branch")) {
            (Some(name), _, _) => rebar::revision(name),
            (None, Some(name), _) => GitRef::Tag(name),
            (None, None, Some(name)) => GitRef::Branch(name),
            (None, None, None) => GitRef::Default,
        };
        let subdir = text("sparse").or_else(|| text("subdir"));
        let subdir = subdir.map(|dir| dir.trim_matches('/').trim_start_matches("./").to_owned());
        if subdir
            .as_ref()
            .is_some_and(|dir| dir.split('/').any(|part| matches!(part, "" | "." | "..")))
        {
            return None;
        }
        return rebar::is_plain(&url).then_some(WishSource::Git { url, reference, subdir });
    }
    let package = text("hex").unwrap_or_else(|| app.to_owned());
    rebar::check_name(&package).ok()?;
    let repository = match (text("organization"), text("repo")) {
        (Some(organization), _) => Some(format!("hexpm:{organization}")),
        (None, repository) => repository.filter(|name| name != "hexpm"),
    };
    Some(WishSource::Hex { package, requirement, repository })
}

fn shorten(term: &Term) -> String {
    term.to_string().chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms;

    fn facts(text: &str) -> Result<MixFacts, MixError> {
        MixFacts::from_terms(&terms::parse_all(text).unwrap())
    }

    fn source_of(requirement: &str, options: &str) -> WishSource {
        let facts = facts(&format!("{{dep, shop, x, {requirement}, [{options}]}}.")).unwrap();
        facts.deps[0].wish.source.clone()
    }

    #[test]
    fn each_kind_of_source_is_read() {
        let git = |reference, subdir: Option<&str>| WishSource::Git {
            url: "https://github.com/o/x.git".into(),
            reference,
            subdir: subdir.map(str::to_owned),
        };
        assert_eq!(source_of("none", "{github, <<\"o/x\">>}"), git(GitRef::Default, None));
        let tag = "{git, <<\"https://github.com/o/x.git\">>}, {tag, <<\"1.0\">>}, {sparse, <<\"lib/x\">>}";
        assert_eq!(source_of("none", tag), git(GitRef::Tag("1.0".into()), Some("lib/x")));
        let hex = |repository: Option<&str>| WishSource::Hex {
            package: "y".into(),
            requirement: Some("~> 1.0".into()),
            repository: repository.map(str::to_owned),
        };
        assert_eq!(source_of("<<\"~> 1.0\">>", "{hex, y}"), hex(None));
        assert_eq!(
            source_of("<<\"~> 1.0\">>", "{hex, y}, {organization, <<\"acme\">>}"),
            hex(Some("hexpm:acme"))
        );
        assert_eq!(
            source_of("none", "{path, <<\"../x\">>}"),
            WishSource::Path { path: "../x".into() }
        );
    }

    #[test]
    fn what_belongs_to_the_project_or_to_other_machines_is_no_dependency() {
        let facts = facts(
            "{project, shop, <<\"1.0\">>}. {own, web, <<\"apps/web\">>, umbrella}. {dep, shop, web, none, [{path, <<\"apps/web\">>}]}.
             {dep, web, shop, none, [{in_umbrella, true}]}. {dep, shop, rpi, none, [{targets, [rpi4]}]}.
             {dep, shop, credo, <<\"~> 1.0\">>, [{only, [dev, test]}, {runtime, false}]}.
             {dep, shop, icons, none, [{github, <<\"o/i\">>}, {compile, false}, {override, true}]}.",
        );
        let facts = facts.unwrap();
        let names = |env| facts.deps_in(env).map(|dep| dep.wish.app.as_str()).collect::<Vec<_>>();
        assert_eq!(names("prod"), ["icons"]);
        assert_eq!(names("dev"), ["credo", "icons"]);
        assert!(facts.deps[1].wins && facts.deps[1].is_raw);
    }

    #[test]
    fn what_is_no_dependency_is_refused() {
        for text in [
            "{dep, shop, '../x', none, []}.",
            "{dep, shop, x, none, [{git, <<\"-x\">>}]}.",
            "{dep, shop, x, none, [{git, <<\"https://h/x\">>}, {sparse, <<\"../y\">>}]}.",
            "{dep, shop, x, {regex, <<\"1\">>}, []}.",
            "{dep, shop}.",
            "dep.",
        ] {
            assert!(facts(text).is_err(), "{text}");
        }
    }
}
