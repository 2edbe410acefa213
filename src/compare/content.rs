//! Content: why two files of one name differ, by what kind of file they are.

use super::packed::{self, Member};
use super::text::short;
use super::{Cause, Found, beam, elf, json, terms, text};
use crate::limits::COMPARED_DEPTH_MAX;
use crate::terms::{Term, parse_all, parse_external};

/// Text that a room's variation leaves behind, and what it is called.
pub type Trace = (&'static str, &'static str);

/// How far down a file is in others, and what to look for.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) depth: usize,
    pub(super) traces: &'a [Trace],
}

/// Says why two files of this name differ.
pub(super) fn compare(name: &str, one: &[u8], other: &[u8], look: Look<'_>) -> Found {
    let mut found = by_kind(name, one, other, look);
    // Of a path more is known than that it is one.
    let is_path = matches!(found.cause, Cause::Path | Cause::PathInside | Cause::Options);
    if found.inner.is_none()
        && !is_path
        && let Some((trace, what)) = look.traces.iter().find(|(text, _)| is_new(text, one, other))
    {
        found.cause = Cause::Room(what);
        found.details.insert(0, format!("`{trace}` stands in the second only"));
    }
    found
}

fn is_new(text: &str, one: &[u8], other: &[u8]) -> bool {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    !holds(one) && holds(other)
}

fn by_kind(name: &str, one: &[u8], other: &[u8], look: Look<'_>) -> Found {
    let file = name.rsplit('/').next().unwrap_or(name);
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    let archive = || archive(one, other, look);
    let found = match ending {
        _ if file == "COOKIE" || file == ".erlang.cookie" => {
            Some(leaf("cookie", Cause::Cookie, vec![]))
        }
        "beam" => beam::compare(one, other),
        "boot" => external(one, other),
        "app" | "rel" | "config" | "appup" | "relup" | "script" | "terms" => {
            erlang(ending, one, other)
        }
        "json" => json::file(one, other),
        _ => None,
    };
    found
        .or_else(|| one.starts_with(b"FOR1").then(|| beam::compare(one, other)).flatten())
        .or_else(|| one.starts_with(b"\x7fELF").then(|| elf::compare(one, other)).flatten())
        .or_else(archive)
        .or_else(|| plain_text(one, other))
        .unwrap_or_else(|| bytes(one, other))
}

pub(super) fn leaf(noun: &'static str, cause: Cause, details: Vec<String>) -> Found {
    Found { noun, cause, details, inner: None }
}

/// A boot script is one term; so are other files that `term_to_binary` wrote.
fn external(one: &[u8], other: &[u8]) -> Option<Found> {
    let (one, other) = (parse_external(one).ok()?, parse_external(other).ok()?);
    if one == other {
        let same = vec!["the same term, written in another way".into()];
        return Some(leaf("boot script", Cause::Layout, same));
    }
    let (cause, details) = terms::compare(&[one], &[other]);
    Some(leaf("boot script", cause, details))
}

/// Terms as text. A comment says nothing to who reads it, but it may hold a time.
fn erlang(ending: &str, one: &[u8], other: &[u8]) -> Option<Found> {
    let (left, right) = (str::from_utf8(one).ok()?, str::from_utf8(other).ok()?);
    let read = |text: &str| -> Option<Vec<Term>> { parse_all(text).ok() };
    let (one, other) = (read(left)?, read(right)?);
    let noun = match ending {
        "app" => "application file",
        "rel" => "release file",
        "script" => "boot script",
        _ => "configuration",
    };
    if one == other {
        let (cause, details) = text::compare(left, right);
        let cause = if cause == Cause::Time { cause } else { Cause::Layout };
        return Some(leaf(noun, cause, details));
    }
    let (cause, details) = terms::compare(&one, &other);
    Some(leaf(noun, cause, details))
}

fn plain_text(one: &[u8], other: &[u8]) -> Option<Found> {
    let (one, other) = (str::from_utf8(one).ok()?, str::from_utf8(other).ok()?);
    if [one, other].iter().any(|text| text.contains('\0')) {
        return None;
    }
    let (cause, details) = text::compare(one, other);
    Some(leaf("text", cause, details))
}

fn bytes(one: &[u8], other: &[u8]) -> Found {
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let around =
        |bytes: &[u8]| short(&bytes[same..bytes.len().min(same + 16)].escape_ascii().to_string());
    let details = vec![
        format!("{} bytes | {} bytes", one.len(), other.len()),
        format!("from byte {same}: {} | {}", around(one), around(other)),
    ];
    leaf("file", Cause::Bytes, details)
}

fn archive(one: &[u8], other: &[u8], look: Look<'_>) -> Option<Found> {
    if look.depth >= COMPARED_DEPTH_MAX {
        return None;
    }
    let look = Look { depth: look.depth + 1, ..look };
    if let (Some((left, heads)), Some((right, others))) = (packed::gzip(one), packed::gzip(other)) {
        if left != right {
            let mut found = compare("", &left, &right, look);
            found.details.insert(0, "inside gzip".into());
            return Some(found);
        }
        let is_time = heads != others;
        let cause = if is_time { Cause::Time } else { Cause::Compression };
        let what = if is_time { "the time in gzip's head" } else { "the same bytes inside" };
        return Some(leaf("compressed file", cause, vec![what.into()]));
    }
    let (left, right) = (packed::archive(one)?, packed::archive(other)?);
    Some(members(left, right, look))
}

/// Holds the members of two archives against each other.
fn members(left: packed::Archive, right: packed::Archive, look: Look<'_>) -> Found {
    let mut inner: Vec<(String, Found)> = Vec::new();
    let mut note = |name: &str, cause: Cause, detail: String| {
        inner.push((name.to_owned(), leaf("member", cause, vec![detail])));
    };
    if left.head != right.head {
        note("(what stands before the archive)", Cause::Text, "it differs".into());
    }
    for name in left.members.keys().filter(|name| !right.members.contains_key(*name)) {
        note(name, Cause::Presence, "in the first only".into());
    }
    for name in right.members.keys().filter(|name| !left.members.contains_key(*name)) {
        note(name, Cause::Presence, "in the second only".into());
    }
    let both =
        left.members.iter().filter_map(|(name, one)| Some((name, one, right.members.get(name)?)));
    let both: Vec<(&String, &Member, &Member)> = both.collect();
    for (name, one, other) in &both {
        if one.facts != other.facts {
            note(name, Cause::Mode, format!("{} | {}", one.facts, other.facts));
        }
        if one.time != other.time {
            note(name, Cause::Time, format!("{} | {}", one.time, other.time));
        }
    }
    if inner.is_empty() && both.iter().any(|(_, one, other)| one.position != other.position) {
        let detail = vec!["they stand in another order".into()];
        inner.push(("(its members)".into(), leaf("member", Cause::Order, detail)));
    }
    for (name, one, other) in both {
        if one.bytes != other.bytes {
            inner.push((name.clone(), compare(name, &one.bytes, &other.bytes, look)));
        }
    }
    let cause = inner.iter().map(|(_, found)| found.cause).min().unwrap_or(Cause::Compression);
    Found { noun: "archive", cause, details: vec![], inner: Some(inner) }
}
