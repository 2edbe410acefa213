//! Wire: the smallest pieces of MQTT, read from borrowed bytes and written to a buffer.

use bytes::{BufMut as _, BytesMut};

use super::fault::{Fault, Reason};

/// Reads pieces off the front of a packet.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over a packet's body.
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Tells whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns what is left without taking it.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(Fault::new(Reason::Malformed, "packet ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes a byte.
    pub fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    /// Takes a number of two bytes.
    pub fn short(&mut self) -> Result<u16, Fault> {
        let taken = self.take(2)?;
        Ok(u16::from_be_bytes([taken[0], taken[1]]))
    }

    /// Takes a number of four bytes.
    pub fn long(&mut self) -> Result<u32, Fault> {
        let taken = self.take(4)?;
        Ok(u32::from_be_bytes([taken[0], taken[1], taken[2], taken[3]]))
    }

    /// Takes a packet identifier, which is never 0.
    pub fn identifier(&mut self) -> Result<u16, Fault> {
        match self.short()? {
            0 => Err(Fault::new(Reason::Protocol, "packet identifier is 0")),
            identifier => Ok(identifier),
        }
    }

    /// Takes a number of one to four bytes.
    pub fn variable(&mut self) -> Result<u32, Fault> {
        let (number, bytes) = variable(self.rest)?
            .ok_or(Fault::new(Reason::Malformed, "packet ends inside of a number"))?;
        self.rest = &self.rest[bytes..];
        Ok(number)
    }

    /// Takes bytes with their length before them.
    pub fn binary(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.short()?;
        self.take(usize::from(length))
    }

    /// Takes text.
    pub fn text(&mut self) -> Result<&'a str, Fault> {
        let text = std::str::from_utf8(self.binary()?)
            .map_err(|_| Fault::new(Reason::Malformed, "text is not UTF-8"))?;
        // Topics are plain letters as a rule: one cheap pass tells.
        let is_plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if is_plain || text.chars().all(is_allowed) {
            Ok(text)
        } else {
            Err(Fault::new(Reason::Malformed, "text has a control character"))
        }
    }
}

/// MQTT forbids U+0000 and lets a receiver refuse controls and non-characters, as mosquitto does.
fn is_allowed(letter: char) -> bool {
    let code = u32::from(letter);
    let is_no_character = (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe;
    !letter.is_control() && !is_no_character
}

/// Reads a number of one to four bytes: it and its length, or `None` where more bytes are needed.
pub(super) fn variable(bytes: &[u8]) -> Result<Option<(u32, usize)>, Fault> {
    let mut number = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        number |= u32::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            if place > 0 && *byte == 0 {
                return Err(Fault::new(Reason::Malformed, "number has more bytes than it needs"));
            }
            return Ok(Some((number, place + 1)));
        }
    }
    if bytes.len() >= 4 {
        return Err(Fault::new(Reason::Malformed, "number has more than four bytes"));
    }
    Ok(None)
}

/// Writes a number of one to four bytes.
pub(super) fn put_variable(into: &mut BytesMut, number: u32) {
    let mut rest = number;
    loop {
        let low = u8::try_from(rest & 0x7f).expect("seven bits fit");
        rest >>= 7;
        if rest == 0 {
            into.put_u8(low);
            return;
        }
        into.put_u8(low | 0x80);
    }
}

/// Returns how many bytes a number takes.
pub(super) fn variable_length(number: u32) -> usize {
    match number {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Writes text or bytes with their length before them.
pub(super) fn put_binary(into: &mut BytesMut, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).expect("what is written was bounded when it was read");
    into.put_u16(length);
    into.put_slice(bytes);
}
