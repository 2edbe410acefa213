//! Step: what one command gets to see, and the text that its key is the hash of.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::stamp::Stamp;
use crate::digest::Digest;
use crate::store::BuildKey;

/// What a step makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// A configuration, evaluated.
    Config,
    /// A build tool, made ready.
    Tool,
    /// A plugin of the build tool.
    Plugin,
    /// A dependency.
    Dep,
    /// The project's own applications and its release.
    Release,
}

/// Where an input's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A tree of the store, laid out as a copy that the step may write to.
    Source(Digest),
    /// The output of an earlier step of the plan, read-only.
    Output(usize),
}

/// A tree that the step sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where, absolute. What the step may write to stands below `/build`.
    pub at: String,
    /// What.
    pub content: Content,
    /// What a person calls it: `cowlib 2.12.1`. No part of the key.
    pub label: String,
}

/// One command in the sandbox and its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What a person calls it: the application.
    pub name: String,
    /// What it makes.
    pub kind: StepKind,
    /// The trees that it sees.
    pub inputs: Vec<Input>,
    /// Files that are written over the inputs, by path below `/build`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Patches applied with `patch -p1` in the directory `at` before the command: contents in order.
    pub patches: Vec<Vec<u8>>,
    /// The version that `{vsn, git}` means in an `.app.src` of the source.
    pub stamp: Option<Stamp>,
    /// Command and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The output, below `/build`.
    pub output: String,
}

/// Changes with anything in how a step is laid out or cleaned that its text does not say.
///
/// The version of rebeam itself is no part of a key, so that a new rebeam keeps old results.
const RECIPE_VERSION: u32 = 2;

impl Step {
    /// Returns the steps whose outputs this one sees.
    pub fn needs(&self) -> impl Iterator<Item = usize> {
        self.inputs.iter().filter_map(|input| match input.content {
            Content::Output(step) => Some(step),
            Content::Source(_) => None,
        })
    }

    /// Returns the canonical text of everything that decides the output, one fact a line.
    ///
    /// What stands behind a tab is for people and is not hashed.
    pub(super) fn text(&self, toolchain: Digest, output: impl Fn(usize) -> Digest) -> String {
        let mut text = String::new();
        let mut line = |fact: std::fmt::Arguments<'_>| {
            text.write_fmt(fact).expect("writing to a String cannot fail");
            text.push('\n');
        };
        line(format_args!("recipe {RECIPE_VERSION}"));
        line(format_args!("toolchain {toolchain}"));
        for input in &self.inputs {
            let digest = match input.content {
                Content::Source(digest) => digest,
                Content::Output(step) => output(step),
            };
            let access = if matches!(input.content, Content::Source(_)) { "copy" } else { "read" };
            line(format_args!("{access} /build/{} {digest}\t{}", input.at, input.label));
        }
        for (path, bytes) in &self.files {
            line(format_args!("file /build/{path} {}", Digest::of(bytes)));
        }
        for patch in &self.patches {
            line(format_args!("patch {}", Digest::of(patch)));
        }
        if let Some(stamp) = &self.stamp {
            let which = if self.kind == StepKind::Release { " in apps, lib and src" } else { "" };
            line(format_args!("stamp {stamp}{which}"));
        }
        for argument in &self.argv {
            line(format_args!("argument {argument:?}"));
        }
        for (name, value) in &self.env {
            line(format_args!("variable {name} {value:?}"));
        }
        line(format_args!("output /build/{}", self.output));
        text
    }
}

/// Returns the key of a step's text: the hash of its lines without what is for people.
pub(super) fn key_of(text: &str) -> BuildKey {
    let hashed = text.lines().map(|line| line.split('\t').next().unwrap_or_default());
    BuildKey::of(&hashed.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(label: &str, argument: &str) -> Step {
        Step {
            name: "cowlib".into(),
            kind: StepKind::Dep,
            inputs: vec![Input {
                at: "/build/_build/default/lib/cowlib".into(),
                content: Content::Source(Digest::of(b"cowlib")),
                label: label.into(),
            }],
            files: BTreeMap::new(),
            patches: vec![],
            stamp: None,
            argv: vec!["rebar3".into(), argument.into()],
            env: BTreeMap::new(),
            output: "_build/default/lib/cowlib".into(),
        }
    }

    fn key(step: &Step, toolchain: &[u8]) -> BuildKey {
        key_of(&step.text(Digest::of(toolchain), |_| unreachable!("the step has no such input")))
    }

    #[test]
    fn a_label_is_no_part_of_the_key_and_everything_else_is() {
        let one = step("cowlib 2.12.1", "compile");
        assert_eq!(key(&one, b"otp 25"), key(&step("cowlib main", "compile"), b"otp 25"));
        assert_ne!(key(&one, b"otp 25"), key(&one, b"otp 27"));
        assert_ne!(key(&one, b"otp 25"), key(&step("cowlib 2.12.1", "release"), b"otp 25"));
    }

    #[test]
    fn an_argument_cannot_pass_for_another_line() {
        let odd = step("", "compile\nvariable PATH \"/evil\"");
        assert_eq!(odd.text(Digest::of(b""), |_| Digest::of(b"")).lines().count(), 6);
    }
}
