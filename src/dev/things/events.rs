//! Events: what happens to things, channels and configurations, in the very fields of Mainflux's event store.
//!
//! A device's identifier goes by two names: `external_id` is what Mainflux wrote, `externalID` what its
//! documentation says. Both are written, so that a consumer of either finds it.

use serde_json::{Map, Value};

use super::model::now_s;
use crate::dev::What;

const THINGS: &str = "mainflux.things";
const BOOTSTRAP: &str = "mainflux.bootstrap";

type Fields = Vec<(&'static str, String)>;

fn on(stream: &'static str, operation: &'static str, mut fields: Fields) -> What {
    fields.push(("operation", operation.to_owned()));
    What::Operation { stream, fields }
}

fn described(mut fields: Fields, name: &str, metadata: Option<&Map<String, Value>>) -> Fields {
    if !name.is_empty() {
        fields.push(("name", name.to_owned()));
    }
    if let Some(metadata) = metadata {
        let text = serde_json::to_string(metadata).expect("JSON can be written");
        fields.push(("metadata", text));
    }
    fields
}

/// `thing.create` or `channel.create`.
pub(super) fn created(
    operation: &'static str,
    id: &str,
    owner: &str,
    name: &str,
    metadata: Option<&Map<String, Value>>,
) -> What {
    let fields = vec![("id", id.to_owned()), ("owner", owner.to_owned())];
    on(THINGS, operation, described(fields, name, metadata))
}

/// `thing.update` or `channel.update`.
pub(super) fn updated(
    operation: &'static str,
    id: &str,
    name: &str,
    metadata: Option<&Map<String, Value>>,
) -> What {
    on(THINGS, operation, described(vec![("id", id.to_owned())], name, metadata))
}

/// `thing.remove` or `channel.remove`.
pub(super) fn removed(operation: &'static str, id: &str) -> What {
    on(THINGS, operation, vec![("id", id.to_owned())])
}

/// `thing.connect` or `thing.disconnect`.
pub(super) fn joined(operation: &'static str, channel: &str, thing: &str) -> What {
    on(THINGS, operation, vec![("chan_id", channel.to_owned()), ("thing_id", thing.to_owned())])
}

/// What `config.create` says of a configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Created<'a> {
    pub(super) thing: &'a str,
    pub(super) owner: &'a str,
    pub(super) name: &'a str,
    pub(super) channels: &'a [String],
    pub(super) external_id: &'a str,
    pub(super) content: &'a str,
}

pub(super) fn config_created(config: Created<'_>) -> What {
    let fields = vec![
        ("thing_id", config.thing.to_owned()),
        ("owner", config.owner.to_owned()),
        ("name", config.name.to_owned()),
        ("channels", config.channels.join(", ")),
        ("external_id", config.external_id.to_owned()),
        ("externalID", config.external_id.to_owned()),
        ("content", config.content.to_owned()),
    ];
    on(BOOTSTRAP, "config.create", timed(fields))
}

pub(super) fn config_updated(thing: &str, name: &str, content: &str) -> What {
    let fields = vec![
        ("thing_id", thing.to_owned()),
        ("name", name.to_owned()),
        ("content", content.to_owned()),
    ];
    on(BOOTSTRAP, "config.update", timed(fields))
}

pub(super) fn config_removed(thing: &str) -> What {
    on(BOOTSTRAP, "config.remove", timed(vec![("thing_id", thing.to_owned())]))
}

/// A device asked for its configuration, and got it or not.
pub(super) fn bootstrapped(external_id: &str, is_success: bool) -> What {
    let fields = vec![
        ("external_id", external_id.to_owned()),
        ("externalID", external_id.to_owned()),
        ("success", u8::from(is_success).to_string()),
    ];
    on(BOOTSTRAP, "thing.bootstrap", timed(fields))
}

pub(super) fn state_changed(thing: &str, state: i64) -> What {
    let fields = vec![("thing_id", thing.to_owned()), ("state", state.to_string())];
    on(BOOTSTRAP, "thing.state_change", timed(fields))
}

pub(super) fn connections_updated(thing: &str, channels: &[String]) -> What {
    let fields = vec![("thing_id", thing.to_owned()), ("channels", channels.join(", "))];
    on(BOOTSTRAP, "thing.update_connections", timed(fields))
}

fn timed(mut fields: Fields) -> Fields {
    fields.push(("timestamp", now_s().to_string()));
    fields
}
