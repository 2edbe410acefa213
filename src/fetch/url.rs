//! Url: tarballs that are named by their address and SHA-256.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use thiserror::Error;

use crate::archive::{self, ArchiveError, Links, Rules, SpecialBits};
use crate::digest::{Digest, Hashing};
use crate::disk::{self, DiskError};
use crate::event::Observer;
use crate::explain::{Blame, Explain};
use crate::http::{Http, HttpError, Request};
use crate::limits::{DOWNLOAD_BYTES_MAX, SOURCE_BYTES_MAX, XZ_MEMORY_BYTES_MAX};
use crate::store::{HeldTree, Store, StoreError};

/// A tarball.
#[derive(Debug, Clone, Copy)]
pub struct Tarball<'a> {
    /// The application's name, for people.
    pub app: &'a str,
    /// Its address, before mirrors.
    pub url: &'a str,
    /// SHA-256 of the file.
    pub sha256: Digest,
}

/// A tarball is not what it should be.
#[derive(Debug, Error)]
pub enum UrlError {
    /// It is another file.
    #[error(
        "`{url}`, the source of `{app}`, is not the promised file\n  promised: {promised}\n  received: {received}"
    )]
    Mismatch {
        /// The application.
        app: String,
        /// The address.
        url: String,
        /// The promised digest.
        promised: Digest,
        /// The digest of what came.
        received: Digest,
    },
    /// Its inside is refused.
    #[error("`{url}`, the source of `{app}`, is refused")]
    Archive {
        /// The application.
        app: String,
        /// The address.
        url: String,
        /// What is wrong.
        #[source]
        source: ArchiveError,
    },
    /// The web refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for UrlError {
    fn blame(&self) -> Blame {
        match self {
            Self::Mismatch { .. } | Self::Archive { .. } => Blame::World,
            Self::Http(error) => error.blame(),
            Self::Store(error) => error.blame(),
            Self::Disk(error) => error.blame(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Mismatch { app, .. } => Some(format!(
                "the file was replaced upstream; look, then `rebeam lock --update {app}`"
            )),
            Self::Archive { .. } => None,
            Self::Http(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Disk(error) => error.hint(),
        }
    }
}

/// Fetches a tarball and takes its files into the store; with `promised` they must be that tree.
///
/// Plain, gzip, xz and zstd are told apart by their first bytes. One directory that holds
/// everything is cut from every name.
pub fn checkout(
    tarball: &Tarball<'_>,
    store: &Store,
    http: &Http,
    observer: &dyn Observer,
    promised: Option<Digest>,
) -> Result<HeldTree, UrlError> {
    let scratch = store.scratch()?;
    let file = scratch.path().join("tarball");
    let request =
        Request { name: tarball.app, url: tarball.url, limit: DOWNLOAD_BYTES_MAX, headers: &[] };
    http.download(&request, &file, observer)?;
    let mut hashing = Hashing::new(io::sink());
    io::copy(&mut disk::open(&file)?, &mut hashing).map_err(disk::refused("read", &file))?;
    let received = hashing.finish().1;
    let (app, url) = (tarball.app.to_owned(), tarball.url.to_owned());
    if received != tarball.sha256 {
        let promised = tarball.sha256;
        return Err(UrlError::Mismatch { app, url, promised, received });
    }
    let root = scratch.path().join("tree");
    unpack(&file, &root).map_err(|source| UrlError::Archive { app, url, source })?;
    Ok(store.insert_tree(tarball.app, &root, promised)?)
}

/// Unpacks the tarball at `file` below `root`, which is made.
pub(super) fn unpack(file: &Path, root: &Path) -> Result<(), ArchiveError> {
    let strip = usize::from(has_one_top(opened(file)?)?);
    let rules = Rules {
        bytes_max: SOURCE_BYTES_MAX,
        links: Links::Inside,
        special_bits: SpecialBits::Refused,
        strip,
    };
    disk::create_dir(root)?;
    archive::unpack(opened(file)?, root, &rules, &|path| path)
}

/// Opens a tarball as a plain tar stream, bounded.
fn opened(file: &Path) -> Result<Box<dyn Read>, ArchiveError> {
    let mut magic = Vec::new();
    let first = disk::open(file)?.take(6).read_to_end(&mut magic);
    first.map_err(ArchiveError::Damaged)?;
    let stream = disk::open(file)?;
    let plain: Box<dyn Read> = match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(io::BufReader::new(stream))),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            let decoder = Stream::new_stream_decoder(XZ_MEMORY_BYTES_MAX, CONCATENATED);
            let decoder = decoder.map_err(|error| ArchiveError::Damaged(error.into()))?;
            Box::new(liblzma::read::XzDecoder::new_stream(stream, decoder))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::stream::read::Decoder::new(stream).map_err(ArchiveError::Damaged)?)
        }
        _ => Box::new(stream),
    };
    // Headers and padding come on top of the files' bytes; the unpacker counts the files themselves.
    Ok(Box::new(plain.take(SOURCE_BYTES_MAX + SOURCE_BYTES_MAX / 4)))
}

/// Tells whether everything stands below one directory.
fn has_one_top(stream: impl Read) -> Result<bool, ArchiveError> {
    let mut tops = BTreeSet::new();
    let mut is_flat = false;
    archive::each_entry(stream, &mut |entry| {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() || is_flat {
            return Ok(());
        }
        let name = entry.path_bytes();
        let mut parts =
            name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
        if let Some(first) = parts.next() {
            let is_directory = kind.is_dir() || parts.next().is_some();
            tops.insert(first.to_vec());
            is_flat = !is_directory || tops.len() > 1;
        }
        Ok(())
    })?;
    Ok(!is_flat && tops.len() == 1)
}
