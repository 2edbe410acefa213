//! Reserve: room on the disk that is given back when the disk is full, so that `gc` can then still work.
//!
//! Removing things needs a little room first: the index writes down what goes. The reserve is a file of
//! zeros (where the file system packs those away, the reserve is no use and does no harm).

use std::path::Path;

use rusqlite::ErrorCode;

use crate::disk;

use super::error::StoreError;

const FILE_NAME: &str = "reserve";
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS: usize = 16;

/// Puts as much aside as there is, up to the reserve's size.
pub(super) fn keep(root: &Path) {
    let path = root.join(FILE_NAME);
    if disk::exists(&path) {
        return;
    }
    let Ok(mut file) = disk::create_new(&path, false) else {
        return;
    };
    for _ in 0..CHUNKS {
        if disk::write_all(&mut file, &path, &[0; CHUNK_BYTES]).is_err() {
            return;
        }
    }
}

/// Gives the reserve back; tells whether there was one.
pub(super) fn release(root: &Path) -> bool {
    let path = root.join(FILE_NAME);
    disk::exists(&path) && disk::remove_file(&path).is_ok()
}

/// Tells whether the reserve could help against an error.
pub(super) fn helps(error: &StoreError) -> bool {
    let full = [ErrorCode::DiskFull, ErrorCode::SystemIoFailure];
    match error {
        StoreError::Index(error) => {
            error.sqlite_error_code().is_some_and(|code| full.contains(&code))
        }
        StoreError::Disk(error) => error.is_full(),
        _ => false,
    }
}
