//! `rebeam store`.

use clap::{Args, Subcommand};
use serde_json::json;

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
            Verb::Path => {
                let path = store.root().display().to_string();
                common.answer(|| json!({ "event": "store", "path": path }), || path.clone());
            }
            Verb::Gc { size_limit, older_than, dry_run } => {
                let report = store.gc(GcOptions {
                    bytes_max: size_limit,
                    older_than_days: older_than,
                    dry_run,
                })?;
                let verb = if dry_run { "would free" } else { "freed" };
                let freed = terminal::bytes(report.bytes_freed);
                let object = || {
                    json!({ "event": "store_swept", "dry_run": dry_run, "removed": report.removed,
                            "bytes_freed": report.bytes_freed, "kept": report.kept, "bytes_kept": report.bytes_kept })
                };
                let text =
                    || format!("{verb} {freed}: {} removed, {} kept", report.removed, report.kept);
                common.answer(object, text);
            }
            Verb::Verify { no_heal } => {
                let report = store.verify(!no_heal, &screen)?;
                let mirrors = git::verify_mirrors(&store, !no_heal)?;
                let mut damages: Vec<String> =
                    report.damaged.iter().map(ToString::to_string).collect();
                damages.extend(
                    mirrors
                        .iter()
                        .map(|path| format!("git mirror `{}` is damaged", path.display())),
                );
                if report.index_damaged {
                    damages.push("the index is damaged".to_owned());
                }
                let (count, checked) = (damages.len(), report.checked);
                let object = || json!({ "event": "store_verified", "checked": checked, "damaged": damages, "healed": !no_heal });
                let sum = format!("{checked} looked at, {count} damaged");
                let text = || damages.iter().chain([&sum]).cloned().collect::<Vec<_>>().join("\n");
                common.answer(object, text);
                return Ok(u8::from(count > 0 && no_heal));
            }
        }
        Ok(0)
    }
}
