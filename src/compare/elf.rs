//! Elf: why two programs or libraries differ, section by section.

use std::collections::{BTreeMap, BTreeSet};

use object::{Object as _, ObjectSection as _};

use super::text::{are_paths, are_times, short};
use super::{Cause, Found};

/// Characters of a run of text that counts as one.
const RUN_CHARS_MIN: usize = 6;

/// Says why two ELF files differ; `None` where one is none.
pub(super) fn compare(one: &[u8], other: &[u8]) -> Option<Found> {
    let (left, right) = (sections(one)?, sections(other)?);
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let differing: Vec<&String> =
        names.into_iter().filter(|name| left.get(*name) != right.get(*name)).collect();
    let mut details = Vec::new();
    let mut cause = Cause::Layout;
    for name in differing {
        let of =
            |side: &BTreeMap<String, &'_ [u8]>| side.get(name).map_or(vec![], |is| is.to_vec());
        let (section, detail) = section(name, &of(&left), &of(&right));
        cause = cause.min(section);
        details.push(format!("{name}: {detail}"));
    }
    if details.is_empty() {
        details.push("every section is the same; only headers or padding differ".into());
    }
    Some(Found { noun: "program or library", cause, details, inner: None })
}

fn sections(bytes: &[u8]) -> Option<BTreeMap<String, &[u8]>> {
    let file = object::File::parse(bytes).ok()?;
    let mut sections = BTreeMap::new();
    for section in file.sections() {
        let name = String::from_utf8_lossy(section.name_bytes().ok()?).into_owned();
        sections.insert(name, section.data().unwrap_or_default());
    }
    Some(sections)
}

fn section(name: &str, one: &[u8], other: &[u8]) -> (Cause, String) {
    let sizes = format!("{} bytes | {} bytes", one.len(), other.len());
    let is_debug = [".debug", ".symtab", ".strtab", ".gnu_debug", ".shstrtab", ".zdebug"];
    match name {
        ".note.gnu.build-id" => (Cause::BuildId, sizes),
        ".comment" => (Cause::Compiler, text_of(one, other).unwrap_or(sizes)),
        _ if is_debug.iter().any(|debug| name.starts_with(debug)) => (Cause::Debug, sizes),
        _ => match runs(one, other) {
            Some((cause, detail)) => (cause, detail),
            None => (Cause::Code, sizes),
        },
    }
}

fn text_of(one: &[u8], other: &[u8]) -> Option<String> {
    let text = |bytes: &[u8]| texts(bytes).first().map(|text| short(text));
    Some(format!("{} | {}", text(one)?, text(other)?))
}

/// Looks whether two sections of one size differ only in texts that are paths, or times.
fn runs(one: &[u8], other: &[u8]) -> Option<(Cause, String)> {
    let (left, right) = (texts(one), texts(other));
    if left.len() != right.len() {
        return None;
    }
    let differing: Vec<_> = left.iter().zip(&right).filter(|(one, other)| one != other).collect();
    let (first, second) = differing.first()?;
    let detail = format!("{} | {}", short(first), short(second));
    let all = |test: fn(&str, &str) -> bool| differing.iter().all(|(one, other)| test(one, other));
    if all(are_times) {
        return Some((Cause::Time, detail));
    }
    all(are_paths).then_some((Cause::PathInside, detail))
}

/// The runs of text in some bytes, as `strings` finds them.
fn texts(bytes: &[u8]) -> Vec<String> {
    let is_text = |byte: &u8| (0x20..0x7f).contains(byte);
    bytes
        .split(|byte| !is_text(byte))
        .filter(|run| run.len() >= RUN_CHARS_MIN)
        .map(|run| String::from_utf8_lossy(run).into_owned())
        .collect()
}
