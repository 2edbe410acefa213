//! Entries: what stands in an image's layers, name by name, read strictly.
//!
//! Nothing is written anywhere. Still, what no honest builder writes is an error that names it: a name that leads outside,
//! one name twice in a layer, an entry below a link, a device. A tool that took such an image for what it
//! looks like would say of it what is not so.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use super::inspect::each_layer;
use super::{ImageError, Inspected, inspect};
use crate::archive::{self, ArchiveError};
use crate::digest::{Digest, Hashing};
use crate::limits::{COMPARED_BYTES_MAX, PATH_BYTES_MAX, TREE_ENTRIES_MAX};

/// What an entry of a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its bytes.
        bytes: u64,
        /// SHA-256 of them.
        digest: Digest,
    },
    /// A directory.
    Directory,
    /// A symbolic link, unresolved.
    Symlink(String),
    /// Another name of a file of the same layer.
    Second(String),
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEntry {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since 1970.
    pub modified: u64,
    /// Its place in the tar, from 0.
    pub position: usize,
}

/// Everything in a layer, by path.
pub type LayerEntries = BTreeMap<String, LayerEntry>;

/// Checks the image at `path`, and lists what is in each layer, from the bottom.
pub fn entries(path: &Path) -> Result<(Inspected, Vec<LayerEntries>), ImageError> {
    let inspected = inspect(path)?;
    let mut layers: Vec<LayerEntries> = Vec::new();
    let mut count = 0;
    each_layer::<ImageError>(path, &mut |tar| {
        let made_by = &inspected.layers[layers.len()].made_by;
        let listed = list(tar, &mut count);
        layers.push(listed.map_err(|odd| odd.in_layer(path, made_by))?);
        Ok(())
    })?;
    Ok((inspected, layers))
}

/// What is wrong with a layer.
enum Odd {
    Damaged(ArchiveError),
    Strange { entry: String, what: String },
}

impl Odd {
    fn in_layer(self, path: &Path, layer: &str) -> ImageError {
        let path = path.to_owned();
        match self {
            Self::Damaged(source) => ImageError::BadLayer { path, source: Box::new(source) },
            Self::Strange { entry, what } => {
                ImageError::Strange { path, layer: layer.to_owned(), entry, what }
            }
        }
    }
}

fn list(tar: &mut dyn Read, count: &mut usize) -> Result<LayerEntries, Odd> {
    let mut entries = LayerEntries::new();
    let mut strange = None;
    let read = archive::each_entry(tar, &mut |entry| {
        *count += 1;
        if *count > TREE_ENTRIES_MAX {
            let limit = TREE_ENTRIES_MAX as u64;
            return Err(ArchiveError::TooLarge { limit, unit: "entries" });
        }
        let kind = entry.header().entry_type();
        if strange.is_some() || kind == tar::EntryType::XGlobalHeader {
            return Ok(());
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match one(entry, kind, entries.len())? {
            Ok(listed) => match place(&name, &entries) {
                // The root itself says nothing.
                Ok(None) => {}
                Ok(Some(place)) => drop(entries.insert(place, listed)),
                Err(what) => strange = Some((name, what)),
            },
            Err(what) => strange = Some((name, what)),
        }
        Ok(())
    });
    if let Some((name, what)) = strange {
        let entry = name.chars().take(200).collect();
        return Err(Odd::Strange { entry, what: what.to_owned() });
    }
    read.map_err(Odd::Damaged)?;
    Ok(entries)
}

/// Where an entry stands below the root, if it stands there and nowhere else.
fn place(name: &str, known: &LayerEntries) -> Result<Option<String>, &'static str> {
    if name.starts_with('/') {
        return Err("its name is absolute");
    }
    if name.len() > PATH_BYTES_MAX {
        return Err("its name is too long");
    }
    let mut place = String::new();
    for part in name.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            return Err("its name leads outside");
        }
        if let Some(LayerEntry { kind: EntryKind::Symlink(_), .. }) = known.get(&place) {
            return Err("it stands below a link");
        }
        if !place.is_empty() {
            place.push('/');
        }
        place.push_str(part);
    }
    match known.contains_key(&place) {
        true => Err("its name stands there twice"),
        false => Ok(Some(place).filter(|place| !place.is_empty())),
    }
}

fn one<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    kind: tar::EntryType,
    position: usize,
) -> Result<Result<LayerEntry, &'static str>, ArchiveError> {
    let link = |entry: &tar::Entry<'_, R>| {
        String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned()
    };
    let kind = match kind {
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            let mut hashing = Hashing::new(io::sink());
            io::copy(entry, &mut hashing).map_err(ArchiveError::Damaged)?;
            let (_, digest, bytes) = hashing.finish();
            EntryKind::File { bytes, digest }
        }
        tar::EntryType::Directory => EntryKind::Directory,
        tar::EntryType::Symlink => EntryKind::Symlink(link(entry)),
        tar::EntryType::Link => {
            let target = link(entry);
            if target.starts_with('/') || target.split('/').any(|part| part == "..") {
                return Ok(Err("it is a second name of a file outside"));
            }
            EntryKind::Second(target)
        }
        tar::EntryType::Char | tar::EntryType::Block => return Ok(Err("it is a device")),
        tar::EntryType::Fifo => return Ok(Err("it is a pipe")),
        _ => return Ok(Err("it is of no kind that an image may hold")),
    };
    let header = entry.header();
    Ok(Ok(LayerEntry {
        kind,
        mode: header.mode().unwrap_or_default() & 0o7777,
        uid: header.uid().unwrap_or_default(),
        gid: header.gid().unwrap_or_default(),
        modified: header.mtime().unwrap_or_default(),
        position,
    }))
}

/// Hands the bytes of the files that `wants` names, layer by layer, to `take`; of a file that is larger than what is
/// looked into, nothing.
pub fn each_file(
    path: &Path,
    wants: &dyn Fn(usize, &str) -> bool,
    take: &mut dyn FnMut(usize, &str, Vec<u8>),
) -> Result<(), ImageError> {
    let mut layer = 0;
    each_layer::<ImageError>(path, &mut |tar| {
        let read = archive::each_entry(tar, &mut |entry| {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let parts = name.split('/').filter(|part| !matches!(*part, "" | "."));
            let name = parts.collect::<Vec<_>>().join("/");
            if entry.header().entry_type().is_file()
                && entry.size() <= COMPARED_BYTES_MAX
                && wants(layer, &name)
            {
                let mut bytes = Vec::new();
                let mut limited = entry.take(COMPARED_BYTES_MAX);
                limited.read_to_end(&mut bytes).map_err(ArchiveError::Damaged)?;
                take(layer, &name, bytes);
            }
            Ok(())
        });
        layer += 1;
        read.map_err(|source| ImageError::BadLayer {
            path: path.to_owned(),
            source: Box::new(source),
        })
    })
}

#[cfg(test)]
mod tests {
    use ::tar::EntryType;

    use super::*;
    use crate::disk;
    use crate::fetch::debian::fixture::tar;
    use crate::image::craft::{Part, image, image_with};

    fn read(bytes: &[u8]) -> Result<Vec<LayerEntries>, ImageError> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("image.tar");
        disk::write_atomic(&path, bytes).unwrap();
        entries(&path).map(|(_, layers)| layers)
    }

    #[test]
    fn what_stands_in_a_layer_is_listed_by_its_path() {
        let parts =
            [Part::Directory("./a/"), Part::File("./a/b", 0o755, b"x"), Part::Link("c", "a/b")];
        let layers = read(&image(&parts)).unwrap();
        let paths: Vec<&String> = layers[0].keys().collect();
        assert_eq!(paths, ["a", "a/b", "c"]);
        assert_eq!(layers[0]["a/b"].mode, 0o755);
        assert_eq!(layers[0]["c"].kind, EntryKind::Symlink("a/b".into()));
    }

    #[test]
    fn what_no_honest_builder_writes_is_refused_by_name() {
        let file = |path| Part::File(path, 0o644, b"x");
        for (parts, what) in [
            (vec![file("../out")], "its name leads outside"),
            (vec![file("a/../../out")], "its name leads outside"),
            (vec![file("/etc/passwd")], "its name is absolute"),
            (vec![file("a"), file("a")], "its name stands there twice"),
            (vec![file("a"), file("./a")], "its name stands there twice"),
            (vec![Part::Link("l", "/tmp"), file("l/x")], "it stands below a link"),
            (vec![Part::Second("a", "../../etc/passwd")], "it is a second name of a file outside"),
            (vec![Part::Odd("dev/sda", EntryType::Block)], "it is a device"),
            (vec![Part::Odd("dev/tty", EntryType::Char)], "it is a device"),
            (vec![Part::Odd("pipe", EntryType::Fifo)], "it is a pipe"),
        ] {
            let said = read(&image(&parts)).unwrap_err().to_string();
            assert!(said.contains("cannot be trusted") && said.ends_with(what), "{said}");
        }
    }

    #[test]
    fn a_layer_whose_digest_lies_and_one_that_is_cut_off_are_refused() {
        let layer = tar(&[Part::File("a", 0o644, b"x")]);
        let lie = image_with(&layer, Digest::of(b"another"));
        assert!(matches!(read(&lie).unwrap_err(), ImageError::Mismatch { .. }));
        let cut = &layer[..700];
        let said = read(&image_with(cut, Digest::of(cut))).unwrap_err().to_string();
        assert!(said.contains("damaged") || said.contains("cannot be unpacked"), "{said}");
        let whole = image(&[Part::File("a", 0o644, b"x")]);
        for end in [0, 100, 512, 1024, 1600] {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
    }
}
