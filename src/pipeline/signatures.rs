//! Signatures: whether a key's holder signed an image in a registry, or a file, and what else was attested of it.
//!
//! An image's signatures and attestations stand where cosign keeps them: beside it, under tags made of its digest, or
//! since cosign 3 in bundles that the registry lists as being about it. Of a file the signature stands in a second file,
//! as `cosign sign-blob` writes it.

use std::path::{Path, PathBuf};

use super::pull::is_reference;
use crate::digest::Digest;
use crate::disk;
use crate::event::Event;
use crate::evidence::{
    Bundle, ENVELOPE_TYPE, Envelope, EvidenceError, PrivateKey, PublicKey, SIGNED, Statement,
    is_bundle, payload,
};
use crate::explain::Failure;
use crate::limits::{DOCUMENT_BYTES_MAX, KEY_BYTES_MAX, SIGNED_BYTES_MAX};
use crate::registry::{Door, EMPTY_TYPE, Entry, Origin, PushError, Repository, fallback_tag};

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
        let one = match is_reference(name) {
            true => image(name, given, door)?,
            false => file(path, given)?,
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

/// Where a bundle stands beside a file, by what people name it.
const BUNDLES: [&str; 2] = ["sigstore.json", "bundle"];

fn bundle_file(path: &Path) -> Option<PathBuf> {
    let named = BUNDLES.map(|end| PathBuf::from(format!("{}.{end}", path.display())));
    named.into_iter().find(|place| disk::exists(place))
}

fn file(path: &Path, given: Given<'_>) -> Result<Checked, Failure> {
    let name = path.display().to_string();
    let bytes = disk::read(path, SIGNED_BYTES_MAX)?;
    let digest = Digest::of(&bytes);
    let place = signature_file(path);
    let checked = Checked { name, digest, attestations: Vec::new() };
    if !disk::exists(&place) {
        return match bundle_file(path) {
            Some(bundle) => bundled_file(&bundle, &bytes, checked, given),
            None => {
                let name = checked.name;
                Err(EvidenceError::Unsigned { name, looked_for: Some(place) }.into())
            }
        };
    }
    let text = String::from_utf8(disk::read(&place, KEY_BYTES_MAX)?).unwrap_or_default();
    let signature = crate::evidence::unbase64(&text).filter(|bytes| !bytes.is_empty());
    let signature = signature.ok_or(EvidenceError::BadSignature { path: place })?;
    if !given.key.verifies(&bytes, &signature) {
        return Err(other_key(checked.name, given).into());
    }
    Ok(checked)
}

/// Checks a file by the bundle beside it: a signature of its bytes, or a statement about its digest.
fn bundled_file(
    place: &Path,
    bytes: &[u8],
    mut checked: Checked,
    given: Given<'_>,
) -> Result<Checked, Failure> {
    let bundle = Bundle::parse(&disk::read(place, DOCUMENT_BYTES_MAX)?)?;
    if bundle.signs(bytes, given.key) {
        return Ok(checked);
    }
    match bundle.statement_of(given.key)? {
        Some(statement) if statement.subjects.contains(&checked.digest) => {
            checked.attestations.push(statement.predicate_type);
            Ok(checked)
        }
        Some(statement) => Err(other_subject(checked.name, &statement, checked.digest).into()),
        None if bundle.is_keyless() => Err(EvidenceError::Keyless { name: checked.name }.into()),
        None => Err(other_key(checked.name, given).into()),
    }
}

fn other_key(name: String, given: Given<'_>) -> EvidenceError {
    let (key, fingerprint) = (given.file.to_owned(), given.key.fingerprint());
    EvidenceError::OtherKey { name, key, fingerprint }
}

fn other_subject(name: String, statement: &Statement, expected: Digest) -> EvidenceError {
    let predicate = statement.predicate_type.clone();
    EvidenceError::OtherSubject { name, predicate, expected }
}

fn image(name: &str, given: Given<'_>, door: Door<'_>) -> Result<Checked, Failure> {
    let origin = Origin::parse(name)?;
    let repository = Repository::reading(door, &origin.place);
    let asked = origin.wanted();
    let found = repository.manifest(&asked)?;
    let found = found.ok_or_else(|| PushError::NoImage {
        host: origin.place.registry.clone(),
        reference: format!("{}:{asked}", origin.place.repository),
    })?;
    let members = repository.members(&found)?;
    let mut one = Seen { name: name.to_owned(), digest: found.digest, repository, given };
    let mut bundled = one.bundled()?;
    one.signed(&mut bundled)?;
    let mut attestations = one.attestations(bundled)?;
    // What is attested of an index is what is attested of each image in it.
    for (number, member) in members.iter().enumerate() {
        one.digest = member.digest;
        let of_member = one.attestations(one.bundled()?)?;
        match number {
            0 => attestations.extend(of_member),
            _ => attestations.retain(|kind| of_member.contains(kind)),
        }
    }
    Ok(Checked { name: one.name, digest: found.digest, attestations })
}

/// What stands in the bundles beside an image.
#[derive(Default)]
struct Bundled {
    /// Whether a bundle of the key's holder signs the image.
    is_signed: bool,
    /// What else the key's holder says of the image, by type.
    said: Vec<String>,
    /// Why the image is not signed by these bundles, where there are any.
    why_not: Option<EvidenceError>,
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
    fn signed(&self, bundled: &mut Bundled) -> Result<(), Failure> {
        if bundled.is_signed {
            return Ok(());
        }
        let entries = self.entries("sig", PAYLOAD_TYPE)?;
        let is_unsigned = entries.is_empty();
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
        Err(match (other, bundled.why_not.take()) {
            (Some(found), _) => EvidenceError::OtherImage { name, expected, found },
            (None, Some(why)) if is_unsigned => why,
            (None, None) if is_unsigned => EvidenceError::Unsigned { name, looked_for: None },
            (None, _) => other_key(name, self.given),
        }
        .into())
    }

    /// Reads the bundles that the registry lists as being about this image.
    fn bundled(&self) -> Result<Bundled, Failure> {
        let mut found = Bundled::default();
        for line in self.repository.about(self.digest)? {
            // Where a registry keeps no list, cosign 3.1 writes the type of the configuration into the line.
            let is_other = |kind: &str| kind != EMPTY_TYPE && !is_bundle(kind);
            if line.artifact_type.as_deref().is_some_and(is_other) {
                continue;
            }
            let Some(listed) = self.repository.manifest(&line.digest.to_string())? else {
                continue;
            };
            for entry in self.repository.layers(&listed)? {
                if is_bundle(&entry.media_type) {
                    let bytes = self.repository.blob("a bundle of signatures", entry.digest)?;
                    self.weigh(&bytes, &mut found)?;
                }
            }
        }
        Ok(found)
    }

    /// Adds what one bundle says.
    fn weigh(&self, bytes: &[u8], found: &mut Bundled) -> Result<(), Failure> {
        // Anybody who may push can lay something there that nobody can read; what can be read counts all the same.
        let read =
            Bundle::parse(bytes).and_then(|bundle| match bundle.statement_of(self.given.key)? {
                Some(statement) => Ok(statement),
                None if bundle.is_keyless() => {
                    Err(EvidenceError::Keyless { name: self.name.clone() })
                }
                None => Err(other_key(self.name.clone(), self.given)),
            });
        let statement = match read {
            Ok(statement) => statement,
            Err(why) => {
                found.why_not.get_or_insert(why);
                return Ok(());
            }
        };
        if !statement.subjects.contains(&self.digest) {
            return Err(other_subject(self.name.clone(), &statement, self.digest).into());
        }
        if statement.predicate_type == SIGNED {
            found.is_signed = true;
        } else if !found.said.contains(&statement.predicate_type) {
            found.said.push(statement.predicate_type);
        }
        Ok(())
    }

    /// Returns the types of what the key's holder attested; what others attested does not count.
    fn attestations(&self, bundled: Bundled) -> Result<Vec<String>, Failure> {
        let mut types = bundled.said;
        for entry in self.entries("att", ENVELOPE_TYPE)? {
            let bytes = self.repository.blob("an attestation", entry.digest)?;
            let envelope = match Envelope::parse(&bytes) {
                Ok(envelope) if envelope.is_signed_by(self.given.key) => envelope,
                _ => continue,
            };
            let statement = envelope.statement()?;
            if !statement.subjects.contains(&self.digest) {
                return Err(other_subject(self.name.clone(), &statement, self.digest).into());
            }
            if !types.contains(&statement.predicate_type) {
                types.push(statement.predicate_type);
            }
        }
        Ok(types)
    }
}

#[cfg(test)]
mod tests;
