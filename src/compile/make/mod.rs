//! Make: builds by erlang.mk, rebar 2 and commands of the project's own, from sources that lie where those look.
//!
//! erlang.mk fetches a dependency, patches it (`dep_autopatch`) and builds it with the project's own `erlang.mk`. A step
//! for one dependency does just that: a Makefile that names only this one takes it by `cp` from what is locked, so that
//! no git is asked and autopatch still runs; what it needs in turn lies built in `deps`, and `SKIP_DEPS` says
//! that nothing is left to do there. The project's own step finds all of them built.
//!
//! What erlang.mk would clone for autopatch lies ready as well: rebar 2, built from its locked source, where erlang.mk
//! looks for its own clone. relx comes with the toolchain's rebar3: as an application, and as the command `RELX`.

mod commands;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

pub(super) use commands::{BIN, REBAR, REBAR_HOME, REBAR3, bootstrap};
use commands::{RELX, RELX_HOME, RELX_PATHS, Ready, relx};
pub use commands::{RebarSource, is_laid_as_source};

use super::CompileError;
use super::overlay::Overlay;
use super::plan::{Planner, environment, label};
use super::stamp::Stamp;
use super::step::{Content, Input, Step, StepKind};
use crate::lock::{Role, Source};
use crate::manifest::Tool;
use crate::terms::{self, Term};
use crate::tree::RelPath;

/// Where dependencies are looked for, unless a rebar 2 project says otherwise.
const DEPS_DIR: &str = "deps";
/// The release's directory at the end.
const RELEASE: &str = ".release";

/// Finds the one release that was made.
const FIND: &str = r#"
found=
for place in "$REBEAM_OUTPUT" "_rel/$REBEAM_RELEASE" _rel/*/ rel/*/ _build/*/rel/*/; do
    [ -d "$place/releases" ] || continue
    [ -z "$found" ] || { echo "there are several releases, $found and $place: choose by output in [build]" >&2; exit 1; }
    found=$place
    case $place in "$REBEAM_OUTPUT" | "_rel/$REBEAM_RELEASE") break ;; esac
done
[ -n "$found" ] || { echo "no directory with a release was made in _rel or rel: name it by output in [build]" >&2; exit 1; }
mv "$found" /build/.release
"#;

pub(super) fn shell(script: &str) -> Vec<String> {
    ["sh", "-ec", script].map(str::to_owned).into()
}

/// Commands as lines of a script.
pub(super) fn lines(steps: &[Vec<String>]) -> String {
    let quote = |word: &String| format!("'{}'", word.replace('\'', "'\\''"));
    let line = |step: &Vec<String>| step.iter().map(quote).collect::<Vec<_>>().join(" ");
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Lets a step find our commands, by name and by the variables in which makefiles and configure scripts look for them.
/// What the manifest says of those variables counts.
pub(super) fn see_commands(env: &mut BTreeMap<String, String>) {
    let path = env.entry("PATH".into()).or_default();
    *path = format!("{BIN}:{path}");
    for (name, command) in [("REBAR", "rebar"), ("REBAR3", "rebar3")] {
        env.entry(name.into()).or_insert_with(|| format!("{BIN}/{command}"));
    }
}

/// Makes our commands ones. OTP has no `erl_interface` since 23, and what older tools still link it for is in `ei`: so
/// it is there and holds nothing.
pub(super) const READY: &str = "chmod -R +x /build/.rebeam
set -- /usr/lib/erlang/lib/erl_interface-*/lib/liberl_interface.a
if [ ! -e \"$1\" ]; then
    mkdir -p /build/.rebeam/lib
    ar rc /build/.rebeam/lib/liberl_interface.a
    export LIBRARY_PATH=/build/.rebeam/lib
fi
";

impl<'a> Planner<'a> {
    /// Plans what neither rebar3 nor mix builds; returns the release's step.
    pub(super) fn make(&mut self) -> Result<Step, CompileError> {
        let ready = self.ready_tools()?;
        let project = self.project;
        let step = |planner: &Self, source: &'a Source| match Ready::builds(project, source) {
            true => planner.made(source, &ready).map(Some),
            false => Ok(None),
        };
        for source in project.lock.sources.iter().filter(|source| source.role == Role::Dep) {
            self.visit(source, &step, &mut Vec::new())?;
        }
        self.made_release(&ready)
    }

    /// Plans the steps that make the tools ready.
    fn ready_tools(&mut self) -> Result<Ready, CompileError> {
        self.steps.push(relx(self.tools.inputs()));
        let relx = self.steps.len() - 1;
        let mut rebar = None;
        if let Some(source) = self.project.lock.find(Role::Tool, "rebar") {
            let tree = self.digest(source)?;
            self.steps.push(bootstrap(RebarSource { source, tree }, self.tools.otp_inputs()));
            rebar = Some(self.steps.len() - 1);
        }
        Ok(Ready { relx, rebar })
    }

    /// How a step sees the tools.
    fn seen(&self, ready: &Ready) -> Vec<Input> {
        let seen = |at: &str, label: &str, step| Input {
            at: at.into(),
            content: Content::Output(step),
            label: label.into(),
        };
        let relx = seen(RELX_HOME, "relx", ready.relx);
        let rebar = ready.rebar.map(|step| seen(REBAR_HOME, "rebar", step));
        self.tools.inputs().into_iter().chain([relx]).chain(rebar).collect()
    }

    /// Everything that a dependency needs, by whatever way.
    fn all_needed(&self, source: &'a Source) -> BTreeSet<&'a str> {
        let mut all = BTreeSet::new();
        let mut open: Vec<&'a str> = self.needed(source).collect();
        while let Some(app) = open.pop() {
            if let Some(dep) = self.source(Role::Dep, app)
                && all.insert(dep.app.as_str())
            {
                open.extend(self.needed(dep));
            }
        }
        all
    }

    /// The dependencies of a step, built where they have steps of their own.
    fn laid_all(
        &self,
        apps: &BTreeSet<&'a str>,
        place: impl Fn(&Source) -> String,
    ) -> Result<Vec<Input>, CompileError> {
        let mut inputs = Vec::new();
        for app in apps {
            let Some(source) = self.source(Role::Dep, app) else { continue };
            let content = match self.places.get(&(Role::Dep, *app)) {
                Some(step) => Content::Output(*step),
                None => match self.project.laid.get(&source.app) {
                    Some(laid) => Content::Source(*laid),
                    None => Content::Source(self.digest(source)?),
                },
            };
            inputs.push(Input { at: place(source), content, label: label(source) });
        }
        Ok(inputs)
    }

    fn made(&self, source: &'a Source, ready: &Ready) -> Result<Step, CompileError> {
        let manifest = self.project.manifest;
        let wish = manifest.deps.get(&source.app);
        let steps = wish.map(|wish| wish.steps.as_slice()).unwrap_or_default();
        let tool = wish.and_then(|wish| wish.tool);
        let own = format!("/build/deps/{}", source.app);
        let patched = steps.is_empty()
            && manifest.build.tool == Tool::ErlangMk
            && tool.is_none_or(|tool| tool == Tool::ErlangMk);
        let at = if patched { format!("/build/.sources/{}", source.app) } else { own.clone() };
        let mut inputs = vec![Input {
            at,
            content: Content::Source(self.digest(source)?),
            label: label(source),
        }];
        let closure = self.all_needed(source);
        inputs.extend(self.laid_all(&closure, |dep| format!("/build/deps/{}", dep.app))?);
        inputs.extend(self.seen(ready));
        let mut files = ready.commands(&[]);
        let overlay = Overlay::of(&source.app, wish, self.project.patches)?;
        let place = if patched { ".sources" } else { "deps" };
        files.extend(overlay.files_below(&format!("{place}/{}", source.app)));
        if let Some(make) = self.project.make {
            files.insert("erlang.mk".into(), make.erlang_mk.clone());
        }
        let place = if patched { format!("/build/.sources/{}", source.app) } else { own.clone() };
        let replaced = replace_escripts(&place);
        let script = match tool {
            _ if !steps.is_empty() => format!("cd {own}\n{}", lines(steps)),
            _ if patched => {
                files.insert("Makefile".into(), self.makefile(source));
                take_over(&source.app)
            }
            Some(Tool::Rebar3) => format!(
                "cd {own}\nrm -f rebar.lock\nrebar3 bare compile --paths '/build/deps/*/ebin'"
            ),
            Some(Tool::Rebar) => format!("cd {own}\nrebar compile skip_deps=true"),
            _ => format!("cd {own}\nmake IS_DEP=1"),
        };
        let mut env = self.make_environment();
        env.extend(wish.iter().flat_map(|wish| wish.env.clone()));
        Ok(Step {
            name: source.app.clone(),
            kind: StepKind::Dep,
            inputs,
            files,
            patches: overlay.patches,
            stamp: self.stamp(source),
            argv: shell(&format!(
                "{READY}{replaced}{script}\n[ ! -d {own}/ebin ] || touch {own}/ebin/dep_built"
            )),
            env,
            output: format!("deps/{}", source.app),
        })
    }

    /// A Makefile whose only dependency is this one.
    fn makefile(&self, source: &Source) -> Vec<u8> {
        let make = self.project.make.expect("erlang.mk's own projects bring it along");
        let app = source.app.as_str();
        let others = make.facts.no_autopatch.names.iter().map(String::as_str);
        let mut untouched: BTreeSet<&str> = others.filter(|name| *name != app).collect();
        if source.untouched {
            untouched.insert(app);
        }
        let untouched: Vec<&str> = untouched.into_iter().collect();
        let mut text = String::new();
        let mut line = |words: std::fmt::Arguments<'_>| {
            text.write_fmt(words).expect("writing to a String cannot fail");
            text.push('\n');
        };
        line(format_args!("PROJECT = rebeam\nDEPS = {app}"));
        line(format_args!("dep_{app} = cp /build/.sources/{app}"));
        line(format_args!("NO_AUTOPATCH = {}", untouched.join(" ")));
        line(format_args!("include erlang.mk"));
        line(format_args!("rebeam-dep:\n\t$(MAKE) -C $(DEPS_DIR)/{app} IS_DEP=1"));
        text.into_bytes()
    }

    /// Variables that make's own see before their defaults.
    fn make_environment(&self) -> BTreeMap<String, String> {
        let mut env = environment(self.project.manifest);
        see_commands(&mut env);
        let fixed = [
            ("RELX", "/build/.rebeam/bin/relx"),
            ("REBAR_DEPS_DIR", "/build/deps"),
            ("RELX_TAR", "0"),
            ("ERL_LIBS", "/build/deps"),
            ("ERL_ZFLAGS", RELX_PATHS),
        ];
        env.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        if self.project.manifest.build.tool == Tool::ErlangMk {
            env.insert("SKIP_DEPS".into(), "1".into());
        }
        env
    }

    /// Where the project's tool looks for dependencies, below the directory that it is started in.
    fn deps_dir(&self) -> String {
        let is_rebar = self.project.manifest.build.tool == Tool::Rebar;
        let stated = terms::get(self.project.config, "deps_dir").filter(|_| is_rebar);
        let stated = stated.and_then(Term::as_text);
        // A place outside the project is none that a step could be given.
        let inside = stated.filter(|place| RelPath::new(place.as_str()).is_ok());
        inside.unwrap_or_else(|| DEPS_DIR.to_owned())
    }

    fn made_release(&self, ready: &Ready) -> Result<Step, CompileError> {
        let manifest = self.project.manifest;
        // relx finds the project's application only in a directory of its name.
        let base = match (&manifest.build.dir, self.project.make) {
            (None, Some(make)) => format!("/build/{}", make.facts.project),
            _ => "/build".to_owned(),
        };
        let top = manifest.build.dir.as_ref().map_or(base.clone(), |dir| format!("{base}/{dir}"));
        let name = format!("{} {}", manifest.project.name, manifest.project.version);
        let own = Content::Source(self.project.tree);
        let mut inputs = vec![Input { at: base.clone(), content: own, label: name }];
        let all = self.all(Role::Dep);
        let deps_dir = format!("{top}/{}", self.deps_dir());
        inputs.extend(self.laid_all(&all, |source| {
            let wish = manifest.deps.get(&source.app);
            match wish.and_then(|wish| wish.at.as_ref()) {
                Some(at) => format!("{base}/{at}"),
                None => format!("{deps_dir}/{}", source.app),
            }
        })?);
        let sources = inputs.iter().filter(|input| matches!(input.content, Content::Source(_)));
        let replaced: String = sources.map(|input| replace_escripts(&input.at)).collect();
        inputs.extend(self.seen(ready));
        let default: &[&[&str]] = match manifest.build.tool {
            Tool::Rebar => &[&["rebar", "compile"], &["rebar", "generate"]],
            Tool::ErlangMk => &[&["make", "apps", "rel"]],
            Tool::Make | Tool::Rebar3 | Tool::Mix => &[&["make", "rel"]],
        };
        let default = default.iter().map(|step| step.iter().map(|&word| word.to_owned()).collect());
        let steps = match manifest.build.steps.as_slice() {
            [] => default.collect(),
            steps => steps.to_vec(),
        };
        let mut env = self.make_environment();
        let release = manifest.release.name.as_ref().unwrap_or(&manifest.project.name);
        env.insert("REBEAM_RELEASE".into(), release.clone());
        let output = manifest.build.output.clone().unwrap_or_default();
        env.insert("REBEAM_OUTPUT".into(), output);
        env.insert("REBAR_DEPS_DIR".into(), deps_dir.clone());
        env.insert("ERL_LIBS".into(), deps_dir);
        Ok(Step {
            name: manifest.project.name.clone(),
            kind: StepKind::Release,
            inputs,
            files: ready.commands(&[("relx", RELX)]),
            patches: vec![],
            stamp: Some(Stamp::WhereAsked(manifest.project.version.clone())),
            argv: shell(&format!("{READY}{replaced}cd {top}\n{}\n{FIND}", lines(&steps))),
            env,
            output: RELEASE.into(),
        })
    }
}

/// Puts our commands where a source brings an escript along that was built who knows how, for an OTP of its time.
fn replace_escripts(place: &str) -> String {
    format!(
        "for tool in rebar rebar3; do\n\
         \x20   if [ -f {place}/$tool ] && [ -f {BIN}/$tool ]; then cp {BIN}/$tool {place}/$tool; fi\ndone\n"
    )
}

/// Fetches by `cp`, patches and builds one dependency. A Makefile that would download erlang.mk gets the project's.
fn take_over(app: &str) -> String {
    format!(
        "[ ! -d {REBAR_HOME} ] || {{ mkdir -p /build/.erlang.mk; ln -s {REBAR_HOME} /build/.erlang.mk/rebar; }}\n\
         if [ ! -f .sources/{app}/erlang.mk ] && grep -qs '^-*include *erlang.mk' .sources/{app}/Makefile; then\n\
         \x20   cp erlang.mk .sources/{app}/\nfi\n\
         make /build/deps/{app}\nmake rebeam-dep"
    )
}
