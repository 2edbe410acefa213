//! Modules: what is built is looked at for two applications with one module before a release is made of it.
//!
//! OTP's own applications are not looked at beforehand, for which of these will be in the release only the project's tool
//! knows. Where it refuses one because of a module's name, what it says is put into words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::CompileError;
use super::step::{Content, Step, StepKind};
use super::tools::OTP_HOME;
use crate::disk::{self, DiskError};
use crate::project;
use crate::store::{HeldTree, Store};
use crate::toolchain::Toolchain;

/// What systools says of two applications with one module, as a term or in words, and what ends an emulator that has loaded
/// one of these in the place of its own.
const REFUSALS: [&str; 3] =
    ["duplicate_modules", "Duplicated modules", "The code server called the unloaded module"];

/// Refuses to make a release of outputs of which two hold one module.
pub(super) fn refuse_twins(step: &Step, outputs: &[Option<HeldTree>]) -> Result<(), CompileError> {
    if step.kind != StepKind::Release {
        return Ok(());
    }
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for (app, output) in applications(step, outputs) {
        for module in compiled(&output.path().join("ebin"))? {
            if let Some(owner) = owners.insert(module.clone(), app)
                && owner != app
            {
                return Err(CompileError::Twins { module, apps: [owner.into(), app.into()] });
            }
        }
    }
    Ok(())
}

/// Puts it into words where a step failed because of a module that OTP has, too.
pub(super) fn explain_otps(
    step: &Step,
    outputs: &[Option<HeldTree>],
    (store, toolchain): (&Store, &Toolchain),
    error: CompileError,
) -> CompileError {
    let CompileError::Failed { tail, .. } = &error else { return error };
    let refuses = |line: &String| REFUSALS.iter().any(|words| line.contains(words));
    if !matches!(step.kind, StepKind::Release | StepKind::Dep) || !tail.iter().any(refuses) {
        return error;
    }
    let said = tail.join("\n");
    // Where this cannot be found out, what was said stays.
    match otp_twin(step, outputs, (store, toolchain), &said) {
        Ok(Some(found)) => found,
        Ok(None) | Err(_) => error,
    }
}

fn otp_twin(
    step: &Step,
    outputs: &[Option<HeldTree>],
    (store, toolchain): (&Store, &Toolchain),
    said: &str,
) -> Result<Option<CompileError>, CompileError> {
    let built = step.inputs.iter().find(|input| input.at == OTP_HOME);
    let otp = match built.map(|input| &input.content) {
        Some(Content::Output(index)) => output(outputs, *index).path().to_owned(),
        _ => toolchain.root.path().join(OTP_HOME.trim_start_matches('/')),
    };
    let mut ours: Vec<(String, Vec<String>)> = Vec::new();
    for (app, output) in applications(step, outputs) {
        ours.push((app.to_owned(), compiled(&output.path().join("ebin"))?));
    }
    // What the step that failed was to compile itself is known by its sources.
    if let Some(Content::Source(digest)) = step.inputs.first().map(|input| &input.content)
        && let Some(tree) = store.tree(*digest)?
    {
        for (app, home) in project::applications(tree.path()).unwrap_or_default() {
            ours.push((app, named(&home.join("src"), b".erl")?));
        }
    }
    let replaced: BTreeSet<&str> = ours.iter().map(|(app, _)| app.as_str()).collect();
    let mut theirs = otp_modules(&otp, |_| true)?;
    theirs.retain(|_, of| !replaced.contains(of.as_str()));
    for (app, modules) in &ours {
        for module in modules.iter().filter(|module| is_said(said, module)) {
            if let Some(of) = theirs.get(module) {
                let (module, app, of) = (module.clone(), app.clone(), of.clone());
                return Ok(Some(CompileError::OtpTwin { module, app, of }));
            }
        }
    }
    Ok(None)
}

/// Tells whether a module is named as a word of its own.
fn is_said(said: &str, module: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
    said.match_indices(module).any(|(at, _)| {
        let (before, after) = (&said[..at], &said[at + module.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// Returns the modules of those applications of the OTP in `home` that are asked for, each with the application that it is of.
pub fn otp_modules(
    home: &Path,
    is_asked: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>, DiskError> {
    let mut modules = BTreeMap::new();
    let lib = home.join("lib");
    for name in if disk::exists(&lib) { disk::list(&lib)? } else { Vec::new() } {
        let name = String::from_utf8_lossy(&name).into_owned();
        let app = name.rsplit_once('-').map_or(name.as_str(), |(app, _)| app);
        if is_asked(app) {
            let found = compiled(&lib.join(&name).join("ebin"))?;
            modules.extend(found.into_iter().map(|module| (module, app.to_owned())));
        }
    }
    Ok(modules)
}

/// What was built of the applications that a release can be made of.
fn applications<'a>(
    step: &'a Step,
    outputs: &'a [Option<HeldTree>],
) -> impl Iterator<Item = (&'a str, &'a HeldTree)> {
    step.inputs.iter().filter_map(|input| {
        let Content::Output(index) = input.content else { return None };
        // Tools stand elsewhere, and plugins are in no release.
        if !input.at.starts_with("/build/") || input.at.contains("/plugins/") {
            return None;
        }
        Some((input.at.rsplit('/').next().unwrap_or(&input.at), output(outputs, index)))
    })
}

fn output(outputs: &[Option<HeldTree>], index: usize) -> &HeldTree {
    outputs[index].as_ref().expect("every step's inputs stand before it")
}

fn compiled(ebin: &Path) -> Result<Vec<String>, DiskError> {
    named(ebin, b".beam")
}

/// The names of a directory's files that end so, without that ending.
fn named(directory: &Path, ending: &[u8]) -> Result<Vec<String>, DiskError> {
    let names = if disk::exists(directory) { disk::list(directory)? } else { Vec::new() };
    let stems = names.iter().filter_map(|name| name.strip_suffix(ending));
    Ok(stems.map(|stem| String::from_utf8_lossy(stem).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_named_by_a_whole_word() {
        let said = "{duplicate_modules,[{{ssl_app,ssl,\"1\"},{ssl_app,'my@ssl',\"2\"}}]}";
        assert!(is_said(said, "ssl_app") && is_said(said, "ssl"));
        assert!(!is_said(said, "app") && !is_said(said, "ss") && !is_said(said, "my"));
    }
}
