//! Beam: why two modules differ, chunk by chunk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::terms::{self, all_texts};
use super::text::{are_paths, short};
use super::{Cause, Found};
use crate::limits::COMPARED_BYTES_MAX;
use crate::release::chunks;
use crate::terms::{Term, get, parse_external};

/// Says why two modules differ; `None` where one is none.
pub(super) fn compare(one: &[u8], other: &[u8]) -> Option<Found> {
    let (left, right) = (chunks(one).ok()?, chunks(other).ok()?);
    let left: BTreeMap<String, Vec<u8>> = left.into_iter().map(named).collect();
    let right: BTreeMap<String, Vec<u8>> = right.into_iter().map(named).collect();
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let mut causes = Vec::new();
    for name in names {
        let (one, other) = (left.get(name), right.get(name));
        if one != other {
            let (cause, detail) = chunk(name, one, other);
            causes.push((cause, format!("{name}: {detail}")));
        }
    }
    // The chunk that says most speaks for the module.
    let cause = causes.iter().map(|(cause, _)| *cause).min().unwrap_or(Cause::Layout);
    let mut details: Vec<String> = causes.into_iter().map(|(_, detail)| detail).collect();
    if details.is_empty() {
        details.push("every chunk is the same; only order, padding or compression differ".into());
    }
    Some(Found { noun: "module", cause, details, inner: None })
}

fn named((name, bytes): ([u8; 4], Vec<u8>)) -> (String, Vec<u8>) {
    (name.escape_ascii().to_string(), bytes)
}

fn chunk(name: &str, one: Option<&Vec<u8>>, other: Option<&Vec<u8>>) -> (Cause, String) {
    let general = match name {
        "CInf" => Cause::Options,
        "Dbgi" | "Abst" | "DbgB" | "LocT" | "ExCk" => Cause::Debug,
        "Docs" => Cause::Documentation,
        "Attr" => Cause::Attributes,
        "Line" => Cause::Lines,
        _ => Cause::Code,
    };
    let (Some(one), Some(other)) = (one, other) else {
        let side = if one.is_some() { "first" } else { "second" };
        return (general, format!("in the {side} only"));
    };
    let told = match name {
        "CInf" => compile_info(one, other),
        "Dbgi" | "Abst" | "Attr" | "Docs" => in_term(general, one, other),
        "LitT" => literals(one, other),
        "Line" => lines(one, other),
        _ => None,
    };
    told.unwrap_or_else(|| (general, format!("{} bytes | {} bytes", one.len(), other.len())))
}

fn compile_info(one: &[u8], other: &[u8]) -> Option<(Cause, String)> {
    let (one, other) = (parse_external(one).ok()?, parse_external(other).ok()?);
    let (left, right) = (one.as_list()?, other.as_list()?);
    let differs = |key: &str| get(left, key) != get(right, key);
    let show = |key: &str| {
        let side = |terms| get(terms, key).map_or_else(|| "none".into(), Term::to_string);
        format!("{key} {} | {}", short(&side(left)), short(&side(right)))
    };
    Some(match () {
        () if differs("version") => (Cause::Compiler, show("version")),
        () if differs("options") && !only_paths(get(left, "options")?, get(right, "options")?) => {
            (Cause::Options, show("options"))
        }
        () if differs("source") => (Cause::Path, show("source")),
        () if differs("options") => (Cause::Path, show("options")),
        () => (Cause::Options, "other facts of the compiler".into()),
    })
}

fn only_paths(one: &Term, other: &Term) -> bool {
    let places = terms::places(one, other);
    places.is_empty() || all_texts(&places, are_paths) || all_texts(&places, are_directories)
}

/// Options name directories: `{i, "/a/include"}`.
fn are_directories(one: &str, other: &str) -> bool {
    one.starts_with('/') && other.starts_with('/')
}

fn in_term(general: Cause, one: &[u8], other: &[u8]) -> Option<(Cause, String)> {
    let (one, other) = (parse_external(one).ok()?, parse_external(other).ok()?);
    let only_paths = general == Cause::Debug && only_paths(&one, &other);
    let general =
        if general == Cause::Debug && same_code(&one, &other) { Cause::Options } else { general };
    let (cause, details) = terms::compare(&[one], &[other]);
    let cause = match cause {
        _ if only_paths => Cause::Path,
        Cause::Order => Cause::Order,
        _ => general,
    };
    Some((cause, details.first().cloned().unwrap_or_else(|| "written in another way".into())))
}

/// Beside the code, debug information repeats the compiler's options: `{debug_info_v1, Backend, {Code, Options}}`.
fn same_code(one: &Term, other: &Term) -> bool {
    fn code(term: &Term) -> Option<&Term> {
        term.as_tuple()?.get(2)?.as_tuple()?.first()
    }
    code(one).is_some() && code(one) == code(other)
}

/// The literals are a table of terms, deflated.
fn literals(one: &[u8], other: &[u8]) -> Option<(Cause, String)> {
    let (one, other) = (table(one)?, table(other)?);
    if one == other {
        return Some((Cause::Compression, "the same terms".into()));
    }
    let (cause, details) = terms::compare(&one, &other);
    let cause = if cause == Cause::PathInside { cause } else { Cause::Code };
    Some((cause, details.first().cloned().unwrap_or_default()))
}

fn table(bytes: &[u8]) -> Option<Vec<Term>> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let mut plain = Vec::new();
    // Since OTP 28 the table stands there plainly, and the size is 0.
    if u32::from_be_bytes(*size) == 0 {
        plain.extend_from_slice(rest);
    } else {
        ZlibDecoder::new(rest).take(COMPARED_BYTES_MAX).read_to_end(&mut plain).ok()?;
    }
    let (count, mut rest) = plain.split_first_chunk::<4>()?;
    let mut terms = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let (size, behind) = rest.split_first_chunk::<4>()?;
        let (term, behind) =
            behind.split_at_checked(usize::try_from(u32::from_be_bytes(*size)).ok()?)?;
        terms.push(parse_external(term).ok()?);
        rest = behind;
    }
    Some(terms)
}

/// Line numbers, and the names of the files that they are in.
fn lines(one: &[u8], other: &[u8]) -> Option<(Cause, String)> {
    let (left, right) = (line_table(one)?, line_table(other)?);
    let (numbers, others) = (left.0, right.0);
    if numbers != others || left.1.len() != right.1.len() {
        return None;
    }
    let mut pairs = left.1.iter().zip(&right.1).filter(|(one, other)| one != other);
    let (first, second) = pairs.clone().next()?;
    let is_path = pairs.all(|(one, other)| are_paths(one, other) || are_directories(one, other));
    is_path.then(|| (Cause::Path, format!("{} | {}", short(first), short(second))))
}

/// Parts a line table into its numbers and its files' names (`beam_asm:build_line_table/1`).
fn line_table(bytes: &[u8]) -> Option<(&[u8], Vec<String>)> {
    let word = |at: usize| {
        let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    };
    let (count, names) = (word(12)?, word(16)?);
    let mut at = 20;
    let mut numbers = 0;
    while numbers < count {
        let first = *bytes.get(at)?;
        // Tag 1 is a line, tag 2 says that another file begins.
        numbers += usize::from(first & 7 == 1);
        at += match first {
            first if first & 8 == 0 => 1,
            first if first & 16 == 0 => 2,
            first if first >> 5 < 7 => usize::from(first >> 5) + 3,
            _ => return None,
        };
    }
    let (table, mut rest) = bytes.split_at_checked(at)?;
    let mut found = Vec::new();
    for _ in 0..names {
        let (size, behind) = rest.split_first_chunk::<2>()?;
        let (name, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        found.push(String::from_utf8_lossy(name).into_owned());
        rest = behind;
    }
    Some((table, found))
}
