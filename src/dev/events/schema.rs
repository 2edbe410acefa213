//! Schema: the one file that events and indexed documents are kept in.
//!
//! An entry is a document of an index; what happens in the stack is the index `mqtt`. Its leaves are what it can be
//! asked by: a row for each value, by the path of field names that leads there. `entry_text` finds a piece of text
//! anywhere in the log's topics, payloads and client identifiers.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::database::{self, Step, Steps};
use crate::dev::DevError;

/// The file's name in the state of a stack.
const FILE: &str = "events.sqlite";
/// The index that shows what happens in the stack.
pub(super) const LOG: &str = "mqtt";

pub(super) const STEPS: Steps = &[Step {
    up: "
        create table entry (
            id integer primary key, idx text not null, doc_id text, version integer not null,
            at_ms integer not null, type text not null, client text, topic text,
            source text not null, bytes integer not null);
        create unique index entry_doc on entry (idx, doc_id) where doc_id is not null;
        create index entry_time on entry (idx, at_ms);
        create index entry_type on entry (type, id);
        create index entry_client on entry (client, id) where client is not null;
        create table leaf (
            entry integer not null, path text not null, place integer not null,
            text text, number, words text, primary key (entry, path, place)) without rowid;
        create virtual table entry_text using fts5 (
            topic, client, said, content = '', contentless_delete = 1, tokenize = 'trigram');
        create table place (
            name text primary key, uuid text not null, made_at_ms integer not null, settings text not null,
            mappings text not null) without rowid;
        create table template (
            kind text not null, name text not null, body text not null, primary key (kind, name)) without rowid;
        create table forward (
            target text primary key, cursor integer not null, sent integer not null, dropped integer not null,
            refused integer not null, trouble text) without rowid;
        create table setting (name text primary key, value not null) without rowid;
        insert into setting (name, value) values
            ('next', 1), ('log', lower(hex(randomblob(16)))), ('rows', 0), ('bytes', 0), ('kept_bytes', 0),
            ('missed', 0);",
    down: "
        drop table setting; drop table forward; drop table template; drop table place; drop table entry_text;
        drop table leaf; drop table entry;",
}];

/// Where the stack with its state in `state` keeps events.
pub(super) fn path(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Opens the file, and makes it where there is none.
pub(super) fn open(path: &Path) -> Result<Connection, DevError> {
    let database =
        database::open(path, STEPS).map_err(|error| DevError::of_database(path, error))?;
    database.set_prepared_statement_cache_capacity(64);
    Ok(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_leads_back_to_the_one_before() {
        database::assert_steps_lead_back(STEPS);
    }
}
