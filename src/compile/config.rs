//! Config: a `rebar.config` as the pinned OTP evaluates it.
//!
//! A `rebar.config.script` is code. It is run in the sandbox with the environment that it has in a build, exactly as
//! rebar3 runs it (`file:script` with `CONFIG` and `SCRIPT` bound), and never parsed by guess. The result is a
//! step like any other: it is kept, and looked up the next time.

use std::collections::BTreeMap;
use std::path::Path;

use super::run::Workshop;
use super::step::{Content, Input, Step, StepKind};
use super::{CompileError, Plan, Tools, compile};
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::manifest::{Manifest, Tool};
use crate::store::HeldTree;
use crate::terms::{self, Term};

/// Evaluates the script and prints one term a line. rebar3's modules are at hand and its application is loaded, as
/// they are in rebar3: many a script tells rebar2 and rebar3 apart by just that.
const REBAR3: &str = r#"
    code:add_pathsz(filelib:wildcard("/opt/rebar3/*/ebin")),
    ok = application:load(rebar),
    {module, rebar3} = code:ensure_loaded(rebar3),
"#;
const PROGRAM: &str = r#"
    Config = case file:consult("rebar.config") of
        {ok, Terms} -> Terms;
        {error, enoent} -> [];
        {error, Reason} -> io:format("rebar.config: ~ts~n", [file:format_error(Reason)]), halt(1)
    end,
    Bind = fun({Name, Value}, Bound) -> erl_eval:add_binding(Name, Value, Bound) end,
    Bindings = lists:foldl(Bind, erl_eval:new_bindings(), [{'CONFIG', Config}, {'SCRIPT', "rebar.config.script"}]),
    case file:script("rebar.config.script", Bindings) of
        {ok, Evaluated} when is_list(Evaluated) ->
            ok = file:make_dir("/build/.evaluated"),
            {ok, File} = file:open("/build/.evaluated/rebar.config", [write, {encoding, utf8}]),
            [io:format(File, "~tp.~n", [Term]) || Term <- Evaluated],
            ok = file:close(File),
            halt(0);
        {ok, Other} -> io:format("rebar.config.script returned no list: ~tp~n", [Other]), halt(1);
        {error, Why} -> io:format("rebar.config.script: ~ts~n", [file:format_error(Why)]), halt(1)
    end.
"#;

/// Tells whether the configuration of the application below `directory` is code.
pub fn is_code(directory: &Path) -> bool {
    disk::exists(&directory.join("rebar.config.script"))
}

/// Reads the configuration of the application below `directory`. No file at all is an empty configuration.
pub fn read_config(app: &str, directory: &Path) -> Result<Vec<Term>, CompileError> {
    let path = directory.join("rebar.config");
    if !disk::exists(&path) {
        return Ok(Vec::new());
    }
    let text = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
    terms::parse_all(&text).map_err(|source| CompileError::Config { app: app.into(), source })
}

/// Evaluates the configuration script of the application whose source is `tree`, as this tool would. It sees the
/// variables that the manifest gives its build.
pub fn evaluate(
    (app, tree): (&str, &HeldTree),
    tool: Tool,
    manifest: &Manifest,
    tools: &Tools,
    workshop: &Workshop<'_>,
) -> Result<Vec<Term>, CompileError> {
    let at = format!("_build/default/lib/{app}");
    let (is_rebar3, mut program) = (tool == Tool::Rebar3, PROGRAM.to_owned());
    if is_rebar3 {
        program.insert_str(0, REBAR3);
    }
    let source = Input {
        at: format!("/build/{at}"),
        content: Content::Source(tree.digest()),
        label: app.into(),
    };
    let (steps, seen) = match is_rebar3 {
        true => (tools.steps(), tools.inputs()),
        false => (tools.otp_steps(), tools.otp_inputs()),
    };
    let mut env = super::plan::environment(manifest);
    env.extend(super::plan::own_environment(manifest, app));
    let step = Step {
        name: format!("{app}'s rebar.config.script"),
        kind: StepKind::Config,
        inputs: [source].into_iter().chain(seen).collect(),
        files: BTreeMap::new(),
        patches: vec![],
        stamp: None,
        argv: [
            "sh",
            "-c",
            "cd \"$0\" && exec erl -noinput -boot no_dot_erlang -eval \"$1\"",
            &at,
            &program,
        ]
        .map(str::to_owned)
        .into(),
        env,
        output: ".evaluated".into(),
    };
    let steps = steps.into_iter().chain([step]).collect();
    let done = compile(&Plan { steps, otp: tools.otp_step() }, workshop)?;
    read_config(app, done.release.path())
}
