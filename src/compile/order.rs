//! Order: which of the steps that are ready is done first. Changes no output, only when it is there.

use super::plan::Plan;
use super::step::{Content, Step};
use crate::digest::Digest;

/// What a step costs whatever it builds, in bytes of source: the emulator's start and rebar3's.
const START_BYTES: u64 = 32 << 10;

/// Returns for each step how much is still to be done from its start on along the longest way to the release.
///
/// Whoever takes the step with the most before it leaves no long one alone for the end. A step's cost is
/// guessed by the bytes of its sources.
pub(super) fn urgency(plan: &Plan, bytes: impl Fn(Digest) -> u64) -> Vec<u64> {
    let cost = |step: &Step| {
        let sources = step.inputs.iter().map(|input| match input.content {
            Content::Source(digest) => bytes(digest),
            Content::Output(_) => 0,
        });
        sources.fold(START_BYTES, u64::saturating_add)
    };
    let mut after = vec![0; plan.steps.len()];
    for (index, step) in plan.steps.iter().enumerate().rev() {
        // Every step that needs this one stands behind it, so all of them have said what is after them.
        let own = u64::saturating_add(after[index], cost(step));
        after[index] = own;
        for need in step.needs() {
            after[need] = after[need].max(own);
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::compile::{Input, StepKind};

    fn step(source: &[u8], needs: &[usize]) -> Step {
        let input = |content| Input { at: "/build".into(), content, label: String::new() };
        let outputs = needs.iter().map(|need| input(Content::Output(*need)));
        Step {
            name: String::new(),
            kind: StepKind::Dep,
            inputs: [input(Content::Source(Digest::of(source)))]
                .into_iter()
                .chain(outputs)
                .collect(),
            files: BTreeMap::new(),
            patches: vec![],
            stamp: None,
            argv: vec![],
            env: BTreeMap::new(),
            output: String::new(),
        }
    }

    #[test]
    fn the_longest_way_to_the_release_is_the_most_urgent() {
        let large = Digest::of(b"large");
        let plan = Plan {
            steps: vec![
                step(b"leaf", &[]),
                step(b"large", &[]),
                step(b"leaf of two", &[]),
                step(b"above", &[2]),
                step(b"release", &[0, 1, 3]),
            ],
            otp: None,
        };
        let urgency = urgency(&plan, |digest| if digest == large { 1 << 20 } else { 1 });
        let mut order: Vec<usize> = (0..plan.steps.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(urgency[*index]));
        assert_eq!(order, [1, 2, 0, 3, 4]);
    }
}
