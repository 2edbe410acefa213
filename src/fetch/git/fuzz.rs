//! Fuzz: each reader of this room, given bytes by a fuzzer.

use super::address::Address;
use super::export::parse_submodules;
use super::packet::Packets;
use super::wire;

/// An address; its normal form is its own normal form.
pub(crate) fn address(text: &str) {
    if let Some(address) = Address::new(text) {
        let again = Address::new(&address.url).map(|again| again.url);
        assert_eq!(again.as_deref(), Some(address.url.as_str()));
        let _ = address.submodule(text);
        let _ = address.submodule("../b.git");
    }
}

/// The list of submodules.
pub(crate) fn submodules(text: &str) {
    for url in parse_submodules(text).values() {
        address(url);
    }
}

/// Frames alone.
pub(crate) fn packets(data: &[u8]) {
    let mut packets = Packets(data);
    while let Ok(Some(_)) = packets.next() {}
}

/// All that a server says: its greeting, its references, and what stands around a pack.
pub(crate) fn server(data: &[u8]) {
    wire::hear(data);
}
