//! Query: what a search wants. A field is asked by its words and as a whole; `field.keyword` only as a whole.

use serde_json::{Map, Value};

use super::error::Error;
use crate::dev::events::leaf::Number;
use crate::dev::events::when;

/// What a search wants.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Query {
    All,
    None,
    /// Documents of these names.
    Ids(Vec<String>),
    /// Documents of an index whose name fits a pattern.
    Index(String),
    /// Documents with some value that passes.
    Field(Field, Test),
    Bool(Box<Bool>),
}

/// All of `must`, none of `must_not`, and at least `least` of `should`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bool {
    pub(super) must: Vec<Query>,
    pub(super) should: Vec<Query>,
    pub(super) must_not: Vec<Query>,
    pub(super) least: usize,
}

/// A field of documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// Its path; none is any.
    pub(super) path: Option<String>,
    /// Whether a text counts only as a whole.
    pub(super) is_whole: bool,
}

/// What one value has to pass.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Exists,
    /// It is one of these, or has one of them among its words.
    Equals(Vec<Wanted>),
    Prefix(String),
    /// `*` is any text, `?` any character, `\` takes the meaning from the next.
    Pattern(String),
    Range(Vec<Bound>),
    /// It has these words in this order, the last perhaps only begun; or it is no text and equals.
    Phrase {
        words: Vec<String>,
        is_begun: bool,
        wanted: Wanted,
    },
}

/// A value to be equal to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) text: String,
    pub(super) number: Option<Number>,
}

/// One end of a range.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    pub(super) side: Side,
    /// For values that are numbers or times.
    pub(super) number: Option<Number>,
    /// For values that are only texts.
    pub(super) text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Above,
    From,
    Below,
    To,
}

impl Field {
    pub(super) fn new(name: &str) -> Self {
        let (path, is_whole) = match name.strip_suffix(".keyword") {
            Some(path) => (path, true),
            None => (name, false),
        };
        Self { path: (path != "*").then(|| path.to_owned()), is_whole }
    }
}

impl Wanted {
    pub(super) fn new(value: &Value) -> Result<Self, Error> {
        let text = match value {
            Value::String(text) => clean(text),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(Error::parsing(format!("[{value}] is no value to compare with"))),
        };
        Ok(Self { number: Number::read(value), text })
    }

    pub(super) fn of(text: &str) -> Self {
        Self { text: clean(text), number: Number::read(&text.into()) }
    }
}

/// SQLite ends a text at NUL in places, so that there is none on either side.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl Bound {
    pub(super) fn new(side: Side, value: &Value, now_ms: i64) -> Result<Self, Error> {
        let number = match value {
            Value::String(text) => {
                let is_up = matches!(side, Side::Above | Side::To);
                let time = when::read_math(text, now_ms, is_up).map(|ms| {
                    let is_whole_day = is_up && text.len() == 10 && when::read_iso(text).is_some();
                    Number::Whole(if is_whole_day { ms + when::DAY_MS - 1 } else { ms })
                });
                time.or_else(|| Number::read(value))
            }
            value => Some(Number::of(value).ok_or_else(|| {
                Error::parsing(format!("[range] has [{value}] where a number or text is wanted"))
            })?),
        };
        Ok(Self { side, number, text: value.as_str().map(clean) })
    }
}

/// Returns the one key of an object and what stands behind it.
pub(super) fn only<'a>(value: &'a Value, kind: &str) -> Result<(&'a str, &'a Value), Error> {
    let mut entries = object(value, kind)?.iter();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        (None, _) => Err(Error::parsing(format!("[{kind}] malformed, empty clause found"))),
        (Some((first, _)), Some((second, _))) => Err(Error::parsing(format!(
            "[{kind}] malformed, expected one key and found [{}] and [{}]",
            cut(first),
            cut(second)
        ))),
    }
}

pub(super) fn object<'a>(value: &'a Value, kind: &str) -> Result<&'a Map<String, Value>, Error> {
    value
        .as_object()
        .ok_or_else(|| Error::parsing(format!("[{kind}] malformed, expected an object")))
}

/// Cuts what a stranger wrote for an error.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(80)]
}
