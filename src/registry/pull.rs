//! Pull: an image of a registry into the store, and from there as a directory that every reader of images knows.
//!
//! A tag is a registry's word of the day; from the manifest on everything is known by its digest, and nothing is held
//! that is not what its digest says. What the store holds is not fetched again, so an image by digest that was pulled
//! once needs no network.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::documents::{Descriptor, Document, Manifest, choose};
use super::fetch::{self, Fetched, Part};
use super::session::Session;
use super::{Door, Origin, Platform, PullError};
use crate::digest::Digest;
use crate::disk;
use crate::event::Event;
use crate::limits::{MANIFEST_BYTES_MAX, PULLS_MAX};
use crate::store::{HeldBlob, Scratch, Store};

/// Which image a reference means today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The digest of what the reference names: an index, or the manifest itself.
    pub top: Digest,
    /// The digest of the manifest for the platform.
    pub manifest: Digest,
}

/// An image of a registry, whole in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Where it came from.
    pub origin: Origin,
    /// Which image it is.
    pub resolved: Resolved,
    /// The manifest, byte for byte.
    pub manifest: HeldBlob,
    /// The manifest's media type.
    pub manifest_type: String,
    /// The configuration; its digest is the image's id.
    pub config: HeldBlob,
    /// The layers, from the bottom.
    pub layers: Vec<PulledLayer>,
    /// Bytes that came over the wire.
    pub received_bytes: u64,
}

/// A layer of a pulled image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledLayer {
    /// The layer as the registry has it.
    pub blob: HeldBlob,
    /// Its bytes.
    pub bytes: u64,
    /// How it is packed.
    pub media_type: String,
}

/// A pulled image as a directory in OCI layout; gone when this is dropped.
#[derive(Debug)]
pub struct LaidOut {
    scratch: Scratch,
}

impl LaidOut {
    /// Returns the directory.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }
}

/// Asks which image a reference means, and fetches no layer.
pub fn resolve(
    origin: &Origin,
    platform: &Platform,
    store: &Store,
    door: Door<'_>,
) -> Result<Resolved, PullError> {
    let session = Session::reading(door, &origin.place);
    let (resolved, ..) = named(origin, find(&session, origin, platform, store))?;
    Ok(resolved)
}

/// Brings an image into the store, whole or not at all.
pub fn pull(
    origin: &Origin,
    platform: &Platform,
    store: &Store,
    door: Door<'_>,
) -> Result<Pulled, PullError> {
    let session = Session::reading(door, &origin.place);
    let (resolved, document, manifest) = named(origin, find(&session, origin, platform, store))?;
    let mut parts = vec![part("the configuration".into(), &manifest.config)];
    for (number, layer) in manifest.layers.iter().enumerate() {
        parts.push(part(format!("layer {}", number + 1), layer));
    }
    let (mut held, received_bytes) = named(origin, blobs(&session, &parts, store))?;
    let layers = held.split_off(1).into_iter().zip(&manifest.layers);
    let layers = layers.map(|(blob, layer)| PulledLayer {
        blob,
        bytes: layer.size,
        media_type: layer.media_type.clone(),
    });
    let layers: Vec<PulledLayer> = layers.collect();
    let config = held.remove(0);
    let manifest_blob = keep(store, &document.bytes)?;
    door.observer.observe(&Event::Pulled {
        reference: &origin.to_string(),
        manifest: resolved.manifest,
        received_bytes,
        layers: layers.len(),
    });
    Ok(Pulled {
        origin: origin.clone(),
        resolved,
        manifest: manifest_blob,
        manifest_type: manifest.media_type,
        config,
        layers,
        received_bytes,
    })
}

/// What is not here is named as it was asked for.
fn named<T>(origin: &Origin, result: Result<T, PullError>) -> Result<T, PullError> {
    result.map_err(|error| match error {
        PullError::Offline { .. } => PullError::Offline { reference: origin.to_string() },
        other => other,
    })
}

/// Finds the manifest for a platform: what the reference names, or what an index has under it.
fn find(
    session: &Session<'_>,
    origin: &Origin,
    platform: &Platform,
    store: &Store,
) -> Result<(Resolved, Fetched, Manifest), PullError> {
    let strange = |what: String| PullError::NoImage { reference: origin.to_string(), what };
    let top = document(session, &origin.wanted(), origin.digest, store)?;
    let top_digest = Digest::of(&top.bytes);
    let entries = match Document::read(&top.bytes, &top.media_type).map_err(strange)? {
        Document::Image(manifest) => {
            return Ok((Resolved { top: top_digest, manifest: top_digest }, top, manifest));
        }
        Document::Index(entries) => entries,
    };
    keep(store, &top.bytes)?;
    let descriptor = choose(&entries, platform).map_err(|offered| PullError::NoPlatform {
        reference: origin.to_string(),
        platform: platform.to_string(),
        offered,
    })?;
    let digest = descriptor.digest;
    let inner = document(session, &digest.to_string(), Some(digest), store)?;
    if inner.bytes.len() as u64 != descriptor.size {
        return Err(PullError::WrongLength {
            host: session.host(),
            name: "the manifest".into(),
            promised: descriptor.size,
            received: inner.bytes.len() as u64,
        });
    }
    match Document::read(&inner.bytes, &inner.media_type).map_err(strange)? {
        Document::Image(manifest) => {
            keep(store, &inner.bytes)?;
            Ok((Resolved { top: top_digest, manifest: digest }, inner, manifest))
        }
        Document::Index(_) => Err(strange("its index names an index".into())),
    }
}

/// Returns a document; what is known by its digest and held is not asked for.
fn document(
    session: &Session<'_>,
    wanted: &str,
    promised: Option<Digest>,
    store: &Store,
) -> Result<Fetched, PullError> {
    if let Some(digest) = promised
        && let Some(held) = store.blob(digest)?
    {
        let bytes = disk::read(held.path(), MANIFEST_BYTES_MAX)?;
        return Ok(Fetched { bytes, media_type: String::new() });
    }
    fetch::document(session, wanted, promised)
}

fn keep(store: &Store, bytes: &[u8]) -> Result<HeldBlob, PullError> {
    let digest = Digest::of(bytes);
    Ok(match store.blob(digest)? {
        Some(held) => held,
        None => store.insert_blob("manifest", bytes, MANIFEST_BYTES_MAX, Some(digest))?,
    })
}

fn part(name: String, descriptor: &Descriptor) -> Part {
    Part { name, digest: descriptor.digest, bytes: descriptor.size }
}

/// Brings blobs into the store, several at once, and returns them in order with the bytes that came.
pub(super) fn blobs(
    session: &Session<'_>,
    parts: &[Part],
    store: &Store,
) -> Result<(Vec<HeldBlob>, u64), PullError> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failure = Mutex::new(None);
    let found: Mutex<Vec<Option<(HeldBlob, u64)>>> = Mutex::new(vec![None; parts.len()]);
    std::thread::scope(|scope| {
        for _ in 0..PULLS_MAX.min(parts.len()) {
            scope.spawn(|| {
                while let Some(index) = Some(next.fetch_add(1, Ordering::SeqCst))
                    && let Some(part) = parts.get(index)
                    && !stopped.load(Ordering::SeqCst)
                {
                    match fetch::blob(session, part, store, &stopped) {
                        Ok(one) => found.lock().expect("no pull panics")[index] = Some(one),
                        // The first error is the cause; the others are its echo.
                        Err(_) if stopped.swap(true, Ordering::SeqCst) => return,
                        Err(error) => *failure.lock().expect("no pull panics") = Some(error),
                    }
                }
            });
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let found = found.into_inner().expect("no pull panics").into_iter();
    let found: Vec<_> = found.map(|one| one.expect("without a failure all are there")).collect();
    let received = found.iter().map(|(_, bytes)| bytes).sum();
    Ok((found.into_iter().map(|(held, _)| held).collect(), received))
}

impl Pulled {
    /// Lays the image out as a directory in OCI layout that is a Docker archive's, too. Nothing is copied.
    pub fn lay_out(&self, store: &Store) -> Result<LaidOut, PullError> {
        let scratch = store.scratch()?;
        let at = scratch.path();
        let blobs = at.join("blobs/sha256");
        disk::create_dir_all(&blobs)?;
        let layers = self.layers.iter().map(|layer| &layer.blob);
        for blob in layers.chain([&self.manifest, &self.config]) {
            let path = blobs.join(blob.digest().hex());
            if !disk::exists(&path) {
                disk::hard_link(blob.path(), &path)?;
            }
        }
        let member = |blob: &HeldBlob| format!("blobs/sha256/{}", blob.digest().hex());
        let bytes = disk::status(self.manifest.path())?.map_or(0, |status| status.size);
        let index = json!({ "schemaVersion": 2, "manifests": [
            { "mediaType": self.manifest_type, "digest": self.manifest.digest(), "size": bytes } ] });
        let docker = json!([{ "Config": member(&self.config), "RepoTags": [self.origin.to_string()],
            "Layers": self.layers.iter().map(|layer| member(&layer.blob)).collect::<Vec<_>>() }]);
        disk::write_atomic(&at.join("oci-layout"), br#"{"imageLayoutVersion": "1.0.0"}"#)?;
        disk::write_atomic(&at.join("index.json"), index.to_string().as_bytes())?;
        disk::write_atomic(&at.join("manifest.json"), docker.to_string().as_bytes())?;
        Ok(LaidOut { scratch })
    }
}
