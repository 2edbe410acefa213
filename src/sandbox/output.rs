//! Output: what a command prints, cut into lines of bounded length and kept in a bounded log.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::disk::{self, DiskError};
use crate::limits::{STEP_LOG_BYTES_MAX, STEP_LOG_TAIL_LINES};

/// Bytes of a line; longer ones are cut into several.
const LINE_BYTES_MAX: usize = 4096;

/// Cuts bytes into lines.
#[derive(Default)]
pub(super) struct Lines {
    open: Vec<u8>,
}

impl Lines {
    /// Takes bytes and gives each line that is complete with them.
    pub(super) fn take(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(&str)) {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(mut piece) = pieces.next() {
            while self.open.len() + piece.len() > LINE_BYTES_MAX {
                let (now, later) = piece.split_at(LINE_BYTES_MAX - self.open.len());
                self.open.extend_from_slice(now);
                self.give(on_line);
                piece = later;
            }
            self.open.extend_from_slice(piece);
            if pieces.peek().is_some() {
                self.give(on_line);
            }
        }
    }

    /// Gives what stands behind the last line break.
    pub(super) fn finish(mut self, on_line: &mut dyn FnMut(&str)) {
        if !self.open.is_empty() {
            self.give(on_line);
        }
    }

    fn give(&mut self, on_line: &mut dyn FnMut(&str)) {
        let line = String::from_utf8_lossy(&self.open);
        on_line(line.trim_end_matches('\r'));
        self.open.clear();
    }
}

/// The log of a command: its first half is written as it comes, its last half is kept in memory until
/// the end, and what lies between them is dropped and counted.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    half_bytes: u64,
    head_bytes: u64,
    tail: VecDeque<u8>,
    dropped_bytes: u64,
    last_lines: VecDeque<String>,
}

impl Log {
    /// Starts a log, in the place of an older one.
    pub(super) fn create(path: &Path) -> Result<Self, DiskError> {
        Self::with_bound(path, STEP_LOG_BYTES_MAX)
    }

    fn with_bound(path: &Path, bytes_max: u64) -> Result<Self, DiskError> {
        if disk::exists(path) {
            disk::remove_file(path)?;
        }
        Ok(Self {
            path: path.to_owned(),
            file: disk::create_new(path, false)?,
            half_bytes: bytes_max / 2,
            head_bytes: 0,
            tail: VecDeque::new(),
            dropped_bytes: 0,
            last_lines: VecDeque::new(),
        })
    }

    /// Keeps a line.
    pub(super) fn line(&mut self, line: &str) -> Result<(), DiskError> {
        if self.last_lines.len() == STEP_LOG_TAIL_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.to_owned());
        let bytes = line.len() as u64 + 1;
        if self.tail.is_empty() && self.head_bytes + bytes <= self.half_bytes {
            self.head_bytes += bytes;
            let text = format!("{line}\n");
            return disk::write_all(&mut self.file, &self.path, text.as_bytes());
        }
        self.tail.extend(line.as_bytes());
        self.tail.push_back(b'\n');
        while self.tail.len() as u64 > self.half_bytes {
            let end = self.tail.iter().position(|byte| *byte == b'\n');
            let first = end.map_or(self.tail.len(), |end| end + 1);
            self.tail.drain(..first);
            self.dropped_bytes += first as u64;
        }
        Ok(())
    }

    /// Writes what is left and gives the last lines.
    pub(super) fn finish(mut self) -> Result<Vec<String>, DiskError> {
        if self.dropped_bytes > 0 {
            let note = format!("... {} bytes were left out here ...\n", self.dropped_bytes);
            disk::write_all(&mut self.file, &self.path, note.as_bytes())?;
        }
        let tail = self.tail.make_contiguous();
        disk::write_all(&mut self.file, &self.path, tail)?;
        Ok(self.last_lines.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        for piece in pieces {
            lines.take(piece, &mut |line| seen.push(line.to_owned()));
        }
        lines.finish(&mut |line| seen.push(line.to_owned()));
        seen
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let whole: &[u8] = b"one\r\ntwo\n\nthree";
        let expected = ["one", "two", "", "three"];
        assert_eq!(cut(&[whole]), expected);
        for at in 0..whole.len() {
            assert_eq!(cut(&[&whole[..at], &whole[at..]]), expected);
        }
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(cut(&bytes), expected);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let long = vec![b'x'; LINE_BYTES_MAX * 3 + 5];
        let lines = cut(&[&long]);
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX));
        assert_eq!(lines.concat().len(), long.len());
    }

    #[test]
    fn a_log_keeps_its_ends_and_drops_its_middle() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        let mut log = Log::with_bound(&path, 2000).unwrap();
        for number in 0..1000 {
            log.line(&format!("line {number}")).unwrap();
        }
        let tail = log.finish().unwrap();
        assert_eq!(tail.len(), STEP_LOG_TAIL_LINES);
        assert_eq!(tail.last().unwrap(), "line 999");
        let text = disk::read_text(&path, 4000).unwrap();
        assert!(text.len() < 2100, "{}", text.len());
        assert!(text.starts_with("line 0\nline 1\n"));
        assert!(text.ends_with("line 998\nline 999\n"));
        assert!(text.contains(" bytes were left out here "));
    }

    #[test]
    fn a_short_log_is_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        let mut log = Log::create(&path).unwrap();
        log.line("one").unwrap();
        log.line("two").unwrap();
        assert_eq!(log.finish().unwrap(), ["one", "two"]);
        assert_eq!(disk::read_text(&path, 100).unwrap(), "one\ntwo\n");
    }
}
