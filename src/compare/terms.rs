//! Terms: where two Erlang terms differ.

use super::Cause;
use super::text::{are_paths, are_times, short};
use crate::terms::Term;

/// Differing places that are kept.
const PLACES_MAX: usize = 200;
/// Differing places that are shown.
const SHOWN_MAX: usize = 6;

/// A place at which two terms differ.
pub(super) struct Place<'a> {
    at: String,
    pub(super) left: Option<&'a Term>,
    pub(super) right: Option<&'a Term>,
}

/// Says why two terms that are not equal differ, and where.
pub(super) fn compare(one: &[Term], other: &[Term]) -> (Cause, Vec<String>) {
    let mut places = Vec::new();
    lists(one, other, "", &mut places);
    let details = places.iter().take(SHOWN_MAX).map(show).collect();
    if sorted(one) == sorted(other) {
        return (Cause::Order, details);
    }
    let cause = match () {
        () if all_texts(&places, are_paths) => Cause::PathInside,
        () if all_texts(&places, are_times) => Cause::Time,
        () => Cause::Terms,
    };
    (cause, details)
}

/// Returns where two terms differ.
pub(super) fn places<'a>(one: &'a Term, other: &'a Term) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    walk(one, other, "", &mut places);
    places
}

/// Tells whether all places are texts in both terms, of which this holds.
pub(super) fn all_texts(places: &[Place<'_>], holds: fn(&str, &str) -> bool) -> bool {
    let text = |term: Option<&Term>| term.and_then(Term::as_text);
    !places.is_empty()
        && places.len() < PLACES_MAX
        && places.iter().all(|place| match (text(place.left), text(place.right)) {
            (Some(left), Some(right)) => holds(&left, &right),
            _ => false,
        })
}

fn walk<'a>(one: &'a Term, other: &'a Term, at: &str, places: &mut Vec<Place<'a>>) {
    if one == other || places.len() >= PLACES_MAX {
        return;
    }
    match (one, other) {
        (Term::Tuple(left), Term::Tuple(right)) if left.len() == right.len() => {
            lists(left, right, &named(at, left, right), places);
        }
        (Term::List(left), Term::List(right)) => lists(left, right, at, places),
        (Term::Map(left), Term::Map(right)) => maps(left, right, at, places),
        _ => {
            places.push(Place { at: at.to_owned(), left: Some(one), right: Some(other) });
        }
    }
}

/// A pair is known by its key.
fn named(at: &str, left: &[Term], right: &[Term]) -> String {
    match (left.first(), right.first()) {
        (Some(Term::Atom(key)), Some(Term::Atom(same))) if key == same => format!("{at}/{key}"),
        _ => at.to_owned(),
    }
}

fn lists<'a>(left: &'a [Term], right: &'a [Term], at: &str, places: &mut Vec<Place<'a>>) {
    // What was put in or taken out in the middle moves the rest; what is the same at both ends does not count.
    let same = |(one, other): &(&Term, &Term)| one == other;
    let head = left.iter().zip(right).take_while(same).count();
    let (left, right) = (&left[head..], &right[head..]);
    let tail = left.iter().rev().zip(right.iter().rev()).take_while(same).count();
    let (left, right) = (&left[..left.len() - tail], &right[..right.len() - tail]);
    for (number, (one, other)) in left.iter().zip(right).enumerate() {
        walk(one, other, &format!("{at}/{}", head + number), places);
    }
    let both = left.len().min(right.len());
    let at = format!("{at}/{}", head + both);
    let room = PLACES_MAX.saturating_sub(places.len());
    let only = |left, right| Place { at: at.clone(), left, right };
    places.extend(left[both..].iter().take(room).map(|term| only(Some(term), None)));
    places.extend(right[both..].iter().take(room).map(|term| only(None, Some(term))));
}

fn maps<'a>(
    left: &'a [(Term, Term)],
    right: &'a [(Term, Term)],
    at: &str,
    places: &mut Vec<Place<'a>>,
) {
    let get = |map: &'a [(Term, Term)], key: &Term| {
        map.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    };
    for (key, one) in left {
        let below = format!("{at}/{key}");
        match get(right, key) {
            Some(other) => walk(one, other, &below, places),
            None => places.push(Place { at: below, left: Some(one), right: None }),
        }
    }
    for (key, other) in right.iter().filter(|(key, _)| get(left, key).is_none()) {
        places.push(Place { at: format!("{at}/{key}"), left: None, right: Some(other) });
    }
}

fn show(place: &Place<'_>) -> String {
    let text =
        |term: Option<&Term>| term.map_or_else(|| "nothing".into(), |t| short(&t.to_string()));
    format!("{}: {} | {}", place.at, text(place.left), text(place.right))
}

/// The terms with every list sorted.
fn sorted(terms: &[Term]) -> Vec<Term> {
    let mut terms: Vec<Term> = terms.iter().map(sort).collect();
    terms.sort();
    terms
}

fn sort(term: &Term) -> Term {
    match term {
        Term::List(items) => Term::List(sorted(items)),
        Term::Tuple(items) => Term::Tuple(items.iter().map(sort).collect()),
        Term::Map(pairs) => {
            Term::Map(pairs.iter().map(|(key, value)| (sort(key), sort(value))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::parse_all;

    fn said(one: &str, other: &str) -> (Cause, Vec<String>) {
        compare(&parse_all(one).unwrap(), &parse_all(other).unwrap())
    }

    #[test]
    fn a_changed_value_is_named_by_the_way_to_it() {
        let (cause, details) = said("[{port, 80}, {host, \"a\"}].", "[{port, 81}, {host, \"a\"}].");
        assert_eq!((cause, details), (Cause::Terms, vec!["/0/0/port/1: 80 | 81".to_owned()]));
    }

    #[test]
    fn order_paths_and_times_are_told_from_values() {
        assert_eq!(said("[a, b].", "[b, a].").0, Cause::Order);
        assert_eq!(said("{f, \"/a/x.hrl\"}.", "{f, \"/b/x.hrl\"}.").0, Cause::PathInside);
        assert_eq!(said("\"2024-01-01 10:00\".", "\"2025-02-03 11:00\".").0, Cause::Time);
        assert_eq!(said("[a].", "[a, b].").0, Cause::Terms);
    }
}
