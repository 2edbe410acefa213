//! Overlay: what the manifest changes in a source before anything reads it: files put in place of others, then patches.

use std::collections::BTreeMap;

use super::run::Workshop;
use super::stamp::Stamp;
use super::step::{Content, Input, Step, StepKind};
use super::{CompileError, Plan, compile};
use crate::digest::Digest;
use crate::manifest::DepOverride;
use crate::store::HeldTree;

/// The changes to one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    /// Files by their path in the source.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Patches in their order.
    pub(super) patches: Vec<Vec<u8>>,
}

impl Overlay {
    /// Takes the changes to `app` that the manifest names; `contents` has the project's files by their path in it.
    pub fn of(
        app: &str,
        wish: Option<&DepOverride>,
        contents: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, CompileError> {
        let promised = |file: &str, sha256: Digest| {
            let bytes = contents.get(file).filter(|bytes| Digest::of(bytes) == sha256);
            let changed = || CompileError::PatchChanged { app: app.into(), file: file.into() };
            bytes.cloned().ok_or_else(changed)
        };
        let mut overlay = Self::default();
        let Some(wish) = wish else { return Ok(overlay) };
        for file in &wish.files {
            overlay.files.insert(file.path.clone(), promised(&file.file, file.sha256)?);
        }
        for patch in &wish.patches {
            overlay.patches.push(promised(&patch.file, patch.sha256)?);
        }
        Ok(overlay)
    }

    /// Tells whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.patches.is_empty()
    }

    /// Returns the files as a step has them whose source lies at `place`.
    pub(super) fn files_below(&self, place: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.files.iter().map(move |(path, bytes)| (format!("{place}/{path}"), bytes.clone()))
    }

    /// Returns the source of `app` with the changes made, as its configuration is to be read, and with the version
    /// that it would ask git for.
    pub fn apply(
        &self,
        app: &str,
        tree: &HeldTree,
        stamp: Option<Stamp>,
        workshop: &Workshop<'_>,
    ) -> Result<HeldTree, CompileError> {
        let step = Step {
            name: format!("{app}'s changed source"),
            kind: StepKind::Config,
            inputs: vec![Input {
                at: "/build/source".into(),
                content: Content::Source(tree.digest()),
                label: app.into(),
            }],
            files: self.files_below("source").collect(),
            patches: self.patches.clone(),
            stamp,
            argv: vec!["true".into()],
            env: super::plan::fixed_environment(),
            output: "source".into(),
        };
        Ok(compile(&Plan { steps: vec![step], otp: None }, workshop)?.release)
    }
}
