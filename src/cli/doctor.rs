//! `rebeam doctor`.

use clap::Args;

use super::Common;
use crate::explain::Failure;
use crate::pipeline;
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
pub(super) struct Doctor {}

impl Doctor {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let screen = common.screen(Reasons::Summed);
        let store = common.open_store(&screen)?;
        let findings = pipeline::examine(&store, common.network());
        for finding in &findings {
            if common.mode() == Mode::Json {
                let value = serde_json::json!({
                    "event": "finding", "name": finding.name, "ok": finding.ok,
                    "says": finding.says, "remedy": finding.remedy,
                });
                terminal::data(&value.to_string());
                continue;
            }
            let sign = if finding.ok { "ok  " } else { "BAD " };
            terminal::data(&format!("{sign} {}: {}", finding.name, finding.says));
            if let Some(remedy) = &finding.remedy {
                terminal::data(&format!("     mend it: {remedy}"));
            }
        }
        Ok(if findings.iter().all(|finding| finding.ok) { 0 } else { 3 })
    }
}
