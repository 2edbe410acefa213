//! Pack: results as files that a cache takes, and back.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::CacheError;
use super::entry::{Entry, Named, Output, Shape, Source};
use crate::archive::{self, Links, Rules, SpecialBits};
use crate::bundle;
use crate::digest::{Digest, Hashing};
use crate::disk::{self, refused};
use crate::image;
use crate::limits::PACKAGE_BYTES_MAX;
use crate::store::{BuildKey, Record, Store, StoreError};

/// What is cheap to make and small enough to send.
const ZSTD_LEVEL: i32 = 3;
/// Bytes of a zstd window, as a power of two.
const WINDOW_LOG_MAX: u32 = 27;

/// A result as files.
pub(super) struct Packed {
    pub(super) manifest: Vec<u8>,
    /// The text of the inputs first, then the outputs.
    pub(super) files: Vec<(String, PathBuf, Named)>,
}

/// Packs a result into `into`; `None` where the store has lost a part of it meanwhile.
pub(super) fn pack(
    key: BuildKey,
    record: &Record,
    store: &Store,
    into: &Path,
) -> Result<Option<Packed>, CacheError> {
    let inputs = into.join("inputs");
    disk::write_atomic(&inputs, record.inputs.as_bytes())?;
    let digest = Digest::of(record.inputs.as_bytes());
    let named = Named { digest, bytes: record.inputs.len() as u64 };
    let mut files = vec![("inputs".to_owned(), inputs, named)];
    let mut outputs = Vec::new();
    for (number, (name, content)) in record.outputs.iter().enumerate() {
        let (shape, path, packed) = if let Some(tree) = store.tree(*content)? {
            let path = into.join(number.to_string());
            let file = disk::create_new(&path, false)?;
            let out = zstd::Encoder::new(Hashing::new(file), ZSTD_LEVEL);
            let out = bundle::pack(&tree, store, out.map_err(refused("write", &path))?, &path)?;
            let (_, digest, bytes) = out.finish().map_err(refused("write", &path))?.finish();
            (Shape::Tree, path, Named { digest, bytes })
        } else if let Some(blob) = store.blob(*content)? {
            let bytes = disk::status(blob.path())?.map_or(0, |status| status.size);
            (Shape::Blob, blob.path().to_owned(), Named { digest: *content, bytes })
        } else {
            return Ok(None);
        };
        files.push((name.clone(), path, packed));
        outputs.push(Output { name: name.clone(), shape, content: *content, packed });
    }
    let manifest = Entry { inputs: named, outputs }.manifest(key);
    Ok(Some(Packed { manifest, files }))
}

/// Brings an output into the store and proves it, unless the store holds it.
pub(super) fn take(
    output: &Output,
    source: &(dyn Source + '_),
    store: &Store,
    untrue: &dyn Fn() -> CacheError,
) -> Result<(), CacheError> {
    let name = &output.name;
    match output.shape {
        Shape::Tree if store.tree(output.content)?.is_some() => return Ok(()),
        Shape::Blob if store.blob(output.content)?.is_some() => return Ok(()),
        _ => {}
    }
    let packed = source.blob(name, &output.packed, store)?;
    if output.shape == Shape::Blob {
        // A layer's record says more of it than its digest does.
        let layer_is_true = !name.starts_with("tar ")
            || image::is_layer(name, disk::open(packed.path())?.take(output.packed.bytes));
        return if layer_is_true { Ok(()) } else { Err(untrue()) };
    }
    let scratch = store.scratch()?;
    let root = scratch.path().join("tree");
    disk::create_dir(&root)?;
    let rules = Rules {
        bytes_max: PACKAGE_BYTES_MAX,
        links: Links::Anywhere,
        special_bits: SpecialBits::Refused,
        strip: 0,
    };
    let mut plain =
        zstd::Decoder::new(disk::open(packed.path())?).map_err(refused("read", packed.path()))?;
    plain.window_log_max(WINDOW_LOG_MAX).map_err(refused("read", packed.path()))?;
    archive::unpack(plain, &root, &rules, &|path| path)
        .map_err(|source| CacheError::Archive { name: name.clone(), source })?;
    match store.insert_tree(name, &root, Some(output.content)) {
        Ok(_) => Ok(()),
        Err(StoreError::Mismatch { .. }) => Err(untrue()),
        Err(error) => Err(error.into()),
    }
}
