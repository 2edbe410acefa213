//! Remote: a cache in a repository of a registry.

use super::entry::{Named, Source};
use super::pack::Packed;
use super::{CacheError, Way};
use crate::digest::Digest;
use crate::event::{Observer, Silent};
use crate::image::{Blob, Contents};
use crate::registry::{self, Door, Keys, Reference, Shelf, Target};
use crate::store::{HeldBlob, Store};

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A cache to read from.
pub(super) struct Remote<'a> {
    shelf: Shelf<'a>,
}

impl<'a> Remote<'a> {
    pub(super) fn open(
        reference: &'a Reference,
        way: &'a Way,
        keys: &Keys,
        observer: &'a dyn Observer,
    ) -> Self {
        Self { shelf: Shelf::open(door(way, observer), reference, keys) }
    }
}

fn door<'a>(way: &'a Way, observer: &'a dyn Observer) -> Door<'a> {
    let Way { http, credentials, security } = way;
    Door { http, credentials, security: *security, observer }
}

impl Source for Remote<'_> {
    fn manifest(&self, tag: &str) -> Result<Option<Vec<u8>>, CacheError> {
        Ok(self.shelf.manifest(tag)?)
    }

    fn blob(&self, name: &str, blob: &Named, store: &Store) -> Result<HeldBlob, CacheError> {
        Ok(self.shelf.blob(name, (blob.digest, blob.bytes), store)?)
    }
}

/// Pushes a result as images are pushed: what is there is not sent, and the manifest comes last.
pub(super) fn put(
    reference: &Reference,
    way: &Way,
    packed: &Packed,
    tag: &str,
) -> Result<u64, CacheError> {
    let blobs = packed
        .files
        .iter()
        .map(|(name, path, named)| Blob::of_file(name, path, named.digest, named.bytes));
    let mut blobs: Vec<Blob> = blobs.collect();
    let config = blobs.remove(0);
    let contents = Contents {
        path: packed.files[0].1.clone(),
        file_bytes: 0,
        names: Vec::new(),
        manifest: packed.manifest.clone(),
        manifest_digest: Digest::of(&packed.manifest),
        manifest_type: MANIFEST_TYPE.into(),
        config,
        layers: blobs,
        machine: (String::new(), None),
        base: None,
        ours: true,
    };
    let target =
        Target { reference: reference.clone(), tags: vec![tag.to_owned()], mount_from: None };
    Ok(registry::push(&contents, &target, door(way, &Silent))?.sent_bytes)
}
