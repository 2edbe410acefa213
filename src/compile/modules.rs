//! Modules: what is built is looked at for two applications with one module before a release is made of it.

use std::collections::BTreeMap;

use super::CompileError;
use super::step::{Content, Step, StepKind};
use crate::disk;
use crate::store::HeldTree;

/// Refuses to make a release of outputs of which two hold one module.
pub(super) fn refuse_twins(step: &Step, outputs: &[Option<HeldTree>]) -> Result<(), CompileError> {
    if step.kind != StepKind::Release {
        return Ok(());
    }
    let mut owners: BTreeMap<Vec<u8>, &str> = BTreeMap::new();
    for input in &step.inputs {
        let Content::Output(index) = input.content else { continue };
        // Tools stand elsewhere, and plugins are in no release.
        if !input.at.starts_with("/build/") || input.at.contains("/plugins/") {
            continue;
        }
        let app = input.at.rsplit('/').next().unwrap_or(&input.at);
        let output = outputs[index].as_ref().expect("every step's inputs stand before it");
        let ebin = output.path().join("ebin");
        let beams = if disk::exists(&ebin) { disk::list(&ebin)? } else { Vec::new() };
        for beam in beams.into_iter().filter(|name| name.ends_with(b".beam")) {
            if let Some(owner) = owners.insert(beam.clone(), app)
                && owner != app
            {
                let module = String::from_utf8_lossy(&beam[..beam.len() - 5]).into_owned();
                return Err(CompileError::Twins { module, apps: [owner.into(), app.into()] });
            }
        }
    }
    Ok(())
}
