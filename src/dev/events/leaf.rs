//! Leaf: what a document can be asked by: its values, each under the path of field names that leads there.
//!
//! It is Elasticsearch's dynamic mapping, near enough: a list has all its values under one path, dots in a name are
//! part of the path, a text can be found by the whole of it (`field.keyword`, up to 256 characters) and by its words,
//! and a text that is an ISO date also counts as its time.

use serde_json::{Map, Value};

use super::when;

/// Characters of a text up to which it can be found as a whole: Elasticsearch's `ignore_above`.
pub(super) const WHOLE_CHARS_MAX: usize = 256;
/// Bytes of a text that are looked at for words.
const WORDS_BYTES_MAX: usize = 8 << 10;
/// Values of one document: Elasticsearch's `index.mapping.total_fields.limit`.
pub(super) const LEAVES_MAX: usize = 1000;
/// Objects within one another: Elasticsearch's `index.mapping.depth.limit`.
pub(super) const DEPTH_MAX: usize = 20;

/// A number as SQLite keeps it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(i64),
    Real(f64),
}

/// One value of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) path: String,
    /// The whole text, of one that is not too long, and of `true` and `false`.
    pub(super) text: Option<String>,
    pub(super) number: Option<Number>,
    /// The words of a text, each between two blanks.
    pub(super) words: Option<String>,
}

/// Why a document cannot be indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    Leaves,
    Depth,
}

impl Number {
    pub(super) fn of(value: &Value) -> Option<Self> {
        let number = value.as_number()?;
        number.as_i64().map(Self::Whole).or_else(|| number.as_f64().map(Self::Real))
    }

    /// Reads what a request has for a number; a text may be one.
    pub(super) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => match text.parse() {
                Ok(whole) => Some(Self::Whole(whole)),
                Err(_) => text.parse().ok().filter(|real: &f64| real.is_finite()).map(Self::Real),
            },
            value => Self::of(value),
        }
    }

    pub(super) fn real(self) -> f64 {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "sums and means are reals in Elasticsearch, too"
            )]
            Self::Whole(whole) => whole as f64,
            Self::Real(real) => real,
        }
    }
}

impl rusqlite::ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(match self {
            Self::Whole(whole) => (*whole).into(),
            Self::Real(real) => (*real).into(),
        })
    }
}

/// Lays a document out as its values.
pub(super) fn leaves(document: &Map<String, Value>) -> Result<Vec<Leaf>, Unfit> {
    let mut leaves = Vec::new();
    let mut path = String::new();
    walk(document, &mut path, 1, &mut leaves)?;
    Ok(leaves)
}

fn walk(
    object: &Map<String, Value>,
    path: &mut String,
    depth: usize,
    leaves: &mut Vec<Leaf>,
) -> Result<(), Unfit> {
    if depth > DEPTH_MAX {
        return Err(Unfit::Depth);
    }
    for (name, value) in object {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        visit(value, path, depth, leaves)?;
        path.truncate(length);
    }
    Ok(())
}

fn visit(
    value: &Value,
    path: &mut String,
    depth: usize,
    leaves: &mut Vec<Leaf>,
) -> Result<(), Unfit> {
    let mut leaf = Leaf { path: path.clone(), text: None, number: None, words: None };
    match value {
        Value::Null => return Ok(()),
        Value::Object(object) => return walk(object, path, depth + 1, leaves),
        Value::Array(items) if depth < DEPTH_MAX => {
            return items.iter().try_for_each(|item| visit(item, path, depth + 1, leaves));
        }
        Value::Array(_) => return Err(Unfit::Depth),
        Value::Bool(flag) => leaf.text = Some(flag.to_string()),
        Value::Number(_) => leaf.number = Number::of(value),
        Value::String(text) => {
            // SQLite ends a text at NUL in places, so that there is none on either side.
            let text = &text.replace('\0', "\u{fffd}");
            leaf.text = is_short(text).then(|| text.clone());
            leaf.number = when::read_iso(text).map(Number::Whole);
            leaf.words = Some(framed(&words(text)));
        }
    }
    if leaves.len() == LEAVES_MAX {
        return Err(Unfit::Leaves);
    }
    leaves.push(leaf);
    Ok(())
}

fn is_short(text: &str) -> bool {
    text.len() <= WHOLE_CHARS_MAX || text.chars().nth(WHOLE_CHARS_MAX).is_none()
}

/// Writes words so that each stands between two blanks, and a phrase is a piece of the text.
pub(super) fn framed(words: &[String]) -> String {
    if words.is_empty() { String::new() } else { format!(" {} ", words.join(" ")) }
}

/// Takes a text apart into words as Elasticsearch's standard analyzer does, near enough: runs of letters, digits and
/// `_`, in lower case; a point or an apostrophe between two letters, and a point or comma between two digits, part
/// nothing.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let text = &text[..text.floor_char_boundary(WORDS_BYTES_MAX)];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let joins = |next: &char| match (word.chars().last(), letter) {
            (Some(before), '.' | '\'' | ':' | '’') if before.is_alphabetic() => {
                next.is_alphabetic()
            }
            (Some(before), '.' | '\'' | ',' | ';') if before.is_numeric() => next.is_numeric(),
            _ => false,
        };
        if letter.is_alphanumeric() || letter == '_' || letters.peek().is_some_and(joins) {
            word.extend(letter.to_lowercase());
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: Value) -> Vec<Leaf> {
        leaves(value.as_object().unwrap()).unwrap()
    }

    #[test]
    fn lists_and_dots_lead_to_one_path() {
        let leaves =
            of(json!({"a": {"b": [1, {"c": "x"}, null]}, "a.b": 2, "t": {"de/#": {"qos": 0}}}));
        let paths: Vec<_> = leaves.iter().map(|leaf| leaf.path.as_str()).collect();
        assert_eq!(paths, ["a.b", "a.b.c", "a.b", "t.de/#.qos"]);
    }

    #[test]
    fn words_are_those_of_the_standard_analyzer() {
        let of = |text: &str| words(text).join("|");
        assert_eq!(
            of("The 2 QUICK Brown-Foxes jumped over the lazy dog's bone."),
            "the|2|quick|brown|foxes|jumped|over|the|lazy|dog's|bone"
        );
        assert_eq!(of("demo/a 127.0.0.1, x_y öl."), "demo|a|127.0.0.1|x_y|öl");
        assert_eq!(of("1,5 a,b example.com 1."), "1,5|a|b|example.com|1");
    }

    #[test]
    fn a_date_is_a_text_and_a_time_and_a_long_text_only_words() {
        let leaves = of(json!({"d": "1970-01-02", "l": "x".repeat(257), "f": true}));
        assert_eq!(leaves[0].number, Some(Number::Whole(86_400_000)));
        assert_eq!(leaves[0].text.as_deref(), Some("1970-01-02"));
        assert_eq!((leaves[1].text.as_deref(), leaves[2].text.is_none()), (Some("true"), true));
    }

    #[test]
    fn what_is_too_deep_or_too_wide_is_refused() {
        let deep = (0..DEPTH_MAX).fold(json!(1), |inner, _| json!({"a": inner}));
        assert!(leaves(deep.as_object().unwrap()).is_ok());
        let deeper = json!({"a": deep});
        assert_eq!(leaves(deeper.as_object().unwrap()), Err(Unfit::Depth));
        let wide = json!({"a": vec![1; LEAVES_MAX + 1]});
        assert_eq!(leaves(wide.as_object().unwrap()), Err(Unfit::Leaves));
    }
}
