//! Index: a suite's packages, by way of its signed table of contents.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use crate::digest::Digest;
use crate::event::Observer;
use crate::http::{Http, Request};
use crate::limits::INDEX_BYTES_MAX;

use super::compression::Compression;
use super::control::{Paragraph, Relation, paragraphs};
use super::keep::Pins;
use super::mirror::Mirror;
use super::release::{self, Release, Trust};
use super::{DebianError, version};

/// Bytes of an `InRelease`; Debian's own have 150,000.
const RELEASE_BYTES_MAX: u64 = 16 << 20;

/// The text of one suite's `Packages`.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) suite: String,
    pub(super) text: String,
}

/// Fetches a suite's index and believes it only if an archive key has signed for it.
pub(super) fn fetch(
    suite: &str,
    architecture: &str,
    trust: &Trust,
    web: (&Http, &dyn Observer),
) -> Result<Index, DebianError> {
    let file = format!("main/binary-{architecture}/Packages.xz");
    let packed = fetch_file(suite, &file, trust, web)?;
    Ok(Index { suite: suite.into(), text: unpack(&format!("{suite} Packages"), &packed)? })
}

/// Fetches one of a suite's index files as it is packed, and believes it in the same way.
pub(super) fn fetch_file(
    suite: &str,
    file: &str,
    trust: &Trust,
    (http, observer): (&Http, &dyn Observer),
) -> Result<Vec<u8>, DebianError> {
    let base = format!("{}/dists/{suite}", Mirror::of_suite(suite).base(http)?);
    let get = |name: &str, url: &str, limit: u64| {
        let request = Request { name, url, limit, headers: &[] };
        http.get(&request, observer)
    };
    let signed =
        get(&format!("{suite} InRelease"), &format!("{base}/InRelease"), RELEASE_BYTES_MAX)?;
    let release = release::read(&signed, suite, trust)?;
    let (url, digest, size) = locate(&release, &base, suite, file)?;
    let file = file.rsplit('/').next().unwrap_or(file);
    let name = format!("{suite} {}", file.split(['.', '-']).next().unwrap_or(file));
    let packed = get(&name, &url, size)?;
    let received = Digest::of(&packed);
    if received != digest {
        return Err(DebianError::Mismatch { name, promised: digest, received });
    }
    Ok(packed)
}

/// Finds an index file's address, digest and size. An address by hash does not change under our hands.
fn locate(
    release: &Release,
    base: &str,
    suite: &str,
    file: &str,
) -> Result<(String, Digest, u64), DebianError> {
    let (digest, size) = *release
        .files
        .get(file)
        .ok_or_else(|| DebianError::NoIndex { suite: suite.into(), file: file.into() })?;
    let url = if release.by_hash {
        let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{base}/{directory}/by-hash/SHA256/{}", digest.hex())
    } else {
        format!("{base}/{file}")
    };
    Ok((url, digest, size.min(INDEX_BYTES_MAX)))
}

pub(super) fn unpack(name: &str, packed: &[u8]) -> Result<String, DebianError> {
    let damaged = |source| DebianError::Damaged { name: name.to_owned(), source };
    let reader = Compression::Xz.reader(packed).map_err(damaged)?;
    let mut bytes = Vec::new();
    reader.take(INDEX_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() as u64 > INDEX_BYTES_MAX {
        return Err(DebianError::TooLarge { name: name.into(), limit: INDEX_BYTES_MAX });
    }
    // A description in another encoding must not cost us the index.
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// One package that could be taken: the newest of its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) suite: &'a str,
    pub(super) paragraph: Paragraph<'a>,
}

impl Candidate<'_> {
    /// Returns the source that it is built from and that source's version: what is uploaded and leaves at once.
    pub(super) fn source(&self) -> (String, String) {
        let field = self.paragraph.field("Source").unwrap_or(self.name);
        match Relation::parse(&field.replace('(', "(= ")) {
            Some(Relation { name, bound: Some((_, version)) }) => (name, version),
            _ => (field.to_owned(), self.version.to_owned()),
        }
    }
}

/// Every package of some suites, by name and by what it provides.
#[derive(Debug, Default)]
pub(super) struct Universe<'a> {
    newest: BTreeMap<&'a str, Candidate<'a>>,
    providers: BTreeMap<String, Vec<Provider<'a>>>,
}

/// A package that stands in for another name, perhaps in a version of that name.
#[derive(Debug, Clone)]
struct Provider<'a> {
    name: &'a str,
    version: Option<String>,
}

impl<'a> Universe<'a> {
    /// Takes the newest version of each package; of equal ones the first index's.
    ///
    /// Versions of sources in `left` are passed over.
    pub(super) fn new(indices: &'a [Index], left: &BTreeSet<(String, String)>) -> Self {
        let mut universe = Self::default();
        universe.read(indices, left);
        universe.provide();
        universe
    }

    /// Takes of each package the pinned version, and the newest one of what is not pinned.
    pub(super) fn keeping(
        indices: &'a [Index],
        left: &BTreeSet<(String, String)>,
        pins: &'a Pins<'_>,
    ) -> Self {
        let mut universe = Self::default();
        universe.read(indices, left);
        let indices = if pins.is_empty() { &[] } else { indices };
        for index in indices.iter().chain(pins.superseded()) {
            for paragraph in paragraphs(&index.text) {
                universe.keep(&index.suite, paragraph, pins);
            }
        }
        universe.provide();
        universe
    }

    fn read(&mut self, indices: &'a [Index], left: &BTreeSet<(String, String)>) {
        for index in indices {
            for paragraph in paragraphs(&index.text) {
                self.add(&index.suite, paragraph, left);
            }
        }
    }

    /// Puts a pinned version in the place of a newer one.
    fn keep(&mut self, suite: &'a str, paragraph: Paragraph<'a>, pins: &Pins<'_>) {
        if let (Some(name), Some(version)) =
            (paragraph.field("Package"), paragraph.field("Version"))
            && pins.keeps(name, version, paragraph.field("SHA256"))
        {
            self.newest.insert(name, Candidate { name, version, suite, paragraph });
        }
    }

    /// Notes what each package stands in for.
    fn provide(&mut self) {
        for candidate in self.newest.values() {
            let provided = candidate.paragraph.folded("Provides");
            for provision in provided.split(',').filter_map(Relation::parse) {
                let provider = Provider {
                    name: candidate.name,
                    version: provision.bound.map(|(_, version)| version),
                };
                self.providers.entry(provision.name).or_default().push(provider);
            }
        }
    }

    fn add(&mut self, suite: &'a str, paragraph: Paragraph<'a>, left: &BTreeSet<(String, String)>) {
        let (Some(name), Some(version)) = (paragraph.field("Package"), paragraph.field("Version"))
        else {
            return;
        };
        let is_newer = self
            .newest
            .get(name)
            .is_none_or(|known| version::compare(known.version, version) == Ordering::Less);
        let candidate = Candidate { name, version, suite, paragraph };
        if is_newer && (left.is_empty() || !left.contains(&candidate.source())) {
            self.newest.insert(name, candidate);
        }
    }

    /// Returns the package of this name.
    pub(super) fn get(&self, name: &str) -> Option<Candidate<'a>> {
        self.newest.get(name).copied()
    }

    /// Returns the packages that meet a relation, the one of that very name first, then by name.
    ///
    /// A bound on a version is met only by a provision that has a version.
    pub(super) fn meeting<'s>(
        &'s self,
        wanted: &'s Relation,
    ) -> impl Iterator<Item = Candidate<'a>> + 's {
        let real = self.get(&wanted.name).filter(|candidate| wanted.admits(candidate.version));
        let providers = self.providers.get(&wanted.name).into_iter().flatten();
        let providers = providers
            .filter(|provider| match &provider.version {
                Some(version) => wanted.admits(version),
                None => wanted.bound.is_none(),
            })
            .filter_map(|provider| self.get(provider.name));
        real.into_iter().chain(providers)
    }
}
