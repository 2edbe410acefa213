//! Fuzz: each reader of this room, given bytes by a fuzzer.

use std::path::Path;

use super::{HexRepository, choose, registry, tarball};

/// A registry's document: as it comes, and its payload as if the registry had signed it.
pub(crate) fn document(data: &[u8]) {
    let repository = HexRepository::hexpm();
    let _ = registry::releases(data, &repository, "cowlib");
    if let Ok(releases) = registry::read(data, &repository, "cowlib") {
        let _ = choose("cowlib", &releases, None);
        for dependency in releases.iter().flat_map(|release| &release.dependencies) {
            let _ = choose("cowlib", &releases, Some(&dependency.requirement));
        }
    }
}

/// A package's tarball.
pub(crate) fn package(file: &Path, root: &Path) {
    let _ = tarball::unpack(file, root, None);
}
