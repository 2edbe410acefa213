//! SenML: packs of measurements (RFC 8428) as JSON or CBOR, resolved into records that stand for themselves.
//!
//! The rules are those of the library that Mainflux used: one record without a name or a value makes the pack
//! invalid, and what has only a sum is valid and yields nothing. CBOR may have RFC 8428's numbers as labels, or the
//! texts that the library wrote.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use serde_json::Value as Json;

use crate::limits::{SENML_DEPTH_MAX, SENML_PACK_BYTES_MAX, SENML_RECORDS_MAX};

/// How a pack is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Cbor,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Measured {
    Number(f64),
    Text(String),
    Flag(bool),
    Data(String),
}

/// A record that stands for itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) measured: Measured,
    pub(super) sum: Option<f64>,
    /// Seconds since 1970.
    pub(super) time: f64,
    pub(super) update_time: f64,
    pub(super) link: String,
}

/// A record as it was sent.
#[derive(Debug, Default)]
struct Raw {
    base_name: String,
    base_time: f64,
    base_unit: String,
    base_version: i64,
    name: String,
    unit: String,
    time: f64,
    update_time: f64,
    link: String,
    value: Option<f64>,
    text: String,
    data: String,
    flag: Option<bool>,
    sum: Option<f64>,
}

/// A value of one field, whatever the format.
enum Field {
    None,
    Number(f64),
    Text(String),
    Flag(bool),
    /// Something that no field may be.
    Other,
}

impl Format {
    /// The format of a content type; JSON where it is another.
    pub(super) fn of(content_type: &str) -> Self {
        match content_type {
            "application/senml+cbor" => Self::Cbor,
            _ => Self::Json,
        }
    }
}

/// Resolves a pack; `None` where it is none, or any record of it is invalid.
pub(super) fn normalise(pack: &[u8], format: Format, now_s: i64) -> Option<Vec<Record>> {
    if pack.len() > SENML_PACK_BYTES_MAX {
        return None;
    }
    let raw = match format {
        Format::Json => json(pack)?,
        Format::Cbor => cbor(pack)?,
    };
    if !is_valid(&raw) {
        return None;
    }
    resolve(raw, now_s)
}

fn json(pack: &[u8]) -> Option<Vec<Raw>> {
    let records: Option<Vec<Json>> = serde_json::from_slice(pack).ok()?;
    let records = records.unwrap_or_default();
    let raw = |record: Json| match record {
        Json::Object(fields) => fill(fields.into_iter().map(|(name, value)| (name, field(value)))),
        Json::Null => Some(Raw::default()),
        _ => None,
    };
    (records.len() <= SENML_RECORDS_MAX).then(|| records.into_iter().map(raw).collect())?
}

fn field(value: Json) -> Field {
    match value {
        Json::Null => Field::None,
        Json::Bool(flag) => Field::Flag(flag),
        Json::Number(number) => number.as_f64().map_or(Field::Other, Field::Number),
        Json::String(text) => Field::Text(text),
        Json::Array(_) | Json::Object(_) => Field::Other,
    }
}

fn cbor(pack: &[u8]) -> Option<Vec<Raw>> {
    let value: Cbor = ciborium::de::from_reader_with_recursion_limit(pack, SENML_DEPTH_MAX).ok()?;
    let records = match value {
        Cbor::Array(records) if records.len() <= SENML_RECORDS_MAX => records,
        Cbor::Null => Vec::new(),
        _ => return None,
    };
    let raw = |record: Cbor| match record {
        Cbor::Map(fields) => {
            // What bears a label that is none of ours is passed over, as an unknown name is.
            let named = fields
                .into_iter()
                .filter_map(|(label, value)| Some((label_name(&label)?, cbor_field(value))));
            fill(named)
        }
        Cbor::Null => Some(Raw::default()),
        _ => None,
    };
    records.into_iter().map(raw).collect()
}

fn label_name(label: &Cbor) -> Option<String> {
    const LABELS: [(i64, &str); 13] = [
        (-1, "bver"),
        (-2, "bn"),
        (-3, "bt"),
        (-4, "bu"),
        (0, "n"),
        (1, "u"),
        (2, "v"),
        (3, "vs"),
        (4, "vb"),
        (5, "s"),
        (6, "t"),
        (7, "ut"),
        (8, "vd"),
    ];
    match label {
        Cbor::Text(name) => Some(name.clone()),
        Cbor::Integer(number) => {
            let number = i64::try_from(i128::from(*number)).ok()?;
            let found = LABELS.iter().find(|(label, _)| *label == number);
            found.map(|(_, name)| (*name).to_owned())
        }
        _ => None,
    }
}

fn cbor_field(value: Cbor) -> Field {
    match value {
        Cbor::Null => Field::None,
        Cbor::Bool(flag) => Field::Flag(flag),
        #[expect(clippy::cast_precision_loss, reason = "a measurement is a floating-point number")]
        Cbor::Integer(number) => Field::Number(i128::from(number) as f64),
        Cbor::Float(number) => Field::Number(number),
        Cbor::Text(text) => Field::Text(text),
        // RFC 8428 has data as bytes in CBOR, and as base64 for the web in JSON.
        Cbor::Bytes(bytes) => Field::Text(URL_SAFE_NO_PAD.encode(bytes)),
        _ => Field::Other,
    }
}

/// Fills a record; `None` where a field is of the wrong type. Unknown fields count for nothing.
fn fill(fields: impl Iterator<Item = (String, Field)>) -> Option<Raw> {
    let mut by_name: BTreeMap<String, Field> = BTreeMap::new();
    for (name, field) in fields {
        // Go's decoder does not tell upper case from lower.
        by_name.insert(name.to_ascii_lowercase(), field);
    }
    let mut raw = Raw::default();
    for (name, field) in by_name {
        match name.as_str() {
            "bn" => raw.base_name = text(field)?,
            "bu" => raw.base_unit = text(field)?,
            "n" => raw.name = text(field)?,
            "u" => raw.unit = text(field)?,
            "l" => raw.link = text(field)?,
            "vs" => raw.text = text(field)?,
            "vd" => raw.data = text(field)?,
            "bt" => raw.base_time = number(field)?.unwrap_or_default(),
            "t" => raw.time = number(field)?.unwrap_or_default(),
            "ut" => raw.update_time = number(field)?.unwrap_or_default(),
            "v" => raw.value = number(field)?,
            "s" => raw.sum = number(field)?,
            "bver" => raw.base_version = whole(number(field)?.unwrap_or_default())?,
            "vb" => match field {
                Field::None => {}
                Field::Flag(flag) => raw.flag = Some(flag),
                _ => return None,
            },
            _ => {}
        }
    }
    Some(raw)
}

fn text(field: Field) -> Option<String> {
    match field {
        Field::None => Some(String::new()),
        Field::Text(text) => Some(text),
        _ => None,
    }
}

fn number(field: Field) -> Option<Option<f64>> {
    match field {
        Field::None => Some(None),
        Field::Number(number) if number.is_finite() => Some(Some(number)),
        _ => None,
    }
}

fn whole(number: f64) -> Option<i64> {
    let is_whole = number.fract() == 0.0 && number.abs() < f64::from(i32::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
    is_whole.then_some(number as i64)
}

fn is_valid(records: &[Raw]) -> bool {
    let mut base_name = "";
    let mut version = 0;
    records.iter().all(|record| {
        if record.base_version != 0 {
            if version != 0 && version != record.base_version {
                return false;
            }
            version = record.base_version;
        }
        if !record.base_name.is_empty() {
            base_name = &record.base_name;
        }
        let values = [
            record.value.is_some(),
            record.flag.is_some(),
            !record.data.is_empty(),
            !record.text.is_empty(),
        ];
        let values = values.iter().filter(|has| **has).count();
        is_name(base_name, &record.name) && values <= 1 && (values == 1 || record.sum.is_some())
    })
}

fn is_name(base: &str, name: &str) -> bool {
    const MARKS: &str = "-:./_";
    let mut all = base.chars().chain(name.chars());
    let fits = |c: char| c.is_ascii_alphanumeric() || MARKS.contains(c);
    let first = all.next();
    first.is_some_and(|first| first.is_ascii_alphanumeric()) && all.all(fits)
}

/// Gives every record what the ones before it said of all that follow.
fn resolve(records: Vec<Raw>, now_s: i64) -> Option<Vec<Record>> {
    let (mut base_name, mut base_time, mut base_unit) = (String::new(), 0.0, String::new());
    let mut resolved = Vec::new();
    let mut bytes = 0;
    for raw in records {
        if !raw.base_name.is_empty() {
            base_name = raw.base_name;
        }
        if raw.base_time != 0.0 {
            base_time = raw.base_time;
        }
        if !raw.base_unit.is_empty() {
            base_unit = raw.base_unit;
        }
        let measured = match (raw.value, raw.flag) {
            (Some(number), _) => Measured::Number(number),
            (None, Some(flag)) => Measured::Flag(flag),
            (None, None) if !raw.data.is_empty() => Measured::Data(raw.data),
            (None, None) if !raw.text.is_empty() => Measured::Text(raw.text),
            (None, None) => continue,
        };
        let mut time = base_time + raw.time;
        if time <= 0.0 {
            #[expect(clippy::cast_precision_loss, reason = "the time is far below 2^53")]
            let now = now_s as f64;
            time += now;
        }
        let unit = if raw.unit.is_empty() { base_unit.clone() } else { raw.unit };
        let name = format!("{base_name}{}", raw.name);
        // A base name counts once for each record: a small pack must not become a large one.
        bytes += name.len() + unit.len();
        if !time.is_finite() || bytes > 4 * SENML_PACK_BYTES_MAX {
            return None;
        }
        let (sum, update_time, link) = (raw.sum, raw.update_time, raw.link);
        resolved.push(Record { name, unit, measured, sum, time, update_time, link });
    }
    Some(resolved)
}

#[cfg(test)]
mod tests;
