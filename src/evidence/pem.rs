//! PEM: a block of base64 between two lines that name it (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of a line.
const LINE_LEN: usize = 64;

/// Writes bytes as a block of this kind.
pub(super) fn write(kind: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut block = format!("-----BEGIN {kind}-----\n");
    for line in text.as_bytes().chunks(LINE_LEN) {
        block.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        block.push('\n');
    }
    block + &format!("-----END {kind}-----\n")
}

/// Reads the first block of a text: its kind and its bytes. A block that is cut off is none.
pub(super) fn read(text: &str) -> Option<(String, Vec<u8>)> {
    let mut lines = text.lines().map(str::trim);
    let kind = lines.find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))?;
    let end = format!("-----END {kind}-----");
    let mut body = String::new();
    for line in lines {
        if line == end {
            return Some((kind.to_owned(), STANDARD.decode(body).ok()?));
        }
        body.push_str(line);
    }
    None
}
