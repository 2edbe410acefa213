//! Mirrors that are directories: `file://` addresses and plain paths.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use crate::disk::{self, DiskError};

use super::{HttpError, Request};

/// Returns the path that an address means, if it is one of this machine.
pub(super) fn path(url: &str) -> Option<PathBuf> {
    if url.starts_with('/') {
        return Some(PathBuf::from(url));
    }
    let rest = url.strip_prefix("file://")?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    rest.starts_with('/')
        .then(|| PathBuf::from(OsString::from_vec(decode_percent(rest.as_bytes()))))
}

fn decode_percent(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let pair = (digit(text.get(at + 1)), digit(text.get(at + 2)));
        if let (b'%', (Some(high), Some(low))) = (text[at], pair) {
            bytes.push(u8::try_from(high * 16 + low).expect("two hex digits fit in a byte"));
            at += 3;
        } else {
            bytes.push(text[at]);
            at += 1;
        }
    }
    bytes
}

/// Reads a whole file of a mirror.
pub(super) fn read(request: &Request<'_>, path: &Path) -> Result<Vec<u8>, HttpError> {
    disk::read(path, request.limit).map_err(|error| explain(request, path, error))
}

/// Copies a file of a mirror to a new file.
pub(super) fn copy(request: &Request<'_>, from: &Path, into: &Path) -> Result<u64, HttpError> {
    let status = disk::status(from)?.ok_or_else(|| gone(request, from))?;
    if status.size > request.limit {
        return Err(too_large(request));
    }
    disk::copy_file(from, into, false).map_err(|error| explain(request, from, error))?;
    Ok(status.size)
}

/// Makes the error of a file that the mirror lacks. It names the mirror: the address is right elsewhere.
fn gone(request: &Request<'_>, path: &Path) -> HttpError {
    HttpError::Gone { name: request.name.to_owned(), url: path.display().to_string(), status: 404 }
}

fn explain(request: &Request<'_>, path: &Path, error: DiskError) -> HttpError {
    match error {
        DiskError::TooLarge { .. } => too_large(request),
        error if error.is_not_found() => gone(request, path),
        error => error.into(),
    }
}

fn too_large(request: &Request<'_>) -> HttpError {
    HttpError::TooLarge { name: request.name.to_owned(), limit: request.limit }
}
