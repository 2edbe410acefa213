//! Config: what all files together say of the stack, each value with its origin.

use super::parts::Layers;
use crate::cli::Common;
use crate::disk;
use crate::explain::Failure;
use crate::terminal::{self, Mode};

/// Writes it.
pub(super) fn show(common: &Common, layers: &Layers) -> Result<u8, Failure> {
    let wish = layers.read(&disk::canonical(&common.project)?)?;
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
