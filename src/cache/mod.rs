//! Cache: what steps and layers became, shared through a registry or a directory.
//!
//! A result is a small artifact of its own: a manifest under the tag `rebeam-<key>`, the text of the step's inputs as its
//! configuration, and its outputs as layers, a tree as a packed tar. So any registry keeps it, and a directory
//! keeps it as an OCI layout, which other tools copy to and fro.
//!
//! **What is proved and what is trusted.** A blob is what its digest says and a tree is what its content hash says,
//! or it does not come in. That this output is what the step would have made of these inputs nobody can see but who runs
//! it: who may write to a cache decides what is built from it. So a cache is only ever asked where a person named it,
//! nothing in a project can name one, and `rebeam verify` builds without any.
//!
//! **A cache never stops a build.** What cannot be had, or is not what it should be, is said and then made here. What
//! cannot be brought there is an error, for somebody asked for it.

mod entry;
mod error;
pub(crate) mod fuzz;
mod layout;
mod pack;
mod remote;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::disk;
use crate::event::{Event, Observer};
use crate::http::Http;
use crate::limits::CACHE_OFFERS_MAX;
use crate::registry::{Credentials, Keys, Reference, Security};
use crate::store::{BuildKey, Record, Store, Upstream};

pub use error::CacheError;

use entry::Entry;

/// Where a cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A repository.
    Registry(Reference),
    /// A directory in OCI layout.
    Directory(PathBuf),
}

impl Place {
    /// Reads a repository or a directory: a directory is there already, begins like a path, or is one plain word.
    pub fn parse(text: &str) -> Result<Self, CacheError> {
        let like_path = text.starts_with(['/', '.', '~']) || !text.contains(['/', ':']);
        if !text.is_empty() && (like_path || disk::exists(Path::new(text))) {
            return Ok(Self::Directory(PathBuf::from(text)));
        }
        let reference = Reference::parse(text)?;
        match &reference.tag {
            Some(tag) => Err(CacheError::Tagged { place: reference.place(), tag: tag.clone() }),
            None => Ok(Self::Registry(reference)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => f.write_str(&reference.place()),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How registries are reached.
#[derive(Clone)]
pub struct Way {
    /// The way out.
    pub http: Http,
    /// Where logins are kept.
    pub credentials: Credentials,
    /// Whether a registry elsewhere may be spoken to without encryption.
    pub security: Security,
}

/// One cache.
pub struct Cache {
    place: Place,
    way: Way,
    keys: Keys,
    /// Set when it could not be reached: it is not asked again.
    is_lost: AtomicBool,
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offered {
    Present,
    Sent { bytes: u64 },
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Cache {
    /// Names a cache; nothing is opened before the first question.
    pub fn new(place: Place, way: Way) -> Self {
        Self { place, way, keys: Keys::default(), is_lost: AtomicBool::new(false) }
    }

    /// Brings a result into the store; `None` where the cache does not have it.
    fn find(
        &self,
        key: BuildKey,
        store: &Store,
        observer: &dyn Observer,
    ) -> Result<Option<Record>, CacheError> {
        let source = self.source(observer);
        let Some(manifest) = source.manifest(&entry::tag(key))? else {
            return Ok(None);
        };
        let strange =
            |what: String| CacheError::Strange { place: self.place.to_string(), key, what };
        let entry = Entry::read(&manifest, key).map_err(strange)?;
        let inputs = source.blob("the inputs of a step", &entry.inputs, store)?;
        let inputs = disk::read_text(inputs.path(), entry.inputs.bytes)?;
        let mut outputs = Vec::new();
        for output in &entry.outputs {
            let untrue = || {
                let (place, name) = (self.place.to_string(), output.name.clone());
                CacheError::Untrue { place, key, name }
            };
            pack::take(output, &*source, store, &untrue)?;
            outputs.push((output.name.clone(), output.content));
        }
        Ok(Some(Record { inputs, outputs }))
    }

    /// Brings a result there, unless it is there.
    fn offer(
        &self,
        key: BuildKey,
        record: &Record,
        store: &Store,
        observer: &dyn Observer,
    ) -> Result<Offered, CacheError> {
        let tag = entry::tag(key);
        if self.source(observer).manifest(&tag)?.is_some() {
            return Ok(Offered::Present);
        }
        let scratch = store.scratch()?;
        let Some(packed) = pack::pack(key, record, store, scratch.path())? else {
            return Ok(Offered::Present);
        };
        let bytes = match &self.place {
            Place::Registry(reference) => remote::put(reference, &self.way, &packed, &tag)?,
            Place::Directory(path) => layout::put(path, &packed, &tag)?,
        };
        Ok(Offered::Sent { bytes })
    }

    /// Brings the results of these keys there, as far as the store has them, and says how many.
    pub fn fill(
        &self,
        keys: impl IntoIterator<Item = BuildKey>,
        store: &Store,
        observer: &dyn Observer,
    ) -> Result<(), CacheError> {
        let mut results = Vec::new();
        for key in keys {
            if let Some(record) = store.recall(key)? {
                results.push((key, record));
            }
        }
        let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
        let sum = Mutex::new((0, 0_u64, 0));
        std::thread::scope(|scope| {
            for _ in 0..CACHE_OFFERS_MAX.min(results.len()) {
                scope.spawn(|| {
                    while let Some((key, record)) = results.get(next.fetch_add(1, Ordering::SeqCst))
                    {
                        let offered = self.offer(*key, record, store, observer);
                        let mut sum = sum.lock().expect("no offer panics");
                        match offered {
                            Ok(Offered::Present) => sum.2 += 1,
                            Ok(Offered::Sent { bytes }) => {
                                sum.0 += 1;
                                sum.1 += bytes;
                            }
                            Err(error) => {
                                next.store(results.len(), Ordering::SeqCst);
                                failure.lock().expect("no offer panics").get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        if let Some(error) = failure.into_inner().expect("no offer panics") {
            return Err(error);
        }
        let (sent, sent_bytes, present) = sum.into_inner().expect("no offer panics");
        let place = self.place.to_string();
        observer.observe(&Event::CacheFilled { place: &place, sent, sent_bytes, present });
        Ok(())
    }

    fn source<'a>(&'a self, observer: &'a dyn Observer) -> Box<dyn entry::Source + 'a> {
        match &self.place {
            Place::Registry(reference) => {
                Box::new(remote::Remote::open(reference, &self.way, &self.keys, observer))
            }
            Place::Directory(path) => Box::new(layout::Layout { path }),
        }
    }
}

/// Several caches, asked in order.
#[derive(Debug)]
pub struct Caches(pub Vec<Cache>);

impl Upstream for Caches {
    fn bring(&self, key: BuildKey, store: &Store, observer: &dyn Observer) -> Option<Record> {
        for cache in self.0.iter().filter(|cache| !cache.is_lost.load(Ordering::Relaxed)) {
            match cache.find(key, store, observer) {
                Ok(Some(record)) => return Some(record),
                Ok(None) => {}
                Err(error) => {
                    let first =
                        !error.is_of_the_way() || !cache.is_lost.swap(true, Ordering::Relaxed);
                    let message = error.told(&cache.place);
                    if first {
                        observer.observe(&Event::Warned { message: &message });
                    }
                }
            }
        }
        None
    }
}
