//! Reply: what a command answers, and its bytes in RESP2 and RESP3.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::refusal::Refusal;

/// The version of the protocol that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Protocol {
    /// As since Redis 2.
    #[default]
    Resp2,
    /// With maps, sets, pushes and one null; since Redis 6.
    Resp3,
}

/// An answer. Texts are shared with the state they come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    /// `OK` and its kind.
    Simple(&'static str),
    /// An error.
    Error(Refusal),
    /// A line for those who watch all.
    Line(String),
    /// A whole number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// Text for people; RESP2 has it as bytes.
    Verbatim(String),
    /// Nothing where bytes would be.
    Null,
    /// Nothing where an array would be.
    NullArray,
    /// A list.
    Array(Vec<Reply>),
    /// A set; RESP2 has it as a list.
    Set(Vec<Reply>),
    /// Names with values; RESP2 has them as one flat list.
    Map(Vec<(Reply, Reply)>),
    /// Names with values; RESP2 has a list of two for each.
    Pairs(Vec<(Reply, Reply)>),
    /// What was not asked for: published messages.
    Push(Vec<Reply>),
    /// Several answers to one command.
    Many(Vec<Reply>),
}

impl Reply {
    pub(super) const OK: Self = Self::Simple("OK");

    pub(super) fn bulk(text: impl Into<Bytes>) -> Self {
        Self::Bulk(text.into())
    }

    pub(super) fn text(text: &'static str) -> Self {
        Self::Bulk(Bytes::from_static(text.as_bytes()))
    }

    pub(super) fn count(count: usize) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) fn flag(is_so: bool) -> Self {
        Self::Integer(is_so.into())
    }

    pub(super) fn bulks(texts: impl IntoIterator<Item = Bytes>) -> Self {
        Self::Array(texts.into_iter().map(Self::Bulk).collect())
    }

    /// Counts the bytes that it takes at most, before any is written.
    pub(super) fn bytes(&self) -> usize {
        /// A mark, a length and two line ends.
        const FRAME: usize = 26;
        let own = match self {
            Self::Simple(text) => text.len(),
            Self::Line(text) | Self::Verbatim(text) => text.len(),
            Self::Error(refusal) => refusal.text().len(),
            Self::Bulk(bytes) => bytes.len(),
            Self::Integer(_) | Self::Null | Self::NullArray => 0,
            Self::Array(items) | Self::Set(items) | Self::Push(items) | Self::Many(items) => {
                items.iter().map(Self::bytes).sum()
            }
            Self::Map(pairs) | Self::Pairs(pairs) => {
                pairs.iter().map(|(name, value)| FRAME + name.bytes() + value.bytes()).sum()
            }
        };
        FRAME + own
    }

    /// Writes it in the given version of the protocol.
    pub(super) fn write(&self, protocol: Protocol, out: &mut BytesMut) {
        let is_old = protocol == Protocol::Resp2;
        match self {
            Self::Simple(text) => line(out, b'+', text.as_bytes()),
            Self::Line(text) => line(out, b'+', text.as_bytes()),
            Self::Error(refusal) => {
                let text: Vec<u8> = refusal.text().iter().map(|&byte| one_line(byte)).collect();
                line(out, b'-', &text);
            }
            Self::Integer(number) => number_line(out, b':', *number),
            Self::Bulk(bytes) => bulk(out, bytes),
            Self::Verbatim(text) if is_old => bulk(out, text.as_bytes()),
            Self::Verbatim(text) => {
                head(out, b'=', text.len() + 4);
                out.put_slice(b"txt:");
                out.put_slice(text.as_bytes());
                out.put_slice(b"\r\n");
            }
            Self::Null if is_old => out.put_slice(b"$-1\r\n"),
            Self::NullArray if is_old => out.put_slice(b"*-1\r\n"),
            Self::Null | Self::NullArray => out.put_slice(b"_\r\n"),
            Self::Array(items) => list(out, b'*', items, protocol),
            Self::Set(items) => list(out, if is_old { b'*' } else { b'~' }, items, protocol),
            Self::Push(items) => list(out, if is_old { b'*' } else { b'>' }, items, protocol),
            Self::Map(pairs) | Self::Pairs(pairs) if !is_old => {
                head(out, b'%', pairs.len());
                write_pairs(out, pairs, protocol, None);
            }
            Self::Map(pairs) => {
                head(out, b'*', pairs.len() * 2);
                write_pairs(out, pairs, protocol, None);
            }
            Self::Pairs(pairs) => {
                head(out, b'*', pairs.len());
                write_pairs(out, pairs, protocol, Some(2));
            }
            Self::Many(replies) => replies.iter().for_each(|reply| reply.write(protocol, out)),
        }
    }
}

impl From<Result<Reply, Refusal>> for Reply {
    fn from(answer: Result<Reply, Refusal>) -> Self {
        answer.unwrap_or_else(Self::Error)
    }
}

/// Writes a fraction as Redis does after a sum: plain, and without the dust that binary fractions leave.
pub(super) fn float(number: f64) -> String {
    let rounded = format!("{number:.15e}").parse().unwrap_or(number);
    format!("{rounded}")
}

/// An error is one line, whatever it quotes.
fn one_line(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }
}

fn line(out: &mut BytesMut, mark: u8, text: &[u8]) {
    out.put_u8(mark);
    out.put_slice(text);
    out.put_slice(b"\r\n");
}

fn number_line(out: &mut BytesMut, mark: u8, number: i64) {
    line(out, mark, number.to_string().as_bytes());
}

fn head(out: &mut BytesMut, mark: u8, length: usize) {
    line(out, mark, length.to_string().as_bytes());
}

fn bulk(out: &mut BytesMut, bytes: &[u8]) {
    head(out, b'$', bytes.len());
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

fn list(out: &mut BytesMut, mark: u8, items: &[Reply], protocol: Protocol) {
    head(out, mark, items.len());
    items.iter().for_each(|item| item.write(protocol, out));
}

fn write_pairs(
    out: &mut BytesMut,
    pairs: &[(Reply, Reply)],
    protocol: Protocol,
    each: Option<usize>,
) {
    for (name, value) in pairs {
        if let Some(length) = each {
            head(out, b'*', length);
        }
        name.write(protocol, out);
        value.write(protocol, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, protocol: Protocol) -> String {
        let mut out = BytesMut::new();
        reply.write(protocol, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn an_error_that_quotes_a_line_break_stays_one_line() {
        let reply = Reply::Error(Refusal::err("no\r\n+OK"));
        assert_eq!(written(&reply, Protocol::Resp2), "-ERR no  +OK\r\n");
    }

    #[test]
    fn what_the_old_protocol_lacks_becomes_lists() {
        let pair = vec![(Reply::text("a"), Reply::Integer(1))];
        let map = Reply::Map(pair.clone());
        assert_eq!(written(&map, Protocol::Resp2), "*2\r\n$1\r\na\r\n:1\r\n");
        assert_eq!(written(&map, Protocol::Resp3), "%1\r\n$1\r\na\r\n:1\r\n");
        let pairs = Reply::Pairs(pair);
        assert_eq!(written(&pairs, Protocol::Resp2), "*1\r\n*2\r\n$1\r\na\r\n:1\r\n");
        assert_eq!(written(&pairs, Protocol::Resp3), "%1\r\n$1\r\na\r\n:1\r\n");
        assert_eq!(written(&Reply::NullArray, Protocol::Resp2), "*-1\r\n");
        assert_eq!(written(&Reply::NullArray, Protocol::Resp3), "_\r\n");
    }

    #[test]
    fn fractions_are_plain_and_short() {
        for (number, text) in
            [(3.0, "3"), (10.5 + 0.1, "10.6"), (0.1 + 0.2, "0.3"), (1e20, "100000000000000000000")]
        {
            assert_eq!(float(number), text);
        }
    }
}
