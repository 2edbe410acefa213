//! Log: what each service says, a line with its time, in files that are turned over and bounded.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::dev::error::DevError;
use crate::dev::ring::Ring;
use crate::disk;
use crate::image::rfc3339;
use crate::limits::{SERVICE_LOG_BYTES_MAX, SERVICE_LOG_FILES, SERVICES_SAID_BYTES_MAX};

/// Lines that are told of a service that failed.
const LAST_LINES: usize = 20;
/// Letters of the time before each line: `2026-11-22T08:00:00.123Z `.
const TIME_LEN: usize = 24;
/// Bytes that are read of a log at once while it is followed.
const PIECE_BYTES: u64 = 1 << 20;
/// What a line takes in memory beside its text.
const LINE_BYTES: usize = 128;

/// The logs of one stack's services.
#[derive(Debug, Clone)]
pub struct Logs {
    directory: PathBuf,
    /// What was said in this process, for those in it who follow.
    said: Arc<Ring<Line>>,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When, as RFC 3339 with milliseconds.
    pub time: String,
    /// Which service.
    pub service: String,
    /// What it said.
    pub text: String,
}

impl Logs {
    /// The logs below a stack's directory.
    pub fn of(place: &Path) -> Self {
        let said = Arc::new(Ring::new(SERVICES_SAID_BYTES_MAX));
        Self { directory: place.join("logs"), said }
    }

    /// Returns the newest file of a service's log.
    pub fn path(&self, service: &str) -> PathBuf {
        self.directory.join(format!("{service}.log"))
    }

    fn former(&self, service: &str, turn: u32) -> PathBuf {
        self.directory.join(format!("{service}.log.{turn}"))
    }

    /// Returns the names of services that have a log.
    pub fn services(&self) -> Result<Vec<String>, DevError> {
        if !disk::exists(&self.directory) {
            return Ok(Vec::new());
        }
        let names = disk::list(&self.directory)?.into_iter();
        let names = names.filter_map(|name| String::from_utf8(name).ok());
        Ok(names.filter_map(|name| Some(name.strip_suffix(".log")?.to_owned())).collect())
    }

    /// Opens a service's log for writing.
    pub(in crate::dev) fn writer(&self, service: &str) -> Result<Writer, DevError> {
        disk::create_dir_all(&self.directory)?;
        let file = disk::append(&self.path(service))?;
        Ok(Writer { logs: self.clone(), service: service.to_owned(), file: Some(file) })
    }

    /// Reads all of a service's log, the oldest line first.
    pub fn lines(&self, service: &str) -> Result<Vec<Line>, DevError> {
        let mut lines = self.newest(service, usize::MAX, |_| true)?;
        lines.reverse();
        Ok(lines)
    }

    /// Reads the newest lines of a service's log that are wanted, the newest first, and no file more than that takes.
    pub(in crate::dev) fn newest(
        &self,
        service: &str,
        count: usize,
        is_wanted: impl Fn(&Line) -> bool,
    ) -> Result<Vec<Line>, DevError> {
        let mut lines = Vec::new();
        let former = (1..SERVICE_LOG_FILES).map(|turn| self.former(service, turn));
        for path in [self.path(service)].into_iter().chain(former) {
            if lines.len() < count && disk::exists(&path) {
                // A line may be written while this reads.
                let text = disk::read(&path, 2 * SERVICE_LOG_BYTES_MAX)?;
                let text = String::from_utf8_lossy(&text);
                let found = text.lines().rev().map(|line| parse(service, line)).filter(&is_wanted);
                lines.extend(found.take(count - lines.len()));
            }
        }
        Ok(lines)
    }

    /// What was said in this process, for those in it who follow.
    pub(in crate::dev) fn said(&self) -> &Ring<Line> {
        &self.said
    }

    /// Returns what a service said last.
    pub(super) fn last_lines(&self, service: &str, since: &str) -> Result<Vec<String>, DevError> {
        let mut lines = self.lines(service)?;
        lines.retain(|line| line.time.as_str() >= since);
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].iter();
        Ok(last.map(|line| line.text.clone()).collect())
    }

    /// Begins to follow a service's log at its end.
    pub fn follow(&self, service: &str) -> Result<Follow, DevError> {
        let path = self.path(service);
        let at = disk::status(&path)?.map_or(0, |status| status.size);
        Ok(Follow { path, service: service.to_owned(), at, open: Vec::new() })
    }
}

/// Returns the time as a line begins with it.
pub(super) fn now() -> String {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = rfc3339(since_1970.as_secs());
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), since_1970.subsec_millis())
}

/// A place in a service's log up to which it was read.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    service: String,
    at: u64,
    open: Vec<u8>,
}

impl Follow {
    /// Returns the lines that were written since the last time.
    pub fn news(&mut self) -> Result<Vec<Line>, DevError> {
        let size = disk::status(&self.path)?.map_or(0, |status| status.size);
        if size < self.at {
            // It was turned over, and what was said last before that is in the former file.
            let former = self.path.with_added_extension("1");
            if disk::exists(&former) {
                self.open.extend(piece(&former, self.at, 2 * SERVICE_LOG_BYTES_MAX)?);
            }
            self.at = 0;
        }
        if size > self.at {
            let bytes = piece(&self.path, self.at, PIECE_BYTES)?;
            self.at += bytes.len() as u64;
            self.open.extend(bytes);
        }
        let Some(end) = self.open.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        let whole: Vec<u8> = self.open.drain(..=end).collect();
        let text = String::from_utf8_lossy(&whole);
        Ok(text.lines().map(|line| parse(&self.service, line)).collect())
    }
}

/// Reads at most so many bytes of a file from a place on.
fn piece(path: &Path, at: u64, most: u64) -> Result<Vec<u8>, DevError> {
    let mut file = disk::open(path)?;
    let mut read = || -> std::io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        (&mut file).take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    Ok(read().map_err(disk::refused("read", path))?)
}

fn parse(service: &str, line: &str) -> Line {
    let (time, text) = match line.split_at_checked(TIME_LEN) {
        Some((time, rest)) if time.ends_with('Z') => (time, rest.strip_prefix(' ').unwrap_or(rest)),
        _ => ("", line),
    };
    Line { time: time.to_owned(), service: service.to_owned(), text: text.to_owned() }
}

/// Writes one service's log.
#[derive(Debug)]
pub(in crate::dev) struct Writer {
    logs: Logs,
    service: String,
    /// None where the disk refused: a log never ends what it is about.
    file: Option<File>,
}

impl Writer {
    /// A second writer of the same log, for what runs beside the service.
    pub(super) fn beside(&self) -> Self {
        let file = disk::append(&self.logs.path(&self.service)).ok();
        Self { logs: self.logs.clone(), service: self.service.clone(), file }
    }

    /// Writes what rebeam itself has to say of the service.
    pub(super) fn note(&mut self, text: &str) {
        self.line(&format!("rebeam: {text}"));
    }

    /// Writes a line, and tells those who follow.
    pub(in crate::dev) fn line(&mut self, text: &str) {
        // Nobody's colours or bells reach a terminal by way of a log.
        let plain = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        let text: String = text.chars().map(plain).collect();
        let line = Line { time: now(), service: self.service.clone(), text };
        // In this order: who finds it among what was said finds it in the file.
        self.write(&line);
        let bytes = LINE_BYTES + line.text.len();
        self.logs.said.push(line, bytes);
    }

    fn write(&mut self, line: &Line) {
        let path = self.logs.path(&self.service);
        let Some(file) = &mut self.file else {
            self.file = disk::append(&path).ok();
            return;
        };
        let text = format!("{} {}\n", line.time, line.text);
        let written = disk::write_all(file, &path, text.as_bytes());
        let size = disk::status(&path).ok().flatten().map_or(0, |status| status.size);
        if written.is_err() || size > SERVICE_LOG_BYTES_MAX {
            self.file = None;
            self.turn_over();
        }
    }

    fn turn_over(&mut self) {
        for turn in (1..SERVICE_LOG_FILES).rev() {
            let from = match turn {
                1 => self.logs.path(&self.service),
                _ => self.logs.former(&self.service, turn - 1),
            };
            if disk::exists(&from) {
                // What cannot be moved is written on; the next line tries again.
                let _ = disk::rename(&from, &self.logs.former(&self.service, turn));
            }
        }
        self.file = disk::append(&self.logs.path(&self.service)).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_turned_over_and_never_larger_than_its_files() {
        let place = tempfile::tempdir().unwrap();
        let logs = Logs::of(place.path());
        let mut writer = logs.writer("db").unwrap();
        let text = "x".repeat(4000);
        let lines = SERVICE_LOG_BYTES_MAX / 4000 * (u64::from(SERVICE_LOG_FILES) + 1);
        for _ in 0..lines {
            writer.line(&text);
        }
        writer.line("the last");
        let files = disk::list(&place.path().join("logs")).unwrap();
        assert_eq!(files.len(), SERVICE_LOG_FILES as usize);
        for name in files {
            let path = place.path().join("logs").join(String::from_utf8(name).unwrap());
            let size = disk::status(&path).unwrap().unwrap().size;
            assert!(size <= SERVICE_LOG_BYTES_MAX + 4100, "{size}");
        }
        assert_eq!(logs.last_lines("db", "").unwrap().last().unwrap(), "the last");
        assert_eq!(logs.services().unwrap(), ["db"]);
    }

    #[test]
    fn lines_that_come_later_are_followed_over_a_turn() {
        let place = tempfile::tempdir().unwrap();
        let logs = Logs::of(place.path());
        let mut writer = logs.writer("db").unwrap();
        writer.line("before");
        let mut follow = logs.follow("db").unwrap();
        assert_eq!(follow.news().unwrap(), []);
        writer.line("one\u{1b}[31m");
        let news = follow.news().unwrap();
        assert_eq!(news[0].text, "one\u{fffd}[31m");
        assert!(news[0].time.ends_with('Z') && news[0].time.len() == TIME_LEN);
        writer.line("not seen before the turn");
        writer.turn_over();
        writer.line("two");
        let texts: Vec<String> = follow.news().unwrap().into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["not seen before the turn", "two"]);
    }
}
