//! Scan: the place in the text, and what stands there: blanks, quotes, escapes, numbers.

use super::{Term, TermError, TermProblem, print};

pub(super) type Parsed<T> = Result<T, TermError>;

const MERGE_MARKERS: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];

/// A place in a text of terms.
pub(super) struct Parser<'a> {
    text: &'a str,
    /// A byte offset on a character's border.
    pub(super) at: usize,
    /// How many terms stand around this one.
    pub(super) depth: usize,
}

/// Erlang's white space: everything up to the blank, and Latin-1's upper control characters.
pub(super) fn is_blank(c: char) -> bool {
    c <= ' ' || ('\u{80}'..='\u{a0}').contains(&c)
}

pub(super) fn begins_variable(c: char) -> bool {
    c.is_ascii_uppercase() || c == '_' || (('À'..='Þ').contains(&c) && c != '×')
}

pub(super) fn begins_atom(c: char) -> bool {
    c.is_ascii_lowercase() || (('ß'..='ÿ').contains(&c) && c != '÷')
}

pub(super) fn continues_name(c: char) -> bool {
    begins_atom(c) || begins_variable(c) || c.is_ascii_digit() || c == '@'
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    pub(super) fn problem_at(&self, at: usize, problem: TermProblem) -> TermError {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        TermError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            problem,
        }
    }

    pub(super) fn unexpected(&self, expected: &'static str) -> TermError {
        let found = self.found();
        self.problem_at(self.at, TermProblem::Unexpected { expected, found })
    }

    /// Names what stands here, for messages.
    fn found(&self) -> String {
        let Some(first) = self.peek() else {
            return "the end of the text".to_owned();
        };
        if first.is_control() {
            return format!("the character U+{:04X}", u32::from(first));
        }
        let word = self.rest().chars().take_while(|c| continues_name(*c));
        let word: String = word.take(40).collect();
        if word.is_empty() { format!("`{first}`") } else { format!("`{word}`") }
    }

    /// Skips white space and comments; a merge marker at the start of a line is an error.
    pub(super) fn skip_blank(&mut self) -> Parsed<()> {
        loop {
            self.take_while(is_blank);
            if self.peek() == Some('%') {
                self.take_while(|c| c != '\n');
                continue;
            }
            self.refuse_merge_marker()?;
            return Ok(());
        }
    }

    /// Refuses a merge marker at the start of a line.
    pub(super) fn refuse_merge_marker(&self) -> Parsed<()> {
        let begins = self.at == 0 || self.text[..self.at].ends_with('\n');
        let stands = |marker: &&str| begins && self.rest().starts_with(*marker);
        match MERGE_MARKERS.into_iter().find(stands) {
            Some(marker) => Err(self.problem_at(self.at, TermProblem::MergeMarker { marker })),
            None => Ok(()),
        }
    }

    pub(super) fn quoted(&mut self, quote: char, what: &'static str) -> Parsed<String> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(self.problem_at(start, TermProblem::Unterminated { what })),
                Some(c) if c == quote => {
                    self.at += 1;
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape(start, what)?),
                Some(c) => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
    }

    /// Reads an escape, from its backslash on.
    fn escape(&mut self, opened: usize, what: &'static str) -> Parsed<char> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.bump() else {
            return Err(self.problem_at(opened, TermProblem::Unterminated { what }));
        };
        let code = match c {
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            'b' => 8,
            'f' => 12,
            'e' => 27,
            's' => 32,
            'd' => 127,
            '0'..='7' => self.octal(c),
            'x' => self.hex().unwrap_or(u32::MAX),
            '^' => match self.bump() {
                Some(letter @ '@'..='_') | Some(letter @ 'a'..='z') => u32::from(letter) & 31,
                _ => u32::MAX,
            },
            other => u32::from(other),
        };
        char::from_u32(code).ok_or_else(|| {
            let escape = self.text[start + 1..self.at].chars().take(20).collect();
            self.problem_at(start, TermProblem::BadEscape { escape })
        })
    }

    /// Reads up to two more octal digits.
    fn octal(&mut self, first: char) -> u32 {
        let mut code = first.to_digit(8).expect("the caller saw an octal digit");
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else {
                break;
            };
            self.at += 1;
            code = code * 8 + digit;
        }
        code
    }

    /// Reads `HH` or `{H…}`; the `x` is behind us.
    fn hex(&mut self) -> Option<u32> {
        if self.eat("{") {
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            let closed = self.eat("}");
            return u32::from_str_radix(digits, 16).ok().filter(|_| closed);
        }
        let high = self.bump()?.to_digit(16)?;
        let low = self.bump()?.to_digit(16)?;
        Some(high * 16 + low)
    }

    /// Reads an integer, a float or a character, with signs before it.
    pub(super) fn number(&mut self) -> Parsed<Term> {
        let start = self.at;
        let negative = match self.peek() {
            Some('-') => {
                self.at += 1;
                true
            }
            Some('+') => {
                self.at += 1;
                false
            }
            _ => false,
        };
        self.skip_blank()?;
        let bad = |parser: &Self| {
            let number = parser.text[start..parser.at].chars().take(60).collect();
            parser.problem_at(start, TermProblem::BadNumber { number })
        };
        match self.peek() {
            Some('$') => {
                let code = i128::from(u32::from(self.character()?));
                return Ok(Term::Integer(if negative { -code } else { code }));
            }
            Some('0'..='9') => {}
            _ => return Err(self.unexpected("a number behind the sign")),
        }
        let digits = self.digits(10);
        let value = if self.peek() == Some('#') {
            self.at += 1;
            let base = digits.parse().ok().filter(|base| (2..=36).contains(base));
            let base = base.ok_or_else(|| bad(self))?;
            let digits = self.digits(base);
            u128::from_str_radix(&digits, base)
        } else if self.is_float() {
            return self.float(negative, digits).ok_or_else(|| bad(self));
        } else {
            digits.parse()
        };
        let value = value.map_err(|_| bad(self))?;
        let signed =
            if negative { 0i128.checked_sub_unsigned(value) } else { i128::try_from(value).ok() };
        signed.map(Term::Integer).ok_or_else(|| bad(self))
    }

    /// Reads `$c`.
    fn character(&mut self) -> Parsed<char> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some('\\') => self.escape(start, "character"),
            Some(c) => {
                self.at += c.len_utf8();
                Ok(c)
            }
            None => Err(self.problem_at(start, TermProblem::Unterminated { what: "character" })),
        }
    }

    /// Reads digits; an underscore may stand between two of them.
    fn digits(&mut self, base: u32) -> String {
        let mut digits = String::new();
        loop {
            let rest = self.rest();
            let between = rest.starts_with('_') && !digits.is_empty();
            let next = if between { &rest[1..] } else { rest }.chars().next();
            let Some(digit) = next.filter(|c| c.is_digit(base)) else {
                return digits;
            };
            self.at += 1 + usize::from(between);
            digits.push(digit);
        }
    }

    fn is_float(&self) -> bool {
        let mut next = self.rest().chars();
        next.next() == Some('.') && next.next().is_some_and(|c| c.is_ascii_digit())
    }

    /// Reads a float from its dot on; `None` if it is beyond all floats.
    fn float(&mut self, negative: bool, whole: String) -> Option<Term> {
        self.at += 1;
        let sign = if negative { "-" } else { "" };
        let fraction = self.digits(10);
        let mut text = format!("{sign}{whole}.{fraction}");
        let before = self.at;
        if self.eat("e") || self.eat("E") {
            let sign = ["-", "+"].into_iter().find(|sign| self.eat(sign));
            let exponent = self.digits(10);
            if exponent.is_empty() {
                self.at = before;
            } else {
                text = format!("{text}e{}{exponent}", sign.unwrap_or_default());
            }
        }
        let value: f64 = text.parse().ok()?;
        value.is_finite().then(|| Term::Float(print::float(value)))
    }
}
