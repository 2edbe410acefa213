//! Digest: the SHA-256 of some content, in the three spellings the field uses.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::explain::Explain;

/// What came out: the SHA-256 of content. Prints as `sha256:<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A digest's text could not be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not a SHA-256 digest (`sha256:` and 64 hex digits, or `sha256-` and base64)")]
pub struct DigestError {
    text: String,
}

impl Explain for DigestError {}

impl Digest {
    /// Hashes bytes that are already in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Wraps 32 raw bytes that are known to be a SHA-256.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the 64 lower-case hex digits, without a prefix.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            use fmt::Write as _;
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        }
        text
    }

    /// Returns the Subresource Integrity spelling that Nix prints: `sha256-<base64>`.
    pub fn sri(&self) -> String {
        format!("sha256-{}", STANDARD.encode(self.0))
    }

    /// Reads 64 hex digits in either case, without a prefix.
    pub fn from_hex(hex: &str) -> Result<Self, DigestError> {
        let bad = || DigestError { text: shorten(hex) };
        let digits = hex.as_bytes();
        if digits.len() != 64 {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or_else(bad)?;
            let low = char::from(pair[1]).to_digit(16).ok_or_else(bad)?;
            *byte = u8::try_from(high * 16 + low).expect("two hex digits fit in a byte");
        }
        Ok(Self(bytes))
    }
}

/// The digits of Nix's base 32: no letters that words are made of.
const NIX32: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

impl Digest {
    /// Reads a digest as Nix expressions spell it: base 32, hex or base 64, with or without the algorithm before it.
    pub fn from_nix(text: &str) -> Result<Self, DigestError> {
        let bad = || DigestError { text: shorten(text) };
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        match digits.len() {
            52 => Self::from_nix32(digits).ok_or_else(bad),
            64 => Self::from_hex(digits).map_err(|_| bad()),
            44 => format!("sha256-{digits}").parse().map_err(|_| bad()),
            _ => text.parse().map_err(|_| bad()),
        }
    }

    /// The last digit holds the lowest bits of the first byte; the first one has a single bit.
    fn from_nix32(digits: &str) -> Option<Self> {
        let mut bytes = [0_u8; 33];
        for (place, digit) in digits.bytes().rev().enumerate() {
            let value = NIX32.iter().position(|known| *known == digit)?;
            let shifted = u16::try_from(value).ok()? << (place * 5 % 8);
            let [low, high] = shifted.to_le_bytes();
            bytes[place * 5 / 8] |= low;
            bytes[place * 5 / 8 + 1] |= high;
        }
        let (digest, over) = bytes.split_at(32);
        (over == [0]).then(|| Self(digest.try_into().expect("32 of 33 bytes")))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        if let Some(hex) = text.strip_prefix("sha256:") {
            return Self::from_hex(hex);
        }
        let bad = || DigestError { text: shorten(text) };
        let encoded = text.strip_prefix("sha256-").ok_or_else(bad)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| bad())?;
        bytes.try_into().map(Self).map_err(|_| bad())
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A writer that hashes what passes through to an inner writer, and counts it.
pub struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    /// Starts hashing in front of `inner`; use [`io::sink`] to hash only.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// Returns the bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the hash: the inner writer, the digest and the number of bytes that passed.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest(self.hasher.finalize().into()), self.bytes)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_reads_back_from_each_of_its_spellings() {
        let digest = Digest::of(b"");
        assert_eq!(digest.hex(), EMPTY_HEX);
        assert_eq!(digest.sri(), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.sri().parse(), Ok(digest));
        assert_eq!(Digest::from_hex(&EMPTY_HEX.to_uppercase()), Ok(digest));
    }

    #[test]
    fn a_digest_reads_from_each_spelling_of_a_nix_expression() {
        let digest = Digest::of(b"");
        let plain = digest.sri().split_off("sha256-".len());
        // From `nix-hash --type sha256 --to-base32`.
        let nix32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
        for text in [nix32, &format!("sha256:{nix32}"), EMPTY_HEX, &plain, &digest.sri()] {
            assert_eq!(Digest::from_nix(text), Ok(digest), "{text}");
        }
        for text in ["", "e", &nix32.replace('0', "e"), &nix32.replacen('0', "2", 1), &nix32[1..]] {
            assert!(Digest::from_nix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_digest_is_refused() {
        for text in ["", "sha256:", "sha256:zz", "sha512-AAAA", "sha256-AAAA", EMPTY_HEX] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
        assert!(Digest::from_hex(&"é".repeat(32)).is_err());
    }
}
