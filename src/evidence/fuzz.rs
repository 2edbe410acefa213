//! Fuzz: keys, envelopes and signed documents, given by a fuzzer.

use super::key::{PublicKey, SealedKey};
use super::{Envelope, payload};

/// Each reader of this room over the same bytes.
pub(crate) fn documents(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(key) = PublicKey::parse(&text, "fuzz") {
        let again = PublicKey::parse(&key.to_pem(), "fuzz");
        assert_eq!(again.ok().as_ref(), Some(&key), "a key reads back from what it prints");
        assert!(!key.verifies(data, data), "nothing signs itself");
    }
    let _ = SealedKey::parse(&text, "fuzz");
    let _ = payload::read(data);
    if let Ok(envelope) = Envelope::parse(data) {
        let _ = envelope.statement();
    }
}
