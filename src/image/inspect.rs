//! Inspect: what an image file says of itself, every digest checked.
//!
//! The file may come from anyone. Documents are small and read whole up to a limit; layers are hashed as
//! a stream; the members' names are only looked up, never written anywhere.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::ImageError;
use super::described::Config;
use super::documents::{Documents, digest_in};
use super::members::Members;
use crate::archive::ArchiveError;
use crate::digest::{Digest, Hashing};
use crate::limits::{LAYER_BYTES_MAX, TEXT_FILE_BYTES_MAX};
use crate::release::{LOCK_PATH, PROVENANCE_PATH};

/// What an image file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The image's id: the digest of its configuration.
    pub image_id: Digest,
    /// The digest by which registries know it, where the file is an OCI layout too.
    pub manifest_digest: Option<Digest>,
    /// Names and tags.
    pub names: Vec<String>,
    /// `amd64` or `arm64`.
    pub architecture: String,
    /// When it says it was made.
    pub created: Option<String>,
    /// The command that it runs, and arguments.
    pub entrypoint: Vec<String>,
    /// Arguments behind the entry point.
    pub cmd: Vec<String>,
    /// The environment, as `NAME=value`.
    pub env: Vec<String>,
    /// User and group.
    pub user: String,
    /// The working directory.
    pub directory: String,
    /// Ports.
    pub ports: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Its layers, from the bottom.
    pub layers: Vec<InspectedLayer>,
    /// The text of the lock that it was built from, where rebeam made it.
    pub lock: Option<String>,
    /// How it was made, as JSON, where rebeam made it.
    pub provenance: Option<String>,
}

/// One layer of an image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedLayer {
    /// What made it, as its history says.
    pub made_by: String,
    /// Digest of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub bytes: u64,
    /// Digest of the plain tar.
    pub diff_id: Digest,
    /// Bytes of the plain tar.
    pub tar_bytes: u64,
}

/// Reads an image file that rebeam or `docker save` wrote, and checks every digest in it.
pub fn inspect(path: &Path) -> Result<Inspected, ImageError> {
    let mut papers = BTreeMap::new();
    let inspected = inspect_by(path, &mut |_, tar| {
        collect_papers(tar, &mut papers).map_err(ArchiveError::Damaged)
    })?;
    let mut paper = |name| papers.remove(name);
    Ok(Inspected { lock: paper(LOCK_PATH), provenance: paper(PROVENANCE_PATH), ..inspected })
}

/// What looks at a layer while it is hashed: what made it, and its plain tar.
pub(super) type Look<'a> = dyn FnMut(&str, &mut dyn Read) -> Result<(), ArchiveError> + 'a;

/// Does as [`inspect`] does, and hands each layer to `look` on the way, so that it is read once. What rebeam laid into the
/// layers is left to `look`.
pub(super) fn inspect_by(path: &Path, look: &mut Look<'_>) -> Result<Inspected, ImageError> {
    let documents = Documents::read(path)?;
    let (members, config) = (&documents.members, &documents.config);
    let config: Config = members.parse(&documents.config_name, config)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != documents.layers.len() {
        return Err(members.strange(format!(
            "its configuration names {} layers and its manifest {}",
            diff_ids.len(),
            documents.layers.len()
        )));
    }
    let mut made_by = config.made_by().map(str::to_owned);
    let mut layers = Vec::new();
    for (name, diff_id) in documents.layers.iter().zip(diff_ids) {
        let made_by = made_by.next().unwrap_or_default();
        layers.push(layer(members, (name, *diff_id), made_by, look)?);
    }
    drop(made_by);
    let run = config.config.unwrap_or_default();
    let keys = |map: Option<BTreeMap<String, serde::de::IgnoredAny>>| {
        map.unwrap_or_default().into_keys().collect()
    };
    Ok(Inspected {
        image_id: documents.image_id,
        manifest_digest: documents.manifest.as_ref().map(|(digest, _)| *digest),
        names: documents.names.clone(),
        architecture: config.architecture,
        created: config.created,
        entrypoint: run.entrypoint.unwrap_or_default(),
        cmd: run.cmd.unwrap_or_default(),
        env: run.env.unwrap_or_default(),
        user: run.user.unwrap_or_default(),
        directory: run.working_dir.unwrap_or_default(),
        ports: keys(run.exposed_ports),
        volumes: keys(run.volumes),
        labels: run.labels.unwrap_or_default(),
        layers,
        lock: None,
        provenance: None,
    })
}

/// Reads a layer once: both digests, and what `look` looks for.
fn layer(
    members: &Members,
    (name, diff_id): (&str, Digest),
    made_by: String,
    look: &mut Look<'_>,
) -> Result<InspectedLayer, ImageError> {
    let (blob, bytes) = members.open(name)?;
    let mut hashing = HashRead::new(BufReader::with_capacity(64 << 10, blob));
    let mut plain = HashRead::new(plain(&mut hashing).map_err(members.unreadable(name))?);
    look(&made_by, &mut (&mut plain).take(LAYER_BYTES_MAX)).map_err(|error| match error {
        ArchiveError::Damaged(error) => members.unreadable(name)(error),
        error => ImageError::BadLayer { path: members.path.clone(), source: Box::new(error) },
    })?;
    plain.drain(LAYER_BYTES_MAX).map_err(members.unreadable(name))?;
    let (found, tar_bytes) = plain.finish();
    if tar_bytes > LAYER_BYTES_MAX {
        return Err(ImageError::TooLarge {
            path: members.path.clone(),
            member: name.to_owned(),
            limit: LAYER_BYTES_MAX,
        });
    }
    if found != diff_id {
        return Err(members.mismatch(name, diff_id, found));
    }
    hashing.drain(u64::MAX).map_err(members.unreadable(name))?;
    let (digest, _) = hashing.finish();
    if let Some(promised) =
        digest_in(name).filter(|promised| made_by_blob(name) && *promised != digest)
    {
        return Err(members.mismatch(name, promised, digest));
    }
    Ok(InspectedLayer { made_by, digest, bytes, diff_id, tar_bytes })
}

/// Hands each layer of the file at `path` to `take`, from the bottom, as a plain tar.
pub(super) fn each_layer<E: From<ImageError>>(
    path: &Path,
    take: &mut dyn FnMut(&mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    let documents = Documents::read(path)?;
    let members = &documents.members;
    for name in &documents.layers {
        let (blob, _) = members.open(name)?;
        let mut hashing = HashRead::new(BufReader::with_capacity(64 << 10, blob));
        let mut plain = plain(&mut hashing).map_err(members.unreadable(name))?;
        take(&mut plain)?;
    }
    Ok(())
}

/// Tells whether a member's name is the digest of its own bytes; in old archives it is that of the plain tar.
fn made_by_blob(name: &str) -> bool {
    name.starts_with("blobs/sha256/")
}

fn plain<'a, R: Read>(blob: &'a mut HashRead<BufReader<R>>) -> io::Result<Box<dyn Read + 'a>> {
    let head = blob.peek()?;
    Ok(if head.starts_with(&[0x1f, 0x8b]) {
        Box::new(MultiGzDecoder::new(blob))
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::Decoder::new(blob)?)
    } else {
        Box::new(blob)
    })
}

fn collect_papers(
    layer: &mut dyn Read,
    papers: &mut BTreeMap<&'static str, String>,
) -> io::Result<()> {
    let mut archive = tar::Archive::new(layer);
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let path = entry.path_bytes();
        let wanted =
            [LOCK_PATH, PROVENANCE_PATH].into_iter().find(|name| path.as_ref() == name.as_bytes());
        let Some(name) = wanted else {
            continue;
        };
        let mut text = String::new();
        entry.by_ref().take(TEXT_FILE_BYTES_MAX).read_to_string(&mut text)?;
        papers.insert(name, text);
    }
    Ok(())
}

/// A reader that hashes and counts what is read.
pub(super) struct HashRead<R> {
    inner: R,
    hashing: Hashing<io::Sink>,
}

impl<R: Read> HashRead<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hashing: Hashing::new(io::sink()) }
    }

    /// Reads the rest, as far as about `limit` bytes in all.
    pub(super) fn drain(&mut self, limit: u64) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while self.hashing.bytes() <= limit && self.read(&mut buffer)? > 0 {}
        Ok(())
    }

    pub(super) fn finish(self) -> (Digest, u64) {
        let (_, digest, bytes) = self.hashing.finish();
        (digest, bytes)
    }
}

impl<R: Read> HashRead<BufReader<R>> {
    fn peek(&mut self) -> io::Result<&[u8]> {
        io::BufRead::fill_buf(&mut self.inner)
    }
}

impl<R: Read> Read for HashRead<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hashing.write_all(&buffer[..count])?;
        Ok(count)
    }
}
