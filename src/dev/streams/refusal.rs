//! Refusal: an error's text as Redis 7.0 words it; clients compare some of them letter by letter.

use bytes::Bytes;

/// Why a command was not done: a code, a blank, a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal(Bytes);

impl Refusal {
    /// Words it with a code of its own: `NOGROUP No such key`.
    pub(super) fn new(text: impl Into<Bytes>) -> Self {
        Self(text.into())
    }

    /// Words it with the code that most have.
    pub(super) fn err(text: &str) -> Self {
        Self(format!("ERR {text}").into())
    }

    pub(super) fn text(&self) -> &Bytes {
        &self.0
    }

    /// Returns the code: the first word.
    pub(super) fn code(&self) -> &[u8] {
        self.0.split(|&byte| byte == b' ').next().unwrap_or_default()
    }

    pub(super) fn syntax() -> Self {
        Self::err("syntax error")
    }

    pub(super) fn wrong_type() -> Self {
        Self::new("WRONGTYPE Operation against a key holding the wrong kind of value")
    }

    pub(super) fn not_an_integer() -> Self {
        Self::err("value is not an integer or out of range")
    }

    pub(super) fn not_a_float() -> Self {
        Self::err("value is not a valid float")
    }

    pub(super) fn no_such_key() -> Self {
        Self::err("no such key")
    }

    pub(super) fn arity(command: &str) -> Self {
        Self::err(&format!("wrong number of arguments for '{command}' command"))
    }
}
