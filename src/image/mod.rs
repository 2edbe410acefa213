//! Image: a release as layers, configuration and manifest, and as one file that every runtime loads.

mod base;
mod check;
mod config;
mod contents;
#[cfg(test)]
pub(crate) mod craft;
mod described;
mod documents;
mod entries;
pub(crate) mod fuzz;
mod gzip;
mod holdings;
mod hybrid;
mod inspect;
mod known;
mod layer;
mod layout;
mod members;
mod root;
mod origins;
mod plain;
mod size;
mod tar;
mod treemap;
mod unpack;

use std::path::PathBuf;

use rayon::prelude::*;
use thiserror::Error;

pub use base::{Base, BaseLayer};
pub use check::{Contract, Native, contract};
pub use config::rfc3339;
pub use contents::{Blob, Contents};
pub use documents::{Papers, image_id, is_image, papers};
pub use entries::{EntryKind, LayerEntries, LayerEntry, each_file, entries};
pub use holdings::{HeldApp, HeldPackage, Holdings, holdings};
pub use hybrid::{is_registry, is_repository, is_tag, write_archive};
pub use inspect::{Inspected, InspectedLayer, inspect};
pub use known::{DIGITS_MIN, KnownImage, known};
pub use layer::is_layer;
pub use layout::{INDEX_TYPE, Member, index, write_layout};
pub use origins::{Origin, Origins, Placed, origins};
pub use plain::{Plain, plain};
pub use size::{FileSize, LayerSize, PartSize, Sizes, sizes};
pub use treemap::treemap;
pub use unpack::{owned_directories, unpack};

use crate::digest::Digest;
use crate::disk::DiskError;
use crate::event::{Event, Observer};
use crate::explain::{Blame, Explain};
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::lock::{IMAGE_FORMAT, Lock};
use crate::manifest::Manifest;
use crate::release::{Machine, Part, Release, ReleaseError};
use crate::store::{HeldBlob, Store, StoreError};

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Which part of the release it holds.
    pub part: Part,
    /// The compressed tar.
    pub blob: HeldBlob,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of the plain tar.
    pub diff_id: Digest,
    /// Bytes of the plain tar.
    pub tar_bytes: u64,
    /// Bytes of the files in it, as `docker images` counts.
    pub file_bytes: u64,
    /// Whether the store held it already.
    pub reused: bool,
}

/// An image, whole in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its layers, from the bottom.
    pub layers: Vec<Layer>,
    /// The image below them.
    pub base: Option<Base>,
    /// Its configuration; the digest is the image's id.
    pub config: HeldBlob,
    /// Bytes of the configuration.
    pub config_bytes: u64,
    /// Its manifest.
    pub manifest: HeldBlob,
    /// Bytes of the manifest.
    pub manifest_bytes: u64,
    /// The machine that it runs on.
    pub machine: Machine,
    /// Seconds since 1970 that date it.
    pub created: u64,
}

impl Image {
    /// Returns every layer's blob with its bytes, from the bottom, the base's first.
    pub fn blobs(&self) -> impl Iterator<Item = (&HeldBlob, u64)> {
        let base = self.base.iter().flat_map(|base| &base.layers);
        let own = self.layers.iter().map(|layer| (&layer.blob, layer.bytes));
        base.map(|layer| (&layer.blob, layer.bytes)).chain(own)
    }

    /// Returns the image's id: the digest of its configuration.
    pub fn image_id(&self) -> Digest {
        self.config.digest()
    }

    /// Returns the digest by which registries know it.
    pub fn manifest_digest(&self) -> Digest {
        self.manifest.digest()
    }

    /// Returns the bytes of all files that its layers unpack to, as `docker images` counts.
    pub fn unpacked_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.file_bytes).sum()
    }
}

/// An image could not be made or read.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The lock was made for another image format.
    #[error("the lock asks for image format {asked}, and this rebeam makes format {IMAGE_FORMAT}")]
    Format {
        /// What the lock says.
        asked: u32,
    },
    /// A layer cannot be laid out.
    #[error("a layer of `{}` cannot be unpacked", path.display())]
    BadLayer {
        /// The image file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<crate::archive::ArchiveError>,
    },
    /// The lock's epoch cannot date an image.
    #[error("the lock's epoch {epoch} is no time after 1970 that a layer can hold")]
    Epoch {
        /// What the lock says.
        epoch: i64,
    },
    /// A name that means a deletion in a layer.
    #[error("`{path}` cannot be in an image: names that begin with `.wh.` mean a deletion there")]
    Whiteout {
        /// The entry.
        path: String,
    },
    /// A name or tag that no registry would take.
    #[error("`{reference}` is no name of an image")]
    BadName {
        /// The name and tag.
        reference: String,
    },
    /// A file is no image.
    #[error("`{}` is no image file: {what}", path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
        /// What is missing or strange.
        what: String,
    },
    /// A file ends before the image does.
    #[error("`{}` is cut off: `{member}` is longer than the file", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The member that is cut.
        member: String,
    },
    /// A part of an image file is not what its name or another part promises.
    #[error("`{member}` in `{}` is not what was promised\n  promised: {promised}\n  found:    {found}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The member.
        member: String,
        /// The promised digest.
        promised: Digest,
        /// The digest of what is there.
        found: Digest,
    },
    /// A layer holds what no builder writes.
    #[error("`{entry}` in the layer `{layer}` of `{}` cannot be trusted: {what}", path.display())]
    Strange {
        /// The image file.
        path: PathBuf,
        /// The layer.
        layer: String,
        /// The entry.
        entry: String,
        /// What is wrong with it.
        what: String,
    },
    /// A part of an image file is larger than it may be.
    #[error("`{member}` in `{}` is larger than the {limit} bytes it may have", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The member.
        member: String,
        /// The limit.
        limit: u64,
    },
    /// The image that the release is laid over cannot be used.
    #[error("the base `{name}` cannot be used: {what}")]
    BadBase {
        /// Its name.
        name: String,
        /// Why.
        what: String,
    },
    /// The release refused.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for ImageError {
    fn blame(&self) -> Blame {
        match self {
            Self::Release(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Format { .. } => Some("`rebeam lock` writes it for this rebeam".into()),
            Self::Epoch { .. } => {
                Some("`rebeam lock` dates it by the project's newest commit".into())
            }
            Self::Truncated { .. } | Self::Mismatch { .. } => {
                Some("make it again with `rebeam build`, or copy it again".into())
            }
            Self::Release(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            Self::Whiteout { .. } => Some("give the file another name".into()),
            Self::BadName { .. } => Some(
                "names are small letters, digits, `.`, `_`, `-` and `/`: write one under `[image] name`".into(),
            ),
            Self::NoImage { .. } => {
                Some("`rebeam build` makes one; `skopeo copy` takes images of every form where others want them".into())
            }
            Self::BadLayer { .. } | Self::Strange { .. } | Self::TooLarge { .. } => Some(
                "nothing of it is used: do not run this image, and ask who made it; `rebeam build` makes one's own again".into(),
            ),
            Self::BadBase { .. } => {
                Some("name another under `[image] base`, or none; then `rebeam update base`".into())
            }
        }
    }
}

/// Makes the image of a release; layers that the store holds are taken as they are.
pub fn assemble(
    release: &Release,
    lock: &Lock,
    manifest: &Manifest,
    store: &Store,
    observer: &dyn Observer,
) -> Result<Image, ImageError> {
    assemble_over(None, (release, lock, manifest), store, observer)
}

/// Makes the image of a release as [`assemble`] does, over another image.
pub fn assemble_over(
    base: Option<Base>,
    (release, lock, manifest): (&Release, &Lock, &Manifest),
    store: &Store,
    observer: &dyn Observer,
) -> Result<Image, ImageError> {
    if lock.image_format != IMAGE_FORMAT {
        return Err(ImageError::Format { asked: lock.image_format });
    }
    // Eleven octal digits hold a time in a tar.
    let created = u64::try_from(lock.epoch).ok().filter(|epoch| *epoch < 1 << 33);
    let created = created.ok_or(ImageError::Epoch { epoch: lock.epoch })?;
    let made: Vec<Result<Layer, ImageError>> = release
        .components
        .par_iter()
        .with_max_len(1)
        .map(|component| layer::layer(component, created, store, observer))
        .collect();
    let layers = made.into_iter().collect::<Result<Vec<_>, _>>()?;
    for layer in &layers {
        say(layer, observer);
    }
    let date = config::rfc3339(created);
    let stack = (base.as_ref(), layers.as_slice());
    let (config, config_bytes) =
        document(store, "image configuration", &config::config(release, manifest, stack, &date))?;
    let descriptor = config::Descriptor {
        media_type: config::CONFIG_TYPE,
        digest: config.digest(),
        size: config_bytes,
    };
    let labels = config::labels(base.as_ref(), manifest, &date);
    let (manifest, manifest_bytes) =
        document(store, "image manifest", &config::manifest(descriptor, stack, &labels))?;
    Ok(Image {
        layers,
        base,
        config,
        config_bytes,
        manifest,
        manifest_bytes,
        machine: release.facts.machine,
        created,
    })
}

fn say(layer: &Layer, observer: &dyn Observer) {
    let (name, digest, bytes) = (layer.part.name(), layer.blob.digest(), layer.bytes);
    observer.observe(&if layer.reused {
        Event::LayerReused { name, digest, bytes }
    } else {
        Event::LayerMade { name, digest, bytes }
    });
}

fn document(store: &Store, name: &str, bytes: &[u8]) -> Result<(HeldBlob, u64), ImageError> {
    let digest = Digest::of(bytes);
    let size = bytes.len() as u64;
    if let Some(held) = store.blob(digest)? {
        return Ok((held, size));
    }
    let held = store.insert_blob(name, bytes, TEXT_FILE_BYTES_MAX, Some(digest))?;
    Ok((held, size))
}

#[cfg(test)]
mod tests;
