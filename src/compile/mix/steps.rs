//! Steps: a dependency that mix builds, and the project's own release.

use std::collections::BTreeSet;

use super::{DEP_ENV, RELEASE, Ready, compile_command, config_files, files, release_command};
use crate::compile::CompileError;
use crate::compile::overlay::Overlay;
use crate::compile::plan::{Planner, environment};
use crate::compile::step::{Content, Input, Step, StepKind};
use crate::lock::{Role, Source};
use crate::manifest::mix::MixFacts;

impl<'a> Planner<'a> {
    /// A dependency that mix builds.
    pub(in crate::compile) fn mix_step(&self, source: &'a Source) -> Result<Step, CompileError> {
        let deps = self.closure(Role::Dep, source.deps.iter().map(String::as_str));
        let mut inputs = vec![self.laid(source, format!("deps/{}", source.app))?];
        let ready_at = |source: &Source| format!("_build/{}/lib/{}", DEP_ENV, source.app);
        inputs.extend(self.outputs_at(Role::Dep, &deps, &ready_at));
        inputs.extend(self.tools.otp_input());
        let wish = self.project.manifest.deps.get(&source.app);
        let overlay = Overlay::of(&source.app, wish, self.project.patches)?;
        let mut files = files(&self.ready(&deps));
        files.extend(overlay.files_below(&format!("deps/{}", source.app)));
        let mut configured = deps.clone();
        configured.insert(&source.app);
        if let Some(facts) = self.project.mix {
            files.extend(config_files(facts, &configured));
        }
        let mut env = super::environment(DEP_ENV, environment(self.project.manifest));
        env.insert("MIX_BUILD_PATH".into(), format!("/build/_build/{}", DEP_ENV));
        env.extend(wish.iter().flat_map(|wish| wish.env.clone()));
        let (argv, output) = compile_command(&source.app, source.tool);
        Ok(Step {
            name: source.app.clone(),
            kind: StepKind::Dep,
            inputs,
            files,
            patches: overlay.patches,
            stamp: self.stamp(source),
            argv,
            env,
            output,
        })
    }

    fn ready(&self, apps: &BTreeSet<&'a str>) -> Vec<Ready<'a>> {
        let sources = apps.iter().filter_map(|app| self.source(Role::Dep, app));
        let sources = sources.filter(|source| !self.is_raw(source));
        let ready = |source: &'a Source| Ready {
            app: &source.app,
            deps: source.deps.iter().map(String::as_str).collect(),
        };
        sources.map(ready).collect()
    }

    /// The project's own applications and its release, built by mix.
    pub(in crate::compile) fn mix_release(&self, facts: &MixFacts) -> Result<Step, CompileError> {
        let manifest = self.project.manifest;
        let profile = &manifest.build.profile;
        let label = format!("{} {}", manifest.project.name, manifest.project.version);
        let content = Content::Source(self.project.tree);
        let mut inputs = vec![Input { at: "/build".into(), content, label }];
        let deps = self.all(Role::Dep);
        let ready_at = |source: &Source| format!("_build/{profile}/lib/{}", source.app);
        inputs.extend(self.outputs_at(Role::Dep, &deps, &ready_at));
        let sources = self.project.lock.sources.iter();
        for raw in sources.filter(|source| self.is_raw(source)) {
            inputs.push(self.laid(raw, format!("deps/{}", raw.app))?);
        }
        inputs.extend(self.tools.otp_input());
        let mut env = super::environment(profile, environment(manifest));
        env.insert("REBEAM_STAGE".into(), "release".into());
        let by_path: Vec<&str> = facts.by_path.iter().map(String::as_str).collect();
        env.insert("OWN_PATHS".into(), by_path.join(" "));
        Ok(Step {
            name: manifest.project.name.clone(),
            kind: StepKind::Release,
            inputs,
            files: files(&self.ready(&deps)),
            patches: vec![],
            stamp: None,
            argv: release_command(manifest.release.name.as_deref()),
            env,
            output: RELEASE.into(),
        })
    }
}
