//! Statement: something said about an image, known by its digest (in-toto attestation framework, statement 1).

use serde::Deserialize;
use serde_json::{Value, json};

use super::EvidenceError;
use crate::digest::Digest;

/// The type of a statement, and of the form that it had before.
const TYPES: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    digest: std::collections::BTreeMap<String, String>,
}

/// What a statement is about, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The images that it speaks of.
    pub subjects: Vec<Digest>,
    /// What kind of thing it says.
    pub predicate_type: String,
}

/// Writes a statement about the image of this name and manifest.
pub(super) fn write(
    name: &str,
    manifest: Digest,
    predicate_type: &str,
    predicate: Value,
) -> Vec<u8> {
    let statement = json!({
        "_type": TYPES[0],
        "predicate": predicate,
        "predicateType": predicate_type,
        "subject": [{ "digest": { "sha256": manifest.hex() }, "name": name }],
    });
    serde_json::to_vec(&statement).expect("the document has only text keys")
}

impl Statement {
    /// Reads a statement.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        let bad = |what: String| EvidenceError::BadStatement { what };
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|_| bad("it is not the JSON of an in-toto statement".into()))?;
        if !TYPES.contains(&document.kind.as_str()) {
            return Err(bad(format!("its type is `{}`", super::said(&document.kind))));
        }
        let sha256 = |subject: &Subject| Digest::from_hex(subject.digest.get("sha256")?).ok();
        Ok(Self {
            subjects: document.subject.iter().filter_map(sha256).collect(),
            predicate_type: super::said(&document.predicate_type),
        })
    }
}
