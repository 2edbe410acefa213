//! Archive: strangers' tar streams, laid out safely below a directory of ours.
//!
//! Nothing is written outside the target: names are plain relative paths, and no entry is ever
//! written through a link that the archive itself made. Sizes are counted while they are written, so a
//! bomb stops at the limit and not at the end of the disk. What describes an entry (long names, extended
//! attributes) is kept in memory, and is bounded by itself: see [`each_entry`].

mod entries;
mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use tar::EntryType;

pub use entries::{Gauge, each_entry};
pub use error::ArchiveError;

use crate::disk;
use crate::limits::TREE_ENTRIES_MAX;
use crate::tree::RelPath;

/// What an archive of one kind may hold.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Bytes of all files together.
    pub bytes_max: u64,
    /// Whether links may point anywhere: in a system root they are absolute; in a source they stay inside.
    pub links: Links,
    /// Whether setuid, setgid and sticky bits are an error (sources) or dropped (system packages).
    pub special_bits: SpecialBits,
    /// Leading directories cut from every name.
    pub strip: usize,
}

/// Where links may point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Only inside the archive.
    Inside,
    /// Anywhere: the tree will be a root of its own.
    Anywhere,
}

/// What becomes of setuid, setgid and sticky bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialBits {
    /// They are an error.
    Refused,
    /// They are dropped without a word.
    Dropped,
}

/// Unpacks a plain tar stream below the existing directory `target`.
///
/// `rename` may move a name to another place (a system root's `/bin` into `/usr/bin`).
pub fn unpack(
    stream: impl Read,
    target: &Path,
    rules: &Rules,
    rename: &dyn Fn(RelPath) -> RelPath,
) -> Result<(), ArchiveError> {
    unpack_some(stream, target, rules, &|path| Some(rename(path)))
}

/// Unpacks those entries for which `keep` names a place. See [`unpack`].
pub fn unpack_some(
    stream: impl Read,
    target: &Path,
    rules: &Rules,
    keep: &dyn Fn(RelPath) -> Option<RelPath>,
) -> Result<(), ArchiveError> {
    let mut unpacker = Unpacker {
        target,
        rules,
        keep,
        bytes_left: rules.bytes_max,
        entries: 0,
        links: BTreeSet::new(),
        hard_links: BTreeMap::new(),
    };
    each_entry(stream, &mut |entry| unpacker.entry(entry))?;
    unpacker.finish()
}

struct Unpacker<'a> {
    target: &'a Path,
    rules: &'a Rules,
    keep: &'a dyn Fn(RelPath) -> Option<RelPath>,
    bytes_left: u64,
    entries: usize,
    links: BTreeSet<RelPath>,
    hard_links: BTreeMap<RelPath, (RelPath, bool)>,
}

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > TREE_ENTRIES_MAX {
            return Err(ArchiveError::TooLarge { limit: TREE_ENTRIES_MAX as u64, unit: "entries" });
        }
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let name = entry.path_bytes().into_owned();
        let Some(path) = self.path(&name)? else {
            return Ok(());
        };
        let mode = entry.header().mode().map_err(ArchiveError::Damaged)?;
        if mode & 0o7000 != 0 && self.rules.special_bits == SpecialBits::Refused && !kind.is_dir() {
            return Err(unsafe_kind(&path, "a setuid, setgid or sticky file"));
        }
        self.clear_way(&path)?;
        match kind {
            EntryType::Directory => self.directory(&path),
            EntryType::Regular | EntryType::Continuous => {
                self.file(&path, mode & 0o100 != 0, entry)
            }
            // A kilobyte may stand for any number of zeros; dpkg does not take them either.
            EntryType::GNUSparse => Err(unsafe_kind(&path, "a sparse file")),
            EntryType::Symlink => {
                self.symlink(path, entry.link_name_bytes().unwrap_or_default().into_owned())
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let Some(target) = self.path(&target)? else {
                    return Err(unsafe_kind(&path, "a link to nothing"));
                };
                self.hard_links.insert(path, (target, mode & 0o100 != 0));
                Ok(())
            }
            EntryType::Char | EntryType::Block => Err(unsafe_kind(&path, "a device")),
            EntryType::Fifo => Err(unsafe_kind(&path, "a pipe")),
            _ => Err(unsafe_kind(&path, "of an unknown kind")),
        }
    }

    /// Reads a name; `None` for the root itself and for what is cut away or not kept.
    fn path(&self, name: &[u8]) -> Result<Option<RelPath>, ArchiveError> {
        let mut parts: Vec<&[u8]> =
            name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"." | b"")).collect();
        if name.starts_with(b"/") || parts.contains(&&b".."[..]) {
            return Err(unsafe_name(name));
        }
        parts.drain(..self.rules.strip.min(parts.len()));
        if parts.is_empty() {
            return Ok(None);
        }
        let path = RelPath::new(parts.join(&b'/')).map_err(|_| unsafe_name(name))?;
        Ok((self.keep)(path))
    }

    /// Makes the directories above `path`, and refuses a way that leads through a link.
    fn clear_way(&mut self, path: &RelPath) -> Result<(), ArchiveError> {
        let mut above = Vec::new();
        let mut next = path.parent();
        while let Some(directory) = next {
            next = directory.parent();
            above.push(directory);
        }
        for directory in above.into_iter().rev() {
            if self.links.contains(&directory) {
                return Err(unsafe_name(path.as_bytes()));
            }
            self.directory(&directory)?;
        }
        Ok(())
    }

    fn directory(&mut self, path: &RelPath) -> Result<(), ArchiveError> {
        let on_disk = path.under(self.target);
        match disk::status(&on_disk)?.map(|status| status.kind) {
            Some(disk::Kind::Directory) => Ok(()),
            // A package may ship `./lib/` where another made a link to a directory; the link stays.
            Some(disk::Kind::Symlink) if self.rules.links == Links::Anywhere => Ok(()),
            Some(_) => Err(unsafe_name(path.as_bytes())),
            None => Ok(disk::create_dir(&on_disk)?),
        }
    }

    fn file(
        &mut self,
        path: &RelPath,
        executable: bool,
        bytes: &mut impl Read,
    ) -> Result<(), ArchiveError> {
        let on_disk = path.under(self.target);
        // A later entry of one name replaces the earlier one, as tar does.
        self.links.remove(path);
        disk::remove_file(&on_disk)?;
        let mut file = disk::create_new(&on_disk, executable)?;
        let mut bytes = bytes.take(self.bytes_left.saturating_add(1));
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = bytes.read(&mut buffer).map_err(ArchiveError::Damaged)?;
            if count == 0 {
                return Ok(());
            }
            let too_large = ArchiveError::TooLarge { limit: self.rules.bytes_max, unit: "bytes" };
            self.bytes_left = self.bytes_left.checked_sub(count as u64).ok_or(too_large)?;
            disk::write_all(&mut file, &on_disk, &buffer[..count])?;
        }
    }

    fn symlink(&mut self, path: RelPath, target: Vec<u8>) -> Result<(), ArchiveError> {
        if self.rules.links == Links::Inside && !stays_inside(&path, &target) {
            return Err(ArchiveError::UnsafeLink {
                name: path.to_string(),
                target: String::from_utf8_lossy(&target).chars().take(200).collect(),
            });
        }
        let on_disk = path.under(self.target);
        if disk::status(&on_disk)?.is_some_and(|status| status.kind == disk::Kind::Directory) {
            return Err(unsafe_name(path.as_bytes()));
        }
        disk::remove_file(&on_disk)?;
        disk::symlink(&target, &on_disk)?;
        self.links.insert(path);
        Ok(())
    }

    /// Makes the second names, as copies: in a tree every file stands for itself.
    fn finish(mut self) -> Result<(), ArchiveError> {
        for (path, (target, executable)) in std::mem::take(&mut self.hard_links) {
            let on_disk = target.under(self.target);
            self.clear_way(&target)?;
            let file = disk::status(&on_disk)?
                .filter(|status| matches!(status.kind, disk::Kind::File { .. }));
            if file.is_none() {
                return Err(unsafe_kind(&path, "a link to no file of the archive"));
            }
            let mut source = disk::open(&on_disk)?;
            self.file(&path, executable, &mut source)?;
        }
        Ok(())
    }
}

/// Tells whether a link at `path` to `target` stays below the archive's root.
fn stays_inside(path: &RelPath, target: &[u8]) -> bool {
    if target.starts_with(b"/") {
        return false;
    }
    let mut depth = path.components().count() - 1;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return false,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

fn unsafe_name(name: &[u8]) -> ArchiveError {
    ArchiveError::UnsafeName { name: String::from_utf8_lossy(name).chars().take(200).collect() }
}

fn unsafe_kind(path: &RelPath, what: &'static str) -> ArchiveError {
    ArchiveError::UnsafeKind { name: path.to_string(), what }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::fetch::debian::fixture::{Part, tar};

    fn unpacked(stream: impl Read, links: Links) -> (Result<(), ArchiveError>, Vec<Vec<u8>>) {
        let outer = tempfile::tempdir().unwrap();
        let target = outer.path().join("inside");
        disk::create_dir(&target).unwrap();
        let rules =
            Rules { bytes_max: 1 << 20, links, special_bits: SpecialBits::Refused, strip: 0 };
        let result = unpack(stream, &target, &rules, &|path| path);
        assert_eq!(disk::list(outer.path()).unwrap(), [b"inside"]);
        (result, disk::list(&target).unwrap())
    }

    fn refused(parts: &[Part<'_>]) -> String {
        let (result, _) = unpacked(tar(parts).as_slice(), Links::Inside);
        result.unwrap_err().to_string()
    }

    #[test]
    fn names_that_lead_outside_are_refused() {
        for name in ["../escape", "a/../../escape", "/tmp/escape", ".."] {
            let said = refused(&[Part::File(name, 0o644, b"x")]);
            assert_eq!(said, format!("the archive holds the unsafe name `{name}`"));
        }
    }

    #[test]
    fn links_that_lead_outside_are_refused_and_no_link_is_written_through() {
        for target in ["/etc/passwd", "../escape", "a/../../escape"] {
            let said = refused(&[Part::Link("link", target)]);
            assert_eq!(
                said,
                format!("the link `link` in the archive leads outside, to `{target}`")
            );
        }
        let through = [Part::Link("link", "/tmp"), Part::File("link/x", 0o644, b"x")];
        let (result, _) = unpacked(tar(&through).as_slice(), Links::Anywhere);
        assert!(matches!(result, Err(ArchiveError::UnsafeName { .. })));
        let second = [Part::Link("link", "../.."), Part::Second("x", "link/etc")];
        let (result, _) = unpacked(tar(&second).as_slice(), Links::Anywhere);
        assert!(matches!(result, Err(ArchiveError::UnsafeName { .. })));
    }

    #[test]
    fn devices_pipes_setuid_and_sparse_files_are_refused_by_name() {
        for (part, what) in [
            (Part::Odd("x", EntryType::Char), "a device"),
            (Part::Odd("x", EntryType::Block), "a device"),
            (Part::Odd("x", EntryType::Fifo), "a pipe"),
            (Part::File("x", 0o4755, b""), "a setuid, setgid or sticky file"),
        ] {
            assert_eq!(
                refused(&[part]),
                format!("`x` in the archive is {what}, which a source cannot be")
            );
        }
        let sparse = disk::read(Path::new("fuzz/seeds/tar/sparse"), 4096).unwrap();
        let (result, _) = unpacked(sparse.as_slice(), Links::Inside);
        assert!(result.unwrap_err().to_string().contains("a sparse file"));
    }

    /// A stream of an entry that says it has ten gigabytes, all zeros.
    fn bomb(kind: EntryType) -> impl Read {
        let size = 10 << 30;
        let mut header = tar::Header::new_gnu();
        header.set_path("bomb").unwrap();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        io::Cursor::new(header.as_bytes().to_vec()).chain(io::repeat(0).take(size))
    }

    #[test]
    fn ten_gigabytes_of_zeros_stop_at_the_limit_of_bytes() {
        let (result, _) = unpacked(bomb(EntryType::Regular), Links::Inside);
        assert!(matches!(result, Err(ArchiveError::TooLarge { unit: "bytes", .. })));
    }

    #[test]
    fn ten_gigabytes_of_a_name_or_attribute_do_not_fill_the_memory() {
        for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
            let (result, left) = unpacked(bomb(kind), Links::Inside);
            let Err(ArchiveError::Damaged(source)) = result else {
                panic!("{kind:?}: {result:?}");
            };
            assert!(source.to_string().contains("name and attributes"), "{source}");
            assert_eq!(left, Vec::<Vec<u8>>::new());
        }
    }
}
