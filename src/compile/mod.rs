//! Compile: every dependency, plugin and the project itself as a step of its own, in the sandbox.
//!
//! `plan` decides what is done (pure data), `run` does it: as parallel as the graph allows, and only where the
//! inputs changed. A [`Step`] has the shape of a remote execution action: input trees by digest,
//! arguments, environment, one output path.

mod config;
mod configure;
mod cross;
mod failed;
mod make;
mod makefile;
mod mix;
mod modules;
mod order;
mod overlay;
mod plan;
mod reason;
mod rebar;
mod run;
mod stamp;
mod step;
mod strip;
mod tools;
mod vary;
mod zips;

use std::path::PathBuf;

use thiserror::Error;

pub use config::{evaluate, is_code, read_config};
pub use configure::configure;
pub use cross::{CrossWish, Crossed, Native, Refused, cross, natives, without};
pub(crate) use failed::read_room;
pub use failed::{failed_room, room};
pub use make::{RebarSource, is_laid_as_source};
pub use makefile::{MakeProject, MakeView, Makefile, evaluate_makefile};
pub use mix::{MixSubject, evaluate_mix};
pub use modules::otp_modules;
pub use overlay::Overlay;
pub use plan::{Plan, Project, plan, stamp};
pub use rebar::flags;
pub use run::{Compiled, Workshop, compile, lay};
pub use stamp::Stamp;
pub use step::{Content, Input, RECIPE_VERSION, Step, StepKind};
pub use tools::Tools;
pub use vary::Variation;

use crate::disk::DiskError;
use crate::explain::{Blame, Explain, quoted};
use crate::sandbox::SandboxError;
use crate::store::StoreError;
use crate::terms::TermError;
use crate::tree::TreeError;

/// A step could not be planned or did not succeed.
#[derive(Debug, Error)]
pub enum CompileError {
    /// The step's command failed.
    #[error("step `{step}` {how}\n{}\n  whole log: {}", quoted(tail), log.display())]
    Failed {
        /// The step's name.
        step: String,
        /// `ended with exit code 1`.
        how: String,
        /// The last lines that it printed.
        tail: Vec<String>,
        /// Where the log is kept.
        log: PathBuf,
    },
    /// The step succeeded and its output is not there.
    #[error("step `{step}` succeeded but made no `{output}`\n  whole log: {}", log.display())]
    NoOutput {
        /// The step's name.
        step: String,
        /// The output's path inside the room.
        output: String,
        /// Where the log is kept.
        log: PathBuf,
    },
    /// The disk had next to nothing left while the step ran.
    #[error("the disk of the store `{}` was full while step `{step}` ran, so what it made does not count", place.display())]
    DiskFull {
        /// The step's name.
        step: String,
        /// Where the store stands.
        place: PathBuf,
    },
    /// The toolchain has no rebar3.
    #[error("the toolchain's Debian suite has no rebar3 package")]
    NoRebar3,
    /// A source of the lock is not there.
    #[error("the source of `{app}` is not in the store")]
    NoSource {
        /// The application.
        app: String,
    },
    /// Native files could not be had for another machine.
    #[error("native code of the release is not there for `{machine}`:{}", refused.iter().map(|file| format!("\n  `{}`: `{}` {}", file.app, file.path, file.why)).collect::<String>())]
    NotCrossed {
        /// The machine.
        machine: &'static str,
        /// Which files.
        refused: Vec<Refused>,
    },
    /// The dependencies name one another in a circle.
    #[error("these dependencies need one another: {}", names.join(" → "))]
    Cycle {
        /// The applications on the circle.
        names: Vec<String>,
    },
    /// The configuration is no list of terms.
    #[error("the `rebar.config` of `{app}` cannot be read")]
    Config {
        /// Whose configuration.
        app: String,
        /// Why.
        #[source]
        source: TermError,
    },
    /// Two applications define one module.
    #[error("`{}` and `{}` both define the module `{module}`", apps[0], apps[1])]
    Twins {
        /// The module.
        module: String,
        /// The applications.
        apps: [String; 2],
    },
    /// An application has a module that one of OTP's in the release has, too.
    #[error("`{app}` defines the module `{module}`, which is OTP's in `{of}`")]
    OtpTwin {
        /// The module.
        module: String,
        /// The application.
        app: String,
        /// OTP's application.
        of: String,
    },
    /// No failed step's room is kept.
    #[error("no step has failed, so no room is kept in the store `{}`", store.display())]
    NothingFailed {
        /// The store's root.
        store: PathBuf,
    },
    /// A patch, or a file that replaces another, does not have the promised hash.
    #[error(
        "the file `{file}` for `{app}` is not the one that {} names",
        crate::manifest::FILE_NAME
    )]
    PatchChanged {
        /// The application.
        app: String,
        /// The patch.
        file: String,
    },
    /// The sandbox refused.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tree could not be laid out.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for CompileError {
    fn blame(&self) -> Blame {
        match self {
            Self::Sandbox(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Tree(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            Self::DiskFull { .. } => Blame::World,
            _ => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Failed { .. } | Self::NoOutput { .. } => {
                Some("look inside the room as the step left it: `rebeam shell --failed`".into())
            }
            Self::DiskFull { .. } => {
                Some("the disk is full; `rebeam store gc` frees what no lock uses".into())
            }
            Self::NoRebar3 => Some(format!(
                "add `{}` to `[tools]` in {}: it is built from source",
                crate::manifest::tools::rebar3_line(),
                crate::manifest::FILE_NAME
            )),
            Self::NothingFailed { .. } => {
                Some("`rebeam shell` opens the room of the build itself".into())
            }
            Self::NotCrossed { refused, .. } => {
                let app = refused.first().map_or("", |file| file.app.as_str());
                Some(format!(
                    "its build must compile with $CC and $CXX, or the `cc` of PATH, which are the cross compilers here: a patch under `[deps.{app}]` can see to that; or leave the platform out"
                ))
            }
            Self::NoSource { .. } => Some("`rebeam build` without `--offline` fetches it".into()),
            Self::PatchChanged { file, .. } => Some(format!(
                "if the change is meant, write the hash that `rebeam hash {file}` prints"
            )),
            Self::Config { source, .. } => source.hint(),
            Self::Sandbox(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Tree(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}
