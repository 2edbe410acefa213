//! Table: every command by its name: how many words it takes, what it does, and where its keys stand.

use super::call::{Answer, Call};
use super::engine::Engine;
use super::session::{self, SessionId};
use super::{
    client, hashes, keys, lists, pubsub, restore, server, sets, strings, xadd, xclaim, xgroup,
    xinfo, xread,
};

/// Who runs a command.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// A function of the keys and the time alone.
    Keys(fn(&mut Call<'_>) -> Answer),
    /// Something about the client or the server.
    Client(fn(&mut Engine, SessionId, &[bytes::Bytes]) -> Answer),
    /// One of several, by its second word.
    Within(&'static [Command]),
}

/// What a command does to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Changes nothing.
    Reads,
    /// Changes keys, and makes them no larger.
    Writes,
    /// Changes keys, and may need more memory.
    Grows,
    /// Not about keys.
    Other,
}

/// One command.
#[derive(Clone, Copy)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// Words, the name included; `-n` for at least n.
    pub(super) arity: i8,
    pub(super) nature: Nature,
    /// First key, last key, step; as `COMMAND` tells it.
    pub(super) keys: (i8, i8, i8),
    pub(super) run: Run,
}

const NONE: (i8, i8, i8) = (0, 0, 0);
const ONE: (i8, i8, i8) = (1, 1, 1);
const TWO: (i8, i8, i8) = (1, 2, 1);
const ALL: (i8, i8, i8) = (1, -1, 1);
const PAIRS: (i8, i8, i8) = (1, -1, 2);
const SECOND: (i8, i8, i8) = (2, 2, 1);

const fn reads(
    name: &'static str,
    arity: i8,
    keys: (i8, i8, i8),
    run: fn(&mut Call<'_>) -> Answer,
) -> Command {
    Command { name, arity, nature: Nature::Reads, keys, run: Run::Keys(run) }
}

const fn writes(
    name: &'static str,
    arity: i8,
    keys: (i8, i8, i8),
    run: fn(&mut Call<'_>) -> Answer,
) -> Command {
    Command { name, arity, nature: Nature::Writes, keys, run: Run::Keys(run) }
}

const fn grows(
    name: &'static str,
    arity: i8,
    keys: (i8, i8, i8),
    run: fn(&mut Call<'_>) -> Answer,
) -> Command {
    Command { name, arity, nature: Nature::Grows, keys, run: Run::Keys(run) }
}

pub(super) const fn own(
    name: &'static str,
    arity: i8,
    run: fn(&mut Engine, SessionId, &[bytes::Bytes]) -> Answer,
) -> Command {
    Command { name, arity, nature: Nature::Other, keys: NONE, run: Run::Client(run) }
}

const fn within(name: &'static str, commands: &'static [Command]) -> Command {
    Command { name, arity: -2, nature: Nature::Other, keys: NONE, run: Run::Within(commands) }
}

/// Every command, sorted by name.
pub(super) const COMMANDS: &[Command] = &[
    grows("append", 3, ONE, strings::append),
    own("auth", -2, session::auth),
    writes("blmove", 6, TWO, lists::blmove),
    writes("blpop", -3, (1, -2, 1), lists::blpop),
    writes("brpop", -3, (1, -2, 1), lists::brpop),
    within("client", client::CLIENT),
    own("command", -1, server::command),
    within("config", server::CONFIG),
    own("dbsize", 1, server::dbsize),
    writes("decr", 2, ONE, strings::decr),
    grows("decrby", 3, ONE, strings::decrby),
    writes("del", -2, ALL, keys::del),
    own("discard", 1, session::discard),
    own("echo", 2, session::echo),
    own("exec", 1, session::exec),
    reads("exists", -2, ALL, keys::exists),
    writes("expire", -3, ONE, keys::expire),
    writes("expireat", -3, ONE, keys::expireat),
    reads("expiretime", 2, ONE, keys::expiretime),
    Command { nature: Nature::Writes, ..own("flushall", -1, server::flushall) },
    Command { nature: Nature::Writes, ..own("flushdb", -1, server::flushdb) },
    within("function", server::FUNCTION),
    reads("get", 2, ONE, strings::get),
    writes("getdel", 2, ONE, strings::getdel),
    writes("getex", -2, ONE, strings::getex),
    reads("getrange", 4, ONE, strings::getrange),
    grows("getset", 3, ONE, strings::getset),
    writes("hdel", -3, ONE, hashes::hdel),
    own("hello", -1, session::hello),
    reads("hexists", 3, ONE, hashes::hexists),
    reads("hget", 3, ONE, hashes::hget),
    reads("hgetall", 2, ONE, hashes::hgetall),
    grows("hincrby", 4, ONE, hashes::hincrby),
    reads("hkeys", 2, ONE, hashes::hkeys),
    reads("hlen", 2, ONE, hashes::hlen),
    reads("hmget", -3, ONE, hashes::hmget),
    grows("hmset", -4, ONE, hashes::hmset),
    reads("hscan", -3, ONE, hashes::hscan),
    grows("hset", -4, ONE, hashes::hset),
    grows("hsetnx", 4, ONE, hashes::hsetnx),
    reads("hstrlen", 3, ONE, hashes::hstrlen),
    reads("hvals", 2, ONE, hashes::hvals),
    grows("incr", 2, ONE, strings::incr),
    grows("incrby", 3, ONE, strings::incrby),
    grows("incrbyfloat", 3, ONE, strings::incrbyfloat),
    own("info", -1, server::info),
    reads("keys", 2, NONE, keys::keys),
    own("lastsave", 1, server::lastsave),
    reads("lindex", 3, ONE, lists::lindex),
    grows("linsert", 5, ONE, lists::linsert),
    reads("llen", 2, ONE, lists::llen),
    grows("lmove", 5, TWO, lists::lmove),
    writes("lpop", -2, ONE, lists::lpop),
    grows("lpush", -3, ONE, lists::lpush),
    grows("lpushx", -3, ONE, lists::lpushx),
    reads("lrange", 4, ONE, lists::lrange),
    writes("lrem", 4, ONE, lists::lrem),
    grows("lset", 4, ONE, lists::lset),
    writes("ltrim", 4, ONE, lists::ltrim),
    reads("mget", -2, ALL, strings::mget),
    own("monitor", 1, pubsub::monitor),
    grows("mset", -3, PAIRS, strings::mset),
    grows("msetnx", -3, PAIRS, strings::msetnx),
    own("multi", 1, session::multi),
    within("object", keys::OBJECT),
    writes("persist", 2, ONE, keys::persist),
    writes("pexpire", -3, ONE, keys::pexpire),
    writes("pexpireat", -3, ONE, keys::pexpireat),
    reads("pexpiretime", 2, ONE, keys::pexpiretime),
    own("ping", -1, session::ping),
    grows("psetex", 4, ONE, strings::psetex),
    own("psubscribe", -2, pubsub::psubscribe),
    reads("pttl", 2, ONE, keys::pttl),
    own("publish", 3, pubsub::publish),
    within("pubsub", pubsub::PUBSUB),
    own("punsubscribe", -1, pubsub::punsubscribe),
    own("quit", -1, session::quit),
    reads("randomkey", 1, NONE, keys::randomkey),
    writes("rename", 3, TWO, keys::rename),
    writes("renamenx", 3, TWO, keys::renamenx),
    own("reset", 1, session::reset),
    grows("restore", -4, ONE, restore::restore),
    writes("rpop", -2, ONE, lists::rpop),
    grows("rpoplpush", 3, TWO, lists::rpoplpush),
    grows("rpush", -3, ONE, lists::rpush),
    grows("rpushx", -3, ONE, lists::rpushx),
    grows("sadd", -3, ONE, sets::sadd),
    own("save", 1, server::save),
    reads("scan", -2, NONE, keys::scan),
    reads("scard", 2, ONE, sets::scard),
    within("script", server::SCRIPT),
    reads("sdiff", -2, ALL, sets::sdiff),
    grows("sdiffstore", -3, ALL, sets::sdiffstore),
    own("select", 2, session::select),
    grows("set", -3, ONE, strings::set),
    grows("setex", 4, ONE, strings::setex),
    grows("setnx", 3, ONE, strings::setnx),
    grows("setrange", 4, ONE, strings::setrange),
    reads("sinter", -2, ALL, sets::sinter),
    grows("sinterstore", -3, ALL, sets::sinterstore),
    reads("sismember", 3, ONE, sets::sismember),
    reads("smembers", 2, ONE, sets::smembers),
    reads("smismember", -3, ONE, sets::smismember),
    writes("smove", 4, TWO, sets::smove),
    writes("spop", -2, ONE, sets::spop),
    reads("srandmember", -2, ONE, sets::srandmember),
    writes("srem", -3, ONE, sets::srem),
    reads("sscan", -3, ONE, sets::sscan),
    reads("strlen", 2, ONE, strings::strlen),
    own("subscribe", -2, pubsub::subscribe),
    reads("substr", 4, ONE, strings::getrange),
    reads("sunion", -2, ALL, sets::sunion),
    grows("sunionstore", -3, ALL, sets::sunionstore),
    Command { nature: Nature::Writes, ..own("swapdb", 3, server::swapdb) },
    own("time", 1, server::time),
    reads("touch", -2, ALL, keys::exists),
    reads("ttl", 2, ONE, keys::ttl),
    reads("type", 2, ONE, keys::kind),
    writes("unlink", -2, ALL, keys::del),
    own("unsubscribe", -1, pubsub::unsubscribe),
    own("unwatch", 1, session::unwatch),
    own("wait", 3, server::wait),
    own("watch", -2, session::watch),
    writes("xack", -4, ONE, xgroup::xack),
    grows("xadd", -5, ONE, xadd::xadd),
    writes("xautoclaim", -6, ONE, xclaim::xautoclaim),
    writes("xclaim", -6, ONE, xclaim::xclaim),
    writes("xdel", -3, ONE, xadd::xdel),
    within("xgroup", XGROUP),
    within("xinfo", XINFO),
    reads("xlen", 2, ONE, xadd::xlen),
    reads("xpending", -3, ONE, xgroup::xpending),
    reads("xrange", -4, ONE, xadd::xrange),
    reads("xread", -4, NONE, xread::xread),
    writes("xreadgroup", -7, NONE, xread::xreadgroup),
    reads("xrevrange", -4, ONE, xadd::xrevrange),
    grows("xsetid", -3, ONE, xadd::xsetid),
    writes("xtrim", -4, ONE, xadd::xtrim),
];

const XGROUP: &[Command] = &[
    grows("create", -5, SECOND, xgroup::create),
    grows("createconsumer", 5, SECOND, xgroup::create_consumer),
    writes("delconsumer", 5, SECOND, xgroup::remove_consumer),
    writes("destroy", 4, SECOND, xgroup::destroy),
    own("help", 2, server::xgroup_help),
    writes("setid", -5, SECOND, xgroup::set_id),
];

const XINFO: &[Command] = &[
    reads("consumers", 4, SECOND, xinfo::consumers),
    reads("groups", 3, SECOND, xinfo::groups),
    own("help", 2, server::xinfo_help),
    reads("stream", -3, SECOND, xinfo::stream),
];

/// Finds a command in a list by its name, in whatever case.
pub(super) fn find(commands: &'static [Command], name: &[u8]) -> Option<&'static Command> {
    let name = name.to_ascii_lowercase();
    commands.iter().find(|command| command.name.as_bytes() == name)
}

impl Command {
    /// Tells whether it takes so many words.
    pub(super) fn takes(&self, words: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        if self.arity < 0 { words >= wanted } else { words == wanted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_sorted_and_each_is_there_once() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
    }
}
