//! Contents: the parts of an image file as registries and engines know them, each where it stands in the file.
//!
//! Nothing is unpacked, and no part but the short documents is held in memory: a blob is opened at its offset.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::ImageError;
use super::members::{Members, Place};
use crate::digest::{Digest, Hashing};
use crate::disk;

/// The parts of an image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub file_bytes: u64,
    /// The names and tags that it bears.
    pub names: Vec<String>,
    /// The manifest, byte for byte.
    pub manifest: Vec<u8>,
    /// The manifest's digest.
    pub manifest_digest: Digest,
    /// The manifest's media type.
    pub manifest_type: String,
    /// The configuration; its digest is the image's id.
    pub config: Blob,
    /// The layers, from the bottom.
    pub layers: Vec<Blob>,
    /// The machine that it is for, and the variant of it, as its configuration says.
    pub machine: (String, Option<String>),
    /// Whether its history says that rebeam made it.
    pub ours: bool,
}

/// A part of an image file that is known by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What people call it.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u64,
    place: Place,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    size: u64,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default)]
    history: Option<Vec<History>>,
}

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    empty_layer: bool,
}

impl Contents {
    /// Reads the documents of the image file at `path` and finds its blobs. Layers are not read: see [`Contents::check`].
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let members = Members::read(path)?;
        let docker: Vec<DockerImage> = members.json("manifest.json")?;
        let names = docker.into_iter().flat_map(|image| image.repo_tags.unwrap_or_default());
        let descriptor = only_manifest(&members)?;
        let manifest = document(&members, &descriptor)?;
        let parsed: Manifest = members.parse(&blob_name(descriptor.digest), &manifest)?;
        let config = document(&members, &parsed.config)?;
        let config: Config = members.parse(&blob_name(parsed.config.digest), &config)?;
        let history = config.history.unwrap_or_default();
        let made_by = |text: &str| text.strip_prefix("rebeam layer=").map(str::to_owned);
        let ours = history.iter().any(|entry| made_by(&entry.created_by).is_some());
        let mut filled = history.iter().filter(|entry| !entry.empty_layer);
        let mut layers = Vec::new();
        for (number, layer) in parsed.layers.iter().enumerate() {
            let name = filled.next().and_then(|entry| made_by(&entry.created_by));
            let name = name.unwrap_or_else(|| (number + 1).to_string());
            layers.push(blob(&members, layer, format!("layer {name}"))?);
        }
        Ok(Self {
            path: path.to_owned(),
            file_bytes: disk::status(path)?.map_or(0, |status| status.size),
            names: names.collect(),
            manifest_digest: descriptor.digest,
            manifest_type: descriptor.media_type,
            manifest,
            config: blob(&members, &parsed.config, "configuration".into())?,
            layers,
            machine: (config.architecture, config.variant),
            ours,
        })
    }

    /// Hashes every blob, so that what is damaged is known before any of it is sent.
    pub fn check(&self) -> Result<(), ImageError> {
        let blobs: Vec<&Blob> = self.layers.iter().chain([&self.config]).collect();
        blobs.par_iter().with_max_len(1).try_for_each(|blob| {
            let mut hashing = Hashing::new(io::sink());
            let mut reader = self.open(blob).map_err(disk::refused("read", &self.path))?;
            io::copy(&mut reader, &mut hashing).map_err(disk::refused("read", &self.path))?;
            let (_, found, _) = hashing.finish();
            if found == blob.digest {
                return Ok(());
            }
            let (path, member) = (self.path.clone(), blob_name(blob.digest));
            Err(ImageError::Mismatch { path, member, promised: blob.digest, found })
        })
    }

    /// Opens a blob at its start.
    pub fn open(&self, blob: &Blob) -> io::Result<impl Read + use<>> {
        disk::open_at(&blob.place.path, blob.place.at).map(|file| file.take(blob.bytes))
    }

    /// Opens the whole file.
    pub fn open_file(&self) -> io::Result<impl Read + use<>> {
        disk::open_at(&self.path, 0)
    }

    /// Returns the image's id: the digest of its configuration.
    pub fn image_id(&self) -> Digest {
        self.config.digest
    }
}

/// Returns the descriptor of the one image of the file.
fn only_manifest(members: &Members) -> Result<Descriptor, ImageError> {
    if !members.contains("index.json") {
        return Err(members.strange("it has no `index.json`, which names its manifest".into()));
    }
    let index: Index = members.json("index.json")?;
    // Docker 25.0.0 wrote `null` here.
    let mut manifests = index.manifests.unwrap_or_default();
    match (manifests.pop(), manifests.len()) {
        (Some(descriptor), 0) => Ok(descriptor),
        (_, others) => {
            let count = if others == 0 { 0 } else { others + 1 };
            Err(members.strange(format!("its index names {count} images instead of one")))
        }
    }
}

fn document(members: &Members, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
    let name = blob_name(descriptor.digest);
    let bytes = members.document(&name)?;
    let found = Digest::of(&bytes);
    if found != descriptor.digest {
        return Err(members.mismatch(&name, descriptor.digest, found));
    }
    Ok(bytes)
}

fn blob(members: &Members, descriptor: &Descriptor, name: String) -> Result<Blob, ImageError> {
    let member = blob_name(descriptor.digest);
    let place = members.find(&member)?;
    let bytes = place.bytes;
    if bytes != descriptor.size {
        let promised = descriptor.size;
        return Err(members
            .strange(format!("`{member}` has {bytes} bytes, and its manifest says {promised}")));
    }
    Ok(Blob { name, digest: descriptor.digest, bytes, place })
}

fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
