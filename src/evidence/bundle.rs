//! Bundle: what somebody signed, with the signature and by what it is checked, in one document (Sigstore's bundle,
//! versions 0.1 to 0.3), as cosign 3 keeps everything that it says of an image or a file.
//!
//! Of an image it holds an envelope with a statement, whose type tells a signature from an attestation; of a file
//! it may hold a bare signature, too. The key is not inside: a hint names it, and hints prove nothing.

use serde::Deserialize;

use super::envelope::{self, Envelope};
use super::key::PublicKey;
use super::{EvidenceError, Statement};

/// How the media types of all its versions begin.
const TYPE: &str = "application/vnd.dev.sigstore.bundle";
/// The type of the statement that stands for a signature of an image.
pub const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: String,
    #[serde(default)]
    verification_material: Material,
    dsse_envelope: Option<envelope::Document>,
    message_signature: Option<Message>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    certificate: Option<serde::de::IgnoredAny>,
    x509_certificate_chain: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Message {
    signature: String,
}

/// A bundle, read but not believed.
pub struct Bundle {
    signed: Signed,
    is_keyless: bool,
}

enum Signed {
    Statement(Envelope),
    /// The signature of bytes that stand elsewhere.
    Bytes(Vec<u8>),
}

/// Tells whether a media type is that of a bundle, of whatever version.
pub fn is_bundle(media_type: &str) -> bool {
    media_type.starts_with(TYPE)
}

impl Bundle {
    /// Reads a bundle.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        let bad = |what: String| EvidenceError::BadBundle { what };
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|_| bad("it is not the JSON of Sigstore's bundle".into()))?;
        if !is_bundle(&document.media_type) {
            return Err(bad(format!("its type is `{}`", super::said(&document.media_type))));
        }
        let signed = match (document.dsse_envelope, document.message_signature) {
            (Some(envelope), None) => Signed::Statement(Envelope::of(&envelope)?),
            (None, Some(message)) => {
                let signature = super::unbase64(&message.signature);
                Signed::Bytes(signature.ok_or_else(|| bad("its base64 is damaged".into()))?)
            }
            _ => return Err(bad("it holds not one signed thing".into())),
        };
        let Material { certificate, x509_certificate_chain } = document.verification_material;
        let is_keyless = certificate.is_some() || x509_certificate_chain.is_some();
        Ok(Self { signed, is_keyless })
    }

    /// Tells whether it was signed with a certificate of the moment ("keyless"), which no public key checks.
    pub fn is_keyless(&self) -> bool {
        self.is_keyless
    }

    /// Returns the statement in it if this key's holder signed it; `None` if somebody else did, or there is none.
    pub fn statement_of(&self, key: &PublicKey) -> Result<Option<Statement>, EvidenceError> {
        match &self.signed {
            Signed::Statement(envelope) if envelope.is_signed_by(key) => {
                envelope.statement().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Tells whether it is this key's signature of exactly these bytes.
    pub fn signs(&self, bytes: &[u8], key: &PublicKey) -> bool {
        match &self.signed {
            Signed::Bytes(signature) => key.verifies(bytes, signature),
            Signed::Statement(_) => false,
        }
    }
}
