//! Envelope: a statement and its signatures in one document (DSSE 1.0), as cosign keeps attestations.
//!
//! What is signed is the statement with its type and both lengths before it, so that no statement can be taken for one
//! of another type.

use serde::{Deserialize, Serialize};

use super::key::{PrivateKey, PublicKey};
use super::statement::Statement;
use super::{EvidenceError, STATEMENT_TYPE};

/// The media type of an envelope.
pub const ENVELOPE_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Signatures that one envelope may bear.
const SIGNATURES_MAX: usize = 100;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// An envelope, read but not believed.
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

/// Signs a statement and returns the envelope.
pub fn seal(statement: &[u8], key: &PrivateKey) -> Result<Vec<u8>, EvidenceError> {
    let signature = key.sign(&encoding(STATEMENT_TYPE, statement))?;
    let document = Document {
        payload_type: STATEMENT_TYPE.into(),
        payload: super::base64(statement),
        signatures: vec![Signature { keyid: String::new(), sig: super::base64(&signature) }],
    };
    Ok(serde_json::to_vec(&document).expect("the document has only text keys"))
}

/// Returns the bytes that are signed (DSSE's "pre-authentication encoding").
pub(super) fn encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// Reads an envelope.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|_| EvidenceError::BadEnvelope { what: "it is not the JSON of one".into() })?;
        Self::of(&document)
    }

    /// Takes an envelope that stands in a larger document.
    pub(super) fn of(document: &Document) -> Result<Self, EvidenceError> {
        let bad = |what: &str| EvidenceError::BadEnvelope { what: what.into() };
        if document.signatures.len() > SIGNATURES_MAX {
            return Err(bad(&format!("it bears more than {SIGNATURES_MAX} signatures")));
        }
        let decoded =
            |text: &str| super::unbase64(text).ok_or_else(|| bad("its base64 is damaged"));
        let signatures = document.signatures.iter().map(|signature| decoded(&signature.sig));
        Ok(Self {
            payload: decoded(&document.payload)?,
            signatures: signatures.collect::<Result<_, _>>()?,
            payload_type: document.payload_type.clone(),
        })
    }

    /// Tells whether one of its signatures is of this key.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let signed = encoding(&self.payload_type, &self.payload);
        self.signatures.iter().any(|signature| key.verifies(&signed, signature))
    }

    /// Returns the bytes of the statement in it.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Reads the statement in it.
    pub fn statement(&self) -> Result<Statement, EvidenceError> {
        if self.payload_type != STATEMENT_TYPE {
            let kind = super::said(&self.payload_type);
            return Err(EvidenceError::BadEnvelope { what: format!("it holds a `{kind}`") });
        }
        Statement::parse(&self.payload)
    }
}
