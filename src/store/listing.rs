//! Listing: a tree's entries as bytes that the index keeps, so that nobody has to hash a tree to know it.
//!
//! Version 1, before zstd: for each entry, in the tree's order, a kind byte, the path and then what
//! the kind needs. Byte strings have their length in front, as 32 bits, little endian.

use crate::digest::Digest;
use crate::limits::LISTING_BYTES_MAX;
use crate::tree::{Entry, RelPath, Tree};

const VERSION: u8 = 1;
const DIRECTORY: u8 = b'd';
const FILE: u8 = b'f';
const EXECUTABLE: u8 = b'x';
const SYMLINK: u8 = b'l';

/// A listing as the index keeps it.
pub(super) struct Packed {
    /// Bytes before packing.
    pub(super) size: i64,
    /// SHA-256 of the packed bytes.
    pub(super) checksum: Digest,
    /// The packed bytes.
    pub(super) bytes: Vec<u8>,
}

/// Packs a tree's entries; `None` for a tree whose listing would be too long to keep.
pub(super) fn pack(tree: &Tree) -> Option<Packed> {
    let mut plain = vec![VERSION];
    for (path, entry) in tree.entries() {
        match entry {
            Entry::Directory => {
                plain.push(DIRECTORY);
                put(&mut plain, path.as_bytes());
            }
            Entry::File { executable, size, digest } => {
                plain.push(if *executable { EXECUTABLE } else { FILE });
                put(&mut plain, path.as_bytes());
                plain.extend_from_slice(&size.to_le_bytes());
                plain.extend_from_slice(digest.as_bytes());
            }
            Entry::Symlink { target } => {
                plain.push(SYMLINK);
                put(&mut plain, path.as_bytes());
                put(&mut plain, target);
            }
        }
        if plain.len() > LISTING_BYTES_MAX {
            return None;
        }
    }
    let bytes = zstd::bulk::compress(&plain, 1).expect("zstd compresses any bytes in memory");
    Some(Packed {
        size: i64::try_from(plain.len()).expect("the listing's limit fits"),
        checksum: Digest::of(&bytes),
        bytes,
    })
}

fn put(plain: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("paths and link targets are short");
    plain.extend_from_slice(&length.to_le_bytes());
    plain.extend_from_slice(bytes);
}

/// Reads a packed listing; `None` if it is damaged or of another version.
pub(super) fn unpack(packed: &Packed) -> Option<Tree> {
    let size = usize::try_from(packed.size).ok()?;
    if size > LISTING_BYTES_MAX || Digest::of(&packed.bytes) != packed.checksum {
        return None;
    }
    let plain = zstd::bulk::decompress(&packed.bytes, size).ok()?;
    let mut rest = Rest(&plain);
    if rest.byte()? != VERSION {
        return None;
    }
    let mut entries = Vec::new();
    while !rest.0.is_empty() {
        entries.push(rest.entry()?);
    }
    Tree::from_sorted(entries)
}

/// The bytes that are not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(usize::try_from(length).ok()?)
    }

    fn entry(&mut self) -> Option<(RelPath, Entry)> {
        let kind = self.byte()?;
        let path = RelPath::new(self.bytes()?).ok()?;
        let entry = match kind {
            DIRECTORY => Entry::Directory,
            FILE | EXECUTABLE => Entry::File {
                executable: kind == EXECUTABLE,
                size: u64::from_le_bytes(self.array()?),
                digest: Digest::from_bytes(self.array()?),
            },
            SYMLINK => Entry::Symlink { target: self.bytes()?.to_vec() },
            _ => return None,
        };
        Some((path, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tree {
        let mut tree = Tree::default();
        let file = Entry::File { executable: true, size: 7, digest: Digest::of(b"content") };
        tree.insert(RelPath::new("bin/run").unwrap(), file);
        tree.insert(RelPath::new("a-b").unwrap(), Entry::Directory);
        let target = b"../any\nwhere".to_vec();
        tree.insert(RelPath::new("a/new\nline").unwrap(), Entry::Symlink { target });
        tree
    }

    #[test]
    fn a_listing_reads_back_as_the_tree_it_was() {
        for tree in [sample(), Tree::default()] {
            assert_eq!(unpack(&pack(&tree).unwrap()), Some(tree));
        }
    }

    #[test]
    fn a_listing_with_any_flipped_bit_is_refused() {
        let packed = pack(&sample()).unwrap();
        for at in 0..packed.bytes.len() * 8 {
            let mut bytes = packed.bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            let damaged = Packed { bytes, ..packed };
            assert!(unpack(&damaged).is_none(), "bit {at}");
        }
    }

    #[test]
    fn entries_out_of_order_or_without_their_directory_are_no_tree() {
        let path = |path: &str| RelPath::new(path).unwrap();
        let directory = |at: &str| (path(at), Entry::Directory);
        assert!(Tree::from_sorted(vec![directory("b"), directory("a")]).is_none());
        assert!(Tree::from_sorted(vec![directory("a"), directory("a")]).is_none());
        assert!(Tree::from_sorted(vec![directory("a/b")]).is_none());
        let link = Entry::Symlink { target: b"b".to_vec() };
        assert!(Tree::from_sorted(vec![(path("a"), link), directory("a/b")]).is_none());
        assert!(
            Tree::from_sorted(vec![directory("a"), directory("a/b"), directory("a-b")]).is_some()
        );
    }
}
