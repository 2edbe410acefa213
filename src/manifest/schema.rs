//! Schema: the JSON schema of `rebeam.toml`, for editors.

use serde_json::{Map, Value, json};

use super::form::Form;
use super::keys::{Key, Kind, TOP};

/// Returns the JSON schema (draft 2020-12) of `rebeam.toml`, made from the table of keys that the
/// file is checked against.
pub fn json_schema() -> Value {
    let mut schema = table(TOP);
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("rebeam.toml"));
    Value::Object(schema)
}

fn table(keys: &[Key]) -> Map<String, Value> {
    let property = |key: &Key| {
        let mut schema = kind(&key.kind);
        schema.insert("description".to_owned(), json!(key.about));
        (key.name.to_owned(), Value::Object(schema))
    };
    let required = keys.iter().filter(|key| key.required.is_some());
    let required: Vec<_> = required.map(|key| key.name).collect();
    let properties: Map<_, _> = keys.iter().map(property).collect();
    let mut schema = object(json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    }));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn kind(kind: &Kind) -> Map<String, Value> {
    match kind {
        Kind::Flag => object(json!({ "type": "boolean" })),
        Kind::Number(least, most) => {
            object(json!({ "type": "integer", "minimum": least, "maximum": most }))
        }
        Kind::Text(form) => text(*form),
        Kind::Texts(form) => object(json!({ "type": "array", "items": text(*form) })),
        Kind::Command => {
            object(json!({ "type": "array", "items": text(Form::Any), "minItems": 1 }))
        }
        Kind::Commands => {
            let command = json!({ "type": "array", "items": text(Form::Any), "minItems": 1 });
            object(json!({ "type": "array", "items": command }))
        }
        Kind::TextMap(names, form) => by_name(*names, text(*form)),
        Kind::Table(keys) => table(keys),
        Kind::TableMap(names, keys) => by_name(*names, table(keys)),
        Kind::Tables(keys) => object(json!({ "type": "array", "items": table(keys) })),
    }
}

fn by_name(names: Form, values: Map<String, Value>) -> Map<String, Value> {
    object(json!({
        "type": "object",
        "propertyNames": text(names),
        "additionalProperties": values,
    }))
}

fn text(form: Form) -> Map<String, Value> {
    let mut schema = Map::new();
    let choices = form.choices();
    if !choices.is_empty() {
        schema.insert("enum".to_owned(), json!(choices));
        return schema;
    }
    let kind = if form.takes_numbers() { json!(["string", "integer"]) } else { json!("string") };
    schema.insert("type".to_owned(), kind);
    if let Some(pattern) = form.pattern() {
        schema.insert("pattern".to_owned(), json!(pattern));
    }
    schema
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the callers write objects"),
    }
}
