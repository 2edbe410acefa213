//! `rebeam dev config`.

use clap::Args;

use super::parts::Layers;
use crate::cli::Common;
use crate::disk;
use crate::explain::Failure;
use crate::terminal::{self, Mode};

#[derive(Debug, Args)]
#[command(after_help = "\
  rebeam dev config -f dev/mine.toml    what the stack is with that file over rebeam.toml, and who says so

With --json it is a list of objects with table, key, value and origin.")]
pub(super) struct Config {
    #[command(flatten)]
    layers: Layers,
}

impl Config {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let wish = self.layers.read(&disk::canonical(&common.project)?)?;
        if common.mode() == Mode::Json {
            let object = |one: &crate::manifest::StackValue| {
                serde_json::json!({
                    "table": one.table, "key": one.key, "value": one.value, "origin": one.origin,
                })
            };
            let objects: Vec<_> = wish.values.iter().map(object).collect();
            terminal::data(&serde_json::json!(objects).to_string());
            return Ok(0);
        }
        let mut table = "";
        for one in &wish.values {
            if one.table != table {
                let gap = if table.is_empty() { "" } else { "\n" };
                terminal::data(&format!("{gap}[{}]", one.table));
                table = &one.table;
            }
            terminal::data(&format!("{} = {}  # {}", one.key, one.value, one.origin));
        }
        Ok(0)
    }
}
