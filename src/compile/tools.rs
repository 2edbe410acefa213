//! Tools: the steps that make ready what later steps are run with.
//!
//! rebar3 comes from Debian's suite or from locked source. An OTP from locked source takes the place of Debian's: it is
//! built for the very directory where Debian's stands and is seen there by every later step, so that all of
//! Debian's links lead to it and nothing tells the two apart.

use std::collections::BTreeMap;

use super::plan::fixed_environment;
use super::step::{Content, Input, Step, StepKind};
use crate::digest::Digest;
use crate::lock::{Role, Source};
use crate::manifest::tools::{OTP, REBAR3};

/// Where rebar3's applications are seen, out of the way of what is built.
const REBAR3_HOME: &str = "/opt/rebar3";
/// Where OTP is seen, Debian's or another.
pub(super) const OTP_HOME: &str = "/usr/lib/erlang";
/// Where the source of a tool lies while it is built.
const SOURCE: &str = "/build/source";

/// Takes Debian's escript apart into its applications.
const TAKE_APART: &str = r#"
    {ok, Parts} = escript:extract("/usr/bin/rebar3", []),
    {archive, Archive} = lists:keyfind(archive, 1, Parts),
    ok = file:make_dir("rebar3"),
    {ok, _} = zip:unzip(Archive, [{cwd, "rebar3"}]),
    halt(0)."#;

/// Builds rebar3 from source with nothing but itself. Its very last act is to pack an escript, which fails where OTP
/// has no dialyzer and is not wanted here; so its applications are looked at instead.
const BOOTSTRAP: &str = r#"set -e
cd source
escript ./bootstrap --offline || echo "looking at what is there"
erl -noinput -boot no_dot_erlang -eval "$0"
mkdir ../rebar3
cd _build/prod/lib
for app in *; do
    mkdir "../../../../rebar3/$app"
    cp -RL "$app/ebin" "../../../../rebar3/$app/ebin"
    if test -e "$app/priv"; then cp -RL "$app/priv" "../../../../rebar3/$app/priv"; fi
done
"#;

/// Ends well where every application of rebar3 has all its modules.
const IS_WHOLE: &str = r#"
    Lacking = fun(File) ->
        {ok, [{application, _, Facts}]} = file:consult(File),
        Beam = fun(Module) -> filename:join(filename:dirname(File), atom_to_list(Module) ++ ".beam") end,
        [Beam(Module) || Module <- proplists:get_value(modules, Facts), not filelib:is_file(Beam(Module))]
    end,
    Apps = filelib:wildcard("_build/prod/lib/*/ebin/*.app"),
    true = lists:any(fun(App) -> filename:basename(App) =:= "rebar.app" end, Apps),
    case lists:flatmap(Lacking, Apps) of
        [] -> halt(0);
        [Missing | _] -> io:format("~ts is missing~n", [Missing]), halt(1)
    end."#;

/// Builds an OTP. What needs a screen, a Java or a database driver is left out, as are the large application
/// that speaks telephone protocols and those that show things on a screen. A tarball of a release brings its `configure`
/// along; other sources may lack that, the directories that git does not keep, and, where Debian packed them, two
/// scripts of the pages that common_test writes.
const BUILD_OTP: &str = r#"set -e
cd source
test -e configure || ./otp_build autoconf
for app in lib/*/src; do mkdir -p "${app%src}ebin"; done
for script in jquery-latest.js jquery.tablesorter.min.js; do
    test -e lib/common_test/priv/$script || mkdir -p lib/common_test/priv && : >> lib/common_test/priv/$script
done
./configure --prefix=/usr --libdir=/usr/lib --disable-pgo --without-javac --without-wx --without-odbc \
    --without-jinterface --without-debugger --without-observer --without-et --without-megaco
make -j2
make install DESTDIR=/build/installed
mv /build/installed/usr/lib/erlang /build/otp
"#;

/// What later steps are run with, as far as it is built from source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tools {
    /// The source of rebar3; none where Debian's is taken.
    rebar3: Option<Built>,
    /// The source of OTP; none where Debian's is taken.
    otp: Option<Built>,
}

/// A source that is built.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Built {
    tree: Digest,
    label: String,
}

impl Tools {
    /// Finds the tools among locked sources; `unpinned` has the content hashes of those that the lock does not pin.
    pub fn of<'a>(
        sources: impl IntoIterator<Item = &'a Source>,
        unpinned: &BTreeMap<String, Digest>,
    ) -> Self {
        let mut tools = Self::default();
        for source in sources.into_iter().filter(|source| source.role == Role::Tool) {
            let tree = source.pin.tree().or_else(|| unpinned.get(&source.app).copied());
            let built = tree.map(|tree| Built { tree, label: super::plan::label(source) });
            match source.app.as_str() {
                REBAR3 => tools.rebar3 = built,
                OTP => tools.otp = built,
                _ => {}
            }
        }
        tools
    }

    /// The steps that make the tools ready; every plan begins with them.
    pub(super) fn steps(&self) -> Vec<Step> {
        let otp = self.otp.as_ref().map(otp_step);
        otp.into_iter().chain([self.rebar3_step()]).collect()
    }

    /// How later steps see the tools.
    pub(super) fn inputs(&self) -> Vec<Input> {
        let rebar3 = usize::from(self.otp.is_some());
        let rebar3 = Input {
            at: REBAR3_HOME.into(),
            content: Content::Output(rebar3),
            label: REBAR3.into(),
        };
        [rebar3].into_iter().chain(self.otp_input()).collect()
    }

    /// The steps that make OTP alone ready: for what is evaluated without rebar3.
    pub(super) fn otp_steps(&self) -> Vec<Step> {
        self.otp.as_ref().map(otp_step).into_iter().collect()
    }

    /// How later steps see OTP alone.
    pub(super) fn otp_inputs(&self) -> Vec<Input> {
        self.otp_input().into_iter().collect()
    }

    /// The step of the plan that builds OTP, where one does.
    pub(super) fn otp_step(&self) -> Option<usize> {
        self.otp.is_some().then_some(0)
    }

    /// How later steps see an OTP from source.
    pub(super) fn otp_input(&self) -> Option<Input> {
        let otp = self.otp.as_ref()?;
        Some(Input { at: OTP_HOME.into(), content: Content::Output(0), label: otp.label.clone() })
    }

    /// An escript is unpacked and loaded whole at every start, which takes longer than many a dependency; its
    /// applications lying ready are loaded as they are used.
    fn rebar3_step(&self) -> Step {
        let source = self.rebar3.as_ref().map(source_input);
        let command: &[&str] = match source {
            Some(_) => &["sh", "-c", BOOTSTRAP, IS_WHOLE],
            None => &["erl", "-noinput", "-boot", "no_dot_erlang", "-eval", TAKE_APART],
        };
        Step {
            inputs: source.into_iter().chain(self.otp_input()).collect(),
            ..step(REBAR3, command)
        }
    }
}

/// Tells whether a step takes Debian's rebar3 apart, which not every suite has.
pub(super) fn wants_debians_rebar3(step: &Step) -> bool {
    let has_source = step.inputs.iter().any(|input| matches!(input.content, Content::Source(_)));
    step.kind == StepKind::Tool && step.name == REBAR3 && !has_source
}

fn otp_step(otp: &Built) -> Step {
    // The directory is the same for every build, so that its name in the beams does no harm.
    Step { inputs: vec![source_input(otp)], ..step(OTP, &["sh", "-c", BUILD_OTP]) }
}

fn source_input(built: &Built) -> Input {
    Input { at: SOURCE.into(), content: Content::Source(built.tree), label: built.label.clone() }
}

fn step(name: &str, command: &[&str]) -> Step {
    Step {
        name: name.into(),
        kind: StepKind::Tool,
        inputs: vec![],
        files: BTreeMap::new(),
        patches: vec![],
        stamp: None,
        argv: command.iter().map(|&argument| argument.to_owned()).collect(),
        env: fixed_environment(),
        output: name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Pin;

    fn tool(app: &str) -> Source {
        Source::of(app, Role::Tool, Pin::Path { path: format!("../{app}") }, "path")
    }

    fn tools(names: &[&str]) -> Tools {
        let sources: Vec<Source> = names.iter().map(|name| tool(name)).collect();
        let trees = names.iter().map(|&name| (name.to_owned(), Digest::of(name.as_bytes())));
        Tools::of(&sources, &trees.collect())
    }

    #[test]
    fn rebar3_is_built_under_the_otp_that_is_built() {
        let steps = tools(&["rebar3", "otp"]).steps();
        assert_eq!(
            steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(),
            ["otp", "rebar3"]
        );
        assert_eq!(steps[1].needs().collect::<Vec<_>>(), [0]);
        let inputs = tools(&["otp"]).inputs();
        let at = |place: &str| {
            inputs.iter().find(|input| input.at == place).map(|input| input.content.clone())
        };
        assert_eq!(at("/usr/lib/erlang"), Some(Content::Output(0)));
        assert_eq!(at("/opt/rebar3"), Some(Content::Output(1)));
    }

    #[test]
    fn debians_rebar3_is_asked_for_only_where_none_is_built() {
        assert!(tools(&[]).steps().iter().any(wants_debians_rebar3));
        assert!(tools(&["otp"]).steps().iter().any(wants_debians_rebar3));
        assert!(!tools(&["rebar3"]).steps().iter().any(wants_debians_rebar3));
    }
}
