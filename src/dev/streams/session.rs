//! Session: what the server knows of one client, and the commands that are about it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::call::{Answer, integer};
use super::engine::Engine;
use super::keyspace::{DATABASES, Place};
use super::outlet::Outlet;
use super::refusal::Refusal;
use super::reply::{Protocol, Reply};
use super::request::Request;
use super::wait::Wait;

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

    pub(super) fn subscriptions(&self) -> Reply {
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

pub(super) fn checked_name(name: &Bytes) -> Result<Bytes, Refusal> {
    if name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(name.clone());
    }
    Err(Refusal::err("Client names cannot contain spaces, newlines or special characters."))
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
