//! Pull: what a person names as an image, opened: a file, a directory in OCI layout, or an image of a registry.

use std::path::{Path, PathBuf};

use crate::disk;
use crate::explain::Failure;
use crate::registry::{self, Door, LaidOut, Origin, Platform, Pulled};
use crate::store::Store;

/// An image that can be read from the disk.
#[derive(Debug)]
pub enum Opened {
    /// A file or directory of the person's own.
    Here(PathBuf),
    /// An image of a registry, proved; its directory goes when this is dropped.
    Pulled {
        /// The image.
        image: Box<Pulled>,
        /// Where it can be read.
        laid_out: LaidOut,
    },
}

impl Opened {
    /// Returns the file or directory that the readers of images take.
    pub fn path(&self) -> &Path {
        match self {
            Self::Here(path) => path,
            Self::Pulled { laid_out, .. } => laid_out.path(),
        }
    }
}

/// Tells whether a text names an image of a registry: it is no file here, and looks like a reference.
///
/// A file that is not there is better told as missing than as a registry that does not answer; so a bare word is no
/// reference, and neither is what begins like a path or ends like an image file.
pub fn is_reference(text: &str) -> bool {
    let like_path = text.starts_with(['/', '.']) || text.ends_with(".tar");
    let like_reference = text.contains(['/', ':', '@']);
    !disk::exists(Path::new(text)) && !like_path && like_reference && Origin::parse(text).is_ok()
}

/// Opens the image that a text names; one of a registry is brought into the store.
pub fn open_image(
    text: &str,
    platform: &Platform,
    store: &Store,
    door: Door<'_>,
) -> Result<Opened, Failure> {
    if !is_reference(text) {
        return Ok(Opened::Here(PathBuf::from(text)));
    }
    let image = registry::pull(&Origin::parse(text)?, platform, store, door)?;
    let laid_out = image.lay_out(store)?;
    Ok(Opened::Pulled { image: Box::new(image), laid_out })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_told_from_a_file() {
        for text in ["r.example/a", "localhost:5000/a:1", "debian:12", "team/app", "a@sha256:00"] {
            let digest = format!("a@sha256:{}", "0".repeat(64));
            let text = if text.contains('@') { &digest } else { text };
            assert!(is_reference(text), "{text}");
        }
        for text in [
            "hello",
            "hello-1.0.0.tar",
            "./a/b",
            "/a/b",
            "dir/hello-1.0.0.tar",
            "src/lib.rs",
            "A:b",
        ] {
            assert!(!is_reference(text), "{text}");
        }
    }
}
