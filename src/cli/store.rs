//! `rebeam store`.

use clap::{Args, Subcommand};

use super::Common;
use crate::explain::Failure;
use crate::fetch::git;
use crate::store::GcOptions;
use crate::terminal::{self, Reasons};

#[derive(Debug, Args)]
pub(super) struct Store {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Remove what no lock on this machine uses
    Gc {
        /// Also remove the least recently used until the store is this small
        #[arg(long, value_name = "BYTES")]
        size_limit: Option<u64>,
        /// Also remove what no build used for so many days
        #[arg(long, value_name = "DAYS")]
        older_than: Option<u64>,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Hash everything again, name what is damaged and remove it
    Verify {
        /// Only look
        #[arg(long)]
        no_heal: bool,
    },
    /// Print where the store is
    Path,
}

impl Store {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let screen = common.screen(Reasons::Summed);
        let store = common.open_store(&screen)?;
        match self.verb {
            Verb::Path => terminal::data(&store.root().display().to_string()),
            Verb::Gc { size_limit, older_than, dry_run } => {
                let report = store.gc(GcOptions {
                    bytes_max: size_limit,
                    older_than_days: older_than,
                    dry_run,
                })?;
                let verb = if dry_run { "would free" } else { "freed" };
                let freed = terminal::bytes(report.bytes_freed);
                terminal::data(&format!(
                    "{verb} {freed}: {} removed, {} kept",
                    report.removed, report.kept
                ));
            }
            Verb::Verify { no_heal } => {
                let report = store.verify(!no_heal, &screen)?;
                let mirrors = git::verify_mirrors(&store, !no_heal)?;
                for damage in &report.damaged {
                    terminal::data(&damage.to_string());
                }
                for mirror in &mirrors {
                    terminal::data(&format!("git mirror `{}` is damaged", mirror.display()));
                }
                let damaged = report.damaged.len() + mirrors.len();
                terminal::data(&format!("{} looked at, {damaged} damaged", report.checked));
                return Ok(u8::from(damaged > 0 && no_heal));
            }
        }
        Ok(0)
    }
}
