//! Base: the image of others that a release is laid over, byte for byte as they made it.
//!
//! Its layers stand below ours under their own digests, so that a registry that has the base has them already. Of its
//! configuration an image of ours takes what a program beneath us may rely on: variables, ports, volumes,
//! labels, history. What it would run, as whom, where, and how it is seen to be well, is the release's own matter.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use super::described::{Config, is_empty};
use super::inspect::HashRead;
use super::{ImageError, root};
use crate::digest::Digest;
use crate::disk;
use crate::limits::{LAYER_BYTES_MAX, MANIFEST_BYTES_MAX};
use crate::store::HeldBlob;

/// Labels of images that say what an image is; the base's are not true of what is laid over it.
const OWN_LABELS: &str = "org.opencontainers.image.";

/// An image that a release is laid over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its name, as the manifest has it.
    pub name: String,
    /// What the name means: the digest of its index or manifest.
    pub digest: Digest,
    /// Its layers, from the bottom.
    pub layers: Vec<BaseLayer>,
    /// What of it a build needs again, beside the layers.
    pub kept: Vec<Digest>,
    pub(super) env: Vec<(String, String)>,
    pub(super) ports: Vec<String>,
    pub(super) volumes: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    /// One entry for each layer at least, as runtimes pair them.
    pub(super) history: Vec<Value>,
}

/// A layer of the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseLayer {
    /// The layer as the registry has it.
    pub blob: HeldBlob,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of the plain tar.
    pub diff_id: Digest,
    /// How it is packed, in OCI's words.
    pub(super) media_type: &'static str,
}

impl Base {
    /// Reads a base from its configuration and its layers with their bytes and media types; it must be for this machine.
    pub fn read(
        (name, digest): (&str, Digest),
        machine: &str,
        config_blob: &HeldBlob,
        layers: Vec<(HeldBlob, u64, String)>,
    ) -> Result<Self, ImageError> {
        let bad = |what: String| ImageError::BadBase { name: name.to_owned(), what };
        let bytes = disk::read(config_blob.path(), MANIFEST_BYTES_MAX)?;
        let config: Config =
            serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if (config.os.as_str(), config.architecture.as_str()) != ("linux", machine) {
            return Err(bad(format!(
                "it is made for {}/{}, and the image for linux/{machine}",
                config.os, config.architecture
            )));
        }
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != layers.len() {
            let count = layers.len();
            return Err(bad(format!("it has {count} layers and describes {}", diff_ids.len())));
        }
        let mut made = Vec::new();
        for ((blob, bytes, media_type), diff_id) in layers.into_iter().zip(diff_ids) {
            let known = oci_type(&media_type);
            let media_type = known.ok_or_else(|| bad(format!("a layer is `{media_type}`")))?;
            made.push(BaseLayer { blob, bytes, diff_id: *diff_id, media_type });
        }
        let run = config.config.unwrap_or_default();
        let pair = |text: String| Some(text.split_once('=')?).map(|(a, b)| (a.into(), b.into()));
        let keys = |map: Option<BTreeMap<String, _>>| map.unwrap_or_default().into_keys().collect();
        let mut labels = run.labels.unwrap_or_default();
        labels.retain(|label, _| !label.starts_with(OWN_LABELS));
        Ok(Self {
            name: name.to_owned(),
            digest,
            kept: vec![config_blob.digest()],
            env: run.env.unwrap_or_default().into_iter().filter_map(pair).collect(),
            ports: keys(run.exposed_ports),
            volumes: run.volumes.unwrap_or_default().into_keys().collect(),
            labels,
            history: history(config.history.unwrap_or_default(), made.len()),
            layers: made,
        })
    }

    /// Lays the base's files out below the empty directory `at`, each layer proved to be what it was described as.
    pub fn unpack(&self, at: &Path) -> Result<(), ImageError> {
        let bad = |what: String| ImageError::BadBase { name: self.name.clone(), what };
        for layer in &self.layers {
            let file = BufReader::with_capacity(64 << 10, disk::open(layer.blob.path())?);
            let unreadable = |error: std::io::Error| bad(format!("a layer is damaged: {error}"));
            let plain: Box<dyn Read> = match layer.media_type {
                GZIP => Box::new(MultiGzDecoder::new(file)),
                ZSTD => Box::new(zstd::Decoder::with_buffer(file).map_err(unreadable)?),
                _ => Box::new(file),
            };
            let mut plain = HashRead::new(plain);
            root::lay(&mut plain, at).map_err(|source| ImageError::BadLayer {
                path: layer.blob.path().to_owned(),
                source: Box::new(source),
            })?;
            plain.drain(LAYER_BYTES_MAX).map_err(unreadable)?;
            let (found, _) = plain.finish();
            if found != layer.diff_id {
                let promised = layer.diff_id;
                return Err(bad(format!(
                    "a layer is {found} unpacked, and described as {promised}"
                )));
            }
        }
        Ok(())
    }
}

const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// Returns how OCI calls what a layer is packed as; Docker's own name means the same bytes.
fn oci_type(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        TAR | "application/vnd.docker.image.rootfs.diff.tar" => TAR,
        GZIP | "application/vnd.docker.image.rootfs.diff.tar.gzip" => GZIP,
        ZSTD | "application/vnd.docker.image.rootfs.diff.tar.zstd" => ZSTD,
        _ => return None,
    })
}

/// Runtimes pair the entries that are not empty with the layers; a history that cannot be paired is replaced.
fn history(entries: Vec<Value>, layers: usize) -> Vec<Value> {
    let filled = entries.iter().filter(|entry| !is_empty(entry)).count();
    if filled == layers && entries.iter().all(Value::is_object) {
        return entries;
    }
    vec![json!({ "created_by": "a layer of the base" }); layers]
}
