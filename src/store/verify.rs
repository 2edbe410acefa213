//! Verify: reads every object again, says what is damaged, and heals by removing it.
//!
//! A removed object is fetched or built again when it is next needed, since every record that names
//! it is forgotten with it. Nothing that is whole is ever removed.

use std::collections::BTreeSet;
use std::fmt;

use rayon::prelude::*;

use crate::digest::Digest;
use crate::event::{Event, Observer};
use crate::tree::{Entry, Tree, TreeError};

use super::error::{Result, StoreError};
use super::find::{self, Content};
use super::index::Index;
use super::{Kind, Store, listing, schema};

/// Files of one damaged tree that are named.
const NAMED_MAX: usize = 20;

/// What [`Store::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Objects that were read.
    pub checked: usize,
    /// Bytes of the whole ones.
    pub bytes: u64,
    /// What is not what its name says.
    pub damaged: Vec<Damage>,
    /// Whole objects that the index did not know and now knows.
    pub adopted: usize,
    /// Objects that the index knew and that are not there.
    pub missing: usize,
    /// Whether the index itself was damaged.
    pub index_damaged: bool,
    /// Whether what was damaged is removed.
    pub healed: bool,
}

impl VerifyReport {
    /// Tells whether nothing is damaged.
    pub fn is_clean(&self) -> bool {
        self.damaged.is_empty() && !self.index_damaged
    }
}

/// One damaged object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Blob or tree.
    pub kind: Kind,
    /// What its name says it is.
    pub digest: Digest,
    /// What is wrong: a tree's files by name, where its listing is known.
    pub what: Vec<String>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what.join(", ");
        write!(f, "{} `{}` is damaged: {what}", self.kind.name(), self.digest)
    }
}

/// What one object was found to be.
enum Verdict {
    Whole { bytes: u64, adopted: bool },
    Damaged(Damage),
    Gone,
}

impl Store {
    /// Reads everything again. With `heal`, removes what is damaged, so that it is fetched or built again.
    pub fn verify(&self, heal: bool, observer: &dyn Observer) -> Result<VerifyReport> {
        let mut report = VerifyReport { healed: heal, ..VerifyReport::default() };
        self.verify_index(heal, observer, &mut report)?;
        let objects = self.on_disk()?.into_par_iter();
        let verdicts: Vec<Verdict> =
            objects.map(|(kind, digest)| self.inspect(kind, digest)).collect::<Result<_>>()?;
        for verdict in verdicts {
            report.checked += usize::from(!matches!(verdict, Verdict::Gone));
            match verdict {
                Verdict::Whole { bytes, adopted } => {
                    report.bytes += bytes;
                    report.adopted += usize::from(adopted);
                }
                Verdict::Damaged(damage) => {
                    let message = damage.to_string();
                    observer.observe(&Event::Warned { message: &message });
                    report.damaged.push(damage);
                }
                Verdict::Gone => {}
            }
        }
        let missing = self.missing()?;
        report.missing = missing.len();
        if heal {
            let damaged = report.damaged.iter();
            self.discard(&damaged.map(|damage| (damage.kind, damage.digest)).collect())?;
            if !missing.is_empty() {
                self.index().forget(&missing)?;
            }
        }
        Ok(report)
    }

    fn verify_index(
        &self,
        heal: bool,
        observer: &dyn Observer,
        report: &mut VerifyReport,
    ) -> Result<()> {
        let Some(error) = self.index().damage() else {
            return Ok(());
        };
        report.index_damaged = true;
        if !heal {
            return Err(StoreError::Index(error));
        }
        self.alone(|| {
            // The old connection must be closed first: when it ends it removes the log of its name, and
            // that would be the new index's.
            *self.index() = Index::nowhere()?;
            let aside = schema::set_aside(&self.root)?;
            *self.index() = Index::open(&self.root)?;
            self.restore_roots(&aside, observer)
        })
    }

    fn inspect(&self, kind: Kind, digest: Digest) -> Result<Verdict> {
        let path = self.place(kind, digest);
        let what = match find::read(kind, digest, &path) {
            Ok(Some(content)) => {
                return Ok(Verdict::Whole {
                    bytes: content.bytes(),
                    adopted: self.adopt(kind, digest, &content)?,
                });
            }
            Err(StoreError::Disk(error)) if error.is_not_found() => return Ok(Verdict::Gone),
            // A medium that no longer gives the bytes back has damaged them.
            Err(error) => vec![error.to_string()],
            Ok(None) if kind == Kind::Blob => vec!["its bytes have another SHA-256".into()],
            Ok(None) => self.differences(digest)?,
        };
        Ok(Verdict::Damaged(Damage { kind, digest, what }))
    }

    /// Names what differs between a damaged tree and the listing that is kept of it.
    fn differences(&self, digest: Digest) -> Result<Vec<String>> {
        let packed = self.index().listing(digest)?;
        let Some(promised) = packed.as_ref().and_then(listing::unpack) else {
            return Ok(vec!["its content hash is another".into()]);
        };
        let found = match crate::tree::scan(&self.place(Kind::Tree, digest), &[]) {
            Ok(scan) => scan.tree,
            Err(TreeError::Disk(error)) => return Err(error.into()),
            Err(error) => return Ok(vec![error.to_string()]),
        };
        let mut differences = compare(&promised, &found);
        let more = differences.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            differences.truncate(NAMED_MAX);
            differences.push(format!("and {more} more"));
        }
        Ok(differences)
    }

    /// Records a whole object that the index does not know, or a tree whose listing is not kept.
    fn adopt(&self, kind: Kind, digest: Digest, content: &Content) -> Result<bool> {
        if self.index().object(kind, digest)?.is_none() {
            self.record(digest, content)?;
            return Ok(true);
        }
        if let Content::Tree(tree) = content {
            let kept = self.index().listing(digest)?;
            let kept = kept.as_ref().and_then(listing::unpack);
            if kept.as_ref() != Some(tree)
                && let Some(packed) = listing::pack(tree)
            {
                self.index().keep_listing(digest, &packed)?;
            }
        }
        Ok(false)
    }

    fn missing(&self) -> Result<BTreeSet<(Kind, Digest)>> {
        let there: BTreeSet<_> = self.on_disk()?.into_iter().collect();
        let rows = self.index().objects()?;
        let known = rows.into_iter().map(|row| (row.kind, row.digest));
        Ok(known.filter(|object| !there.contains(object)).collect())
    }
}

/// Says how `found` differs from `promised`, one line an entry.
fn compare(promised: &Tree, found: &Tree) -> Vec<String> {
    let mut differences = Vec::new();
    for (path, entry) in promised.entries() {
        let what = match (entry, found.get(path)) {
            (_, Some(same)) if same == entry => continue,
            (_, None) => "is missing",
            (Entry::File { size: a, .. }, Some(Entry::File { size: b, .. })) if a != b => {
                "has another size"
            }
            (Entry::File { digest: a, .. }, Some(Entry::File { digest: b, .. })) if a != b => {
                "has other bytes"
            }
            (Entry::File { .. }, Some(Entry::File { .. })) => "has another executable bit",
            (Entry::Symlink { .. }, Some(Entry::Symlink { .. })) => "points elsewhere",
            _ => "is of another kind",
        };
        differences.push(format!("`{path}` {what}"));
    }
    for (path, _) in found.entries() {
        if promised.get(path).is_none() {
            differences.push(format!("`{path}` does not belong there"));
        }
    }
    differences
}
