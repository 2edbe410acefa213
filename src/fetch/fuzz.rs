//! Fuzz: the tarball reader of this room, given bytes by a fuzzer.

use std::path::Path;

use super::url;

/// A tarball in any compression.
pub(crate) fn tarball(file: &Path, root: &Path) {
    let _ = url::unpack(file, root);
}
