//! Signatures: whether a key's holder signed an image in a registry, or a file, and what else was attested of it.
//!
//! An image's signatures and attestations stand where cosign keeps them: beside it, under tags made of its digest. Of a
//! file the signature stands in a second file, as `cosign sign-blob` writes it.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk;
use crate::event::Event;
use crate::evidence::{ENVELOPE_TYPE, Envelope, EvidenceError, PrivateKey, PublicKey, payload};
use crate::explain::Failure;
use crate::limits::{KEY_BYTES_MAX, SIGNED_BYTES_MAX};
use crate::registry::{Door, Entry, PushError, Reference, Repository, fallback_tag};

/// The media type of what cosign signs of an image.
pub(super) const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Where a signature stands beside it.
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// A public key and the file that it is from.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The key.
    pub key: &'a PublicKey,
    /// Its file, for errors.
    pub file: &'a str,
}

/// Something whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What it was called.
    pub name: String,
    /// Its digest: of the image's manifest, or of the file.
    pub digest: Digest,
    /// What else the key's holder attested of it, by type.
    pub attestations: Vec<String>,
}

/// Checks that everything that is named was signed by the key: a file, or an image in a registry.
pub fn signatures(
    names: &[String],
    given: Given<'_>,
    door: Door<'_>,
) -> Result<Vec<Checked>, Failure> {
    let mut checked = Vec::new();
    for name in names {
        let path = Path::new(name);
        let one = match disk::exists(path) || is_plainly_a_file(name) {
            true => file(path, given)?,
            false => image(name, given, door)?,
        };
        door.observer.observe(&Event::SignatureHolds {
            name: &one.name,
            digest: one.digest,
            key: given.key.fingerprint(),
            attestations: &one.attestations,
        });
        checked.push(one);
    }
    Ok(checked)
}

/// Tells a file's name that is not there from an image's.
fn is_plainly_a_file(name: &str) -> bool {
    name.starts_with(['/', '.']) || name.ends_with(".tar") || name.ends_with(".json")
}

/// Returns where the signature of a file stands.
pub fn signature_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Signs a file, and writes the signature beside it.
pub fn sign_file(path: &Path, key: &PrivateKey) -> Result<PathBuf, EvidenceError> {
    let bytes = disk::read(path, SIGNED_BYTES_MAX)?;
    let signature = key.sign(&bytes)?;
    let place = signature_file(path);
    disk::write_atomic(&place, crate::evidence::base64(&signature).as_bytes())?;
    Ok(place)
}

fn file(path: &Path, given: Given<'_>) -> Result<Checked, Failure> {
    let name = path.display().to_string();
    let bytes = disk::read(path, SIGNED_BYTES_MAX)?;
    let place = signature_file(path);
    if !disk::exists(&place) {
        return Err(EvidenceError::Unsigned { name, looked_for: Some(place) }.into());
    }
    let text = String::from_utf8(disk::read(&place, KEY_BYTES_MAX)?).unwrap_or_default();
    let signature = crate::evidence::unbase64(&text).filter(|bytes| !bytes.is_empty());
    let signature = signature.ok_or(EvidenceError::BadSignature { path: place })?;
    if !given.key.verifies(&bytes, &signature) {
        return Err(other_key(name, given).into());
    }
    Ok(Checked { name, digest: Digest::of(&bytes), attestations: Vec::new() })
}

fn other_key(name: String, given: Given<'_>) -> EvidenceError {
    let (key, fingerprint) = (given.file.to_owned(), given.key.fingerprint());
    EvidenceError::OtherKey { name, key, fingerprint }
}

fn image(name: &str, given: Given<'_>, door: Door<'_>) -> Result<Checked, Failure> {
    let (place, pinned) = match name.split_once('@') {
        Some((place, digest)) => (place, Some(digest.parse::<Digest>()?)),
        None => (name, None),
    };
    let reference = Reference::parse(place)?;
    let repository = Repository::open(door, &reference);
    let asked = match (pinned, &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.clone().unwrap_or_else(|| "latest".into()),
    };
    let found = repository.manifest(&asked)?;
    let found = found.ok_or_else(|| PushError::NoImage {
        host: reference.registry.clone(),
        reference: format!("{}:{asked}", reference.repository),
    })?;
    let one = Seen { name: name.to_owned(), digest: found.digest, repository, given };
    one.signed()?;
    let attestations = one.attestations()?;
    Ok(Checked { name: one.name, digest: one.digest, attestations })
}

/// An image in a registry, whose evidence is looked at.
struct Seen<'a> {
    name: String,
    digest: Digest,
    repository: Repository<'a>,
    given: Given<'a>,
}

impl Seen<'_> {
    fn entries(&self, suffix: &str, kind: &str) -> Result<Vec<Entry>, Failure> {
        let tag = format!("{}.{suffix}", fallback_tag(self.digest));
        let Some(listed) = self.repository.manifest(&tag)? else {
            return Ok(Vec::new());
        };
        let mut entries = self.repository.layers(&listed)?;
        entries.retain(|entry| entry.media_type == kind);
        Ok(entries)
    }

    /// Looks for one signature of the key over this image's digest.
    fn signed(&self) -> Result<(), Failure> {
        let entries = self.entries("sig", PAYLOAD_TYPE)?;
        if entries.is_empty() {
            let name = self.name.clone();
            return Err(EvidenceError::Unsigned { name, looked_for: None }.into());
        }
        let mut other = None;
        for entry in entries {
            let signature = entry.annotations.get(SIGNATURE);
            let signature = signature.and_then(|text| crate::evidence::unbase64(text));
            let bytes = self.repository.blob("a signature", entry.digest)?;
            if !signature.is_some_and(|signature| self.given.key.verifies(&bytes, &signature)) {
                continue;
            }
            match payload::read(&bytes)? {
                found if found == self.digest => return Ok(()),
                found => other = Some(found),
            }
        }
        let (name, expected) = (self.name.clone(), self.digest);
        Err(match other {
            Some(found) => EvidenceError::OtherImage { name, expected, found },
            None => other_key(name, self.given),
        }
        .into())
    }

    /// Returns the types of what the key's holder attested; what others attested does not count.
    fn attestations(&self) -> Result<Vec<String>, Failure> {
        let mut types = Vec::new();
        for entry in self.entries("att", ENVELOPE_TYPE)? {
            let bytes = self.repository.blob("an attestation", entry.digest)?;
            let envelope = match Envelope::parse(&bytes) {
                Ok(envelope) if envelope.is_signed_by(self.given.key) => envelope,
                _ => continue,
            };
            let statement = envelope.statement()?;
            if !statement.subjects.contains(&self.digest) {
                let (name, expected) = (self.name.clone(), self.digest);
                let predicate = statement.predicate_type;
                return Err(EvidenceError::OtherSubject { name, predicate, expected }.into());
            }
            if !types.contains(&statement.predicate_type) {
                types.push(statement.predicate_type);
            }
        }
        Ok(types)
    }
}
