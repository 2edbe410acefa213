//! `rebeam dev config`.

use clap::Args;

use super::parts::Layers;
use super::things::{Asking, ConfigVerb};
use crate::cli::Common;
use crate::dev::Place;
use crate::disk;
use crate::explain::Failure;
use crate::terminal::{self, Mode};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rebeam dev config -f dev/mine.toml    what the stack is with that file over rebeam.toml, and who says so

With --json it is a list of objects with table, key, value and origin.

The word is Mainflux's, too, for what devices get at their first start. Such a configuration is named by its device's
identifier or by its thing's.

  rebeam dev config create 00:11:22 --external-key secret --channel heat --content '{\"rate\": 5}'
  rebeam dev config activate 00:11:22    connect its thing to its channels
  curl -H 'Authorization: secret' http://127.0.0.1:8080/things/bootstrap/00:11:22")]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Config {
    #[command(flatten)]
    layers: Layers,
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    devices: Option<ConfigVerb>,
}

impl Config {
    pub(super) fn run(
        self,
        common: &Common,
        place: impl FnOnce() -> Result<Place, Failure>,
    ) -> Result<u8, Failure> {
        if let Some(verb) = self.devices {
            return verb.run(&self.asking, common, &place()?);
        }
        let values = self.layers.read(&disk::canonical(&common.project)?)?.all_values();
        if common.mode() == Mode::Json {
            let object = |one: &crate::manifest::StackValue| {
                serde_json::json!({
                    "table": one.table, "key": one.key, "value": one.value, "origin": one.origin,
                })
            };
            let objects: Vec<_> = values.iter().map(object).collect();
            terminal::data(&serde_json::json!(objects).to_string());
            return Ok(0);
        }
        let mut table = "";
        for one in &values {
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
