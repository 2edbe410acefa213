//! Signatures: whether a key's holder signed an image in a registry, or a file, and what else was attested of it.
//!
//! An image's signatures and attestations stand where cosign keeps them: beside it, under tags made of its digest. Of a
//! file the signature stands in a second file, as `cosign sign-blob` writes it.

use std::path::{Path, PathBuf};

use super::pull::is_reference;
use crate::digest::Digest;
use crate::disk;
use crate::event::Event;
use crate::evidence::{ENVELOPE_TYPE, Envelope, EvidenceError, PrivateKey, PublicKey, payload};
use crate::explain::Failure;
use crate::limits::{KEY_BYTES_MAX, SIGNED_BYTES_MAX};
use crate::registry::{Door, Entry, Origin, PushError, Repository, fallback_tag};

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
    one.signed()?;
    let mut attestations = one.attestations()?;
    // What is attested of an index is what is attested of each image in it.
    for (number, member) in members.iter().enumerate() {
        one.digest = member.digest;
        let of_member = one.attestations()?;
        match number {
            0 => attestations.extend(of_member),
            _ => attestations.retain(|kind| of_member.contains(kind)),
        }
    }
    Ok(Checked { name: one.name, digest: found.digest, attestations })
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::Silent;
    use crate::evidence::{self, SealedKey};
    use crate::http::serve::{Reply, Server, door};
    use crate::registry::{Credentials, Security};

    const MANIFEST: &[u8] = br#"{"schemaVersion":2,"layers":[]}"#;

    /// A pair, with its public key as text.
    fn pair() -> (PrivateKey, PublicKey) {
        let (private, public) = evidence::generate(b"").unwrap();
        let key = SealedKey::parse(&private, "k").unwrap().open(b"", "k").unwrap();
        (key, PublicKey::parse(&public, "k").unwrap())
    }

    /// What a registry has: names of tags, digests of blobs.
    #[derive(Default, Clone)]
    struct Shelf(BTreeMap<String, Vec<u8>>);

    impl Shelf {
        fn new() -> Self {
            Self(BTreeMap::from([("1".to_owned(), MANIFEST.to_vec())]))
        }

        /// Puts documents under a tag: type, bytes and signature of each.
        fn with(self, suffix: &str, papers: &[(&str, Vec<u8>, &str)]) -> Self {
            self.with_of(Digest::of(MANIFEST), suffix, papers)
        }

        fn with_of(
            mut self,
            image: Digest,
            suffix: &str,
            papers: &[(&str, Vec<u8>, &str)],
        ) -> Self {
            let mut layers = Vec::new();
            for (kind, bytes, signature) in papers {
                let digest = Digest::of(bytes).to_string();
                layers.push(serde_json::json!({
                    "mediaType": kind, "digest": digest, "size": bytes.len(),
                    "annotations": { SIGNATURE: signature },
                }));
                self.0.insert(digest, bytes.clone());
            }
            let manifest = serde_json::json!({ "schemaVersion": 2, "layers": layers });
            let tag = format!("{}.{suffix}", fallback_tag(image));
            self.0.insert(tag, manifest.to_string().into_bytes());
            self
        }

        fn signed(self, key: &PrivateKey, image: Digest) -> Self {
            let bytes = payload::write("r.example/a", image);
            let signature = evidence::base64(&key.sign(&bytes).unwrap());
            self.with("sig", &[(PAYLOAD_TYPE, bytes, &signature)])
        }

        fn attested(self, key: &PrivateKey, image: Digest) -> Self {
            self.attested_of(key, Digest::of(MANIFEST), image)
        }

        /// Puts an attestation about `image` beside another.
        fn attested_of(self, key: &PrivateKey, beside: Digest, image: Digest) -> Self {
            let statement = serde_json::json!({
                "_type": "https://in-toto.io/Statement/v1", "predicateType": "a-kind",
                "subject": [{ "digest": { "sha256": image.hex() } }],
            });
            let sealed = evidence::seal(statement.to_string().as_bytes(), key).unwrap();
            self.with_of(beside, "att", &[(ENVELOPE_TYPE, sealed, "")])
        }

        /// Looks at the image on this shelf, and returns its attestations or what is wrong.
        fn check(&self, key: &PublicKey) -> Result<Vec<String>, String> {
            let shelf = self.0.clone();
            let server = Server::start(move |asked, _| {
                let name = asked.path.rsplit('/').next().unwrap();
                shelf.get(name).map_or(Reply::status(404), |bytes| {
                    let is_index = String::from_utf8_lossy(bytes).contains("manifests");
                    let kind = if is_index { "index" } else { "manifest" };
                    let kind = format!("application/vnd.oci.image.{kind}.v1+json");
                    Reply::ok(bytes.clone()).header("Content-Type", &kind)
                })
            });
            let host = server.url("").trim_start_matches("http://").to_owned();
            let credentials = Credentials { files: vec![], programs: None, ms_max: 1 };
            let (http, security) = (door(&[]), Security::Encrypted);
            let door = Door { http: &http, credentials: &credentials, security, observer: &Silent };
            let given = Given { key, file: "cosign.pub" };
            let checked = signatures(&[format!("{host}/a:1")], given, door);
            checked.map(|mut all| all.remove(0).attestations).map_err(|failure| {
                format!("{}; {}", failure.messages().join(": "), failure.hint().unwrap_or_default())
            })
        }
    }

    #[test]
    fn an_image_is_good_whose_digest_the_key_signed() {
        let (key, public) = pair();
        let image = Digest::of(MANIFEST);
        let shelf = Shelf::new().signed(&key, image);
        assert_eq!(shelf.check(&public), Ok(vec![]));
        assert_eq!(shelf.attested(&key, image).check(&public), Ok(vec!["a-kind".into()]));
    }

    #[test]
    fn what_is_not_signed_or_by_another_is_told_apart() {
        let ((key, _), (other, other_public)) = (pair(), pair());
        let image = Digest::of(MANIFEST);
        let refused = Shelf::new().check(&other_public).unwrap_err();
        assert!(
            refused.contains("has no signature") && refused.contains("push --sign"),
            "{refused}"
        );
        let refused = Shelf::new().signed(&key, image).check(&other_public).unwrap_err();
        assert!(refused.contains("is signed, but not by the key `cosign.pub`"), "{refused}");
        // What somebody else attested says nothing for this key.
        let shelf = Shelf::new().signed(&other, image).attested(&key, image);
        assert_eq!(shelf.check(&other_public), Ok(vec![]));
    }

    #[test]
    fn evidence_of_another_image_is_refused() {
        let (key, public) = pair();
        let (image, other) = (Digest::of(MANIFEST), Digest::of(b"another"));
        let refused = Shelf::new().signed(&key, other).check(&public).unwrap_err();
        assert!(refused.contains("is of another image"), "{refused}");
        assert!(refused.contains(&format!("signed: {other}")), "{refused}");
        let shelf = Shelf::new().signed(&key, image).attested(&key, other);
        let refused = shelf.check(&public).unwrap_err();
        assert!(refused.contains("(`a-kind`) is about another image"), "{refused}");
    }

    #[test]
    fn of_an_index_counts_what_is_attested_of_each_image_in_it() {
        let (key, public) = pair();
        let (one, other) = (br#"{"one":1}"#.as_slice(), br#"{"other":1}"#.as_slice());
        let member = |bytes: &[u8]| serde_json::json!({ "mediaType": "m", "digest": Digest::of(bytes), "size": 9 });
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [member(one), member(other)],
        });
        let shelf = |attested: &[&[u8]]| {
            let mut shelf = Shelf(BTreeMap::from([("1".into(), index.to_string().into_bytes())]));
            let payload = payload::write("r.example/a", Digest::of(index.to_string().as_bytes()));
            let signature = evidence::base64(&key.sign(&payload).unwrap());
            let top = Digest::of(index.to_string().as_bytes());
            shelf = shelf.with_of(top, "sig", &[(PAYLOAD_TYPE, payload, &signature)]);
            for bytes in attested {
                shelf = shelf.attested_of(&key, Digest::of(bytes), Digest::of(bytes));
            }
            shelf
        };
        assert_eq!(shelf(&[one, other]).check(&public), Ok(vec!["a-kind".into()]));
        assert_eq!(shelf(&[one]).check(&public), Ok(vec![]));
        assert_eq!(shelf(&[]).check(&public), Ok(vec![]));
    }

    #[test]
    fn a_signature_that_was_cut_is_none() {
        let (key, public) = pair();
        let bytes = payload::write("r.example/a", Digest::of(MANIFEST));
        let signature = evidence::base64(&key.sign(&bytes).unwrap());
        for cut in ["", "*", &signature[..20]] {
            let shelf = Shelf::new().with("sig", &[(PAYLOAD_TYPE, bytes.clone(), cut)]);
            let refused = shelf.check(&public).unwrap_err();
            assert!(refused.contains("not by the key"), "{refused}");
        }
    }

    #[test]
    fn an_image_that_is_not_there_is_named() {
        let (_, public) = pair();
        let refused = Shelf::default().check(&public).unwrap_err();
        assert!(refused.contains("has no image `a:1`"), "{refused}");
    }
}
