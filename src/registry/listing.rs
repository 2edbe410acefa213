//! Listing: documents about an image as manifests and indexes name them, byte for byte the same for the same documents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::image::Contents;

pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of a configuration that says nothing.
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The configuration of what has none.
pub(super) const EMPTY: &[u8] = b"{}";

/// A document, as one layer of a manifest that is about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paper {
    /// What people call it.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What is said of it beside it.
    pub annotations: BTreeMap<String, String>,
}

/// A layer of a manifest of documents, as it is named there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its media type.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// What kind of thing it is, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields of another's that are kept as they are.
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    config: Entry,
    layers: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Entry>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    pub(super) manifests: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
pub(super) struct Layers {
    #[serde(default)]
    pub(super) layers: Vec<Entry>,
}

impl Entry {
    /// Names bytes.
    pub(super) fn of(media_type: &str, bytes: &[u8]) -> Self {
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        Self::named(media_type, digest, size)
    }

    fn named(media_type: &str, digest: Digest, size: u64) -> Self {
        let media_type = media_type.to_owned();
        let (annotations, rest) = (BTreeMap::new(), BTreeMap::new());
        Self { media_type, digest, size, artifact_type: None, annotations, rest }
    }
}

/// Returns the tag under which what is about an image is kept where a registry keeps no list: `sha256-<hex>`.
pub fn fallback_tag(image: Digest) -> String {
    format!("sha256-{}", image.hex())
}

/// Writes the manifest of a document about an image, and the line that lists it.
pub(super) fn about_image(image: &Contents, paper: &Paper) -> (Vec<u8>, Entry) {
    let mut layer = Entry::of(&paper.media_type, &paper.bytes);
    layer.annotations = paper.annotations.clone();
    let size = image.manifest.len() as u64;
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE,
        artifact_type: Some(&paper.media_type),
        config: Entry::of(EMPTY_TYPE, EMPTY),
        layers: vec![layer],
        subject: Some(Entry::named(&image.manifest_type, image.manifest_digest, size)),
        annotations: &paper.annotations,
    };
    let bytes = serde_json::to_vec(&manifest).expect("the document has only text keys");
    let mut line = Entry::of(MANIFEST_TYPE, &bytes);
    line.artifact_type = Some(paper.media_type.clone());
    line.annotations = paper.annotations.clone();
    (bytes, line)
}

impl Index {
    /// Writes a list.
    pub(super) fn of(lines: Vec<Entry>) -> Vec<u8> {
        let media_type = INDEX_TYPE.to_owned();
        let index = Self { schema_version: 2, media_type, manifests: Some(lines) };
        serde_json::to_vec(&index).expect("the document has only text keys")
    }
}

/// Writes the configuration of documents that stand under a tag of their own: cosign reads them through a library of
/// images, which wants an image's.
pub(super) fn configuration(layers: &[Entry]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.digest).collect();
    let config = serde_json::json!({
        "architecture": "", "config": {}, "created": "0001-01-01T00:00:00Z",
        "history": [{ "created": "0001-01-01T00:00:00Z" }], "os": "",
        "rootfs": { "diff_ids": diff_ids, "type": "layers" },
    });
    serde_json::to_vec(&config).expect("the document has only text keys")
}

/// Writes the manifest of documents that stand under a tag of their own.
pub(super) fn plain_manifest(config: &[u8], layers: Vec<Entry>) -> Vec<u8> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE,
        artifact_type: None,
        config: Entry::of(CONFIG_TYPE, config),
        layers,
        subject: None,
        annotations: &BTreeMap::new(),
    };
    serde_json::to_vec(&manifest).expect("the document has only text keys")
}
