//! Said: what an image says of how it was made, beside the lock in it: by this `rebeam verify` finds what to build again.

use std::collections::BTreeMap;

use super::Desk;
use super::configs::unpinned;
use crate::compile;
use crate::explain::Failure;
use crate::lock::{IMAGE_FORMAT, Lock};
use crate::project;
use crate::release;
use crate::store::HeldTree;

/// The label of a source's commit (OCI image specification, "Annotations").
pub(super) const REVISION: &str = "org.opencontainers.image.revision";
/// The label of the content hash of the project's files, as `rebeam hash` prints hashes.
pub(super) const PROJECT_LABEL: &str = "rebeam.project";
/// The label of the digest of what the project's `rebeam.toml` says about the image.
pub(super) const MANIFEST_LABEL: &str = "rebeam.manifest";

/// What an image says of itself that is no part of its manifest or lock.
pub(super) struct Said {
    /// Labels beside those that the project wishes for.
    pub(super) labels: BTreeMap<String, String>,
    /// How it was made, as JSON.
    pub(super) provenance: String,
}

impl Said {
    /// Says it of the project as it stands.
    pub(super) fn of(desk: &Desk<'_>, lock: &Lock, project: &HeldTree) -> Result<Self, Failure> {
        Ok(Self { labels: labels(desk, lock, project)?, provenance: provenance(desk) })
    }
}

/// Labels for the project's files, and for the commit that they are, if they are one: by these `rebeam verify` finds what
/// the image was made of. The project's own label of a commit counts more.
fn labels(
    desk: &Desk<'_>,
    lock: &Lock,
    project: &HeldTree,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = identity(desk, lock, project)?;
    let own = desk.manifest.image.labels.get(REVISION).cloned();
    labels.extend(own.or(project::revision(desk.root)?).map(|commit| (REVISION.into(), commit)));
    Ok(labels)
}

/// What an image says of the project that it was made of, beside the lock in it.
pub(super) fn identity(
    desk: &Desk<'_>,
    lock: &Lock,
    project: &HeldTree,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels = BTreeMap::from([
        (PROJECT_LABEL.to_owned(), project.digest().sri()),
        (MANIFEST_LABEL.to_owned(), desk.manifest.content.to_string()),
    ]);
    // A directory that is no part of the project is pinned by nothing else.
    for (app, tree) in unpinned(desk, &lock.sources)? {
        labels.insert(format!("{PROJECT_LABEL}.{app}"), tree.sri());
    }
    Ok(labels)
}

/// How the image was made, as it says in itself. No times, no paths, no host.
fn provenance(desk: &Desk<'_>) -> String {
    let value = serde_json::json!({
        "image_format": IMAGE_FORMAT,
        "recipe": compile::RECIPE_VERSION,
        "rules": release::RULES,
        "sandbox": desk.level.name(),
    });
    format!("{value}\n")
}
