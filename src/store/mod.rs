//! Store: content-addressed blobs and trees, and what steps made of what.
//!
//! Layout below the root: `blobs/<hex>` files named by SHA-256; `trees/<hex>/` directories named by
//! their content hash (NAR); `scratch/` for what is being made; `index.sqlite` for what stands where
//! (`objects`), the trees' entries (`listings`), what steps made (`steps`) and who needs it (`roots`).
//!
//! **A kill at any instant.** A thing is made whole under `scratch/`, put under its name in one
//! instant, and then recorded in the index. So a name stands for all of a thing or for nothing. A
//! thing without a row was put there by a process that died before it could record it: it is read
//! again before anybody gets it, then recorded.
//!
//! **A power cut.** Nothing is synced file by file: that would cost more than the build. Instead a row
//! says in which boot the thing was put there, and [`Store::settle`], called once at the end of a
//! command, writes the whole file system down and marks the rows. A thing of this boot is trusted, for
//! what the kernel was given it gives back; a marked one is trusted, for it is on the medium; any
//! other is read again and, if it is damaged, removed. The index itself is SQLite's write-ahead log
//! without a sync for each transaction: a power cut takes the last rows and never the file. A store
//! whose last command did not settle is as safe; it only reads more after the next boot.
//!
//! **Several rebeams.** Each keeps `store.lock` shared while it is open; who removes things (`gc`) needs
//! it alone. Two that put the same thing there race for the name, and the slower one drops its copy.
//! A step is locked by its key, so that the second rebeam waits and then recalls what the first made.
//! Locks are the kernel's (`flock`) and end with their process. The store must be on a local file
//! system: neither SQLite's log nor these locks hold across machines.
//!
//! **A full disk.** A small reserve is given back when the index finds no room, so that `gc` can work.
//!
//! **A damaged index** is given another name and a new one begun: the objects are read again as they are
//! needed, roots are taken over, and only what steps made must be made again.

mod error;
mod find;
mod index;
mod insert;
mod listing;
mod mirrors;
mod reserve;
mod schema;
mod scratch;
mod shared;
mod sweep;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::database::is_damage;
use crate::digest::Digest;
use crate::disk::{self, FileLock, LockMode, NameLock};
use crate::event::{Event, Observer, Silent};

use error::Result;
use index::Index;
use scratch::Session;

pub use error::StoreError;
pub use scratch::Scratch;
pub use shared::Upstream;
pub use sweep::{GcOptions, GcReport};
pub use verify::{Damage, VerifyReport};

/// The modification time of everything in the store: 1980-01-01, the first that a zip can hold.
pub const TREE_TIME: i64 = 315_532_800;

/// The file that every user of the store keeps locked.
const USERS_LOCK: &str = "store.lock";

/// What went in: the hash of everything that decides a step's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildKey(Digest);

impl BuildKey {
    /// Makes the key of a step from the canonical text of its inputs.
    pub fn of(inputs: &str) -> Self {
        Self(Digest::of(inputs.as_bytes()))
    }

    fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// Returns the hash.
    pub fn digest(&self) -> Digest {
        self.0
    }
}

/// The kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file, named by its SHA-256.
    Blob,
    /// A directory, named by its content hash.
    Tree,
}

impl Kind {
    /// Returns the kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Tree => "tree",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Blob => "blobs",
            Self::Tree => "trees",
        }
    }

    fn number(self) -> i64 {
        match self {
            Self::Blob => 0,
            Self::Tree => 1,
        }
    }

    fn from_number(number: i64) -> Self {
        if number == 0 { Self::Blob } else { Self::Tree }
    }
}

/// Proof that the store holds a blob. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldBlob {
    digest: Digest,
    path: PathBuf,
}

/// Proof that the store holds a tree. Only the store makes one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldTree {
    digest: Digest,
    path: PathBuf,
}

macro_rules! proof {
    ($name:ident, $what:literal) => {
        impl $name {
            #[doc = concat!("Returns the ", $what, " that names it.")]
            pub fn digest(&self) -> Digest {
                self.digest
            }

            /// Returns where it stands. Nobody may write there.
            pub fn path(&self) -> &Path {
                &self.path
            }
        }
    };
}

proof!(HeldBlob, "SHA-256");
proof!(HeldTree, "content hash");

/// What a step made, as the store remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The canonical text of the step's inputs.
    pub inputs: String,
    /// Named outputs: trees or blobs by digest.
    pub outputs: Vec<(String, Digest)>,
}

/// A step is this process's to run until this is dropped.
#[derive(Debug)]
pub struct StepLock {
    _lock: NameLock,
}

/// The store on disk.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    index: Mutex<Index>,
    /// This boot's name; without one only synced objects are trusted.
    boot: Option<String>,
    /// What was used and is not noted yet.
    used: Mutex<BTreeSet<(Kind, Digest)>>,
    session: Mutex<Option<Arc<Session>>>,
    /// The shared lock of a user; given up for a moment to be alone.
    user: Mutex<Option<FileLock>>,
    /// Whether the reserve was given back so that the store could be opened at all.
    lends: bool,
    /// Where results may come from that are not here.
    upstream: OnceLock<Arc<dyn Upstream>>,
    /// The keys of results that may be shared and that somebody asked for.
    asked: Mutex<BTreeSet<BuildKey>>,
    /// What steps made, where this user of the store goes by its own memory alone.
    own_memory: Option<Mutex<BTreeMap<BuildKey, Record>>>,
}

impl Store {
    /// Opens the store at `root`, and makes it if there is none.
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_observed(root, &Silent)
    }

    /// Opens the store at `root` as [`Store::open`] does, and says what had to be mended.
    pub fn open_observed(root: &Path, observer: &dyn Observer) -> Result<Self> {
        match Self::open_once(root, observer) {
            Err(error) if reserve::helps(&error) && reserve::release(root) => {
                let mut opened = Self::open_once(root, observer);
                match &mut opened {
                    Ok(store) => store.lends = true,
                    Err(_) => reserve::keep(root),
                }
                opened
            }
            opened => opened,
        }
    }

    /// Returns the store as one who was never told what steps made: things that are held are found by their content,
    /// but only what is remembered from now on is recalled, and nobody else hears of it.
    pub fn apart(mut self) -> Self {
        self.own_memory = Some(Mutex::default());
        self
    }

    fn open_once(root: &Path, observer: &dyn Observer) -> Result<Self> {
        let is_new = !disk::exists(&root.join(schema::FILE_NAME));
        for directory in ["blobs", "trees", "scratch", "steps"] {
            disk::create_dir_all(&root.join(directory))?;
        }
        let root = disk::canonical(root)?;
        let users = root.join(USERS_LOCK);
        let mut user = disk::lock(&users, LockMode::Shared)?;
        let mut aside = None;
        let index = match Index::open(&root) {
            Err(StoreError::Index(source)) if is_damage(&source) => {
                drop(user);
                let Some(alone) = disk::try_lock(&users, LockMode::Exclusive)? else {
                    return Err(StoreError::IndexDamaged { path: root, source });
                };
                aside = Some(schema::set_aside(&root)?);
                let index = Index::open(&root)?;
                drop(alone);
                user = disk::lock(&users, LockMode::Shared)?;
                index
            }
            opened => opened?,
        };
        scratch::sweep(&root)?;
        if is_new {
            reserve::keep(&root);
        }
        let store = Self {
            root,
            index: Mutex::new(index),
            boot: boot(),
            used: Mutex::default(),
            session: Mutex::default(),
            user: Mutex::new(Some(user)),
            lends: false,
            upstream: OnceLock::new(),
            asked: Mutex::default(),
            own_memory: None,
        };
        if let Some(aside) = aside {
            store.restore_roots(&aside, observer)?;
        }
        Ok(store)
    }

    /// Takes the store at `root` back to an older format, for an older rebeam. What that format has no
    /// place for is dropped from the index; objects stay.
    pub fn roll_back(root: &Path, format: i64) -> Result<()> {
        let root = disk::canonical(root)?;
        let alone = disk::try_lock(&root.join(USERS_LOCK), LockMode::Exclusive)?;
        if alone.is_none() {
            return Err(StoreError::InUse { path: root });
        }
        schema::roll_back(&root, format)
    }

    /// Returns the store's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes an empty directory on the store's file system.
    pub fn scratch(&self) -> Result<Scratch> {
        let mut session = self.session.lock().expect("no holder of the session panics");
        let session = match &*session {
            Some(session) => Arc::clone(session),
            None => Arc::clone(session.insert(Session::start(&self.root)?)),
        };
        session.scratch()
    }

    /// Takes the lock on a step, waiting for the rebeam that runs it: then recall before running it.
    pub fn lock_step(&self, key: BuildKey) -> Result<StepLock> {
        let _lock = disk::lock_name(&self.step_lock(key))?;
        Ok(StepLock { _lock })
    }

    /// Takes the lock on a step if no rebeam runs it; `None` otherwise.
    pub fn try_lock_step(&self, key: BuildKey) -> Result<Option<StepLock>> {
        let lock = disk::try_lock_name(&self.step_lock(key))?;
        Ok(lock.map(|_lock| StepLock { _lock }))
    }

    /// Writes everything down to the medium. Called at the end of a command that made something.
    ///
    /// Dropping the store does not do this: it may take long, and without it nothing is lost.
    pub fn settle(&self) -> Result<()> {
        self.flush_used()?;
        let Some(boot) = &self.boot else {
            return Ok(());
        };
        // Only what was recorded before the sync began is on the medium after it.
        let unsynced = self.index().unsynced(boot)?;
        if unsynced.is_empty() {
            return Ok(());
        }
        disk::sync_file_system(&self.root)?;
        self.index().mark_synced(&unsynced)
    }

    fn place(&self, kind: Kind, digest: Digest) -> PathBuf {
        self.root.join(kind.folder()).join(digest.hex())
    }

    fn step_lock(&self, key: BuildKey) -> PathBuf {
        self.root.join("steps").join(key.digest().hex())
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("no holder of the index panics")
    }

    fn used(&self) -> MutexGuard<'_, BTreeSet<(Kind, Digest)>> {
        self.used.lock().expect("no holder of the set panics")
    }

    fn flush_used(&self) -> Result<()> {
        let used = std::mem::take(&mut *self.used());
        if used.is_empty() {
            return Ok(());
        }
        self.index().touch(&used, now())
    }

    fn restore_roots(&self, aside: &Path, observer: &dyn Observer) -> Result<()> {
        let roots = index::salvage_roots(aside);
        for (lock, uses) in &roots {
            self.index().add_root(lock, uses, now())?;
        }
        let message = format!(
            "the store's index was damaged and is now `{}`; {} projects were taken over from it, and what steps made is made again",
            aside.display(),
            roots.len()
        );
        observer.observe(&Event::Warned { message: &message });
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Only when things were used last decides what is swept first; a loss of it does no harm.
        let _ = self.flush_used();
        if self.lends {
            reserve::keep(&self.root);
        }
    }
}

/// Returns this boot's name, which the kernel draws anew each time.
fn boot() -> Option<String> {
    let text = disk::read_text(Path::new("/proc/sys/kernel/random/boot_id"), 64).ok()?;
    Some(text.trim().to_owned()).filter(|boot| !boot.is_empty())
}

/// Returns the seconds since 1970. They say when something was last used, and enter no digest.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
