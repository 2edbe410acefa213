//! Conf: rules from emqttd's `acl.conf`, which are Erlang terms.

use std::sync::Arc;

use super::error::AccessError;
use super::rule::{Reach, Rule, Whom};
use super::topic::Pattern;
use crate::terms::{self, Term};

/// Rules that one file may have.
const RULES_MAX: usize = 10_000;

/// Reads the text of a file that errors call `file`.
pub(super) fn read(text: &str, file: &str) -> Result<Vec<Rule>, AccessError> {
    let terms = terms::parse_all(text)
        .map_err(|source| AccessError::Terms { file: file.to_owned(), source })?;
    if terms.len() > RULES_MAX {
        let why = format!("there are more than {RULES_MAX} rules");
        return Err(AccessError::Rule { file: file.to_owned(), rule: terms.len(), why });
    }
    let numbered = terms.iter().zip(1..);
    let read = numbered.map(|(term, number)| {
        let why = |why| AccessError::Rule { file: file.to_owned(), rule: number, why };
        rule(term, format!("rule {number} of {file}").into()).map_err(why)
    });
    read.collect()
}

fn rule(term: &Term, name: Arc<str>) -> Result<Rule, String> {
    let parts = term.as_tuple().unwrap_or_default();
    let allows = match parts.first().and_then(Term::as_atom) {
        Some("allow") => true,
        Some("deny") => false,
        _ => return Err(format!("`{term}` begins with neither allow nor deny")),
    };
    match &parts[1..] {
        [all] if all.as_atom() == Some("all") => {
            Ok(Rule { allows, whom: Whom::All, reach: Reach::Both, topics: None, name })
        }
        [who, reach, topics] => {
            let topics = match topics {
                Term::List(topics) => topics.iter().map(pattern).collect::<Result<_, _>>()?,
                Term::String(text) if text.is_empty() => vec![],
                one @ Term::Binary(_) => vec![pattern(one)?],
                other => return Err(format!("`{other}` is no list of topics")),
            };
            Ok(Rule {
                allows,
                whom: whom(who)?,
                reach: read_reach(reach),
                topics: Some(topics),
                name,
            })
        }
        _ => Err(format!("`{term}` is none of {{allow, all}} and {{allow, Who, Action, Topics}}")),
    }
}

/// emqttd takes any word, and one that is no action never matches.
fn read_reach(term: &Term) -> Reach {
    match term.as_atom() {
        Some("subscribe") => Reach::Subscribe,
        Some("publish") => Reach::Publish,
        Some("pubsub") => Reach::Both,
        _ => Reach::Nothing,
    }
}

fn whom(term: &Term) -> Result<Whom, String> {
    if term.as_atom() == Some("all") {
        return Ok(Whom::All);
    }
    let nobody = || format!("`{term}` names nobody");
    let parts = term.as_tuple().unwrap_or_default();
    let [kind, value] = parts else { return Err(nobody()) };
    let is_all = value.as_atom() == Some("all");
    let several = || -> Result<Vec<_>, String> {
        value.as_list().ok_or_else(nobody)?.iter().map(whom).collect()
    };
    match kind.as_atom() {
        Some("user" | "client") if is_all => Ok(Whom::All),
        Some("user") => Ok(Whom::User(text(value)?)),
        Some("client") => Ok(Whom::Client(text(value)?)),
        Some("ipaddr") => {
            let range = text(value)?;
            let parsed = range.parse().map(Whom::Network);
            parsed.map_err(|()| format!("`{range}` is neither an address nor a range"))
        }
        Some("and") => several().map(Whom::And),
        Some("or") => several().map(Whom::Or),
        _ => Err(nobody()),
    }
}

fn pattern(term: &Term) -> Result<Pattern, String> {
    match term.tagged("eq") {
        Some([topic]) => Ok(Pattern::Equal(text(topic)?)),
        _ => Ok(Pattern::Filter(text(term)?)),
    }
}

/// An atom is no text here: emqttd does not start with one.
fn text(term: &Term) -> Result<String, String> {
    let text = if term.as_atom().is_some() { None } else { term.as_text() };
    text.ok_or_else(|| format!("`{term}` is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::access::rule::{Action, Asker};

    /// emqttd 2.3's own file.
    const OWN: &str = r##"
        {allow, {user, "dashboard"}, subscribe, ["$SYS/#"]}.
        {allow, {ipaddr, "127.0.0.1"}, pubsub, ["$SYS/#", "#"]}.
        {deny, all, subscribe, ["$SYS/#", {eq, "#"}]}.
    "##;

    fn decide(text: &str, user: &str, address: &str, topic: &str) -> Option<(bool, String)> {
        let rules = read(text, "acl.conf").unwrap();
        let asker = Asker { client: "c", user: Some(user), address: address.parse().unwrap() };
        let rule =
            rules.iter().find(|rule| rule.speaks(&asker, Action::Subscribe, topic).is_ok())?;
        Some((rule.allows, rule.name.to_string()))
    }

    #[test]
    fn emqttds_own_file_decides_as_it_does() {
        let decide = |user, address, topic| decide(OWN, user, address, topic);
        let rule = |allows, number| Some((allows, format!("rule {number} of acl.conf")));
        assert_eq!(decide("dashboard", "10.0.0.1", "$SYS/x"), rule(true, 1));
        assert_eq!(decide("u", "127.0.0.1", "$SYS/x"), rule(true, 2));
        assert_eq!(decide("u", "127.0.0.1", "#"), rule(true, 2));
        assert_eq!(decide("u", "10.0.0.1", "#"), rule(false, 3));
        assert_eq!(decide("u", "10.0.0.1", "a/b"), None);
    }

    #[test]
    fn every_form_of_whom_and_topic_is_read() {
        let text = r#"
            {deny, {'and', [{user, <<"u">>}, {'or', [{client, "d"}, {ipaddr, "10.0.0.0/8"}]}]}, pubsub, <<"x/%c">>}.
            {allow, {client, all}, both, ["a"]}.
            {allow, {user, all}, pubsub, []}.
            {allow, all}.
        "#;
        assert_eq!(
            decide(text, "u", "10.0.0.1", "x/c"),
            Some((false, "rule 1 of acl.conf".into()))
        );
        assert_eq!(decide(text, "u", "11.0.0.1", "x/c"), Some((true, "rule 4 of acl.conf".into())));
    }

    #[test]
    fn a_rule_that_emqttd_would_not_start_with_is_named() {
        for (text, why) in [
            ("{allow, bob, pubsub, [\"a\"]}.", "`bob` names nobody"),
            ("{allow, all}. {maybe, all}.", "rule 2"),
            ("{allow, {user, bob}, pubsub, [\"a\"]}.", "`bob` is no text"),
            ("{allow, {ipaddr, \"host\"}, pubsub, [\"a\"]}.", "`host`"),
            ("{allow, all, pubsub, a}.", "no list of topics"),
            ("{allow, all, pubsub}.", "none of"),
            ("allow.", "neither allow nor deny"),
        ] {
            let error = read(text, "acl.conf").unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
