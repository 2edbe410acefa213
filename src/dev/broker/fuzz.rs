//! Fuzz: what a client may send, for the fuzzer.

use super::codec::{self, Version};
use super::{filter_matches, tree};

/// Reads bytes as the stream of a client, in each version; a filter that is read must match itself.
pub fn packets(data: &[u8]) {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut rest = data;
        while let Ok(Some((head, body))) = codec::frame(rest, 1 << 20) {
            let Some(packet) = rest.get(head..head + body) else { break };
            if let Ok(codec::Packet::Subscribe(subscribe)) = codec::read(version, rest[0], packet) {
                for wish in subscribe.wishes {
                    let inner = tree::inner(wish.filter);
                    assert!(filter_matches(wish.filter, inner) || wish.filter.contains('+'));
                }
            }
            // The same bytes as a server's, for our own client.
            let _ = codec::hear(version, rest[0], packet);
            rest = &rest[head + body..];
        }
    }
}
