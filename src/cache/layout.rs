//! Layout: a cache in a directory, as an OCI layout that `skopeo copy oci:DIR:TAG` reads.
//!
//! A blob is put under its name in one instant, and the index is replaced by one writer at a time, so a reader
//! sees all of a result or none, on a network's file system too.

use std::path::Path;

use serde_json::{Value, json};

use super::CacheError;
use super::entry::{Named, Source};
use super::pack::Packed;
use crate::digest::Digest;
use crate::disk::{self, LockMode};
use crate::limits::{MANIFEST_BYTES_MAX, TEXT_FILE_BYTES_MAX};
use crate::project::CACHE_MARK;
use crate::store::{HeldBlob, Store};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const BLOBS: &str = "blobs/sha256";

/// A cache to read from.
pub(super) struct Layout<'a> {
    pub(super) path: &'a Path,
}

impl Source for Layout<'_> {
    fn manifest(&self, tag: &str) -> Result<Option<Vec<u8>>, CacheError> {
        let Some(digest) = find(&index(self.path)?, tag) else {
            return Ok(None);
        };
        let path = self.path.join(BLOBS).join(digest.hex());
        let bytes = match disk::read(&path, MANIFEST_BYTES_MAX) {
            Ok(bytes) => bytes,
            // Somebody cleared the directory up; what is not there is built.
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let is_whole = Digest::of(&bytes) == digest;
        let place = self.path.display().to_string();
        if is_whole { Ok(Some(bytes)) } else { Err(CacheError::NoBlob { place, digest }) }
    }

    fn blob(&self, name: &str, blob: &Named, store: &Store) -> Result<HeldBlob, CacheError> {
        if let Some(held) = store.blob(blob.digest)? {
            return Ok(held);
        }
        let path = self.path.join(BLOBS).join(blob.digest.hex());
        let file = disk::open(&path).map_err(|error| match error.is_not_found() {
            true => {
                CacheError::NoBlob { place: self.path.display().to_string(), digest: blob.digest }
            }
            false => error.into(),
        })?;
        Ok(store.insert_blob(name, file, blob.bytes, Some(blob.digest))?)
    }
}

/// Puts a result into the directory, and returns the bytes that were written.
pub(super) fn put(at: &Path, packed: &Packed, tag: &str) -> Result<u64, CacheError> {
    disk::create_dir_all(&at.join(BLOBS))?;
    // A cache beside the sources of a project is no part of it: neither for a build nor for git, which says whether the
    // project is its commit.
    for (mark, text) in [(CACHE_MARK, ""), (".gitignore", "*\n")] {
        if !disk::exists(&at.join(mark)) {
            disk::write_atomic(&at.join(mark), text.as_bytes())?;
        }
    }
    let mut written = 0;
    for (_, path, named) in &packed.files {
        let place = at.join(BLOBS).join(named.digest.hex());
        if !disk::exists(&place) {
            let temporary = disk::sibling(&place);
            disk::copy_file(path, &temporary, false)?;
            disk::rename(&temporary, &place)?;
            written += named.bytes;
        }
    }
    let digest = Digest::of(&packed.manifest);
    disk::write_atomic(&at.join(BLOBS).join(digest.hex()), &packed.manifest)?;
    let _writer = disk::lock(&at.join(".rebeam.lock"), LockMode::Exclusive)?;
    let mut manifests = index(at)?;
    manifests.retain(|entry| entry["annotations"][REF_NAME] != tag);
    manifests
        .push(json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest,
        "size": packed.manifest.len(), "annotations": { REF_NAME: tag } }));
    manifests.sort_by_key(|entry| entry["annotations"][REF_NAME].to_string());
    let index = json!({ "schemaVersion": 2, "manifests": manifests });
    disk::write_atomic(&at.join("oci-layout"), br#"{"imageLayoutVersion": "1.0.0"}"#)?;
    disk::write_atomic(&at.join("index.json"), index.to_string().as_bytes())?;
    Ok(written)
}

/// Reads the directory's index; one that is not there names nothing.
fn index(at: &Path) -> Result<Vec<Value>, CacheError> {
    let path = at.join("index.json");
    let bytes = match disk::read(&path, TEXT_FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let index: Value = serde_json::from_slice(&bytes)
        .map_err(|error| CacheError::BadIndex { path, what: error.to_string() })?;
    Ok(index["manifests"].as_array().cloned().unwrap_or_default())
}

fn find(manifests: &[Value], tag: &str) -> Option<Digest> {
    let entry = manifests.iter().find(|entry| entry["annotations"][REF_NAME] == tag)?;
    entry["digest"].as_str()?.parse().ok()
}
