//! Fuzz: the reader of image files, given bytes by a fuzzer.

use std::path::Path;

use super::{Contents, inspect, owned_directories, unpack};
use crate::disk;
use crate::sandbox::Level;

/// An image file: its parts as registries know them, its documents and layers, and its files laid out.
pub(crate) fn archive(file: &Path, root: &Path) {
    if let Ok(contents) = Contents::read(file) {
        let _ = contents.check();
    }
    if let Ok(inspected) = inspect(file) {
        let owned = owned_directories(file, &inspected).unwrap_or_default();
        let _ = inspected.room(root, &owned, Level::Userns);
        disk::create_dir(root).expect("a directory of the fuzzer's own takes files");
        let _ = unpack(file, root);
    }
}
