//! `rebeam image size`.

use std::path::Path;

use serde_json::{Value, json};

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::image::{self, LayerSize, PartSize, Sizes};
use crate::terminal::{self, Mode};

/// What of an image's files is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Layers and what is in them.
    Parts,
    /// So many of the largest files of each part, too.
    Files(usize),
}

pub(super) fn run(
    common: &Common,
    file: &Path,
    depth: Depth,
    picture: Option<&Path>,
) -> Result<u8, Failure> {
    let sizes = image::sizes(file)?;
    if let Some(path) = picture {
        let title = file.file_name().unwrap_or_default().to_string_lossy();
        let svg = image::treemap(&sizes, &title, &terminal::bytes);
        disk::write_atomic(path, svg.as_bytes())?;
    }
    match common.mode() {
        Mode::Json => terminal::data(&as_json(&sizes).to_string()),
        _ => terminal::data(&as_text(&sizes, depth)),
    }
    Ok(0)
}

fn as_json(sizes: &Sizes) -> Value {
    let part = |part: &PartSize| {
        let files = part.files.iter().map(|file| json!({ "path": file.path, "bytes": file.bytes }));
        json!({ "name": part.name, "bytes": part.bytes, "files": files.collect::<Vec<_>>() })
    };
    let layer = |layer: &LayerSize| {
        json!({ "name": layer.name, "packed_bytes": layer.packed_bytes, "unpacked_bytes": layer.tar_bytes,
                "parts": layer.parts.iter().map(part).collect::<Vec<_>>() })
    };
    json!({ "packed_bytes": sizes.packed_bytes(), "unpacked_bytes": sizes.tar_bytes(),
            "layers": sizes.layers.iter().map(layer).collect::<Vec<_>>() })
}

fn as_text(sizes: &Sizes, depth: Depth) -> String {
    let all = sizes.tar_bytes();
    let row = |name: String, unpacked: u64, packed: Option<u64>| {
        let packed = packed.map_or_else(String::new, terminal::bytes);
        let columns = [terminal::bytes(unpacked), share(unpacked, all), packed];
        // Figures are compared from the right.
        let [unpacked, share, packed] = columns.map(|text| format!("{text:>9}"));
        vec![unpacked, share, packed, name]
    };
    let head = ["unpacked", "share", "packed"].map(|text| format!("{text:>9}"));
    let mut rows = vec![head.into_iter().chain(["what".to_owned()]).collect()];
    for layer in &sizes.layers {
        let name = format!("layer {}", layer.name);
        rows.push(row(name, layer.tar_bytes, Some(layer.packed_bytes)));
        for part in &layer.parts {
            rows.push(row(format!("  {}", part.name), part.bytes, None));
            let Depth::Files(count) = depth else {
                continue;
            };
            for file in part.files.iter().take(count) {
                rows.push(row(format!("    {}", file.path), file.bytes, None));
            }
        }
    }
    rows.push(row("image".to_owned(), all, Some(sizes.packed_bytes())));
    terminal::table(&rows)
}

/// Returns a part of a whole in percent, with one digit behind the point.
fn share(part: u64, whole: u64) -> String {
    let tenths = (part.saturating_mul(1000) + whole / 2) / whole.max(1);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded() {
        let shares = [share(1, 3), share(2, 3), share(5, 5), share(0, 0)];
        assert_eq!(shares, ["33.3 %", "66.7 %", "100.0 %", "0.0 %"]);
    }
}
