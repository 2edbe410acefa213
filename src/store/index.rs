//! Index: all of the store's SQL over the tables that `schema` makes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use crate::digest::Digest;
use crate::disk;

use super::error::Result;
use super::listing::Packed;
use super::{BuildKey, Kind, Record, schema};

/// What the index knows of one object.
#[derive(Debug, Clone)]
pub(super) struct ObjectRow {
    pub(super) kind: Kind,
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    /// The boot in which it was put in place or proved.
    pub(super) boot: String,
    /// Whether it is known to be on the medium.
    pub(super) synced: bool,
    /// Seconds since 1970, a day coarse.
    pub(super) used_at: i64,
}

/// The index's connection. One thread at a time.
#[derive(Debug)]
pub(super) struct Index {
    connection: Connection,
    path: PathBuf,
}

impl Index {
    pub(super) fn open(root: &Path) -> Result<Self> {
        Ok(Self { connection: schema::open(root)?, path: root.join(schema::FILE_NAME) })
    }

    /// An index of nothing, to stand in while the real one is changed for another.
    pub(super) fn nowhere() -> Result<Self> {
        Ok(Self { connection: Connection::open_in_memory()?, path: PathBuf::new() })
    }

    fn write<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        disk::change("write", &self.path)?;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = change(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Looks through the whole index for damage; `None` if there is none.
    pub(super) fn damage(&self) -> Option<rusqlite::Error> {
        let check =
            self.connection.query_row("pragma quick_check(1)", [], |row| row.get::<_, String>(0));
        match check {
            Ok(answer) if answer == "ok" => None,
            Ok(answer) => Some(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(answer),
            )),
            Err(error) => Some(error),
        }
    }

    // -- objects and listings --

    pub(super) fn object(&self, kind: Kind, digest: Digest) -> Result<Option<ObjectRow>> {
        let mut statement = self.connection.prepare_cached(
            "select kind, digest, bytes, boot, synced, used_at from objects
             where kind = ?1 and digest = ?2",
        )?;
        let key = params![kind.number(), digest.as_bytes()];
        Ok(statement.query_row(key, object_row).optional()?)
    }

    pub(super) fn objects(&self) -> Result<Vec<ObjectRow>> {
        let mut statement = self.connection.prepare_cached(
            "select kind, digest, bytes, boot, synced, used_at from objects order by kind, digest",
        )?;
        let rows = statement.query_map([], object_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Records an object that stands in its place, with a tree's listing.
    pub(super) fn record(&mut self, object: &ObjectRow, listing: Option<&Packed>) -> Result<()> {
        self.write(|transaction| {
            transaction
                .prepare_cached(
                    "insert or replace into objects (kind, digest, bytes, boot, synced, used_at)
                     values (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    object.kind.number(),
                    object.digest.as_bytes(),
                    i64::try_from(object.bytes).unwrap_or(i64::MAX),
                    object.boot,
                    object.synced,
                    object.used_at,
                ])?;
            if let Some(packed) = listing {
                put_listing(transaction, object.digest, packed)?;
            }
            Ok(())
        })
    }

    pub(super) fn listing(&self, digest: Digest) -> Result<Option<Packed>> {
        let mut statement = self
            .connection
            .prepare_cached("select size, checksum, packed from listings where digest = ?1")?;
        let read = |row: &Row<'_>| {
            Ok(Packed {
                size: row.get(0)?,
                checksum: Digest::from_bytes(row.get(1)?),
                bytes: row.get(2)?,
            })
        };
        Ok(statement.query_row([digest.as_bytes()], read).optional()?)
    }

    pub(super) fn keep_listing(&mut self, digest: Digest, packed: &Packed) -> Result<()> {
        self.write(|transaction| put_listing(transaction, digest, packed))
    }

    /// Notes that objects were used at `now`.
    pub(super) fn touch(&mut self, used: &BTreeSet<(Kind, Digest)>, now: i64) -> Result<()> {
        self.write(|transaction| {
            let mut statement = transaction
                .prepare("update objects set used_at = ?3 where kind = ?1 and digest = ?2")?;
            for (kind, digest) in used {
                statement.execute(params![kind.number(), digest.as_bytes(), now])?;
            }
            Ok(())
        })
    }

    /// Names the objects of this boot that may not be on the medium yet.
    pub(super) fn unsynced(&self, boot: &str) -> Result<Vec<(Kind, Digest)>> {
        let mut statement = self
            .connection
            .prepare_cached("select kind, digest from objects where synced = 0 and boot = ?1")?;
        let rows = statement.query_map([boot], |row| {
            Ok((Kind::from_number(row.get(0)?), Digest::from_bytes(row.get(1)?)))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn mark_synced(&mut self, objects: &[(Kind, Digest)]) -> Result<()> {
        self.write(|transaction| {
            let mut statement = transaction
                .prepare("update objects set synced = 1 where kind = ?1 and digest = ?2")?;
            for (kind, digest) in objects {
                statement.execute(params![kind.number(), digest.as_bytes()])?;
            }
            Ok(())
        })
    }

    /// Forgets objects, their listings, and what steps are said to have made of them.
    ///
    /// This one is on the medium when it returns. A lost "gone" would leave an old "synced" behind,
    /// and the object that is made again later, not synced itself, would be trusted after a power cut.
    pub(super) fn forget(&mut self, objects: &BTreeSet<(Kind, Digest)>) -> Result<()> {
        self.connection.pragma_update(None, "synchronous", "full")?;
        let forgotten = self.write(|transaction| {
            for (kind, digest) in objects {
                transaction
                    .prepare_cached("delete from objects where kind = ?1 and digest = ?2")?
                    .execute(params![kind.number(), digest.as_bytes()])?;
                if *kind == Kind::Tree {
                    transaction
                        .prepare_cached("delete from listings where digest = ?1")?
                        .execute([digest.as_bytes()])?;
                }
            }
            let gone: BTreeSet<Digest> = objects.iter().map(|(_, digest)| *digest).collect();
            for (key, outputs) in steps(transaction)? {
                let holds = |outputs: Vec<(String, Digest)>| {
                    outputs.iter().any(|(_, digest)| gone.contains(digest))
                };
                if read_outputs(&outputs).is_none_or(holds) {
                    transaction
                        .prepare_cached("delete from steps where key = ?1")?
                        .execute([key])?;
                }
            }
            Ok(())
        });
        self.connection.pragma_update(None, "synchronous", "normal")?;
        forgotten
    }

    // -- steps --

    pub(super) fn remember(&mut self, key: BuildKey, record: &Record) -> Result<()> {
        let outputs: String = record
            .outputs
            .iter()
            .map(|(name, digest)| format!("{name}\t{}\n", digest.hex()))
            .collect();
        self.write(|transaction| {
            transaction
                .prepare_cached(
                    "insert or replace into steps (key, inputs, outputs) values (?1, ?2, ?3)",
                )?
                .execute(params![key.digest().hex(), record.inputs, outputs])?;
            Ok(())
        })
    }

    /// Returns a record as it was written; `None` also for one that no longer reads.
    pub(super) fn recall(&self, key: BuildKey) -> Result<Option<Record>> {
        let mut statement =
            self.connection.prepare_cached("select inputs, outputs from steps where key = ?1")?;
        let row: Option<(String, String)> = statement
            .query_row([key.digest().hex()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(row.and_then(|(inputs, outputs)| {
            let outputs = read_outputs(&outputs)?;
            Some(Record { inputs, outputs })
        }))
    }

    /// Returns every record that still reads.
    pub(super) fn records(&self) -> Result<Vec<(BuildKey, Record)>> {
        let mut statement = self
            .connection
            .prepare_cached("select key, inputs, outputs from steps order by key")?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })?;
        let mut records = Vec::new();
        for row in rows {
            let (key, inputs, outputs) = row?;
            if let (Ok(key), Some(outputs)) = (Digest::from_hex(&key), read_outputs(&outputs)) {
                records.push((BuildKey::from_digest(key), Record { inputs, outputs }));
            }
        }
        Ok(records)
    }

    /// Returns what each remembered step made.
    pub(super) fn step_outputs(&self) -> Result<Vec<(Digest, Vec<Digest>)>> {
        let read = |(key, outputs): (String, String)| {
            let outputs = read_outputs(&outputs)?;
            let outputs = outputs.into_iter().map(|(_, digest)| digest).collect();
            Some((Digest::from_hex(&key).ok()?, outputs))
        };
        Ok(steps(&self.connection)?.into_iter().filter_map(read).collect())
    }

    // -- roots --

    pub(super) fn add_root(&mut self, path: &Path, uses: &[Digest], now: i64) -> Result<()> {
        let path = path.as_os_str().as_bytes();
        self.write(|transaction| {
            transaction.execute(
                "insert or replace into roots (path, used_at) values (?1, ?2)",
                params![path, now],
            )?;
            transaction.execute("delete from root_uses where path = ?1", [path])?;
            let mut statement = transaction
                .prepare("insert or ignore into root_uses (path, digest) values (?1, ?2)")?;
            for digest in uses {
                statement.execute(params![path, digest.as_bytes()])?;
            }
            Ok(())
        })
    }

    pub(super) fn roots(&self) -> Result<Vec<PathBuf>> {
        let mut statement =
            self.connection.prepare_cached("select path from roots order by path")?;
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        let path = |bytes: rusqlite::Result<Vec<u8>>| Ok(OsStr::from_bytes(&bytes?).into());
        rows.map(path).collect()
    }

    /// Returns what a root uses.
    pub(super) fn root_uses(&self, path: &Path) -> Result<BTreeSet<Digest>> {
        let mut statement =
            self.connection.prepare_cached("select digest from root_uses where path = ?1")?;
        let path = path.as_os_str().as_bytes();
        let rows = statement.query_map([path], |row| Ok(Digest::from_bytes(row.get(0)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn root_used_at(&self, path: &Path) -> Result<Option<i64>> {
        let mut statement =
            self.connection.prepare_cached("select used_at from roots where path = ?1")?;
        let path = path.as_os_str().as_bytes();
        Ok(statement.query_row([path], |row| row.get(0)).optional()?)
    }

    pub(super) fn drop_roots(&mut self, paths: &[PathBuf]) -> Result<()> {
        self.write(|transaction| {
            for path in paths {
                let path = path.as_os_str().as_bytes();
                transaction.execute("delete from root_uses where path = ?1", [path])?;
                transaction.execute("delete from roots where path = ?1", [path])?;
            }
            Ok(())
        })
    }
}

fn put_listing(
    transaction: &Transaction<'_>,
    digest: Digest,
    packed: &Packed,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "insert or replace into listings (digest, size, checksum, packed)
             values (?1, ?2, ?3, ?4)",
        )?
        .execute(params![digest.as_bytes(), packed.size, packed.checksum.as_bytes(), packed.bytes])
        .map(drop)
}

fn object_row(row: &Row<'_>) -> rusqlite::Result<ObjectRow> {
    Ok(ObjectRow {
        kind: Kind::from_number(row.get(0)?),
        digest: Digest::from_bytes(row.get(1)?),
        bytes: u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default(),
        boot: row.get(3)?,
        synced: row.get(4)?,
        used_at: row.get(5)?,
    })
}

fn steps(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached("select key, outputs from steps order by key")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Reads a step's outputs, one `NAME<tab>HEX` a line; `None` if a line is anything else.
fn read_outputs(text: &str) -> Option<Vec<(String, Digest)>> {
    let line = |line: &str| {
        let (name, hex) = line.rsplit_once('\t')?;
        Some((name.to_owned(), Digest::from_hex(hex).ok()?))
    };
    text.lines().map(line).collect()
}

/// Reads which roots a damaged index still names, as far as it can be read.
///
/// Roots only protect: a wrong one costs room on the disk, a lost one work. What steps made is not
/// taken over, since a wrong record would be believed.
pub(super) fn salvage_roots(damaged: &Path) -> Vec<(PathBuf, Vec<Digest>)> {
    let Ok(connection) = Connection::open(damaged) else {
        return Vec::new();
    };
    let index = Index { connection, path: damaged.to_owned() };
    let roots = index.roots().unwrap_or_default();
    let uses = |path: PathBuf| {
        let uses = index.root_uses(&path).unwrap_or_default();
        (path, uses.into_iter().collect())
    };
    roots.into_iter().map(uses).collect()
}
