//! Terms: Erlang terms as text, parsed and printed, never evaluated.

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
    /// `#{a => b}`.
    Map(Vec<(Term, Term)>),
}
