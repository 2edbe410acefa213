//! Json: where two documents differ, by the way to each value.

use serde_json::Value;

use super::content::leaf;
use super::text::short;
use super::{Cause, Found};

/// Differing values that are kept.
const PLACES_MAX: usize = 200;

/// A value that differs: the way to it, and both sides.
pub(super) struct Place {
    pub(super) at: String,
    pub(super) left: String,
    pub(super) right: String,
}

impl Place {
    pub(super) fn says(&self) -> String {
        format!("{} | {}", short(&self.left), short(&self.right))
    }
}

/// Says why two JSON files differ; `None` where one is none.
pub(super) fn file(one: &[u8], other: &[u8]) -> Option<Found> {
    let places = places(one, other)?;
    if places.is_empty() {
        return Some(leaf("document", Cause::Layout, vec!["the same values".into()]));
    }
    let details = places.iter().take(6).map(|place| format!("{}: {}", place.at, place.says()));
    Some(leaf("document", Cause::Settings, details.collect()))
}

/// Returns where two documents differ; `None` where one is none.
pub(super) fn places(one: &[u8], other: &[u8]) -> Option<Vec<Place>> {
    let (one, other): (Value, Value) =
        (serde_json::from_slice(one).ok()?, serde_json::from_slice(other).ok()?);
    let mut places = Vec::new();
    walk(Some(&one), Some(&other), "", &mut places);
    Some(places)
}

fn walk(one: Option<&Value>, other: Option<&Value>, at: &str, places: &mut Vec<Place>) {
    if one == other || places.len() >= PLACES_MAX {
        return;
    }
    match (one, other) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                walk(left.get(key), right.get(key), &format!("{at}/{key}"), places);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for number in 0..left.len().max(right.len()) {
                walk(left.get(number), right.get(number), &format!("{at}/{number}"), places);
            }
        }
        _ => {
            let text =
                |value: Option<&Value>| value.map_or_else(|| "none".into(), Value::to_string);
            places.push(Place { at: at.to_owned(), left: text(one), right: text(other) });
        }
    }
}
