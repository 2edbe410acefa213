//! Source: how much of a document is shown.

use serde_json::{Map, Value};

use super::error::Error;
use super::names::fits;
use super::request::Request;

/// Patterns of one list.
const PATTERNS_MAX: usize = 100;

/// What of documents is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    is_none: bool,
    only: Vec<String>,
    without: Vec<String>,
}

impl Shown {
    /// Reads `_source` of a body and of an address.
    pub(super) fn read(value: Option<&Value>, request: &Request) -> Result<Self, Error> {
        let mut shown = Self::default();
        match value {
            None => {}
            Some(Value::Bool(flag)) => shown.is_none = !flag,
            Some(Value::Object(body)) => {
                for (name, value) in body {
                    match name.as_str() {
                        "includes" | "include" => shown.only = patterns(value)?,
                        "excludes" | "exclude" => shown.without = patterns(value)?,
                        _ => return Err(Error::parsing("[_source] knows includes and excludes")),
                    }
                }
            }
            Some(value) => shown.only = patterns(value)?,
        }
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        match request.option("_source") {
            None => {}
            Some("false") => shown.is_none = true,
            Some("true" | "") => shown.is_none = false,
            Some(text) => shown.only = list(text),
        }
        if let Some(text) = request.option("_source_includes") {
            shown.only = list(text);
        }
        if let Some(text) = request.option("_source_excludes") {
            shown.without = list(text);
        }
        Ok(shown)
    }

    /// Returns what is shown of a document.
    pub(super) fn apply(&self, source: &str) -> Option<Value> {
        if self.is_none {
            return None;
        }
        let document: Value = serde_json::from_str(source).unwrap_or_default();
        if self.only.is_empty() && self.without.is_empty() {
            return Some(document);
        }
        let Value::Object(document) = document else { return Some(document) };
        Some(self.part(document, "", self.only.is_empty()).into())
    }

    fn part(&self, object: Map<String, Value>, above: &str, is_in: bool) -> Map<String, Value> {
        let mut part = Map::new();
        for (name, value) in object {
            let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
            if self.without.iter().any(|pattern| fits(pattern, &path)) {
                continue;
            }
            let is_in = is_in || self.only.iter().any(|pattern| fits(pattern, &path));
            match value {
                Value::Object(inner) => {
                    let inner = self.part(inner, &path, is_in);
                    if is_in || !inner.is_empty() {
                        part.insert(name, inner.into());
                    }
                }
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    let item = |item: Value| match item {
                        Value::Object(inner) => {
                            let inner = self.part(inner, &path, is_in);
                            (is_in || !inner.is_empty()).then(|| inner.into())
                        }
                        item => is_in.then_some(item),
                    };
                    let items: Vec<Value> = items.into_iter().filter_map(item).collect();
                    if is_in || !items.is_empty() {
                        part.insert(name, items.into());
                    }
                }
                value if is_in => drop(part.insert(name, value)),
                _ => {}
            }
        }
        part
    }
}

fn patterns(value: &Value) -> Result<Vec<String>, Error> {
    let values = match value {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    let texts: Option<Vec<String>> =
        values.iter().map(|value| Some(value.as_str()?.to_owned())).collect();
    let texts = texts.filter(|texts| texts.len() <= PATTERNS_MAX);
    texts.ok_or_else(|| Error::parsing("[_source] is true, false, or a list of patterns"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(wish: Value, document: Value) -> Value {
        let shown = Shown::read(Some(&wish), &Request::default()).unwrap();
        shown.apply(&document.to_string()).unwrap_or_default()
    }

    #[test]
    fn parts_are_chosen_by_path_and_pattern() {
        let document = json!({"a": {"b": 1, "c": 2}, "d": [{"e": 3, "f": 4}], "g": 5});
        assert_eq!(shown(json!(false), document.clone()), Value::Null);
        assert_eq!(shown(json!(["a.b", "g"]), document.clone()), json!({"a": {"b": 1}, "g": 5}));
        assert_eq!(shown(json!("a"), document.clone()), json!({"a": {"b": 1, "c": 2}}));
        assert_eq!(
            shown(json!({"includes": "d.*", "excludes": ["*.f"]}), document.clone()),
            json!({"d": [{"e": 3}]})
        );
        assert_eq!(shown(json!({"excludes": ["a", "d"]}), document), json!({"g": 5}));
    }
}
