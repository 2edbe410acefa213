//! Fuzz: each reader of this room, given bytes by a fuzzer.

use super::{beam, elf, zone};

/// A module; what was stripped is not stripped again.
pub(crate) fn module(data: &[u8]) {
    let _ = beam::chunks(data);
    if let Ok(stripped) = beam::strip(data) {
        let again = beam::strip(&stripped).expect("what we write is a module");
        assert_eq!(again, stripped);
    }
}

/// A program or library.
pub(crate) fn program(data: &[u8]) {
    let _ = elf::is_elf(data);
    let _ = elf::parse(data);
}

/// A time zone; what was slimmed is not slimmed again.
pub(crate) fn zone(data: &[u8]) {
    if let Some(slim) = zone::slim(data) {
        assert_eq!(zone::slim(&slim).as_ref(), Some(&slim));
    }
}
