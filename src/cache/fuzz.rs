//! Fuzz: what a cache says of a result, given by a fuzzer.

use super::entry::Entry;
use crate::store::BuildKey;

/// A manifest of a result, behind the text of its inputs in the first line; what is read is written again the same.
pub(crate) fn manifest(text: &str) {
    let (inputs, manifest) = text.split_once('\n').unwrap_or_default();
    let key = BuildKey::of(inputs);
    if let Ok(entry) = Entry::read(manifest.as_bytes(), key) {
        assert_eq!(Entry::read(&entry.manifest(key), key), Ok(entry));
    }
}
