//! Find: what the store holds, proved before it is handed out.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use crate::digest::{Digest, Hashing};
use crate::disk;
use crate::tree::{self, Tree, TreeError};

use super::error::{Result, StoreError};
use super::index::ObjectRow;
use super::{BuildKey, HeldBlob, HeldTree, Kind, Record, Store, listing, now};

/// How coarsely the last use of an object is kept: a build that changes nothing writes nothing.
const USED_COARSE_S: i64 = 24 * 60 * 60;

/// What an object is found to be when all of it is read.
pub(super) enum Content {
    /// A blob of so many bytes.
    Blob(u64),
    /// A tree of these entries.
    Tree(Tree),
}

impl Content {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Blob(bytes) => *bytes,
            Self::Tree(tree) => tree.bytes(),
        }
    }
}

impl Store {
    /// Returns the blob's proof if the store holds it.
    pub fn blob(&self, digest: Digest) -> Result<Option<HeldBlob>> {
        let path = self.place(Kind::Blob, digest);
        let held = self.find(Kind::Blob, digest)?;
        Ok(held.then_some(HeldBlob { digest, path }))
    }

    /// Returns the tree's proof if the store holds it.
    pub fn tree(&self, digest: Digest) -> Result<Option<HeldTree>> {
        let path = self.place(Kind::Tree, digest);
        let held = self.find(Kind::Tree, digest)?;
        Ok(held.then_some(HeldTree { digest, path }))
    }

    /// Returns the listing of a held tree.
    pub fn listing(&self, held: &HeldTree) -> Result<Tree> {
        let packed = self.index().listing(held.digest())?;
        if let Some(tree) = packed.as_ref().and_then(listing::unpack) {
            return Ok(tree);
        }
        let scan = tree::scan(held.path(), &[])?;
        if scan.hash != held.digest() {
            return Err(StoreError::Damaged { path: held.path().to_owned() });
        }
        if let Some(packed) = listing::pack(&scan.tree) {
            self.index().keep_listing(scan.hash, &packed)?;
        }
        Ok(scan.tree)
    }

    /// Remembers what a step made of its inputs.
    pub fn remember(&self, key: BuildKey, record: &Record) -> Result<()> {
        let plain = |(name, _): &(String, Digest)| !name.contains(['\n', '\r']);
        assert!(record.outputs.iter().all(plain), "outputs are named by us, on one line");
        if let Some(memory) = &self.own_memory {
            let mut memory = memory.lock().expect("no holder of the memory panics");
            memory.insert(key, record.clone());
            return Ok(());
        }
        self.index().remember(key, record)
    }

    /// Returns what a step made of these inputs, if that is remembered and all of it is still held.
    pub fn recall(&self, key: BuildKey) -> Result<Option<Record>> {
        let record = match &self.own_memory {
            Some(memory) => {
                memory.lock().expect("no holder of the memory panics").get(&key).cloned()
            }
            None => self.index().recall(key)?,
        };
        let Some(record) = record else {
            return Ok(None);
        };
        for (_, digest) in &record.outputs {
            if !self.find(Kind::Tree, *digest)? && !self.find(Kind::Blob, *digest)? {
                return Ok(None);
            }
        }
        Ok(Some(record))
    }

    /// Returns the digests of all blobs of no more than so many bytes.
    pub fn small_blobs(&self, bytes_max: u64) -> Result<Vec<Digest>> {
        let objects = self.index().objects()?.into_iter();
        let small = objects.filter(|row| row.kind == Kind::Blob && row.bytes <= bytes_max);
        Ok(small.map(|row| row.digest).collect())
    }

    /// Returns what is remembered of all steps whose inputs `wants` takes.
    pub fn made(&self, wants: &dyn Fn(&str) -> bool) -> Result<Vec<(BuildKey, Record)>> {
        let records = self.index().records()?;
        Ok(records.into_iter().filter(|(_, record)| wants(&record.inputs)).collect())
    }

    /// Tells whether an object stands in its place and can be trusted.
    pub(super) fn find(&self, kind: Kind, digest: Digest) -> Result<bool> {
        if disk::status(&self.place(kind, digest))?.is_none() {
            return Ok(false);
        }
        let row = self.index().object(kind, digest)?;
        let Some(row) = row.filter(|row| self.trusts(row)) else {
            return self.prove(kind, digest);
        };
        if now() - row.used_at > USED_COARSE_S {
            self.used().insert((kind, digest));
        }
        Ok(true)
    }

    /// An object can be trusted if it is on the medium, or if no power cut can have come between.
    fn trusts(&self, row: &ObjectRow) -> bool {
        row.synced || self.boot.as_deref() == Some(row.boot.as_str())
    }

    /// Reads an object that cannot be trusted: a whole one is recorded, a damaged one removed.
    fn prove(&self, kind: Kind, digest: Digest) -> Result<bool> {
        let path = self.place(kind, digest);
        let before = disk::status(&path)?;
        if let Some(content) = read(kind, digest, &path)? {
            self.record(digest, &content)?;
            return Ok(true);
        }
        // Another process may have put a good one there while we read the damaged one.
        let same =
            |status: disk::Status| before.is_some_and(|before| before.identity == status.identity);
        if disk::status(&path)?.is_some_and(same) {
            self.discard(&BTreeSet::from([(kind, digest)]))?;
        }
        Ok(false)
    }

    /// Records an object that was just put in place or just read.
    pub(super) fn record(&self, digest: Digest, content: &Content) -> Result<()> {
        let (kind, packed) = match content {
            Content::Blob(_) => (Kind::Blob, None),
            Content::Tree(tree) => (Kind::Tree, listing::pack(tree)),
        };
        let row = ObjectRow {
            kind,
            digest,
            bytes: content.bytes(),
            boot: self.boot.clone().unwrap_or_default(),
            synced: false,
            used_at: now(),
        };
        self.index().record(&row, packed.as_ref())
    }

    /// Forgets objects and removes them from their places.
    ///
    /// Rows go first, for good: a kill between leaves objects without rows, and those are read before
    /// anybody gets them. The bytes go last, out of sight.
    pub(super) fn discard(&self, objects: &BTreeSet<(Kind, Digest)>) -> Result<()> {
        if objects.is_empty() {
            return Ok(());
        }
        self.index().forget(objects)?;
        let bin = self.scratch()?;
        for (kind, digest) in objects {
            let from = self.place(*kind, *digest);
            if disk::exists(&from) {
                let to = bin.path().join(format!("{}-{}", kind.folder(), digest.hex()));
                disk::rename(&from, &to)?;
            }
        }
        Ok(())
    }
}

/// Reads all of an object; `None` if it is not what its name says.
pub(super) fn read(kind: Kind, digest: Digest, path: &Path) -> Result<Option<Content>> {
    match kind {
        Kind::Blob => {
            if !matches!(disk::status(path)?, Some(status) if matches!(status.kind, disk::Kind::File { .. }))
            {
                return Ok(None);
            }
            let (found, bytes) = hash_file(path)?;
            Ok((found == digest).then_some(Content::Blob(bytes)))
        }
        Kind::Tree => match tree::scan(path, &[]) {
            Ok(scan) => Ok((scan.hash == digest).then_some(Content::Tree(scan.tree))),
            Err(TreeError::Disk(error)) => Err(error.into()),
            Err(_) => Ok(None),
        },
    }
}

fn hash_file(path: &Path) -> Result<(Digest, u64)> {
    let mut file = disk::open(path)?;
    let mut hashing = Hashing::new(std::io::sink());
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = file.read(&mut buffer).map_err(disk::refused("read", path))?;
        if count == 0 {
            break;
        }
        std::io::Write::write_all(&mut hashing, &buffer[..count])
            .expect("hashing into a sink cannot fail");
    }
    let (_, digest, bytes) = hashing.finish();
    Ok((digest, bytes))
}
