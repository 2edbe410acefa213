//! Modules: the BEAM has one namespace for them, so two applications with one module cannot be in one release.
//!
//! A source's own `src/NAME.erl` are seen when it is locked. What is generated is seen when it is built.

use std::collections::BTreeMap;

use thiserror::Error;

use super::Desk;
use crate::compile::CompileError;
use crate::disk;
use crate::explain::{Explain, Failure};
use crate::lock::{self, Lock, Role};
use crate::manifest::FILE_NAME;
use crate::project;
use crate::store::Store;

/// Two applications define one module.
#[derive(Debug, Error)]
#[error(
    "the module `{module}` is defined by two applications, and one release holds one of each name\n  {}\n  {}",
    one.join(" → "), other.join(" → ")
)]
pub struct ModuleFailure {
    module: String,
    one: Vec<String>,
    other: Vec<String>,
}

impl Explain for ModuleFailure {
    fn hint(&self) -> Option<String> {
        let app = self.other.last()?;
        Some(format!(
            "one of them is often a copy or a fork of the other: choose with `[deps.{app}] source` in {FILE_NAME}, or take the \
             module out with a patch in `[deps.{app}]`"
        ))
    }
}

/// Refuses a closure in which two applications bring one module along in their sources.
pub(super) fn check(desk: &Desk<'_>, lock: &Lock) -> Result<(), Failure> {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut own = |app: &str, module: String| match owners.get(&module) {
        Some(owner) if owner != app => Err(failure(lock, module, [owner, app])),
        _ => {
            owners.insert(module, app.to_owned());
            Ok(())
        }
    };
    for (app, home) in project::applications(desk.root)? {
        let source = home.join("src");
        let names = if disk::exists(&source) { disk::list(&source)? } else { Vec::new() };
        names.iter().filter_map(|name| module(name)).try_for_each(|module| own(&app, module))?;
    }
    for source in lock.sources.iter().filter(|source| source.role == Role::Dep) {
        // A file that the manifest takes out or changes is not known here.
        let wish = desk.manifest.deps.get(&source.app);
        if wish.is_some_and(|wish| !wish.patches.is_empty() || !wish.files.is_empty()) {
            continue;
        }
        for module in modules(desk.store, source)? {
            own(&source.app, module)?;
        }
    }
    Ok(())
}

fn modules(store: &Store, source: &lock::Source) -> Result<Vec<String>, Failure> {
    let Some(tree) = source.pin.tree() else { return Ok(Vec::new()) };
    let Some(held) = store.tree(tree)? else { return Ok(Vec::new()) };
    let place = held.path().join("src");
    let names = if disk::exists(&place) { disk::list(&place)? } else { Vec::new() };
    if is_of_another(&source.app, &names) {
        return Ok(Vec::new());
    }
    Ok(names.iter().filter_map(|name| module(name)).collect())
}

/// Tells whether what lies in a `src` is an application of another name: then nothing is compiled under
/// this one, as of a mix dependency with `compile: false` that only lends its files.
fn is_of_another(app: &str, names: &[Vec<u8>]) -> bool {
    let about = |name: &&Vec<u8>| name.ends_with(b".app.src") || name.ends_with(b".app.src.script");
    let mut abouts = names.iter().filter(about).peekable();
    let is_own = |name: &Vec<u8>| name.starts_with(format!("{app}.app.src").as_bytes());
    abouts.peek().is_some() && !abouts.any(is_own)
}

fn module(name: &[u8]) -> Option<String> {
    let stem = name.strip_suffix(b".erl")?;
    String::from_utf8(stem.to_vec()).ok()
}

fn failure(lock: &Lock, module: String, [one, other]: [&str; 2]) -> ModuleFailure {
    let way = |app: &str| {
        let ways = lock::why(lock, app);
        ways.into_iter().next().unwrap_or_else(|| vec![app.to_owned()])
    };
    ModuleFailure { module, one: way(one), other: way(other) }
}

/// Puts what a build found into the words of the lock: with the way to each application.
pub(super) fn explain(lock: &Lock, error: CompileError) -> Result<ModuleFailure, CompileError> {
    match error {
        CompileError::Twins { module, apps: [one, other] } => {
            Ok(failure(lock, module, [&one, &other]))
        }
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_an_application_of_another_name_define_no_module_of_this_one() {
        let names =
            |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
        assert!(is_of_another("wordlist", &names(&["words.app.src", "words.erl"])));
        assert!(!is_of_another("words", &names(&["words.app.src", "words.erl"])));
        assert!(!is_of_another("words", &names(&["words.app.src.script", "words.erl"])));
        assert!(!is_of_another("words", &names(&["words.erl"])), "erlang.mk needs none");
    }
}
