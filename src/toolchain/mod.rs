//! Toolchain: a Debian root with OTP and the compilers, put together from package files.
//!
//! No maintainer script runs. Each package is unpacked once into a tree of its own in the store; the root
//! is those trees laid over one another by hard links, and what the scripts would have done is done
//! natively (`fixups`). The whole root is remembered by the packages that went in, so that the second
//! time is one look-up.

mod cross;
mod error;
mod fixups;
mod merge;
mod owners;
mod preset;
mod unpack;

use crate::event::{Event, Observer};
use crate::http::Http;
use crate::lock::ToolchainLock;
use crate::store::{BuildKey, HeldBlob, HeldTree, Record, Store};

pub use cross::{CMAKE_FILE, Emulator, PLAIN_NAMES, cross, emulator, known_cross, target};
pub use error::ToolchainError;
pub use owners::{Owner, Owners};
pub use preset::{
    preset, preset_emulator, preset_platform, preset_with, read_preset, write_preset,
};

/// The version of how a root is put together. Changing it changes every toolchain.
const RECIPE: u32 = 2;

/// A root with OTP and the compilers, in the store.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// The root.
    pub root: HeldTree,
    /// Which package each file of it came from; read by [`Toolchain::owners`].
    pub owners: HeldBlob,
    /// What went in.
    pub key: BuildKey,
}

impl Toolchain {
    /// Reads which package each file came from.
    pub fn owners(&self) -> Result<Owners, ToolchainError> {
        Owners::read(&self.owners)
    }
}

/// Returns the locked toolchain if the store holds it.
pub fn held(lock: &ToolchainLock, store: &Store) -> Result<Option<Toolchain>, ToolchainError> {
    recall(BuildKey::of(&inputs(lock)), store)
}

/// Returns the locked toolchain's root out of the store, or fetches its packages and puts it together.
pub fn toolchain(
    lock: &ToolchainLock,
    store: &Store,
    http: &Http,
    observer: &dyn Observer,
) -> Result<Toolchain, ToolchainError> {
    let inputs = inputs(lock);
    let key = BuildKey::of(&inputs);
    let ready =
        |reused| Event::ToolchainReady { suite: &lock.suite, packages: lock.debs.len(), reused };
    if let Some(found) = recall(key, store)? {
        observer.observe(&ready(true));
        return Ok(found);
    }
    // Another rebeam may be at it: its root is ours.
    let _lock = store.lock_step(key)?;
    if let Some(found) = recall(key, store)? {
        observer.observe(&ready(true));
        return Ok(found);
    }
    observer.observe(&Event::ToolchainStarted { suite: &lock.suite, packages: lock.debs.len() });
    let packages = unpack::packages(&lock.debs, store, http, observer)?;
    let scratch = store.scratch()?;
    let root = scratch.path().join("root");
    let owners = merge::merge(&packages, store, &root)?;
    fixups::apply(&root)?;
    let root = store.insert_tree("the toolchain", &root, None)?;
    let owners = owners.write(store)?;
    let record = Record {
        inputs,
        outputs: vec![("root".into(), root.digest()), ("owners".into(), owners.digest())],
    };
    store.remember(key, &record)?;
    observer.observe(&ready(false));
    Ok(Toolchain { root, owners, key })
}

/// Returns the canonical text of what decides the root.
fn inputs(lock: &ToolchainLock) -> String {
    let mut inputs = format!("toolchain recipe {RECIPE}\npackage recipe {}\n", unpack::RECIPE);
    for deb in &lock.debs {
        inputs.push_str(&format!(
            "deb {} {} {} {}\n",
            deb.package, deb.architecture, deb.version, deb.sha256
        ));
    }
    inputs
}

fn recall(key: BuildKey, store: &Store) -> Result<Option<Toolchain>, ToolchainError> {
    let Some(record) = store.recall(key)? else {
        return Ok(None);
    };
    let output = |name: &str| record.outputs.iter().find(|(known, _)| known == name);
    let (Some((_, root)), Some((_, owners))) = (output("root"), output("owners")) else {
        return Ok(None);
    };
    let (root, owners) = (store.tree(*root)?, store.blob(*owners)?);
    Ok(root.zip(owners).map(|(root, owners)| Toolchain { root, owners, key }))
}

/// Returns the name under which messages speak of a package.
fn spoken(deb: &crate::lock::Deb) -> String {
    format!("{} {}", deb.package, deb.version)
}

#[cfg(test)]
mod tests;
