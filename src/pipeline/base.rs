//! Base: the image that the release is laid over, pinned by the lock and held in the store.

use std::collections::BTreeMap;

use thiserror::Error;

use super::Desk;
use crate::disk;
use crate::explain::{Explain, Failure};
use crate::image;
use crate::lock::{BaseLock, Lock};
use crate::manifest::Platform;
use crate::registry::{self, Door, Origin, Pulled, Security};
use crate::store::{BuildKey, HeldBlob, HeldTree, Record};

/// Changes when the files of the same base are laid out otherwise.
const ROOT_VERSION: u32 = 1;

/// The base cannot be used.
#[derive(Debug, Error)]
pub(super) enum BaseFailure {
    /// The lock does not pin it, or not for this machine.
    #[error("the lock does not pin the base `{name}` for {}", platform.name())]
    NotLocked {
        /// The base.
        name: String,
        /// The machine.
        platform: Platform,
    },
    /// Nothing tells which machine the toolchain is.
    #[error("the toolchain's packages do not tell for which machine the base `{name}` should be")]
    NoMachine {
        /// The base.
        name: String,
    },
}

impl Explain for BaseFailure {
    fn hint(&self) -> Option<String> {
        Some("`rebeam lock` pins it".into())
    }
}

/// What stands below the release.
pub(super) struct Beneath {
    /// The image.
    pub(super) base: image::Base,
    /// Its files.
    pub(super) root: HeldTree,
}

fn door<'a>(desk: &Desk<'a>) -> Door<'a> {
    let Desk { http, credentials, observer, .. } = *desk;
    Door { http, credentials, security: Security::Encrypted, observer }
}

/// Refuses a base whose name is none, before anything is resolved.
pub(super) fn refuse_before(desk: &Desk<'_>) -> Result<(), Failure> {
    desk.manifest.image.base.as_deref().map(Origin::parse).transpose()?;
    Ok(())
}

/// Pins the base that the manifest names, for every machine of the lock, and brings it into the store, so that a build needs no
/// network. What is pinned stays while the manifest names the same.
pub(super) fn pin(
    desk: &Desk<'_>,
    lock: &Lock,
    previous: Option<&BaseLock>,
) -> Result<Option<BaseLock>, Failure> {
    let Some(name) = &desk.manifest.image.base else {
        return Ok(None);
    };
    let previous = previous.filter(|previous| previous.image == *name);
    let named = Origin::parse(name)?;
    let mut origin = previous.map_or_else(|| named.clone(), |pinned| named.at(pinned.digest));
    let own = lock.toolchain.platform();
    let platforms = own.into_iter().chain(lock.platforms.iter().map(|locked| locked.platform));
    let mut manifests = BTreeMap::new();
    for platform in platforms {
        let pulled = registry::pull(&origin, &machine(platform), desk.store, door(desk))?;
        manifests.insert(platform, pulled.resolved.manifest);
        // A tag that moves between two machines means one image all the same.
        origin = named.at(pulled.resolved.top);
    }
    let digest = origin.digest.ok_or_else(|| BaseFailure::NoMachine { name: name.clone() })?;
    Ok(Some(BaseLock { image: name.clone(), digest, manifests }))
}

fn machine(platform: Platform) -> registry::Platform {
    registry::Platform::parse(platform.name()).expect("the names are those of images")
}

/// Returns the base of the lock for a machine, with its files laid out; nothing where the project has none.
pub(super) fn beneath(
    desk: &Desk<'_>,
    lock: &Lock,
    platform: Option<Platform>,
) -> Result<Option<Beneath>, Failure> {
    let (Some(pinned), Some(platform)) = (&lock.base, platform) else {
        return Ok(None);
    };
    let name = &pinned.image;
    let missing = || BaseFailure::NotLocked { name: name.clone(), platform };
    let manifest = *pinned.manifests.get(&platform).ok_or_else(missing)?;
    let origin = Origin::parse(name)?.at(manifest);
    let pulled = registry::pull(&origin, &machine(platform), desk.store, door(desk))?;
    let layers = pulled.layers.iter();
    let layers = layers.map(|layer| (layer.blob.clone(), layer.bytes, layer.media_type.clone()));
    let own = machine(platform).architecture;
    let named = (name.as_str(), pinned.digest);
    let mut base = image::Base::read(named, &own, &pulled.config, layers.collect())?;
    let root = root(desk, &base, &pulled)?;
    base.kept.extend([pulled.manifest.digest(), root.digest()]);
    Ok(Some(Beneath { base, root }))
}

/// Brings all of the locked base into the store, for every machine: its index, manifests, configurations and layers.
pub(super) fn blobs(desk: &Desk<'_>, lock: &Lock) -> Result<Vec<HeldBlob>, Failure> {
    let Some(pinned) = &lock.base else {
        return Ok(Vec::new());
    };
    let named = Origin::parse(&pinned.image)?;
    let mut blobs = Vec::new();
    for (platform, manifest) in &pinned.manifests {
        let (platform, door) = (machine(*platform), door(desk));
        let pulled = registry::pull(&named.at(*manifest), &platform, desk.store, door)?;
        // Asked for by itself, a manifest comes without the index that the lock names.
        let top = registry::resolve(&named.at(pinned.digest), &platform, desk.store, door)?.top;
        blobs.extend(desk.store.blob(top)?);
        blobs.extend([pulled.manifest, pulled.config]);
        blobs.extend(pulled.layers.into_iter().map(|layer| layer.blob));
    }
    Ok(blobs)
}

/// Lays the base's files out once, as a tree of the store.
fn root(desk: &Desk<'_>, base: &image::Base, pulled: &Pulled) -> Result<HeldTree, Failure> {
    let key =
        BuildKey::of(&format!("base {ROOT_VERSION}\nmanifest {}\n", pulled.manifest.digest()));
    if let Some(record) = desk.store.recall(key)?
        && let Some((_, digest)) = record.outputs.first()
        && let Some(held) = desk.store.tree(*digest)?
    {
        return Ok(held);
    }
    let scratch = desk.store.scratch()?;
    let at = scratch.path().join("root");
    disk::create_dir(&at)?;
    base.unpack(&at)?;
    let held = desk.store.insert_tree("base", &at, None)?;
    let outputs = vec![("root".to_owned(), held.digest())];
    desk.store.remember(key, &Record { inputs: base.name.clone(), outputs })?;
    Ok(held)
}
