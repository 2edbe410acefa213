//! A package's tarball: a tar of `VERSION`, `CHECKSUM`, `metadata.config` and `contents.tar.gz`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use crate::archive::{self, ArchiveError, Links, Rules, SpecialBits};
use crate::digest::Digest;
use crate::disk;
use crate::limits::{HEX_CONTENTS_BYTES_MAX, HEX_TARBALL_BYTES_MAX};

/// The parts that every tarball has.
const PARTS: [&str; 4] = ["VERSION", "CHECKSUM", "metadata.config", "contents.tar.gz"];
/// The one version of the format.
const FORMAT: &[u8] = b"3";

/// Why a tarball was refused.
#[derive(Debug)]
pub(super) enum Refused {
    /// It lacks a part, or a part is not what it should be.
    Malformed(&'static str),
    /// Its inside is refused.
    Archive(ArchiveError),
}

impl<E: Into<ArchiveError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Archive(error.into())
    }
}

/// Unpacks the tarball at `path` below `into`, which is made; with `inner` that checksum must be right.
///
/// Beside the contents stands `hex_metadata.config`, as rebar3 and Mix write it: rebar3 takes the version
/// of a package that says `{vsn, git}` from there.
pub(super) fn unpack(path: &Path, into: &Path, inner: Option<Digest>) -> Result<(), Refused> {
    let parts = parts(path)?;
    if parts["VERSION"] != FORMAT {
        return Err(Refused::Malformed("its format is not version 3"));
    }
    let mut hasher = Sha256::new();
    for part in ["VERSION", "metadata.config", "contents.tar.gz"] {
        hasher.update(&parts[part]);
    }
    let found = Digest::from_bytes(hasher.finalize().into());
    let written = String::from_utf8_lossy(&parts["CHECKSUM"]).trim().to_ascii_lowercase();
    if written != found.hex() || inner.is_some_and(|inner| inner != found) {
        return Err(Refused::Malformed("its inner checksum is wrong"));
    }
    disk::create_dir(into)?;
    let rules = Rules {
        bytes_max: HEX_CONTENTS_BYTES_MAX,
        links: Links::Inside,
        special_bits: SpecialBits::Refused,
        strip: 0,
    };
    let contents = MultiGzDecoder::new(parts["contents.tar.gz"].as_slice());
    archive::unpack(contents, into, &rules, &|path| path)?;
    let metadata = into.join("hex_metadata.config");
    disk::remove_file(&metadata)?;
    let mut file = disk::create_new(&metadata, false)?;
    Ok(disk::write_all(&mut file, &metadata, &parts["metadata.config"])?)
}

fn parts(path: &Path) -> Result<BTreeMap<&'static str, Vec<u8>>, Refused> {
    let file = disk::open(path)?.take(HEX_TARBALL_BYTES_MAX);
    let mut parts = BTreeMap::new();
    let damaged = |error: io::Error| Refused::Archive(ArchiveError::Damaged(error));
    for entry in tar::Archive::new(file).entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path_bytes().into_owned();
        let part = PARTS.into_iter().find(|part| part.as_bytes() == name);
        let part = part.ok_or(Refused::Malformed("it has a part that no package has"))?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(damaged)?;
        if parts.insert(part, bytes).is_some() {
            return Err(Refused::Malformed("it has a part twice"));
        }
    }
    if parts.len() < PARTS.len() {
        return Err(Refused::Malformed("it lacks a part"));
    }
    Ok(parts)
}
