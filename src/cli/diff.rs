//! `rebeam diff`, and the words of a comparison, which `rebeam verify` says too.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use super::pull::From;
use crate::compare::{self, Comparison, Difference, Level, Weight};
use crate::disk;
use crate::explain::Failure;
use crate::terminal::{self, Mode};

/// Differences that are shown where nobody asks for all.
const SHOWN_MAX: usize = 40;

#[derive(Debug, Args)]
#[command(after_help = "\
An image is a file or directory as rebeam, `docker save` and `skopeo copy … oci:` write it, NAME:VERSION or the id of
one in the store, or a reference to one in a registry. Two files of another kind (modules, programs, archives, configurations, boot scripts) are compared by what they hold.

Exit: 0 the same, 1 they differ, 2 they cannot be compared. With --semantic differences do not count in which
what runs is the same: compile paths, debug information, times, order, compression.")]
pub(super) struct Diff {
    /// An image or file
    #[arg(value_name = "A")]
    one: String,
    /// Another one
    #[arg(value_name = "B")]
    other: String,
    /// Count only what may run differently
    #[arg(long)]
    semantic: bool,
    /// List every difference
    #[arg(long)]
    all: bool,
    /// Write the comparison into this file, too, for a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    from: From,
}

impl Diff {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        Ok(match self.compare(common) {
            Ok(code) => code,
            Err(failure) => {
                terminal::report(&failure, common.mode());
                2
            }
        })
    }

    fn compare(&self, common: &Common) -> Result<u8, Failure> {
        let one = self.from.open(common, Some(&self.one))?;
        let other = self.from.open(common, Some(&self.other))?;
        let comparison = compare::compare(one.path(), other.path())?;
        let least = if self.semantic { Weight::Meaning } else { Weight::Form };
        if let Some(path) = &self.html {
            write_page(path, &comparison)?;
        }
        let shown = if self.all { usize::MAX } else { SHOWN_MAX };
        match common.mode() {
            Mode::Json => terminal::data(&as_json(&comparison, least).to_string()),
            Mode::People => terminal::data(&as_text(&comparison, least, shown)),
            Mode::Quiet => {}
        }
        Ok(u8::from(comparison.counting(least).next().is_some()))
    }
}

pub(super) fn write_page(path: &Path, comparison: &Comparison) -> Result<(), Failure> {
    Ok(disk::write_atomic(path, compare::html(comparison).as_bytes())?)
}

pub(super) fn as_json(comparison: &Comparison, least: Weight) -> Value {
    let side = |side: &compare::Side| json!({ "file": side.name, "digest": side.digest, "names": side.names });
    let causes = comparison.causes(least).into_iter().map(|tally| {
        json!({ "cause": tally.cause.name(), "in": tally.noun, "count": tally.count,
                "words": tally.cause.words(), "remedy": tally.cause.remedy() })
    });
    json!({
        "left": side(&comparison.left),
        "right": side(&comparison.right),
        "same": comparison.counting(least).next().is_none(),
        "causes": causes.collect::<Vec<_>>(),
        "differences": comparison.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn difference(one: &Difference) -> Value {
    json!({
        "level": one.level.name(), "place": one.place, "kind": one.noun, "cause": one.cause.name(),
        "counts": if one.cause.weight() == Weight::Meaning { "meaning" } else { "form" },
        "details": one.details, "inner": one.inner.iter().map(difference).collect::<Vec<_>>(),
    })
}

pub(super) fn as_text(comparison: &Comparison, least: Weight, shown: usize) -> String {
    let counting: Vec<&Difference> = comparison.counting(least).collect();
    if counting.is_empty() {
        let forms = comparison.counting(Weight::Form).count();
        return match forms {
            0 => "the same".into(),
            forms => {
                format!("the same in what runs; {} in form", terminal::counted(forms, "difference"))
            }
        };
    }
    let mut lines = Vec::new();
    let mut level: Option<Level> = None;
    for one in counting.iter().take(shown) {
        if level != Some(one.level) {
            level = Some(one.level);
            lines.push(one.level.name().to_owned());
        }
        tell(one, 1, &mut lines);
    }
    if counting.len() > shown {
        lines.push(format!("… and {} more: `--all` lists them", counting.len() - shown));
    }
    lines.push(String::new());
    lines.extend(comparison.causes(least).iter().map(compare::Tally::says));
    lines.join("\n")
}

fn tell(one: &Difference, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    lines.push(format!("{indent}{}: {}: {}", one.place, one.noun, one.cause.words()));
    lines.extend(one.details.iter().map(|detail| format!("{indent}  {detail}")));
    for inner in one.inner.iter().take(SHOWN_MAX) {
        tell(inner, depth + 1, lines);
    }
}
