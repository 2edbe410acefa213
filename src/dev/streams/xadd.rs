//! Xadd: the commands that fill, cut and look through a stream.

use bytes::Bytes;

use super::call::{Answer, Call};
use super::id::{Id, Wanted};
use super::refusal::Refusal;
use super::reply::Reply;
use super::stream::{Cut, Stream, Trim};
use super::xread;

/// Nodes that a rough cut takes at once, if the client does not say.
const NODES_AT_ONCE: usize = 100;
const ENTRIES_AT_ONCE: u64 = 10_000;
const ENTRIES_AT_ONCE_MAX: u64 = 1_000_000;

/// What `XADD` and `XTRIM` take in front of an id.
#[derive(Debug, Default)]
struct Options {
    trim: Option<Trim>,
    is_rough: bool,
    limit: Option<i64>,
    makes_no_stream: bool,
    wanted: Option<Wanted>,
    /// Where the trim's number stands.
    trim_at: usize,
    /// Where the id stands.
    id_at: usize,
}

/// Whether an id ends the options.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    WithId,
    WithArguments,
}

impl Options {
    fn parse(call: &Call<'_>, ends: Ends) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut at = 2;
        while at < call.arguments.len() {
            let is_length = call.is_option_with_value(at, "maxlen");
            if is_length || call.is_option_with_value(at, "minid") {
                at = options.parse_trim(call, at, is_length)?;
            } else if call.is_option_with_value(at, "limit") {
                let limit = call.integer(at + 1)?;
                if limit < 0 {
                    return Err(Refusal::err("The LIMIT argument must be >= 0."));
                }
                options.limit = Some(limit);
                at += 1;
            } else if ends == Ends::WithArguments {
                return Err(Refusal::syntax());
            } else if call.is_option(at, "nomkstream") {
                options.makes_no_stream = true;
            } else {
                options.wanted = Some(Wanted::parse(call.argument(at), 0)?);
                options.id_at = at;
                break;
            }
            at += 1;
        }
        options.check(ends)
    }

    fn parse_trim(
        &mut self,
        call: &Call<'_>,
        at: usize,
        is_length: bool,
    ) -> Result<usize, Refusal> {
        if self.trim.is_some() {
            return Err(Refusal::err(
                "syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let mut at = at + 1;
        self.is_rough = false;
        if at + 1 < call.arguments.len() && matches!(call.argument(at), b"~" | b"=") {
            self.is_rough = call.argument(at) == b"~";
            at += 1;
        }
        self.trim_at = at;
        self.trim = Some(if is_length {
            let length = call.integer(at)?;
            let length = u64::try_from(length)
                .map_err(|_| Refusal::err("The MAXLEN argument must be >= 0."))?;
            Trim::Length(length)
        } else {
            Trim::Before(Id::parse_strict(call.argument(at), 0)?)
        });
        Ok(at)
    }

    fn check(self, ends: Ends) -> Result<Self, Refusal> {
        if self.limit.is_some_and(|limit| limit > 0) && self.trim.is_none() {
            return Err(Refusal::err(
                "syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if ends == Ends::WithArguments && self.trim.is_none() {
            return Err(Refusal::err(
                "syntax error, XTRIM must be called with a trimming strategy",
            ));
        }
        if self.limit.is_some() && !self.is_rough {
            return Err(Refusal::err(
                "syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        Ok(self)
    }

    fn cut(&self, entries_max: usize) -> Option<Cut> {
        let limit = match self.limit {
            Some(limit) => limit.unsigned_abs(),
            None if !self.is_rough => 0,
            None => match (NODES_AT_ONCE * entries_max) as u64 {
                0 => ENTRIES_AT_ONCE,
                limit => limit.min(ENTRIES_AT_ONCE_MAX),
            },
        };
        Some(Cut { trim: self.trim?, is_rough: self.is_rough, limit })
    }

    /// Words the cut so that it leaves the same whenever it is made.
    fn made_exact(&self, command: &mut [Bytes], stream: &Stream) {
        if !self.is_rough {
            return;
        }
        command[self.trim_at - 1] = Bytes::from_static(b"=");
        command[self.trim_at] = match self.trim {
            // Of one that is empty now, all went for being older than what was asked for.
            Some(Trim::Before(id)) if stream.length == 0 => id.text(),
            Some(Trim::Before(_)) => stream.first_id.text(),
            _ => stream.length.to_string().into(),
        };
    }
}

/// `XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] id field value [field value ...]`
pub(super) fn xadd(call: &mut Call<'_>) -> Answer {
    let options = Options::parse(call, Ends::WithId)?;
    let first_field = options.id_at + 1;
    let Some(wanted) = options.wanted else {
        return Err(Refusal::arity("xadd"));
    };
    let fields = call.arguments.get(first_field..).unwrap_or_default();
    if fields.len() < 2 || !fields.len().is_multiple_of(2) {
        return Err(Refusal::arity("xadd"));
    }
    if wanted == Wanted::Exactly(Id::MIN) {
        return Err(Refusal::err("The ID specified in XADD must be greater than 0-0"));
    }
    let fields: Box<[Bytes]> = fields.into();
    let (now_ms, limits) = (call.now_ms, call.keys.node_limits);
    let id = match call.read::<Stream>(1)? {
        None if options.makes_no_stream => return Ok(Reply::Null),
        None => Stream::default().resolve(wanted, now_ms)?,
        Some(stream) => stream.resolve(wanted, now_ms)?,
    };
    let mut command = call.arguments.to_vec();
    let stream = call.change_or_make::<Stream>(1)?;
    stream.append(id, fields, limits);
    command[options.id_at] = id.text();
    if let Some(cut) = options.cut(limits.entries_max) {
        // The rough limit was left out: what is written down is exact, and exact cuts take none.
        stream.trim(cut);
        options.made_exact(&mut command, stream);
        without_limit(&mut command, options.id_at);
    }
    call.touch(1);
    call.instead(call.place(1), command);
    Ok(Reply::Bulk(id.text()))
}

fn without_limit(command: &mut Vec<Bytes>, end: usize) {
    let found = command[2..end.min(command.len())]
        .iter()
        .position(|word| word.eq_ignore_ascii_case(b"limit"));
    if let Some(at) = found {
        command.drain(at + 2..at + 4);
    }
}

/// `XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count]`
pub(super) fn xtrim(call: &mut Call<'_>) -> Answer {
    let options = Options::parse(call, Ends::WithArguments)?;
    let entries_max = call.keys.node_limits.entries_max;
    let mut command = call.arguments.to_vec();
    let Some(stream) = call.change::<Stream>(1)? else {
        return Ok(Reply::Integer(0));
    };
    let cut = options.cut(entries_max).expect("XTRIM without a cut was refused");
    let gone = stream.trim(cut);
    options.made_exact(&mut command, stream);
    if gone > 0 {
        let end = command.len();
        without_limit(&mut command, end);
        call.touch(1);
        call.instead(call.place(1), command);
    }
    Ok(Reply::Integer(gone.cast_signed()))
}

/// `XDEL key id [id ...]`
pub(super) fn xdel(call: &mut Call<'_>) -> Answer {
    let words = call.arguments;
    let Some(stream) = call.change::<Stream>(1)? else {
        return Ok(Reply::Integer(0));
    };
    let ids = words[2..].iter().map(|text| Id::parse_strict(text, 0));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let gone = ids.into_iter().filter(|id| stream.delete(*id)).count();
    if gone > 0 {
        call.touch(1);
    }
    Ok(Reply::count(gone))
}

/// `XLEN key`
pub(super) fn xlen(call: &mut Call<'_>) -> Answer {
    let length = call.read::<Stream>(1)?.map_or(0, |stream| stream.length);
    Ok(Reply::Integer(length.cast_signed()))
}

/// `XRANGE key start end [COUNT count]`
pub(super) fn xrange(call: &mut Call<'_>) -> Answer {
    range(call, (2, 3), |entries, count| entries.take(count).map(xread::entry).collect())
}

/// `XREVRANGE key end start [COUNT count]`
pub(super) fn xrevrange(call: &mut Call<'_>) -> Answer {
    range(call, (3, 2), |entries, count| entries.rev().take(count).map(xread::entry).collect())
}

type Entries<'a> = Box<dyn DoubleEndedIterator<Item = &'a super::stream::Entry> + 'a>;

fn range(
    call: &mut Call<'_>,
    (start_at, end_at): (usize, usize),
    take: impl Fn(Entries<'_>, usize) -> Vec<Reply>,
) -> Answer {
    let start = Id::parse_start(call.argument(start_at))?;
    let end = Id::parse_end(call.argument(end_at))?;
    let mut count = None;
    let mut at = 4;
    while at < call.arguments.len() {
        if !call.is_option_with_value(at, "count") {
            return Err(Refusal::syntax());
        }
        count = Some(usize::try_from(call.integer(at + 1)?).unwrap_or(0));
        at += 2;
    }
    let Some(stream) = call.read::<Stream>(1)? else {
        return Ok(Reply::Array(Vec::new()));
    };
    if count == Some(0) {
        return Ok(Reply::NullArray);
    }
    let entries = Box::new(stream.range(start, end));
    Ok(Reply::Array(take(entries, count.unwrap_or(usize::MAX))))
}

/// `XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]`
pub(super) fn xsetid(call: &mut Call<'_>) -> Answer {
    let id = Id::parse_strict(call.argument(2), 0)?;
    let (mut added, mut max_deleted) = (None, Id::MIN);
    let mut at = 3;
    while at < call.arguments.len() {
        if call.is_option_with_value(at, "entriesadded") {
            let count = u64::try_from(call.integer(at + 1)?);
            added = Some(count.map_err(|_| Refusal::err("entries_added must be positive"))?);
        } else if call.is_option_with_value(at, "maxdeletedid") {
            max_deleted = Id::parse_strict(call.argument(at + 1), 0)?;
            if id < max_deleted {
                return Err(Refusal::err(
                    "The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(Refusal::syntax());
        }
        at += 2;
    }
    let Some(stream) = call.change::<Stream>(1)? else {
        return Err(Refusal::no_such_key());
    };
    if let Some(newest) = stream.newest() {
        if id < newest {
            return Err(Refusal::err(
                "The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if added.is_some_and(|added| stream.length > added) {
            return Err(Refusal::err(
                "The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    stream.last_id = id;
    stream.entries_added = added.unwrap_or(stream.entries_added);
    if max_deleted != Id::MIN {
        stream.max_deleted_id = max_deleted;
    }
    call.touch(1);
    Ok(Reply::OK)
}
