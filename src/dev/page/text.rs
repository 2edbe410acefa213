//! Text: strangers' bytes as a page shows them: never more than fits, never more than it seems.
//!
//! maud escapes what HTML means by `<` and `&`. What is left are characters that nobody sees or that turn the order
//! of a line around; they are written out, so that a topic cannot look like another one.

use std::fmt::Write as _;

use maud::{Markup, html};
use serde::Serialize;

use crate::image::rfc3339;

/// Bytes of a payload that a row of a list shows.
pub(super) const PREVIEW_BYTES: usize = 300;
/// Bytes that are no text, in a row of a list.
const HEX_BYTES: usize = 32;
/// Bytes of a payload that its own page shows.
pub(super) const WHOLE_BYTES: usize = 256 << 10;
/// Bytes in a line of hexadecimal digits.
const LINE: usize = 16;

/// What kind of bytes a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Empty,
    Text,
    Json,
    Binary,
}

/// A payload, or the beginning of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Shown {
    pub(super) kind: Kind,
    /// How long all of it is.
    pub(super) bytes: usize,
    /// Whether `text` is only the beginning.
    pub(super) is_cut: bool,
    /// The text, or hexadecimal digits.
    pub(super) text: String,
}

impl Shown {
    /// Shows up to `limit` bytes of a payload that is `bytes` long and begins with `payload`.
    pub(super) fn of(payload: &[u8], bytes: usize, limit: usize) -> Self {
        let head = &payload[..payload.len().min(limit)];
        let is_cut = head.len() < bytes;
        let (kind, text) = match readable(head, is_cut) {
            Some("") if bytes == 0 => (Kind::Empty, String::new()),
            Some(text) if is_json(text, is_cut) => (Kind::Json, text.to_owned()),
            Some(text) => (Kind::Text, text.to_owned()),
            None => (Kind::Binary, hex(head)),
        };
        Self { kind, bytes, is_cut, text }
    }

    /// Lays it out in one run, for a row of a list.
    pub(super) fn line(&self) -> Markup {
        html! {
            @match self.kind {
                Kind::Empty => span.muted { "empty" },
                Kind::Binary => {
                    @let digits = &self.text[..self.text.len().min(HEX_BYTES * 3 - 1)];
                    code.hex { (digits) @if digits.len() < self.text.len() || self.is_cut { "…" } }
                },
                Kind::Text | Kind::Json => code.payload { (visible(&self.text)) @if self.is_cut { "…" } },
            }
            @if self.is_cut || self.kind == Kind::Binary { " " span.muted { (size(self.bytes)) } }
        }
    }

    /// Lays it out as a block of lines.
    pub(super) fn block(&self) -> Markup {
        let text = match self.kind {
            Kind::Json if !self.is_cut => pretty(&self.text),
            Kind::Binary => lines_of_hex(&self.text),
            _ => self.text.clone(),
        };
        html! {
            @if self.kind == Kind::Empty { p.muted { "The payload is empty." } }
            @else {
                pre tabindex="0" aria-label="Payload" { (visible(&text)) }
                @if self.is_cut {
                    p.muted { "This is the beginning; all of it has " (size(self.bytes)) "." }
                }
            }
        }
    }
}

/// Sees bytes as text that a person can read; a character that was cut in half at the end is left out.
fn readable(bytes: &[u8], is_cut: bool) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_strange = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    (!text.contains(is_strange)).then_some(text)
}

fn is_json(text: &str, is_cut: bool) -> bool {
    let begins = text.trim_start().starts_with(['{', '[']);
    begins && (is_cut || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

/// Lays JSON out over lines; text that is none stays.
pub(super) fn pretty(text: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text.into())
}

/// Writes bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Breaks hexadecimal digits into lines that begin with their place.
pub(super) fn lines_of_hex(digits: &str) -> String {
    let bytes: Vec<&str> = digits.split(' ').collect();
    let line = |(at, line): (usize, &[&str])| format!("{:06x}  {}", at * LINE, line.join(" "));
    bytes.chunks(LINE).enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// Writes out what could not be seen, or would turn the line around.
pub(super) fn visible(text: &str) -> String {
    let is_hidden = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}')
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    if !text.contains(is_hidden) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_hidden(c) {
            true => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            false => out.push(c),
        }
    }
    out
}

/// Lays out a name that a stranger chose: a topic, a client, a key.
pub(super) fn name(text: &str) -> Markup {
    html! { bdi.name { @if text.is_empty() { span.muted { "(empty)" } } @else { (visible(text)) } } }
}

/// Sees a name in bytes; what is no text is written as digits.
pub(super) fn lossless(bytes: &[u8]) -> String {
    readable(bytes, false)
        .map_or_else(|| format!("0x{}", hex(bytes).replace(' ', "")), str::to_owned)
}

/// Writes a number of bytes for a person.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        0..=9_999 => format!("{} B", grouped(bytes as u64)),
        10_000..=9_999_999 => format!("{} kB", grouped(bytes as u64 / 1000)),
        _ => format!("{} MB", grouped(bytes as u64 / 1_000_000)),
    }
}

/// Writes a number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Writes a time as machines read it.
pub(super) fn stamp(at_ms: i64) -> String {
    let at_ms = u64::try_from(at_ms).unwrap_or(0);
    format!("{}.{:03}Z", rfc3339(at_ms / 1000).trim_end_matches('Z'), at_ms % 1000)
}

/// Lays out a time: in UTC, until the script writes the reader's own.
pub(super) fn time(at_ms: i64) -> Markup {
    let stamp = stamp(at_ms);
    html! { time datetime=(stamp) { (stamp[11..23]) " UTC" } }
}

/// Writes a span of time for a person.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Makes an address of the page, with what strangers wrote in it.
pub(super) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    for (at, (name, value)) in parameters.iter().enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(byte.into())
                }
                _ => {
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_shown_as_digits_with_their_length() {
        let shown = Shown::of(&[0, 255, 16], 3, 100);
        assert_eq!((shown.kind, &*shown.text), (Kind::Binary, "00 ff 10"));
        assert!(shown.line().into_string().contains("3 B"));
        assert_eq!(Shown::of(b"a\x1b[31m", 6, 100).kind, Kind::Binary);
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let text = "ä".repeat(200);
        let shown = Shown::of(text.as_bytes(), text.len(), 301);
        assert_eq!((shown.kind, shown.text.chars().count(), shown.is_cut), (Kind::Text, 150, true));
        assert_eq!(Shown::of(b"{\"a\":1}", 7, 100).kind, Kind::Json);
        assert_eq!(Shown::of(b"", 0, 100).kind, Kind::Empty);
    }

    #[test]
    fn a_name_that_turns_the_line_around_is_written_out() {
        assert_eq!(visible("a\u{202e}b\u{0}"), "a\\u{202e}b\\u{0}");
        assert_eq!(visible("ümlaut/日本"), "ümlaut/日本");
    }

    #[test]
    fn what_a_stranger_wrote_stays_one_value_of_an_address() {
        assert_eq!(
            link("/topic", &[("name", "a/b&c=\"<ä>")]),
            "/topic?name=a%2Fb%26c%3D%22%3C%C3%A4%3E"
        );
    }

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(size(20_400), "20 kB");
        assert_eq!(stamp(1_735_689_599_007), "2024-12-31T23:59:59.007Z");
        assert_eq!(lines_of_hex(&hex(&[7; 17])).lines().count(), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_shown(bytes: Vec<u8>, limit in 0..64_usize) {
            let shown = Shown::of(&bytes, bytes.len(), limit);
            let html = shown.line().into_string() + &shown.block().into_string();
            prop_assert!(!html.contains('\0') && !html.contains('\u{202e}'), "left in");
            prop_assert!(shown.text.len() <= limit * 3);
        }
    }
}
