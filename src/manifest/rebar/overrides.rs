//! Overrides: what a project changes in the configurations of its dependencies.
//!
//! The order is rebar3's (`rebar_opts:apply_overrides`): first what holds for every application,
//! override before add before del, then in the same order what names this one. Along the tree a
//! dependency's own overrides come before those of whoever asks for it, so that the top project has
//! the last word.

use super::{RebarError, RebarFacts, list};
use crate::terms::{self, Term};

/// The overrides that hold at one place of the dependency tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    kind: Kind,
    /// `None` for every application.
    app: Option<String>,
    changes: Vec<(String, Term)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Override,
    Add,
    Del,
}

impl Overrides {
    /// Takes the overrides that a configuration states itself.
    pub fn of(facts: &RebarFacts) -> Result<Self, RebarError> {
        Self::of_terms(&facts.terms)
    }

    /// Takes the overrides of the top project, with those of its profiles before its own.
    pub fn of_project(facts: &RebarFacts, profiles: &[&str]) -> Result<Self, RebarError> {
        let mut overrides = Self::of(facts)?;
        for profile in profiles {
            let mut rules = Self::of_terms(super::profile_terms(&facts.terms, profile)?)?.rules;
            rules.append(&mut overrides.rules);
            overrides.rules = rules;
        }
        Ok(overrides)
    }

    fn of_terms(terms: &[Term]) -> Result<Self, RebarError> {
        // rebar3 passes over what is no override, and so do we.
        let rules = list(terms, "overrides")?.iter().filter_map(Rule::read);
        Ok(Self { rules: rules.collect() })
    }

    /// Returns the overrides that hold for a dependency with the facts `own` and for all below it.
    pub fn below(&self, own: &RebarFacts) -> Result<Self, RebarError> {
        let mut overrides = Self::of(own)?;
        overrides.rules.extend_from_slice(&self.rules);
        Ok(overrides)
    }

    /// Applies the overrides to the facts of `app`.
    pub fn apply(&self, app: &str, facts: &RebarFacts) -> Result<RebarFacts, RebarError> {
        let mut terms = facts.terms.clone();
        let mut asked = facts.asked.clone();
        for general in [true, false] {
            for kind in [Kind::Override, Kind::Add, Kind::Del] {
                let meant = |rule: &&Rule| match &rule.app {
                    None => general,
                    Some(name) => !general && name == app,
                };
                let rules = self.rules.iter().filter(|rule| rule.kind == kind);
                for (key, value) in rules.filter(meant).flat_map(|rule| &rule.changes) {
                    if key == "deps" {
                        asked = changed(kind, key, value, &asked)?;
                    } else {
                        change(kind, key, value, &mut terms)?;
                    }
                }
            }
        }
        RebarFacts::new(terms, asked)
    }
}

impl Rule {
    fn read(term: &Term) -> Option<Self> {
        let (kind, rest) = term.as_tuple()?.split_first()?;
        let kind = match kind.as_atom()? {
            "override" => Kind::Override,
            "add" => Kind::Add,
            "del" => Kind::Del,
            _ => return None,
        };
        let (app, changes) = match rest {
            [changes] => (None, changes),
            [app, changes] => (Some(app.as_atom()?.to_owned()), changes),
            _ => return None,
        };
        let pair = |change: &Term| match change.as_tuple()? {
            [key, value] => Some((key.as_atom()?.to_owned(), value.clone())),
            _ => None,
        };
        Some(Self { kind, app, changes: changes.as_list()?.iter().filter_map(pair).collect() })
    }
}

fn change(kind: Kind, key: &str, value: &Term, terms: &mut Vec<Term>) -> Result<(), RebarError> {
    let value = match kind {
        Kind::Override => value.clone(),
        Kind::Add | Kind::Del => {
            let old = terms::get(terms, key).and_then(Term::as_list);
            Term::List(changed(kind, key, value, old.unwrap_or_default())?)
        }
    };
    let same =
        |term: &Term| matches!(term.as_tuple(), Some([name, _]) if name.as_atom() == Some(key));
    terms.retain(|term| !same(term));
    terms.push(Term::Tuple(vec![Term::atom(key), value]));
    Ok(())
}

fn changed(kind: Kind, key: &str, value: &Term, old: &[Term]) -> Result<Vec<Term>, RebarError> {
    let not_a_list = || RebarError::NotAList { key: format!("overrides: {key}") };
    let values = value.as_list().ok_or_else(not_a_list)?;
    Ok(match kind {
        Kind::Override => values.to_vec(),
        Kind::Add => values.iter().chain(old).cloned().collect(),
        Kind::Del => {
            let mut left = old.to_vec();
            for value in values {
                delete(&mut left, value);
            }
            left
        }
    })
}

/// Deletes one element: by name the first entry of a lock or registry (their names are binaries),
/// else the first that is exactly equal (`rebar_opts:del_dep`).
fn delete(items: &mut Vec<Term>, value: &Term) {
    let name = match value {
        Term::Atom(name) => Some(name),
        Term::Tuple(items) => match items.as_slice() {
            [Term::Atom(name), _, _] => Some(name),
            _ => None,
        },
        _ => None,
    };
    let named = name.and_then(|name| {
        let name = Term::binary(name.as_str());
        let is_it = |item: &Term| item.as_tuple().and_then(<[Term]>::first) == Some(&name);
        items.iter().position(is_it)
    });
    let found = named.or_else(|| items.iter().position(|item| item == value));
    if let Some(position) = found {
        items.remove(position);
    }
}
