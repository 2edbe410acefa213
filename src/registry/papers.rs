//! Papers: small documents in a repository, read and written whole in memory, and those that are about an image.
//!
//! A document about an image is a manifest of its own that names the image as its `subject` (OCI image specification
//! 1.1). A registry of today lists such manifests under the image's digest. One of before does not, and does not say
//! `OCI-Subject` either; then the list is kept here, as an index under the tag `sha256-<hex>`, which is where every
//! client looks next. What is there already is not written again.
//!
//! Two pushes at once may both read that list, and each write it with its own line alone. A registry that says which version
//! it gave (an `ETag`) is asked to replace no other; but none has to heed that. So the list is looked at again after a pause
//! in which whoever had read the old one has written his, and lines that are gone are written once more. Signatures under
//! cosign's tags are kept in the same way.

use std::io::Read as _;
use std::time::{Duration, Instant};

use super::error::said;
use super::listing::{
    EMPTY, Entry, INDEX_TYPE, Index, Layers, MANIFEST_TYPE, Paper, about_image, configuration,
    fallback_tag, plain_manifest,
};
use super::session::{Ask, Reach, Session, Trouble};
use super::upload::{location, same_digest};
use super::{Door, PushError, Reference};
use crate::digest::Digest;
use crate::http::{Answer, Method, Sent};
use crate::image::Contents;
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENTS_MAX};

const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// Times that something is written before others are told to be in the way.
const ATTEMPTS_MAX: u32 = 12;
/// The pause before it is looked at again: twice as long as it took to read and write it, between these.
const SETTLE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// A repository, for documents.
pub struct Repository<'a> {
    pub(super) session: Session<'a>,
}

/// A manifest or index as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
    /// Its media type, as the registry says it.
    pub media_type: String,
    /// The version that the registry says it is, where it says one by which it can be replaced.
    pub version: Option<String>,
}

/// What a look at something that others write, too, led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was there already.
    Already,
    /// It was missing and was written.
    Now,
}

/// A body with what its headers say of it.
struct Got {
    bytes: Vec<u8>,
    media_type: String,
    version: Option<String>,
}

impl<'a> Repository<'a> {
    /// Begins to speak to a repository.
    pub fn open(door: Door<'a>, reference: &'a Reference) -> Self {
        Self { session: Session::new(door, reference, None) }
    }

    /// Begins to speak to a repository of which is only read.
    pub fn reading(door: Door<'a>, reference: &'a Reference) -> Self {
        Self { session: Session::reading(door, reference) }
    }

    /// Returns the manifest or index under a tag or digest; `None` where there is none.
    pub fn manifest(&self, name: &str) -> Result<Option<Listed>, PushError> {
        let url = self.session.url(&format!("manifests/{name}"));
        let headers = [("accept", ACCEPTED.to_owned())];
        let Some(got) = self.get("manifest", &url, &headers)? else {
            return Ok(None);
        };
        let Got { bytes, media_type, version } = got;
        let found = Digest::of(&bytes);
        if let Ok(wanted) = name.parse::<Digest>() {
            self.same("manifest", wanted, found)?;
        }
        Ok(Some(Listed { bytes, digest: found, media_type, version }))
    }

    /// Returns the documents that a manifest of documents names.
    pub fn layers(&self, listed: &Listed) -> Result<Vec<Entry>, PushError> {
        let strange = || self.session.strange("its manifest of documents is none".into());
        let layers: Layers = serde_json::from_slice(&listed.bytes).map_err(|_| strange())?;
        if layers.layers.len() > DOCUMENTS_MAX {
            let what = format!("a manifest of documents names more than {DOCUMENTS_MAX}");
            return Err(self.session.strange(what));
        }
        Ok(layers.layers)
    }

    /// Returns the images that an index names; none for what is no index.
    pub fn members(&self, listed: &Listed) -> Result<Vec<Entry>, PushError> {
        let is_index =
            [".index.", "manifest.list"].iter().any(|kind| listed.media_type.contains(kind));
        match is_index {
            true => Ok(self.index(&listed.bytes)?.manifests.unwrap_or_default()),
            false => Ok(Vec::new()),
        }
    }

    /// Returns the bytes of a blob.
    pub fn blob(&self, name: &str, digest: Digest) -> Result<Vec<u8>, PushError> {
        let url = self.session.url(&format!("blobs/{digest}"));
        let Some(Got { bytes, .. }) = self.get(name, &url, &[])? else {
            return Err(self.session.strange(format!("it names `{digest}` and does not have it")));
        };
        self.same(name, digest, Digest::of(&bytes))?;
        Ok(bytes)
    }

    /// Returns what the repository lists about an image: as the registry says, or else as the tag does.
    pub fn about(&self, image: Digest) -> Result<Vec<Entry>, PushError> {
        if let Some(entries) = self.referrers(image)? {
            return Ok(entries);
        }
        match self.manifest(&fallback_tag(image))? {
            Some(listed) => Ok(self.index(&listed.bytes)?.manifests.unwrap_or_default()),
            None => Ok(Vec::new()),
        }
    }

    /// Puts documents about an image into the repository, where they are not there already.
    pub fn attach(&self, image: &Contents, papers: &[Paper]) -> Result<(), PushError> {
        let there = self.about(image.manifest_digest)?;
        let mut unlisted = Vec::new();
        for paper in papers {
            let (bytes, line) = about_image(image, paper);
            if there.iter().any(|entry| entry.digest == line.digest) {
                continue;
            }
            self.put_blob("an empty configuration", EMPTY)?;
            self.put_blob(&paper.name, &paper.bytes)?;
            let place = line.digest.to_string();
            let answer = self.put(&paper.name, &place, (MANIFEST_TYPE, &bytes))?;
            if !answer.headers.contains_key("oci-subject") {
                unlisted.push(line);
            }
        }
        match unlisted.is_empty() {
            true => Ok(()),
            false => self.list(image.manifest_digest, &unlisted),
        }
    }

    /// Puts documents under a tag of their own, as cosign keeps signatures and attestations.
    pub fn put_under(
        &self,
        tag: &str,
        kept: Vec<Entry>,
        papers: &[Paper],
    ) -> Result<Digest, PushError> {
        let mut layers = kept;
        for paper in papers {
            let mut layer = Entry::of(&paper.media_type, &paper.bytes);
            layer.annotations = paper.annotations.clone();
            self.put_blob(&paper.name, &paper.bytes)?;
            layers.push(layer);
        }
        let config = configuration(&layers);
        self.put_blob("a configuration", &config)?;
        let bytes = plain_manifest(&config, layers);
        self.put("signatures", tag, (MANIFEST_TYPE, &bytes))?;
        Ok(Digest::of(&bytes))
    }

    /// Adds lines to the list that is kept under a tag, and sees that they stay.
    fn list(&self, image: Digest, lines: &[Entry]) -> Result<(), PushError> {
        let tag = fallback_tag(image);
        self.settle(&format!("the list of documents under `{tag}`"), || {
            let (mut all, version) = match self.manifest(&tag)? {
                Some(listed) => {
                    let lines = self.index(&listed.bytes)?.manifests.unwrap_or_default();
                    (lines, listed.version)
                }
                None => (Vec::new(), None),
            };
            let is_there = |line: &&Entry| all.iter().any(|other| other.digest == line.digest);
            let gone: Vec<Entry> = lines.iter().filter(|line| !is_there(line)).cloned().collect();
            if gone.is_empty() {
                return Ok(Written::Already);
            }
            all.extend(gone);
            let bytes = Index::of(all);
            // Whether it was taken or another came first, the next look tells.
            self.replace("the list of documents", &tag, (INDEX_TYPE, &bytes), version)?;
            Ok(Written::Now)
        })
    }

    /// Writes what others write, too, until it is there at a second look, after a pause. `write` looks, and writes what it
    /// misses.
    pub fn settle<E: From<PushError>>(
        &self,
        what: &str,
        mut write: impl FnMut() -> Result<Written, E>,
    ) -> Result<(), E> {
        for _ in 0..ATTEMPTS_MAX {
            let started = Instant::now();
            if write()? == Written::Already {
                return Ok(());
            }
            std::thread::sleep((started.elapsed() * 2).clamp(SETTLE.0, SETTLE.1));
        }
        Err(self.session.strange(format!("{what} is replaced again and again")).into())
    }

    pub(super) fn index(&self, bytes: &[u8]) -> Result<Index, PushError> {
        let strange = |what: String| self.session.strange(what);
        let index: Index = serde_json::from_slice(bytes)
            .map_err(|_| strange("its list of documents is no index".into()))?;
        self.bounded(index.manifests.as_ref().map_or(0, Vec::len))?;
        Ok(index)
    }

    pub(super) fn bounded(&self, lines: usize) -> Result<(), PushError> {
        let what = || format!("it lists more than {DOCUMENTS_MAX} documents");
        if lines > DOCUMENTS_MAX { Err(self.session.strange(what())) } else { Ok(()) }
    }

    fn get(
        &self,
        name: &str,
        url: &str,
        headers: &[(&str, String)],
    ) -> Result<Option<Got>, PushError> {
        let ask = ask(Method::Get, name, url, headers, Sent::Nothing);
        self.session.again(name, || {
            let mut answer = self.session.call_within(&ask, DOCUMENT_BYTES_MAX)?;
            match answer.status {
                200 => {
                    let bytes = self.read(name, &mut answer)?;
                    let media_type = answer.headers.remove("content-type").unwrap_or_default();
                    let version = answer.headers.remove("etag");
                    // A weak one means bytes that are about the same, and may not stand for a version.
                    let version = version.filter(|version| !version.starts_with("W/"));
                    Ok(Some(Got { bytes, media_type, version }))
                }
                404 => Ok(None),
                _ => Err(self.session.refused(name, 0, &mut answer).into()),
            }
        })
    }

    /// Reads a body as a whole.
    pub(super) fn read(&self, name: &str, answer: &mut Answer) -> Result<Vec<u8>, PushError> {
        let mut bytes = Vec::new();
        match (&mut answer.body).take(DOCUMENT_BYTES_MAX).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(self
                .session
                .strange(format!("`{name}` breaks off: {}", said(&error.to_string())))),
        }
    }

    fn put_blob(&self, name: &str, bytes: &[u8]) -> Result<(), PushError> {
        let digest = Digest::of(bytes);
        self.session.again(name, || {
            let url = self.session.url(&format!("blobs/{digest}"));
            let head = self.session.call(&ask(Method::Head, name, &url, &[], Sent::Nothing))?;
            if head.status == 200 {
                same_digest(&self.session, name, digest, &head)?;
                return Ok(());
            }
            let url = self.session.url("blobs/uploads/");
            let begin = ask(Method::Post, name, &url, &[], Sent::Bytes(&[]));
            let mut answer = self.session.call(&begin)?;
            if answer.status != 202 {
                return Err(self.refused(name, bytes, &mut answer));
            }
            let url = location(&self.session, name, digest, &answer)?;
            let headers = [("content-type", "application/octet-stream".to_owned())];
            let mut answer =
                self.session.call(&ask(Method::Put, name, &url, &headers, Sent::Bytes(bytes)))?;
            match answer.status {
                200..=204 => Ok(same_digest(&self.session, name, digest, &answer)?),
                _ => Err(self.refused(name, bytes, &mut answer)),
            }
        })
    }

    fn put(&self, name: &str, place: &str, paper: (&str, &[u8])) -> Result<Answer, PushError> {
        let answer = self.replace(name, place, paper, None)?;
        Ok(answer.expect("only a version can be another"))
    }

    /// Puts a manifest, in the place of `version` alone where one is named; `None` if another version is there.
    fn replace(
        &self,
        name: &str,
        place: &str,
        (kind, bytes): (&str, &[u8]),
        version: Option<String>,
    ) -> Result<Option<Answer>, PushError> {
        let url = self.session.url(&format!("manifests/{place}"));
        let mut headers = vec![("content-type", kind.to_owned())];
        let is_bound = version.is_some();
        headers.extend(version.map(|version| ("if-match", version)));
        let ask = ask(Method::Put, name, &url, &headers, Sent::Bytes(bytes));
        self.session.again(name, || {
            let mut answer = self.session.call(&ask)?;
            match answer.status {
                200..=202 => {}
                412 if is_bound => return Ok(None),
                _ => return Err(self.refused(name, bytes, &mut answer)),
            }
            same_digest(&self.session, name, Digest::of(bytes), &answer)?;
            Ok(Some(answer))
        })
    }

    fn refused(&self, name: &str, bytes: &[u8], answer: &mut Answer) -> Trouble {
        self.session.refused(name, bytes.len() as u64, answer).into()
    }

    fn same(&self, name: &str, ours: Digest, theirs: Digest) -> Result<(), PushError> {
        if ours == theirs {
            return Ok(());
        }
        let (host, name, theirs) = (self.session.host(), name.to_owned(), theirs.to_string());
        Err(PushError::WrongDigest { host, name, ours, theirs })
    }
}

pub(super) fn ask<'r>(
    method: Method,
    name: &'r str,
    url: &'r str,
    headers: &'r [(&'r str, String)],
    sent: Sent<'r>,
) -> Ask<'r> {
    Ask { method, name, url, headers, sent, reach: Reach::Own }
}
