//! Version: Debian's order of versions (deb-version(7)): epoch, upstream, revision, and `~` before all.

use std::cmp::Ordering;

/// Compares two versions as dpkg does.
///
/// Text that is no proper version has its place in the order too: nothing is refused here.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let (left_epoch, left) = split_epoch(left);
    let (right_epoch, right) = split_epoch(right);
    let (left_upstream, left_revision) = left.rsplit_once('-').unwrap_or((left, ""));
    let (right_upstream, right_revision) = right.rsplit_once('-').unwrap_or((right, ""));
    number(left_epoch, right_epoch)
        .then_with(|| part(left_upstream, right_upstream))
        .then_with(|| part(left_revision, right_revision))
}

fn split_epoch(version: &str) -> (&str, &str) {
    match version.split_once(':') {
        Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => {
            (epoch, rest)
        }
        _ => ("", version),
    }
}

/// Compares upstream versions or revisions: by turns a run without digits and a run of digits.
fn part(mut left: &str, mut right: &str) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_number) = take(&mut left);
        let (right_text, right_number) = take(&mut right);
        let order = text(left_text, right_text).then_with(|| number(left_number, right_number));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Takes a run without digits and the run of digits behind it off the front.
fn take<'a>(rest: &mut &'a str) -> (&'a str, &'a str) {
    let is_digit = |c: char| c.is_ascii_digit();
    let (text, behind) = rest.split_at(rest.find(is_digit).unwrap_or(rest.len()));
    let end = behind.find(|c| !is_digit(c)).unwrap_or(behind.len());
    let (number, behind) = behind.split_at(end);
    *rest = behind;
    (text, number)
}

/// Compares runs without digits: `~` before the end, the end before letters, letters before the rest.
fn text(left: &str, right: &str) -> Ordering {
    let rank = |c: Option<char>| match c {
        Some('~') => (0, '~'),
        None => (1, ' '),
        Some(letter) if letter.is_ascii_alphabetic() => (2, letter),
        Some(other) => (3, other),
    };
    let (mut left, mut right) = (left.chars(), right.chars());
    loop {
        let (l, r) = (left.next(), right.next());
        let order = rank(l).cmp(&rank(r));
        if order.is_ne() || l.is_none() {
            return order;
        }
    }
}

/// Compares runs of digits of any length as numbers.
fn number(left: &str, right: &str) -> Ordering {
    let left = left.trim_start_matches('0');
    let right = right.trim_start_matches('0');
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_stand_in_debians_order() {
        // Each line is strictly below the next one.
        let ordered = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0.1",
            "1.0~rc1-1",
            "1.0~rc1-2",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb12u1",
            "1.0-1.1",
            "1.0a-1",
            "1.0+dfsg-1",
            "1.0.1",
            "1.2",
            "1.10",
            "1.10a",
            "2",
            "1:0.1",
            "1:25.2.3+dfsg-1",
            "1:25.2.3+dfsg-1+deb12u1",
            "1:27.3.4.1+dfsg-1",
            "2:0",
            "10:0",
        ];
        for (place, low) in ordered.iter().enumerate() {
            assert_eq!(compare(low, low), Ordering::Equal);
            for high in &ordered[place + 1..] {
                assert_eq!(compare(low, high), Ordering::Less, "{low} {high}");
                assert_eq!(compare(high, low), Ordering::Greater, "{high} {low}");
            }
        }
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        for (left, right) in
            [("0:1.0", "1.0"), ("1.0", "1.0-0"), ("1.0", "1.00"), ("01.2", "1.2"), ("", "")]
        {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} {right}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_antisymmetric_and_never_panics(left in ".{0,20}", right in ".{0,20}") {
            prop_assert_eq!(compare(&left, &right), compare(&right, &left).reverse());
        }

        #[test]
        fn the_order_is_transitive(mut three in prop::collection::vec("[0-9a-c~.+:-]{0,6}", 3)) {
            three.sort_by(|left, right| compare(left, right));
            prop_assert!(compare(&three[0], &three[2]).is_le());
        }
    }
}
