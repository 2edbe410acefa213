//! Rewrite: the shortest list of commands that makes a key as it is.

use bytes::Bytes;

use super::group::Group;
use super::id::Id;
use super::keyspace::{Held, Value};
use super::stream::Stream;

/// The one command that no client can send: it makes entries pending, also such as were deleted.
pub(super) const PENDING: &[u8] = b"\0pending";
/// Members that one command adds.
const AT_ONCE: usize = 500;

type Commands = Vec<(u64, Vec<Bytes>)>;

/// Lays out the commands, each with its time.
pub(super) fn commands(key: &Bytes, held: &Held, now_ms: u64) -> Commands {
    let mut commands = Commands::new();
    let mut add = |name: &'static str, members: &mut dyn Iterator<Item = &Bytes>| {
        let members: Vec<&Bytes> = members.collect();
        for some in members.chunks(AT_ONCE) {
            let mut command = vec![Bytes::from_static(name.as_bytes()), key.clone()];
            command.extend(some.iter().map(|member| (*member).clone()));
            commands.push((now_ms, command));
        }
    };
    match &held.value {
        Value::Text(text) => {
            commands.push((now_ms, vec!["SET".into(), key.clone(), text.clone()]));
        }
        Value::Set(set) => add("SADD", &mut set.all().iter()),
        Value::Hash(hash) => {
            add("HSET", &mut hash.all().iter().flat_map(|(name, value)| [name, value]));
        }
        Value::List(list) => add("RPUSH", &mut list.items().iter()),
        Value::Stream(stream) => self::stream(&mut commands, key, stream, now_ms),
    }
    if let Some(end) = held.expires_ms {
        let words = vec!["PEXPIREAT".into(), key.clone(), end.to_string().into()];
        commands.push((now_ms, words));
    }
    commands
}

fn stream(commands: &mut Commands, key: &Bytes, stream: &Stream, now_ms: u64) {
    for entry in stream.range(Id::MIN, Id::MAX) {
        let mut command = vec!["XADD".into(), key.clone(), entry.id.text()];
        command.extend(entry.fields.iter().cloned());
        commands.push((now_ms, command));
    }
    if stream.length == 0 {
        // A group and its end leave an empty stream.
        let words =
            |name: &'static str| vec!["XGROUP".into(), name.into(), key.clone(), "g".into()];
        let mut create = words("CREATE");
        create.extend(["0".into(), "MKSTREAM".into()]);
        commands.extend([(now_ms, create), (now_ms, words("DESTROY"))]);
    }
    let mut set_id: Vec<Bytes> = vec!["XSETID".into(), key.clone(), stream.last_id.text()];
    set_id.extend(["ENTRIESADDED".into(), stream.entries_added.to_string().into()]);
    // XSETID takes no tombstone behind the last id, and there can be one only after an XSETID before.
    let deleted = stream.max_deleted_id.min(stream.last_id);
    set_id.extend(["MAXDELETEDID".into(), deleted.text()]);
    commands.push((now_ms, set_id));
    for (name, group) in &stream.groups {
        self::group(commands, key, (name, group), now_ms);
    }
}

fn group(commands: &mut Commands, key: &Bytes, (name, group): (&Bytes, &Group), now_ms: u64) {
    let read = group.entries_read.unwrap_or(-1);
    let mut create: Vec<Bytes> = vec!["XGROUP".into(), "CREATE".into(), key.clone(), name.clone()];
    create.extend([group.last_id.text(), "ENTRIESREAD".into(), read.to_string().into()]);
    commands.push((now_ms, create));
    for (consumer, kept) in &group.consumers {
        let words = ["XGROUP".into(), "CREATECONSUMER".into(), key.clone(), name.clone()];
        let mut words = Vec::from(words);
        words.push(consumer.clone());
        commands.push((kept.seen_ms, words));
        let ids: Vec<&Id> = kept.pending.iter().collect();
        for some in ids.chunks(AT_ONCE) {
            let mut command =
                vec![Bytes::from_static(PENDING), key.clone(), name.clone(), consumer.clone()];
            for id in some {
                let pending = group.pending.get(id).expect("a consumer's are the group's");
                let delivered = pending.delivered_ms.to_string().into();
                command.extend([id.text(), delivered, pending.deliveries.to_string().into()]);
            }
            commands.push((now_ms, command));
        }
    }
}
