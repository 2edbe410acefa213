//! Topic: matching as emqttd 2.3 does it.
//!
//! A filter that somebody wants to subscribe to is matched as if it were a topic. So `a/#` lets `a/+/b` through,
//! and `a/+` lets `a/#` through, too; only a rule with `eq` compares texts.

/// What a rule says of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// The text itself, wildcards and all.
    Equal(String),
    /// A filter; levels that are `%u` or `%c` stand for the name and the client identifier of who asks.
    Filter(String),
}

impl Pattern {
    /// Reads a row's topic: `eq a/#` or `a/#`.
    pub(super) fn from_row(text: &str) -> Self {
        match text.strip_prefix("eq ") {
            Some(text) => Self::Equal(text.to_owned()),
            None => Self::Filter(text.to_owned()),
        }
    }

    /// Tells whether a topic, or a filter as if it were one, is meant.
    pub(super) fn matches(&self, name: &str, user: Option<&str>, client: &str) -> bool {
        match self {
            Self::Equal(text) => text == name,
            Self::Filter(filter) => {
                // A name that is not known stands for nothing, and its level stays as it is written.
                let fed = filter.split('/').map(|level| match level {
                    "%u" => user.unwrap_or(level),
                    "%c" => client,
                    level => level,
                });
                matches(name.split('/'), fed)
            }
        }
    }

    /// Tells whether all that `other` matches is matched by this one, too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equal(own), Self::Equal(text)) => own == text,
            (Self::Equal(_), Self::Filter(_)) => false,
            (Self::Filter(filter), Self::Equal(text)) => {
                !is_fed(filter) && matches(text.split('/'), filter.split('/'))
            }
            (Self::Filter(own), Self::Filter(filter)) => is_wider(own, filter),
        }
    }

    /// Writes it as a row does.
    pub(super) fn to_row(&self) -> String {
        match self {
            Self::Equal(text) => format!("eq {text}"),
            Self::Filter(filter) => filter.clone(),
        }
    }
}

/// Matches level by level. `+` and `#` do not stand for a level that begins with `$`, wherever it is.
pub(super) fn matches<'a>(
    mut name: impl Iterator<Item = &'a str>,
    filter: impl Iterator<Item = &'a str>,
) -> bool {
    let mut filter = filter.peekable();
    loop {
        let (own, wanted) = (name.next(), filter.next());
        match (own, wanted) {
            (None, None) => return true,
            (Some(own), Some(wanted)) if own == wanted => {}
            (Some(own), Some("+")) if !own.starts_with('$') => {}
            (own, Some("#")) if filter.peek().is_none() => {
                return !own.is_some_and(|own| own.starts_with('$'));
            }
            _ => return false,
        }
    }
}

/// Tells whether levels of a filter are put in when it is asked.
pub(super) fn is_fed(filter: &str) -> bool {
    filter.split('/').any(|level| matches!(level, "%u" | "%c"))
}

/// Tells whether a filter follows MQTT's rules; one that does not matches next to nothing.
pub(super) fn is_filter(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    let last = levels.len() - 1;
    let fits = |(place, level): (usize, &&str)| match *level {
        "#" => place == last,
        "+" => true,
        level => !level.contains(['#', '+', '\0']),
    };
    !filter.is_empty() && levels.iter().enumerate().all(fits)
}

/// Tells whether all that `narrow` matches is matched by `wide`; of two that cannot be compared it says no.
fn is_wider(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('/').peekable(), narrow.split('/').peekable());
    loop {
        match (wide.next(), narrow.next()) {
            (None, None) => return true,
            // `a/#` matches `a`, too, and so it covers all that begins with `a`.
            (Some("#"), level) if wide.peek().is_none() => return !level.is_some_and(is_reserved),
            // A `#` in the midst stands for itself alone, and one at the end for all.
            (Some("#"), Some("#")) if narrow.peek().is_none() => return false,
            (Some(own), Some(level)) if own == level => {}
            (Some("+"), Some(level)) if level != "#" && !is_reserved(level) => {}
            _ => return false,
        }
    }
}

/// Tells whether wildcards may not stand for a level. A level that is put in might be one of those.
fn is_reserved(level: &str) -> bool {
    level.starts_with('$') || level == "%u" || level == "%c"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Pattern {
        Pattern::Filter(text.to_owned())
    }

    /// emqttd's own clauses, one for one.
    fn oracle(name: &[&str], filter: &[&str]) -> bool {
        match (name, filter) {
            ([], []) => true,
            ([own, names @ ..], [wanted, filters @ ..]) if own == wanted => oracle(names, filters),
            ([own, ..], ["+", ..]) if own.starts_with('$') => false,
            ([_, names @ ..], ["+", filters @ ..]) => oracle(names, filters),
            ([own, ..], ["#"]) if own.starts_with('$') => false,
            (_, ["#"]) => true,
            _ => false,
        }
    }

    #[test]
    fn wildcards_do_not_stand_for_levels_that_begin_with_a_dollar() {
        for (name, wanted) in [("$SYS/x", "#"), ("$SYS/x", "+/x"), ("a/$b", "a/+"), ("a/$b", "a/#")]
        {
            assert!(!filter(wanted).matches(name, None, "c"), "{name} {wanted}");
        }
        assert!(filter("$SYS/#").matches("$SYS/x", None, "c"));
        assert!(filter("a/#").matches("a/b/$c", None, "c"));
    }

    #[test]
    fn a_filter_is_matched_as_if_it_were_a_topic() {
        assert!(filter("a/#").matches("a/+/b", None, "c"));
        assert!(filter("a/+").matches("a/#", None, "c"));
        assert!(filter("#").matches("#", None, "c"));
        assert!(!filter("a/b").matches("a/+", None, "c"));
        assert!(filter("a/#").matches("a", None, "c"));
    }

    #[test]
    fn only_whole_levels_stand_for_who_asks() {
        assert!(filter("x/%u/%c").matches("x/u/c", Some("u"), "c"));
        assert!(!filter("x/%u").matches("x/%u", Some("u"), "c"));
        assert!(filter("x/%u").matches("x/%u", None, "c"));
        assert!(!filter("x/a%u").matches("x/au", Some("u"), "c"));
    }

    #[test]
    fn eq_compares_texts() {
        let equal = Pattern::from_row("eq #");
        assert!(equal.matches("#", None, "c"));
        assert!(!equal.matches("a", None, "c"));
        assert!(!Pattern::from_row("eq %c").matches("c", None, "c"));
    }

    #[test]
    fn what_covers_another_is_known() {
        for (wide, narrow) in [("#", "a/+"), ("a/#", "a"), ("+/b", "a/b"), ("a/#", "a/b/#")] {
            assert!(filter(wide).covers(&filter(narrow)), "{wide} {narrow}");
        }
        for (wide, narrow) in
            [("+", "#"), ("#", "$SYS/#"), ("a/+", "a/#"), ("#", "%u/x"), ("a/#/#", "a/#")]
        {
            assert!(!filter(wide).covers(&filter(narrow)), "{wide} {narrow}");
        }
    }

    fn name() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "", "$x", "+", "#", "%u", "%c"]);
        prop::collection::vec(level, 1..5).prop_map(|levels| levels.join("/"))
    }

    proptest! {
        #[test]
        fn matching_is_as_emqttds_clauses_say(name in name(), wanted in name()) {
            let (names, filters): (Vec<_>, Vec<_>) = (name.split('/').collect(), wanted.split('/').collect());
            prop_assert_eq!(matches(names.iter().copied(), filters.iter().copied()), oracle(&names, &filters));
        }

        #[test]
        fn what_is_covered_matches_no_more(wide in name(), narrow in name(), topic in name()) {
            prop_assume!(is_filter(&wide) && is_filter(&narrow) && !topic.contains(['+', '#']));
            if filter(&wide).covers(&filter(&narrow)) && filter(&narrow).matches(&topic, Some("b"), "a") {
                prop_assert!(filter(&wide).matches(&topic, Some("b"), "a"));
            }
        }
    }
}
