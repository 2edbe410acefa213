//! Evidence: what is in an image and how it was made, in the forms that scanners read, and signatures over it.
//!
//! Every fact is taken from the image itself: the lock that travels in it, the packages and applications that stand in
//! it. So the same image has the same documents, byte for byte, whoever makes them and when; their one time is the
//! lock's epoch. Keys, signatures and attestations have cosign's form, so that either tool checks what the other signed.

mod bundle;
mod cyclonedx;
mod documents;
mod envelope;
mod error;
mod facts;
pub(crate) mod fuzz;
mod key;
pub mod payload;
mod pem;
mod purl;
mod slsa;
mod spdx;
mod statement;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use bundle::{Bundle, SIGNED, is_bundle};
pub use documents::Documents;
pub use envelope::{ENVELOPE_TYPE, Envelope, seal};
pub use error::EvidenceError;
pub use facts::{Component, Facts, Kind};
pub use key::{PrivateKey, PublicKey, SealedKey, generate};
pub use statement::Statement;

use crate::digest::Digest;

/// The media type of a statement.
pub const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";

/// A kind of document about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// A bill of materials in SPDX 2.3.
    Spdx,
    /// A bill of materials in CycloneDX 1.6.
    CycloneDx,
    /// How the image was made: SLSA provenance 1 in an in-toto statement.
    Provenance,
}

impl Form {
    /// Returns what people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spdx => "SPDX",
            Self::CycloneDx => "CycloneDX",
            Self::Provenance => "SLSA provenance",
        }
    }

    /// Returns the media type under which it is kept beside an image.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Spdx => "application/spdx+json",
            Self::CycloneDx => "application/vnd.cyclonedx+json",
            Self::Provenance => STATEMENT_TYPE,
        }
    }

    /// Returns the type that it has as the predicate of a statement.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Self::Spdx => "https://spdx.dev/Document",
            Self::CycloneDx => "https://cyclonedx.org/bom",
            Self::Provenance => slsa::PREDICATE,
        }
    }

    /// Writes the document about an image, on one line.
    pub fn document(self, facts: &Facts) -> Vec<u8> {
        Documents::of(facts, &[self]).document(self)
    }

    /// Writes the document as a statement about the image, which can be signed.
    pub fn statement(self, facts: &Facts) -> Vec<u8> {
        Documents::of(facts, &[self]).statement(self)
    }
}

/// Returns a name for a document of an image, the same each time (RFC 9562, version 8).
fn urn(image: Digest, purpose: &str) -> String {
    let digest = Digest::of(format!("{purpose} {image}").as_bytes());
    let mut bytes = *digest.as_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = Digest::from_bytes(bytes).hex();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]];
    format!("urn:uuid:{}", parts.join("-"))
}

/// Writes bytes as base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64, with space around it.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok()
}

/// Returns a stranger's words as they may be shown: without control characters, and not long.
fn said(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
