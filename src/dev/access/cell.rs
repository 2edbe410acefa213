//! Cell: a value of a row, whatever database it is from.

use std::borrow::Cow;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
}

impl Cell {
    /// Returns what is written in it; NULL and the empty text are nothing.
    pub(super) fn filled(&self) -> Option<Cow<'_, str>> {
        self.text().filter(|text| !text.is_empty())
    }

    /// Returns what is written in it.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => None,
            Self::Bool(value) => Some(value.to_string().into()),
            Self::Integer(number) => Some(number.to_string().into()),
            Self::Text(text) => Some(text.as_str().into()),
        }
    }

    /// Returns a whole number, written as one or as text.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Says it as SQL would.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Text(text) => format!("'{text}'"),
            Self::Bool(_) | Self::Integer(_) => self.text().unwrap_or_default().into_owned(),
        }
    }
}
