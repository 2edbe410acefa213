//! Parse: a recursive descent over the text, after `erl_scan` and `erl_parse:normalise`.

use std::collections::BTreeMap;

use super::scan::{Parsed, Parser, begins_atom, begins_variable, continues_name, is_blank};
use super::{Term, TermProblem, print};
use crate::limits::TERM_DEPTH_MAX;

const ATOM_LENGTH_MAX: usize = 255;

/// Reads terms, each ended by a dot.
pub(super) fn all(text: &str) -> Parsed<Vec<Term>> {
    let mut parser = Parser::new(text);
    let mut terms = Vec::new();
    loop {
        parser.skip_blank()?;
        if parser.peek().is_none() {
            return Ok(terms);
        }
        terms.push(parser.term()?);
        parser.skip_blank()?;
        parser.dot()?;
    }
}

/// Reads one term and nothing behind it but perhaps a dot.
pub(super) fn one(text: &str) -> Parsed<Term> {
    let mut parser = Parser::new(text);
    parser.skip_blank()?;
    let term = parser.term()?;
    parser.skip_blank()?;
    if parser.peek().is_some() {
        parser.dot()?;
    }
    parser.skip_blank()?;
    match parser.peek() {
        None => Ok(term),
        Some(_) => Err(parser.unexpected("the end of the text")),
    }
}

impl Parser<'_> {
    /// The dot that ends a term has white space, a comment or nothing behind it.
    fn dot(&mut self) -> Parsed<()> {
        let ends = |rest: &str| {
            let next = rest.chars().next();
            next.is_none_or(|c| is_blank(c) || c == '%')
        };
        match self.rest().strip_prefix('.') {
            Some(rest) if ends(rest) => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.unexpected("`.` and white space behind the term")),
        }
    }

    /// Reads a term; the caller has skipped what is blank before it.
    fn term(&mut self) -> Parsed<Term> {
        if self.depth == TERM_DEPTH_MAX {
            let limit = TERM_DEPTH_MAX;
            return Err(self.problem_at(self.at, TermProblem::TooDeep { limit }));
        }
        self.depth += 1;
        let term = self.term_inside()?;
        self.depth -= 1;
        Ok(term)
    }

    fn term_inside(&mut self) -> Parsed<Term> {
        let start = self.at;
        match self.peek() {
            Some('{') => {
                self.at += 1;
                Ok(Term::Tuple(self.items('}', "a term or `}`", "`,` or `}`")?))
            }
            Some('[') => {
                self.at += 1;
                Ok(Term::List(self.items(']', "a term or `]`", "`,` or `]`")?))
            }
            Some('#') => self.map(),
            Some('<') => self.binary(),
            Some('"') => Ok(Term::String(self.strings()?)),
            Some('\'') => {
                let name = self.quoted('\'', "quoted atom")?;
                self.atom(start, name)
            }
            Some('$' | '+' | '-' | '0'..='9') => self.number(),
            Some(c) if begins_atom(c) => self.bare_atom(),
            Some(c) if begins_variable(c) => {
                let name = self.take_while(continues_name).chars().take(40).collect();
                Err(self.problem_at(start, TermProblem::Variable { name }))
            }
            _ => Err(self.unexpected("a term")),
        }
    }

    /// Reads items up to `close`; the opening character is behind us.
    fn items(
        &mut self,
        close: char,
        first: &'static str,
        later: &'static str,
    ) -> Parsed<Vec<Term>> {
        let mut items = Vec::new();
        self.skip_blank()?;
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(items);
        }
        loop {
            if items.is_empty() && self.peek().is_none() {
                return Err(self.unexpected(first));
            }
            items.push(self.term()?);
            self.skip_blank()?;
            match self.peek() {
                Some(',') => self.at += 1,
                Some(c) if c == close => {
                    self.at += 1;
                    return Ok(items);
                }
                Some('|') if close == ']' => {
                    return Err(self.problem_at(self.at, TermProblem::Improper));
                }
                _ => return Err(self.unexpected(later)),
            }
            self.skip_blank()?;
        }
    }

    fn map(&mut self) -> Parsed<Term> {
        let start = self.at;
        self.at += 1;
        let not_constant = |kind| TermProblem::NotConstant { kind };
        match self.peek() {
            Some('{') => self.at += 1,
            Some(c) if c.is_ascii_uppercase() => {
                return Err(self.problem_at(start, not_constant("reference, port or fun")));
            }
            Some(c) if begins_atom(c) || c == '\'' => {
                return Err(self.problem_at(start, not_constant("record")));
            }
            _ => return Err(self.unexpected("`{` of a map behind `#`")),
        }
        // A key that is given twice counts as it was given last, as in Erlang.
        let mut pairs = BTreeMap::new();
        self.skip_blank()?;
        if self.eat("}") {
            return Ok(Term::Map(Vec::new()));
        }
        loop {
            let key = self.term()?;
            self.skip_blank()?;
            if !self.eat("=>") {
                return Err(self.unexpected("`=>` behind a map's key"));
            }
            self.skip_blank()?;
            let value = self.term()?;
            pairs.insert(key, value);
            self.skip_blank()?;
            match self.peek() {
                Some(',') => self.at += 1,
                Some('}') => {
                    self.at += 1;
                    return Ok(Term::Map(pairs.into_iter().collect()));
                }
                _ => return Err(self.unexpected("`,` or `}`")),
            }
            self.skip_blank()?;
        }
    }

    fn binary(&mut self) -> Parsed<Term> {
        let start = self.at;
        if !self.eat("<<") {
            self.at += 1;
            let process = self.peek().is_some_and(|c| c.is_ascii_digit());
            let problem = TermProblem::NotConstant { kind: "process" };
            self.at = start;
            return Err(if process {
                self.problem_at(start, problem)
            } else {
                self.unexpected("a term")
            });
        }
        let mut bytes = Vec::new();
        self.skip_blank()?;
        if self.eat(">>") {
            return Ok(Term::Binary(bytes));
        }
        loop {
            self.segment(&mut bytes)?;
            self.skip_blank()?;
            if self.eat(">>") {
                return Ok(Term::Binary(bytes));
            }
            if !self.eat(",") {
                return Err(self.unexpected("`,` or `>>`"));
            }
            self.skip_blank()?;
        }
    }

    /// Reads one segment of a binary: a string, a byte, or either with `/utf8`.
    fn segment(&mut self, bytes: &mut Vec<u8>) -> Parsed<()> {
        let start = self.at;
        let value = match self.peek() {
            Some('"') => Term::String(self.strings()?),
            Some('$' | '+' | '-' | '0'..='9') => self.number()?,
            _ => return Err(self.unexpected("a string or a byte in a binary")),
        };
        self.skip_blank()?;
        let utf8 = self.eat("/utf8");
        if matches!(self.peek(), Some(':' | '/')) {
            return Err(
                self.unexpected("`,` or `>>` (sizes and types other than `/utf8` are not read)")
            );
        }
        // A number that is no character is no byte either.
        let chars = match &value {
            Term::String(text) => text.chars().collect(),
            number => Vec::from_iter(number.as_char()),
        };
        let encoded = if utf8 {
            Some(chars.iter().collect::<String>().into_bytes())
        } else {
            chars.iter().map(|c| u8::try_from(*c).ok()).collect()
        };
        match encoded {
            Some(encoded) if !chars.is_empty() || matches!(value, Term::String(_)) => {
                bytes.extend(encoded);
                Ok(())
            }
            _ => {
                let found = value.to_string().chars().take(60).collect();
                Err(self.problem_at(start, TermProblem::BadByte { found }))
            }
        }
    }

    fn bare_atom(&mut self) -> Parsed<Term> {
        let start = self.at;
        let name = self.take_while(continues_name);
        if name == "fun" {
            return Err(self.problem_at(start, TermProblem::NotConstant { kind: "fun" }));
        }
        if print::is_reserved(name) {
            let word = name.to_owned();
            return Err(self.problem_at(start, TermProblem::Reserved { word }));
        }
        self.atom(start, name.to_owned())
    }

    fn atom(&self, start: usize, name: String) -> Parsed<Term> {
        let length = name.chars().count();
        if length > ATOM_LENGTH_MAX {
            return Err(self.problem_at(start, TermProblem::LongAtom { length }));
        }
        Ok(Term::Atom(name))
    }

    /// Reads a string and those that stand behind it, which Erlang joins.
    fn strings(&mut self) -> Parsed<String> {
        let mut text = String::new();
        loop {
            if self.rest().starts_with("\"\"\"") {
                return Err(self.unexpected("a string in one pair of quotes, not in three"));
            }
            text.push_str(&self.quoted('"', "string")?);
            let end = self.at;
            self.skip_blank()?;
            if self.peek() != Some('"') {
                self.at = end;
                return Ok(text);
            }
        }
    }
}
