//! Elixir: the literals that `mix.lock` is made of, read as the terms that they mean.
//!
//! Maps with either kind of key, tuples, lists, keywords, strings, atoms and integers; nothing that
//! would have to be evaluated. A string is a binary, as in Elixir.

use super::scan::{Parsed, Parser};
use super::{Term, TermProblem};
use crate::limits::TERM_DEPTH_MAX;

/// Reads one literal and nothing behind it.
pub(super) fn one(text: &str) -> Parsed<Term> {
    let mut reader = Reader(Parser::new(text));
    let term = reader.term()?;
    reader.blank()?;
    match reader.0.peek() {
        None => Ok(term),
        Some(_) => Err(reader.0.unexpected("the end of the text")),
    }
}

struct Reader<'a>(Parser<'a>);

impl Reader<'_> {
    /// Skips blanks and comments; a merge marker at the start of a line is an error.
    fn blank(&mut self) -> Parsed<()> {
        loop {
            // `%` begins a map here, where Erlang has its comments.
            self.0.take_while(char::is_whitespace);
            self.0.refuse_merge_marker()?;
            if self.0.peek() != Some('#') {
                return Ok(());
            }
            self.0.take_while(|c| c != '\n');
        }
    }

    fn term(&mut self) -> Parsed<Term> {
        self.blank()?;
        if self.0.depth == TERM_DEPTH_MAX {
            let problem = TermProblem::TooDeep { limit: TERM_DEPTH_MAX };
            return Err(self.0.problem_at(self.0.at, problem));
        }
        self.0.depth += 1;
        let term = self.open_term();
        self.0.depth -= 1;
        term
    }

    fn open_term(&mut self) -> Parsed<Term> {
        match self.0.peek() {
            Some('%') if self.0.eat("%{") => self.map(),
            Some('{') if self.0.eat("{") => Ok(Term::Tuple(self.items("}")?)),
            Some('[') if self.0.eat("[") => Ok(Term::List(self.items("]")?)),
            Some('"') => Ok(Term::Binary(self.string()?.into_bytes())),
            Some(':') if self.0.eat(":") => self.atom(),
            Some(c) if c.is_ascii_digit() || c == '-' => self.integer(),
            Some(c) if c.is_ascii_lowercase() => self.word(),
            _ => Err(self.0.unexpected("a map, tuple, list, string, atom or integer")),
        }
    }

    fn map(&mut self) -> Parsed<Term> {
        let mut pairs = std::collections::BTreeMap::new();
        loop {
            self.blank()?;
            if self.0.eat("}") {
                return Ok(Term::Map(pairs.into_iter().collect()));
            }
            let (key, value) = match self.keyword_key()? {
                Some(key) => (Term::Atom(key), self.term()?),
                None => {
                    let key = self.term()?;
                    self.blank()?;
                    if !self.0.eat("=>") {
                        return Err(self.0.unexpected("`=>` behind a map's key"));
                    }
                    (key, self.term()?)
                }
            };
            // The last of equal keys counts, as in Elixir.
            pairs.insert(key, value);
            self.separator("}")?;
        }
    }

    fn items(&mut self, end: &'static str) -> Parsed<Vec<Term>> {
        let mut items = Vec::new();
        loop {
            self.blank()?;
            if self.0.eat(end) {
                return Ok(items);
            }
            let item = match self.keyword_key()? {
                Some(key) => Term::Tuple(vec![Term::Atom(key), self.term()?]),
                None => self.term()?,
            };
            items.push(item);
            self.separator(end)?;
        }
    }

    /// Expects a comma, or the end right ahead.
    fn separator(&mut self, end: &'static str) -> Parsed<()> {
        self.blank()?;
        if self.0.eat(",") || self.0.rest().starts_with(end) {
            return Ok(());
        }
        Err(self.0.unexpected("`,` or the end of what is open"))
    }

    /// Reads `key:` or `"key":`; stays where it is if neither stands here.
    fn keyword_key(&mut self) -> Parsed<Option<String>> {
        let start = self.0.at;
        let name = match self.0.peek() {
            Some('"') => self.string()?,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.name(),
            _ => return Ok(None),
        };
        let is_key = self.0.rest().starts_with(':') && !self.0.rest().starts_with("::");
        if is_key && !name.is_empty() {
            self.0.eat(":");
            return Ok(Some(name));
        }
        self.0.at = start;
        Ok(None)
    }

    fn name(&mut self) -> String {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '?' | '!');
        self.0.take_while(plain).to_owned()
    }

    fn atom(&mut self) -> Parsed<Term> {
        let name = match self.0.peek() {
            Some('"') => self.string()?,
            _ => self.name(),
        };
        if name.is_empty() {
            return Err(self.0.unexpected("an atom's name"));
        }
        Ok(Term::Atom(name))
    }

    fn word(&mut self) -> Parsed<Term> {
        let start = self.0.at;
        let name = self.name();
        match name.as_str() {
            "true" | "false" | "nil" => Ok(Term::Atom(name)),
            _ => Err(self.0.problem_at(start, TermProblem::Variable { name })),
        }
    }

    fn integer(&mut self) -> Parsed<Term> {
        let start = self.0.at;
        let sign = if self.0.eat("-") { "-" } else { "" };
        let digits = self.0.take_while(|c| c.is_ascii_digit() || c == '_').replace('_', "");
        let number = format!("{sign}{digits}");
        let bad =
            |number: &str| TermProblem::BadNumber { number: number.chars().take(40).collect() };
        let value = number.parse().map_err(|_| self.0.problem_at(start, bad(&number)))?;
        Ok(Term::Integer(value))
    }

    fn string(&mut self) -> Parsed<String> {
        let start = self.0.at;
        self.0.eat("\"");
        let mut text = String::new();
        loop {
            text.push_str(self.0.take_while(|c| !matches!(c, '"' | '\\' | '#')));
            if self.0.eat("\"") {
                return Ok(text);
            }
            if self.0.rest().starts_with("#{") {
                return Err(self.0.unexpected("a string without `#{…}` in it"));
            }
            if self.0.eat("#") {
                text.push('#');
            } else if self.0.eat("\\") {
                text.push(self.escape(start)?);
            } else {
                let problem = TermProblem::Unterminated { what: "string" };
                return Err(self.0.problem_at(start, problem));
            }
        }
    }

    fn escape(&mut self, start: usize) -> Parsed<char> {
        let at = self.0.at;
        let Some(c) = self.0.peek() else {
            let problem = TermProblem::Unterminated { what: "string" };
            return Err(self.0.problem_at(start, problem));
        };
        self.0.at += c.len_utf8();
        match c {
            'n' => Ok('\n'),
            't' => Ok('\t'),
            'r' => Ok('\r'),
            's' => Ok(' '),
            '0' => Ok('\0'),
            c if c.is_alphanumeric() => {
                Err(self.0.problem_at(at, TermProblem::BadEscape { escape: c.to_string() }))
            }
            c => Ok(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse_elixir;
    use crate::terms::Term;

    #[test]
    fn both_kinds_of_keys_read_as_what_they_mean() {
        let old = parse_elixir("%{\"jason\": {:git, \"u\", \"c\", [tag: \"1.0\"]}}\n").unwrap();
        let new =
            parse_elixir("%{\n  \"jason\" => {:git, \"u\", \"c\", [tag: \"1.0\"]},\n}").unwrap();
        let value: Term = "{git, <<\"u\">>, <<\"c\">>, [{tag, <<\"1.0\">>}]}".parse().unwrap();
        assert_eq!(old, Term::Map(vec![(Term::atom("jason"), value.clone())]));
        assert_eq!(new, Term::Map(vec![(Term::binary("jason"), value)]));
    }

    #[test]
    fn every_literal_of_a_lock_is_read() {
        let text =
            "# a comment\n[:a, :\"b c\", \"d\\\"\\n#e\", true, nil, -1_0, {}, %{}, x: 1, y?: [],]";
        let expected =
            "[a, 'b c', <<\"d\\\"\\n#e\">>, true, nil, -10, {}, #{}, {x, 1}, {'y?', []}]";
        assert_eq!(parse_elixir(text).unwrap(), expected.parse().unwrap());
    }

    #[test]
    fn what_would_have_to_be_evaluated_is_refused() {
        for text in [
            "%{",
            "foo",
            "\"a#{b}\"",
            "[1 2]",
            "{:a} {:b}",
            "%{1}",
            "\"",
            "\"\\x\"",
            ":",
            "1.5",
            "-",
        ] {
            assert!(parse_elixir(text).is_err(), "{text}");
        }
        let conflict = "%{\n<<<<<<< HEAD\n}";
        assert!(parse_elixir(conflict).unwrap_err().to_string().contains("merge conflict"));
        assert!(parse_elixir(&"[".repeat(1000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[%{}\\[\\]\":a-c=>, \\\\#\n0-9-]{0,60}") {
            let _ = parse_elixir(&text);
        }
    }
}
