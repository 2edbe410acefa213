//! Makefile: what a Makefile says, as the pinned `make` evaluates it.
//!
//! A Makefile is code, and erlang.mk's package index is nine thousand lines of it. So it is never parsed: `make` reads
//! it in the sandbox, with one more makefile behind it whose goal prints what matters. The result is
//! a step like any other: it is kept, and looked up the next time.

use std::collections::{BTreeMap, BTreeSet};

use super::run::Workshop;
use super::step::{Content, Input, Step, StepKind};
use super::{CompileError, Plan, Tools, compile};
use crate::digest::Digest;
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::manifest::Manifest;
use crate::manifest::makefile::{ABOVE, MakeFacts, PROGRAM};
use crate::store::HeldTree;

const FACTS: &str = "/build/.evaluated/facts";
/// Without `NO_MAKEDEP` make would first compile a list of which module includes what.
const RUN: &str = "cd \"$0\" && mkdir -p /build/.evaluated && : >\"$REBEAM_FACTS\" && \
    for file in GNUmakefile makefile Makefile; do [ ! -f $file ] || break; done && \
    exec make -s -f \"$file\" -f /build/.rebeam/facts.mk rebeam-facts NO_MAKEDEP=1 \"$@\"";

/// What the project's own Makefile says, and its erlang.mk, by which all dependencies are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakeProject {
    /// What it says.
    pub facts: MakeFacts,
    /// The bytes of its erlang.mk.
    pub erlang_mk: Vec<u8>,
}

/// Whose Makefile is evaluated.
#[derive(Debug, Clone, Copy)]
pub enum Makefile<'a> {
    /// The one in this directory of the project; the empty path is its root.
    Project(&'a str),
    /// That of one of the project's own applications.
    App {
        /// The directory of the Makefile that has it built.
        top: &'a str,
        /// Its own, below `apps` there.
        name: &'a str,
        /// `IGNORE_DEPS` of the one above.
        ignored: &'a BTreeSet<String>,
    },
    /// A dependency's, with the project's `erlang.mk`, which takes the place of its own where it is patched.
    Dep {
        /// The project's `erlang.mk`.
        erlang_mk: &'a [u8],
        /// Whether autopatch looks at it.
        is_patched: bool,
        /// `IGNORE_DEPS` of the project.
        ignored: &'a BTreeSet<String>,
    },
}

/// What a Makefile may look at beside its source.
#[derive(Debug, Clone, Copy)]
pub struct MakeView<'a> {
    /// The sources of the dependencies whose makefiles it includes, which erlang.mk would fetch first.
    pub plugins: &'a BTreeMap<String, Digest>,
    /// The manifest, whose variables it sees when it is built, too.
    pub manifest: &'a Manifest,
}

/// Evaluates the Makefile of the application whose source is `tree`.
pub fn evaluate_makefile(
    (app, tree): (&str, &HeldTree),
    makefile: Makefile<'_>,
    view: MakeView<'_>,
    tools: &Tools,
    workshop: &Workshop<'_>,
) -> Result<MakeFacts, CompileError> {
    let inside = |below: &str| match below {
        "" => "/build".to_owned(),
        below => format!("/build/{below}"),
    };
    let own = format!("/build/deps/{app}");
    let (at, directory, top) = match makefile {
        Makefile::Project(below) => ("/build".to_owned(), inside(below), inside(below)),
        Makefile::App { top, name, .. } => {
            ("/build".to_owned(), format!("{}/apps/{name}", inside(top)), inside(top))
        }
        Makefile::Dep { .. } => (own.clone(), own, "/build".to_owned()),
    };
    let mut files = BTreeMap::from([(".rebeam/facts.mk".to_owned(), PROGRAM.into())]);
    let mut argv: Vec<String> = ["sh", "-c", RUN, &directory].map(str::to_owned).into();
    let mut env = super::plan::environment(view.manifest);
    let deps = format!("{top}/deps");
    // What make hands down to those that it builds below it.
    if let Makefile::App { ignored, .. } | Makefile::Dep { ignored, .. } = makefile {
        env.insert("NO_AUTOPATCH".into(), ABOVE.into());
        env.insert("DEPS_DIR".into(), deps.clone());
        env.insert("ERLANG_MK_TMP".into(), format!("{top}/.erlang.mk"));
        if !ignored.is_empty() {
            let ignored: Vec<&str> = ignored.iter().map(String::as_str).collect();
            env.insert("IGNORE_DEPS".into(), ignored.join(" "));
        }
    }
    if let Makefile::App { .. } = makefile {
        env.insert("APPS_DIR".into(), format!("{top}/apps"));
        argv.push("IS_APP=1".into());
    }
    if let Makefile::Dep { erlang_mk, is_patched, .. } = makefile {
        env.extend(super::plan::own_environment(view.manifest, app));
        files.insert("erlang.mk".to_owned(), erlang_mk.to_owned());
        if is_patched || !disk::exists(&tree.path().join("erlang.mk")) {
            files.insert(format!("deps/{app}/erlang.mk"), erlang_mk.to_owned());
        }
        argv.push("IS_DEP=1".into());
    }
    env.insert("REBEAM_FACTS".into(), FACTS.into());
    let input = |at, digest, label: &str| Input {
        at,
        content: Content::Source(digest),
        label: label.to_owned(),
    };
    let plugins = view.plugins.iter();
    let plugins = plugins.map(|(name, digest)| input(format!("{deps}/{name}"), *digest, name));
    let own = input(at, tree.digest(), app);
    let step = Step {
        name: format!("{app}'s Makefile"),
        kind: StepKind::Config,
        inputs: [own].into_iter().chain(plugins).chain(tools.otp_inputs()).collect(),
        files,
        patches: vec![],
        stamp: None,
        argv,
        env,
        output: ".evaluated".into(),
    };
    let steps = tools.otp_steps().into_iter().chain([step]).collect();
    let done = compile(&Plan { steps, otp: tools.otp_step() }, workshop)?;
    let text = disk::read_text(&done.release.path().join("facts"), TEXT_FILE_BYTES_MAX)?;
    Ok(MakeFacts::read(&text))
}
