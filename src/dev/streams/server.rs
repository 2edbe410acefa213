//! Server: the commands that are about the server: what it is, what it holds, how it is set.

use bytes::Bytes;

use super::call::{Answer, integer};
use super::engine::Engine;
use super::glob;
use super::keyspace::DATABASES;
use super::password::Password;
use super::refusal::Refusal;
use super::reply::Reply;
use super::session::{SessionId, database};
use super::table::{self, COMMANDS, Command, Nature, Run, own};
use crate::limits::{STREAMS_CLIENTS_MAX, STREAMS_REQUEST_BYTES_MAX, STREAMS_STATE_BYTES_MAX};

pub(super) const CONFIG: &[Command] = &[
    own("get", -3, config_get),
    own("resetstat", 2, |engine, _, _| {
        engine.stats.reset();
        Ok(Reply::OK)
    }),
    own("set", -4, config_set),
];

/// No scripts run here: there are none to be seen, and none to be taken away.
pub(super) const FUNCTION: &[Command] = &[
    own("flush", -2, |_, _, _| Ok(Reply::OK)),
    own("list", -2, |_, _, _| Ok(Reply::Array(Vec::new()))),
];

/// See [`FUNCTION`].
pub(super) const SCRIPT: &[Command] = &[
    own("exists", -3, |_, _, words| Ok(Reply::Array(vec![Reply::Integer(0); words.len() - 2]))),
    own("flush", -2, |_, _, _| Ok(Reply::OK)),
];

fn settings(engine: &Engine) -> Vec<(&'static str, String)> {
    let limits = engine.keys.node_limits;
    vec![
        ("appendonly", "yes".into()),
        ("databases", DATABASES.to_string()),
        ("maxclients", STREAMS_CLIENTS_MAX.to_string()),
        ("maxmemory", STREAMS_STATE_BYTES_MAX.to_string()),
        ("maxmemory-policy", "noeviction".into()),
        ("proto-max-bulk-len", STREAMS_REQUEST_BYTES_MAX.to_string()),
        ("save", String::new()),
        ("stream-node-max-bytes", limits.bytes_max.to_string()),
        ("stream-node-max-entries", limits.entries_max.to_string()),
        ("timeout", "0".into()),
    ]
}

fn config_get(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    let mut rows = settings(engine);
    let patterns: Vec<Vec<u8>> = words[2..].iter().map(|p| p.to_ascii_lowercase()).collect();
    rows.retain(|(name, _)| patterns.iter().any(|p| glob::matches(p, name.as_bytes())));
    let rows = rows.into_iter().map(|(name, value)| (Reply::text(name), Reply::bulk(value)));
    Ok(Reply::Map(rows.collect()))
}

fn config_set(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    if !words.len().is_multiple_of(2) {
        return Err(Refusal::arity("config|set"));
    }
    for pair in words[2..].chunks_exact(2) {
        let name = String::from_utf8_lossy(&pair[0]).to_ascii_lowercase();
        let number = || {
            integer(&pair[1]).ok().and_then(|number| usize::try_from(number).ok()).ok_or_else(|| {
                Refusal::err(&format!(
                    "CONFIG SET failed (possibly related to argument '{name}') - argument couldn't be parsed into \
                     an integer"
                ))
            })
        };
        match name.as_str() {
            "stream-node-max-entries" => engine.keys.node_limits.entries_max = number()?,
            "stream-node-max-bytes" => engine.keys.node_limits.bytes_max = number()?,
            "requirepass" => {
                engine.password = (!pair[1].is_empty()).then(|| Password::new(&pair[1]));
                engine.journal.set_password(engine.password.as_ref());
            }
            // Tools set these as they begin, and what they ask for is so already.
            "save" | "appendonly" | "notify-keyspace-events" | "maxmemory-policy" => {}
            _ => {
                return Err(Refusal::err(&format!(
                    "Unknown option or number of arguments for CONFIG SET - '{name}'"
                )));
            }
        }
    }
    Ok(Reply::OK)
}

/// `COMMAND [COUNT|DOCS|INFO|LIST ...]`
pub(super) fn command(_: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    let Some(second) = words.get(1) else {
        return Ok(Reply::Array(COMMANDS.iter().map(described).collect()));
    };
    match second.to_ascii_lowercase().as_slice() {
        b"count" => Ok(Reply::count(COMMANDS.len())),
        b"docs" => Ok(Reply::Map(Vec::new())),
        b"list" => Ok(Reply::Array(COMMANDS.iter().map(|c| Reply::text(c.name)).collect())),
        b"info" if words.len() == 2 => Ok(Reply::Array(COMMANDS.iter().map(described).collect())),
        b"info" => {
            let one =
                |name: &Bytes| table::find(COMMANDS, name).map_or(Reply::NullArray, described);
            Ok(Reply::Array(words[2..].iter().map(one).collect()))
        }
        _ => {
            let shown = &second[..second.len().min(128)];
            let pieces: [&[u8]; 3] = [b"ERR unknown subcommand '", shown, b"'. Try COMMAND HELP."];
            Err(Refusal::new(pieces.concat()))
        }
    }
}

fn described(command: &Command) -> Reply {
    let flags = match command.nature {
        Nature::Reads => &["readonly"][..],
        Nature::Writes => &["write"],
        Nature::Grows => &["write", "denyoom"],
        Nature::Other => &[],
    };
    let (first, last, step) = command.keys;
    let mut row = vec![
        Reply::text(command.name),
        Reply::Integer(command.arity.into()),
        Reply::Set(flags.iter().map(|flag| Reply::Simple(flag)).collect()),
    ];
    row.extend([first, last, step].map(|number| Reply::Integer(number.into())));
    row.extend([Reply::Set(Vec::new()), Reply::Set(Vec::new())]);
    let inner = if let Run::Within(inner) = command.run { inner } else { &[] };
    row.extend([Reply::Array(Vec::new()), Reply::Array(inner.iter().map(described).collect())]);
    Reply::Array(row)
}

/// `DBSIZE`
pub(super) fn dbsize(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    let database = engine.session(id).database;
    Ok(Reply::count(engine.keys.len(database)))
}

/// `TIME`
pub(super) fn time(engine: &mut Engine, _: SessionId, _: &[Bytes]) -> Answer {
    let (seconds, micros) = (engine.now_ms / 1000, engine.now_ms % 1000 * 1000);
    Ok(Reply::bulks([seconds.to_string().into(), micros.to_string().into()]))
}

/// `WAIT numreplicas timeout`: there are none.
pub(super) fn wait(_: &mut Engine, _: SessionId, _: &[Bytes]) -> Answer {
    Ok(Reply::Integer(0))
}

/// `LASTSAVE`: everything that was answered is on the disk.
pub(super) fn lastsave(engine: &mut Engine, _: SessionId, _: &[Bytes]) -> Answer {
    Ok(Reply::Integer((engine.now_ms / 1000).cast_signed()))
}

/// `SAVE`: everything that was answered is on the disk.
pub(super) fn save(_: &mut Engine, _: SessionId, _: &[Bytes]) -> Answer {
    Ok(Reply::OK)
}

/// `FLUSHDB [ASYNC|SYNC]`
pub(super) fn flushdb(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    flush_option(words)?;
    let database = engine.session(id).database;
    flush(engine, database);
    Ok(Reply::OK)
}

/// `FLUSHALL [ASYNC|SYNC]`
pub(super) fn flushall(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    flush_option(words)?;
    (0..DATABASES).for_each(|database| flush(engine, database));
    Ok(Reply::OK)
}

fn flush_option(words: &[Bytes]) -> Result<(), Refusal> {
    match words {
        [_] => Ok(()),
        [_, word] if matches!(word.to_ascii_lowercase().as_slice(), b"async" | b"sync") => Ok(()),
        _ => Err(Refusal::syntax()),
    }
}

fn flush(engine: &mut Engine, database: usize) {
    let keys: Vec<Bytes> = engine.keys.keys(database).map(|(key, _)| key.clone()).collect();
    for key in keys {
        let place = (database, key);
        engine.keys.remove(&place);
        engine.journal.gone(place);
    }
    let waited = engine.waiting().keys().filter(|place| place.0 == database).cloned().collect();
    engine.serve_later(waited);
}

/// `SWAPDB index1 index2`
pub(super) fn swapdb(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    let one = database(&words[1], "invalid first DB index")?;
    let other = database(&words[2], "invalid second DB index")?;
    if one == other {
        return Ok(Reply::OK);
    }
    let places = |engine: &Engine| {
        let of = |database| engine.keys.keys(database).map(move |(key, _)| (database, key.clone()));
        of(one).chain(of(other)).collect::<Vec<_>>()
    };
    let before = places(engine);
    engine.keys.swap(one, other);
    let after = places(engine);
    before.into_iter().for_each(|place| engine.journal.gone(place));
    after.into_iter().for_each(|place| engine.journal.rewrite(place));
    let is_in = |database: usize| database == one || database == other;
    let waited = engine.waiting().keys().filter(|place| is_in(place.0)).cloned().collect();
    engine.serve_later(waited);
    Ok(Reply::OK)
}

/// `INFO [section ...]`
pub(super) fn info(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    let wanted: Vec<Vec<u8>> = words[1..].iter().map(|word| word.to_ascii_lowercase()).collect();
    let is_all = wanted.iter().any(|word| matches!(word.as_slice(), b"all" | b"everything"));
    let is_default = wanted.is_empty() || wanted.iter().any(|word| word == b"default");
    let mut text = String::new();
    for (name, is_plain, section) in SECTIONS {
        let is_named = wanted.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
        if is_named || is_all || (is_default && *is_plain) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            text.push_str(&format!("# {name}\r\n"));
            for (field, value) in section(engine) {
                text.push_str(&format!("{field}:{value}\r\n"));
            }
        }
    }
    Ok(Reply::Verbatim(text))
}

type Rows = Vec<(String, String)>;
type Section = fn(&Engine) -> Rows;

const SECTIONS: &[(&str, bool, Section)] = &[
    ("Server", true, about_server),
    ("Clients", true, about_clients),
    ("Memory", true, about_memory),
    ("Persistence", true, about_persistence),
    ("Stats", true, about_stats),
    ("Replication", true, |_| rows([("role", "master".into()), ("connected_slaves", "0".into())])),
    ("CPU", true, |_| Vec::new()),
    ("Modules", true, |_| Vec::new()),
    ("Commandstats", false, about_commands),
    ("Errorstats", true, about_errors),
    ("Cluster", true, |_| rows([("cluster_enabled", "0".into())])),
    ("Keyspace", true, about_keys),
];

fn rows<const N: usize>(rows: [(&str, String); N]) -> Rows {
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn about_server(engine: &Engine) -> Rows {
    let up_s = engine.now_ms.saturating_sub(engine.stats.started_ms) / 1000;
    rows([
        ("redis_version", "7.2.0".into()),
        ("server", "rebeam".into()),
        ("rebeam_version", env!("CARGO_PKG_VERSION").into()),
        ("redis_mode", "standalone".into()),
        ("os", std::env::consts::OS.into()),
        ("arch_bits", usize::BITS.to_string()),
        ("process_id", std::process::id().to_string()),
        ("uptime_in_seconds", up_s.to_string()),
    ])
}

fn about_clients(engine: &Engine) -> Rows {
    let blocked = engine.sessions().filter(|(_, session)| session.wait.is_some()).count();
    rows([
        ("connected_clients", engine.sessions().count().to_string()),
        ("maxclients", STREAMS_CLIENTS_MAX.to_string()),
        ("blocked_clients", blocked.to_string()),
        ("total_blocking_keys", engine.waiting().len().to_string()),
    ])
}

fn about_memory(engine: &Engine) -> Rows {
    rows([
        ("used_memory", engine.keys.bytes.to_string()),
        ("maxmemory", STREAMS_STATE_BYTES_MAX.to_string()),
        ("maxmemory_policy", "noeviction".into()),
    ])
}

fn about_persistence(_: &Engine) -> Rows {
    rows([
        ("loading", "0".into()),
        ("rdb_bgsave_in_progress", "0".into()),
        ("aof_enabled", "1".into()),
        ("aof_rewrite_in_progress", "0".into()),
    ])
}

fn about_stats(engine: &Engine) -> Rows {
    let stats = &engine.stats;
    rows([
        ("total_connections_received", stats.connections.to_string()),
        ("total_commands_processed", stats.commands.to_string()),
        ("expired_keys", stats.expired.to_string()),
        ("evicted_keys", "0".into()),
        ("total_error_replies", stats.errors.to_string()),
        ("client_output_buffer_limit_disconnections", stats.dropped_clients.to_string()),
    ])
}

fn about_commands(engine: &Engine) -> Rows {
    let one = |(name, calls): (&String, &super::stats::Calls)| {
        let value = format!(
            "calls={},usec=0,usec_per_call=0.00,rejected_calls={},failed_calls={}",
            calls.calls, calls.rejected, calls.failed
        );
        (format!("cmdstat_{name}"), value)
    };
    engine.stats.by_command.iter().map(one).collect()
}

fn about_errors(engine: &Engine) -> Rows {
    let codes = engine.stats.by_code.iter();
    codes.map(|(code, count)| (format!("errorstat_{code}"), format!("count={count}"))).collect()
}

fn about_keys(engine: &Engine) -> Rows {
    let one = |database: usize| {
        let ends = engine.keys.keys(database).filter(|(_, held)| held.expires_ms.is_some());
        let count = engine.keys.len(database);
        let value = format!("keys={count},expires={},avg_ttl=0", ends.count());
        (count > 0).then(|| (format!("db{database}"), value))
    };
    (0..DATABASES).filter_map(one).collect()
}

fn help(name: &str, lines: &[&'static str]) -> Answer {
    let first = format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    let mut all = vec![Reply::Line(first)];
    all.extend(lines.iter().map(|line| Reply::Simple(line)));
    all.extend([Reply::Simple("HELP"), Reply::Simple("    Print this help.")]);
    Ok(Reply::Array(all))
}

/// `XGROUP HELP`
pub(super) fn xgroup_help(_: &mut Engine, _: SessionId, _: &[Bytes]) -> Answer {
    help(
        "XGROUP",
        &[
            "CREATE <key> <groupname> <id|$> [option]",
            "    Create a new consumer group. Options are:",
            "    * MKSTREAM",
            "      Create the empty stream if it does not exist.",
            "    * ENTRIESREAD entries_read",
            "      Set the group's entries_read counter (internal use).",
            "CREATECONSUMER <key> <groupname> <consumer>",
            "    Create a new consumer in the specified group.",
            "DELCONSUMER <key> <groupname> <consumer>",
            "    Remove the specified consumer.",
            "DESTROY <key> <groupname>",
            "    Remove the specified group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
            "    Set the current group ID and entries_read counter.",
        ],
    )
}

/// `XINFO HELP`
pub(super) fn xinfo_help(_: &mut Engine, _: SessionId, _: &[Bytes]) -> Answer {
    help(
        "XINFO",
        &[
            "CONSUMERS <key> <groupname>",
            "    Show consumers of <groupname>.",
            "GROUPS <key>",
            "    Show the stream consumer groups.",
            "STREAM <key> [FULL [COUNT <count>]",
            "    Show information about the stream.",
        ],
    )
}
