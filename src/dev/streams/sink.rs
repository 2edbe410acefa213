//! Sink: what happens in the stack as entries of streams, field by field as Mainflux writes them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::running::Inlet;
use crate::dev::{Bus, Client, Happening, Interest, What};

/// Happenings that may wait for the streams.
const ROOM: usize = 4096;
/// Happenings that are written in one go.
const AT_ONCE: usize = 256;
/// Entries that a stream keeps, as Mainflux has it.
const LENGTH: &str = "1000";
/// Everything that is not Mainflux's own.
const EVENTS: &str = "rebeam.events";
const MQTT: &str = "mainflux.mqtt";

/// Writes into streams what is said on `bus`, until either is gone.
///
/// Operations go to their own stream, connects and disconnects to `mainflux.mqtt`, and all but what comes once a
/// message to `rebeam.events`. `instance` names this stack, and `thing` finds the thing behind a client.
pub async fn sink(
    bus: Bus,
    inlet: Inlet,
    instance: String,
    thing: impl Fn(&Client) -> Option<Arc<str>> + Send,
) {
    let mut watch = bus.watch(Interest::Rare, ROOM);
    drop(bus);
    let mut batch = Vec::new();
    while watch.next_many(&mut batch, AT_ONCE).await > 0 {
        let requests =
            batch.drain(..).flat_map(|happening| commands(&happening, &instance, &thing));
        if !inlet.run(requests.collect()).await {
            return;
        }
    }
}

/// Words a happening as the commands that add it.
fn commands(
    happening: &Arc<Happening>,
    instance: &str,
    thing: &impl Fn(&Client) -> Option<Arc<str>>,
) -> Vec<Vec<Bytes>> {
    let mut commands = Vec::new();
    if let What::Operation { stream, fields } = &happening.what {
        let mut command = capped(stream);
        for (name, value) in fields {
            command.extend([Bytes::from_static(name.as_bytes()), value.clone().into()]);
        }
        if !fields.is_empty() {
            commands.push(command);
        }
        return commands;
    }
    let event = match &happening.what {
        What::ClientConnected { client, connack: 0, .. } => Some((client, "connect")),
        // One that was never let in did not leave, either.
        What::ClientDisconnected { client, reason } if &**reason != "refused" => {
            Some((client, "disconnect"))
        }
        _ => None,
    };
    if let Some((client, event)) = event {
        // Mainflux's adapter wrote seconds, in this order, and capped nothing.
        let thing = thing(client);
        let thing = thing.as_ref().or(client.username.as_ref()).unwrap_or(&client.id);
        let seconds = (happening.at_ms / 1000).to_string();
        let fields = [("thing_id", &**thing), ("timestamp", &seconds), ("event_type", event)];
        let mut command: Vec<Bytes> = vec!["XADD".into(), MQTT.into(), "*".into()];
        for (name, value) in fields.into_iter().chain([("instance", instance)]) {
            command.extend([Bytes::from_static(name.as_bytes()), value.to_owned().into()]);
        }
        commands.push(command);
    }
    let mut command = capped(EVENTS);
    for (name, value) in happening.document() {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        command.extend([name.into(), text.into()]);
    }
    commands.push(command);
    commands
}

fn capped(stream: &'static str) -> Vec<Bytes> {
    ["XADD", stream, "MAXLEN", "~", LENGTH, "*"].map(Bytes::from).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(commands: &[Vec<Bytes>]) -> Vec<String> {
        let text = |word: &Bytes| String::from_utf8_lossy(word).into_owned();
        commands.iter().map(|words| words.iter().map(text).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn an_operation_has_its_own_stream_and_its_fields_in_order() {
        let what = What::Operation {
            stream: "mainflux.things",
            fields: vec![("id", "1".into()), ("operation", "thing.create".into())],
        };
        let commands = commands(&Arc::new(Happening { at_ms: 5, what }), "i", &|_| None);
        let wanted = "XADD mainflux.things MAXLEN ~ 1000 * id 1 operation thing.create";
        assert_eq!(texts(&commands), [wanted]);
    }

    #[test]
    fn a_disconnect_is_written_as_mainflux_wrote_it_and_among_all_events() {
        let client = Arc::new(Client {
            id: "c".into(),
            username: Some("thing".into()),
            address: "127.0.0.1".into(),
            port: 1,
        });
        let what = What::ClientDisconnected { client, reason: "normal".into() };
        let commands = commands(&Arc::new(Happening { at_ms: 5000, what }), "one", &|_| None);
        let texts = texts(&commands);
        assert_eq!(
            texts[0],
            "XADD mainflux.mqtt * thing_id thing timestamp 5 event_type disconnect instance one"
        );
        assert!(texts[1].starts_with("XADD rebeam.events MAXLEN ~ 1000 * "), "{}", texts[1]);
        assert!(texts[1].contains("event client_disconnected"), "{}", texts[1]);
    }
}
