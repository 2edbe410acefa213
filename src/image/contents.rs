//! Contents: the parts of an image file as registries and engines know them, each where it stands in the file.
//!
//! Nothing is unpacked, and no part but the short documents is held in memory: a blob is opened at its offset.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::ImageError;
use super::config::BASE_NAME;
use super::described::Config;
use super::documents::{self, Descriptor, DockerImage, OciManifest, blob_name};
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
    /// The image that it is laid over, as its manifest names it.
    pub base: Option<String>,
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

impl Blob {
    /// Names a file as a blob.
    pub fn of_file(name: &str, path: &Path, digest: Digest, bytes: u64) -> Self {
        let place = Place { path: path.to_owned(), at: 0, bytes };
        Self { name: name.to_owned(), digest, bytes, place }
    }
}

impl Contents {
    /// Reads the documents of the image file at `path` and finds its blobs. Layers are not read: see [`Contents::check`].
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let members = Members::read(path)?;
        let docker: Vec<DockerImage> = members.json("manifest.json")?;
        let names = docker.into_iter().flat_map(|image| image.repo_tags.unwrap_or_default());
        if !members.contains("index.json") {
            return Err(members.strange("it has no `index.json`, which names its manifest".into()));
        }
        let descriptor = documents::only(&members, &members.document("index.json")?)?;
        let (_, manifest) = documents::blob(&members, descriptor.digest)?;
        let parsed: OciManifest = members.parse(&blob_name(descriptor.digest), &manifest)?;
        let (_, config) = documents::blob(&members, parsed.config.digest)?;
        let config: Config = members.parse(&blob_name(parsed.config.digest), &config)?;
        let by_us = |text: &str| text.strip_prefix("rebeam layer=").map(str::to_owned);
        let ours = config.commands().any(|text| by_us(text).is_some());
        let mut made_by = config.made_by();
        let mut layers = Vec::new();
        for (number, layer) in parsed.layers.iter().enumerate() {
            let name = made_by.next().and_then(by_us);
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
            machine: (config.architecture.clone(), config.variant.clone()),
            base: parsed.annotations.and_then(|mut all| all.remove(BASE_NAME)),
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

    /// Opens a blob so many bytes behind its start.
    pub fn open_from(&self, blob: &Blob, from: u64) -> io::Result<impl Read + use<>> {
        let left = blob.bytes.saturating_sub(from);
        disk::open_at(&blob.place.path, blob.place.at + from).map(|file| file.take(left))
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
