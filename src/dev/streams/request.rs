//! Request: takes commands out of what a client sends, bit by bit, within bounds.
//!
//! A server reads far less than the protocol can say: a list of byte strings, or a line of words. Nothing is
//! nested, and no length is believed before the bytes are there.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::limits::{STREAMS_ARGUMENTS_MAX, STREAMS_INLINE_BYTES_MAX, STREAMS_REQUEST_BYTES_MAX};

/// A command and its arguments.
pub(super) type Request = Vec<Bytes>;

/// Who has not given the password yet may say little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Let in.
    Known,
    /// Not let in yet.
    Stranger,
}

/// Arguments that a stranger's command may have, and the bytes of each.
const STRANGER_ARGUMENTS_MAX: usize = 10;
const STRANGER_BYTES_MAX: usize = 16 << 10;
/// Lists begin small, whatever length was announced.
const ARGUMENTS_AHEAD_MAX: usize = 1024;

/// What cannot be read any further: the client is told, and left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

/// A reader that remembers how far it came.
#[derive(Debug, Default)]
pub(super) struct Reader {
    arguments: Request,
    /// Arguments still to come.
    missing: usize,
    /// Bytes of the argument under way.
    length: Option<usize>,
    /// Bytes of all arguments so far.
    bytes: usize,
}

/// Tells whether a line came from a browser: any page may make one send text to any port of its user's machine, and a
/// body after these lines could be commands. Redis leaves at the same words.
fn is_http(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"post") || word.eq_ignore_ascii_case(b"host:")
}

impl Reader {
    /// Returns the bytes of the arguments that wait for the rest of their command.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Tells whether a command has begun whose rest is still to come.
    pub(super) fn has_begun(&self) -> bool {
        self.missing > 0
    }

    /// Takes the next whole command from the front of `input`.
    pub(super) fn next(
        &mut self,
        input: &mut BytesMut,
        trust: Trust,
    ) -> Result<Option<Request>, Broken> {
        loop {
            if self.missing == 0 {
                match input.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        let Some(line) = take_line(input, "mbulk count")? else {
                            return Ok(None);
                        };
                        self.begin(&line[1..], trust)?;
                    }
                    Some(_) => match inline(input)? {
                        None => return Ok(None),
                        Some(words) if words.is_empty() => {}
                        Some(words) if is_http(&words[0]) => {
                            return Err(broken("this is HTTP, and no browser may speak here"));
                        }
                        Some(words) => return Ok(Some(words)),
                    },
                }
                continue;
            }
            let Some(length) = self.length else {
                let Some(line) = take_line(input, "bulk count")? else {
                    return Ok(None);
                };
                self.length = Some(self.announced(&line, trust)?);
                continue;
            };
            if input.len() < length + 2 {
                return Ok(None);
            }
            // A copy, so that a short value that is kept does not keep a whole buffer.
            self.arguments.push(Bytes::copy_from_slice(&input[..length]));
            input.advance(length + 2);
            self.length = None;
            self.bytes += length;
            self.missing -= 1;
            if self.missing == 0 {
                self.bytes = 0;
                return Ok(Some(std::mem::take(&mut self.arguments)));
            }
        }
    }

    fn begin(&mut self, count: &[u8], trust: Trust) -> Result<(), Broken> {
        let count = number(count).ok_or_else(|| broken("invalid multibulk length"))?;
        let count = usize::try_from(count).unwrap_or(0);
        if count > STREAMS_ARGUMENTS_MAX {
            return Err(broken("invalid multibulk length"));
        }
        if trust == Trust::Stranger && count > STRANGER_ARGUMENTS_MAX {
            return Err(broken("unauthenticated multibulk length"));
        }
        self.missing = count;
        self.arguments = Vec::with_capacity(count.min(ARGUMENTS_AHEAD_MAX));
        Ok(())
    }

    fn announced(&self, line: &[u8], trust: Trust) -> Result<usize, Broken> {
        let Some(length) = line.strip_prefix(b"$") else {
            let found = line.first().copied().map_or('\r', char::from);
            return Err(broken(&format!("expected '$', got '{found}'")));
        };
        let length = number(length).and_then(|length| usize::try_from(length).ok());
        let invalid = || broken("invalid bulk length");
        let length = length.ok_or_else(invalid)?;
        if self.bytes + length > STREAMS_REQUEST_BYTES_MAX {
            return Err(invalid());
        }
        if trust == Trust::Stranger && length > STRANGER_BYTES_MAX {
            return Err(broken("unauthenticated bulk length"));
        }
        Ok(length)
    }
}

fn broken(text: &str) -> Broken {
    Broken(format!("Protocol error: {text}"))
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Takes a line without its end; lines are short.
fn take_line(input: &mut BytesMut, what: &str) -> Result<Option<BytesMut>, Broken> {
    let seen = &input[..input.len().min(STREAMS_INLINE_BYTES_MAX)];
    let Some(at) = seen.iter().position(|&byte| byte == b'\r') else {
        if input.len() >= STREAMS_INLINE_BYTES_MAX {
            return Err(broken(&format!("too big {what} string")));
        }
        return Ok(None);
    };
    if input.len() < at + 2 {
        return Ok(None);
    }
    let line = input.split_to(at);
    input.advance(2);
    Ok(Some(line))
}

/// Takes a line of words, as people type them into a terminal.
fn inline(input: &mut BytesMut) -> Result<Option<Request>, Broken> {
    let seen = &input[..input.len().min(STREAMS_INLINE_BYTES_MAX)];
    let Some(at) = seen.iter().position(|&byte| byte == b'\n') else {
        if input.len() >= STREAMS_INLINE_BYTES_MAX {
            return Err(broken("too big inline request"));
        }
        return Ok(None);
    };
    let line = input.split_to(at);
    input.advance(1);
    let line = line.strip_suffix(b"\r").unwrap_or(&line);
    match words(line) {
        Some(words) => Ok(Some(words)),
        None => Err(broken("unbalanced quotes in request")),
    }
}

/// Splits a line into words; `"` and `'` quote, `\x41` and the like escape within `"`.
fn words(line: &[u8]) -> Option<Request> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some((&byte, after)) = rest.split_first() {
            rest = match byte {
                b'"' | b'\'' => quoted(byte, after, &mut word)?,
                _ if byte.is_ascii_whitespace() => break,
                _ => {
                    word.push(byte);
                    after
                }
            };
        }
        words.push(word.into());
    }
}

/// Reads on behind an opening quote up to behind the closing one, which ends the word.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match (quote, rest) {
            (b'"', [b'\\', b'x', high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("hex digits are ASCII");
                word.push(u8::from_str_radix(digits, 16).expect("both are hex digits"));
                after
            }
            (b'"', [b'\\', escaped, after @ ..]) => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                after
            }
            (b'\'', [b'\\', b'\'', after @ ..]) => {
                word.push(b'\'');
                after
            }
            (_, [byte, after @ ..]) if *byte == quote => {
                let ends = after.first().is_none_or(u8::is_ascii_whitespace);
                return ends.then_some(after);
            }
            (_, [byte, after @ ..]) => {
                word.push(*byte);
                after
            }
            (_, []) => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(input: &[u8], trust: Trust) -> Result<Vec<Request>, Broken> {
        let mut input = BytesMut::from(input);
        let mut reader = Reader::default();
        let mut requests = Vec::new();
        while let Some(request) = reader.next(&mut input, trust)? {
            requests.push(request);
        }
        Ok(requests)
    }

    fn refused(input: &[u8]) -> String {
        read(input, Trust::Known).unwrap_err().0
    }

    #[test]
    fn what_is_no_request_is_named_as_redis_names_it() {
        assert_eq!(refused(b"*x\r\n"), "Protocol error: invalid multibulk length");
        assert_eq!(refused(b"*99999999999\r\n"), "Protocol error: invalid multibulk length");
        assert_eq!(refused(b"*1\r\n:5\r\n"), "Protocol error: expected '$', got ':'");
        assert_eq!(refused(b"*1\r\n$-5\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(refused(b"*1\r\n$9999999999\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(refused(b"set a \"b\r\n"), "Protocol error: unbalanced quotes in request");
        for line in ["POST / HTTP/1.1\r\n", "Host: 127.0.0.1:6379\r\n"] {
            assert!(refused(line.as_bytes()).contains("no browser may speak here"), "{line}");
        }
        let long = vec![b'a'; STREAMS_INLINE_BYTES_MAX];
        assert_eq!(refused(&long), "Protocol error: too big inline request");
    }

    #[test]
    fn a_stranger_may_say_little() {
        let many = read(b"*11\r\n", Trust::Stranger).unwrap_err().0;
        assert_eq!(many, "Protocol error: unauthenticated multibulk length");
        let long = read(b"*1\r\n$20000\r\n", Trust::Stranger).unwrap_err().0;
        assert_eq!(long, "Protocol error: unauthenticated bulk length");
    }

    #[test]
    fn a_line_of_words_is_a_request_too() {
        let requests = read(b"\r\n  set 'it\\'s' \"a\\x41\\n\"\r\nping\n*0\r\n", Trust::Known);
        let wanted: Vec<Request> =
            vec![vec!["set".into(), "it's".into(), "aA\n".into()], vec!["ping".into()]];
        assert_eq!(requests.unwrap(), wanted);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_requests(
            requests in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5), 0..5),
            cut in 1_usize..9,
        ) {
            let mut sent = Vec::new();
            for request in &requests {
                sent.extend(format!("*{}\r\n", request.len()).into_bytes());
                for argument in request {
                    sent.extend(format!("${}\r\n", argument.len()).into_bytes());
                    sent.extend(argument);
                    sent.extend(b"\r\n");
                }
            }
            let mut reader = Reader::default();
            let mut input = BytesMut::new();
            let mut seen = Vec::new();
            for piece in sent.chunks(cut) {
                input.extend_from_slice(piece);
                while let Some(request) = reader.next(&mut input, Trust::Known).unwrap() {
                    seen.push(request.iter().map(|bytes| bytes.to_vec()).collect::<Vec<_>>());
                }
            }
            prop_assert_eq!(seen, requests);
        }

        #[test]
        fn no_bytes_make_it_panic(input in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&input, Trust::Known);
        }
    }
}
