//! Fuzz: keys, envelopes and signed documents, given by a fuzzer.

use super::key::{PublicKey, SealedKey};
use super::{Bundle, Envelope, payload};

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
    if let Ok(bundle) = Bundle::parse(data) {
        let _ = bundle.statement_of(&stranger());
        assert!(!bundle.signs(data, &stranger()), "nothing signs itself");
    }
}

/// A key whose private half nobody has any more.
fn stranger() -> PublicKey {
    PublicKey::parse(include_str!("tests/one.pub"), "one.pub").expect("it is a key")
}
