//! Fuzz: each reader of this room, given bytes by a fuzzer.

use super::{beam, elf};

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
