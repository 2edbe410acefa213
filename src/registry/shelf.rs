//! Shelf: things of a repository that are no images, read by tag and by digest.

use std::sync::atomic::AtomicBool;

use super::fetch::{self, Part};
use super::session::{Keys, Session};
use super::{Door, PullError, Reference};
use crate::digest::Digest;
use crate::store::{HeldBlob, Store};

/// A repository, to read from.
pub struct Shelf<'a> {
    session: Session<'a>,
}

impl<'a> Shelf<'a> {
    /// Begins to read; `keys` is what a former reader of the same repository was given.
    pub fn open(door: Door<'a>, reference: &'a Reference, keys: &Keys) -> Self {
        Self { session: Session::reading_with(door, reference, keys) }
    }

    /// Returns the manifest under a tag, as it is; `None` where there is none.
    pub fn manifest(&self, tag: &str) -> Result<Option<Vec<u8>>, PullError> {
        match fetch::document(&self.session, tag, None) {
            Ok(fetched) => Ok(Some(fetched.bytes)),
            Err(PullError::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Brings a blob into the store.
    pub fn blob(
        &self,
        name: &str,
        (digest, bytes): (Digest, u64),
        store: &Store,
    ) -> Result<HeldBlob, PullError> {
        let part = Part { name: name.to_owned(), digest, bytes };
        Ok(fetch::blob(&self.session, &part, store, &AtomicBool::new(false))?.0)
    }
}
