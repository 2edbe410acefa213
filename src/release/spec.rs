//! Spec: what a built release says of itself.

use std::collections::BTreeSet;
use std::path::Path;

use super::ReleaseError;
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::terms::{self, Term};
use crate::tree::{Entry, RelPath, Tree};

/// What a release's `.rel` file and the names in its version's directory say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// The version of ERTS.
    pub(super) erts: String,
    /// Every application with its version.
    pub(super) apps: Vec<(String, String)>,
    /// The version's directory.
    pub(super) directory: RelPath,
    /// The boot file's name without `.boot`.
    pub(super) boot: String,
    /// How the node is configured.
    pub(super) sys_config: Option<Config>,
    /// The emulator's arguments.
    pub(super) vm_args: Option<Config>,
    /// The words of `vm.args`, or of its source.
    pub(super) arguments: Vec<String>,
    /// Whether mix put it together: its script `elixir` lies in the version's directory.
    pub(super) of_mix: bool,
    /// Whether the `env.sh` of a mix release says anything: mix's own is all comments.
    pub(super) has_env: bool,
    /// The scripts in `bin` that ask a `nodetool` of the release which starts epmd itself.
    pub(super) nodetool_scripts: BTreeSet<String>,
}

/// A configuration file in the version's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Config {
    /// It is complete.
    Plain,
    /// A script fills it in at the start: only its source is there.
    Source,
}

/// Reads the release that stands at `root`; `stated` is the version of one that states none.
pub(super) fn read(root: &Path, listing: &Tree, stated: &str) -> Result<Spec, ReleaseError> {
    let bad = |what: &str| ReleaseError::NoRelease { path: root.to_owned(), what: what.into() };
    let version = current_version(root, listing)?;
    let directory = match &version {
        Some(version) => RelPath::new(format!("releases/{version}"))
            .map_err(|_| bad("its version is no directory's name"))?,
        None => crate::release::at("releases"),
    };
    let version = version.unwrap_or_else(|| stated.to_owned());
    let (path, terms) = rel_file(root, listing, &directory)?
        .ok_or_else(|| bad(&format!("`{directory}` holds no `.rel` file")))?;
    let Some((name, erts, apps)) = terms.first().and_then(release_term) else {
        return Err(bad(&format!("`{path}` is no release resource file")));
    };
    let has = |name: &str| {
        let path = directory.join(name.as_bytes());
        path.is_ok_and(|path| matches!(listing.get(&path), Some(Entry::File { .. })))
    };
    let config = |name: &str| match (has(name), has(&format!("{name}.src"))) {
        (true, _) => Some(Config::Plain),
        (false, true) => Some(Config::Source),
        (false, false) => None,
    };
    let boot = ["start", &name]
        .into_iter()
        .find(|boot| has(&format!("{boot}.boot")))
        .ok_or_else(|| bad(&format!("`{directory}` holds neither `start.boot` nor `{name}.boot`")))?
        .to_owned();
    let vm_args = config("vm.args");
    let of_mix = has("elixir");
    Ok(Spec {
        has_env: of_mix && has("env.sh") && says_anything(&directory.under(root).join("env.sh"))?,
        nodetool_scripts: nodetool_scripts(root, listing),
        arguments: arguments(root, &directory, vm_args)?,
        sys_config: config("sys.config"),
        vm_args,
        of_mix,
        name,
        version,
        erts,
        apps,
        directory,
        boot,
    })
}

/// Finds the version: `start_erl.data` names it, else there is but one directory. reltool makes releases with an empty
/// version too; of such a one all files stand in `releases` itself.
fn current_version(root: &Path, listing: &Tree) -> Result<Option<String>, ReleaseError> {
    let data = crate::release::at("releases/start_erl.data");
    if listing.get(&data).is_some() {
        let text = disk::read_text(&data.under(root), TEXT_FILE_BYTES_MAX)?;
        if let Some(version) = text.split_whitespace().nth(1) {
            return Ok(Some(version.to_owned()));
        }
    }
    let mut versions = listing.entries().filter_map(|(path, entry)| {
        let parts: Vec<_> = path.components().collect();
        match (parts.as_slice(), entry) {
            ([b"releases", version], Entry::Directory) => {
                Some(String::from_utf8_lossy(version).into_owned())
            }
            _ => None,
        }
    });
    match (versions.next(), versions.next()) {
        (Some(version), None) => Ok(Some(version)),
        (None, _) if rel_file(root, listing, &crate::release::at("releases"))?.is_some() => {
            Ok(None)
        }
        (None, _) => Err(ReleaseError::NoRelease {
            path: root.to_owned(),
            what: "`releases` is missing or empty".into(),
        }),
        (Some(_), Some(_)) => Err(ReleaseError::NoRelease {
            path: root.to_owned(),
            what: "`releases` holds several versions, and `releases/start_erl.data` names none"
                .into(),
        }),
    }
}

/// Reads the version's `.rel` file. OTP's own tools leave other boot files' beside it; those name other releases.
fn rel_file(
    root: &Path,
    listing: &Tree,
    directory: &RelPath,
) -> Result<Option<(RelPath, Vec<Term>)>, ReleaseError> {
    let is_rel = |path: &&RelPath| {
        path.parent().as_ref() == Some(directory)
            && path.name().ends_with(b".rel")
            && path.name() != b"start_clean.rel"
            && path.name() != b"no_dot_erlang.rel"
    };
    let Some(path) = listing.entries().map(|(path, _)| path).find(is_rel) else {
        return Ok(None);
    };
    let on_disk = path.under(root);
    let text = disk::read_text(&on_disk, TEXT_FILE_BYTES_MAX)?;
    let terms =
        terms::parse_all(&text).map_err(|source| ReleaseError::Terms { path: on_disk, source })?;
    Ok(Some((path.clone(), terms)))
}

type Named = (String, String, Vec<(String, String)>);

/// Reads `{release, {Name, Version}, {erts, Version}, [{App, Version, …}]}`.
fn release_term(term: &Term) -> Option<Named> {
    let [name, erts, apps] = term.tagged("release")? else {
        return None;
    };
    let name = name.as_tuple()?.first()?.as_text()?;
    let erts = erts.tagged("erts")?.first()?.as_text()?;
    let apps = apps.as_list()?.iter().map(|app| {
        let app = app.as_tuple()?;
        Some((app.first()?.as_text()?, app.get(1)?.as_text()?))
    });
    Some((name, erts, apps.collect::<Option<_>>()?))
}

/// Tells whether a script holds more than comments.
fn says_anything(script: &Path) -> Result<bool, ReleaseError> {
    let text = disk::read_text(script, TEXT_FILE_BYTES_MAX)?;
    Ok(text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#')))
}

/// Finds the scripts in `bin` that ask `bin/nodetool`, where the release has one that starts epmd.
fn nodetool_scripts(root: &Path, listing: &Tree) -> BTreeSet<String> {
    // What is no text, or longer than any script, is none.
    let text = |path: &RelPath| disk::read_text(&path.under(root), TEXT_FILE_BYTES_MAX).ok();
    let nodetool = super::at("bin/nodetool");
    let starts_epmd = listing.get(&nodetool).is_some()
        && text(&nodetool).is_some_and(|text| text.contains("epmd"));
    let in_bin = listing.entries().filter(|(path, entry)| {
        let in_bin = path.parent().is_some_and(|parent| parent.as_bytes() == b"bin");
        starts_epmd && in_bin && **path != nodetool && matches!(entry, Entry::File { .. })
    });
    let asks = |path: &RelPath| {
        text(path).is_some_and(|text| text.starts_with("#!") && text.contains("nodetool"))
    };
    in_bin.map(|(path, _)| path).filter(|path| asks(path)).map(ToString::to_string).collect()
}

fn arguments(
    root: &Path,
    directory: &RelPath,
    vm_args: Option<Config>,
) -> Result<Vec<String>, ReleaseError> {
    let name = match vm_args {
        None => return Ok(Vec::new()),
        Some(Config::Plain) => "vm.args",
        Some(Config::Source) => "vm.args.src",
    };
    let path = directory.under(root).join(name);
    let text = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    Ok(lines.flat_map(str::split_whitespace).map(str::to_owned).collect())
}

impl Spec {
    /// Tells whether mix put the release together.
    pub(super) fn is_of_mix(&self) -> bool {
        self.of_mix
    }

    /// Tells whether the node takes part in distribution.
    pub(super) fn is_distributed(&self) -> bool {
        self.asks_for(&["-name", "-sname"])
    }

    /// Tells whether the emulator's launcher starts the port mapper: by `system`, which is a shell's matter.
    pub(super) fn starts_epmd(&self) -> bool {
        self.is_distributed() && !self.asks_for(&["-start_epmd", "-no_epmd", "-erl_epmd_port"])
    }

    /// Tells whether the emulator's arguments hold one of these flags.
    pub(super) fn asks_for(&self, flags: &[&str]) -> bool {
        self.arguments.iter().any(|word| flags.contains(&word.as_str()))
    }

    /// Returns the configuration file that a script has to fill in, if there is one.
    pub(super) fn unfinished(&self) -> Option<String> {
        let source = |config, name| (config == Some(Config::Source)).then_some(name);
        source(self.sys_config, "sys.config.src")
            .or_else(|| source(self.vm_args, "vm.args.src"))
            .map(|name| format!("{}/{name}", self.directory))
    }
}
