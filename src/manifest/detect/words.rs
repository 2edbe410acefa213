//! Words: what was found, for a person, and the manifest that would fit it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{DetectError, Detected};
use crate::disk;
use crate::manifest::form::Form;
use crate::manifest::{FILE_NAME, OTP_PRESETS, Tool};

/// The last rebar 2, which also builds under the OTPs of the presets.
const REBAR_SOURCE: &str =
    "git+https://github.com/rebar/rebar#576e12171ab8d69b048b827b92aa65d067deea01";

impl Detected {
    /// Returns what was found, one fact a line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(config) = &self.config {
            let plugins = config.plugins.len() + config.project_plugins.len();
            let deps = count(config.deps.len(), "dependency", "dependencies");
            let plugins = count(plugins, "plugin", "plugins");
            lines.push(format!("`rebar.config` with {deps} and {plugins}"));
        }
        if let Some(mix) = &self.mix {
            let what = if mix.is_umbrella { ", of an umbrella" } else { "" };
            lines.push(format!("`mix.exs`{what}, which `rebeam lock` evaluates"));
        }
        if self.has_script {
            lines.push("`rebar.config.script`, which `rebeam lock` evaluates".to_owned());
        }
        if self.has_lock {
            let name = if self.mix.is_some() { "mix.lock" } else { "rebar.lock" };
            lines.push(format!("`{name}`, which `rebeam lock` imports"));
        }
        for (kind, found) in [("release", &self.releases), ("application", &self.apps)] {
            for named in found {
                let version = named.version.as_deref().unwrap_or("with a computed version");
                lines.push(format!("{kind} `{}` {version}", named.name));
            }
        }
        for place in &self.native {
            lines.push(format!("C code in `{place}`"));
        }
        if let Some(minimum) = &self.otp_minimum {
            lines.push(format!("OTP {minimum} or later is asked for"));
        }
        if !self.configure.is_empty() {
            let commands = self.configure.join("` and `");
            let come = if self.configure.len() == 1 { "comes" } else { "come" };
            lines.push(format!("`{commands}`, which {come} before everything else"));
        }
        if self.tool != Tool::Rebar3 {
            lines.push(format!("a project for `{}`", self.tool.name()));
        }
        for other in &self.others {
            lines.push(format!("`{other}`, which rebeam does not read"));
        }
        lines
    }

    /// Writes the manifest into `dir`, where there is none yet, and returns its path.
    pub fn write_manifest(&self, dir: &Path) -> Result<PathBuf, DetectError> {
        let path = dir.join(FILE_NAME);
        if disk::exists(&path) {
            return Err(DetectError::Exists { path });
        }
        let mut file = disk::create_new(&path, false)?;
        disk::write_all(&mut file, &path, self.to_manifest_text().as_bytes())?;
        Ok(path)
    }

    /// Returns a short manifest for the project, which [`crate::manifest::Manifest::parse`] accepts.
    pub fn to_manifest_text(&self) -> String {
        let mut text =
            String::from("# What rebeam builds, and with what. `rebeam lock` comes next.\n\n");
        let release = self.releases.first().map(|release| release.name.as_str());
        let mut line =
            |line: &str| writeln!(text, "{line}").expect("writing to a String cannot fail");
        line("[project]");
        line(&format!("name = \"{}\"", self.name));
        line(&format!("version = \"{}\"", self.version));
        line("\n[toolchain]");
        line(&format!("otp = \"{}\" # one of {}", self.otp, OTP_PRESETS.join(", ")));
        if !self.native.is_empty() {
            line("# Debian packages that the C code needs beside a compiler:");
        }
        match self.packages.is_empty() {
            true => line("# packages = [\"zlib1g-dev\"]"),
            false => line(&format!("packages = [\"{}\"]", self.packages.join("\", \""))),
        }
        self.build_lines().iter().for_each(|text| line(text));
        if let Some(release) =
            release.filter(|release| *release != self.name && Form::App.fits(release))
        {
            line("\n[release]");
            line(&format!("name = \"{release}\""));
        }
        line("\n[image]");
        line("# ports = [8080]");
        line("# volumes = [\"/data\"]");
        line("# shell = \"busybox\" # for remote_console");
        text
    }
}

impl Detected {
    /// Returns the lines of `[build]` and `[tools]`; none where rebar3 needs none.
    fn build_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.tool == Tool::Rebar3 && self.configure.is_empty() {
            return lines;
        }
        lines.push("\n[build]".to_owned());
        if self.tool != Tool::Rebar3 {
            lines.push(format!("tool = \"{}\"", self.tool.name()));
        }
        if !self.configure.is_empty() {
            let command = |command: &&str| {
                let words = command.split(' ').map(|word| format!("\"{word}\""));
                format!("[{}]", words.collect::<Vec<_>>().join(", "))
            };
            let commands: Vec<String> = self.configure.iter().map(command).collect();
            let commands = commands.join(", ");
            lines.push(format!("configure = [{commands}] # with the options that you want"));
        }
        let more: &[&str] = match self.tool {
            Tool::Rebar3 | Tool::Mix | Tool::ErlangMk => &[],
            Tool::Rebar => &[
                "# steps = [[\"make\", \"rel\"]] # in place of rebar's compile and generate",
                "\n[tools]",
            ],
            Tool::Make => &[
                "steps = [[\"make\", \"rel\"]]",
                "# output = \"_rel/NAME\" # the release's directory, where it is not the only one",
            ],
        };
        lines.extend(more.iter().map(|&line| line.to_owned()));
        if self.tool == Tool::Rebar {
            lines.push(format!("rebar = \"{REBAR_SOURCE}\""));
        }
        lines
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}
