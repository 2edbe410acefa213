//! View: what a page sees of the streams: keys, a stream's newest entries, its groups and their consumers.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::connection::Message;
use super::engine::Engine;
use super::group::Group;
use super::id::Id;
use super::keyspace::{DATABASES, Held, Kind as _, Value};
use super::running::Inlet;
use super::stream::Stream;

/// The server as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerView {
    /// Clients that are connected.
    pub clients: usize,
    /// Commands that were run.
    pub commands: u64,
    /// Bytes of all keys and values.
    pub bytes: usize,
    /// Keys in all databases.
    pub keys_count: usize,
    /// Why nothing can be written to the disk at present.
    pub trouble: Option<String>,
    /// The first keys, streams before others.
    pub keys: Vec<KeyView>,
}

/// A key and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyView {
    /// The number of its database.
    pub database: usize,
    /// Its name.
    pub key: Bytes,
    /// `stream`, `string`, `hash`, `set` or `list`.
    pub kind: &'static str,
    /// Bytes that it takes.
    pub bytes: usize,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Entries of a stream.
    pub length: Option<u64>,
    /// Groups of a stream.
    pub groups: usize,
}

/// A stream as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamView {
    /// Entries in it.
    pub length: u64,
    /// Entries that were ever added.
    pub added: u64,
    /// The newest id that was given.
    pub last_id: Bytes,
    /// Its groups by name.
    pub groups: Vec<GroupView>,
    /// The newest entries, newest first, each with names and values in turn.
    pub entries: Vec<(Bytes, Vec<Bytes>)>,
}

/// A group of consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// Its name.
    pub name: Bytes,
    /// The newest id that was given to one of it.
    pub last_id: Bytes,
    /// Entries that were given and not acknowledged.
    pub pending: usize,
    /// Entries still to be read, where that can be known.
    pub lag: Option<i64>,
    /// Its consumers by name.
    pub consumers: Vec<ConsumerView>,
}

/// One of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerView {
    /// Its name.
    pub name: Bytes,
    /// Entries that it has and has not acknowledged.
    pub pending: usize,
    /// Milliseconds since it was last seen.
    pub idle_ms: u64,
}

impl Inlet {
    /// Looks at the server and at up to `limit` keys; `None` once the server is gone.
    pub async fn server(&self, limit: usize) -> Option<ServerView> {
        self.look(move |engine| server(engine, limit)).await
    }

    /// Looks at a stream and at up to `limit` each of its entries, groups, and consumers of a group; `None` where
    /// there is no stream of this name.
    pub async fn stream(&self, database: usize, key: Bytes, limit: usize) -> Option<StreamView> {
        self.look(move |engine| stream(engine, database, &key, limit)).await?
    }

    /// Runs a function that only looks, between two commands.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, seen) = oneshot::channel();
        // Who no longer wants to know is not told.
        let look = Box::new(move |engine: &Engine| drop(sender.send(look(engine))));
        self.send(Message::Look { look }).await?;
        seen.await.ok()
    }
}

fn server(engine: &Engine, limit: usize) -> ServerView {
    let all = || {
        let of =
            |database| engine.keys.keys(database).map(move |(key, held)| (database, key, held));
        let is_there = |held: &Held| held.expires_ms.is_none_or(|end| end > engine.now_ms);
        (0..DATABASES).flat_map(of).filter(move |(_, _, held)| is_there(held))
    };
    let is_stream = |held: &Held| matches!(held.value, Value::Stream(_));
    let streams = all().filter(|(_, _, held)| is_stream(held));
    let others = all().filter(|(_, _, held)| !is_stream(held));
    ServerView {
        clients: engine.sessions().count(),
        commands: engine.stats.commands,
        bytes: engine.keys.bytes,
        keys_count: all().count(),
        trouble: engine.stuck.clone(),
        keys: streams.chain(others).take(limit).map(|(at, key, held)| row(at, key, held)).collect(),
    }
}

fn row(database: usize, key: &Bytes, held: &Held) -> KeyView {
    let stream = Stream::of(&held.value);
    KeyView {
        database,
        key: key.clone(),
        kind: held.value.kind(),
        bytes: held.weight(),
        expires_ms: held.expires_ms,
        length: stream.map(|stream| stream.length),
        groups: stream.map_or(0, |stream| stream.groups.len()),
    }
}

fn stream(engine: &Engine, database: usize, key: &[u8], limit: usize) -> Option<StreamView> {
    if database >= DATABASES {
        return None;
    }
    let held = engine.keys.get(database, key)?;
    if held.expires_ms.is_some_and(|end| end <= engine.now_ms) {
        return None;
    }
    let stream = Stream::of(&held.value)?;
    let groups = stream.groups.iter().take(limit);
    let entries = stream.range(Id::MIN, Id::MAX).rev().take(limit);
    Some(StreamView {
        length: stream.length,
        added: stream.entries_added,
        last_id: stream.last_id.text(),
        groups: groups.map(|(name, of)| group(stream, name, of, engine.now_ms, limit)).collect(),
        entries: entries.map(|entry| (entry.id.text(), entry.fields.to_vec())).collect(),
    })
}

fn group(stream: &Stream, name: &Bytes, group: &Group, now_ms: u64, limit: usize) -> GroupView {
    let consumers = group.consumers.iter().take(limit).map(|(name, consumer)| ConsumerView {
        name: name.clone(),
        pending: consumer.pending.len(),
        idle_ms: now_ms.saturating_sub(consumer.seen_ms),
    });
    GroupView {
        name: name.clone(),
        last_id: group.last_id.text(),
        pending: group.pending.len(),
        lag: stream.lag(group),
        consumers: consumers.collect(),
    }
}
