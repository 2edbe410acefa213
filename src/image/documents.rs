//! Documents: the short texts of an image, in whichever form it comes: what `docker save` writes, an OCI layout as a tar
//! or a directory, or both at once.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;

use super::ImageError;
use super::members::Members;
use crate::digest::Digest;
use crate::disk;

/// Indexes in one another.
const INDEX_DEPTH_MAX: usize = 3;

/// The documents of an image, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Papers {
    /// Names and tags.
    pub names: Vec<String>,
    /// What lists the manifest.
    pub index: Option<Vec<u8>>,
    /// The OCI manifest.
    pub manifest: Option<Vec<u8>>,
    /// The configuration.
    pub config: Vec<u8>,
}

/// Reads the documents of the image at `path`.
pub fn papers(path: &Path) -> Result<Papers, ImageError> {
    let Documents { names, index, manifest, config, .. } = Documents::read(path)?;
    Ok(Papers { names, index, manifest: manifest.map(|(_, bytes)| bytes), config })
}

/// Reads the id of the image at `path` from its documents alone.
pub fn image_id(path: &Path) -> Result<Digest, ImageError> {
    Ok(Documents::read(path)?.image_id)
}

/// Tells whether what stands at `path` is meant to be an image: a tar, or a directory.
pub fn is_image(path: &Path) -> Result<bool, ImageError> {
    if disk::status(path)?.is_some_and(|status| status.kind == disk::Kind::Directory) {
        return Ok(true);
    }
    let mut head = Vec::new();
    let read = disk::open(path)?.take(512).read_to_end(&mut head);
    read.map_err(disk::refused("read", path))?;
    Ok(head.get(257..262) == Some(b"ustar"))
}

/// The documents of one image, every digest between them checked.
pub(super) struct Documents {
    /// Where its parts stand.
    pub(super) members: Members,
    /// Names and tags.
    pub(super) names: Vec<String>,
    /// The member that is its configuration.
    pub(super) config_name: String,
    /// The configuration, byte for byte.
    pub(super) config: Vec<u8>,
    /// The configuration's digest.
    pub(super) image_id: Digest,
    /// The members that are its layers, from the bottom.
    pub(super) layers: Vec<String>,
    /// The OCI manifest, where there is one.
    pub(super) manifest: Option<(Digest, Vec<u8>)>,
    /// What lists the manifest, where there is one.
    pub(super) index: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerImage {
    config: String,
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    /// Nothing is no size of any part, so one that is not said fits none.
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
pub(super) struct OciManifest {
    #[serde(default)]
    pub(super) annotations: Option<BTreeMap<String, String>>,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

impl Documents {
    pub(super) fn read(path: &Path) -> Result<Self, ImageError> {
        let members = Members::read(path)?;
        match (members.contains("manifest.json"), members.contains("index.json")) {
            (true, _) => Self::of_docker(members),
            (false, true) => Self::of_layout(members),
            (false, false) => Err(members.strange(
                "it has neither `manifest.json`, as `docker save` writes it, nor the `index.json` of an OCI layout"
                    .into(),
            )),
        }
    }

    fn of_docker(members: Members) -> Result<Self, ImageError> {
        let docker: Vec<DockerImage> = members.json("manifest.json")?;
        let [image] = docker.as_slice() else {
            return Err(members.strange(format!("it holds {} images instead of one", docker.len())));
        };
        let config = members.document(&image.config)?;
        let image_id = Digest::of(&config);
        if let Some(promised) = digest_in(&image.config).filter(|promised| *promised != image_id) {
            return Err(members.mismatch(&image.config, promised, image_id));
        }
        let (index, manifest) = oci_half(&members, image_id, image.layers.len())?;
        Ok(Self {
            names: image.repo_tags.clone().unwrap_or_default(),
            config_name: image.config.clone(),
            layers: image.layers.clone(),
            config,
            image_id,
            manifest,
            index,
            members,
        })
    }

    fn of_layout(members: Members) -> Result<Self, ImageError> {
        let index = members.document("index.json")?;
        let descriptor = only(&members, &index)?;
        let (digest, bytes) = blob(&members, descriptor.digest)?;
        let name = blob_name(digest);
        let manifest: OciManifest = members.parse(&name, &bytes)?;
        let (image_id, config) = blob(&members, manifest.config.digest)?;
        let named = |key: &str| descriptor.annotations.as_ref()?.get(key).cloned();
        let full = named("io.containerd.image.name");
        Ok(Self {
            names: full
                .or_else(|| named("org.opencontainers.image.ref.name"))
                .into_iter()
                .collect(),
            config_name: blob_name(image_id),
            config,
            image_id,
            layers: manifest.layers.iter().map(|layer| blob_name(layer.digest)).collect(),
            manifest: Some((digest, bytes)),
            index: Some(index),
            members,
        })
    }
}

/// Returns the one image that an index names, also through another index.
pub(super) fn only(members: &Members, index: &[u8]) -> Result<Descriptor, ImageError> {
    let mut index: Index = members.parse("index.json", index)?;
    for _ in 0..INDEX_DEPTH_MAX {
        let mut manifests = index.manifests.unwrap_or_default();
        let (Some(descriptor), 0) = (manifests.pop(), manifests.len()) else {
            let count = if manifests.is_empty() { 0 } else { manifests.len() + 1 };
            return Err(members.strange(format!(
                "its index names {count} images instead of one; `skopeo copy` takes one out, by platform or name"
            )));
        };
        if !descriptor.media_type.ends_with("index.v1+json")
            && !descriptor.media_type.ends_with("manifest.list.v2+json")
        {
            return Ok(descriptor);
        }
        let (digest, bytes) = blob(members, descriptor.digest)?;
        index = members.parse(&blob_name(digest), &bytes)?;
    }
    Err(members.strange(format!("indexes stand in one another more than {INDEX_DEPTH_MAX} deep")))
}

type OciHalf = (Option<Vec<u8>>, Option<(Digest, Vec<u8>)>);

/// Checks the OCI half of the file against the Docker half.
fn oci_half(members: &Members, image_id: Digest, layers: usize) -> Result<OciHalf, ImageError> {
    if !members.contains("index.json") {
        return Ok((None, None));
    }
    let bytes = members.document("index.json")?;
    let index: Index = members.parse("index.json", &bytes)?;
    // Docker 25.0.0 wrote `null` here.
    let manifests = index.manifests.unwrap_or_default();
    let Some(descriptor) = manifests.first() else {
        return Ok((Some(bytes), None));
    };
    let found = blob(members, descriptor.digest)?;
    let name = blob_name(descriptor.digest);
    let manifest: OciManifest = members.parse(&name, &found.1)?;
    if manifest.config.digest != image_id {
        return Err(members.mismatch("manifest.json", manifest.config.digest, image_id));
    }
    if manifest.layers.len() != layers {
        return Err(members.strange("its two manifests name different layers".into()));
    }
    Ok((Some(bytes), Some(found)))
}

/// Reads a short blob and checks that it is what its name says.
pub(super) fn blob(members: &Members, digest: Digest) -> Result<(Digest, Vec<u8>), ImageError> {
    let name = blob_name(digest);
    let bytes = members.document(&name)?;
    let found = Digest::of(&bytes);
    if found != digest {
        return Err(members.mismatch(&name, digest, found));
    }
    Ok((digest, bytes))
}

pub(super) fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Reads the digest that a member's name promises: `blobs/sha256/<hex>`, `<hex>.json`.
pub(super) fn digest_in(name: &str) -> Option<Digest> {
    let file = name.rsplit('/').next()?;
    Digest::from_hex(file.strip_suffix(".json").unwrap_or(file)).ok()
}
