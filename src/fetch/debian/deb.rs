//! Deb: a package file (deb(5)): an ar archive that holds a tar of the package's files.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use crate::archive::{self, Links, Rules, SpecialBits};
use crate::disk;
use crate::limits::PACKAGE_BYTES_MAX;
use crate::store::HeldBlob;
use crate::tree::RelPath;

use super::DebianError;
use super::compression::Compression;

/// Bytes at the start of every ar archive.
const MAGIC: &[u8; 8] = b"!<arch>\n";
/// Members that a package may have; it has three.
const MEMBERS_MAX: usize = 64;
/// Bytes behind a tar's end that are read to see the stream's own end.
const TAIL_BYTES_MAX: u64 = 16 << 20;

/// Unpacks the files of a held package below the existing directory `target`.
///
/// No script of it runs. `keep` says where an entry goes, or `None` for one that is left out.
/// Setuid bits are dropped, and owners are not looked at.
pub fn unpack(
    name: &str,
    deb: &HeldBlob,
    target: &Path,
    keep: &dyn Fn(RelPath) -> Option<RelPath>,
) -> Result<(), DebianError> {
    let mut file = disk::open(deb.path())?;
    let (compression, size) = find_data(name, &mut file)?;
    let damaged = |source| DebianError::Damaged {
        name: name.to_owned(),
        source,
    };
    let data = Whole {
        left: size,
        inner: file,
    };
    let mut stream = compression.reader(data).map_err(damaged)?;
    let rules = Rules {
        bytes_max: PACKAGE_BYTES_MAX,
        links: Links::Anywhere,
        special_bits: SpecialBits::Dropped,
        strip: 0,
    };
    archive::unpack_some(&mut stream, target, &rules, keep).map_err(|source| {
        DebianError::Contents {
            name: name.to_owned(),
            source,
        }
    })?;
    // The tar may end before its stream does; a stream without an end was cut.
    io::copy(&mut stream.take(TAIL_BYTES_MAX), &mut io::sink()).map_err(damaged)?;
    Ok(())
}

/// Goes to the start of `data.tar` and says how it is packed and how long it is.
fn find_data(name: &str, file: &mut File) -> Result<(Compression, u64), DebianError> {
    let not_a_deb = |what: &str| DebianError::NotADeb {
        name: name.to_owned(),
        what: what.to_owned(),
    };
    let damaged = |source| DebianError::Damaged {
        name: name.to_owned(),
        source,
    };
    let mut magic = [0; 8];
    let begins = read_or_end(file, &mut magic).map_err(damaged)?;
    if !begins || &magic != MAGIC {
        return Err(not_a_deb("it does not begin as an ar archive"));
    }
    for place in 0..MEMBERS_MAX {
        let mut header = [0; 60];
        if !read_or_end(file, &mut header).map_err(damaged)? {
            return Err(not_a_deb("it has no data.tar"));
        }
        let (member, size) = read_header(&header).ok_or_else(|| not_a_deb("a bad ar header"))?;
        if place == 0 && member != "debian-binary" {
            return Err(not_a_deb("its first member is not `debian-binary`"));
        }
        if place == 0 {
            let mut format = [0; 2];
            file.read_exact(&mut format).map_err(damaged)?;
            if &format != b"2." {
                return Err(not_a_deb("its format is not 2"));
            }
            file.seek_relative(-2).map_err(damaged)?;
        }
        if let Some(suffix) = member.strip_prefix("data.tar") {
            let compression = Compression::from_suffix(suffix).ok_or_else(|| {
                not_a_deb(&format!("`{member}` is packed in a way that is not known"))
            })?;
            return Ok((compression, size));
        }
        let next = size
            .checked_add(size % 2)
            .and_then(|size| i64::try_from(size).ok());
        let next = next.ok_or_else(|| not_a_deb("a bad ar header"))?;
        file.seek(SeekFrom::Current(next)).map_err(damaged)?;
    }
    Err(not_a_deb("it has too many members"))
}

/// Fills the buffer, or says that the file ended before it.
fn read_or_end(file: &mut File, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads an ar header: the member's name and its bytes.
fn read_header(header: &[u8; 60]) -> Option<(String, u64)> {
    if &header[58..] != b"`\n" {
        return None;
    }
    let name = std::str::from_utf8(&header[..16]).ok()?.trim_end();
    let name = name.strip_suffix('/').unwrap_or(name);
    let size = std::str::from_utf8(&header[48..58]).ok()?.trim_end();
    let is_number = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
    Some((name.to_owned(), size.parse().ok().filter(|_| is_number)?))
}

/// The next bytes of a file, of which none may be missing.
struct Whole {
    left: u64,
    inner: File,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}
