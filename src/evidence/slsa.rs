//! SLSA: how an image was made and of what, as provenance in version 1 of the framework's form.
//!
//! What a person chose is the lock; what rebeam adds is the sandbox and the image format. Whatever the lock names is a
//! resolved dependency: sources, plugins and tools by commit and content hash, Debian's packages by SHA-256.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::facts::Facts;
use super::purl;
use crate::image::HeldPackage;
use crate::lock::{Pin, Role};

/// The kind of the predicate.
pub(super) const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// Says how the parameters are to be read; its number changes with their meaning.
const BUILD_TYPE: &str = "urn:rebeam:build:1";
/// Who builds. Whose machine it was is told by who signs.
const BUILDER: &str = "urn:rebeam:builder";

/// Writes the predicate.
pub(super) fn predicate(facts: &Facts) -> Value {
    let lock = &facts.lock;
    let mut dependencies = Vec::new();
    if let Some(revision) = &facts.revision {
        dependencies.push(json!({
            "name": facts.name, "digest": { "gitCommit": revision },
            "annotations": { "role": "project" },
        }));
    }
    dependencies.extend(lock.sources.iter().filter_map(|source| {
        let uri = purl::of_pin(&source.app, &source.pin)?;
        Some(json!({
            "name": source.app, "uri": uri, "digest": digests(&source.pin),
            "annotations": annotations(source.role, &source.wanted),
        }))
    }));
    // What is the same for all machines is named once.
    let mut seen = BTreeSet::new();
    dependencies.extend(lock.debs().filter(|deb| seen.insert(deb.sha256)).map(|deb| {
        let package = HeldPackage {
            name: deb.package.clone(),
            version: deb.version.clone(),
            architecture: deb.architecture.clone(),
            source: None,
        };
        json!({
            "name": deb.package,
            "uri": purl::of_deb(&package, deb.suite.split('-').next()),
            "digest": { "sha256": deb.sha256.hex() },
            "annotations": { "role": "toolchain" },
        })
    }));
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "project": facts.name,
                "version": facts.version,
                "lock": { "sha256": facts.lock_digest.hex() },
                "otp": lock.toolchain.otp,
                "suite": lock.toolchain.suite,
                "architecture": facts.architecture,
                "epoch": lock.epoch,
            },
            "internalParameters": facts.made,
            "resolvedDependencies": dependencies,
        },
        "runDetails": { "builder": { "id": BUILDER } },
    })
}

fn annotations(role: Role, wanted: &str) -> Value {
    let mut annotations = Map::new();
    annotations.insert("role".into(), role.name().into());
    if !wanted.is_empty() {
        annotations.insert("wanted".into(), wanted.into());
    }
    annotations.into()
}

/// Every digest that the lock holds of a source: its file's or commit's, and its content's.
fn digests(pin: &Pin) -> Value {
    let mut digests = Map::new();
    match pin {
        Pin::Git { commit, .. } => drop(digests.insert("gitCommit".into(), commit.clone().into())),
        Pin::Hex { outer, .. } => drop(digests.insert("sha256".into(), outer.hex().into())),
        Pin::Url { sha256, .. } => drop(digests.insert("sha256".into(), sha256.hex().into())),
        Pin::Path { .. } => {}
    }
    // The hash that Nix prints of a tree, which in-toto knows no name for.
    digests.extend(pin.tree().map(|tree| ("narSha256".to_owned(), Value::from(tree.hex()))));
    digests.into()
}
