//! Quick: the build that has nothing to do. A look at every file's status proves it, in milliseconds.
//!
//! What decides an image is written down as one key: lock, manifest, patches, the project's
//! files by status, and what the options say. The image that was made of it is remembered with the status of the
//! written file; if that stands as it was left, it is up to date.

use std::path::{Path, PathBuf};

use super::Desk;
use super::build::{BuildOptions, Packed};
use super::configs::changed_file_names;
use crate::digest::Digest;
use crate::disk;
use crate::explain::Failure;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock;
use crate::manifest;
use crate::manifest::rebar::WishSource;
use crate::project::{self, Survey};
use crate::store::{BuildKey, Record};

/// Changes when what a build makes of the same inputs changes.
const BUILD_VERSION: u32 = 4;

/// Returns the key of everything that decides this build; `None` where a part of it is not there.
pub(super) fn key(
    desk: &Desk<'_>,
    options: &BuildOptions,
    output: &Path,
) -> Result<Option<BuildKey>, Failure> {
    let (inputs, is_whole) = inputs(desk)?;
    if !is_whole {
        return Ok(None);
    }
    let mut text = format!("build {BUILD_VERSION}\n{inputs}");
    text += &format!("level {}\nboot check {}\n", desk.level.name(), options.boot_check);
    text += &format!("output {}\n", output.display());
    Ok(Some(BuildKey::of(&text)))
}

/// Returns what changes with the project's sources: with everything that decides its image, as far as it is there.
///
/// # Errors
/// Where a file cannot be read.
pub fn fingerprint(desk: &Desk<'_>) -> Result<Digest, Failure> {
    Ok(Digest::of(inputs(desk)?.0.as_bytes()))
}

/// Writes down lock, manifest, patches and the project's files by status, and whether each file is there.
fn inputs(desk: &Desk<'_>) -> Result<(String, bool), Failure> {
    let mut is_whole = true;
    let mut read = |path: PathBuf| -> Result<String, Failure> {
        if !disk::exists(&path) {
            is_whole = false;
            return Ok("missing".into());
        }
        Ok(Digest::of(&disk::read(&path, TEXT_FILE_BYTES_MAX)?).to_string())
    };
    let mut text = format!("lock {}\n", read(desk.root.join(lock::FILE_NAME))?);
    text += &format!("manifest {}\n", read(desk.root.join(manifest::FILE_NAME))?);
    text += &format!("project {}\n", Survey::new(desk.root)?.fingerprint());
    text += &format!("commit {:?}\n", project::checked_out(desk.root)?);
    let sources = desk.manifest.deps.values().filter_map(|wish| wish.source.as_ref());
    for source in sources.chain(desk.manifest.tools.values()) {
        if let WishSource::Path { path } = source {
            let place = desk.root.join(path);
            text += &format!("path {path} {}\n", Survey::new(&place)?.fingerprint());
        }
    }
    for file in changed_file_names(desk) {
        text += &format!("patch {}\n", read(desk.root.join(file))?);
    }
    Ok((text, is_whole))
}

/// Returns the image that was made of these inputs, if its file stands as it was left.
pub(super) fn recall(
    desk: &Desk<'_>,
    key: BuildKey,
    output: &Path,
) -> Result<Option<Packed>, Failure> {
    let Some(record) = desk.store.recall(key)? else {
        return Ok(None);
    };
    let mut lines = record.inputs.lines();
    if lines.next() != status(output)?.as_deref() {
        return Ok(None);
    }
    let mut digest = || lines.next()?.parse::<Digest>().ok();
    let (Some(image_id), Some(manifest)) = (digest(), digest()) else {
        return Ok(None);
    };
    Ok(Some(Packed { path: output.to_owned(), image_id, manifest }))
}

/// Remembers what was made.
pub(super) fn remember(desk: &Desk<'_>, key: BuildKey, packed: &Packed) -> Result<(), Failure> {
    let status = status(&packed.path)?.unwrap_or_default();
    let inputs = format!("{status}\n{}\n{}\n", packed.image_id, packed.manifest);
    Ok(desk.store.remember(key, &Record { inputs, outputs: vec![] })?)
}

fn status(path: &Path) -> Result<Option<String>, Failure> {
    let status = disk::status(path)?;
    Ok(status.map(|status| format!("{} {} {}", status.size, status.modified_ns, status.changed_ns)))
}
