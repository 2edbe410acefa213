//! Fuzz: what a client of the Elasticsearch subset sends, for the fuzzer.

use rusqlite::Connection;

use super::request::{Request, json};
use super::{aggs, bulk, cursor, names, query, read, sort, sql, text};
use crate::dev::events::leaf;

/// A moment in 2026.
const NOW_MS: i64 = 1_795_292_505_535;

/// Reads bytes as each thing that a request may hold; what is read as a query has to be SQL.
pub fn requests(data: &[u8]) {
    let _ = bulk::read(data, Some("mqtt"), None);
    let text = String::from_utf8_lossy(data);
    let _ = names::Names::read(&text, NOW_MS);
    let _ = cursor::Cursor::read(&text);
    let _ = Request::new("GET", &text, Vec::new(), NOW_MS).parts();
    if let Ok(query) = text::read(&text, &["*".into()], read::Operator::Or(1), NOW_MS) {
        check(&query);
    }
    let Ok(value) = json(data) else { return };
    if let Ok(query) = read::query(&value, NOW_MS) {
        check(&query);
    }
    let _ = aggs::read(&value, NOW_MS);
    let _ = (sort::read(&value), sort::after(&value));
    if let Some(document) = value.as_object() {
        let _ = leaf::leaves(document);
    }
}

fn check(query: &query::Query) {
    let sql::Condition { sql, values } = sql::condition(query);
    let database = Connection::open_in_memory().expect("memory is there");
    let tables = "create table entry (id integer, idx text, doc_id text);
                  create table leaf (entry integer, path text, text text, number, words text);";
    database.execute_batch(tables).expect("the tables are fine");
    let sql = format!("select count(*) from entry e where {sql}");
    match database.prepare(&sql) {
        Ok(mut statement) => {
            let count: i64 = statement
                .query_row(rusqlite::params_from_iter(values), |row| row.get(0))
                .expect("each question mark has its value");
            assert_eq!(count, 0);
        }
        // Deep and wide at once: SQLite refuses what is nested too deep, and a search then says so.
        Err(error) => assert!(
            error.to_string().contains("depth") || error.to_string().contains("too many"),
            "{error}"
        ),
    }
}
