//! Modules: the BEAM has one namespace for them, so two applications with one module cannot be in one release.
//!
//! A source's own `src/NAME.erl` are seen when it is locked, and so are those modules of the pinned OTP that are in every
//! release. What is generated, and what of OTP only some releases hold, is seen when it is built.

use std::collections::BTreeMap;
use std::path::Path;

use thiserror::Error;

use super::Desk;
use crate::compile::{self, CompileError};
use crate::disk::{self, DiskError};
use crate::event::Event;
use crate::explain::{Explain, Failure};
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::{self, Lock, Pin, Role};
use crate::manifest::tools::OTP;
use crate::manifest::{FILE_NAME, Tool};
use crate::project;
use crate::toolchain;

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
    /// The first is OTP's.
    is_otps: bool,
}

impl Explain for ModuleFailure {
    fn hint(&self) -> Option<String> {
        let app = self.other.last()?;
        if !self.is_otps {
            return Some(format!(
                "one of them is often a copy or a fork of the other: choose with `[deps.{app}] source` in {FILE_NAME}, or take \
                 the module out with a patch in `[deps.{app}]`"
            ));
        }
        if self.other.len() == 1 {
            return Some(
                "OTP's own is in the release whatever you do: rename the project's".to_owned(),
            );
        }
        Some(format!(
            "OTP's own is in the release whatever you do: rename the module, or take it out, by a patch in `[deps.{app}]` of \
             {FILE_NAME}; or take a newer `{app}`, or an older `otp` that lacks the module"
        ))
    }
}

/// Refuses a closure in which two applications bring one module along in their sources, or one brings along what OTP
/// has in every release.
pub(super) fn check(desk: &Desk<'_>, lock: &Lock) -> Result<(), Failure> {
    let always = in_every_release(desk, lock)?;
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut own = |app: &str, module: String| match owners.get(&module) {
        _ if always.get(&module).is_some_and(|of| of != app) => {
            Err(of_otp(lock, app, &always[&module], module))
        }
        Some(owner) if owner != app => Err(failure(lock, module, [owner, app])),
        _ => {
            owners.insert(module, app.to_owned());
            Ok(())
        }
    };
    for (app, home) in project::applications(desk.root)? {
        modules(&app, &home)?.into_iter().try_for_each(|module| own(&app, module))?;
    }
    for source in lock.sources.iter().filter(|source| source.role == Role::Dep) {
        // A file that the manifest takes out or changes is not known here.
        let wish = desk.manifest.deps.get(&source.app);
        if wish.is_some_and(|wish| !wish.patches.is_empty() || !wish.files.is_empty()) {
            continue;
        }
        let place = match (&source.pin, source.pin.tree()) {
            (Pin::Path { path }, _) => Some(desk.root.join(path)),
            (_, Some(tree)) => desk.store.tree(tree)?.map(|held| held.path().to_owned()),
            (_, None) => None,
        };
        let Some(place) = place else { continue };
        if matches!(source.tool, Tool::Rebar3 | Tool::Rebar) {
            warn_of_another_name(desk, lock, source, &place)?;
        }
        modules(&source.app, &place)?
            .into_iter()
            .try_for_each(|module| own(&source.app, module))?;
    }
    Ok(())
}

/// Says where what is asked for by one name is an application of another: a release knows it by its own.
fn warn_of_another_name(
    desk: &Desk<'_>,
    lock: &Lock,
    source: &lock::Source,
    place: &Path,
) -> Result<(), Failure> {
    let place = place.join("src");
    let names = if disk::exists(&place) { disk::list(&place)? } else { Vec::new() };
    if !is_of_another(&source.app, &names) {
        return Ok(());
    }
    let own = names.iter().find_map(|name| name.strip_suffix(b".app.src"));
    let Some(own) = own.map(String::from_utf8_lossy) else { return Ok(()) };
    let ways = lock::why(lock, &source.app);
    let way = ways.first().map(|way| way.join(" → ")).unwrap_or_default();
    let app = &source.app;
    let message = format!(
        "`{app}` is asked for, and its source is the application `{own}`, which no release finds under another name: \
         ask for `{own}`\n         {way}"
    );
    desk.observer.observe(&Event::Warned { message: &message });
    Ok(())
}

/// The modules of OTP that are in every release, each with the application that it is of; none where the toolchain is not
/// put together yet, or where OTP is built from source.
fn in_every_release(desk: &Desk<'_>, lock: &Lock) -> Result<BTreeMap<String, String>, Failure> {
    let is_built = lock.find(Role::Tool, OTP).is_some();
    match toolchain::held(&lock.toolchain, desk.store)?.filter(|_| !is_built) {
        Some(toolchain) => {
            let home = toolchain.root.path().join("usr/lib/erlang");
            let is_always = |app: &str| ["erts", "kernel", "stdlib"].contains(&app);
            Ok(compile::otp_modules(&home, is_always)?)
        }
        None => Ok(BTreeMap::new()),
    }
}

/// The modules that an application has for certain, as far as its source tells.
fn modules(app: &str, home: &Path) -> Result<Vec<String>, DiskError> {
    let place = home.join("src");
    let names = if disk::exists(&place) { disk::list(&place)? } else { Vec::new() };
    if names.is_empty() || is_of_another(app, &names) || chooses(home)? {
        return Ok(Vec::new());
    }
    Ok(names.iter().filter_map(|name| module(name)).collect())
}

/// Tells whether an application may choose what of its `src` is compiled.
fn chooses(home: &Path) -> Result<bool, DiskError> {
    let by = [
        ("rebar.config", "src_dirs"),
        ("rebar.config.script", "src_dirs"),
        ("Makefile", "ERLC_EXCLUDE"),
        ("mix.exs", "erlc_"),
    ];
    for (file, word) in by {
        let path = home.join(file);
        if disk::exists(&path) && disk::read_text(&path, TEXT_FILE_BYTES_MAX)?.contains(word) {
            return Ok(true);
        }
    }
    Ok(false)
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
    ModuleFailure { module, one: way(one), other: way(other), is_otps: false }
}

/// OTP's application stands in the place of the other one.
fn of_otp(lock: &Lock, app: &str, of: &str, module: String) -> ModuleFailure {
    let found = failure(lock, module, [of, app]);
    let one = vec![format!("OTP {}", lock.toolchain.otp), of.to_owned()];
    ModuleFailure { one, is_otps: true, ..found }
}

/// Puts what a build found into the words of the lock: with the way to each application.
pub(super) fn explain(lock: &Lock, error: CompileError) -> Result<ModuleFailure, CompileError> {
    match error {
        CompileError::Twins { module, apps: [one, other] } => {
            Ok(failure(lock, module, [&one, &other]))
        }
        CompileError::OtpTwin { module, app, of } => Ok(of_otp(lock, &app, &of, module)),
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
