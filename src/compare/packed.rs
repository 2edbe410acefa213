//! Packed: what stands in a gzip, a zip, an escript or a tar, as values.
//!
//! The bytes may be anyone's: what they inflate to is bounded together, so that a small file does not become a large one.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use flate2::read::{GzDecoder, MultiGzDecoder};

use crate::archive::{self, ArchiveError};
use crate::limits::{COMPARED_BYTES_MAX, IMAGE_MEMBERS_MAX};

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) bytes: Vec<u8>,
    pub(super) time: String,
    pub(super) facts: String,
    pub(super) position: usize,
}

/// An archive's members by name, and what stands before them: an escript's first lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archive {
    pub(super) head: Vec<u8>,
    pub(super) members: BTreeMap<String, Member>,
}

/// Inflates a gzip; its time comes beside it.
pub(super) fn gzip(bytes: &[u8]) -> Option<(Vec<u8>, u32)> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return None;
    }
    let time = GzDecoder::new(bytes).header()?.mtime();
    Some((whole(MultiGzDecoder::new(bytes), COMPARED_BYTES_MAX)?, time))
}

/// Reads all of it, if it is no more than so much.
fn whole(reader: impl Read, bytes_max: u64) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    reader.take(bytes_max + 1).read_to_end(&mut plain).ok()?;
    (plain.len() as u64 <= bytes_max).then_some(plain)
}

/// Reads a zip, an escript or a tar; `None` for anything else, and where it is damaged or too large.
pub(super) fn archive(bytes: &[u8]) -> Option<Archive> {
    if bytes.get(257..262) == Some(b"ustar") {
        return tar(bytes);
    }
    let is_zip = bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"#!");
    is_zip.then(|| zip(bytes)).flatten()
}

fn zip(bytes: &[u8]) -> Option<Archive> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    if zip.len() > IMAGE_MEMBERS_MAX {
        return None;
    }
    let start = usize::try_from(zip.offset()).ok()?;
    let mut left = COMPARED_BYTES_MAX;
    let mut members = BTreeMap::new();
    for position in 0..zip.len() {
        let file = zip.by_index(position).ok()?;
        let time = file.last_modified().map_or_else(|| "none".into(), |time| time.to_string());
        let mode = file.unix_mode().map_or_else(|| "none".into(), |mode| format!("{mode:o}"));
        let (name, facts) = (file.name().ok()?.into_owned(), format!("mode {mode}"));
        let plain = whole(file, left)?;
        left -= plain.len() as u64;
        members.insert(name, Member { bytes: plain, time, facts, position });
    }
    Some(Archive { head: bytes.get(..start)?.to_vec(), members })
}

fn tar(bytes: &[u8]) -> Option<Archive> {
    let mut members = BTreeMap::new();
    let mut left = COMPARED_BYTES_MAX;
    archive::each_entry(bytes, &mut |entry| {
        let position = members.len();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let header = entry.header();
        let number = |value: std::io::Result<u64>| value.unwrap_or_default();
        let time = number(header.mtime()).to_string();
        let link = entry.link_name_bytes().unwrap_or_default().into_owned();
        let facts = format!(
            "{:?}, mode {:o}, owner {}:{} {}",
            header.entry_type(),
            header.mode().unwrap_or_default(),
            number(header.uid()),
            number(header.gid()),
            String::from_utf8_lossy(&link),
        );
        let too_large = ArchiveError::TooLarge { limit: COMPARED_BYTES_MAX, unit: "bytes" };
        let plain = whole(entry, left).filter(|_| position < IMAGE_MEMBERS_MAX).ok_or(too_large)?;
        left -= plain.len() as u64;
        members.insert(name, Member { bytes: plain, time, facts, position });
        Ok(())
    })
    .ok()?;
    Some(Archive { head: vec![], members })
}
