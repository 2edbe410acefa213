//! Messages: what things said, normalised, kept, and read back.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, Row, params};

use super::entries::Page;
use super::model::{Model, now_s};
use super::senml::{self, Format, Measured, Record};
use super::wrong::Result;
use crate::limits::{THINGS_MESSAGES_BYTES_MAX, THINGS_MESSAGES_MAX, THINGS_READ_MAX};

/// Rows that go at once when there are too many.
const GOING: i64 = 1000;
/// Bytes that a row takes beside its texts.
const ROW_BYTES: usize = 100;
const COLUMNS: &str = "subtopic, publisher, protocol, name, unit, value, string_value, bool_value,
    data_value, value_sum, time, update_time, link";

/// A message as an adapter took it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) channel: &'a str,
    pub(super) subtopic: &'a str,
    pub(super) publisher: &'a str,
    pub(super) protocol: &'a str,
    pub(super) content_type: &'a str,
    pub(super) payload: &'a [u8],
}

/// A record that is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) subtopic: String,
    pub(super) publisher: String,
    pub(super) protocol: String,
    pub(super) record: Record,
}

/// Which messages are asked for; an empty subtopic asks for those without one.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) subtopic: Option<String>,
    pub(super) publisher: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) name: Option<String>,
}

impl Model {
    /// Keeps the records of a message, if it is a pack of SenML; returns how many they were. Where it cannot, the stack
    /// says so until it can again.
    pub(super) fn keep(&self, raw: Raw<'_>) -> Result<usize> {
        let kept = self.write(raw);
        self.set_trouble(kept.err().map(|wrong| wrong.reason().to_owned()));
        kept
    }

    fn write(&self, raw: Raw<'_>) -> Result<usize> {
        let format = Format::of(raw.content_type);
        let Some(records) = senml::normalise(raw.payload, format, now_s()) else { return Ok(0) };
        if records.is_empty() {
            return Ok(0);
        }
        let mut database = self.database();
        let change = database.transaction()?;
        let mut bytes = 0;
        for record in &records {
            bytes += insert(&change, raw, record)?;
        }
        change.commit()?;
        self.messages_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.make_room(&database)?;
        Ok(records.len())
    }

    /// Removes the oldest messages while there are more than may be.
    fn make_room(&self, database: &Connection) -> Result<()> {
        loop {
            let ends = "select coalesce(min(number), 0), coalesce(max(number), 0) from messages";
            let (first, last): (i64, i64) =
                database.query_row(ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let count = (last - first + 1).unsigned_abs();
            let bytes = self.messages_bytes.load(Ordering::Relaxed);
            if last == first || (count <= THINGS_MESSAGES_MAX && bytes <= THINGS_MESSAGES_BYTES_MAX)
            {
                return Ok(());
            }
            // Never all of them: what was kept just now is there to be read.
            let until = (first + GOING).min(last);
            let sum = "select coalesce(sum(bytes), 0) from messages where number < ?1";
            let gone: i64 = database.query_row(sum, [until], |row| row.get(0))?;
            database.execute("delete from messages where number < ?1", [until])?;
            self.messages_bytes.fetch_sub(gone.unsigned_abs().min(bytes), Ordering::Relaxed);
        }
    }

    /// Reads messages of a channel back, the newest first. The total counts the channel's, or the subtopic's.
    pub(super) fn read(
        &self,
        channel: &str,
        query: &Query,
        offset: u64,
        limit: u64,
    ) -> Result<Page<Kept>> {
        let channel = channel.to_ascii_lowercase();
        let database = self.database();
        let counted = query.subtopic.as_ref().filter(|subtopic| !subtopic.is_empty());
        let sql =
            "select count(*) from messages where channel = ?1 and (?2 is null or subtopic = ?2)";
        let total: i64 =
            database.prepare_cached(sql)?.query_row(params![channel, counted], |row| row.get(0))?;
        let sql = format!(
            "select {COLUMNS} from messages where channel = ?1
            and (?2 is null or subtopic = ?2) and (?3 is null or publisher = ?3)
            and (?4 is null or protocol = ?4) and (?5 is null or name = ?5)
            order by time desc, number desc limit ?6 offset ?7"
        );
        let limit = limit.min(THINGS_READ_MAX);
        let Query { subtopic, publisher, protocol, name } = query;
        let (most, from) = (i64::try_from(limit).ok(), i64::try_from(offset).unwrap_or(i64::MAX));
        let asked = params![channel, subtopic, publisher, protocol, name, most, from];
        let mut statement = database.prepare_cached(&sql)?;
        let items = statement.query_map(asked, kept)?.collect::<rusqlite::Result<_>>()?;
        Ok(Page { total: total.unsigned_abs(), offset, limit, items })
    }
}

fn insert(database: &Connection, raw: Raw<'_>, record: &Record) -> Result<u64> {
    let (mut value, mut text, mut flag, mut data) = (None, None, None, None);
    let length = match &record.measured {
        Measured::Number(number) => {
            value = Some(*number);
            0
        }
        Measured::Text(string) => text.insert(string).len(),
        Measured::Flag(is_set) => {
            flag = Some(*is_set);
            0
        }
        Measured::Data(string) => data.insert(string).len(),
    };
    let texts =
        [raw.channel, raw.subtopic, raw.publisher, &record.name, &record.unit, &record.link];
    let bytes = ROW_BYTES + length + texts.iter().map(|text| text.len()).sum::<usize>();
    let sql = "insert into messages (channel, subtopic, publisher, protocol, name, unit, value,
            string_value, bool_value, data_value, value_sum, time, update_time, link, bytes)
        values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    database.prepare_cached(sql)?.execute(params![
        raw.channel.to_ascii_lowercase(),
        raw.subtopic,
        raw.publisher,
        raw.protocol,
        record.name,
        record.unit,
        value,
        text,
        flag,
        data,
        record.sum,
        record.time,
        record.update_time,
        record.link,
        i64::try_from(bytes).unwrap_or(i64::MAX),
    ])?;
    Ok(bytes)
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let number: Option<f64> = row.get(5)?;
    let text: Option<String> = row.get(6)?;
    let flag: Option<bool> = row.get(7)?;
    let data: Option<String> = row.get(8)?;
    let measured = match (number, text, flag) {
        (Some(number), _, _) => Measured::Number(number),
        (None, Some(text), _) => Measured::Text(text),
        (None, None, Some(flag)) => Measured::Flag(flag),
        (None, None, None) => Measured::Data(data.unwrap_or_default()),
    };
    Ok(Kept {
        subtopic: row.get(0)?,
        publisher: row.get(1)?,
        protocol: row.get(2)?,
        record: Record {
            name: row.get(3)?,
            unit: row.get(4)?,
            measured,
            sum: row.get(9)?,
            time: row.get(10)?,
            update_time: row.get(11)?,
            link: row.get(12)?,
        },
    })
}
