//! Sort: the order of hits, and going on after one of them.

use rusqlite::types::Value as Sql;
use serde_json::{Value, json};

use super::error::Error;
use super::find::value_of;
use super::query::{Field, cut, only};
use super::sql::Condition;

/// Keys of one order.
const KEYS_MAX: usize = 16;

/// One key of an order. What has no value comes last, either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    by: By,
    is_down: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    /// The order in which things were written.
    Written,
    /// All score the same.
    Score,
    Field(String),
}

/// Reads `sort`.
pub(super) fn read(value: &Value) -> Result<Vec<Key>, Error> {
    let values = match value {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    if values.len() > KEYS_MAX {
        return Err(Error::illegal(format!("more than [{KEYS_MAX}] keys to sort by")));
    }
    values.iter().map(key).collect()
}

fn key(value: &Value) -> Result<Key, Error> {
    if let Some(text) = value.as_str() {
        let (name, order) = text.split_once(':').unwrap_or((text, ""));
        return named(name, Some(order).filter(|order| !order.is_empty()));
    }
    let (name, body) = only(value, "sort")?;
    if let Some(order) = body.as_str() {
        return named(name, Some(order));
    }
    let mut order = None;
    for (option, value) in super::query::object(body, "sort")? {
        match (option.as_str(), value) {
            ("order", Value::String(text)) => order = Some(text.as_str()),
            ("missing", Value::String(text)) if text == "_last" => {}
            ("unmapped_type" | "format" | "numeric_type", _) => {}
            ("mode", Value::String(text)) if matches!(text.as_str(), "min" | "max") => {}
            _ => {
                return Err(Error::parsing(format!(
                    "[sort] does not support [{}] here",
                    cut(option)
                )));
            }
        }
    }
    named(name, order)
}

fn named(name: &str, order: Option<&str>) -> Result<Key, Error> {
    let by = match name {
        "_doc" | "_shard_doc" => By::Written,
        "_score" => By::Score,
        name => By::Field(Field::new(name).path.unwrap_or_default()),
    };
    let is_down = match order {
        Some("asc") => false,
        Some("desc") => true,
        None => by == By::Score,
        Some(order) => {
            return Err(Error::illegal(format!("No enum constant SortOrder.{}", cut(order))));
        }
    };
    Ok(Key { by, is_down })
}

impl Key {
    /// The value to sort by, in SQL: of several the first in the order, and of none what comes last.
    pub(super) fn write(&self, out: &mut Condition) {
        match &self.by {
            By::Written => out.push("e.id"),
            By::Score => out.push("1.0"),
            By::Field(path) => {
                let (first, none) = if self.is_down { ("max", "-9e999") } else { ("min", "x'ff'") };
                out.push(&format!(
                    "coalesce((select {first}(coalesce(l.number, l.text)) from leaf l \
                     where l.entry = e.id and l.path = ?), {none})"
                ));
                out.bind(path.clone());
            }
        }
    }

    pub(super) fn direction(&self) -> &'static str {
        if self.is_down { "desc" } else { "asc" }
    }

    fn value(&self, told: &Sql) -> Sql {
        match (told, self.is_down) {
            (Sql::Null, true) => Sql::Real(f64::NEG_INFINITY),
            (Sql::Null, false) => Sql::Blob(vec![0xff]),
            (value, _) => value.clone(),
        }
    }
}

/// Reads `search_after`.
pub(super) fn after(value: &Value) -> Result<Vec<Sql>, Error> {
    let values = value.as_array().filter(|values| values.len() <= KEYS_MAX + 1);
    let values =
        values.ok_or_else(|| Error::parsing("[search_after] has to be a list of sort values"))?;
    let one = |value: &Value| match value {
        Value::Null => Ok(Sql::Null),
        Value::String(text) => Ok(Sql::Text(text.clone())),
        Value::Bool(flag) => Ok(Sql::Text(flag.to_string())),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(Sql::Integer(whole)),
            (None, Some(real)) => Ok(Sql::Real(real)),
            (None, None) => Err(Error::parsing("[search_after] has a number that is out of range")),
        },
        _ => Err(Error::parsing("[search_after] has to be a list of plain values")),
    };
    values.iter().map(one).collect()
}

/// Writes that a row comes after the one with these sort values; one more value than keys is that one's number.
pub(super) fn write_after(out: &mut Condition, keys: &[Key], after: &[Sql]) {
    if after.is_empty() {
        return out.push("1");
    }
    let columns: Vec<(String, &str, Sql)> = after
        .iter()
        .enumerate()
        .map(|(place, value)| match keys.get(place) {
            Some(key) => {
                (format!("k{place}"), if key.is_down { "<" } else { ">" }, key.value(value))
            }
            None => ("id".to_owned(), ">", value.clone()),
        })
        .collect();
    out.push("(");
    for (place, (column, sign, value)) in columns.iter().enumerate() {
        if place > 0 {
            out.push(" or ");
        }
        out.push("(");
        for (before, _, value) in &columns[..place] {
            out.push(&format!("{before} = ? and "));
            out.bind(value.clone());
        }
        out.push(&format!("{column} {sign} ?)"));
        out.bind(value.clone());
    }
    out.push(")");
}

/// Tells a sort value; what comes last for having none is null.
pub(super) fn told(value: &Sql) -> Value {
    match value {
        Sql::Real(real) if real.is_infinite() => Value::Null,
        Sql::Real(real) => json!(real),
        value => value_of(value.into()),
    }
}
