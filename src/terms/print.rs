//! Print: terms as Erlang text that reads back as the same term.

use std::fmt::{self, Display, Formatter, Write as _};

use super::Term;

/// The words that are no atoms unless quoted, for every OTP release that rebeam knows.
const RESERVED: [&str; 28] = [
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case",
    "catch", "cond", "div", "end", "fun", "if", "let", "not", "of", "or", "orelse", "receive",
    "rem", "try", "when", "xor", "maybe",
];

/// Tells whether a word is reserved in every OTP release; `maybe` is so only in some.
pub(super) fn is_reserved(word: &str) -> bool {
    word != "maybe" && RESERVED.contains(&word)
}

/// Returns a float's shortest text as Erlang reads it: always with a dot.
pub(super) fn float(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => {
            format!("{mantissa}.0e{exponent}")
        }
        _ => text,
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(name) if is_bare(name) => f.write_str(name),
            Self::Atom(name) => quoted(f, name, '\''),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(text) => f.write_str(text),
            Self::String(text) => quoted(f, text, '"'),
            Self::Binary(bytes) => binary(f, bytes),
            Self::Tuple(items) => {
                f.write_char('{')?;
                separated(f, items)?;
                f.write_char('}')
            }
            Self::List(items) => {
                f.write_char('[')?;
                separated(f, items)?;
                f.write_char(']')
            }
            Self::Map(pairs) => {
                f.write_str("#{")?;
                for (position, (key, value)) in pairs.iter().enumerate() {
                    let comma = if position == 0 { "" } else { "," };
                    write!(f, "{comma}{key} => {value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn separated(f: &mut Formatter<'_>, items: &[Term]) -> fmt::Result {
    for (position, item) in items.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}

fn is_bare(name: &str) -> bool {
    let continues = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(continues)
        && !RESERVED.contains(&name)
}

fn quoted(f: &mut Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    f.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\\' => f.write_str("\\\\")?,
            c if c == quote => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\x{{{:x}}}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char(quote)
}

/// Prints text as text where it is some, else the bytes as numbers.
fn binary(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    f.write_str("<<")?;
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(plain) => {
            quoted(f, text, '"')?;
            if !text.is_ascii() {
                f.write_str("/utf8")?;
            }
        }
        _ => {
            for (position, byte) in bytes.iter().enumerate() {
                let comma = if position == 0 { "" } else { "," };
                write!(f, "{comma}{byte}")?;
            }
        }
    }
    f.write_str(">>")
}
