//! SQL: a query as a condition on the entry `e`; every text of a stranger is a parameter.

use rusqlite::types::Value as Sql;

use super::query::{Bool, Bound, Field, Query, Side, Test, Wanted};
use crate::dev::events::leaf::Number;

/// A condition and what its question marks stand for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Condition {
    pub(super) sql: String,
    pub(super) values: Vec<Sql>,
}

impl Condition {
    pub(super) fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    pub(super) fn bind(&mut self, value: impl Into<Sql>) {
        self.values.push(value.into());
    }

    /// Joins what `one` writes for each item; nothing to join is `empty`. It halves, for SQLite counts how deep an
    /// expression is, and a chain is as deep as it is long.
    fn each<T>(
        &mut self,
        items: &[T],
        (between, empty): (&str, &str),
        one: &dyn Fn(&mut Self, &T),
    ) {
        match items {
            [] => self.push(empty),
            [item] => one(self, item),
            items => {
                let (before, after) = items.split_at(items.len() / 2);
                self.push("(");
                self.each(before, (between, empty), one);
                self.push(between);
                self.each(after, (between, empty), one);
                self.push(")");
            }
        }
    }
}

/// Writes the condition that an entry fits `query`.
pub(super) fn condition(query: &Query) -> Condition {
    let mut condition = Condition::default();
    write(&mut condition, query);
    condition
}

fn write(out: &mut Condition, query: &Query) {
    match query {
        Query::All => out.push("1"),
        Query::None => out.push("0"),
        Query::Index(pattern) => {
            out.push("(e.idx glob ?)");
            out.bind(glob(pattern));
        }
        Query::Ids(names) => {
            let list = serde_json::Value::from(names.as_slice()).to_string();
            out.push(
                "(coalesce(e.doc_id, cast(e.id as text)) in (select value from json_each(?)))",
            );
            out.bind(list);
        }
        Query::Field(field, test) => value(out, field, test),
        Query::Bool(bool) => write_bool(out, bool),
    }
}

fn write_bool(out: &mut Condition, bool: &Bool) {
    out.push("(");
    out.each(&bool.must, (" and ", "1"), &write);
    out.push(" and not ");
    out.each(&bool.must_not, (" or ", "0"), &write);
    out.push(" and ");
    match bool.least {
        0 => out.push("1"),
        1 => out.each(&bool.should, (" or ", "0"), &write),
        least => {
            out.each(&bool.should, (" + ", "0"), &write);
            out.push(" >= ?");
            out.bind(i64::try_from(least).unwrap_or(i64::MAX));
        }
    }
    out.push(")");
}

fn value(out: &mut Condition, field: &Field, test: &Test) {
    out.push("exists (select 1 from leaf l where l.entry = e.id and ");
    if let Some(path) = &field.path {
        out.push("l.path = ? and ");
        out.bind(path.clone());
    }
    let is_whole = field.is_whole;
    match test {
        Test::Exists => out.push("1"),
        Test::Equals(wanted) => match wanted.as_slice() {
            [wanted] => {
                out.push("(");
                equals(out, wanted);
                if !is_whole {
                    piece(out, &format!(" {} ", wanted.text), &wanted.text);
                }
                out.push(")");
            }
            wanted => any_of(out, wanted, is_whole),
        },
        Test::Prefix(text) => {
            out.push("(coalesce(substr(l.text, 1, length(?)) = ?, 0)");
            out.bind(text.clone());
            out.bind(text.clone());
            if !is_whole {
                piece(out, &format!(" {text}"), text);
            }
            out.push(")");
        }
        Test::Pattern(pattern) => {
            out.push("coalesce(l.text glob ?, 0)");
            out.bind(glob(pattern));
        }
        Test::Range(bounds) => out.each(bounds, (" and ", "1"), &bound),
        Test::Phrase { words, is_begun, wanted } => {
            out.push("(l.words is null and (");
            equals(out, wanted);
            out.push(")");
            let phrase = format!(" {}{}", words.join(" "), if *is_begun { "" } else { " " });
            if !words.is_empty() {
                out.push(" or coalesce(instr(l.words, ?) > 0, 0)");
                out.bind(phrase);
            }
            out.push(")");
        }
    }
    out.push(")");
}

/// The value is one of many, which SQLite is given as a list in JSON.
fn any_of(out: &mut Condition, wanted: &[Wanted], is_whole: bool) {
    let texts: Vec<&str> = wanted.iter().map(|wanted| wanted.text.as_str()).collect();
    let number = |wanted: &Wanted| match wanted.number? {
        Number::Whole(whole) => Some(serde_json::Value::from(whole)),
        Number::Real(real) => Some(real.into()),
    };
    let numbers: Vec<serde_json::Value> = wanted.iter().filter_map(number).collect();
    out.push(
        "(coalesce(l.text in (select value from json_each(?)), 0) \
         or coalesce(l.number in (select value from json_each(?)), 0)",
    );
    out.bind(serde_json::Value::from(texts.clone()).to_string());
    out.bind(serde_json::Value::from(numbers).to_string());
    if !is_whole {
        let is_word = |text: &&str| !text.is_empty() && !text.contains(' ');
        let words: Vec<&str> = texts.into_iter().filter(is_word).collect();
        out.push(
            " or exists (select 1 from json_each(?) w where instr(l.words, ' ' || w.value || ' ') > 0)",
        );
        out.bind(serde_json::Value::from(words).to_string());
    }
    out.push(")");
}

/// The value is exactly this one.
fn equals(out: &mut Condition, wanted: &Wanted) {
    out.push("coalesce(l.text = ?, 0)");
    out.bind(wanted.text.clone());
    if let Some(number) = wanted.number {
        out.push(" or coalesce(l.number = ?, 0)");
        out.bind(real(number));
    }
}

/// Or else one word of it is, or begins with, this one.
fn piece(out: &mut Condition, framed: &str, word: &str) {
    if !word.is_empty() && !word.contains(' ') {
        out.push(" or coalesce(instr(l.words, ?) > 0, 0)");
        out.bind(framed.to_owned());
    }
}

fn bound(out: &mut Condition, bound: &Bound) {
    let sign = match bound.side {
        Side::Above => ">",
        Side::From => ">=",
        Side::Below => "<",
        Side::To => "<=",
    };
    out.push("case when l.number is not null then ");
    match bound.number {
        Some(number) => {
            out.push(&format!("l.number {sign} ?"));
            out.bind(real(number));
        }
        None => out.push("0"),
    }
    out.push(" else ");
    match &bound.text {
        Some(text) => {
            out.push(&format!("coalesce(l.text {sign} ?, 0)"));
            out.bind(text.clone());
        }
        None => out.push("0"),
    }
    out.push(" end");
}

pub(super) fn real(number: Number) -> Sql {
    match number {
        Number::Whole(whole) => whole.into(),
        Number::Real(real) => real.into(),
    }
}

/// Writes a pattern of Elasticsearch as one of SQLite's `glob`.
pub(super) fn glob(pattern: &str) -> String {
    let mut glob = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        let (letter, is_bare) = match letter {
            '\\' => (letters.next().unwrap_or('\\'), false),
            letter => (letter, true),
        };
        match letter {
            '*' | '?' if is_bare => glob.push(letter),
            '*' | '?' | '[' => glob.extend(['[', letter, ']']),
            letter => glob.push(letter),
        }
    }
    glob
}
