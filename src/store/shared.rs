//! Shared: results of steps that others made, from where this command was told to look.
//!
//! Only what a step makes of its inputs is shared: never a boot check, nor what was noted of a file on this disk. An
//! upstream proves that a tree or blob is what its digest says; that it belongs to the key nobody can prove but who
//! builds it again, so it is asked only where a person named it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use super::error::Result;
use super::{BuildKey, Record, Store};
use crate::event::Observer;

/// A place where others leave what their steps made.
pub trait Upstream: Debug + Send + Sync {
    /// Brings what a step made into `store`, if the place has it whole. What goes wrong there is said to the
    /// observer and is no error: the step can be run here.
    fn bring(&self, key: BuildKey, store: &Store, observer: &dyn Observer) -> Option<Record>;
}

impl Store {
    /// Names the place that is asked for results that are not here. Only the first call counts.
    pub fn look_also(&self, upstream: Arc<dyn Upstream>) {
        let _ = self.upstream.set(upstream);
    }

    /// Returns what a step made of these inputs, as [`Store::recall`] does, and looks upstream where it is not here.
    pub fn recall_shared(&self, key: BuildKey, observer: &dyn Observer) -> Result<Option<Record>> {
        self.asked.lock().expect("no holder of the set panics").insert(key);
        if let Some(record) = self.recall(key)? {
            return Ok(Some(record));
        }
        let Some(record) = self.upstream.get().and_then(|place| place.bring(key, self, observer))
        else {
            return Ok(None);
        };
        self.remember(key, &record)?;
        // Nobody is believed who says that all of it is here.
        self.recall(key)
    }

    /// Returns the keys that were asked for by [`Store::recall_shared`], found or not.
    pub fn asked(&self) -> BTreeSet<BuildKey> {
        self.asked.lock().expect("no holder of the set panics").clone()
    }
}
