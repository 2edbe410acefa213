//! Configure: the project's own files after the commands that come before its configuration can be read.
//!
//! Many a `rebar.config.script` reads what `./configure` wrote. So these commands run first, in a step of their own, and
//! what they leave behind takes the place of the project's files, when it is locked as when it is built.

use std::collections::BTreeMap;

use super::make::{self, BIN, READY, RebarSource};
use super::run::Workshop;
use super::step::{Content, Input, Step, StepKind};
use super::{CompileError, Plan, Tools, compile};
use crate::manifest::Manifest;
use crate::store::HeldTree;

/// Where the files end up.
const OUTPUT: &str = ".configured";
/// Puts everything but what is ours there.
const TAKE: &str = "cd /build && mkdir .configured && \
    find . -mindepth 1 -maxdepth 1 ! -name .configured ! -name .rebeam -exec mv -t .configured {} +";

/// Runs the manifest's `configure` commands in the project whose files are `tree`, and returns its files afterwards.
///
/// The commands see OTP, rebar3 and, where the lock has one, rebar 2.
pub fn configure(
    manifest: &Manifest,
    tree: &HeldTree,
    tools: &Tools,
    rebar: Option<RebarSource<'_>>,
    workshop: &Workshop<'_>,
) -> Result<HeldTree, CompileError> {
    if manifest.build.configure.is_empty() {
        return Ok(tree.clone());
    }
    let name = &manifest.project.name;
    let own =
        Input { at: "/build".into(), content: Content::Source(tree.digest()), label: name.clone() };
    let mut inputs: Vec<Input> = [own].into_iter().chain(tools.inputs()).collect();
    let mut steps = tools.steps();
    let mut commands = vec![("rebar3", make::REBAR3)];
    if let Some(rebar) = rebar {
        let content = Content::Output(steps.len());
        inputs.push(Input { at: make::REBAR_HOME.into(), content, label: "rebar".into() });
        steps.push(make::bootstrap(rebar, tools.otp_inputs()));
        commands.push(("rebar", make::REBAR));
    }
    let files = commands.into_iter();
    let files = files.map(|(name, text)| (format!(".rebeam/bin/{name}"), text.into()));
    let mut env = super::plan::environment(manifest);
    make::see_commands(&mut env);
    let lines = make::lines(&manifest.build.configure);
    let dir = manifest.build.dir.as_deref().unwrap_or_default();
    steps.push(Step {
        name: format!("{name}'s configure"),
        kind: StepKind::Config,
        inputs,
        files: files.collect::<BTreeMap<String, Vec<u8>>>(),
        patches: vec![],
        stamp: None,
        argv: make::shell(&format!(
            "{READY}export PATH={BIN}:$PATH\ncd /build/{dir}\n{lines}\n{TAKE}"
        )),
        env,
        output: OUTPUT.into(),
    });
    Ok(compile(&Plan { steps, otp: tools.otp_step() }, workshop)?.release)
}
