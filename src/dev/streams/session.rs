//! Session: what the server knows of one client, and the commands that are about it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::call::{Answer, integer};
use super::engine::Engine;
use super::glob;
use super::keyspace::{DATABASES, Place};
use super::outlet::Outlet;
use super::refusal::Refusal;
use super::reply::{Protocol, Reply};
use super::request::Request;
use super::table::{Command, Nature, Run};
use super::wait::Wait;
use crate::limits::STREAMS_SUBSCRIPTIONS_MAX;

/// A client's number, rising.
pub(super) type SessionId = u64;

/// What a client may be told it speaks to.
const VERSION: &str = "7.2.0";

/// One client.
pub(super) struct Session {
    pub(super) outlet: Arc<Outlet>,
    /// Answers that wait for the commit.
    pub(super) out: BytesMut,
    /// Where in them the answers to writes lie.
    pub(super) writes: Vec<std::ops::Range<usize>>,
    /// Commands that came and were not run yet.
    pub(super) requests: VecDeque<Request>,
    pub(super) wait: Option<Wait>,
    pub(super) database: usize,
    pub(super) protocol: Protocol,
    pub(super) is_known: bool,
    pub(super) wrong_passwords: u32,
    pub(super) is_ending: bool,
    pub(super) is_monitor: bool,
    pub(super) name: Bytes,
    pub(super) library: BTreeMap<Bytes, Bytes>,
    pub(super) peer: String,
    pub(super) since_ms: u64,
    pub(super) last: &'static str,
    pub(super) transaction: Option<Transaction>,
    pub(super) watched: Vec<(Place, u64)>,
    pub(super) channels: BTreeSet<Bytes>,
    pub(super) patterns: BTreeSet<Bytes>,
}

/// Commands that wait for `EXEC`.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) requests: Vec<Request>,
    pub(super) bytes: usize,
    /// One of them was refused already.
    pub(super) is_broken: bool,
}

impl Session {
    pub(super) fn new(outlet: Arc<Outlet>, peer: String, now_ms: u64, is_known: bool) -> Self {
        Self {
            outlet,
            out: BytesMut::new(),
            writes: Vec::new(),
            requests: VecDeque::new(),
            wait: None,
            database: 0,
            protocol: Protocol::Resp2,
            is_known,
            wrong_passwords: 0,
            is_ending: false,
            is_monitor: false,
            name: Bytes::new(),
            library: BTreeMap::new(),
            peer,
            since_ms: now_ms,
            last: "NULL",
            transaction: None,
            watched: Vec::new(),
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
        }
    }

    pub(super) fn listens(&self) -> bool {
        !self.channels.is_empty() || !self.patterns.is_empty()
    }

    fn subscriptions(&self) -> Reply {
        Reply::count(self.channels.len() + self.patterns.len())
    }

    /// Describes it in a line, as `CLIENT LIST` does.
    pub(super) fn line(&self, id: SessionId, now_ms: u64) -> String {
        let flags = match (&self.wait, self.is_monitor, self.listens()) {
            (_, true, _) => "O",
            (_, _, true) => "P",
            (Some(_), ..) => "b",
            _ if self.transaction.is_some() => "x",
            _ => "N",
        };
        let library = |field: &[u8]| {
            let text = self.library.get(field).cloned().unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        };
        format!(
            "id={id} addr={} name={} age={} idle=0 flags={flags} db={} sub={} psub={} multi={} omem={} cmd={} \
             user=default resp={} lib-name={} lib-ver={}\n",
            self.peer,
            String::from_utf8_lossy(&self.name),
            now_ms.saturating_sub(self.since_ms) / 1000,
            self.database,
            self.channels.len(),
            self.patterns.len(),
            self.transaction.as_ref().map_or(-1, |t| t.requests.len().cast_signed()),
            self.outlet.waiting_bytes(),
            self.last,
            if self.protocol == Protocol::Resp2 { 2 } else { 3 },
            library(b"lib-name"),
            library(b"lib-ver"),
        )
    }
}

const fn own(
    name: &'static str,
    arity: i8,
    run: fn(&mut Engine, SessionId, &[Bytes]) -> Answer,
) -> Command {
    Command { name, arity, nature: Nature::Other, keys: (0, 0, 0), run: Run::Client(run) }
}

pub(super) const CLIENT: &[Command] = &[
    own("getname", 2, client_name),
    own("id", 2, |_, id, _| Ok(Reply::Integer(id.cast_signed()))),
    own("info", 2, client_info),
    own("kill", -3, client_kill),
    own("list", -2, client_list),
    own("no-evict", 3, |_, _, _| Ok(Reply::OK)),
    own("no-touch", 3, |_, _, _| Ok(Reply::OK)),
    own("setinfo", 4, client_set_info),
    own("setname", 3, client_set_name),
    own("unblock", -3, client_unblock),
];

pub(super) const PUBSUB: &[Command] = &[
    own("channels", -2, pubsub_channels),
    own("numpat", 2, |engine, _, _| {
        let patterns: BTreeSet<_> =
            engine.sessions().flat_map(|(_, s)| s.patterns.iter()).collect();
        Ok(Reply::count(patterns.len()))
    }),
    own("numsub", -2, pubsub_numsub),
];

/// `PING [message]`
pub(super) fn ping(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    if words.len() > 2 {
        return Err(Refusal::arity("ping"));
    }
    let session = engine.session(id);
    if session.listens() && session.protocol == Protocol::Resp2 {
        let text = words.get(1).cloned().unwrap_or_default();
        return Ok(Reply::Array(vec![Reply::text("pong"), Reply::Bulk(text)]));
    }
    Ok(words.get(1).map_or(Reply::Simple("PONG"), |text| Reply::Bulk(text.clone())))
}

/// `ECHO message`
pub(super) fn echo(_: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    Ok(Reply::Bulk(words[1].clone()))
}

/// `QUIT`
pub(super) fn quit(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    engine.session(id).is_ending = true;
    Ok(Reply::OK)
}

/// `RESET`
pub(super) fn reset(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    let is_open = !engine.has_password();
    let now_ms = engine.now_ms;
    let session = engine.session(id);
    let fresh = Session::new(Arc::clone(&session.outlet), session.peer.clone(), now_ms, is_open);
    let before = std::mem::replace(session, fresh);
    session.out = before.out;
    session.writes = before.writes;
    session.requests = before.requests;
    session.since_ms = before.since_ms;
    session.wrong_passwords = before.wrong_passwords;
    session.outlet.set_known(is_open);
    Ok(Reply::Simple("RESET"))
}

/// `SELECT index`
pub(super) fn select(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    engine.session(id).database = database(&words[1], "invalid DB index")?;
    Ok(Reply::OK)
}

/// Reads a database's number.
pub(super) fn database(text: &[u8], unreadable: &str) -> Result<usize, Refusal> {
    let number = integer(text).map_err(|_| match unreadable {
        "invalid DB index" => Refusal::not_an_integer(),
        _ => Refusal::err(unreadable),
    })?;
    let number = usize::try_from(number).ok().filter(|number| *number < DATABASES);
    number.ok_or_else(|| Refusal::err("DB index is out of range"))
}

/// `AUTH [username] password`
pub(super) fn auth(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    match words {
        [_, password] if !engine.has_password() => {
            let _ = password;
            Err(Refusal::err(
                "AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ))
        }
        [_, password] => let_in(engine, id, b"default", password),
        [_, user, password] => let_in(engine, id, user, password),
        _ => Err(Refusal::syntax()),
    }
}

fn let_in(engine: &mut Engine, id: SessionId, user: &[u8], password: &[u8]) -> Answer {
    const WRONG_MAX: u32 = 10;
    let is_right = user == b"default" && engine.is_password(password);
    let session = engine.session(id);
    if is_right {
        session.is_known = true;
        session.wrong_passwords = 0;
        session.outlet.set_known(true);
        return Ok(Reply::OK);
    }
    session.wrong_passwords += 1;
    session.is_ending |= session.wrong_passwords >= WRONG_MAX;
    Err(Refusal::new("WRONGPASS invalid username-password pair or user is disabled."))
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
pub(super) fn hello(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    let mut protocol = engine.session(id).protocol;
    if let Some(version) = words.get(1) {
        let unreadable = || Refusal::err("Protocol version is not an integer or out of range");
        protocol = match integer(version).map_err(|_| unreadable())? {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(Refusal::new("NOPROTO unsupported protocol version")),
        };
    }
    let mut at = 2;
    let mut name = None;
    while at < words.len() {
        let more = words.len() - at - 1;
        if words[at].eq_ignore_ascii_case(b"auth") && more >= 2 {
            let_in(engine, id, &words[at + 1], &words[at + 2])?;
            at += 3;
        } else if words[at].eq_ignore_ascii_case(b"setname") && more >= 1 {
            name = Some(checked_name(&words[at + 1])?);
            at += 2;
        } else {
            let text = [b"ERR Syntax error in HELLO option '", &words[at][..], b"'"].concat();
            return Err(Refusal::new(text));
        }
    }
    let session = engine.session(id);
    if !session.is_known {
        return Err(Refusal::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
             the same time",
        ));
    }
    session.protocol = protocol;
    session.name = name.unwrap_or(std::mem::take(&mut session.name));
    let version = if protocol == Protocol::Resp2 { 2 } else { 3 };
    let row = |name, value| (Reply::text(name), value);
    Ok(Reply::Map(vec![
        row("server", Reply::text("rebeam")),
        row("version", Reply::text(VERSION)),
        row("proto", Reply::Integer(version)),
        row("id", Reply::Integer(id.cast_signed())),
        row("mode", Reply::text("standalone")),
        row("role", Reply::text("master")),
        row("modules", Reply::Array(Vec::new())),
    ]))
}

fn checked_name(name: &Bytes) -> Result<Bytes, Refusal> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(name.clone());
    }
    Err(Refusal::err("Client names cannot contain spaces, newlines or special characters."))
}

fn client_name(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    let name = engine.session(id).name.clone();
    Ok(if name.is_empty() { Reply::Null } else { Reply::Bulk(name) })
}

fn client_set_name(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    engine.session(id).name = checked_name(&words[2])?;
    Ok(Reply::OK)
}

fn client_set_info(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    let field = words[2].to_ascii_lowercase();
    if field != b"lib-name" && field != b"lib-ver" {
        let text = [b"ERR Unrecognized option '", &words[2][..], b"'"].concat();
        return Err(Refusal::new(text));
    }
    let is_plain = words[3].iter().all(|byte| (b'!'..=b'~').contains(byte));
    if !is_plain {
        let text = format!(
            "{} cannot contain spaces, newlines or special characters.",
            String::from_utf8_lossy(&field)
        );
        return Err(Refusal::err(&text));
    }
    engine.session(id).library.insert(field.into(), words[3].clone());
    Ok(Reply::OK)
}

fn client_info(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    let now_ms = engine.now_ms;
    Ok(Reply::Verbatim(engine.session(id).line(id, now_ms)))
}

fn client_list(engine: &mut Engine, _: SessionId, _: &[Bytes]) -> Answer {
    let now_ms = engine.now_ms;
    Ok(Reply::Verbatim(engine.sessions().map(|(id, s)| s.line(*id, now_ms)).collect()))
}

fn client_kill(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    let doomed: Vec<SessionId> = match words {
        [_, _, address] => {
            let found = engine.sessions().filter(|(_, s)| s.peer.as_bytes() == address);
            found.map(|(id, _)| *id).collect()
        }
        [_, _, option, number] if option.eq_ignore_ascii_case(b"id") => {
            let number = integer(number)?.cast_unsigned();
            engine.sessions().filter(|(id, _)| **id == number).map(|(id, _)| *id).collect()
        }
        _ => return Err(Refusal::syntax()),
    };
    if doomed.is_empty() && words.len() == 3 {
        return Err(Refusal::err("No such client"));
    }
    for id in &doomed {
        engine.session(*id).is_ending = true;
        engine.mark(*id);
    }
    Ok(if words.len() == 3 { Reply::OK } else { Reply::count(doomed.len()) })
}

fn client_unblock(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    let id = integer(&words[2])?.cast_unsigned();
    let reply = match words.get(3).map(|word| word.to_ascii_lowercase()) {
        None => None,
        Some(word) if word == b"timeout" => None,
        Some(word) if word == b"error" => {
            Some(Reply::Error(Refusal::new("UNBLOCKED client unblocked via CLIENT UNBLOCK")))
        }
        Some(_) => {
            return Err(Refusal::err("CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
    };
    Ok(Reply::flag(engine.unblock(id, reply)))
}

/// `MULTI`
pub(super) fn multi(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    let session = engine.session(id);
    if session.transaction.is_some() {
        return Err(Refusal::err("MULTI calls can not be nested"));
    }
    session.transaction = Some(Transaction::default());
    Ok(Reply::OK)
}

/// `DISCARD`
pub(super) fn discard(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    let session = engine.session(id);
    session.watched.clear();
    match session.transaction.take() {
        Some(_) => Ok(Reply::OK),
        None => Err(Refusal::err("DISCARD without MULTI")),
    }
}

/// `EXEC`
pub(super) fn exec(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    let session = engine.session(id);
    let transaction = session.transaction.take();
    let transaction = transaction.ok_or_else(|| Refusal::err("EXEC without MULTI"))?;
    let watched = std::mem::take(&mut session.watched);
    if transaction.is_broken {
        return Err(Refusal::new("EXECABORT Transaction discarded because of previous errors."));
    }
    if watched.iter().any(|(place, version)| engine.version(place) != *version) {
        return Ok(Reply::NullArray);
    }
    Ok(engine.run_all(id, transaction.requests))
}

/// `WATCH key [key ...]`
pub(super) fn watch(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    if engine.session(id).transaction.is_some() {
        return Err(Refusal::err("WATCH inside MULTI is not allowed"));
    }
    let database = engine.session(id).database;
    for key in &words[1..] {
        let place = (database, key.clone());
        let version = engine.version(&place);
        let watched = &mut engine.session(id).watched;
        if !watched.iter().any(|(other, _)| *other == place) {
            watched.push((place, version));
        }
    }
    Ok(Reply::OK)
}

/// `UNWATCH`
pub(super) fn unwatch(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    engine.session(id).watched.clear();
    Ok(Reply::OK)
}

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
