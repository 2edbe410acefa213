//! Fuzz: what a thing sends, as bytes.

use super::senml::{self, Format};
use super::topic;

/// Reads a pack of SenML as JSON and as CBOR, and the topic of a message.
pub fn messages(data: &[u8]) {
    for format in [Format::Json, Format::Cbor] {
        for record in senml::normalise(data, format, 1_000).unwrap_or_default() {
            assert!(!record.name.is_empty(), "every record has a name");
            assert!(record.time.is_finite(), "every record has a time");
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(read) = topic::read(text) else { return };
    // What we write for a message is read back as that message, where its parts can be told apart at all.
    let is_plain =
        !read.subtopic.split('.').any(|part| part == "ct") && read.content_type.is_empty();
    if is_plain
        && !read.channel.contains('/')
        && let Some(written) = topic::write(&read)
    {
        assert_eq!(topic::read(&written), Some(read));
    }
}
