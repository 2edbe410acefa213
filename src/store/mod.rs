//! Store: content-addressed blobs and trees, and what steps made of what.
//!
//! Layout below the root: `blobs/<hex>` files named by SHA-256; `trees/<hex>/` directories named by their content
//! hash (NAR); `scratch/` for what is being made; `index.sqlite` for what steps made and for the
//! trees' listings. A thing is first made whole under `scratch/`, then renamed to its name: a reader
//! sees all of it or nothing.

mod schema;

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::{Connection, OptionalExtension as _, params};
use thiserror::Error;

use crate::digest::{Digest, Hashing};
use crate::disk::{self, DiskError};
use crate::explain::{Blame, Explain};
use crate::tree::{self, Tree, TreeError};

/// What went in: the hash of everything that decides a step's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildKey(Digest);

impl BuildKey {
    /// Makes the key of a step from the canonical text of its inputs.
    pub fn of(inputs: &str) -> Self {
        Self(Digest::of(inputs.as_bytes()))
    }

    /// Returns the hash.
    pub fn digest(&self) -> Digest {
        self.0
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

/// The store on disk.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    index: Mutex<Connection>,
}

/// The store refused.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Content is not what its name promised.
    #[error("`{name}` is not what was promised\n  promised: {promised}\n  received: {received}")]
    Mismatch {
        /// What it was to be.
        name: String,
        /// The promised digest.
        promised: Digest,
        /// The digest of what came.
        received: Digest,
    },
    /// More bytes came than the kind of blob may have.
    #[error("`{name}` is larger than the {limit} bytes it may have")]
    TooLarge {
        /// What it was to be.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Reading the source of a blob failed.
    #[error("`{name}` could not be read to its end")]
    Cut {
        /// What it was to be.
        name: String,
        /// The reader's error.
        #[source]
        source: std::io::Error,
    },
    /// The store was made by a newer rebeam.
    #[error("the store `{}` has format {found}, and this rebeam knows up to {known}", path.display())]
    Newer {
        /// The store's root.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Our format.
        known: i64,
    },
    /// The index refused.
    #[error("the store's index refused")]
    Index(#[from] rusqlite::Error),
    /// A tree could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for StoreError {
    fn blame(&self) -> Blame {
        match self {
            Self::Tree(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Newer { .. } => Some("use that rebeam, or another store: `--store DIR`".into()),
            Self::Index(_) => Some("`rebeam store verify` looks for damage and heals it".into()),
            Self::Tree(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// A directory inside the store in which something is being made; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    /// Returns the directory, empty at first.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Store {
    /// Opens the store at `root`, and makes it if there is none.
    pub fn open(root: &Path) -> Result<Self> {
        for directory in ["blobs", "trees", "scratch"] {
            disk::create_dir_all(&root.join(directory))?;
        }
        let root = disk::canonical(root)?;
        let index = schema::open(&root)?;
        Ok(Self {
            root,
            index: Mutex::new(index),
        })
    }

    /// Returns the store's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes an empty directory on the store's file system.
    pub fn scratch(&self) -> Result<Scratch> {
        let at = self.root.join("scratch");
        let directory =
            tempfile::tempdir_in(&at).map_err(disk::refused("create a directory in", &at))?;
        Ok(Scratch { directory })
    }

    /// Returns the blob's proof if the store holds it.
    pub fn blob(&self, digest: Digest) -> Result<Option<HeldBlob>> {
        let path = self.root.join("blobs").join(digest.hex());
        Ok(disk::status(&path)?.map(|_| HeldBlob { digest, path }))
    }

    /// Takes a stream in, as far as `limit` bytes, and proves it; with `promised` it must be that blob.
    pub fn insert_blob(
        &self,
        name: &str,
        stream: impl Read,
        limit: u64,
        promised: Option<Digest>,
    ) -> Result<HeldBlob> {
        let scratch = self.scratch()?;
        let temporary = scratch.path().join("blob");
        let file = disk::create_new(&temporary, false)?;
        let (digest, bytes) = pour(name, stream.take(limit + 1), file, &temporary)?;
        if bytes > limit {
            return Err(StoreError::TooLarge {
                name: name.into(),
                limit,
            });
        }
        if let Some(promised) = promised.filter(|promised| *promised != digest) {
            return Err(StoreError::Mismatch {
                name: name.into(),
                promised,
                received: digest,
            });
        }
        let path = self.root.join("blobs").join(digest.hex());
        disk::rename(&temporary, &path)?;
        Ok(HeldBlob { digest, path })
    }

    /// Returns the tree's proof if the store holds it.
    pub fn tree(&self, digest: Digest) -> Result<Option<HeldTree>> {
        let path = self.root.join("trees").join(digest.hex());
        Ok(disk::status(&path)?.map(|_| HeldTree { digest, path }))
    }

    /// Takes the directory `made` (below a [`Scratch`]) in as a tree and proves it.
    ///
    /// Modes become 0755 or 0644 and times [`TREE_TIME`], so that a tree looks the same wherever it stands.
    pub fn insert_tree(
        &self,
        name: &str,
        made: &Path,
        promised: Option<Digest>,
    ) -> Result<HeldTree> {
        let scan = tree::scan(made, &[])?;
        if let Some(promised) = promised.filter(|promised| *promised != scan.hash) {
            return Err(StoreError::Mismatch {
                name: name.into(),
                promised,
                received: scan.hash,
            });
        }
        let path = self.root.join("trees").join(scan.hash.hex());
        if disk::status(&path)?.is_none() {
            normalise(&scan.tree, made)?;
            match disk::rename(made, &path) {
                Ok(()) => {}
                // Another process was faster; its copy is the same.
                Err(_) if disk::exists(&path) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(HeldTree {
            digest: scan.hash,
            path,
        })
    }

    /// Returns the listing of a held tree.
    pub fn listing(&self, held: &HeldTree) -> Result<Tree> {
        Ok(tree::scan(held.path(), &[])?.tree)
    }

    /// Remembers what a step made of its inputs.
    pub fn remember(&self, key: BuildKey, record: &Record) -> Result<()> {
        let outputs = record
            .outputs
            .iter()
            .map(|(name, digest)| format!("{name}\t{}\n", digest.hex()));
        self.index
            .lock()
            .expect("no holder of the index panics")
            .execute(
                "insert or replace into steps (key, inputs, outputs) values (?1, ?2, ?3)",
                params![
                    key.digest().hex(),
                    record.inputs,
                    outputs.collect::<String>()
                ],
            )?;
        Ok(())
    }

    /// Returns what a step made of these inputs, if that is remembered. The outputs may be gone since.
    pub fn recall(&self, key: BuildKey) -> Result<Option<Record>> {
        let index = self.index.lock().expect("no holder of the index panics");
        let row: Option<(String, String)> = index
            .query_row(
                "select inputs, outputs from steps where key = ?1",
                [key.digest().hex()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let read = |(inputs, outputs): (String, String)| {
            let outputs = outputs.lines().filter_map(|line| {
                let (name, hex) = line.split_once('\t')?;
                Some((name.to_owned(), Digest::from_hex(hex).ok()?))
            });
            Record {
                inputs,
                outputs: outputs.collect(),
            }
        };
        Ok(row.map(read))
    }
}

/// The modification time of everything in the store: 1980-01-01, the first that a zip can hold.
pub const TREE_TIME: i64 = 315_532_800;

fn pour(name: &str, mut stream: impl Read, file: File, path: &Path) -> Result<(Digest, u64)> {
    let mut hashing = Hashing::new(file);
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(StoreError::Cut {
                    name: name.into(),
                    source,
                });
            }
        };
        hashing
            .write_all(&buffer[..count])
            .map_err(disk::refused("write", path))?;
    }
    let (_, digest, bytes) = hashing.finish();
    Ok((digest, bytes))
}

fn normalise(listing: &Tree, at: &Path) -> Result<()> {
    for (path, entry) in listing.entries() {
        let on_disk = path.under(at);
        match entry {
            tree::Entry::Directory => disk::set_mode(&on_disk, 0o755)?,
            tree::Entry::File { executable, .. } => {
                disk::set_mode(&on_disk, if *executable { 0o755 } else { 0o644 })?;
                disk::set_time(&on_disk, TREE_TIME)?;
            }
            tree::Entry::Symlink { .. } => disk::set_time(&on_disk, TREE_TIME)?,
        }
    }
    // A directory's time changes as its entries are touched: from the deepest up.
    for (path, entry) in listing.entries().collect::<Vec<_>>().into_iter().rev() {
        if matches!(entry, tree::Entry::Directory) {
            disk::set_time(&path.under(at), TREE_TIME)?;
        }
    }
    disk::set_mode(at, 0o755)?;
    Ok(disk::set_time(at, TREE_TIME)?)
}
