//! Compare: what differs between two images or files, and why.
//!
//! From the outside in: what names an image, its manifest, its configuration, its layers, their entries, and the
//! bytes of each file by what kind of file it is. Each difference has one cause, and causes can be counted:
//! "312 modules: compile path" says more than 312 hex dumps.

mod beam;
mod cause;
mod content;
mod elf;
pub(crate) mod fuzz;
mod html;
mod images;
mod json;
mod packed;
mod terms;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use thiserror::Error;

pub use cause::{Cause, Weight};
pub use content::Trace;
pub use html::html;

use crate::digest::Digest;
use crate::disk::{self, DiskError};
use crate::explain::{Blame, Explain};
use crate::image::{self, ImageError};
use crate::limits::COMPARED_BYTES_MAX;

/// Two things could not be compared.
#[derive(Debug, Error)]
pub enum CompareError {
    /// An image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// One is an image and the other is none.
    #[error("`{image}` is an image and `{other}` is none, so there is nothing to compare")]
    Unlike {
        /// The image.
        image: String,
        /// The other.
        other: String,
    },
}

impl Explain for CompareError {
    fn blame(&self) -> Blame {
        match self {
            Self::Image(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            Self::Unlike { .. } => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            Self::Unlike { .. } => Some("name two images, or two files of one kind".into()),
        }
    }
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The file, as it was named.
    pub name: String,
    /// What identifies it: an image's id, a file's SHA-256.
    pub digest: Option<Digest>,
    /// The names and tags that an image bears.
    pub names: Vec<String>,
}

/// How far in a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What names the image.
    Index,
    /// The manifest.
    Manifest,
    /// The configuration.
    Config,
    /// A layer as a whole.
    Layer,
    /// An entry of a layer, but for its bytes.
    Entry,
    /// A file's bytes.
    Content,
}

impl Level {
    /// Returns the level's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Layer => "layer",
            Self::Entry => "entry",
            Self::Content => "content",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Index => "name",
            Self::Manifest => "value of the manifest",
            Self::Config => "value of the configuration",
            Self::Layer => "layer",
            Self::Entry => "entry",
            Self::Content => "file",
        }
    }
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How far in.
    pub level: Level,
    /// Where: a path in the image, a way into a document, a layer's name.
    pub place: String,
    /// What it is, in one word: `module`, `boot script`.
    pub noun: &'static str,
    /// Why.
    pub cause: Cause,
    /// More of it, a line each.
    pub details: Vec<String>,
    /// What differs inside, where it is an archive.
    pub inner: Vec<Difference>,
}

/// How often one cause is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The cause.
    pub cause: Cause,
    /// What it is found in: `module`.
    pub noun: &'static str,
    /// How often.
    pub count: usize,
}

impl Tally {
    /// Returns the line for people: `312 modules: compile path; set ...`.
    pub fn says(&self) -> String {
        let Self { cause, noun, count } = self;
        let many = if *count == 1 { (*noun).to_owned() } else { plural(noun) };
        match cause.remedy() {
            Some(remedy) => format!("{count} {many}: {}; {remedy}", cause.words()),
            None => format!("{count} {many}: {}", cause.words()),
        }
    }
}

fn plural(noun: &str) -> String {
    match noun {
        "entry" => "entries".into(),
        "library" => "libraries".into(),
        "program or library" => "programs or libraries".into(),
        "value of the manifest" => "values of the manifest".into(),
        "value of the configuration" => "values of the configuration".into(),
        _ => format!("{noun}s"),
    }
}

/// What differs between two things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The first.
    pub left: Side,
    /// The second.
    pub right: Side,
    /// What differs, from the outside in.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// Returns the differences that count: all, or those in what runs.
    pub fn counting(&self, least: Weight) -> impl Iterator<Item = &Difference> {
        let own = |one: &&Difference| one.cause != Cause::Consequence;
        self.differences.iter().filter(own).filter(move |one| one.cause.weight() >= least)
    }

    /// Counts the causes, the weightiest first. What is in an archive counts for itself.
    pub fn causes(&self, least: Weight) -> Vec<Tally> {
        let mut counts: BTreeMap<(Cause, &'static str), usize> = BTreeMap::new();
        let mut left: Vec<&Difference> = self.counting(least).collect();
        while let Some(one) = left.pop() {
            if one.inner.is_empty() {
                *counts.entry((one.cause, one.noun)).or_default() += 1;
            }
            left.extend(&one.inner);
        }
        counts.into_iter().map(|((cause, noun), count)| Tally { cause, noun, count }).collect()
    }
}

/// Compares two images or two files.
pub fn compare(one: &Path, other: &Path) -> Result<Comparison, CompareError> {
    compare_with(one, other, &[])
}

/// Compares two images or two files, the second of which may bear traces of the room it was built in.
pub fn compare_with(
    one: &Path,
    other: &Path,
    traces: &[Trace],
) -> Result<Comparison, CompareError> {
    match (image::is_image(one)?, image::is_image(other)?) {
        (true, true) => images::compare(one, other, traces),
        (false, false) => files(one, other, traces),
        (is_image, _) => {
            let (image, other) = if is_image { (one, other) } else { (other, one) };
            let [image, other] = [image, other].map(|path| path.display().to_string());
            Err(CompareError::Unlike { image, other })
        }
    }
}

fn files(one: &Path, other: &Path, traces: &[Trace]) -> Result<Comparison, CompareError> {
    let (left, right) =
        (disk::read(one, COMPARED_BYTES_MAX)?, disk::read(other, COMPARED_BYTES_MAX)?);
    let side = |path: &Path, bytes: &[u8]| Side {
        name: path.display().to_string(),
        digest: Some(Digest::of(bytes)),
        names: vec![],
    };
    let mut differences = Vec::new();
    if left != right {
        let look = content::Look { depth: 0, traces };
        let name = one.file_name().unwrap_or_default().to_string_lossy().into_owned();
        differences.push(images::of_file(&name, content::compare(&name, &left, &right, look)));
    }
    Ok(Comparison { left: side(one, &left), right: side(other, &right), differences })
}

/// Why two files differ.
struct Found {
    noun: &'static str,
    cause: Cause,
    details: Vec<String>,
    /// The members that differ, where it is an archive.
    inner: Option<Vec<(String, Found)>>,
}
