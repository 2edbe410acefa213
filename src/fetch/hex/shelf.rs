//! Shelf: the signed documents of registries that were read, kept for the time without a network.
//!
//! A document stands below `hex/` in the store by the hash of its address, as it came. Its signature is
//! checked each time it is read, so nobody needs to trust the shelf.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::disk;
use crate::limits::INDEX_BYTES_MAX;

use super::{Hex, HexError, HexRepository, Release, check_name, disbelieved, registry};

impl Hex<'_> {
    /// Returns the document about a package that was read last, if there was one.
    pub fn shelved(
        &self,
        repository: &HexRepository,
        package: &str,
    ) -> Result<Option<Vec<u8>>, HexError> {
        match disk::read(&self.place(repository, package), INDEX_BYTES_MAX) {
            Ok(document) => Ok(Some(document)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a document about a package, if the repository vouches for it; returns what it says.
    pub fn shelve(
        &self,
        repository: &HexRepository,
        package: &str,
        document: &[u8],
    ) -> Result<Vec<Release>, HexError> {
        let releases = self.believe(repository, package, document)?;
        if self.shelved(repository, package)?.as_deref() != Some(document) {
            disk::create_dir_all(&self.shelf())?;
            disk::write_atomic(&self.place(repository, package), document)?;
        }
        Ok(releases)
    }

    /// Reads a document about a package, if the repository vouches for it.
    pub fn believe(
        &self,
        repository: &HexRepository,
        package: &str,
        document: &[u8],
    ) -> Result<Vec<Release>, HexError> {
        check_name(package)?;
        registry::releases(document, repository, package)
            .map_err(|distrust| disbelieved(distrust, &repository.name, package))
    }

    fn shelf(&self) -> PathBuf {
        self.store.root().join("hex")
    }

    fn place(&self, repository: &HexRepository, package: &str) -> PathBuf {
        let address = format!("{}/packages/{package}", repository.url);
        self.shelf().join(Digest::of(address.as_bytes()).hex())
    }
}
