//! Verify: the image is built once more, from the lock in it, in rooms that are not quite the same, and held against
//! what it was.
//!
//! The rooms of a build are the same on every host, which makes the bytes the same. A second build in the same
//! rooms would prove little: what a tool takes from a host name or a clock would stand in both. So everything varies
//! that is no part of the recipe, and nothing is taken over that a build has made: only sources and packages,
//! which are known by their content.

mod claim;
mod vary;

use std::path::{Path, PathBuf};
use std::time::Instant;

pub use claim::{Claim, Origin, VerifyFailure, find};
pub use vary::Vary;

use super::Desk;
use super::build::{own_image, site};
use super::foreign::foreign_image;
use super::said::{self, Said, identity};
use crate::compare::{self, Comparison};
use crate::digest::Digest;
use crate::event::Event;
use crate::explain::Failure;
use crate::image::{self, Image};
use crate::project::Survey;
use crate::store::Store;
use crate::toolchain::{self, Toolchain};

/// How an image is verified.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// What varies.
    pub vary: Vec<Vary>,
    /// Where the second image is kept.
    pub output: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug)]
pub struct Verified {
    /// The image's id.
    pub image_id: Digest,
    /// The id of what was built.
    pub rebuilt: Digest,
    /// Whether the layers' blobs are the same too, or another program has packed them.
    pub same_blobs: bool,
    /// What differs, where the two are not one.
    pub comparison: Option<Comparison>,
    /// What varied, in words.
    pub varied: Vec<String>,
    /// What was taken for granted.
    pub notes: Vec<String>,
    /// Milliseconds that it took.
    pub duration_ms: u64,
}

impl Verified {
    /// Tells whether the image is what its lock makes.
    pub fn is_good(&self) -> bool {
        self.comparison.is_none()
    }
}

/// Builds the image of `claim` once more, of the project that `desk` stands on, and compares.
///
/// `memory` knows of the toolchain; the desk's own store must be one that knows of no build.
pub fn verify(
    desk: &Desk<'_>,
    memory: &Store,
    file: &Path,
    (claim, origin): (&Claim, &Origin),
    options: &VerifyOptions,
) -> Result<Verified, Failure> {
    let started = Instant::now();
    let lock = &claim.lock;
    let sources = desk.doors().fetch(lock)?;
    let toolchain = toolchain::toolchain(&lock.toolchain, memory, desk.http, desk.observer)?;
    take_over(&toolchain, memory, desk.store)?;
    for locked in &lock.platforms {
        let web = (desk.http, desk.observer);
        take_over(&toolchain::target(&lock.toolchain, locked, memory, web)?, memory, desk.store)?;
        // Many a release has nothing to compile for another machine, so it is not made for that.
        if let Some(cross) = toolchain::known_cross(&lock.toolchain, locked, memory)? {
            take_over(&cross, memory, desk.store)?;
        }
    }
    let project = Survey::new(desk.root)?.take(desk.store)?;
    let scratch = desk.store.scratch()?;
    let (variation, varied) = vary::variation(&options.vary, &toolchain, scratch.path(), desk)?;
    desk.observer.observe(&Event::VerifyStarted { varied: &varied });
    let desk = Desk { variation: Some(&variation), ..*desk };
    let mut labels = claim.labels();
    labels.extend(identity(&desk, lock, &project)?);
    let said = Said { labels, provenance: claim.provenance.clone() };
    let site = site(&desk, lock, (sources, toolchain, project), said)?;
    // The lock in an image names its machine, unless that is the toolchain's own.
    let image = match lock.platforms.first() {
        None => own_image(&desk, lock, &site, false)?,
        Some(locked) => {
            foreign_image(&desk, lock, (&site, locked.platform), false, &mut Vec::new())?
        }
    };
    let rebuilt = scratch.path().join("rebuilt.tar");
    let path = options.output.as_deref().unwrap_or(&rebuilt);
    let comparison = hold_against(&desk, claim, &image, (file, path), options)?;
    Ok(Verified {
        image_id: claim.image.image_id,
        rebuilt: image.image_id(),
        same_blobs: claim.image.manifest_digest == Some(image.manifest_digest()),
        comparison,
        varied,
        notes: notes(claim, origin),
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// A toolchain is known by its packages' hashes: to put it together again would prove nothing of the image.
fn take_over(toolchain: &Toolchain, memory: &Store, store: &Store) -> Result<(), Failure> {
    if let Some(record) = memory.recall(toolchain.key)? {
        store.remember(toolchain.key, &record)?;
    }
    Ok(())
}

/// The configuration names every layer by its content, so one id says all; what differs is looked for only then.
fn hold_against(
    desk: &Desk<'_>,
    claim: &Claim,
    image: &Image,
    (file, rebuilt): (&Path, &Path),
    options: &VerifyOptions,
) -> Result<Option<Comparison>, Failure> {
    let is_same = claim.image.image_id == image.image_id();
    if !is_same || options.output.is_some() {
        let (name, tag) = (&desk.manifest.image.name, &desk.manifest.project.version);
        image::write_archive(image, name, tag, rebuilt)?;
    }
    if is_same {
        return Ok(None);
    }
    Ok(Some(compare::compare_with(file, rebuilt, &vary::TRACES)?))
}

fn notes(claim: &Claim, origin: &Origin) -> Vec<String> {
    let mut notes = Vec::new();
    let commit = claim.image.labels.get(said::REVISION);
    if let Some(commit) = commit.filter(|_| !origin.from_commit) {
        notes.push(format!("that the files are those of commit {commit} is the image's own word"));
    }
    notes.push("how strongly the first build's rooms were closed is the image's own word".into());
    notes
}
