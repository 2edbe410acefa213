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
    Ok(if changes.is_empty() {
        "its output is no longer held".into()
    } else {
        changes.join(", ")
    })
}

/// Keeps the text for the next comparison.
pub(super) fn note(store: &Store, step: &Step, text: &str) -> Result<(), StoreError> {
    store.remember(
        last(step),
        &Record {
            inputs: text.to_owned(),
            outputs: vec![],
        },
    )
}

fn last(step: &Step) -> BuildKey {
    BuildKey::of(&format!("last text of {:?} {}", step.kind, step.name))
}

/// Names what differs between two texts of one step, in the words of its labels.
fn changes(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (facts(before), facts(after));
    let mut changes = Vec::new();
    for (subject, (value, label)) in &after {
        match before.get(subject) {
            Some((old, _)) if old == value => {}
            Some((_, old)) if !label.is_empty() && old != label => {
                let version = label.split_once(' ').map_or(*label, |(_, version)| version);
                changes.push(format!("{old} → {version}"));
            }
            Some(_) if !label.is_empty() => changes.push(format!("{label} changed")),
            Some(_) => changes.push(format!("{subject} changed")),
            None if !label.is_empty() => changes.push(format!("{label} added")),
            None => changes.push(format!("{subject} added")),
        }
    }
    for (subject, (_, label)) in before
        .iter()
        .filter(|(subject, _)| !after.contains_key(*subject))
    {
        let name = if label.is_empty() {
            subject.as_str()
        } else {
            label
        };
        changes.push(format!("{name} removed"));
    }
    changes
}

/// Splits a text into subject → (value, label). Facts without a value of their own are their own subject.
fn facts(text: &str) -> BTreeMap<String, (&str, &str)> {
    let mut facts = BTreeMap::new();
    for line in text.lines() {
        let (fact, label) = line.split_once('\t').unwrap_or((line, ""));
        let words = match fact.split_once(' ') {
            Some(("copy" | "read" | "file" | "variable", _)) => 2,
            Some(("argument" | "patch", _)) => usize::MAX,
            _ => 1,
        };
        let split = fact
            .match_indices(' ')
            .nth(words.saturating_sub(1))
            .map_or(fact.len(), |(at, _)| at);
        let subject = if words == usize::MAX {
            fact
        } else {
            &fact[..split]
        };
        facts.insert(subject.to_owned(), (&fact[subject.len()..], label));
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
        assert_eq!(
            changes(before, after),
            ["argument \"prod\" added", "variable A changed"]
        );
    }
}
