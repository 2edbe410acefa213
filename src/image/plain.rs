//! Plain: an image of files that are no release.

use std::collections::BTreeMap;

use super::{Image, ImageError, config, document, layer, say};
use crate::event::Observer;
use crate::release::{Component, Machine};
use crate::store::Store;

/// Seconds since 1970 that date every such image: it is made of packages, and they of nobody's commit.
const CREATED: u64 = 315_532_800;

/// How an image that is no release starts.
#[derive(Debug)]
pub struct Plain<'a> {
    /// The command that the container runs.
    pub entrypoint: &'a [String],
    /// The environment.
    pub env: &'a [(&'a str, &'a str)],
    /// User and group.
    pub user: (u32, u32),
    /// The working directory.
    pub directory: &'a str,
    /// What it is told to end with.
    pub stop_signal: &'a str,
}

/// Makes an image of one layer; a layer that the store holds is taken as it is.
pub fn plain(
    component: &Component,
    machine: Machine,
    run: &Plain<'_>,
    store: &Store,
    observer: &dyn Observer,
) -> Result<Image, ImageError> {
    let layer = layer::layer(component, CREATED, store, observer)?;
    say(&layer, observer);
    let date = config::rfc3339(CREATED);
    let text = config::plain(run, &layer, machine, &date);
    let (config, config_bytes) = document(store, "image configuration", &text)?;
    let descriptor = config::Descriptor {
        media_type: config::CONFIG_TYPE,
        digest: config.digest(),
        size: config_bytes,
    };
    let layers = vec![layer];
    let text = config::manifest(descriptor, (None, &layers), &BTreeMap::new());
    let (manifest, manifest_bytes) = document(store, "image manifest", &text)?;
    Ok(Image {
        layers,
        base: None,
        config,
        config_bytes,
        manifest,
        manifest_bytes,
        machine,
        created: CREATED,
    })
}
