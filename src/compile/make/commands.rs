//! Commands: rebar 2, rebar3 and relx as steps see them, and the steps that make those ready.

use std::collections::BTreeMap;

use super::shell;
use crate::compile::plan::{Project, fixed_environment, label};
use crate::compile::stamp::Stamp;
use crate::compile::step::{Content, Input, Step, StepKind};
use crate::digest::Digest;
use crate::lock::Source;
use crate::manifest::{Manifest, Tool};

/// Where rebar 2 is seen.
pub(in crate::compile) const REBAR_HOME: &str = "/opt/rebar";
/// Where commands of ours are seen before the toolchain's.
pub(in crate::compile) const BIN: &str = "/build/.rebeam/bin";

/// rebar 2 from its applications, as rebar3 is started.
pub(in crate::compile) const REBAR: &str = "#!/bin/sh
exec erl +A1 -noinput -boot no_dot_erlang -pa /opt/rebar/ebin \\
    -eval 'rebar:main(tl(init:get_plain_arguments())), halt(0).' -extra rebar \"$@\"
";

/// relx 3's command line over relx 4: those of its options that erlang.mk gives, its defaults, and the two names that
/// only relx 3 gave to overlays.
pub(super) const RELX: &str = r#"#!/bin/sh
exec erl +A1 -noinput -boot no_dot_erlang -pa ebin -eval '
    Options = fun Read(["-c", File | Rest], Known) -> Read(Rest, Known#{config => File});
                  Read(["-o", Place | Rest], Known) -> Read(Rest, Known#{output => Place});
                  Read(["-n", Name | Rest], Known) -> Read(Rest, Known#{name => list_to_atom(Name)});
                  Read([Word | _], _) when hd(Word) =:= $- ->
                      io:format("this relx does not know ~ts~n", [Word]), halt(2);
                  Read([_ | Rest], Known) -> Read(Rest, Known);
                  Read([], Known) -> Known
              end,
    Known = Options(init:get_plain_arguments(), #{config => "relx.config", output => "_rel"}),
    {ok, Config} = file:consult(maps:get(config, Known)),
    Releases = [{Name, Version} || Release <- Config, element(1, Release) =:= release,
                                   {Name, Version} <- [element(2, Release)],
                                   maps:get(name, Known, Name) =:= Name],
    {Name, Wish} = hd(Releases),
    Version = case Wish of {cmd, Command} -> string:trim(os:cmd(Command)); _ -> Wish end,
    Defaults = [{Key, Value} || {Key, Value} <- [{include_erts, true}, {dev_mode, false}],
                                not lists:keymember(Key, 1, Config)],
    Own = Defaults ++ [{output_dir, maps:get(output, Known)},
           {overlay_vars_values, [{rel_name, Name}, {rel_vsn, Version}]}],
    try relx:build_release(#{name => Name, vsn => Version}, Config ++ Own) of
        {ok, _} -> halt(0);
        {error, {Module, Reason}} -> io:format("~n~ts~n", [Module:format_error(Reason)]), halt(1);
        Other -> io:format("~n~tp~n", [Other]), halt(1)
    catch
        error:{error, {Module, Reason}} -> io:format("~n~ts~n", [Module:format_error(Reason)]), halt(1)
    end.' -extra "$@"
"#;

/// Where relx is seen.
pub(super) const RELX_HOME: &str = "/opt/relx";
/// Lets every emulator find relx behind everything else: what the project brings along itself wins.
pub(super) const RELX_PATHS: &str = "-pz /opt/relx/relx/ebin /opt/relx/bbmustache/ebin";
/// Takes relx out of rebar3, where it speaks through a module of rebar3's.
const TAKE_RELX: &str = "mkdir relx && cp -R /opt/rebar3/relx /opt/rebar3/bbmustache relx/ && \
    erlc -o relx/relx/ebin rebar_log.erl";
const REBAR_LOG: &str = "-module(rebar_log).
-export([log/3]).
log(Level, _, _) when Level =:= debug; Level =:= diagnostic -> ok;
log(_, Words, Values) -> io:format(standard_error, Words ++ \"~n\", Values).
";

/// rebar3 for whoever calls it by name.
pub(in crate::compile) const REBAR3: &str = "#!/bin/sh
exec erl +sbtu +A1 -noinput -boot no_dot_erlang -pa /opt/rebar3/*/ebin \\
    -eval 'rebar3:main(init:get_plain_arguments()), halt(0).' -extra \"$@\"
";

/// What the steps see beside rebar3 and OTP, by the places of their own steps.
pub(super) struct Ready {
    pub(super) relx: usize,
    pub(super) rebar: Option<usize>,
}

/// Tells whether a dependency lies as source where the project's own step builds it.
pub fn is_laid_as_source(manifest: &Manifest, source: &Source) -> bool {
    let wish = manifest.deps.get(&source.app);
    let has_steps = wish.is_some_and(|wish| !wish.steps.is_empty());
    let tool = wish.and_then(|wish| wish.tool);
    let is_whole = matches!(manifest.build.tool, Tool::Rebar | Tool::Make);
    is_whole && !has_steps && tool.is_none_or(|tool| tool == Tool::Make)
}

impl Ready {
    /// Tells whether a dependency gets a step of its own.
    pub(super) fn builds(project: &Project<'_>, source: &Source) -> bool {
        !is_laid_as_source(project.manifest, source)
    }

    /// The commands that a step sees; `release` is what only the project's own has.
    pub(super) fn commands(
        &self,
        release: &[(&'static str, &'static str)],
    ) -> BTreeMap<String, Vec<u8>> {
        let commands = release.iter().copied().chain([("rebar3", REBAR3)]);
        let all = commands.chain(self.rebar.map(|_| ("rebar", REBAR)));
        all.map(|(name, text)| (format!(".rebeam/bin/{name}"), text.into())).collect()
    }
}

/// The step that makes relx ready.
pub(super) fn relx(rebar3: Vec<Input>) -> Step {
    Step {
        name: "relx".into(),
        kind: StepKind::Tool,
        inputs: rebar3,
        files: BTreeMap::from([("rebar_log.erl".into(), REBAR_LOG.into())]),
        patches: vec![],
        stamp: None,
        argv: shell(TAKE_RELX),
        env: fixed_environment(),
        output: "relx".into(),
    }
}

/// The locked source of rebar 2 and its content hash.
#[derive(Debug, Clone, Copy)]
pub struct RebarSource<'a> {
    /// What the lock says of it.
    pub source: &'a Source,
    /// Its content hash.
    pub tree: Digest,
}

/// The step that builds rebar 2. Its escript is left out: it holds the time at which it was put together.
pub(in crate::compile) fn bootstrap(rebar: RebarSource<'_>, otp: Vec<Input>) -> Step {
    let RebarSource { source, tree } = rebar;
    let own =
        Input { at: "/build/rebar".into(), content: Content::Source(tree), label: label(source) };
    let script = "cd /build/rebar && ./bootstrap && rm -f rebar";
    Step {
        name: "rebar".into(),
        kind: StepKind::Tool,
        inputs: [own].into_iter().chain(otp).collect(),
        files: BTreeMap::new(),
        patches: vec![],
        stamp: source.describe.clone().map(Stamp::WhereAsked),
        argv: shell(script),
        env: fixed_environment(),
        output: "rebar".into(),
    }
}
