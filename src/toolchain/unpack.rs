//! Unpack: each locked package as a tree of its own in the store.

use std::sync::{Condvar, Mutex};

use crate::disk;
use crate::each::each;
use crate::event::{Event, Observer};
use crate::fetch::debian;
use crate::http::Http;
use crate::limits::DOWNLOADS_MAX;
use crate::lock::Deb;
use crate::store::{BuildKey, HeldBlob, HeldTree, Record, Store};
use crate::tree::RelPath;

use super::{ToolchainError, spoken};

/// The version of what is kept of a package. Changing it unpacks every package anew.
pub(super) const RECIPE: u32 = 2;
/// What no build reads: documentation, translations, and notes of packaging.
const DROPPED: [&[u8]; 7] = [
    b"usr/share/bug",
    b"usr/share/doc",
    b"usr/share/doc-base",
    b"usr/share/info",
    b"usr/share/lintian",
    b"usr/share/locale",
    b"usr/share/man",
];
/// The directories of old that are links into `usr` now.
pub(super) const MERGED: [&[u8]; 6] = [b"bin", b"lib", b"lib32", b"lib64", b"libx32", b"sbin"];

/// A package and its tree.
#[derive(Debug, Clone)]
pub(super) struct Package<'a> {
    pub(super) deb: &'a Deb,
    pub(super) tree: HeldTree,
}

/// Returns every package's tree, in the order of `debs`. What the store lacks is fetched and unpacked.
pub(super) fn packages<'a>(
    debs: &'a [Deb],
    store: &Store,
    http: &Http,
    observer: &dyn Observer,
) -> Result<Vec<Package<'a>>, ToolchainError> {
    let found = debs.iter().map(|deb| recall(deb, store));
    let mut trees = found.collect::<Result<Vec<_>, _>>()?;
    let mut missing: Vec<(usize, &Deb)> =
        debs.iter().enumerate().filter(|(place, _)| trees[*place].is_none()).collect();
    // The longest first, so that no core waits for one that began late.
    missing.sort_by_key(|(_, deb)| std::cmp::Reverse(deb.size));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let turns = Turns::new(cores);
    // While the cores unpack, the next packages arrive.
    let unpacked = each(&missing, DOWNLOADS_MAX.max(cores), |(_, deb)| {
        let file = debian::fetch(deb, store, http, observer)?;
        let _turn = turns.take();
        let tree = unpack(deb, &file, store)?;
        observer.observe(&Event::PackageUnpacked { name: &deb.package });
        Ok::<_, ToolchainError>(tree)
    })?;
    for ((place, _), tree) in missing.iter().zip(unpacked) {
        trees[*place] = Some(tree);
    }
    let whole = debs.iter().zip(trees).map(|(deb, tree)| Package {
        deb,
        tree: tree.expect("every package was recalled or unpacked"),
    });
    Ok(whole.collect())
}

/// Lets as many at once do something as there are cores.
struct Turns {
    free: Mutex<usize>,
    returned: Condvar,
}

/// The right to use a core, given back when dropped.
struct Turn<'a>(&'a Turns);

impl Turns {
    fn new(free: usize) -> Self {
        Self { free: Mutex::new(free), returned: Condvar::new() }
    }

    fn take(&self) -> Turn<'_> {
        let free = self.free.lock().expect(COUNTING);
        let mut free = self.returned.wait_while(free, |free| *free == 0).expect(COUNTING);
        *free -= 1;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().expect(COUNTING) += 1;
        self.0.returned.notify_one();
    }
}

const COUNTING: &str = "counting does not panic";

fn key(deb: &Deb) -> (BuildKey, String) {
    let inputs = format!("package recipe {RECIPE}\ndeb {}\n", deb.sha256);
    (BuildKey::of(&inputs), inputs)
}

fn recall(deb: &Deb, store: &Store) -> Result<Option<HeldTree>, ToolchainError> {
    let (key, _) = key(deb);
    match store.recall(key)? {
        Some(record) if record.outputs.len() == 1 => Ok(store.tree(record.outputs[0].1)?),
        _ => Ok(None),
    }
}

fn unpack(deb: &Deb, file: &HeldBlob, store: &Store) -> Result<HeldTree, ToolchainError> {
    let scratch = store.scratch()?;
    let target = scratch.path().join("tree");
    disk::create_dir(&target)?;
    debian::unpack(&spoken(deb), file, &target, &place)?;
    let tree = store.insert_tree(&spoken(deb), &target, None)?;
    let (key, inputs) = key(deb);
    let outputs = vec![("tree".into(), tree.digest())];
    store.remember(key, &Record { inputs, outputs })?;
    Ok(tree)
}

/// Tells whether this is gcc's printer of its own intermediate files: 32 MB, a tenth of the root, that no
/// build calls.
fn is_debugging_aid(path: &RelPath) -> bool {
    let name = path.name();
    let part = b"lto-dump";
    path.as_bytes().starts_with(b"usr/bin/")
        && name.windows(part.len()).any(|window| window == part)
}

/// Says where an entry of a package goes in a root with a merged `usr`, or `None` if it is left out.
pub(super) fn place(path: RelPath) -> Option<RelPath> {
    let first = path.components().next().unwrap_or_default();
    let path = if MERGED.contains(&first) {
        // The directory itself is a link now, which the fix-ups make.
        path.components().nth(1)?;
        let merged = [b"usr/", path.as_bytes()].concat();
        RelPath::new(merged).ok()?
    } else {
        path
    };
    let is_dropped = |directory: &&[u8]| {
        let rest = path.as_bytes().strip_prefix(*directory);
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    if is_debugging_aid(&path) || DROPPED.iter().any(is_dropped) {
        return None;
    }
    Some(path)
}
