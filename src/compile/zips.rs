//! Zips: escripts and `.ez` archives hold the time at which each of their files was packed; it is made the same.
//!
//! Only times are written over, in place, so that nothing moves: the DOS time of each member in its own and in the
//! central header, and the fields of the "extended timestamp" (APPNOTE.TXT 4.3.7, 4.3.12 and its registered extra 0x5455).

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::disk::{self, DiskError, Kind};
use crate::limits::SOURCE_BYTES_MAX;
use crate::store::TREE_TIME;

/// 1980-01-01, 00:00: time and date as DOS has them.
const DOS_TIME: [u8; 4] = [0, 0, 0x21, 0];
const END: [u8; 4] = [b'P', b'K', 5, 6];
const CENTRAL: [u8; 4] = [b'P', b'K', 1, 2];
const LOCAL: [u8; 4] = [b'P', b'K', 3, 4];
/// Bytes of the end record without its comment, and of the longest comment.
const END_BYTES: usize = 22;
const COMMENT_BYTES_MAX: usize = 0xffff;

/// Makes the times in all escripts and archives at and below `place` the same.
pub(super) fn settle(place: &Path) -> Result<(), DiskError> {
    let mut left = vec![place.to_owned()];
    while let Some(path) = left.pop() {
        match disk::status(&path)?.map(|status| status.kind) {
            Some(Kind::Directory) => {
                let names = disk::list(&path)?;
                left.extend(names.iter().map(|name| path.join(OsStr::from_bytes(name))));
            }
            Some(Kind::File { executable }) if is_candidate(&path, executable) => {
                settle_file(&path, executable)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_candidate(path: &Path, executable: bool) -> bool {
    executable || path.extension().is_some_and(|extension| extension == "ez")
}

fn settle_file(path: &Path, executable: bool) -> Result<(), DiskError> {
    let mut head = Vec::new();
    let begun = disk::open(path)?.take(4).read_to_end(&mut head);
    begun.map_err(disk::refused("read", path))?;
    if !head.starts_with(b"#!") && head != LOCAL {
        return Ok(());
    }
    let bytes = disk::read(path, SOURCE_BYTES_MAX)?;
    if let Some(settled) = with_one_time(&bytes).filter(|settled| *settled != bytes) {
        disk::remove_file(path)?;
        disk::write_all(&mut disk::create_new(path, executable)?, path, &settled)?;
    }
    Ok(())
}

/// Returns the archive with one time for all of its members; `None` where the bytes are no whole archive.
fn with_one_time(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut settled = bytes.to_vec();
    let first = bytes.len().saturating_sub(END_BYTES + COMMENT_BYTES_MAX);
    let end = (first..bytes.len().checked_sub(END_BYTES)? + 1)
        .rev()
        .find(|at| bytes[*at..].starts_with(&END))?;
    let directory_bytes = number(bytes, end + 12, 4)?;
    let mut central = end.checked_sub(directory_bytes)?;
    // What stands before the archive, an escript's head, is in no offset.
    let start = central.checked_sub(number(bytes, end + 16, 4)?)?;
    while central < end {
        if !bytes.get(central..)?.starts_with(&CENTRAL) {
            return None;
        }
        let local = start.checked_add(number(bytes, central + 42, 4)?)?;
        if !bytes.get(local..)?.starts_with(&LOCAL) {
            return None;
        }
        settled.get_mut(central + 12..central + 16)?.copy_from_slice(&DOS_TIME);
        settled.get_mut(local + 10..local + 14)?.copy_from_slice(&DOS_TIME);
        let name = number(bytes, central + 28, 2)?;
        let extra = number(bytes, central + 30, 2)?;
        settle_extra(&mut settled, central + 46 + name, extra)?;
        let local_name = number(bytes, local + 26, 2)?;
        settle_extra(&mut settled, local + 30 + local_name, number(bytes, local + 28, 2)?)?;
        central += 46 + name + extra + number(bytes, central + 32, 2)?;
    }
    Some(settled)
}

/// Writes over the times of an extended timestamp: a byte of flags, then four bytes for each time.
fn settle_extra(bytes: &mut [u8], at: usize, length: usize) -> Option<()> {
    let mut field = at;
    while field + 4 <= at + length {
        let size = number(bytes, field + 2, 2)?;
        let is_timestamp = bytes.get(field..field + 2)? == [0x55, 0x54];
        let content = bytes.get_mut(field + 4..field + 4 + size)?;
        if is_timestamp {
            let time = i32::try_from(TREE_TIME).expect("1980 is in reach").to_le_bytes();
            for stamp in content.get_mut(1..).unwrap_or_default().chunks_exact_mut(4) {
                stamp.copy_from_slice(&time);
            }
        }
        field += 4 + size;
    }
    Some(())
}

/// Reads a number of up to four bytes, the lowest first.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let digits = bytes.get(at..at.checked_add(width)?)?;
    Some(digits.iter().rev().fold(0, |number, digit| number << 8 | usize::from(*digit)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An archive of one stored member `a` with an extended timestamp, behind `head`.
    fn archive(head: &[u8], dos: [u8; 4], unix: u32) -> Vec<u8> {
        let extra = [&[0x55, 0x54, 5, 0, 1][..], &unix.to_le_bytes()].concat();
        let common = |from: usize| {
            let all = [
                &[20, 0, 0, 0, 0, 0][..],
                &dos,
                &[0; 4],
                &[1, 0, 0, 0],
                &[1, 0, 0, 0],
                &[1, 0],
                &[9, 0],
            ];
            all.concat()[from..].to_vec()
        };
        let local = [&LOCAL[..], &common(0), b"a", &extra, b"x"].concat();
        let tail = [0; 14];
        let central =
            [&CENTRAL[..], &[20, 3], &common(0), &tail[..10], &[0; 4], b"a", &extra].concat();
        let lengths = [central.len() as u32, local.len() as u32].map(u32::to_le_bytes).concat();
        let end = [&END[..], &[0, 0, 0, 0, 1, 0, 1, 0], &lengths, &[0, 0]].concat();
        [head, &local, &central, &end].concat()
    }

    #[test]
    fn two_packings_of_one_content_become_the_same_bytes() {
        let head = b"#!/usr/bin/env escript\n%%\n%%!\n";
        let one = archive(head, [1, 2, 3, 4], 1_700_000_000);
        let other = archive(head, [5, 6, 7, 8], 1_800_000_000);
        assert_ne!(one, other);
        let settled = with_one_time(&one).unwrap();
        assert_eq!(with_one_time(&other).unwrap(), settled);
        assert_eq!(settled.len(), one.len());
        assert_eq!(with_one_time(&settled).unwrap(), settled);
    }

    #[test]
    fn what_is_no_archive_stays_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let script = place.path().join("script");
        disk::write_all(&mut disk::create_new(&script, true).unwrap(), &script, b"#!/bin/sh\n")
            .unwrap();
        settle(place.path()).unwrap();
        assert_eq!(disk::read(&script, 100).unwrap(), b"#!/bin/sh\n");
        let cut = archive(b"", [1, 2, 3, 4], 5);
        assert_eq!(with_one_time(&cut[..cut.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
            if at + 4 <= bytes.len() {
                bytes[at..at + 4].copy_from_slice(&END);
            }
            with_one_time(&bytes);
            let mut damaged = archive(b"", [0; 4], 0);
            for (at, byte) in bytes.iter().enumerate().take(3) {
                let place = (usize::from(*byte) * 7 + at) % damaged.len();
                damaged[place] ^= byte;
            }
            with_one_time(&damaged);
        }
    }
}
