//! Text: the query language that people type: `event:message_published AND topic:"home/kitchen" -qos:0`.

use super::error::Error;
use super::query::{Bool, Bound, Field, Query, Side, Test, Wanted};
use super::read::{Operator, matching, pattern, phrase};

/// Parentheses within one another, and parts of one text.
const DEPTH_MAX: usize = 20;
const PARTS_MAX: usize = 1024;
/// Characters that `\` takes the meaning from, and that end a word where they are bare.
const SPECIAL: &str = "()[]{}\":";

/// Reads a text; what names no field is looked for in `fields`.
pub(super) fn read(
    text: &str,
    fields: &[String],
    operator: Operator,
    now_ms: i64,
) -> Result<Query, Error> {
    let fields =
        fields.iter().map(|name| Field::new(name.split('^').next().unwrap_or_default())).collect();
    let mut reader = Reader { rest: text, operator, now_ms, parts: 0 };
    let query = reader.sequence(&fields, 0)?;
    match reader.rest.is_empty() {
        true => Ok(query),
        false => Err(reader.wrong()),
    }
}

struct Reader<'a> {
    rest: &'a str,
    operator: Operator,
    now_ms: i64,
    parts: usize,
}

/// What stands before a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Must,
    MustNot,
    Plain,
}

impl Reader<'_> {
    fn wrong(&self) -> Error {
        let rest: String = self.rest.chars().take(40).collect();
        Error::new(400, "query_shard_exception", format!("Failed to parse query near [{rest}]"))
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes a bare word of the language itself.
    fn takes(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        let ends = rest
            .chars()
            .next()
            .is_none_or(|next| next.is_whitespace() || matches!(next, '(' | ')' | '"'));
        if ends {
            self.rest = rest;
            self.skip();
        }
        ends
    }

    /// Reads parts until a closing parenthesis or the end: `OR` parts what `AND` holds together.
    fn sequence(&mut self, fields: &Vec<Field>, depth: usize) -> Result<Query, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::illegal(format!(
                "parentheses are nested deeper than [{DEPTH_MAX}]"
            )));
        }
        // Lucene's classic parser: AND makes both its sides a must, whatever else stands beside them.
        let mut parts: Vec<(Sign, Query)> = Vec::new();
        let mut joins_next = false;
        self.skip();
        while !self.rest.is_empty() && !self.rest.starts_with(')') {
            let is_and = self.takes("AND") || self.takes("&&");
            let is_or = !is_and && (self.takes("OR") || self.takes("||"));
            if (is_and || is_or) && parts.is_empty() {
                return Err(self.wrong());
            }
            if is_and {
                if let Some((sign @ Sign::Plain, _)) = parts.last_mut() {
                    *sign = Sign::Must;
                }
                joins_next = true;
            }
            let sign = if self.takes("NOT") || self.strips('-') || self.strips('!') {
                Sign::MustNot
            } else if self.strips('+')
                || joins_next
                || (matches!(self.operator, Operator::And) && !is_or)
            {
                Sign::Must
            } else {
                Sign::Plain
            };
            joins_next = false;
            parts.push((sign, self.part(fields, depth)?));
            self.parts += 1;
            if self.parts > PARTS_MAX {
                return Err(Error::new(
                    400,
                    "too_many_clauses",
                    format!("maxClauseCount is set to {PARTS_MAX}"),
                ));
            }
            self.skip();
        }
        Ok(joined(parts))
    }

    fn strips(&mut self, sign: char) -> bool {
        let rest =
            self.rest.strip_prefix(sign).filter(|rest| !rest.starts_with(char::is_whitespace));
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn part(&mut self, fields: &Vec<Field>, depth: usize) -> Result<Query, Error> {
        self.skip();
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            let inner = self.sequence(fields, depth + 1)?;
            self.rest = self.rest.strip_prefix(')').ok_or_else(|| self.wrong())?;
            return Ok(inner);
        }
        if self.rest.starts_with(['"', '[', '{', '>', '<']) {
            return self.value(fields);
        }
        let start = self.rest;
        let word = self.word();
        if let (false, Some(rest)) = (word.text.is_empty(), self.rest.strip_prefix(':')) {
            self.rest = rest;
            if word.text == "_exists_" {
                let name = self.word().text;
                return Ok(Query::Field(Field::new(&name), Test::Exists));
            }
            let fields = vec![Field::new(&word.text)];
            if self.rest.starts_with('(') {
                return self.part(&fields, depth + 1);
            }
            return self.value(&fields);
        }
        self.rest = start;
        self.value(fields)
    }

    /// Reads a phrase, a range, a pattern or a word.
    fn value(&mut self, fields: &[Field]) -> Result<Query, Error> {
        if let Some(rest) = self.rest.strip_prefix('"') {
            let (text, rest) = quoted(rest).ok_or_else(|| self.wrong())?;
            self.rest = rest;
            return any(fields, |field| Ok(phrase(field, Wanted::of(&text), false)));
        }
        if self.rest.starts_with(['[', '{']) {
            let bounds = self.range()?;
            return any(fields, |field| {
                Ok(Query::Field(field.clone(), Test::Range(bounds.clone())))
            });
        }
        for (sign, side) in
            [(">=", Side::From), ("<=", Side::To), (">", Side::Above), ("<", Side::Below)]
        {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest.trim_start();
                let bound = Bound::new(side, &self.word().text.into(), self.now_ms)?;
                return any(fields, |field| {
                    Ok(Query::Field(field.clone(), Test::Range(vec![bound.clone()])))
                });
            }
        }
        let word = self.word();
        if word.raw.is_empty() {
            return Err(self.wrong());
        }
        if word.raw == "*" {
            return any(fields, |field| match field.path {
                None => Ok(Query::All),
                Some(_) => Ok(Query::Field(field.clone(), Test::Exists)),
            });
        }
        if word.is_pattern {
            return any(fields, |field| Ok(Query::Field(field.clone(), pattern(&word.raw)?)));
        }
        any(fields, |field| Ok(matching(field, &Wanted::of(&word.text), self.operator)))
    }

    /// Reads `[A TO B]`; a brace leaves its end out, and `*` is no end.
    fn range(&mut self) -> Result<Vec<Bound>, Error> {
        let wrong = self.wrong();
        let is_from = self.rest.starts_with('[');
        let end = self.rest.find([']', '}']).ok_or_else(|| wrong.clone())?;
        let is_to = self.rest[end..].starts_with(']');
        let inner = &self.rest[1..end];
        self.rest = &self.rest[end + 1..];
        let (low, high) = inner.split_once(" TO ").ok_or(wrong)?;
        let mut bounds = Vec::new();
        let low_side = if is_from { Side::From } else { Side::Above };
        let high_side = if is_to { Side::To } else { Side::Below };
        for (text, side) in [(low, low_side), (high, high_side)] {
            let text = text.trim().trim_matches('"');
            if text != "*" {
                bounds.push(Bound::new(side, &text.into(), self.now_ms)?);
            }
        }
        Ok(bounds)
    }

    /// Takes a word: up to a blank or a character with a meaning that no `\` took.
    fn word(&mut self) -> Word {
        let mut word = Word { raw: String::new(), text: String::new(), is_pattern: false };
        let mut letters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            if letter == '\\' {
                let taken = letters.next().map_or('\\', |(_, taken)| taken);
                word.raw.extend(['\\', taken]);
                word.text.push(taken);
                continue;
            }
            if letter.is_whitespace() || SPECIAL.contains(letter) {
                end = at;
                break;
            }
            word.is_pattern |= matches!(letter, '*' | '?');
            word.raw.push(letter);
            word.text.push(letter);
        }
        self.rest = &self.rest[end..];
        word
    }
}

struct Word {
    raw: String,
    /// Without `\`.
    text: String,
    is_pattern: bool,
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut inner = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((inner, &text[at + 1..])),
            '\\' => inner.push(letters.next()?.1),
            letter => inner.push(letter),
        }
    }
    None
}

/// Asks each field the same.
fn any(fields: &[Field], one: impl Fn(&Field) -> Result<Query, Error>) -> Result<Query, Error> {
    let mut should = fields.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    if should.len() == 1 {
        return Ok(should.remove(0));
    }
    Ok(Query::Bool(Box::new(Bool { should, least: 1, ..Bool::default() })))
}

fn joined(mut parts: Vec<(Sign, Query)>) -> Query {
    if let [(Sign::Plain | Sign::Must, _)] = parts.as_slice() {
        return parts.remove(0).1;
    }
    let mut bool = Bool::default();
    for (sign, query) in parts {
        match sign {
            Sign::Must => bool.must.push(query),
            Sign::MustNot => bool.must_not.push(query),
            Sign::Plain => bool.should.push(query),
        }
    }
    bool.least = usize::from(bool.must.is_empty() && !bool.should.is_empty());
    Query::Bool(Box::new(bool))
}
