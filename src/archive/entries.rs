//! Entries: a tar stream one entry after the other, of which not too much is kept in memory.

use std::cell::Cell;
use std::io::{self, Read};

use super::ArchiveError;
use crate::limits::TAR_HEAD_BYTES_MAX;

/// Hands each entry of a tar stream to `take`. What `take` leaves of an entry is skipped.
///
/// The tar reader keeps the names and attributes that stand before an entry in memory, however long they
/// say they are: a few kilobytes of gzip could ask for all of it. So between two entries only
/// `TAR_HEAD_BYTES_MAX` may be read.
#[expect(clippy::type_complexity, reason = "a name for it would say no more")]
pub fn each_entry(
    stream: impl Read,
    take: &mut dyn FnMut(&mut tar::Entry<'_, Gauge<'_, &mut dyn Read>>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut stream = stream;
    let left = Cell::new(TAR_HEAD_BYTES_MAX);
    let mut archive = tar::Archive::new(Gauge { inner: &mut stream as &mut dyn Read, left: &left });
    for entry in archive.entries().map_err(ArchiveError::Damaged)? {
        let mut entry = entry.map_err(ArchiveError::Damaged)?;
        left.set(u64::MAX);
        take(&mut entry)?;
        io::copy(&mut entry, &mut io::sink()).map_err(ArchiveError::Damaged)?;
        left.set(TAR_HEAD_BYTES_MAX);
    }
    Ok(())
}

/// A stream of which only so much may be read until somebody allows more.
pub struct Gauge<'a, R> {
    inner: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Gauge<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64).ok_or_else(|| {
            io::Error::other(format!(
                "an entry's name and attributes have more than {TAR_HEAD_BYTES_MAX} bytes"
            ))
        })?;
        self.left.set(left);
        Ok(count)
    }
}
