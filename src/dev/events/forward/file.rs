//! File: events as lines of JSON, in a file that gives way to a new one before it grows large.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Outcome, Parcel, Receiver, Trouble};
use crate::disk;

/// Bytes from which on a new file is begun, and older files that stay: `FILE.1` is the newest of them.
const BYTES_MAX: u64 = 16 << 20;
const KEPT: u32 = 4;

pub(super) struct Lines {
    path: PathBuf,
    bytes_max: u64,
    /// The last line may be only half there.
    is_torn: bool,
}

impl Lines {
    pub(super) fn new(path: PathBuf) -> Self {
        // A kill may have come in the middle of a line; an empty one more does no harm.
        let is_torn = size(&path).unwrap_or(0) > 0;
        Self { path, bytes_max: BYTES_MAX, is_torn }
    }

    #[cfg(test)]
    pub(super) fn with_bytes_max(path: PathBuf, bytes_max: u64) -> Self {
        Self { bytes_max, ..Self::new(path) }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    fn give_way(&self) -> Result<(), disk::DiskError> {
        for number in (1..KEPT).rev() {
            if disk::exists(&self.numbered(number)) {
                disk::rename(&self.numbered(number), &self.numbered(number + 1))?;
            }
        }
        disk::rename(&self.path, &self.numbered(1))
    }

    fn write(&self, text: &str) -> Result<(), disk::DiskError> {
        if let Some(above) = self.path.parent() {
            disk::create_dir_all(above)?;
        }
        if size(&self.path)? + text.len() as u64 > self.bytes_max && size(&self.path)? > 0 {
            self.give_way()?;
        }
        let mut file = disk::append(&self.path)?;
        disk::write_all(&mut file, &self.path, text.as_bytes())
    }
}

fn size(path: &Path) -> Result<u64, disk::DiskError> {
    Ok(disk::status(path)?.map_or(0, |status| status.size))
}

impl Receiver for Lines {
    fn send(&mut self, parcels: &[Parcel]) -> Result<Outcome, Trouble> {
        let mut text = if self.is_torn { "\n".to_owned() } else { String::new() };
        for Parcel { id, source, .. } in parcels {
            let rest = source.strip_prefix('{').unwrap_or(source);
            text.push_str(&format!("{{\"_id\":{id},{rest}\n"));
        }
        self.is_torn = true;
        self.write(&text).map_err(Trouble::new)?;
        self.is_torn = false;
        Ok(Outcome::default())
    }

    fn gather(&self) -> Duration {
        Duration::ZERO
    }
}
