//! Output: answers, byte for byte as Go's encoder writes them.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;

use crate::dev::things::configs::Config;
use crate::dev::things::entries::{Entry, Kind, Metadata, Page};
use crate::dev::things::messages::Kept;
use crate::dev::things::senml::Measured;
use crate::dev::things::wrong::JSON;

/// Answers with JSON and a line's end; what could begin a tag is written as an escape.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    (status, [(CONTENT_TYPE, JSON)], text(body) + "\n").into_response()
}

pub(super) fn text(body: &impl Serialize) -> String {
    let text = serde_json::to_string(body).expect("answers have text keys");
    // These stand within strings only, so an escape says the same.
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Answers with a status alone.
pub(super) fn empty(status: StatusCode) -> Response {
    (status, [(CONTENT_TYPE, JSON)], Body::empty()).into_response()
}

/// Answers that something was made, and where it is.
pub(super) fn created(at: &str) -> Response {
    let location = HeaderValue::from_str(at).expect("identifiers are plain text");
    (StatusCode::CREATED, [(CONTENT_TYPE, JSON), (LOCATION, location)], Body::empty())
        .into_response()
}

/// Writes a number without a fraction as a whole one, as Go does.
pub(super) fn number(float: f64) -> Value {
    const WHOLE_MAX: f64 = 9e18;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    match float.fract() == 0.0 && float.abs() < WHOLE_MAX {
        true => Value::from(float as i64),
        false => Value::from(float),
    }
}

/// A thing or a channel, as the API shows it.
#[derive(Debug, Serialize)]
pub(super) struct EntryView<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'a Metadata,
}

impl<'a> From<&'a Entry> for EntryView<'a> {
    fn from(entry: &'a Entry) -> Self {
        let Entry { id, name, key, metadata, .. } = entry;
        Self { id, name, key: key.as_deref(), metadata }
    }
}

#[derive(Debug, Serialize)]
struct PageView<T> {
    total: u64,
    offset: u64,
    limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    things: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configs: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<T>,
}

fn page<T>(total: u64, offset: u64, limit: u64) -> PageView<T> {
    PageView { total, offset, limit, things: None, channels: None, configs: None, messages: None }
}

pub(super) fn entries(kind: Kind, found: &Page<Entry>) -> Response {
    let items: Vec<EntryView<'_>> = found.items.iter().map(EntryView::from).collect();
    let mut view = page(found.total, found.offset, found.limit);
    match kind {
        Kind::Thing => view.things = Some(items),
        Kind::Channel => view.channels = Some(items),
    }
    json(StatusCode::OK, &view)
}

/// A channel of a configuration.
#[derive(Debug, Serialize)]
struct ChannelView<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'a Metadata,
}

fn channels(config: &Config) -> Option<Vec<ChannelView<'_>>> {
    fn view(entry: &Entry) -> ChannelView<'_> {
        let Entry { id, name, metadata, .. } = entry;
        ChannelView { id, name, metadata }
    }
    // Go writes a list that was never begun as null.
    (!config.channels.is_empty()).then(|| config.channels.iter().map(view).collect())
}

/// A configuration, as its owner sees it.
#[derive(Debug, Serialize)]
pub(super) struct ConfigView<'a> {
    mainflux_id: &'a str,
    mainflux_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mainflux_channels: Option<Vec<ChannelView<'a>>>,
    external_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    external_key: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    content: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    state: i64,
}

impl<'a> From<&'a Config> for ConfigView<'a> {
    fn from(config: &'a Config) -> Self {
        Self {
            mainflux_id: &config.thing,
            mainflux_key: &config.key,
            mainflux_channels: channels(config),
            external_id: &config.external_id,
            external_key: &config.external_key,
            content: &config.content,
            name: &config.name,
            state: config.state,
        }
    }
}

pub(super) fn configs(found: &Page<Config>) -> Response {
    let items: Vec<ConfigView<'_>> = found.items.iter().map(ConfigView::from).collect();
    let mut view = page(found.total, found.offset, found.limit);
    view.configs = Some(items);
    json(StatusCode::OK, &view)
}

/// A configuration, as its device gets it.
#[derive(Debug, Serialize)]
pub(super) struct DeviceView<'a> {
    mainflux_id: &'a str,
    mainflux_key: &'a str,
    mainflux_channels: Option<Vec<ChannelView<'a>>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    content: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_cert: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_key: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    ca_cert: &'a str,
}

impl<'a> From<&'a Config> for DeviceView<'a> {
    fn from(config: &'a Config) -> Self {
        Self {
            mainflux_id: &config.thing,
            mainflux_key: &config.key,
            mainflux_channels: channels(config),
            content: &config.content,
            client_cert: &config.client_cert,
            client_key: &config.client_key,
            ca_cert: &config.ca_cert,
        }
    }
}

/// A message, as the reader gives it.
#[derive(Debug, Serialize)]
struct MessageView<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subtopic: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    publisher: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    protocol: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    time: Value,
    #[serde(rename = "updateTime", skip_serializing_if = "is_zero")]
    update_time: Value,
    #[serde(skip_serializing_if = "str::is_empty")]
    link: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    #[serde(rename = "stringValue", skip_serializing_if = "Option::is_none")]
    string_value: Option<&'a str>,
    #[serde(rename = "boolValue", skip_serializing_if = "Option::is_none")]
    bool_value: Option<bool>,
    #[serde(rename = "dataValue", skip_serializing_if = "Option::is_none")]
    data_value: Option<&'a str>,
    #[serde(rename = "valueSum", skip_serializing_if = "Option::is_none")]
    value_sum: Option<Value>,
}

fn is_zero(value: &Value) -> bool {
    value.as_f64() == Some(0.0)
}

pub(super) fn messages(channel: &str, found: &Page<Kept>) -> Response {
    let items: Vec<MessageView<'_>> =
        found.items.iter().map(|kept| message(channel, kept)).collect();
    let mut view = page(found.total, found.offset, found.limit);
    view.messages = Some(items);
    json(StatusCode::OK, &view)
}

fn message<'a>(channel: &'a str, kept: &'a Kept) -> MessageView<'a> {
    let record = &kept.record;
    let mut view = MessageView {
        channel,
        subtopic: &kept.subtopic,
        publisher: &kept.publisher,
        protocol: &kept.protocol,
        name: &record.name,
        unit: &record.unit,
        time: number(record.time),
        update_time: number(record.update_time),
        link: &record.link,
        value: None,
        string_value: None,
        bool_value: None,
        data_value: None,
        value_sum: record.sum.map(number),
    };
    match &record.measured {
        Measured::Number(value) => view.value = Some(number(*value)),
        Measured::Text(text) => view.string_value = Some(text),
        Measured::Flag(flag) => view.bool_value = Some(*flag),
        Measured::Data(data) => view.data_value = Some(data),
    }
    view
}
