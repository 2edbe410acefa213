//! Mix: how mix is brought to say what a project states, and to build one thing from what lies ready.
//!
//! Hex and the network are out of it. A small program stands in for `mix.exs` (by `MIX_EXS`), loads the real one
//! and tells mix of a kind of source, a `Mix.SCM`, under which every locked dependency is there and in order,
//! whatever `mix.exs` says of where it is from. So no file of anybody's is changed, and an umbrella's applications and
//! dependencies' own `mix.exs` are served alike. What is built lies in `_build/ENV/lib/NAME`, where mix looks; in
//! `deps/NAME` a stub of a `mix.exs` names what the dependency itself needs.

mod steps;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::run::Workshop;
use super::step::{Content, Input, Step, StepKind};
use super::tools::Tools;
use super::{CompileError, Plan, compile};
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::manifest::mix::MixFacts;
use crate::manifest::{Manifest, Tool};
use crate::store::HeldTree;
use crate::terms::{self, Term};

const FACTS: &str = include_str!("facts.exs");
const PROJECT: &str = include_str!("project.exs");
const CONFIG: &str = include_str!("config.exs");

/// The environment that dependencies are built for, as mix builds them.
const DEP_ENV: &str = "prod";
/// Where the project's release is put together.
const RELEASE: &str = "_rebeam/rel";
/// Where a dependency is put together.
const OUTPUT: &str = "_rebeam/lib";

/// Compiles the dependency in `deps/$0`. Mix's own notes, which hold times, are not taken.
const COMPILE: &str = r#"(cd "deps/$0" && MIX_EXS=/build/.rebeam/mix.exs mix compile --no-deps-check --no-archives-check \
    --no-elixir-version-check --no-protocol-consolidation --no-validate-compile-env \
    --no-warnings-as-errors --no-prune-code-paths)
"#;

/// Makes the dependency in `deps/$0` as mix has it made.
const MAKE: &str = r#"export ERL_LIBS=/build/_build/prod/lib
make -C "deps/$0" IS_DEP=1
"#;

/// Takes what belongs to a dependency, from where mix puts it or from where it was made.
const TAKE: &str = r#"built=_build/prod/lib/$0
mkdir -p "_rebeam/lib"
for part in ebin priv include; do
    if [ -e "$built/$part" ]; then cp -RH "$built/$part" "_rebeam/lib/$part"
    elif [ -e "deps/$0/$part" ]; then cp -RH "deps/$0/$part" "_rebeam/lib/$part"; fi
done"#;

/// Puts the release together, after the applications that are dependencies by a path, which nothing else compiles.
/// What is random or dated in it is left out: no image holds it.
const ASSEMBLE: &str = r#"set -e
export MIX_EXS=/build/.rebeam/mix.exs
for app in $OWN_PATHS; do mix deps.compile "$app"; done
mix release "$@" --no-deps-check --no-archives-check --path /build/_rebeam/rel
rm -f _rebeam/rel/releases/COOKIE _rebeam/rel/releases/*/*.script"#;

/// Whose `mix.exs` is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MixSubject<'a> {
    /// The project's own, in this environment.
    Project {
        /// `MIX_ENV`.
        env: &'a str,
    },
    /// A dependency's.
    Dep,
}

/// Evaluates the `mix.exs` of the application whose source is `tree`, which sees the variables that the manifest gives
/// its build.
pub fn evaluate_mix(
    (app, tree): (&str, &HeldTree),
    subject: MixSubject<'_>,
    manifest: &Manifest,
    tools: &Tools,
    workshop: &Workshop<'_>,
) -> Result<Vec<Term>, CompileError> {
    let (kind, mix_env) = match subject {
        MixSubject::Project { env } => ("project", env),
        MixSubject::Dep => ("dep", DEP_ENV),
    };
    let source = Input {
        at: "/build/source".into(),
        content: Content::Source(tree.digest()),
        label: app.into(),
    };
    let mut env = environment(mix_env, super::plan::environment(manifest));
    if subject == MixSubject::Dep {
        env.extend(super::plan::own_environment(manifest, app));
    }
    let step = Step {
        name: format!("{app}'s mix.exs"),
        kind: StepKind::Config,
        inputs: [source].into_iter().chain(tools.otp_input()).collect(),
        files: BTreeMap::from([(".rebeam/facts.exs".into(), FACTS.into())]),
        patches: vec![],
        stamp: None,
        argv: ["sh", "-c", "cd source && exec elixir /build/.rebeam/facts.exs \"$0\"", kind]
            .map(str::to_owned)
            .into(),
        env,
        output: ".evaluated".into(),
    };
    // Only an OTP from source has to be there before.
    let otp = tools.otp_step();
    let before = if otp.is_some() { tools.steps() } else { vec![] };
    let steps = before.into_iter().chain([step]).collect();
    let done = compile(&Plan { steps, otp }, workshop)?;
    let path = done.release.path().join("mix.terms");
    let text = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
    terms::parse_all(&text).map_err(|source| CompileError::Config { app: app.into(), source })
}

/// Adds what mix wants to hear to an environment.
fn environment(mix_env: &str, env: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let ours = [
        ("MIX_ENV", mix_env),
        ("MIX_TARGET", "host"),
        ("MIX_HOME", "/tmp/mix"),
        ("MIX_DEPS_PATH", "/build/deps"),
        ("MIX_REBAR3", "/usr/bin/rebar3"),
        // The room is nobody else's, and the lock would want sockets.
        ("MIX_OS_CONCURRENCY_LOCK", "0"),
        ("HEX_HOME", "/tmp/hex"),
        ("HEX_OFFLINE", "1"),
        // Libraries that would download what they can also compile.
        ("ELIXIR_MAKE_FORCE_BUILD", "1"),
    ];
    let mut all: BTreeMap<String, String> =
        ours.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    all.extend(env);
    all
}

/// What of a locked dependency the others are told.
struct Ready<'a> {
    /// The application.
    app: &'a str,
    /// What it needs of the locked ones.
    deps: BTreeSet<&'a str>,
}

/// The files beside a source by which mix takes what lies ready as it is.
fn files(ready: &[Ready<'_>]) -> BTreeMap<String, Vec<u8>> {
    let names: Vec<&str> = ready.iter().map(|ready| ready.app).collect();
    let mut files = BTreeMap::from([
        (".rebeam/mix.exs".to_owned(), PROJECT.into()),
        (".rebeam/locked".to_owned(), names.join("\n").into_bytes()),
    ]);
    for (number, ready) in ready.iter().enumerate() {
        files.insert(format!("deps/{}/mix.exs", ready.app), stub(number, ready).into_bytes());
    }
    files
}

fn stub(number: usize, ready: &Ready<'_>) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let atom = |app: &str| match app.chars().all(plain)
        && !app.starts_with(|c: char| c.is_ascii_digit())
    {
        true => format!(":{app}"),
        false => format!(":\"{app}\""),
    };
    let deps: Vec<String> = ready.deps.iter().map(|dep| format!("{{{}, []}}", atom(dep))).collect();
    format!(
        "defmodule Rebeam.Stub{number} do\n  use Mix.Project\n  def project, do: [app: {}, version: \"0.0.0\", deps: [{}]]\nend\n",
        atom(ready.app),
        deps.join(", ")
    )
}

/// What the project's configuration says of some applications, for a dependency that is compiled under it.
fn config_files(facts: &MixFacts, apps: &BTreeSet<&str>) -> BTreeMap<String, Vec<u8>> {
    /// Read by the compiler itself, whatever is compiled.
    const ALWAYS: [&str; 2] = ["elixir", "logger"];
    let mut text = String::new();
    for (app, values) in &facts.config {
        if apps.contains(app.as_str()) || ALWAYS.contains(&app.as_str()) {
            text.push_str(&format!("{app} {}\n", STANDARD.encode(values)));
        }
    }
    BTreeMap::from([
        (".rebeam/config.exs".to_owned(), CONFIG.into()),
        (".rebeam/config".to_owned(), text.into_bytes()),
    ])
}

/// The command that compiles a dependency, and where its output stands.
fn compile_command(app: &str, tool: Tool) -> (Vec<String>, String) {
    let build = if tool == Tool::Make { MAKE } else { COMPILE };
    let script = format!("set -e\n{build}{TAKE}");
    (["sh", "-c", &script, app].map(str::to_owned).into(), OUTPUT.into())
}

/// The command that puts the release together.
fn release_command(release: Option<&str>) -> Vec<String> {
    let command = ["sh", "-c", ASSEMBLE, "mix"].into_iter().chain(release);
    command.map(str::to_owned).collect()
}
