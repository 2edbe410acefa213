//! What a signature of an image promises, over a registry of this test.

use std::collections::BTreeMap;

use super::*;
use crate::event::Silent;
use crate::evidence::{self, SealedKey};
use crate::http::serve::{Reply, Server, door};
use crate::registry::{Credentials, Security};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const MANIFEST: &[u8] = br#"{"schemaVersion":2,"layers":[]}"#;

/// A pair, with its public key as text.
fn pair() -> (PrivateKey, PublicKey) {
    let (private, public) = evidence::generate(b"").unwrap();
    let key = SealedKey::parse(&private, "k").unwrap().open(b"", "k").unwrap();
    (key, PublicKey::parse(&public, "k").unwrap())
}

/// A bundle as cosign 3 writes it: a statement of this type about an image.
fn bundle(key: &PrivateKey, kind: &str, image: Digest) -> Vec<u8> {
    let statement = serde_json::json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "predicate": {},
        "subject": [{ "digest": { "sha256": image.hex() } }],
    });
    let sealed = evidence::seal(statement.to_string().as_bytes(), key).unwrap();
    let envelope: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
    let bundle = serde_json::json!({
        "mediaType": BUNDLE, "dsseEnvelope": envelope,
        "verificationMaterial": { "publicKey": { "hint": "a hint" }, "tlogEntries": [] },
    });
    bundle.to_string().into_bytes()
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

    fn with_of(mut self, image: Digest, suffix: &str, papers: &[(&str, Vec<u8>, &str)]) -> Self {
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

    /// Puts bundles beside an image, as a registry without a list of its own has them: under the fallback tag.
    fn bundled(mut self, bundles: &[Vec<u8>]) -> Self {
        let mut lines = Vec::new();
        for bundle in bundles {
            let digest = Digest::of(bundle).to_string();
            let manifest = serde_json::json!({
                "schemaVersion": 2, "artifactType": BUNDLE, "layers": [
                    { "mediaType": BUNDLE, "digest": digest, "size": bundle.len() },
                ],
            });
            let manifest = manifest.to_string().into_bytes();
            let named = Digest::of(&manifest).to_string();
            let size = manifest.len();
            lines.push(serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": named, "size": size,
                // As cosign 3.1 writes it.
                "artifactType": "application/vnd.oci.empty.v1+json",
            }));
            self.0.insert(named, manifest);
            self.0.insert(digest, bundle.clone());
        }
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": lines });
        self.0.insert(fallback_tag(Digest::of(MANIFEST)), index.to_string().into_bytes());
        self
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
    assert!(refused.contains("has no signature") && refused.contains("push --sign"), "{refused}");
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

#[test]
fn an_image_is_good_that_a_bundle_of_the_key_signs() {
    let (key, public) = pair();
    let image = Digest::of(MANIFEST);
    let signed = bundle(&key, SIGNED, image);
    assert_eq!(Shelf::new().bundled(std::slice::from_ref(&signed)).check(&public), Ok(vec![]));
    // Whatever else lies beside it counts for nothing, and what the key attested is told.
    let (other, _) = pair();
    let beside = [b"no bundle".to_vec(), bundle(&other, SIGNED, image), signed.clone()];
    assert_eq!(Shelf::new().bundled(&beside).check(&public), Ok(vec![]));
    let attested = [signed.clone(), bundle(&key, "a-kind", image)];
    assert_eq!(Shelf::new().bundled(&attested).check(&public), Ok(vec!["a-kind".into()]));
    // Either form does.
    let old = Shelf::new().signed(&key, image).bundled(&[bundle(&other, SIGNED, image)]);
    assert_eq!(old.check(&public), Ok(vec![]));
    let new = Shelf::new().signed(&other, image).bundled(&[signed]);
    assert_eq!(new.check(&public), Ok(vec![]));
}

#[test]
fn a_bundle_that_does_not_sign_this_image_says_why() {
    let ((key, public), (other, _)) = (pair(), pair());
    let image = Digest::of(MANIFEST);
    let refused = |bundle: Vec<u8>| Shelf::new().bundled(&[bundle]).check(&public).unwrap_err();
    let said = refused(bundle(&other, SIGNED, image));
    assert!(said.contains("is signed, but not by the key `cosign.pub`"), "{said}");
    let said = refused(bundle(&key, SIGNED, Digest::of(b"another")));
    assert!(said.contains("is about another image"), "{said}");
    let said = refused(bundle(&key, "a-kind", image));
    assert!(said.contains("has no signature"), "{said}");
    let text = String::from_utf8(bundle(&other, SIGNED, image)).unwrap();
    let keyless =
        text.replace(r#""publicKey":{"hint":"a hint"}"#, r#""certificate":{"rawBytes":"AA=="}"#);
    assert_ne!(keyless, text);
    let said = refused(keyless.into_bytes());
    assert!(said.contains("and by no key; `cosign verify --certificate-identity"), "{said}");
    for broken in ["", "{}", "[]", &text[..text.len() / 2], &text.replace("dsse", "esse")] {
        let said = refused(broken.as_bytes().to_vec());
        assert!(said.contains("a bundle of signatures cannot be read"), "{broken}: {said}");
        assert!(said.contains("rebeam push --sign"), "{said}");
    }
    let said = refused(text.replace("sigstore.bundle", "sigstore.parcel").into_bytes());
    assert!(said.contains("its type is `application/vnd.dev.sigstore.parcel"), "{said}");
}

#[test]
fn a_file_is_good_that_the_bundle_beside_it_signs() {
    let ((key, public), (other, _)) = (pair(), pair());
    let room = tempfile::tempdir().unwrap();
    let (path, beside) =
        (room.path().join("bill.json"), room.path().join("bill.json.sigstore.json"));
    std::fs::write(&path, "{}").unwrap();
    let given = Given { key: &public, file: "cosign.pub" };
    let check = |bundle: &[u8]| {
        std::fs::write(&beside, bundle).unwrap();
        let checked = file(&path, given).map(|checked| checked.attestations);
        checked.map_err(|failure| failure.messages().join(": "))
    };
    let signature = |key: &PrivateKey, bytes: &[u8]| {
        let signature = evidence::base64(&key.sign(bytes).unwrap());
        let bundle = serde_json::json!({
            "mediaType": BUNDLE, "verificationMaterial": { "publicKey": { "hint": "a hint" } },
            "messageSignature": { "messageDigest": {}, "signature": signature },
        });
        bundle.to_string().into_bytes()
    };
    assert_eq!(check(&signature(&key, b"{}")), Ok(vec![]));
    assert_eq!(check(&bundle(&key, "a-kind", Digest::of(b"{}"))), Ok(vec!["a-kind".into()]));
    for refused in [signature(&other, b"{}"), signature(&key, b"[]")] {
        let said = check(&refused).unwrap_err();
        assert!(said.contains("is signed, but not by the key"), "{said}");
    }
    let said = check(&bundle(&key, "a-kind", Digest::of(b"[]"))).unwrap_err();
    assert!(said.contains("is about another image"), "{said}");
}
