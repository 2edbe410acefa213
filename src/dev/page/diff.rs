//! Diff: what changed from one payload to another: by fields where both are JSON, by lines else.

use std::collections::BTreeSet;
use std::time::Duration;

use maud::{Markup, html};
use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::text::{hex, lines_of_hex, pretty, visible};

/// Fields and lines that are shown.
const CHANGES_MAX: usize = 500;
const LINES_MAX: usize = 2000;
/// Lines around a change that are shown, too.
const AROUND: usize = 3;
/// How long the search for the shortest answer may take; then a longer one will do.
const PATIENCE: Duration = Duration::from_millis(200);

/// What changed.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Diff {
    pub(super) is_same: bool,
    /// Fields of JSON that differ, where both are JSON.
    pub(super) fields: Vec<Field>,
    /// Lines, where something differs.
    pub(super) lines: Vec<Line>,
    /// Whether there is more than is shown.
    pub(super) is_cut: bool,
}

/// A field of JSON that differs.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Field {
    pub(super) path: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    /// By how much a number rose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rise: Option<f64>,
}

/// A line of both, of the one, or of the other.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    /// ` `, `-`, `+`, or `@` where lines are left out.
    pub(super) sign: char,
    pub(super) text: String,
}

/// Holds two payloads against one another.
pub(super) fn diff(before: &[u8], after: &[u8]) -> Diff {
    if before == after {
        return Diff { is_same: true, fields: Vec::new(), lines: Vec::new(), is_cut: false };
    }
    let mut fields = Vec::new();
    if let (Some(before), Some(after)) = (json(before), json(after)) {
        compare(String::new(), Some(&before), Some(&after), &mut fields);
    }
    let (before, after) = match (std::str::from_utf8(before), std::str::from_utf8(after)) {
        (Ok(before), Ok(after)) => (pretty(before), pretty(after)),
        _ => (lines_of_hex(&hex(before)), lines_of_hex(&hex(after))),
    };
    let mut lines = lines(&before, &after);
    let is_cut = fields.len() > CHANGES_MAX || lines.len() > LINES_MAX;
    fields.truncate(CHANGES_MAX);
    lines.truncate(LINES_MAX);
    Diff { is_same: false, fields, lines, is_cut }
}

/// A number by itself is no document: its lines say all.
fn json(payload: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    (value.is_object() || value.is_array()).then_some(value)
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, fields: &mut Vec<Field>) {
    if before == after || fields.len() > CHANGES_MAX {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let dot = if path.is_empty() { "" } else { "." };
                compare(format!("{path}{dot}{name}"), before.get(name), after.get(name), fields);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for at in 0..before.len().max(after.len()) {
                compare(format!("{path}[{at}]"), before.get(at), after.get(at), fields);
            }
        }
        _ => {
            let number = |value: Option<&Value>| value.and_then(Value::as_f64);
            let rise = number(before).zip(number(after)).map(|(before, after)| after - before);
            let text = |value: Option<&Value>| value.map(Value::to_string);
            fields.push(Field { path, before: text(before), after: text(after), rise });
        }
    }
}

fn lines(before: &str, after: &str) -> Vec<Line> {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if at > 0 {
            lines.push(Line { sign: '@', text: "…".to_owned() });
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            let text = change.value().trim_end_matches(['\n', '\r']).to_owned();
            lines.push(Line { sign, text });
            if lines.len() > LINES_MAX {
                return lines;
            }
        }
    }
    lines
}

impl Diff {
    /// Lays it out whole.
    pub(super) fn html(&self) -> Markup {
        html! {
            @if self.is_same { p.none { "Both are the same, byte for byte." } }
            @if !self.fields.is_empty() {
                div.scroll role="region" aria-label="Fields that changed" tabindex="0" {
                    table {
                        caption.unseen { "Fields that changed" }
                        thead { tr { th scope="col" { "Field" } th scope="col" { "Before" } th scope="col" { "After" } th scope="col" { "By" } } }
                        tbody {
                            @for field in &self.fields {
                                tr {
                                    th scope="row" { code { (visible(&field.path)) } }
                                    td { (value(field.before.as_deref())) }
                                    td { (value(field.after.as_deref())) }
                                    td.number { @if let Some(rise) = field.rise { (signed(rise)) } }
                                }
                            }
                        }
                    }
                }
            }
            @if !self.lines.is_empty() {
                pre.diff tabindex="0" aria-label="Lines that changed" {
                    @for line in &self.lines {
                        @let text = format!("{} {}\n", line.sign, visible(&line.text));
                        @match line.sign {
                            '+' => ins { (text) },
                            '-' => del { (text) },
                            _ => span { (text) },
                        }
                    }
                }
            }
            @if self.is_cut { p.muted { "There is more than is shown." } }
        }
    }

    /// Says in one line what changed.
    pub(super) fn brief(&self) -> Markup {
        const FIELDS: usize = 3;
        html! {
            @if self.is_same { span.muted { "same as before" } }
            @else if self.fields.is_empty() {
                @let count = |sign| self.lines.iter().filter(|line| line.sign == sign).count();
                span.muted { "+" (count('+')) " −" (count('-')) " lines" }
            } @else {
                @for field in self.fields.iter().take(FIELDS) {
                    span.change {
                        code { (visible(&field.path)) } " "
                        @match field.rise {
                            Some(rise) => (signed(rise)),
                            None if field.before.is_none() => "is new",
                            None if field.after.is_none() => "is gone",
                            None => "changed",
                        }
                    }
                    " "
                }
                @if self.fields.len() > FIELDS { span.muted { "and " (self.fields.len() - FIELDS) " more" } }
            }
        }
    }
}

fn value(value: Option<&str>) -> Markup {
    html! { @match value { Some(value) => code.payload { (visible(value)) }, None => span.muted { "not there" } } }
}

fn signed(rise: f64) -> String {
    // What binary fractions leave behind says nothing.
    let rounded: f64 = format!("{rise:.9e}").parse().unwrap_or(rise);
    if rounded < 0.0 { format!("−{}", -rounded) } else { format!("+{rounded}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_of_json_are_named_with_what_they_were_and_are() {
        let diff =
            diff(br#"{"t":{"c":21.5},"a":[1,2],"x":1}"#, br#"{"t":{"c":21.7},"a":[1],"y":"n"}"#);
        let rows: Vec<_> = diff
            .fields
            .iter()
            .map(|f| (&*f.path, f.before.as_deref(), f.after.as_deref()))
            .collect();
        assert_eq!(
            rows,
            [
                ("a[1]", Some("2"), None),
                ("t.c", Some("21.5"), Some("21.7")),
                ("x", Some("1"), None),
                ("y", None, Some("\"n\"")),
            ]
        );
        assert_eq!(signed(diff.fields[1].rise.unwrap()), "+0.2");
        assert!(diff.brief().into_string().contains("and 1 more"));
    }

    #[test]
    fn text_is_held_against_text_line_by_line() {
        let diff = diff(b"one\ntwo\nthree", b"one\n2\nthree");
        let signs: String = diff.lines.iter().map(|line| line.sign).collect();
        assert_eq!(signs, " -+ ");
        assert!(diff.fields.is_empty());
        assert!(super::diff(b"a", b"a").is_same);
    }

    #[test]
    fn bytes_are_held_against_bytes() {
        let diff = diff(&[0xff; 40], &[&[0xff; 20][..], &[0], &[0xff; 19]].concat());
        let signs: String = diff.lines.iter().map(|line| line.sign).collect();
        assert_eq!(signs, " -+ ");
    }

    #[test]
    fn a_large_difference_is_cut_and_says_so() {
        let text = |letter: &str| (0..5000).map(|n| format!("{letter}{n}\n")).collect::<String>();
        let diff = diff(text("a").as_bytes(), text("b").as_bytes());
        assert!(diff.is_cut);
        assert_eq!(diff.lines.len(), LINES_MAX);
    }

    proptest! {
        #[test]
        fn any_two_payloads_can_be_compared(before: Vec<u8>, after: Vec<u8>) {
            let diff = diff(&before, &after);
            prop_assert_eq!(diff.is_same, before == after);
            prop_assert!(!diff.html().into_string().is_empty());
        }
    }
}
