//! Text: why two pieces of text differ, as far as their shape tells it.

use super::Cause;

/// Lines of a text that are shown.
const SHOWN_MAX: usize = 6;
/// Characters of a shown line.
const SHOWN_CHARS_MAX: usize = 160;

/// Shortens a line for people.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Tells whether two texts are one file in two directories.
pub(super) fn are_paths(one: &str, other: &str) -> bool {
    let file = |text: &str| text.rsplit_once('/').map(|(_, file)| file.to_owned());
    let is_path = |text: &str| text.starts_with('/') && !text.contains(['\n', '\0']);
    one != other
        && (is_path(one) || is_path(other))
        && match (file(one), file(other)) {
            (Some(one), Some(other)) => one == other,
            // One may be relative to the other's directory.
            (Some(file), None) => file == other,
            (None, Some(file)) => file == one,
            (None, None) => false,
        }
}

/// Tells whether two texts are one text with two times in it: only digits and names of months and days differ.
pub(super) fn are_times(one: &str, other: &str) -> bool {
    const NAMES: [&str; 19] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "mon",
        "tue", "wed", "thu", "fri", "sat", "sun",
    ];
    let bare = |text: &str| {
        let mut bare = text.to_ascii_lowercase();
        for name in NAMES {
            bare = bare.replace(name, "#");
        }
        let mut out = String::new();
        for c in bare.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }) {
            // How many digits a day has says nothing.
            if c != '0' || !out.ends_with('0') {
                out.push(c);
            }
        }
        out.replace("  ", " ")
    };
    let has_time = |text: &str| {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let colons = text.contains(':') || text.contains('-') || text.contains(',');
        digits >= 6 && colons
    };
    one != other && has_time(one) && has_time(other) && bare(one) == bare(other)
}

/// Says why two texts differ, with the first lines that do.
pub(super) fn compare(one: &str, other: &str) -> (Cause, Vec<String>) {
    let (mut left, mut right): (Vec<&str>, Vec<&str>) =
        (one.lines().collect(), other.lines().collect());
    if left == right {
        return (Cause::Layout, vec!["only the ends of lines differ".into()]);
    }
    let differing: Vec<(&str, &str)> =
        left.iter().zip(&right).filter(|(a, b)| a != b).map(|(a, b)| (*a, *b)).collect();
    let details = shown(&left, &right, &differing);
    if left.len() == right.len() {
        let all = |test: fn(&str, &str) -> bool| differing.iter().all(|(a, b)| test(a, b));
        if all(are_times) {
            return (Cause::Time, details);
        }
        if all(are_paths) {
            return (Cause::PathInside, details);
        }
    }
    left.sort_unstable();
    right.sort_unstable();
    (if left == right { Cause::Order } else { Cause::Text }, details)
}

fn shown(left: &[&str], right: &[&str], differing: &[(&str, &str)]) -> Vec<String> {
    let pairs = differing.iter().take(SHOWN_MAX / 2);
    let mut details: Vec<String> =
        pairs.flat_map(|(a, b)| [format!("- {}", short(a)), format!("+ {}", short(b))]).collect();
    let both = left.len().min(right.len());
    let more = |sign: char, lines: &[&str]| {
        let rest = lines.get(both..).unwrap_or_default();
        rest.iter().take(2).map(|line| format!("{sign} {}", short(line))).collect::<Vec<_>>()
    };
    details.extend(more('-', left));
    details.extend(more('+', right));
    if left.len() != right.len() {
        details.push(format!("{} lines, and {}", left.len(), right.len()));
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_why_it_differs() {
        for (one, other, cause) in [
            ("at /a/b/x.erl", "at /a/b/y.erl", Cause::Text),
            ("/a/x.erl", "/b/c/x.erl", Cause::PathInside),
            ("made 2024-01-02 10:11:12", "made 2025-11-30 9:08:07", Cause::Time),
            ("Mon Jan  2 10:11:12 2024", "Tue Nov 30 09:08:07 2025", Cause::Time),
            ("b\na\n", "a\nb\n", Cause::Order),
            ("a\n", "a\r\n", Cause::Layout),
            ("version 1", "version 2", Cause::Text),
        ] {
            assert_eq!(compare(one, other).0, cause, "{one:?} {other:?}");
        }
    }
}
