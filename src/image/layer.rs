//! Layer: a part of the release as a blob of the store, made once.
//!
//! A layer's key is the hash of the image format and of every entry with its digest. The store remembers
//! what a key became, so an unchanged part is neither read, tarred, compressed nor hashed again.

use std::fmt::Write as _;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use super::gzip::Members;
use super::tar::{TarStream, check_name};
use super::{ImageError, Layer};
use crate::digest::{Digest, Hashing};
use crate::disk;
use crate::event::Observer;
use crate::limits::LAYER_BYTES_MAX;
use crate::lock::IMAGE_FORMAT;
use crate::release::{Component, Content, RULES};
use crate::store::{BuildKey, Record, Store};

/// Makes the layer of a part, or takes it from the store.
pub(super) fn layer(
    component: &Component,
    modified: u64,
    store: &Store,
    observer: &dyn Observer,
) -> Result<Layer, ImageError> {
    for path in component.entries.keys() {
        check_name(path)?;
    }
    let key = key(component, modified);
    if let Some(layer) = recall(component, store.recall_shared(key, observer)?, store)? {
        return Ok(layer);
    }
    let mut members = Members::new(TarStream::new(component.entries.iter(), modified));
    let name = format!("layer {}", component.part.name());
    let inserted = store.insert_blob(&name, &mut members, LAYER_BYTES_MAX, None);
    let (mut stream, diff_id, tar_bytes) = members.finish();
    if let Some(failure) = stream.take_failure() {
        return Err(failure.into());
    }
    let blob = inserted?;
    let file_bytes = stream.file_bytes();
    store.remember(
        key,
        &Record {
            inputs: format!(
                "layer {}, {} entries\n",
                component.part.name(),
                component.entries.len()
            ),
            // The store takes every output for something it holds; the plain tar is not, so it stands in the name.
            outputs: vec![(format!("tar {diff_id} {tar_bytes} {file_bytes}"), blob.digest())],
        },
    )?;
    Ok(Layer {
        part: component.part,
        bytes: size(&blob)?,
        blob,
        diff_id,
        tar_bytes,
        file_bytes,
        reused: false,
    })
}

/// Hashes what decides a layer's bytes.
fn key(component: &Component, modified: u64) -> BuildKey {
    let mut text =
        format!("rebeam layer\nformat {IMAGE_FORMAT}\nrules {RULES}\nmodified {modified}\n");
    let say = "writing to a String cannot fail";
    for (path, node) in &component.entries {
        let path = path.as_bytes().escape_ascii();
        write!(text, "{path} {:o} {} {} ", node.mode, node.uid, node.gid).expect(say);
        match &node.content {
            Content::Directory => writeln!(text, "directory"),
            Content::Symlink(target) => writeln!(text, "link {}", target.escape_ascii()),
            // A file that was made here and the same file on disk are the same bytes.
            Content::Bytes(bytes) => writeln!(text, "file {}", Digest::of(bytes).hex()),
            Content::File { digest, .. } => writeln!(text, "file {}", digest.hex()),
            Content::Beam { digest, .. } => writeln!(text, "stripped {}", digest.hex()),
            Content::Zone { digest, .. } => writeln!(text, "slimmed {}", digest.hex()),
        }
        .expect(say);
    }
    BuildKey::of(&text)
}

fn recall(
    component: &Component,
    record: Option<Record>,
    store: &Store,
) -> Result<Option<Layer>, ImageError> {
    let Some(record) = record else {
        return Ok(None);
    };
    let [(tar, blob)] = record.outputs.as_slice() else {
        return Ok(None);
    };
    let (Some((diff_id, tar_bytes, file_bytes)), Some(blob)) = (read_tar(tar), store.blob(*blob)?)
    else {
        return Ok(None);
    };
    Ok(Some(Layer {
        part: component.part,
        bytes: size(&blob)?,
        blob,
        diff_id,
        tar_bytes,
        file_bytes,
        reused: true,
    }))
}

fn read_tar(name: &str) -> Option<(Digest, u64, u64)> {
    let mut words = name.strip_prefix("tar ")?.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Tells whether a blob is the layer that a record says it is: packed, and of this plain tar.
///
/// A record of a layer comes from elsewhere with a blob that is proved and words that are not.
pub fn is_layer(name: &str, packed: impl Read) -> bool {
    let Some((diff_id, tar_bytes, _)) = read_tar(name) else {
        return false;
    };
    let mut plain = Hashing::new(io::sink());
    let mut unpacked = MultiGzDecoder::new(packed).take(tar_bytes.saturating_add(1));
    let copied = io::copy(&mut unpacked, &mut plain);
    let (_, found, bytes) = plain.finish();
    copied.is_ok() && found == diff_id && bytes == tar_bytes
}

/// Returns the bytes of a blob.
pub(super) fn size(blob: &crate::store::HeldBlob) -> Result<u64, ImageError> {
    Ok(disk::status(blob.path())?.map_or(0, |status| status.size))
}
