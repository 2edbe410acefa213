//! Detect: looks at a project that has no manifest yet, and writes the manifest that would fit it.
//!
//! Nothing is run: files are read as terms, and what only evaluation could tell is left open.

mod mix;
mod words;

use std::path::{Path, PathBuf};

use thiserror::Error;

use self::mix::MixProject;
use super::form::Form;
use super::rebar::{self, RebarError, RebarFacts};
use super::{FILE_NAME, OTP_PRESETS, Tool};
use crate::disk::{self, DiskError};
use crate::explain::{Blame, Explain};
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::terms::{self, Term};

/// The preset for a project that does not say which OTP it wants.
const OTP_DEFAULT: &str = "27";
const VERSION_DEFAULT: &str = "0.1.0";
/// Applications of one project that are looked at.
const APPS_MAX: usize = 1000;

/// What a look at a project's files tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detected {
    /// A name for the project that is an image's name too.
    pub name: String,
    /// Its version, or a first one.
    pub version: String,
    /// Whether there is a `rebeam.toml`, which must not be overwritten.
    pub has_manifest: bool,
    /// The facts of `rebar.config`, where there is one.
    pub config: Option<RebarFacts>,
    /// What `mix.exs` says, where mix builds the project.
    pub mix: Option<MixProject>,
    /// Whether a `rebar.config.script` changes that configuration.
    pub has_script: bool,
    /// Whether there is a `rebar.lock`.
    pub has_lock: bool,
    /// relx's releases, the first of which is built.
    pub releases: Vec<NamedVersion>,
    /// The project's own applications, sorted by name.
    pub apps: Vec<NamedVersion>,
    /// Directories with C or C++ code, relative to the project.
    pub native: Vec<String>,
    /// The least OTP version that `rebar.config` asks for, as written.
    pub otp_minimum: Option<String>,
    /// The preset that fits.
    pub otp: String,
    /// The tool that builds it.
    pub tool: Tool,
    /// Debian packages that its build tool calls beside the preset's.
    pub packages: Vec<&'static str>,
    /// The commands that come before its configuration can be read.
    pub configure: Vec<&'static str>,
    /// Files of build tools that rebeam does not drive yet.
    pub others: Vec<&'static str>,
}

/// A release or application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedVersion {
    /// Its name.
    pub name: String,
    /// Its version, where it is written out and not computed.
    pub version: Option<String>,
}

/// A project that cannot be looked at.
#[derive(Debug, Error)]
pub enum DetectError {
    /// No build tool's file is there, nor an application.
    #[error("`{}` holds no project of rebar3, rebar 2, erlang.mk, mix or make{}", path.display(), beside(others))]
    NoProject {
        /// Where it was looked for.
        path: PathBuf,
        /// Files of other build tools.
        others: Vec<&'static str>,
    },
    /// A manifest is there already.
    #[error("`{}` exists and is not overwritten", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Its configuration cannot be read.
    #[error(transparent)]
    Rebar(#[from] RebarError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

fn beside(others: &[&str]) -> String {
    match others {
        [] => String::new(),
        others => format!(", only `{}`", others.join("`, `")),
    }
}

impl Explain for DetectError {
    fn blame(&self) -> Blame {
        match self {
            Self::NoProject { .. } | Self::Exists { .. } => Blame::User,
            Self::Rebar(error) => error.blame(),
            Self::Disk(error) => error.blame(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoProject { .. } => Some(
                "run it in the directory that holds `rebar.config`, `mix.exs` or a Makefile"
                    .to_owned(),
            ),
            Self::Exists { .. } => Some("edit it, then `rebeam lock`".to_owned()),
            Self::Rebar(error) => error.hint(),
            Self::Disk(error) => error.hint(),
        }
    }
}

/// Looks at the project in `dir` and changes nothing.
pub fn detect(dir: &Path) -> Result<Detected, DetectError> {
    let has = |name: &str| disk::exists(&dir.join(name));
    let has_script = has("rebar.config.script");
    let config = match text(dir, "rebar.config")? {
        Some(text) => Some(config(&text, has_script)?),
        None => has_script.then(RebarFacts::default),
    };
    let mix = match config {
        Some(_) => None,
        None => text(dir, "mix.exs")?.map(|text| mix::read(&text)),
    };
    let others = ["mix.exs", "gleam.toml"];
    let is_other = |name: &&str| has(name) && !(mix.is_some() && *name == "mix.exs");
    let others = others.into_iter().filter(is_other).collect();
    let (mut apps, native) = applications(dir)?;
    apps.sort_unstable();
    let makefile = Makefile::look(dir)?;
    if config.is_none() && mix.is_none() && apps.is_empty() && makefile.is_none() {
        let path = dir.to_owned();
        return Err(DetectError::NoProject { path, others });
    }
    let own = config.as_ref().map_or(&[][..], |config| &config.terms);
    let mut releases = releases(dir, own)?;
    let has_reltool = releases.is_empty() && has("rel/reltool.config");
    releases.extend(reltool(dir)?);
    let tool = match mix {
        Some(_) => Tool::Mix,
        None if has_reltool => Tool::Rebar,
        None => tool(own, makefile.as_ref(), !releases.is_empty()),
    };
    let configure = configure(dir);
    let makefile = makefile.filter(|_| tool == Tool::ErlangMk).unwrap_or_default();
    apps.extend(makefile.app);
    let otp_minimum = otp_minimum(own);
    let mut detected = Detected {
        has_manifest: has(FILE_NAME),
        tool,
        packages: [makefile.packages, configure.packages].concat(),
        configure: configure.commands,
        has_script,
        has_lock: has("rebar.lock") || mix.is_some() && has("mix.lock"),
        otp: preset(dir, otp_minimum.as_deref())?,
        otp_minimum,
        releases,
        apps,
        native,
        others,
        config,
        mix,
        ..Detected::default()
    };
    detected.name = detected.guess_name(dir);
    detected.version = detected.guess_version();
    Ok(detected)
}

/// Reads `rebar.config`. Where a script makes of it what rebar reads, the file alone may be in words of the script's own.
fn config(text: &str, has_script: bool) -> Result<RebarFacts, RebarError> {
    match RebarFacts::read(text, "rebar.config") {
        Err(_) if has_script => {
            let terms = rebar::read_terms(text, "rebar.config")?;
            Ok(RebarFacts { terms, ..RebarFacts::default() })
        }
        read => read,
    }
}

/// What comes before anything else in a project for autoconf, or one that does as if.
#[derive(Debug, Default)]
struct Configure {
    commands: Vec<&'static str>,
    packages: Vec<&'static str>,
}

fn configure(dir: &Path) -> Configure {
    let has = |name: &str| disk::exists(&dir.join(name));
    let makes_it = ["autogen.sh", "configure.ac"].into_iter().find(|name| has(name));
    match makes_it {
        _ if has("configure") => Configure { commands: vec!["./configure"], packages: vec![] },
        Some("autogen.sh") => Configure {
            commands: vec!["./autogen.sh", "./configure"],
            packages: vec!["autoconf", "automake"],
        },
        Some(_) => Configure {
            commands: vec!["autoreconf -fi", "./configure"],
            packages: vec!["autoconf", "automake"],
        },
        None => Configure::default(),
    }
}

/// What a look at a Makefile tells; `rebeam lock` evaluates it.
#[derive(Debug, Default)]
struct Makefile {
    includes_erlang_mk: bool,
    app: Option<NamedVersion>,
    packages: Vec<&'static str>,
}

impl Makefile {
    fn look(dir: &Path) -> Result<Option<Self>, DiskError> {
        let Some(makefile) = super::makefile::makefile(dir)? else { return Ok(None) };
        let value = |name: &str| {
            let mut lines = makefile.lines();
            let value = lines.find_map(|line| {
                line.strip_prefix(name)?.trim_start_matches([' ', '?', ':']).strip_prefix('=')
            });
            value.map(str::trim).filter(|value| !value.contains('$')).map(str::to_owned)
        };
        let version = value("PROJECT_VERSION");
        let app = value("PROJECT").map(|name| NamedVersion { name, version });
        let mut lines = makefile.lines().map(|line| line.trim_start_matches('-'));
        let includes_erlang_mk =
            lines.any(|line| line.starts_with("include ") && line.ends_with("erlang.mk"));
        // Older ones find relative paths by it.
        let calls_perl = text(dir, "erlang.mk")?.is_some_and(|own| own.contains("perl -"));
        let packages = if calls_perl { vec!["perl"] } else { vec![] };
        Ok(Some(Self { includes_erlang_mk, app, packages }))
    }
}

/// rebar 2 has directories of its own below the project and makes releases by reltool; a Makefile that includes
/// erlang.mk is the project's tool even where a `rebar.config` stands beside it for others.
fn tool(own: &[Term], makefile: Option<&Makefile>, has_release: bool) -> Tool {
    let is_rebar_2 = ["sub_dirs", "lib_dirs", "require_otp_vsn", "deps_dir"];
    let is_rebar_2 = is_rebar_2.into_iter().any(|key| terms::get(own, key).is_some());
    match makefile {
        Some(makefile) if makefile.includes_erlang_mk => Tool::ErlangMk,
        _ if is_rebar_2 => Tool::Rebar,
        Some(_) if own.is_empty() && !has_release => Tool::Make,
        _ => Tool::Rebar3,
    }
}

/// Reads reltool's release from `rel/reltool.config`.
fn reltool(dir: &Path) -> Result<Option<NamedVersion>, DetectError> {
    let Some(written) = text(dir, "rel/reltool.config")? else { return Ok(None) };
    // It may be a template of a configure script, and then it is no list of terms yet.
    let Ok(terms) = rebar::read_terms(&written, "rel/reltool.config") else { return Ok(None) };
    let system = terms::get(&terms, "sys").and_then(Term::as_list).unwrap_or_default();
    let name = terms::get(system, "boot_rel").and_then(Term::as_text);
    let release = system.iter().find_map(|term| match term.tagged("rel")? {
        [found, version, ..] if found.as_text() == name => Some(written_version(version)),
        _ => None,
    });
    Ok(name.map(|name| NamedVersion { name, version: release.flatten() }))
}

fn text(dir: &Path, name: &str) -> Result<Option<String>, DiskError> {
    let path = dir.join(name);
    if !disk::exists(&path) {
        return Ok(None);
    }
    disk::read_text(&path, TEXT_FILE_BYTES_MAX).map(Some)
}

/// Lists a directory's names; none where it does not exist.
fn names(dir: &Path) -> Result<Vec<String>, DiskError> {
    if !disk::exists(dir) {
        return Ok(Vec::new());
    }
    let names = disk::list(dir)?.into_iter().take(APPS_MAX);
    Ok(names.filter_map(|name| String::from_utf8(name).ok()).collect())
}

/// Finds the project's applications and the directories of their C code.
fn applications(dir: &Path) -> Result<(Vec<NamedVersion>, Vec<String>), DiskError> {
    let mut places = vec![String::new()];
    for above in ["apps", "lib"] {
        let below = names(&dir.join(above))?.into_iter();
        places.extend(below.map(|name| format!("{above}/{name}/")));
    }
    let (mut apps, mut native) = (Vec::new(), Vec::new());
    for place in places {
        let sources = dir.join(format!("{place}src"));
        if disk::exists(&dir.join(format!("{place}c_src"))) {
            native.push(format!("{place}c_src"));
        }
        for file in names(&sources)? {
            if let Some(name) = file.strip_suffix(".app.src") {
                let text = disk::read_text(&sources.join(&file), TEXT_FILE_BYTES_MAX)?;
                apps.push(NamedVersion { name: name.to_owned(), version: app_version(&text) });
            }
        }
    }
    Ok((apps, native))
}

/// Returns the version of an application that writes it out; `git` is one that is computed.
fn app_version(text: &str) -> Option<String> {
    let terms = terms::parse_all(text).ok()?;
    let [_, properties] = terms.first()?.tagged("application")? else {
        return None;
    };
    written_version(terms::get(properties.as_list()?, "vsn")?)
}

fn written_version(version: &Term) -> Option<String> {
    match version {
        Term::String(text) if !matches!(text.as_str(), "git" | "semver") => Some(text.clone()),
        _ => None,
    }
    .filter(|version| !version.is_empty())
}

/// Reads relx's releases from `rebar.config`, its prod profile, or `relx.config`.
fn releases(dir: &Path, own: &[Term]) -> Result<Vec<NamedVersion>, DetectError> {
    let relx_file = match text(dir, "relx.config")? {
        Some(text) => rebar::read_terms(&text, "relx.config")?,
        None => Vec::new(),
    };
    let list = |terms, key| terms::get(terms, key).and_then(Term::as_list).unwrap_or_default();
    let in_profile = list(list(list(own, "profiles"), "prod"), "relx");
    let places = [list(own, "relx"), in_profile, &relx_file];
    let releases = places.into_iter().flatten().filter_map(release);
    Ok(releases.collect())
}

fn release(term: &Term) -> Option<NamedVersion> {
    let [Term::Tuple(named), ..] = term.tagged("release")? else {
        return None;
    };
    match named.as_slice() {
        [Term::Atom(name), version] => {
            Some(NamedVersion { name: name.clone(), version: written_version(version) })
        }
        _ => None,
    }
}

fn otp_minimum(own: &[Term]) -> Option<String> {
    let keys = ["minimum_otp_vsn", "require_min_otp_vsn"];
    keys.into_iter().find_map(|key| terms::get(own, key)?.as_text())
}

/// Chooses the preset: what `.tool-versions` names, else the default, but no older than asked for.
fn preset(dir: &Path, minimum: Option<&str>) -> Result<String, DiskError> {
    let tools = text(dir, ".tool-versions")?.unwrap_or_default();
    let named = tools.lines().find_map(|line| line.strip_prefix("erlang "));
    let least = named.and_then(major).or_else(|| {
        let default = major(OTP_DEFAULT);
        minimum.and_then(major).max(default)
    });
    let fits = |preset: &&&str| major(preset) >= least;
    let newest = OTP_PRESETS.last();
    let chosen = OTP_PRESETS.iter().find(fits).or(newest);
    Ok((*chosen.expect("there are presets")).to_owned())
}

/// Reads the major version at the start of `25.1`, `OTP-25` or `R16`.
fn major(version: &str) -> Option<u32> {
    let start = version.find(|c: char| c.is_ascii_digit())?;
    let digits = version[start..].split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Makes a name that an image may have out of any.
fn image_name(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let parts = lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    let plain: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    // Underscores are the rule in Erlang, so a name that is fine stays as it is.
    let name = if Form::Name.fits(&lower) { lower } else { plain.join("-") };
    Form::Name.fits(&name).then_some(name)
}

impl Detected {
    fn guess_name(&self, dir: &Path) -> String {
        let named = self.releases.first().or(self.apps.first());
        let directory = disk::canonical(dir).ok();
        let directory = directory.as_ref().and_then(|dir| dir.file_name());
        let directory = directory.map(|name| name.to_string_lossy().into_owned());
        let app = self.mix.as_ref().and_then(|mix| mix.app.clone());
        let candidates = [named.map(|named| named.name.clone()), app, directory];
        let mut names = candidates.into_iter().flatten();
        names.find_map(|name| image_name(&name)).unwrap_or_else(|| "app".to_owned())
    }

    fn guess_version(&self) -> String {
        let release = self.releases.first();
        let app = release.map_or(self.apps.first(), |release| {
            let same = self.apps.iter().find(|app| app.name == release.name);
            same.or(self.apps.first())
        });
        let candidates = [release, app].into_iter().flatten();
        let of_mix = self.mix.as_ref().and_then(|mix| mix.version.as_deref());
        let mut versions = candidates.filter_map(|named| named.version.as_deref()).chain(of_mix);
        // A tag knows no `+`, which semantic versions put before build metadata.
        let version = versions.find_map(|version| {
            let version = version.replace('+', "-");
            Form::Version.fits(&version).then_some(version)
        });
        version.unwrap_or_else(|| VERSION_DEFAULT.to_owned())
    }
}

#[cfg(test)]
mod tests;
