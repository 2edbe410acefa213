//! `rebeam dev snapshot`.

use clap::Subcommand;

use crate::cli::Common;
use crate::dev::Place;
use crate::dev::snapshot::Snapshots;
use crate::explain::Failure;
use crate::terminal::{self, Mode};

#[derive(Debug, Subcommand)]
pub(super) enum Snapshot {
    /// Keep the state of the stack, which is down, under a name
    Save {
        /// The name
        name: String,
    },
    /// Put the state that was kept in the place of what is there; the stack is down
    Load {
        /// The name
        name: String,
    },
    /// List the names
    Ls,
}

impl Snapshot {
    pub(super) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        let snapshots = Snapshots::of(place);
        match self {
            Self::Save { name } => {
                let file = snapshots.save(&name)?;
                terminal::data(&file.display().to_string());
            }
            Self::Load { name } => snapshots.load(&name)?,
            Self::Ls if common.mode() == Mode::Json => {
                terminal::data(&serde_json::json!(snapshots.names()?).to_string());
            }
            Self::Ls => {
                let names = snapshots.names()?;
                if names.is_empty() {
                    terminal::talk("none yet; `rebeam dev snapshot save NAME` makes one");
                }
                names.iter().for_each(|name| terminal::data(name));
            }
        }
        Ok(0)
    }
}
