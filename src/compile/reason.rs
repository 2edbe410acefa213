//! Reason: which input made a step run again.
//!
//! Beside its record, the last text of a step is kept under the step's name, so that the next text can be compared with it.

use std::collections::BTreeMap;

use super::step::Step;
use crate::store::{BuildKey, Record, Store, StoreError};

/// Says in a few words why a step is not reused.
pub(super) fn reason(store: &Store, step: &Step, text: &str) -> Result<String, StoreError> {
    let Some(before) = store.recall(last(step))? else {
        return Ok("new".into());
    };
    let changes = changes(&before.inputs, text);
    Ok(if changes.is_empty() { "its output is no longer held".into() } else { changes.join(", ") })
}

/// Keeps the text for the next comparison.
pub(super) fn note(store: &Store, step: &Step, text: &str) -> Result<(), StoreError> {
    store.remember(last(step), &Record { inputs: text.to_owned(), outputs: vec![] })
}

fn last(step: &Step) -> BuildKey {
    BuildKey::of(&format!("last text of {:?} {}", step.kind, step.name))
}

/// Names what differs between two texts of one step, in the words of its labels.
fn changes(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (facts(before), facts(after));
    let mut changes = Vec::new();
    for (subject, fact) in &after {
        match before.get(subject) {
            Some(old) if old.value == fact.value => {}
            Some(old) if old.label != fact.label => {
                let version = fact.label.split_once(' ').map_or(fact.label, |(_, version)| version);
                changes.push(format!("{} → {version}", old.label));
            }
            Some(_) => changes.push(format!("{} changed", fact.name(subject))),
            None => changes.push(format!("{} added", fact.name(subject))),
        }
    }
    for (subject, fact) in before.iter().filter(|(subject, _)| !after.contains_key(*subject)) {
        changes.push(format!("{} removed", fact.name(subject)));
    }
    changes
}

/// One fact of a text.
#[derive(Debug, Default)]
struct Fact<'a> {
    value: String,
    label: &'a str,
}

impl Fact<'_> {
    /// What a person calls it.
    fn name(&self, subject: &str) -> String {
        if self.label.is_empty() { subject.to_owned() } else { self.label.to_owned() }
    }
}

/// Splits a text into facts by subject. The arguments together are one, the command; so are the patches.
fn facts(text: &str) -> BTreeMap<String, Fact<'_>> {
    let mut facts: BTreeMap<String, Fact<'_>> = BTreeMap::new();
    for line in text.lines() {
        let (fact, label) = line.split_once('\t').unwrap_or((line, ""));
        let (kind, rest) = fact.split_once(' ').unwrap_or((fact, ""));
        let (subject, value) = match kind {
            "argument" => ("command".to_owned(), rest),
            "patch" => ("patches".to_owned(), rest),
            "copy" | "read" | "file" | "variable" => {
                let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                (format!("{kind} {name}"), value)
            }
            _ => (kind.to_owned(), rest),
        };
        let fact = facts.entry(subject).or_default();
        fact.value.push_str(value);
        fact.value.push('\n');
        fact.label = label;
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn the_changed_input_is_named_by_its_label() {
        let before = "recipe 1\ntoolchain sha256:aa\ncopy /build/lib/cowboy sha256:01\tcowboy 2.9.0\nread /build/lib/cowlib sha256:02\tcowlib 2.12.1\n";
        let after = before.replace("sha256:02\tcowlib 2.12.1", "sha256:03\tcowlib 2.13.0");
        assert_eq!(changes(before, &after), ["cowlib 2.12.1 → 2.13.0"]);
        assert_eq!(
            changes(before, &before.replace("sha256:aa", "sha256:bb")),
            ["toolchain changed"]
        );
        let same_name = before.replace("sha256:01", "sha256:04");
        assert_eq!(changes(before, &same_name), ["cowboy 2.9.0 changed"]);
        assert_eq!(changes(before, before), [""; 0]);
    }

    #[test]
    fn arguments_and_variables_are_named() {
        let before = "argument \"as\"\nvariable A \"1\"\n";
        let after = "argument \"as\"\nargument \"prod\"\nvariable A \"2\"\n";
        assert_eq!(changes(before, after), ["command changed", "variable A changed"]);
    }
}
