//! Sweep: what projects still need, and the removal of the rest.
//!
//! A root is the path of a project's lock with the digests that its last build used: trees, blobs, and
//! keys of steps, which stand for what those steps made. What a bundle brought is a root of the lock that it is for, or of the
//! bundle's own file where no project is there yet. A root whose file is gone protects nothing.
//! Removal needs the store for itself alone, so that no other rebeam holds a proof of what goes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk::{self, LockMode};

use super::error::{Result, StoreError};
use super::{Kind, Store, now, reserve};

const DAY_S: i64 = 24 * 60 * 60;

/// Objects that are removed at once.
const BATCH_LEN: usize = 256;

/// What [`Store::gc`] is to remove of what no project needs: all of it, unless one of the bounds is set.
#[derive(Debug, Clone, Copy, Default)]
pub struct GcOptions {
    /// Removes the least recently used first, until the store has at most so many bytes.
    pub bytes_max: Option<u64>,
    /// Removes what was not used for so many days.
    pub older_than_days: Option<u64>,
    /// Only says what would be removed.
    pub dry_run: bool,
}

/// What [`Store::gc`] removed, or would remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Objects removed.
    pub removed: usize,
    /// Bytes of the files removed.
    pub bytes_freed: u64,
    /// Objects kept.
    pub kept: usize,
    /// Bytes of the files kept; more than `bytes_max` if projects need more.
    pub bytes_kept: u64,
}

impl GcOptions {
    /// Tells whether what no project needs goes, when it was last used at `used_at` and this much is kept.
    fn dooms(&self, used_at: i64, report: &GcReport) -> bool {
        let seconds = |days: u64| i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_S);
        let oldest = self.older_than_days.map(|days| now().saturating_sub(seconds(days)));
        let too_old = oldest.is_some_and(|oldest| used_at < oldest);
        let too_much = self.bytes_max.is_some_and(|max| report.bytes_kept > max);
        too_old || too_much || (oldest.is_none() && self.bytes_max.is_none())
    }
}

impl GcReport {
    fn remove(&mut self, bytes: u64) {
        self.removed += 1;
        self.bytes_freed += bytes;
        self.kept -= 1;
        self.bytes_kept -= bytes;
    }
}

/// What the sweep takes away.
#[derive(Default)]
struct Doomed {
    objects: Vec<(Kind, Digest)>,
    mirrors: Vec<PathBuf>,
}

/// An object as the sweep sees it.
struct Thing {
    kind: Kind,
    digest: Digest,
    bytes: u64,
    used_at: i64,
}

impl Store {
    /// Says what the project whose lock stands at `lock` uses: this and nothing else from now on.
    ///
    /// A [`BuildKey`](super::BuildKey)'s digest stands for the step's outputs.
    pub fn add_root(&self, lock: &Path, uses: &[Digest]) -> Result<()> {
        let lock = disk::canonical(lock)?;
        let mut index = self.index();
        let recent = index.root_used_at(&lock)?.is_some_and(|used_at| now() - used_at < DAY_S);
        if recent && index.root_uses(&lock)? == uses.iter().copied().collect() {
            return Ok(());
        }
        index.add_root(&lock, uses, now())
    }

    /// Says that what stands at `file` needs this too, beside what it was said to use.
    ///
    /// `file` is a project's lock, or a bundle of which no project is known yet.
    pub fn extend_root(&self, file: &Path, uses: &[Digest]) -> Result<()> {
        let file = disk::canonical(file)?;
        let mut index = self.index();
        let mut all = index.root_uses(&file)?;
        all.extend(uses);
        index.add_root(&file, &all.into_iter().collect::<Vec<_>>(), now())
    }

    /// Removes what no project needs. No thread of this process may hold proofs meanwhile.
    pub fn gc(&self, options: GcOptions) -> Result<GcReport> {
        self.flush_used()?;
        if options.dry_run {
            return Ok(self.choose(options)?.0);
        }
        self.alone(|| {
            reserve::release(&self.root);
            let (report, doomed) = self.choose(options)?;
            let gone = self.dead_roots()?;
            if !gone.is_empty() {
                self.index().drop_roots(&gone)?;
            }
            // A few at a time: on a full disk each gives the room that noting the next needs.
            for batch in doomed.objects.chunks(BATCH_LEN) {
                self.discard(&batch.iter().copied().collect())?;
            }
            for mirror in &doomed.mirrors {
                disk::remove_tree(mirror)?;
            }
            reserve::keep(&self.root);
            Ok(report)
        })
    }

    /// Runs `work` while no other process uses the store.
    pub(super) fn alone<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut user = self.user.lock().expect("no holder of the lock panics");
        // Two processes that both wait for the other to leave would wait for ever: try, or give up.
        *user = None;
        let path = self.root.join(super::USERS_LOCK);
        let alone = disk::try_lock(&path, LockMode::Exclusive)?;
        let done = match &alone {
            Some(_) => work(),
            None => Err(StoreError::InUse { path: self.root.clone() }),
        };
        drop(alone);
        *user = Some(disk::lock(&path, LockMode::Shared)?);
        done
    }

    fn dead_roots(&self) -> Result<Vec<PathBuf>> {
        let mut roots = self.index().roots()?;
        roots.retain(|lock| !disk::exists(lock));
        Ok(roots)
    }

    /// Decides what goes: mirrors before objects, since they cost least to have again.
    fn choose(&self, options: GcOptions) -> Result<(GcReport, Doomed)> {
        let needed = self.needed()?;
        let (mirrors, things) = (self.weighed_mirrors()?, self.things()?);
        let bytes = mirrors.iter().map(|mirror| mirror.bytes);
        let mut report = GcReport {
            kept: mirrors.len() + things.len(),
            bytes_kept: bytes.chain(things.iter().map(|thing| thing.bytes)).sum(),
            ..GcReport::default()
        };
        let mut doomed = Doomed::default();
        for mirror in mirrors {
            if options.dooms(mirror.fetched_at, &report) {
                report.remove(mirror.bytes);
                doomed.mirrors.push(mirror.path);
            }
        }
        for thing in things {
            if !needed.contains(&thing.digest) && options.dooms(thing.used_at, &report) {
                report.remove(thing.bytes);
                doomed.objects.push((thing.kind, thing.digest));
            }
        }
        Ok((report, doomed))
    }

    /// Names all that living roots reach.
    fn needed(&self) -> Result<BTreeSet<Digest>> {
        let index = self.index();
        let mut needed = BTreeSet::new();
        for lock in index.roots()? {
            if disk::exists(&lock) {
                needed.extend(index.root_uses(&lock)?);
            }
        }
        for (key, outputs) in index.step_outputs()? {
            if needed.contains(&key) {
                needed.extend(outputs);
            }
        }
        Ok(needed)
    }

    /// Lists every object on disk, least recently used first; what has no row counts as oldest.
    fn things(&self) -> Result<Vec<Thing>> {
        let rows = self.index().objects()?;
        let rows: BTreeMap<_, _> =
            rows.into_iter().map(|row| ((row.kind, row.digest), row)).collect();
        let mut things = Vec::new();
        for (kind, digest) in self.on_disk()? {
            let (bytes, used_at) = match rows.get(&(kind, digest)) {
                Some(row) => (row.bytes, row.used_at),
                None => (weigh(&self.place(kind, digest))?, 0),
            };
            things.push(Thing { kind, digest, bytes, used_at });
        }
        things.sort_by_key(|thing| (thing.used_at, thing.kind, thing.digest));
        Ok(things)
    }

    /// Names the objects that stand on disk, recorded or not.
    pub(super) fn on_disk(&self) -> Result<Vec<(Kind, Digest)>> {
        let mut found = Vec::new();
        for kind in [Kind::Blob, Kind::Tree] {
            for name in disk::list(&self.root.join(kind.folder()))? {
                let hex = String::from_utf8_lossy(&name);
                // Nothing of ours has another name; what is not ours is not ours to remove.
                if let Ok(digest) = Digest::from_hex(&hex)
                    && digest.hex() == hex
                {
                    found.push((kind, digest));
                }
            }
        }
        Ok(found)
    }
}

/// Adds up the bytes of all files at and below `path`.
pub(super) fn weigh(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let Some(status) = disk::status(&path)? else {
            continue;
        };
        match status.kind {
            disk::Kind::Directory => {
                use std::os::unix::ffi::OsStrExt as _;
                let names = disk::list(&path)?;
                let below = |name: &Vec<u8>| path.join(std::ffi::OsStr::from_bytes(name));
                left.extend(names.iter().map(below));
            }
            disk::Kind::File { .. } => bytes += status.size,
            disk::Kind::Symlink | disk::Kind::Special => {}
        }
    }
    Ok(bytes)
}
