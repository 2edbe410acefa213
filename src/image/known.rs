//! Known: the images that the store holds whole, and one of them laid out as an OCI layout.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::ImageError;
use crate::digest::Digest;
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::store::Store;

/// Bytes of a manifest that is looked for.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// How our manifests begin.
const HEAD: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json""#;

/// An image that the store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownImage {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The digest of its configuration.
    pub image_id: Digest,
    /// The project's name.
    pub name: String,
    /// The project's version.
    pub version: String,
    /// When it says it was made.
    pub created: String,
    /// Bytes of its layers' blobs.
    pub packed_bytes: u64,
    layers: Vec<Digest>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: Digest,
    size: u64,
}

/// Lists the images that the store holds whole, by name and version, the newest last.
pub fn known(store: &Store) -> Result<Vec<KnownImage>, ImageError> {
    let mut images = Vec::new();
    for digest in store.small_blobs(MANIFEST_BYTES_MAX)? {
        let Some(held) = store.blob(digest)? else {
            continue;
        };
        let bytes = disk::read(held.path(), MANIFEST_BYTES_MAX)?;
        if !bytes.starts_with(HEAD) {
            continue;
        }
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else {
            continue;
        };
        let image = of_manifest(digest, &manifest);
        let mut is_whole = store.blob(image.image_id)?.is_some();
        for layer in &image.layers {
            is_whole &= store.blob(*layer)?.is_some();
        }
        if is_whole {
            images.push(image);
        }
    }
    images.sort_by(|one, other| {
        let key = |image: &KnownImage| {
            (image.name.clone(), image.version.clone(), image.created.clone(), image.manifest)
        };
        key(one).cmp(&key(other))
    });
    Ok(images)
}

fn of_manifest(digest: Digest, manifest: &Manifest) -> KnownImage {
    let named = |name: &str| {
        let full = format!("org.opencontainers.image.{name}");
        manifest.annotations.get(&full).cloned().unwrap_or_default()
    };
    KnownImage {
        manifest: digest,
        image_id: manifest.config.digest,
        name: named("title"),
        version: named("version"),
        created: named("created"),
        packed_bytes: manifest.layers.iter().map(|layer| layer.size).sum(),
        layers: manifest.layers.iter().map(|layer| layer.digest).collect(),
    }
}

impl KnownImage {
    /// Tells whether somebody means this image by `text`: a name with its version, or the beginning of an id.
    pub fn is_meant_by(&self, text: &str) -> bool {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex = hex.len() >= 7 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let begins = |digest: Digest| is_hex && digest.hex().starts_with(&hex.to_ascii_lowercase());
        text == self.name
            || text == format!("{}:{}", self.name, self.version)
            || begins(self.manifest)
            || begins(self.image_id)
    }

    /// Tells whether a blob is part of it.
    pub fn holds(&self, digest: Digest) -> bool {
        self.manifest == digest || self.image_id == digest || self.layers.contains(&digest)
    }

    /// Lays the image out below the empty `directory` as an OCI layout of links into the store.
    pub fn lay_out(&self, store: &Store, directory: &Path) -> Result<(), ImageError> {
        let blobs = directory.join("blobs/sha256");
        disk::create_dir_all(&blobs)?;
        for digest in self.layers.iter().chain([&self.manifest, &self.image_id]) {
            let place = blobs.join(digest.hex());
            if let Some(held) = store.blob(*digest)?.filter(|_| !disk::exists(&place)) {
                disk::hard_link(held.path(), &place)?;
            }
        }
        let size = disk::read(&blobs.join(self.manifest.hex()), TEXT_FILE_BYTES_MAX)?.len();
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": self.manifest,
                "size": size,
                "annotations": {
                    "io.containerd.image.name": format!("{}:{}", self.name, self.version),
                },
            }],
        });
        disk::write_atomic(&directory.join("index.json"), index.to_string().as_bytes())?;
        let marker = br#"{"imageLayoutVersion": "1.0.0"}"#;
        Ok(disk::write_atomic(&directory.join("oci-layout"), marker)?)
    }
}
