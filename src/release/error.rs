//! Error: why a release could not be assembled.

use std::collections::BTreeSet;
use std::path::PathBuf;

use thiserror::Error;

use super::BeamError;
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::fetch::debian::DebianError;
use crate::terms::TermError;
use crate::tree::TreeError;

/// A release could not be assembled.
#[derive(Debug, Error)]
pub enum ReleaseError {
    /// The directory is no release.
    #[error("`{}` holds no release: {what}", path.display())]
    NoRelease {
        /// The directory.
        path: PathBuf,
        /// What is missing or strange.
        what: String,
    },
    /// A file of Erlang terms cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Terms {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: TermError,
    },
    /// A link of the release leads out of it.
    #[error("`{path}` in the release is a link that leads out of it, to `{target}`")]
    LinkOutside {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// An application of the release is neither in it nor in the toolchain.
    #[error("the release needs `{app}` {version}, which neither it nor the toolchain holds")]
    NoApp {
        /// The application.
        app: String,
        /// Its version.
        version: String,
    },
    /// The emulator is neither in the release nor in the toolchain.
    #[error("the release needs ERTS {version}, which neither it nor the toolchain holds")]
    NoErts {
        /// Its version.
        version: String,
    },
    /// A configuration has to be made by a shell script at the start.
    #[error(
        "`{path}` is filled in by a shell script when the release starts, and the image has no shell"
    )]
    NeedsShell {
        /// The `.src` file.
        path: String,
    },
    /// A mix release sets its environment by a script.
    #[error("`{path}`, made of `rel/env.sh.eex`, is a shell script, and the image has no shell")]
    EnvNeedsShell {
        /// The script.
        path: String,
    },
    /// The node takes part in distribution, and only a shell can start the port mapper for it.
    #[error(
        "`vm.args` names the node, the emulator starts epmd through a shell, and the image has no shell"
    )]
    NeedsEpmd,
    /// epmd is wished for before the entry point, and only a shell can wait for it.
    #[error("`epmd = true` starts epmd through a shell, and the image has no shell")]
    EpmdNeedsShell,
    /// A file that was wished for is not in the toolchain.
    #[error("the toolchain holds no `{path}`, which {wish} needs")]
    NoSystemFile {
        /// The file.
        path: String,
        /// The wish, as `rebeam.toml` spells it.
        wish: &'static str,
        /// The package that would bring it.
        package: &'static str,
    },
    /// Libraries are missing.
    #[error("the release needs libraries that the toolchain does not hold:{}", list(missing.iter().map(|m| format!("`{}` (for `{}`)", m.library, m.wanted_by))))]
    NoLibrary {
        /// Which, for whom.
        missing: Vec<Missing>,
    },
    /// A library is too old or too different.
    #[error("libraries lack symbol versions that are asked of them:{}", list(lacking.iter().map(|l| format!("`{}` asks `{}` for {}", l.wanted_by, l.library, l.version))))]
    NoSymbol {
        /// Which.
        lacking: Vec<Lacking>,
    },
    /// Files are made for another machine.
    #[error("files of the release are made for another machine than its emulator:{}", list(files.iter().map(|file| format!("`{file}`"))))]
    WrongMachine {
        /// Which.
        files: Vec<String>,
    },
    /// The emulator is made for a machine that has no images.
    #[error("`{file}` is made for a machine that rebeam makes no images for")]
    UnknownMachine {
        /// The emulator.
        file: String,
    },
    /// A program or library is damaged.
    #[error("`{file}` is a damaged ELF file: {reason}")]
    DamagedElf {
        /// Which file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A module is damaged.
    #[error("the module `{}` cannot be stripped", path.display())]
    DamagedBeam {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: BeamError,
    },
    /// A package of the toolchain could not be read, or could not be had.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// A tree could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The base has something else on the way to a file of the release.
    #[error(
        "the base has something at `/{path}` that is no directory, and the release's files belong below it"
    )]
    BaseInTheWay {
        /// The path.
        path: String,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A library that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its soname.
    pub library: String,
    /// The file that asks for it.
    pub wanted_by: String,
    /// Packages that hold it.
    pub packages: Vec<String>,
}

/// A symbol version that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// The library that should define it.
    pub library: String,
    /// The version.
    pub version: String,
    /// The file that asks for it.
    pub wanted_by: String,
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.map(|item| format!("\n  {item}")).collect()
}

impl Explain for ReleaseError {
    fn blame(&self) -> Blame {
        match self {
            Self::Debian(error) => error.blame(),
            Self::Tree(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::LinkOutside { .. } => Some(
                "a release with `{dev_mode, true}` is made of links; set `{dev_mode, false}` for relx in the profile"
                    .into(),
            ),
            Self::NoApp { app, .. } => Some(format!(
                "where it is OTP's: `packages = [\"erlang-{}\"]` under `[toolchain]`, then `rebeam lock`",
                app.replace('_', "-")
            )),
            Self::NeedsShell { path } => Some(format!(
                "make `{}` a plain file, or set `shell = \"busybox\"` under `[image]`",
                path.trim_end_matches(".src")
            )),
            Self::EnvNeedsShell { .. } => Some(
                "set `shell = \"busybox\"` under `[image]`, or say it by `env` there and remove the file"
                    .into(),
            ),
            Self::NeedsEpmd => Some(
                "set `shell = \"busybox\"` under `[image]`, or put `-start_epmd false` into vm.args and run epmd beside the node"
                    .into(),
            ),
            Self::EpmdNeedsShell => Some(
                "set `shell = \"busybox\"` under `[image]`, or take `epmd` out and start it beside the node"
                    .into(),
            ),
            Self::NoSystemFile { package, .. } => Some(format!(
                "`packages = [\"{package}\"]` under `[toolchain]`, then `rebeam lock`"
            )),
            Self::NoLibrary { missing } => {
                let packages: BTreeSet<_> = missing.iter().flat_map(|m| &m.packages).collect();
                let quoted: Vec<_> = packages.iter().map(|name| format!("\"{name}\"")).collect();
                (!quoted.is_empty()).then(|| {
                    format!(
                        "`packages = [{}]` under `[toolchain]`, then `rebeam lock`",
                        quoted.join(", ")
                    )
                })
            }
            Self::NoSymbol { .. } | Self::WrongMachine { .. } => Some(
                "these files were not built here; remove what the sources ship prebuilt, so that the build makes it"
                    .into(),
            ),
            Self::Debian(error) => error.hint(),
            Self::Tree(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}
