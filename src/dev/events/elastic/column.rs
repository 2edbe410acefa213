//! Column: the values of one field in everything that a search found.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::rc::Rc;

use rusqlite::Connection;
use serde_json::{Map, Value};

use super::error::Error;
use super::sql::Condition;
use crate::dev::events::leaf::Number;

/// A value that buckets are made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Number(Number),
    Text(Rc<str>),
    Flag(bool),
}

impl Eq for Cell {}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(Number::Whole(one)), Self::Number(Number::Whole(two))) => one.cmp(two),
            (Self::Number(one), Self::Number(two)) => one.real().total_cmp(&two.real()),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            (Self::Flag(one), Self::Flag(two)) => one.cmp(two),
            (one, two) => one.rank().cmp(&two.rank()),
        }
    }
}

impl Cell {
    fn rank(&self) -> u8 {
        match self {
            Self::Flag(_) => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number.real()),
            _ => None,
        }
    }

    /// Writes it as a bucket's key.
    pub(super) fn key(&self) -> Map<String, Value> {
        let mut key = Map::new();
        match self {
            Self::Number(Number::Whole(number)) => drop(key.insert("key".into(), (*number).into())),
            Self::Number(Number::Real(number)) => drop(key.insert("key".into(), (*number).into())),
            Self::Text(text) => drop(key.insert("key".into(), (**text).into())),
            Self::Flag(flag) => {
                key.insert("key".into(), u8::from(*flag).into());
                key.insert("key_as_string".into(), flag.to_string().into());
            }
        }
        key
    }
}

/// The values of one field: which found entry has which, in order.
#[derive(Debug, Default)]
pub(super) struct Column {
    pub(super) cells: Vec<(u32, Cell)>,
    /// Times of texts that are dates.
    pub(super) times: Vec<(u32, i64)>,
}

impl Column {
    pub(super) fn of<T>(cells: &[(u32, T)], place: u32) -> impl Iterator<Item = &T> {
        let start = cells.partition_point(|(at, _)| *at < place);
        cells[start..].iter().take_while(move |(at, _)| *at == place).map(|(_, cell)| cell)
    }
}

/// Gets the values of one field from all entries that were found.
pub(super) fn column(
    database: &Connection,
    condition: &Condition,
    path: &str,
    ids: &[i64],
) -> Result<Column, Error> {
    let sql = format!(
        "select e.id, l.text, l.number, l.words is null from entry e join leaf l on l.entry = e.id \
         where l.path = ? and ({}) order by e.id, l.place",
        condition.sql
    );
    let path = rusqlite::types::Value::from(path.to_owned());
    let values = rusqlite::params_from_iter(std::iter::once(&path).chain(&condition.values));
    let mut statement = database.prepare(&sql)?;
    let mut rows = statement.query(values)?;
    let mut known: BTreeSet<Rc<str>> = BTreeSet::new();
    let mut column = Column::default();
    while let Some(row) = rows.next()? {
        let Ok(place) = ids.binary_search(&row.get(0)?) else { continue };
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        let (text, is_plain): (Option<String>, bool) = (row.get(1)?, row.get(3)?);
        let number = match row.get(2)? {
            rusqlite::types::Value::Integer(whole) => Some(Number::Whole(whole)),
            rusqlite::types::Value::Real(real) => Some(Number::Real(real)),
            _ => None,
        };
        if let Some(Number::Whole(ms)) = number {
            column.times.push((place, ms));
        }
        let cell = match (text, number) {
            (Some(text), _) if is_plain => Cell::Flag(text == "true"),
            (Some(text), _) => {
                let text: Rc<str> = text.into();
                let shared = known.get(&text).cloned().unwrap_or_else(|| Rc::clone(&text));
                known.insert(Rc::clone(&shared));
                Cell::Text(shared)
            }
            (None, Some(number)) => Cell::Number(number),
            (None, None) => continue,
        };
        column.cells.push((place, cell));
    }
    Ok(column)
}
