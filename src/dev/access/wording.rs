//! Wording: what a rule's own words make impossible, whoever asks.

use super::rule::{Reach, Rule};
use super::topic::{Pattern, is_filter};

/// Says why a rule never matches anything.
pub(super) fn never_matches(rule: &Rule) -> Option<String> {
    if rule.reach == Reach::Nothing {
        return Some("its action is none of publish, subscribe and pubsub".to_owned());
    }
    let topics = rule.topics.as_deref()?;
    if topics.is_empty() {
        return Some("it has no topics".to_owned());
    }
    // It matches as long as one of its topics can.
    topics.iter().map(|topic| pattern(topic, rule.reach)).reduce(|one, other| one.and(other))?
}

fn pattern(pattern: &Pattern, reach: Reach) -> Option<String> {
    match pattern {
        Pattern::Filter(filter) if has_eq(filter) => Some(format!(
            "`{filter}` is compared with no topic: `eq` is written in small letters, with one blank behind it"
        )),
        Pattern::Filter(filter) if !is_filter(filter) => {
            Some(format!("`{filter}` is no filter of MQTT, and so nobody asks for it"))
        }
        Pattern::Equal(text) if text.trim() != text => {
            Some(format!("`eq {text}` has one blank too many"))
        }
        Pattern::Equal(text) if !is_filter(text) => {
            Some(format!("`{text}` is no filter of MQTT, and so nobody asks for it"))
        }
        Pattern::Equal(text) if reach == Reach::Publish && has_wildcard(text) => {
            Some(format!("nobody can publish to `{text}`: it has a wildcard"))
        }
        _ => None,
    }
}

/// Says what a rule does not do that its words may seem to.
pub(super) fn misleads(rule: &Rule) -> Option<String> {
    rule.topics.as_deref()?.iter().find_map(|topic| match topic {
        Pattern::Equal(text) if text.contains("%u") || text.contains("%c") => Some(format!(
            "`eq {text}` is compared as it is written: nothing is put in for `%u` and `%c`"
        )),
        Pattern::Equal(text) if !has_wildcard(text) => {
            Some(format!("`eq` changes nothing for `{text}`, which has no wildcard"))
        }
        Pattern::Filter(filter) if has_part(filter) => Some(format!(
            "in `{filter}` nothing is put in for `%u` and `%c` that is not a whole level"
        )),
        _ => None,
    })
}

fn has_eq(filter: &str) -> bool {
    let text = filter.trim_start();
    text.get(..2).is_some_and(|word| word.eq_ignore_ascii_case("eq"))
        && text[2..].starts_with(char::is_whitespace)
}

fn has_wildcard(text: &str) -> bool {
    text.split('/').any(|level| matches!(level, "+" | "#"))
}

fn has_part(filter: &str) -> bool {
    let is_part = |level: &str| level.len() > 2 && (level.contains("%u") || level.contains("%c"));
    filter.split('/').any(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::access::row;

    fn rule(text: &str) -> Rule {
        row::read(&row::written(text)).unwrap()
    }

    #[test]
    fn a_rule_that_never_matches_is_seen_by_its_words() {
        for (text, why) in [
            ("1|-|u|-|1|a/#/b", "no filter of MQTT"),
            ("1|-|u|-|3|a+", "no filter of MQTT"),
            ("0|-|u|-|1|Eq #", "small letters"),
            ("0|-|u|-|2|eq a/+", "nobody can publish to `a/+`"),
            ("0|-|u|-|1|\"\"", "no filter of MQTT"),
        ] {
            let found = never_matches(&rule(text)).unwrap_or_default();
            assert!(found.contains(why), "{text}: {found}");
        }
        let mut two_blanks = rule("0|-|u|-|1|a");
        two_blanks.topics = Some(vec![Pattern::from_row("eq  #")]);
        assert!(never_matches(&two_blanks).unwrap().contains("one blank too many"));
        for text in ["1|-|u|-|1|a/+/#", "0|-|u|-|3|eq #", "1|-|u|-|2|#", "1|-|u|-|3|%u/%c"] {
            assert_eq!(never_matches(&rule(text)), None, "{text}");
        }
    }

    #[test]
    fn words_that_mislead_are_seen() {
        assert!(misleads(&rule("1|-|u|-|1|eq a/b")).unwrap().contains("changes nothing"));
        assert!(misleads(&rule("1|-|u|-|1|eq %u/#")).unwrap().contains("as it is written"));
        assert!(misleads(&rule("1|-|u|-|1|a-%u/x")).unwrap().contains("whole level"));
        assert_eq!(misleads(&rule("1|-|u|-|1|%u/+")), None);
    }
}
