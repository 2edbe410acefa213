//! Rebar: how rebar3 is brought to build one thing from what lies ready, without fetching.
//!
//! rebar3 takes a dependency as it is if it finds it in `_build/default/lib/NAME`, has no `rebar.lock`
//! to compare it with, and its source is not a hex package (those it looks up in an index first). So a step
//! gets a `rebar.config` whose dependencies are one flat list of git sources that are never asked, and
//! whose overrides empty the dependencies' own lists. What is compiled already rebar3 leaves alone: it
//! skips every dependency whose artifacts are complete.

use crate::terms::Term;

/// Starts rebar3 from its applications, with the emulator's flags that its escript has.
const START: &str = "exec erl +sbtu +A1 -noinput -boot no_dot_erlang -pa /opt/rebar3/*/ebin \
    -eval 'rebar3:main(init:get_plain_arguments()), halt(0).' -extra \"$@\"";

/// A call of rebar3.
pub(super) fn command(arguments: &[&str]) -> Vec<String> {
    ["sh", "-c", START, "rebar3"]
        .iter()
        .chain(arguments)
        .map(|&argument| argument.to_owned())
        .collect()
}

fn atom(name: &str) -> Term {
    Term::Atom(name.into())
}

fn pair(key: &str, value: Term) -> Term {
    Term::Tuple(vec![atom(key), value])
}

/// `{Name, {git, "locked", {ref, "locked"}}}`: a dependency that lies ready.
fn ready(app: &str) -> Term {
    let text = |text: &str| Term::String(text.into());
    let source = Term::Tuple(vec![atom("git"), text("locked"), pair("ref", text("locked"))]);
    pair(app, source)
}

fn all_ready<'a>(apps: impl IntoIterator<Item = &'a str>) -> Term {
    Term::List(apps.into_iter().map(ready).collect())
}

/// The key of a configuration term: `deps` of `{deps, …}`.
fn key(term: &Term) -> Option<&str> {
    match term {
        Term::Tuple(parts) => match parts.first() {
            Some(Term::Atom(key)) => Some(key),
            _ => None,
        },
        _ => None,
    }
}

/// What decides which dependencies there are; the lock has decided already.
const DECIDED: [&str; 3] = ["deps", "plugins", "project_plugins"];

fn undecided(terms: &[Term]) -> Vec<Term> {
    terms
        .iter()
        .filter(|term| !key(term).is_some_and(|key| DECIDED.contains(&key)))
        .cloned()
        .collect()
}

/// An application with what it needs, for the overrides.
pub(super) struct Needs<'a> {
    /// The application.
    pub(super) app: &'a str,
    /// The plugins that its own configuration asks for, those that it brings along included.
    pub(super) plugins: Vec<&'a str>,
    /// What it is to see as its dependencies: nothing but for a plugin.
    pub(super) deps: Vec<&'a str>,
}

/// The project's overrides, cleared of what the lock has decided, and then one for each application.
fn overrides(project: &[Term], needs: &[Needs<'_>]) -> Term {
    let mut overrides = Vec::new();
    for term in project.iter().filter(|term| key(term) == Some("overrides")) {
        let Term::Tuple(parts) = term else { continue };
        let Some(Term::List(entries)) = parts.get(1) else {
            continue;
        };
        overrides.extend(entries.iter().map(clear_override));
    }
    for need in needs {
        let options = Term::List(vec![
            pair("deps", all_ready(need.deps.iter().copied())),
            pair("plugins", all_ready(need.plugins.iter().copied())),
        ]);
        overrides.push(Term::Tuple(vec![atom("override"), atom(need.app), options]));
    }
    Term::List(overrides)
}

fn clear_override(entry: &Term) -> Term {
    let Term::Tuple(parts) = entry else {
        return entry.clone();
    };
    let clear = |part: &Term| match part {
        Term::List(options) => Term::List(undecided(options)),
        other => other.clone(),
    };
    Term::Tuple(parts.iter().map(clear).collect())
}

/// Prints terms as a configuration file.
pub(super) fn print(terms: &[Term]) -> Vec<u8> {
    let mut text = String::from("%% coding: utf-8\n");
    for term in terms {
        text.push_str(&term.to_string());
        text.push_str(".\n");
    }
    text.into_bytes()
}

/// The configuration under which one dependency is built; its closure and it itself are `deps`.
pub(super) fn dep_config(
    project: &[Term],
    profile: &str,
    deps: &[&str],
    needs: &[Needs<'_>],
) -> Vec<u8> {
    print(&[
        pair("deps", all_ready(deps.iter().copied())),
        pair("overrides", overrides(project, needs)),
        no_news(profile),
    ])
}

/// The configuration under which one plugin is built.
pub(super) fn plugin_config(
    project: &[Term],
    profile: &str,
    plugin: &str,
    needs: &[Needs<'_>],
) -> Vec<u8> {
    print(&[
        pair("plugins", all_ready([plugin])),
        pair("overrides", overrides(project, needs)),
        no_news(profile),
    ])
}

/// An empty profile: rebar3 warns of one that is not named.
fn no_news(profile: &str) -> Term {
    pair("profiles", Term::List(vec![pair(profile, Term::List(vec![]))]))
}

/// The project's own configuration, with its dependencies and plugins lying ready.
pub(super) fn project_config(
    project: &[Term],
    deps: &[&str],
    plugins: &[&str],
    needs: &[Needs<'_>],
) -> Vec<u8> {
    let mut terms: Vec<Term> =
        undecided(project).into_iter().filter(|term| key(term) != Some("overrides")).collect();
    for term in &mut terms {
        if key(term) == Some("profiles") {
            *term = clear_profiles(term);
        }
    }
    terms.push(pair("deps", all_ready(deps.iter().copied())));
    terms.push(pair("plugins", all_ready(plugins.iter().copied())));
    terms.push(pair("overrides", overrides(project, needs)));
    print(&terms)
}

fn clear_profiles(profiles: &Term) -> Term {
    let Term::Tuple(parts) = profiles else {
        return profiles.clone();
    };
    let clear = |part: &Term| match part {
        Term::List(entries) => Term::List(entries.iter().map(clear_override).collect()),
        other => other.clone(),
    };
    Term::Tuple(parts.iter().map(clear).collect())
}
