//! Id: the place of an entry in a stream, `milliseconds-sequence`.

use std::fmt;

use bytes::Bytes;

use super::refusal::Refusal;

/// An entry's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Id {
    pub(super) ms: u64,
    pub(super) seq: u64,
}

/// An id as `XADD` takes it: the sequence may be left to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `*`
    Any,
    /// `5-*`
    Within(u64),
    /// `5-1`, or `5` for `5-0`
    Exactly(Id),
}

/// Longer texts are no ids.
const TEXT_BYTES_MAX: usize = 127;

impl Id {
    pub(super) const MIN: Self = Self { ms: 0, seq: 0 };
    pub(super) const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// Reads `5`, `5-1`, `-` or `+`; a missing sequence is `missing`.
    pub(super) fn parse(text: &[u8], missing: u64) -> Result<Self, Refusal> {
        match text {
            b"-" => Ok(Self::MIN),
            b"+" => Ok(Self::MAX),
            _ => Self::parse_strict(text, missing),
        }
    }

    /// Reads `5` or `5-1`; a missing sequence is `missing`.
    pub(super) fn parse_strict(text: &[u8], missing: u64) -> Result<Self, Refusal> {
        match Wanted::parse(text, missing)? {
            Wanted::Exactly(id) => Ok(id),
            Wanted::Any | Wanted::Within(_) => Err(invalid()),
        }
    }

    /// Reads one end of a range: `(` before it leaves it out.
    pub(super) fn parse_start(text: &[u8]) -> Result<Self, Refusal> {
        match excluded(text) {
            Some(text) => {
                let id = Self::parse_strict(text, 0)?;
                id.next().ok_or_else(|| Refusal::err("invalid start ID for the interval"))
            }
            None => Self::parse(text, 0),
        }
    }

    /// Reads the other end of a range.
    pub(super) fn parse_end(text: &[u8]) -> Result<Self, Refusal> {
        match excluded(text) {
            Some(text) => {
                let id = Self::parse_strict(text, u64::MAX)?;
                id.before().ok_or_else(|| Refusal::err("invalid end ID for the interval"))
            }
            None => Self::parse(text, u64::MAX),
        }
    }

    pub(super) fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    fn before(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    pub(super) fn text(self) -> Bytes {
        self.to_string().into()
    }
}

impl Wanted {
    /// Reads what `XADD` takes.
    pub(super) fn parse(text: &[u8], missing: u64) -> Result<Self, Refusal> {
        if text == b"*" {
            return Ok(Self::Any);
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(invalid());
        }
        let dash = text.iter().position(|&byte| byte == b'-');
        let (ms, seq) = match dash {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let ms = number(ms).ok_or_else(invalid)?;
        match seq {
            Some(b"*") => Ok(Self::Within(ms)),
            Some(seq) => Ok(Self::Exactly(Id { ms, seq: number(seq).ok_or_else(invalid)? })),
            None => Ok(Self::Exactly(Id { ms, seq: missing })),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

fn excluded(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"(").filter(|rest| !rest.is_empty())
}

fn number(text: &[u8]) -> Option<u64> {
    // C's strtoull lets a plus and blanks in front pass, and so does Redis.
    std::str::from_utf8(text).ok()?.trim_start().parse().ok()
}

fn invalid() -> Refusal {
    Refusal::err("Invalid stream ID specified as stream command argument")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> Id {
        Id { ms, seq }
    }

    #[test]
    fn a_missing_sequence_is_the_lowest_at_a_start_and_the_highest_at_an_end() {
        assert_eq!(Id::parse_start(b"5").unwrap(), id(5, 0));
        assert_eq!(Id::parse_end(b"5").unwrap(), id(5, u64::MAX));
        assert_eq!(Id::parse_start(b"(5-18446744073709551615").unwrap(), id(6, 0));
        assert_eq!(Id::parse_end(b"(5-0").unwrap(), id(4, u64::MAX));
    }

    #[test]
    fn nothing_lies_before_the_first_id_nor_after_the_last() {
        assert!(Id::parse_end(b"(0-0").is_err());
        assert!(Id::parse_start(b"(18446744073709551615-18446744073709551615").is_err());
        assert!(Id::parse_start(b"(-").is_err());
    }

    #[test]
    fn only_xadd_may_leave_the_sequence_out() {
        assert_eq!(Wanted::parse(b"7-*", 0).unwrap(), Wanted::Within(7));
        assert!(Id::parse_strict(b"7-*", 0).is_err());
        assert!(Id::parse_strict(b"*", 0).is_err());
        assert!(Id::parse_strict(b"+", 0).is_err());
        assert!(Id::parse_strict(b"1-2-3", 0).is_err());
    }
}
