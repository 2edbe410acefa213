//! `rebeam lock`.

use clap::Args;

use super::Common;
use crate::explain::Failure;
use crate::pipeline::{self, Update};
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
Entries whose wishes did not change stay pinned. The file is not written when nothing changed.")]
pub(super) struct Lock {
    /// Only say what is stale, and why: exit 1 if anything is
    #[arg(long)]
    check: bool,
    /// Pin these anew: application names, or `toolchain`
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    update: Vec<String>,
}

impl Lock {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        if self.check {
            return check(common);
        }
        common.with_desk(Reasons::Summed, |desk| {
            pipeline::lock(desk, &Update::named(&self.update)).map(drop)
        })?;
        Ok(0)
    }
}

fn check(common: &Common) -> Result<u8, Failure> {
    let stale = common.with_desk(Reasons::Summed, pipeline::check)?;
    for reason in &stale {
        match common.mode() {
            Mode::Json => terminal::data(
                &serde_json::json!({ "event": "stale", "reason": reason }).to_string(),
            ),
            _ => terminal::data(reason),
        }
    }
    Ok(u8::from(!stale.is_empty()))
}
