//! Pubsub: messages to those who listen, and every command to those who watch.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::call::Answer;
use super::engine::Engine;
use super::glob;
use super::refusal::Refusal;
use super::reply::Reply;
use super::request::Request;
use super::session::SessionId;
use super::table::{Command, own};
use crate::limits::STREAMS_SUBSCRIPTIONS_MAX;

pub(super) const PUBSUB: &[Command] = &[
    own("channels", -2, pubsub_channels),
    own("numpat", 2, |engine, _, _| {
        let patterns: BTreeSet<_> =
            engine.sessions().flat_map(|(_, s)| s.patterns.iter()).collect();
        Ok(Reply::count(patterns.len()))
    }),
    own("numsub", -2, pubsub_numsub),
];

/// `MONITOR`
pub(super) fn monitor(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    engine.session(id).is_monitor = true;
    Ok(Reply::OK)
}

/// `PUBLISH channel message`
pub(super) fn publish(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    Ok(Reply::count(engine.publish(&words[1], &words[2])))
}

/// Whether channels or patterns are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Topics {
    Channels,
    Patterns,
}

fn listen(engine: &mut Engine, id: SessionId, words: &[Bytes], topics: Topics) -> Answer {
    let session = engine.session(id);
    let mut replies = Vec::new();
    for name in &words[1..] {
        if session.channels.len() + session.patterns.len() >= STREAMS_SUBSCRIPTIONS_MAX {
            return Err(Refusal::err("too many subscriptions"));
        }
        let kind = match topics {
            Topics::Channels => {
                session.channels.insert(name.clone());
                "subscribe"
            }
            Topics::Patterns => {
                session.patterns.insert(name.clone());
                "psubscribe"
            }
        };
        let row = [Reply::text(kind), Reply::Bulk(name.clone()), session.subscriptions()];
        replies.push(Reply::Push(row.into()));
    }
    Ok(Reply::Many(replies))
}

fn leave(engine: &mut Engine, id: SessionId, words: &[Bytes], topics: Topics) -> Answer {
    let session = engine.session(id);
    let (all, kind) = match topics {
        Topics::Channels => (&session.channels, "unsubscribe"),
        Topics::Patterns => (&session.patterns, "punsubscribe"),
    };
    let names: Vec<Bytes> =
        if words.len() > 1 { words[1..].to_vec() } else { all.iter().cloned().collect() };
    let mut replies = Vec::new();
    for name in &names {
        match topics {
            Topics::Channels => session.channels.remove(name),
            Topics::Patterns => session.patterns.remove(name),
        };
        let row = [Reply::text(kind), Reply::Bulk(name.clone()), session.subscriptions()];
        replies.push(Reply::Push(row.into()));
    }
    if replies.is_empty() {
        replies.push(Reply::Push(vec![Reply::text(kind), Reply::Null, session.subscriptions()]));
    }
    Ok(Reply::Many(replies))
}

/// `SUBSCRIBE channel [channel ...]`
pub(super) fn subscribe(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    listen(engine, id, words, Topics::Channels)
}

/// `PSUBSCRIBE pattern [pattern ...]`
pub(super) fn psubscribe(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    listen(engine, id, words, Topics::Patterns)
}

/// `UNSUBSCRIBE [channel ...]`
pub(super) fn unsubscribe(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    leave(engine, id, words, Topics::Channels)
}

/// `PUNSUBSCRIBE [pattern ...]`
pub(super) fn punsubscribe(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    leave(engine, id, words, Topics::Patterns)
}

fn pubsub_channels(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    let all: BTreeSet<&Bytes> = engine.sessions().flat_map(|(_, s)| s.channels.iter()).collect();
    let wanted = all.into_iter().filter(|c| words.get(2).is_none_or(|p| glob::matches(p, c)));
    Ok(Reply::bulks(wanted.cloned()))
}

fn pubsub_numsub(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    let mut rows = Vec::new();
    for name in &words[2..] {
        let count = engine.sessions().filter(|(_, s)| s.channels.contains(name)).count();
        rows.extend([Reply::Bulk(name.clone()), Reply::count(count)]);
    }
    Ok(Reply::Array(rows))
}

impl Engine {
    /// Shows a command to those who watch all.
    pub(super) fn tell_monitors(&mut self, id: SessionId, name: &str, request: &Request) {
        let is_secret = matches!(name, "auth" | "hello" | "monitor")
            || request[0].eq_ignore_ascii_case(b"config");
        if is_secret || !self.sessions.values().any(|session| session.is_monitor) {
            return;
        }
        let session = &self.sessions[&id];
        let (seconds, rest) = (self.now_ms / 1000, self.now_ms % 1000);
        let mut line = format!("{seconds}.{rest:03}000 [{} {}]", session.database, session.peer);
        for word in request {
            line.push_str(" \"");
            line.push_str(&word.escape_ascii().to_string());
            line.push('"');
        }
        let listeners = self.sessions.iter().filter(|(_, session)| session.is_monitor);
        let listeners: Vec<SessionId> = listeners.map(|(id, _)| *id).collect();
        for listener in listeners {
            self.answer(listener, &Reply::Line(line.clone()), false);
        }
    }

    /// Sends a message to all who listen; returns how many do.
    pub(super) fn publish(&mut self, channel: &Bytes, message: &Bytes) -> usize {
        let mut sent = Vec::new();
        for (id, session) in &self.sessions {
            if session.channels.contains(channel) {
                let row = [Reply::text("message"), Reply::Bulk(channel.clone())];
                sent.push((*id, row.to_vec()));
            }
            let patterns = session.patterns.iter();
            for pattern in patterns.filter(|pattern| glob::matches(pattern, channel)) {
                let row = [Reply::text("pmessage"), Reply::Bulk(pattern.clone())];
                let mut row = row.to_vec();
                row.push(Reply::Bulk(channel.clone()));
                sent.push((*id, row));
            }
        }
        let count = sent.len();
        for (id, mut row) in sent {
            row.push(Reply::Bulk(message.clone()));
            self.answer(id, &Reply::Push(row), false);
        }
        count
    }
}
