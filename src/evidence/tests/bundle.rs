//! What a bundle promises that a stranger changed.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;

use super::{ONE, facts, private, public};
use crate::evidence::{Bundle, Form, fuzz, seal, slsa};

/// A bundle with provenance. Opening the key that signs it takes its time, by design.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let sealed = seal(&Form::Provenance.statement(&facts()), &private(ONE)).unwrap();
    let envelope: Value = serde_json::from_slice(&sealed).unwrap();
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let whole = serde_json::json!({ "dsseEnvelope": envelope, "mediaType": kind });
    whole.to_string().into_bytes()
});

proptest! {
    #[test]
    fn a_bundle_that_one_byte_was_changed_in_says_nothing_new(at in 0usize..2_000, byte: u8) {
        let said = |bytes: &[u8]| {
            let statement = Bundle::parse(bytes).ok()?.statement_of(&public(ONE)).ok()?;
            statement.filter(|statement| statement.predicate_type == slsa::PREDICATE)
        };
        let mut bytes = WHOLE.clone();
        let expected = said(&bytes);
        prop_assert!(expected.is_some());
        let length = bytes.len();
        bytes[at % length] = byte;
        fuzz::documents(&bytes);
        let found = said(&bytes);
        prop_assert!(found.is_none() || found == expected);
    }
}
