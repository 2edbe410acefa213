//! Size: where every byte of an image is: layer, application, file.
//!
//! A layer is compressed as a whole, so only it has a packed size; what its parts weigh is what they unpack to. What
//! the tar itself takes for headers and padding is a part of its own, so that the parts of a layer add up to its tar.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::inspect::{each_layer, inspect};
use super::{ImageError, InspectedLayer};
use crate::archive::{self, ArchiveError};
use crate::limits::TREE_ENTRIES_MAX;
use crate::release::HOME;

/// The part that is the tar's own.
const OVERHEAD: &str = "headers and padding";

/// Where the bytes of an image are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Its layers, from the bottom.
    pub layers: Vec<LayerSize>,
}

/// Where the bytes of a layer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSize {
    /// What made it.
    pub name: String,
    /// Bytes of the blob.
    pub packed_bytes: u64,
    /// Bytes of the plain tar.
    pub tar_bytes: u64,
    /// What is in it, the largest first.
    pub parts: Vec<PartSize>,
}

/// An application, or another group of files that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSize {
    /// What people call it.
    pub name: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Its files, the largest first; those without bytes are left out.
    pub files: Vec<FileSize>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSize {
    /// Where it stands in the image.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
}

impl Sizes {
    /// Returns the bytes of all blobs of layers.
    pub fn packed_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.packed_bytes).sum()
    }

    /// Returns the bytes of all plain tars.
    pub fn tar_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.tar_bytes).sum()
    }
}

/// Weighs the image file at `path`, after every digest in it was checked.
pub fn sizes(path: &Path) -> Result<Sizes, ImageError> {
    let inspected = inspect(path)?;
    let mut known = inspected.layers.iter();
    let mut layers = Vec::new();
    each_layer::<ImageError>(path, &mut |tar| {
        let layer = known.next().expect("both walks see the layers that the manifest names");
        let weighed = weigh(layer, tar);
        layers.push(weighed.map_err(|source| ImageError::BadLayer {
            path: path.to_owned(),
            source: Box::new(source),
        })?);
        Ok(())
    })?;
    Ok(Sizes { layers })
}

fn weigh(layer: &InspectedLayer, tar: &mut dyn Read) -> Result<LayerSize, ArchiveError> {
    let mut parts: BTreeMap<String, Vec<FileSize>> = BTreeMap::new();
    let (mut entries, mut file_bytes) = (0, 0);
    archive::each_entry(tar, &mut |entry| {
        entries += 1;
        if entries > TREE_ENTRIES_MAX {
            let limit = TREE_ENTRIES_MAX as u64;
            return Err(ArchiveError::TooLarge { limit, unit: "entries" });
        }
        let bytes = if entry.header().entry_type().is_file() { entry.size() } else { 0 };
        if bytes > 0 {
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            file_bytes += bytes;
            parts.entry(part_of(&path)).or_default().push(FileSize { path, bytes });
        }
        Ok(())
    })?;
    let mut parts: Vec<PartSize> =
        parts.into_iter().map(|(name, files)| part(name, files)).collect();
    let overhead = layer.tar_bytes.saturating_sub(file_bytes);
    parts.push(PartSize { name: OVERHEAD.into(), bytes: overhead, files: Vec::new() });
    parts.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.name.cmp(&other.name)));
    let made_by = &layer.made_by;
    Ok(LayerSize {
        name: made_by.strip_prefix("rebeam layer=").unwrap_or(made_by).to_owned(),
        packed_bytes: layer.bytes,
        tar_bytes: layer.tar_bytes,
        parts,
    })
}

fn part(name: String, mut files: Vec<FileSize>) -> PartSize {
    files.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.path.cmp(&other.path)));
    PartSize { name, bytes: files.iter().map(|file| file.bytes).sum(), files }
}

/// Returns what a file belongs to: an application of the release, the system's libraries, or a directory.
fn part_of(path: &str) -> String {
    let mut names = path.trim_start_matches("./").split('/');
    let (first, second, third) = (names.next(), names.next(), names.next());
    let is_library = path.rsplit('/').next().is_some_and(|file| file.contains(".so"));
    match (first, second, third) {
        (Some(HOME), Some("lib"), Some(app)) => app.to_owned(),
        (Some(HOME), Some(below), _) => below.to_owned(),
        _ if is_library => "shared objects".to_owned(),
        (Some(first), Some(second), Some(_)) => format!("{first}/{second}"),
        (Some(first), ..) => first.to_owned(),
        (None, ..) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_its_application_or_to_what_people_call_its_place() {
        for (path, part) in [
            ("app/lib/cowboy-2.0/ebin/cowboy.beam", "cowboy-2.0"),
            ("app/lib/crypto-5.1/priv/lib/crypto.so", "crypto-5.1"),
            ("app/erts-13.1/bin/beam.smp", "erts-13.1"),
            ("app/bin/hello", "bin"),
            ("usr/lib/x86_64-linux-gnu/libc.so.6", "shared objects"),
            ("etc/ssl/certs/ca.pem", "etc/ssl"),
            ("etc/passwd", "etc"),
            ("init", "init"),
        ] {
            assert_eq!(part_of(path), part, "{path}");
        }
    }
}
