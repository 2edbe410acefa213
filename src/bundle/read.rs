//! Read: a bundle is proved whole before the first of it becomes held.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::archive::{self, Links, Rules, SpecialBits};
use crate::digest::Digest;
use crate::disk::{self, Kind};
use crate::limits::{
    BUNDLE_BYTES_MAX, IMAGE_LAYERS_MAX, INDEX_BYTES_MAX, MANIFEST_BYTES_MAX, TEXT_FILE_BYTES_MAX,
};
use crate::lock::{FILE_NAME, Lock};
use crate::store::Store;
use crate::tree;

use super::{BLOBS, BundleError, Documents, MARK, REGISTRY, TREES, VERSION, named};

/// What was taken out of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its lock.
    pub lock: Lock,
    /// All that is held now, which nothing has been built from yet.
    pub needed: Vec<Digest>,
    /// Sources that are held now.
    pub trees: usize,
    /// Debian packages that are held now.
    pub blobs: usize,
    /// What it says that registries said. Nobody has looked at a signature yet.
    pub documents: Documents,
}

/// Takes everything in a bundle into the store, if all of it is what its lock says; else nothing.
///
/// `believe` looks at the registries' documents before anything is taken.
pub fn import(
    path: &Path,
    store: &Store,
    believe: &dyn Fn(&Documents) -> Result<(), BundleError>,
) -> Result<Imported, BundleError> {
    let scratch = store.scratch()?;
    let root = scratch.path().join("bundle");
    disk::create_dir(&root)?;
    refuse_other_files(path)?;
    let rules = Rules {
        bytes_max: BUNDLE_BYTES_MAX,
        links: Links::Anywhere,
        special_bits: SpecialBits::Refused,
        strip: 0,
    };
    archive::unpack(disk::open(path)?, &root, &rules, &|path| path)
        .map_err(|source| BundleError::Damaged { path: path.to_owned(), source })?;
    let unpacked = Unpacked { path, root };
    unpacked.check_mark()?;
    let lock = unpacked.lock()?;
    let (trees, mut blobs) = named(&lock);
    let base = unpacked.base(&lock)?;
    blobs.extend(&base);
    unpacked.check_names(&[MARK, FILE_NAME, REGISTRY, TREES, BLOBS])?;
    unpacked.check_all(TREES, &trees, |place| Ok(tree::scan(place, &[])?.hash))?;
    unpacked.check_all(BLOBS, &blobs, |place| Ok(disk::digest(place)?))?;
    let documents = unpacked.documents()?;
    believe(&documents)?;
    unpacked.take(&lock, &base, store)?;
    let needed = trees.union(&blobs).copied().collect();
    let packages = blobs.difference(&base).count();
    Ok(Imported { needed, lock, trees: trees.len(), blobs: packages, documents })
}

/// What of an image's manifest names other blobs.
#[derive(Deserialize)]
struct Manifest {
    config: Named,
    layers: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    digest: Digest,
}

/// Looks at the first name in the file: another kind of archive is not worth unpacking.
fn refuse_other_files(path: &Path) -> Result<(), BundleError> {
    let mut first = [0; MARK.len()];
    let read = std::io::Read::read_exact(&mut disk::open(path)?, &mut first);
    match read {
        Ok(()) if first == MARK.as_bytes() => Ok(()),
        _ => Err(BundleError::NotABundle { path: path.to_owned() }),
    }
}

/// A bundle's members as files below a scratch directory.
struct Unpacked<'a> {
    path: &'a Path,
    root: PathBuf,
}

impl Unpacked<'_> {
    fn check_mark(&self) -> Result<(), BundleError> {
        let text = disk::read_text(&self.member(MARK)?, TEXT_FILE_BYTES_MAX)?;
        let found = text.trim().to_owned();
        if found == VERSION.to_string() {
            return Ok(());
        }
        let path = self.path.to_owned();
        Err(BundleError::Newer { path, found: found.chars().take(20).collect(), known: VERSION })
    }

    fn lock(&self) -> Result<Lock, BundleError> {
        let text = disk::read_text(&self.member(FILE_NAME)?, TEXT_FILE_BYTES_MAX)?;
        Ok(Lock::parse(&text, &self.path.join(FILE_NAME))?)
    }

    /// Lists what the locked base is made of: what the lock names, and what those manifests name.
    fn base(&self, lock: &Lock) -> Result<BTreeSet<Digest>, BundleError> {
        let Some(base) = &lock.base else {
            return Ok(BTreeSet::new());
        };
        let mut blobs = BTreeSet::from([base.digest]);
        for digest in base.manifests.values() {
            let member = format!("{BLOBS}/{}", digest.hex());
            let bytes = disk::read(&self.member(&member)?, MANIFEST_BYTES_MAX)?;
            let received = Digest::of(&bytes);
            let path = self.path.to_owned();
            if received != *digest {
                return Err(BundleError::Mismatch { path, member, received });
            }
            let manifest = serde_json::from_slice::<Manifest>(&bytes).ok();
            let manifest = manifest.filter(|manifest| manifest.layers.len() <= IMAGE_LAYERS_MAX);
            let manifest = manifest.ok_or(BundleError::NoManifest { path, member })?;
            blobs.extend(manifest.layers.iter().chain([&manifest.config]).map(|it| it.digest));
            blobs.insert(*digest);
        }
        Ok(blobs)
    }

    /// Returns where a member that must be a plain file stands.
    fn member(&self, name: &str) -> Result<PathBuf, BundleError> {
        let place = self.root.join(name);
        match disk::status(&place)?.map(|status| status.kind) {
            Some(Kind::File { .. }) => Ok(place),
            Some(_) => Err(self.odd(name)),
            None => Err(self.lacks(name)),
        }
    }

    /// Lists a directory of the bundle; one that is not there has nothing in it. A link is none.
    fn list(&self, name: &str) -> Result<Vec<String>, BundleError> {
        let place = self.root.join(name);
        match disk::status(&place)?.map(|status| status.kind) {
            Some(Kind::Directory) => {}
            Some(_) => return Err(self.odd(name)),
            None => return Ok(Vec::new()),
        }
        let spelled = |name: Vec<u8>| {
            String::from_utf8(name)
                .map_err(|error| self.odd(&String::from_utf8_lossy(error.as_bytes())))
        };
        disk::list(&place)?.into_iter().map(spelled).collect()
    }

    fn check_names(&self, known: &[&str]) -> Result<(), BundleError> {
        match self.list("")?.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(self.odd(name)),
            None => Ok(()),
        }
    }

    /// Sees that a directory holds exactly these, and that each is what its name says.
    fn check_all(
        &self,
        directory: &str,
        named: &BTreeSet<Digest>,
        hash: impl Fn(&Path) -> Result<Digest, BundleError>,
    ) -> Result<(), BundleError> {
        let mut found = BTreeSet::new();
        for name in self.list(directory)? {
            let member = format!("{directory}/{name}");
            let digest = Digest::from_hex(&name).ok().filter(|digest| named.contains(digest));
            let digest = digest.ok_or_else(|| self.odd(&member))?;
            let place = self.root.join(&member);
            let is_directory =
                disk::status(&place)?.is_some_and(|status| status.kind == Kind::Directory);
            let is_file = disk::status(&place)?
                .is_some_and(|status| matches!(status.kind, Kind::File { .. }));
            let fits = if directory == TREES { is_directory } else { is_file };
            if !fits || digest.hex() != name {
                return Err(self.odd(&member));
            }
            let received = hash(&place)?;
            if received != digest {
                let path = self.path.to_owned();
                return Err(BundleError::Mismatch { path, member, received });
            }
            found.insert(digest);
        }
        match named.difference(&found).next() {
            Some(missing) => Err(self.lacks(&format!("{directory}/{}", missing.hex()))),
            None => Ok(()),
        }
    }

    fn documents(&self) -> Result<Documents, BundleError> {
        let mut documents = Documents::new();
        for repository in self.list(REGISTRY)? {
            for package in self.list(&format!("{REGISTRY}/{repository}"))? {
                let member = self.member(&format!("{REGISTRY}/{repository}/{package}"))?;
                let document = disk::read(&member, INDEX_BYTES_MAX)?;
                documents.insert((repository.clone(), package), document);
            }
        }
        Ok(documents)
    }

    /// Makes all of it held. The store proves each again.
    fn take(&self, lock: &Lock, base: &BTreeSet<Digest>, store: &Store) -> Result<(), BundleError> {
        let debs = lock
            .debs()
            .chain(lock.service_debs())
            .map(|deb| (format!("{} {}", deb.package, deb.version), deb.sha256))
            .chain(base.iter().map(|digest| ("a part of the base image".to_owned(), *digest)));
        for (name, digest) in debs {
            let place = self.root.join(BLOBS).join(digest.hex());
            let size = disk::status(&place)?.map_or(0, |status| status.size);
            store.insert_blob(&name, disk::open(&place)?, size, Some(digest))?;
        }
        let mut taken = BTreeSet::new();
        for source in &lock.sources {
            let Some(digest) = source.pin.tree().filter(|digest| taken.insert(*digest)) else {
                continue;
            };
            let place = self.root.join(TREES).join(digest.hex());
            store.insert_tree(&source.app, &place, Some(digest))?;
        }
        Ok(())
    }

    fn lacks(&self, member: &str) -> BundleError {
        BundleError::Lacks { path: self.path.to_owned(), member: member.to_owned() }
    }

    fn odd(&self, member: &str) -> BundleError {
        let member = member.chars().take(200).collect();
        BundleError::Odd { path: self.path.to_owned(), member }
    }
}
