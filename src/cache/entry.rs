//! Entry: one result as its manifest in a cache says it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CacheError;
use crate::digest::Digest;
use crate::limits::{CACHE_OUTPUTS_MAX, LAYER_BYTES_MAX, TEXT_FILE_BYTES_MAX};
use crate::store::{BuildKey, HeldBlob, Store};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const ARTIFACT_TYPE: &str = "application/vnd.rebeam.result.v1";
const INPUTS_TYPE: &str = "application/vnd.rebeam.inputs.v1";
const TREE_TYPE: &str = "application/vnd.rebeam.tree.v1.tar+zstd";
const BLOB_TYPE: &str = "application/vnd.rebeam.blob.v1";
const KEY: &str = "dev.rebeam.key";
const OUTPUT: &str = "dev.rebeam.output";
const CONTENT: &str = "dev.rebeam.content";

/// Where entries and their blobs are read.
pub(super) trait Source {
    /// Returns the manifest under a tag; `None` where there is none.
    fn manifest(&self, tag: &str) -> Result<Option<Vec<u8>>, CacheError>;
    /// Brings a blob into the store.
    fn blob(&self, name: &str, blob: &Named, store: &Store) -> Result<HeldBlob, CacheError>;
}

/// A blob by digest and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
}

/// How an output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A tree, as a packed tar.
    Tree,
    /// A blob, as it is.
    Blob,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// The tree's content hash, or the blob's digest.
    pub(super) content: Digest,
    /// What is kept.
    pub(super) packed: Named,
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) inputs: Named,
    pub(super) outputs: Vec<Output>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: String,
    #[serde(default)]
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// Returns the tag of a key.
pub(super) fn tag(key: BuildKey) -> String {
    format!("rebeam-{}", key.digest().hex())
}

impl Entry {
    /// Writes the manifest.
    pub(super) fn manifest(&self, key: BuildKey) -> Vec<u8> {
        let layer = |output: &Output| Descriptor {
            media_type: match output.shape {
                Shape::Tree => TREE_TYPE.into(),
                Shape::Blob => BLOB_TYPE.into(),
            },
            digest: output.packed.digest,
            size: output.packed.bytes,
            annotations: BTreeMap::from([
                (OUTPUT.to_owned(), output.name.clone()),
                (CONTENT.to_owned(), output.content.to_string()),
            ]),
        };
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST_TYPE.into(),
            artifact_type: ARTIFACT_TYPE.into(),
            config: Descriptor {
                media_type: INPUTS_TYPE.into(),
                digest: self.inputs.digest,
                size: self.inputs.bytes,
                annotations: BTreeMap::new(),
            },
            layers: self.outputs.iter().map(layer).collect(),
            annotations: BTreeMap::from([(KEY.to_owned(), key.digest().to_string())]),
        };
        serde_json::to_vec(&manifest).expect("the document has only text keys")
    }

    /// Reads a manifest that must be of this key; the error says what is strange.
    pub(super) fn read(bytes: &[u8], key: BuildKey) -> Result<Self, String> {
        let manifest: Manifest =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if manifest.config.media_type != INPUTS_TYPE {
            return Err("it is no result of a step".into());
        }
        if manifest.annotations.get(KEY) != Some(&key.digest().to_string()) {
            return Err("it is of another key".into());
        }
        if manifest.layers.len() > CACHE_OUTPUTS_MAX {
            return Err(format!("it has more than {CACHE_OUTPUTS_MAX} outputs"));
        }
        let inputs = Named { digest: manifest.config.digest, bytes: manifest.config.size };
        if inputs.bytes > TEXT_FILE_BYTES_MAX {
            return Err(format!("its inputs have {} bytes", inputs.bytes));
        }
        let outputs = manifest.layers.into_iter().map(output).collect::<Result<_, _>>()?;
        Ok(Self { inputs, outputs })
    }
}

fn output(layer: Descriptor) -> Result<Output, String> {
    let shape = match layer.media_type.as_str() {
        TREE_TYPE => Shape::Tree,
        BLOB_TYPE => Shape::Blob,
        other => return Err(format!("it has an output of the type `{other}`")),
    };
    let name = layer.annotations.get(OUTPUT).filter(|name| !name.contains(['\n', '\r']));
    let content = layer.annotations.get(CONTENT).and_then(|text| text.parse::<Digest>().ok());
    let (Some(name), Some(content)) = (name, content) else {
        return Err("an output of it lacks its name or its hash".into());
    };
    let packed = Named { digest: layer.digest, bytes: layer.size };
    if packed.bytes > LAYER_BYTES_MAX {
        return Err(format!("an output of it has {} bytes", packed.bytes));
    }
    if shape == Shape::Blob && content != packed.digest {
        return Err("a blob of it has two digests".into());
    }
    Ok(Output { name: name.clone(), shape, content, packed })
}
