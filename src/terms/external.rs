//! External: terms as an emulator writes them to a file or a wire (OTP, "External Term Format").
//!
//! The bytes may be anyone's. Known crates ask for memory by what a length says and follow nesting as deep as it
//! goes, so a few bytes could end the process; here a length counts only as far as there are bytes for it, and nesting
//! and the inflated size are bounded. What has no text of its own (processes, functions, very large integers) is kept
//! as `{'$external', <<bytes>>}`: enough to be compared.

use std::io::Read as _;

use flate2::read::ZlibDecoder;
use thiserror::Error;

use super::{Term, print};
use crate::limits::{EXTERNAL_TERM_BYTES_MAX, TERM_DEPTH_MAX};

/// Bytes that are no term in the external format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExternalError {
    /// They do not begin as one.
    #[error("it does not begin like a term in the external format")]
    NoTerm,
    /// They end too early.
    #[error("the term is cut off")]
    Cut,
    /// A tag that no OTP release writes into a file.
    #[error("the term holds the unknown tag {tag}")]
    Unknown {
        /// The tag.
        tag: u8,
    },
    /// Terms are nested too deeply.
    #[error("terms are nested more than {TERM_DEPTH_MAX} deep")]
    TooDeep,
    /// The term is too large when it is inflated.
    #[error("the term has more than {EXTERNAL_TERM_BYTES_MAX} bytes")]
    TooLarge,
}

type Result<T> = std::result::Result<T, ExternalError>;

/// Reads the term at the beginning of `bytes`; what stands behind it does not count, as for `binary_to_term`.
pub fn parse_external(bytes: &[u8]) -> Result<Term> {
    let rest = bytes.strip_prefix(&[131]).ok_or(ExternalError::NoTerm)?;
    let Some(packed) = rest.strip_prefix(&[80]) else {
        return Reader { rest }.term(0);
    };
    let (size, packed) = packed.split_first_chunk::<4>().ok_or(ExternalError::Cut)?;
    let size = u64::from(u32::from_be_bytes(*size));
    if size > EXTERNAL_TERM_BYTES_MAX {
        return Err(ExternalError::TooLarge);
    }
    let mut plain = Vec::new();
    ZlibDecoder::new(packed).take(size).read_to_end(&mut plain).map_err(|_| ExternalError::Cut)?;
    Reader { rest: &plain }.term(0)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(ExternalError::Cut)?;
        self.rest = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn short(&mut self) -> Result<usize> {
        let bytes = self.take(2)?.try_into().expect("two bytes");
        Ok(usize::from(u16::from_be_bytes(bytes)))
    }

    fn long(&mut self) -> Result<usize> {
        let bytes = self.take(4)?.try_into().expect("four bytes");
        Ok(usize::try_from(u32::from_be_bytes(bytes)).expect("a usize has at least 32 bits"))
    }

    /// Terms in a row. Each has at least a byte, so no more room is asked for than there are bytes.
    fn terms(&mut self, count: usize, depth: usize) -> Result<Vec<Term>> {
        let mut terms = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..count {
            terms.push(self.term(depth + 1)?);
        }
        Ok(terms)
    }

    fn term(&mut self, depth: usize) -> Result<Term> {
        if depth > TERM_DEPTH_MAX {
            return Err(ExternalError::TooDeep);
        }
        let start = self.rest;
        let tag = self.byte()?;
        Ok(match tag {
            97 => Term::Integer(i128::from(self.byte()?)),
            98 => {
                let bytes = self.take(4)?.try_into().expect("four bytes");
                Term::Integer(i128::from(i32::from_be_bytes(bytes)))
            }
            70 => {
                let bytes = self.take(8)?.try_into().expect("eight bytes");
                Term::Float(print::float(f64::from_be_bytes(bytes)))
            }
            99 => Term::Float(latin(self.take(31)?).trim_end_matches('\0').to_owned()),
            100 | 118 => {
                let size = self.short()?;
                Term::Atom(name(tag, self.take(size)?))
            }
            115 | 119 => {
                let size = usize::from(self.byte()?);
                Term::Atom(name(tag, self.take(size)?))
            }
            104 => {
                let count = usize::from(self.byte()?);
                Term::Tuple(self.terms(count, depth)?)
            }
            105 => {
                let count = self.long()?;
                Term::Tuple(self.terms(count, depth)?)
            }
            106 => Term::List(vec![]),
            107 => {
                let size = self.short()?;
                Term::String(latin(self.take(size)?))
            }
            108 => self.list(depth)?,
            109 => {
                let size = self.long()?;
                Term::Binary(self.take(size)?.to_vec())
            }
            110 | 111 => self.big(tag, start)?,
            116 => self.map(depth)?,
            _ => self.opaque(tag, start, depth)?,
        })
    }

    fn list(&mut self, depth: usize) -> Result<Term> {
        let count = self.long()?;
        let mut items = self.terms(count, depth)?;
        let tail = self.term(depth + 1)?;
        if tail != Term::List(vec![]) {
            items.extend([Term::atom("|"), tail]);
        }
        Ok(Term::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Term> {
        let count = self.long()?;
        let mut pairs = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..count {
            pairs.push((self.term(depth + 1)?, self.term(depth + 1)?));
        }
        pairs.sort();
        Ok(Term::Map(pairs))
    }

    fn big(&mut self, tag: u8, start: &'a [u8]) -> Result<Term> {
        let size = if tag == 110 { usize::from(self.byte()?) } else { self.long()? };
        let negative = self.byte()? != 0;
        let digits = self.take(size)?;
        if size > 15 {
            return Ok(self.kept(start));
        }
        let value = digits.iter().rev().fold(0, |sum, digit| sum << 8 | i128::from(*digit));
        Ok(Term::Integer(if negative { -value } else { value }))
    }

    /// What has no text: stepped over and kept as it stands.
    fn opaque(&mut self, tag: u8, start: &'a [u8], depth: usize) -> Result<Term> {
        match tag {
            77 => {
                let size = self.long()?;
                self.take(size + 1)?;
            }
            // Ports, processes and references: the node's name and numbers.
            89 | 102 | 120 | 88 | 103 => {
                self.term(depth + 1)?;
                self.take(match tag {
                    89 => 8,
                    102 => 5,
                    120 | 88 => 12,
                    _ => 9,
                })?;
            }
            114 | 90 => {
                let count = self.short()?;
                self.term(depth + 1)?;
                self.take(if tag == 114 { 1 } else { 4 })?;
                self.take(count * 4)?;
            }
            113 => drop(self.terms(3, depth)?),
            112 => {
                let size = self.long()?;
                self.take(size.checked_sub(4).ok_or(ExternalError::Cut)?)?;
            }
            _ => return Err(ExternalError::Unknown { tag }),
        }
        Ok(self.kept(start))
    }

    fn kept(&self, start: &'a [u8]) -> Term {
        let bytes = &start[..start.len() - self.rest.len()];
        Term::Tuple(vec![Term::atom("$external"), Term::binary(bytes)])
    }
}

fn name(tag: u8, bytes: &[u8]) -> String {
    match tag {
        118 | 119 => String::from_utf8_lossy(bytes).into_owned(),
        _ => latin(bytes),
    }
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::terms::parse_all;

    /// `base64:encode(term_to_binary(Term))` by OTP 25.
    fn read(text: &str) -> Result<Term> {
        use base64::Engine as _;
        parse_external(&base64::engine::general_purpose::STANDARD.decode(text).unwrap())
    }

    #[test]
    fn terms_are_read_as_the_emulator_wrote_them() {
        for (written, term) in [
            ("g2gDZAACb2trAAJoaWEF", "{ok, \"hi\", 5}."),
            ("g2wAAAADYQFi/////20AAAABeGo=", "[1, -1, <<\"x\">>]."),
            ("g3QAAAABZAABYUY/+AAAAAAAAA==", "#{a => 1.5}."),
            ("g24IAAAAAAAAAACA", "9223372036854775808."),
            ("g24IAQAAAAAAAACA", "-9223372036854775808."),
        ] {
            assert_eq!(vec![read(written).unwrap()], parse_all(term).unwrap(), "{term}");
        }
    }

    #[test]
    fn a_length_without_bytes_asks_for_no_memory_and_nesting_ends() {
        assert_eq!(parse_external(&[131, 108, 255, 255, 255, 255]), Err(ExternalError::Cut));
        assert_eq!(parse_external(&[131, 109, 255, 255, 255, 255]), Err(ExternalError::Cut));
        let deep = [131].into_iter().chain([104, 1].repeat(100_000)).collect::<Vec<u8>>();
        assert_eq!(parse_external(&deep), Err(ExternalError::TooDeep));
        let bomb = [131, 80, 255, 255, 255, 255, 0];
        assert_eq!(parse_external(&bomb), Err(ExternalError::TooLarge));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_external(&bytes);
            let _ = parse_external(&[&[131], &bytes[..]].concat());
        }
    }
}
