//! Evidence: what is in an image and how it was made, in the forms that scanners read, and signatures over it.
//!
//! Every fact is taken from the image itself: the lock that travels in it, the packages and applications that stand in
//! it. So the same image has the same documents, byte for byte, whoever makes them and when; their one time is the
//! lock's epoch. Keys, signatures and attestations have cosign's form, so that either tool checks what the other signed.

mod envelope;
mod error;
pub(crate) mod fuzz;
mod key;
pub mod payload;
mod pem;
mod statement;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use envelope::{ENVELOPE_TYPE, Envelope, seal};
pub use error::EvidenceError;
pub use key::{PrivateKey, PublicKey, SealedKey, generate};
pub use statement::Statement;

/// The media type of a statement.
pub const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";

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
