//! Terms: Erlang terms as text, parsed and printed, never evaluated.

mod elixir;
mod external;
mod parse;
mod print;
mod scan;

use std::str::FromStr;

use thiserror::Error;

use crate::explain::Explain;

pub use external::{ExternalError, parse_external};

/// An Erlang term.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// `atom` or `'an atom'`.
    Atom(String),
    /// An integer, as written in decimal.
    Integer(i128),
    /// A float, in its shortest text.
    Float(String),
    /// `"text"`: a list of characters that was written as a string.
    String(String),
    /// `<<"bytes">>`.
    Binary(Vec<u8>),
    /// `{a, b}`.
    Tuple(Vec<Term>),
    /// `[a, b]`.
    List(Vec<Term>),
    /// `#{a => b}`, sorted by key; each key once.
    Map(Vec<(Term, Term)>),
}

/// Text that does not hold Erlang terms, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct TermError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: TermProblem,
}

/// What can be wrong with the text of a term.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TermProblem {
    /// Something else had to stand here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What could have stood here.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// A line that git left in the middle of a merge.
    #[error("a merge conflict is unresolved: this line begins with `{marker}`")]
    MergeMarker {
        /// The seven characters.
        marker: &'static str,
    },
    /// A quote was opened and not closed.
    #[error("the {what} that begins here has no end")]
    Unterminated {
        /// `string`, `quoted atom` or `character`.
        what: &'static str,
    },
    /// A backslash with something behind it that Erlang does not know.
    #[error("`\\{escape}` is no character")]
    BadEscape {
        /// What stands behind the backslash.
        escape: String,
    },
    /// A number out of range or in a base that does not exist.
    #[error("`{number}` is not a number that rebeam can hold")]
    BadNumber {
        /// As written, shortened.
        number: String,
    },
    /// A segment of a binary that is not text, a byte or UTF-8.
    #[error("a binary may hold strings and bytes, and `{found}` is no byte")]
    BadByte {
        /// The character or number.
        found: String,
    },
    /// A word of the language that must be quoted to be an atom.
    #[error("`{word}` is a reserved word and no atom unless it is quoted: `'{word}'`")]
    Reserved {
        /// The word.
        word: String,
    },
    /// An atom of more than 255 characters.
    #[error("an atom has at most 255 characters, and this one {length}")]
    LongAtom {
        /// How many it has.
        length: usize,
    },
    /// A variable, where only constants are read.
    #[error("`{name}` is a variable; only constant terms are read here")]
    Variable {
        /// Its name.
        name: String,
    },
    /// A term that has no constant text: a fun, a reference, a process, a record.
    #[error("a {kind} cannot be read; only constant terms can")]
    NotConstant {
        /// `fun`, `process`, `reference, port or fun`, `record`.
        kind: &'static str,
    },
    /// `[a | b]`.
    #[error("`|` makes an improper list, which is not read here")]
    Improper,
    /// Nested deeper than the limit.
    #[error("terms are nested more than {limit} deep")]
    TooDeep {
        /// `TERM_DEPTH_MAX`.
        limit: usize,
    },
}

impl Explain for TermError {
    fn hint(&self) -> Option<String> {
        matches!(self.problem, TermProblem::MergeMarker { .. })
            .then(|| "settle the merge (`git diff` shows it), then run again".to_owned())
    }
}

/// Reads a text as `file:consult` does: terms, each ended by a dot.
pub fn parse_all(text: &str) -> Result<Vec<Term>, TermError> {
    parse::all(text)
}

/// Reads a text that is one literal of Elixir's, as `mix.lock` is.
pub fn parse_elixir(text: &str) -> Result<Term, TermError> {
    elixir::one(text)
}

impl FromStr for Term {
    type Err = TermError;

    /// Reads one term; the dot behind it may be left out.
    fn from_str(text: &str) -> Result<Self, TermError> {
        parse::one(text)
    }
}

/// Returns what a property list holds under `key`: the second element of the first `{key, Value}`.
pub fn get<'a>(terms: &'a [Term], key: &str) -> Option<&'a Term> {
    terms.iter().find_map(|term| match term.as_tuple()? {
        [name, value] if name.as_atom() == Some(key) => Some(value),
        _ => None,
    })
}

/// Tells whether a property list says yes to `key`: `key` alone or `{key, true}`, the first counts.
pub fn is_set(terms: &[Term], key: &str) -> bool {
    let said = terms.iter().find_map(|term| match term {
        Term::Atom(name) if name == key => Some(true),
        Term::Tuple(pair) => match pair.as_slice() {
            [name, value] if name.as_atom() == Some(key) => Some(value.as_atom() == Some("true")),
            _ => None,
        },
        _ => None,
    });
    said.unwrap_or(false)
}

impl Term {
    /// Makes an atom.
    pub fn atom(name: impl Into<String>) -> Self {
        Self::Atom(name.into())
    }

    /// Makes a string.
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// Makes a binary of a text's bytes.
    pub fn binary(text: impl Into<Vec<u8>>) -> Self {
        Self::Binary(text.into())
    }

    /// Returns an atom's name.
    pub fn as_atom(&self) -> Option<&str> {
        match self {
            Self::Atom(name) => Some(name),
            _ => None,
        }
    }

    /// Returns the text of a string, a UTF-8 binary, an atom, or a list of characters.
    ///
    /// Erlang prints `""` as `[]` and some strings as lists of numbers, so those count as text.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Self::Atom(text) | Self::String(text) => Some(text.clone()),
            Self::Binary(bytes) => String::from_utf8(bytes.clone()).ok(),
            Self::List(items) => items.iter().map(Self::as_char).collect(),
            _ => None,
        }
    }

    fn as_char(&self) -> Option<char> {
        let code = u32::try_from(self.as_integer()?).ok()?;
        char::from_u32(code)
    }

    /// Returns an integer's value.
    pub fn as_integer(&self) -> Option<i128> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns a tuple's elements.
    pub fn as_tuple(&self) -> Option<&[Self]> {
        match self {
            Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Returns a list's elements; `""` is the empty list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            Self::String(text) if text.is_empty() => Some(&[]),
            _ => None,
        }
    }

    /// Returns a map's pairs, sorted by key.
    pub fn as_map(&self) -> Option<&[(Self, Self)]> {
        match self {
            Self::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Returns what stands behind the atom `name` at the head of a tuple.
    pub fn tagged(&self, name: &str) -> Option<&[Self]> {
        let (head, rest) = self.as_tuple()?.split_first()?;
        (head.as_atom() == Some(name)).then_some(rest)
    }
}

#[cfg(test)]
mod tests;
