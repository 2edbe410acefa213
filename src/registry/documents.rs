//! Documents: indexes and manifests as registries give them, read with the doubt that strangers deserve.

use serde::Deserialize;

use super::Platform;
use crate::digest::Digest;
use crate::limits::{IMAGE_LAYERS_MAX, INDEX_ENTRIES_MAX, LAYER_BYTES_MAX, MANIFEST_BYTES_MAX};

/// What of an index or a manifest is asked for.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Names a blob or document by digest, length and kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// One entry of an index.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub(super) descriptor: Descriptor,
    pub(super) platform: Option<EntryPlatform>,
}

#[derive(Debug, Deserialize)]
pub(super) struct EntryPlatform {
    pub(super) architecture: String,
    pub(super) os: String,
    pub(super) variant: Option<String>,
}

/// A manifest of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// What a registry gave under a tag or digest.
#[derive(Debug)]
pub(super) enum Document {
    Index(Vec<Entry>),
    Image(Manifest),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Any {
    media_type: Option<String>,
    #[serde(default)]
    schema_version: u32,
    manifests: Option<Vec<Entry>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

impl Document {
    /// Reads a document; the error says what is strange about it.
    ///
    /// One that could be read as an index and as a manifest is refused: two readers would see two images under one
    /// digest (CVE-2021-41190).
    pub(super) fn read(bytes: &[u8], said_type: &str) -> Result<Self, String> {
        let any: Any = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let inner = any.media_type.unwrap_or_default();
        if !inner.is_empty() && !said_type.is_empty() && is_index(&inner) != is_index(said_type) {
            return Err(format!("it calls itself `{inner}` and was given as `{said_type}`"));
        }
        match (any.manifests, any.config, any.layers) {
            (Some(entries), None, None) => {
                if entries.len() > INDEX_ENTRIES_MAX {
                    return Err(format!("its index names more than {INDEX_ENTRIES_MAX} images"));
                }
                Ok(Self::Index(entries))
            }
            (None, Some(config), Some(layers)) => {
                let types = [inner, said_type.to_owned()];
                let media_type = types.into_iter().find(|name| !name.is_empty());
                let manifest =
                    Manifest { media_type: media_type.unwrap_or_default(), config, layers };
                manifest.check()?;
                Ok(Self::Image(manifest))
            }
            _ if any.schema_version == 1 => {
                Err("it has the format that Docker gave up in 2017 (schema 1)".into())
            }
            _ => Err("it is neither an index nor the manifest of an image".into()),
        }
    }
}

impl Manifest {
    fn check(&self) -> Result<(), String> {
        if self.layers.len() > IMAGE_LAYERS_MAX {
            return Err(format!("it has more than {IMAGE_LAYERS_MAX} layers"));
        }
        if self.config.size > MANIFEST_BYTES_MAX {
            return Err(format!(
                "its configuration has {} bytes, and may have {MANIFEST_BYTES_MAX}",
                self.config.size
            ));
        }
        match self.layers.iter().find(|layer| layer.size > LAYER_BYTES_MAX) {
            Some(layer) => {
                Err(format!("a layer has {} bytes, and may have {LAYER_BYTES_MAX}", layer.size))
            }
            None => Ok(()),
        }
    }
}

fn is_index(media_type: &str) -> bool {
    media_type.contains(".index.") || media_type.contains("manifest.list")
}

/// Chooses the entry for a platform; the error lists what is offered.
pub(super) fn choose<'a>(
    entries: &'a [Entry],
    platform: &Platform,
) -> Result<&'a Descriptor, Vec<String>> {
    let fits = |entry: &Entry| match &entry.platform {
        Some(own) if own.os == "linux" => platform.fit(&own.architecture, own.variant.as_deref()),
        _ => None,
    };
    let best = entries.iter().filter_map(|entry| Some((fits(entry)?, entry)));
    // Of several that fit alike the first counts, as with Docker.
    if let Some((_, entry)) = best.min_by_key(|(fit, _)| *fit) {
        return Ok(&entry.descriptor);
    }
    if let [Entry { descriptor, platform: None }] = entries {
        return Ok(descriptor);
    }
    Err(entries
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .filter(|own| own.os != "unknown")
        .map(|own| match &own.variant {
            Some(variant) => format!("{}/{}/{variant}", own.os, own.architecture),
            None => format!("{}/{}", own.os, own.architecture),
        })
        .collect())
}
