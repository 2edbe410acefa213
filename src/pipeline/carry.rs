//! Carry: everything that a lock names, taken to a machine without a network or laid out as directories.

use std::collections::BTreeMap;
use std::path::Path;

use super::lock::stale;
use super::{Desk, LockFailure, base};
use crate::bundle::{self, BundleError, Contents, Documents, Vendored};
use crate::digest::Digest;
use crate::disk;
use crate::each::each;
use crate::event::{Event, Observer};
use crate::explain::Failure;
use crate::fetch::debian;
use crate::fetch::hex::{Hex, HexRepository};
use crate::http::Http;
use crate::lock::{self, Deb, Lock, Pin};
use crate::manifest::{self, Manifest};
use crate::store::{HeldTree, Store};

/// A bundle that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// Sources in it.
    pub trees: usize,
    /// Debian packages in it.
    pub blobs: usize,
    /// The base image in it.
    pub base: Option<String>,
}

/// What became of the project's lock when a bundle was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockFate {
    /// It is the bundle's already.
    Equal,
    /// There was none, and the bundle's was written.
    Written,
    /// The project's is another one and stays, or there is no such project here.
    Left,
}

/// What was taken out of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// The project whose lock it holds.
    pub project: String,
    /// Sources that are held now.
    pub trees: usize,
    /// Debian packages that are held now.
    pub blobs: usize,
    /// The base image that is held now.
    pub base: Option<String>,
    /// What became of the project's lock.
    pub lock: LockFate,
}

/// Fetches what the lock names and lays every source out below `directory`.
pub fn vendor(desk: &Desk<'_>, directory: &Path) -> Result<Vendored, Failure> {
    let lock = Lock::read(desk.root)?
        .ok_or_else(|| LockFailure::Missing { path: desk.root.to_owned() })?;
    let sources = desk.doors().fetch(&lock)?;
    Ok(bundle::vendor(&lock, &sources, desk.store, directory)?)
}

/// Fetches what the lock names and writes all of it into one file.
pub fn export_bundle(desk: &Desk<'_>, path: &Path) -> Result<Exported, Failure> {
    let lock = Lock::read(desk.root)?
        .ok_or_else(|| LockFailure::Missing { path: desk.root.to_owned() })?;
    let reasons = stale(desk, &lock)?;
    if !reasons.is_empty() {
        return Err(LockFailure::Stale { reasons }.into());
    }
    let doors = desk.doors();
    let trees: Vec<HeldTree> = doors.fetch(&lock)?.trees.into_values().collect();
    // Machines share what is made for all of them.
    let debs: BTreeMap<Digest, &Deb> =
        lock.debs().chain(lock.service_debs()).map(|deb| (deb.sha256, deb)).collect();
    let debs: Vec<&Deb> = debs.into_values().collect();
    let mut blobs = each(&debs, desk.jobs.max(4), |deb| {
        debian::fetch(deb, desk.store, desk.http, desk.observer)
    })?;
    let packages = blobs.len();
    blobs.extend(base::blobs(desk, &lock)?);
    let documents = documents(&doors.hex(), desk.repositories, &lock)?;
    let contents = Contents { lock, trees, blobs, documents };
    let (digest, bytes) = bundle::export(&contents, desk.store, path)?;
    desk.store.settle()?;
    let (trees, base) = (contents.trees.len(), base_name(&contents.lock));
    Ok(Exported { digest, bytes, trees, blobs: packages, base })
}

/// What registries said of the locked packages, as far as it was ever heard.
fn documents(
    hex: &Hex<'_>,
    repositories: &[HexRepository],
    lock: &Lock,
) -> Result<Documents, Failure> {
    let mut documents = Documents::new();
    for source in &lock.sources {
        let Pin::Hex { repository: name, package, .. } = &source.pin else {
            continue;
        };
        let repository = repositories.iter().find(|repository| repository.name == *name);
        if let Some(repository) = repository
            && let Some(document) = hex.shelved(repository, package)?
        {
            documents.insert((name.clone(), package.clone()), document);
        }
    }
    Ok(documents)
}

/// What a bundle is taken in with. There may be no project.
#[derive(Clone, Copy)]
pub struct Dock<'a> {
    /// Where it goes.
    pub store: &'a Store,
    /// The hex repositories whose keys are known.
    pub repositories: &'a [HexRepository],
    /// Who hears of it.
    pub observer: &'a dyn Observer,
    /// The project and its wishes, where there is one.
    pub project: Option<(&'a Path, &'a Manifest)>,
}

/// Takes a bundle into the store, and its lock into a project that has none.
pub fn import_bundle(dock: &Dock<'_>, path: &Path) -> Result<Arrived, Failure> {
    // No request is made: only the shelf and the keys of the registries are needed.
    let http = Http::new(crate::http::Network::Offline, Default::default());
    let hex = Hex { store: dock.store, http: &http, observer: dock.observer };
    let known = |name: &str| dock.repositories.iter().find(|repository| repository.name == name);
    let imported = bundle::import(path, dock.store, &|documents| {
        for ((name, package), document) in documents {
            let Some(repository) = known(name) else { continue };
            hex.believe(repository, package, document).map_err(|source| BundleError::Document {
                path: path.to_owned(),
                source: Box::new(source),
            })?;
        }
        Ok(())
    })?;
    for ((name, package), document) in &imported.documents {
        match known(name) {
            Some(repository) => drop(hex.shelve(repository, package, document)?),
            None => dock.observer.observe(&Event::Warned {
                message: &format!(
                    "what the repository `{name}` says of `{package}` is left out: its key is not known here"
                ),
            }),
        }
    }
    let lock = settle_lock(dock, &imported.lock)?;
    // Until it is built, nothing else tells that all this is needed.
    let root = match (lock, dock.project) {
        (LockFate::Equal | LockFate::Written, Some((root, _))) => root.join(lock::FILE_NAME),
        _ => path.to_owned(),
    };
    dock.store.extend_root(&root, &imported.needed)?;
    dock.store.settle()?;
    let (trees, blobs, base) = (imported.trees, imported.blobs, base_name(&imported.lock));
    Ok(Arrived { project: imported.lock.project, trees, blobs, base, lock })
}

fn base_name(lock: &Lock) -> Option<String> {
    lock.base.as_ref().map(|base| base.image.clone())
}

fn settle_lock(dock: &Dock<'_>, lock: &Lock) -> Result<LockFate, Failure> {
    let Some((root, manifest)) = dock.project else {
        return Ok(LockFate::Left);
    };
    let warn = |message: &str| dock.observer.observe(&Event::Warned { message });
    if manifest.project.name != lock.project {
        warn(&format!(
            "the bundle was made of the project `{}`, and {} here is of `{}`",
            lock.project,
            manifest::FILE_NAME,
            manifest.project.name
        ));
        return Ok(LockFate::Left);
    }
    if !disk::exists(&root.join(lock::FILE_NAME)) {
        lock.write(root)?;
        return Ok(LockFate::Written);
    }
    if Lock::read_previous(root)?.as_ref() == Some(lock) {
        return Ok(LockFate::Equal);
    }
    warn(
        "the project's lock is not the bundle's, and stays: what the bundle lacks of it must be fetched",
    );
    Ok(LockFate::Left)
}
