//! Tar: a part's entries as one stream of bytes, the same for the same entries.
//!
//! Plain POSIX ustar, one header an entry, the name split at a slash where it is long. What does not
//! fit there (longer or non-ASCII names, large owners) stands in a PAX header before it. No times but the
//! lock's epoch, no owner names, two zero blocks at the end.

use std::io::{self, Read};

use super::ImageError;
use crate::release::{Body, Content, Node, ReleaseError};
use crate::tree::RelPath;

const BLOCK: usize = 512;
/// The largest number that seven octal digits write.
const OWNER_MAX: u32 = 0o7_777_777;

/// A layer's tar, made while it is read.
pub(super) struct TarStream<'a> {
    entries: Box<dyn Iterator<Item = (&'a RelPath, &'a Node)> + Send + 'a>,
    modified: u64,
    /// Bytes that are ready: headers, padding, the end.
    ready: Vec<u8>,
    ready_at: usize,
    body: Option<OpenBody>,
    /// Bytes of all files so far.
    file_bytes: u64,
    ended: bool,
    /// Why an entry could not be read, where that ended the stream.
    failed: Option<ReleaseError>,
}

/// A file on its way into the stream.
struct OpenBody {
    bytes: Body,
    left: u64,
    /// Zeros behind it, up to the end of its last block.
    padding: usize,
}

impl<'a> TarStream<'a> {
    /// Begins the tar of `entries`, which come in their order, all of one time.
    pub(super) fn new(
        entries: impl Iterator<Item = (&'a RelPath, &'a Node)> + Send + 'a,
        modified: u64,
    ) -> Self {
        Self {
            entries: Box::new(entries),
            modified,
            ready: Vec::new(),
            ready_at: 0,
            body: None,
            file_bytes: 0,
            ended: false,
            failed: None,
        }
    }

    /// Returns the bytes of all files that passed, without headers and padding.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Returns why the stream ended early, if an entry was the cause.
    pub(super) fn take_failure(&mut self) -> Option<ReleaseError> {
        self.failed.take()
    }

    /// Makes the next bytes ready; there are none at the end.
    fn advance(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.ready_at = 0;
        let Some((path, node)) = self.entries.next() else {
            if !self.ended {
                self.ready.extend_from_slice(&END);
                self.ended = true;
            }
            return Ok(());
        };
        let opened = node.content.open().map_err(|error| {
            let told = io::Error::other(error.to_string());
            self.failed = Some(error);
            told
        })?;
        let size = opened.as_ref().map_or(0, |(size, _)| *size);
        self.file_bytes += size;
        head(&mut self.ready, path, node, (size, self.modified));
        let opened = opened.filter(|(size, _)| *size > 0);
        self.body = opened.map(|(left, bytes)| OpenBody { bytes, left, padding: padding(left) });
        Ok(())
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let body = self.body.as_mut().expect("the caller has seen it");
        let most = usize::try_from(body.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = body.bytes.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file became shorter while it was read",
            ));
        }
        body.left -= count as u64;
        if body.left == 0 {
            self.ready.clear();
            self.ready.resize(body.padding, 0);
            self.ready_at = 0;
            self.body = None;
        }
        Ok(count)
    }
}

/// Returns the zeros behind `size` bytes, up to the end of the block.
pub(super) fn padding(size: u64) -> usize {
    let block = BLOCK as u64;
    usize::try_from(size.next_multiple_of(block) - size).expect("less than a block")
}

impl Read for TarStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.ready_at < self.ready.len() {
                let count = buffer.len().min(self.ready.len() - self.ready_at);
                buffer[..count].copy_from_slice(&self.ready[self.ready_at..][..count]);
                self.ready_at += count;
                return Ok(count);
            }
            if self.body.is_some() {
                return self.read_body(buffer);
            }
            self.advance()?;
            if self.ready.is_empty() {
                return Ok(0);
            }
        }
    }
}

/// Returns the header of a plain member of an outer archive.
pub(super) fn member(name: &str, size: u64, modified: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(BLOCK);
    let header = Header {
        prefix: b"",
        name: name.as_bytes(),
        link: b"",
        kind: b'0',
        mode: 0o644,
        owner: (0, 0),
    };
    header.write(&mut out, size, modified);
    out
}

/// The end of an archive.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Refuses names that mean a deletion in a layer.
pub(super) fn check_name(path: &RelPath) -> Result<(), ImageError> {
    if path.components().any(|part| part.starts_with(b".wh.")) {
        return Err(ImageError::Whiteout { path: path.to_string() });
    }
    Ok(())
}

/// Appends an entry's head: a PAX header where one is needed, then the ustar header.
fn head(out: &mut Vec<u8>, path: &RelPath, node: &Node, (size, modified): (u64, u64)) {
    let mut name = path.as_bytes().to_vec();
    let (kind, link): (u8, &[u8]) = match &node.content {
        Content::Directory => {
            name.push(b'/');
            (b'5', b"")
        }
        Content::Symlink(target) => (b'2', target),
        Content::Bytes(_) | Content::File { .. } | Content::Beam { .. } | Content::Zone { .. } => {
            (b'0', b"")
        }
    };
    // Sorted by key, as written.
    let mut records = Vec::new();
    if node.gid > OWNER_MAX {
        record(&mut records, "gid", node.gid.to_string().as_bytes());
    }
    if link.len() > 100 || !link.is_ascii() {
        record(&mut records, "linkpath", link);
    }
    let split = split(&name);
    if split.is_none() {
        record(&mut records, "path", &name);
    }
    if node.uid > OWNER_MAX {
        record(&mut records, "uid", node.uid.to_string().as_bytes());
    }
    if !records.is_empty() {
        let pax = Header {
            prefix: b"",
            name: b"PaxHeaders.0/x",
            link: b"",
            kind: b'x',
            mode: 0o644,
            owner: (0, 0),
        };
        pax.write(out, records.len() as u64, modified);
        out.extend_from_slice(&records);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    let (prefix, name) = split.unwrap_or((b"", b"PaxHeaders.0/long"));
    let fits = |owner: u32| if owner > OWNER_MAX { 0 } else { owner };
    let header = Header {
        prefix,
        name,
        link: if link.len() > 100 || !link.is_ascii() { b"" } else { link },
        kind,
        mode: node.mode,
        owner: (fits(node.uid), fits(node.gid)),
    };
    header.write(out, size, modified);
}

/// Splits a name at a slash so that both halves fit; `None` where PAX has to hold it.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= 100 {
        return Some((b"", name));
    }
    let slash = (name.len() - 101..name.len() - 1).find(|at| name[*at] == b'/')?;
    (slash <= 155 && slash > 0).then(|| (&name[..slash], &name[slash + 1..]))
}

/// Appends a PAX record, whose length counts its own digits.
fn record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

struct Header<'a> {
    prefix: &'a [u8],
    name: &'a [u8],
    link: &'a [u8],
    kind: u8,
    mode: u32,
    owner: (u32, u32),
}

impl Header<'_> {
    fn write(&self, out: &mut Vec<u8>, size: u64, modified: u64) {
        let mut block = [0_u8; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, self.name);
        put(100, format!("{:07o}", self.mode).as_bytes());
        put(108, format!("{:07o}", self.owner.0).as_bytes());
        put(116, format!("{:07o}", self.owner.1).as_bytes());
        put(124, format!("{size:011o}").as_bytes());
        put(136, format!("{modified:011o}").as_bytes());
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, self.link);
        put(257, b"ustar\x0000");
        put(329, b"0000000");
        put(337, b"0000000");
        put(345, self.prefix);
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&block);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::release::at;

    fn tar(entries: &BTreeMap<RelPath, Node>) -> Vec<u8> {
        let mut bytes = Vec::new();
        TarStream::new(entries.iter(), 1_700_000_000).read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap())
            .collect()
    }

    #[test]
    fn an_entry_reads_back_as_it_went_in() {
        let entries = BTreeMap::from([
            (at("app"), Node::directory()),
            (at("app/file"), Node { mode: 0o755, ..Node::text("hello") }.owned_by((65532, 7))),
            (at("app/link"), Node::link("file")),
            (at("tmp"), Node { mode: 0o1777, ..Node::directory() }),
        ]);
        let bytes = tar(&entries);
        assert_eq!(bytes.len(), 512 * 7);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let seen: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                let header = entry.header();
                assert_eq!(header.mtime().unwrap(), 1_700_000_000);
                assert_eq!(header.username_bytes(), Some(&b""[..]));
                (
                    entry.path_bytes().into_owned(),
                    header.mode().unwrap(),
                    header.uid().unwrap(),
                    header.gid().unwrap(),
                    text,
                )
            })
            .collect();
        assert_eq!(seen[0], (b"app/".to_vec(), 0o755, 0, 0, String::new()));
        assert_eq!(seen[1], (b"app/file".to_vec(), 0o755, 65532, 7, "hello".into()));
        assert_eq!(seen[2].1, 0o777);
        assert_eq!(seen[3].1, 0o1777);
    }

    #[test]
    fn long_and_foreign_names_read_back() {
        let deep = format!("app/{}/{}", "d".repeat(120), "f".repeat(90));
        let too_deep = format!("app/{}/{}", "d".repeat(180), "f".repeat(120));
        let entries = BTreeMap::from([
            (at(&deep), Node::text("a")),
            (at(&too_deep), Node::text("b")),
            (at("app/größe"), Node::text("c")),
            (at("app/owner"), Node::text("d").owned_by((4_000_000_000, 3_000_000_000))),
            (at("app/link"), Node::link("x".repeat(300))),
        ]);
        let bytes = tar(&entries);
        let mut found = names(&bytes);
        found.sort();
        let mut wanted =
            vec![deep, too_deep, "app/größe".into(), "app/owner".into(), "app/link".into()];
        wanted.sort();
        assert_eq!(found, wanted);
        let mut archive = tar::Archive::new(bytes.as_slice());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.path_bytes().ends_with(b"link") {
                assert_eq!(entry.link_name_bytes().unwrap().len(), 300);
            }
            if entry.path_bytes().ends_with(b"owner") {
                let pax: Vec<_> = entry
                    .pax_extensions()
                    .unwrap()
                    .unwrap()
                    .map(|record| record.unwrap().value_bytes().to_vec())
                    .collect();
                assert_eq!(pax, [b"3000000000".to_vec(), b"4000000000".to_vec()]);
            }
        }
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        for length in 80..120 {
            let mut out = Vec::new();
            record(&mut out, "path", &vec![b'a'; length]);
            let said: usize =
                String::from_utf8(out.clone()).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, out.len());
        }
    }

    #[test]
    fn a_name_that_means_a_deletion_is_refused() {
        assert!(check_name(&at("app/.wh.lib")).is_err());
        assert!(check_name(&at("app/lib.wh.")).is_ok());
    }
}
