//! Row: what a line of `mqtt_acl` means.
//!
//! emqttd ends the connection of every client for whom its query finds a row that means nothing. Here such a row
//! denies, and says why.

use std::sync::Arc;

use super::cell::Cell;
use super::rule::{Reach, Rule, Whom};
use super::topic::Pattern;

/// Columns of a rule: allow, ipaddr, username, clientid, access, topic.
pub(super) const COLUMNS: usize = 6;
/// The user's name that stands for everybody.
pub(super) const ALL: &str = "$all";

/// A row that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) name: Arc<str>,
    pub(super) why: String,
}

/// What the rows mean, in the order in which they are asked.
///
/// The last row of the query's result is asked first: emqttd puts each row before the ones that it read.
pub(super) fn compile(rows: &[Vec<Cell>]) -> Result<Vec<Rule>, Broken> {
    rows.iter().rev().map(|row| read(row)).collect()
}

/// Reads one row; a seventh column, where the query has one, is the row's number.
pub(super) fn read(row: &[Cell]) -> Result<Rule, Broken> {
    let name = name(row);
    let broken = |why: String| Broken { name: Arc::clone(&name), why };
    let [allow, address, user, client, access, topic, ..] = row else {
        return Err(broken(format!("it has {} columns in place of {COLUMNS}", row.len())));
    };
    let allows = match allow.integer() {
        Some(1) => true,
        Some(0) => false,
        _ => return Err(broken(format!("`allow` is {} and neither 0 nor 1", allow.shown()))),
    };
    let reach = match access.integer() {
        Some(1) => Reach::Subscribe,
        Some(2) => Reach::Publish,
        Some(3) => Reach::Both,
        _ => return Err(broken(format!("`access` is {} and not 1, 2 or 3", access.shown()))),
    };
    let whom = whom(address, user, client).map_err(broken)?;
    let topic = topic.text().ok_or_else(|| broken("`topic` is NULL".to_owned()))?;
    let topics = Some(vec![Pattern::from_row(&topic)]);
    Ok(Rule { allows, whom, reach, topics, name })
}

fn name(row: &[Cell]) -> Arc<str> {
    match row.get(COLUMNS).and_then(Cell::integer) {
        Some(number) => format!("row {number} of mqtt_acl").into(),
        None => "a row of the acl query".into(),
    }
}

fn whom(address: &Cell, user: &Cell, client: &Cell) -> Result<Whom, String> {
    if user.text().as_deref() == Some(ALL) {
        return Ok(Whom::All);
    }
    if [address, user, client].iter().all(|cell| **cell == Cell::Null) {
        return Err("it names nobody: `ipaddr`, `username` and `clientid` are NULL".to_owned());
    }
    let mut all = Vec::new();
    if let Some(address) = address.filled() {
        let network = address.parse().map_err(|()| {
            format!("`ipaddr` is `{address}`, which is neither an address nor a range")
        })?;
        all.push(Whom::Network(network));
    }
    all.extend(user.filled().map(|name| Whom::User(name.into())));
    all.extend(client.filled().map(|id| Whom::Client(id.into())));
    match all.len() {
        1 => Ok(all.remove(0)),
        // With nothing but empty texts it is for everybody, as emqttd has it.
        _ => Ok(Whom::And(all)),
    }
}

/// Writes a row as SQL has it; `-` is NULL.
#[cfg(test)]
pub(super) fn written(text: &str) -> Vec<Cell> {
    let cells = text.split('|').map(str::trim);
    let cell = |text: &str| match (text, text.parse()) {
        ("-", _) => Cell::Null,
        (_, Ok(number)) => Cell::Integer(number),
        (text, _) => Cell::Text(text.replace('"', "")),
    };
    cells.map(cell).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dev::access::rule::{Action, Asker};

    fn decide(rows: &[&str], action: Action, topic: &str) -> Option<bool> {
        let asker = Asker { client: "c", user: Some("u"), address: "127.0.0.1".parse().unwrap() };
        let rows: Vec<_> = rows.iter().map(|text| written(text)).collect();
        let rules = compile(&rows).unwrap();
        let rule = rules.iter().find(|rule| rule.speaks(&asker, action, topic).is_ok())?;
        Some(rule.allows)
    }

    #[test]
    fn the_last_row_of_the_result_is_asked_first() {
        let (allow, deny) = ("1|-|$all|-|2|a", "0|-|$all|-|2|a");
        assert_eq!(decide(&[allow, deny], Action::Publish, "a"), Some(false));
        assert_eq!(decide(&[deny, allow], Action::Publish, "a"), Some(true));
    }

    #[test]
    fn one_is_to_subscribe_two_to_publish_and_three_both() {
        for (access, publish, subscribe) in
            [("1", None, Some(true)), ("2", Some(true), None), ("\"3\"", Some(true), Some(true))]
        {
            let row = format!("\"1\"|-|u|-|{access}|a");
            assert_eq!(decide(&[&row], Action::Publish, "a"), publish);
            assert_eq!(decide(&[&row], Action::Subscribe, "a"), subscribe);
        }
    }

    #[test]
    fn all_filled_columns_must_fit_and_all_counts_alone() {
        for (who, is_meant) in [
            ("-|u|-", true),
            ("127.0.0.0/8|u|c", true),
            ("127.0.0.1|-|-", true),
            ("127.0.0.2|u|c", false),
            ("-|u|d", false),
            ("10.0.0.1|$all|d", true),
            ("\"\"|-|-", true),
        ] {
            let row = format!("1|{who}|3|a");
            assert_eq!(decide(&[&row], Action::Publish, "a").is_some(), is_meant, "{who}");
        }
    }

    #[test]
    fn a_row_that_means_nothing_says_why() {
        for (text, why) in [
            ("1|-|-|-|1|a", "names nobody"),
            ("2|-|u|-|1|a", "`allow` is 2"),
            ("1|-|u|-|4|a", "`access` is 4"),
            ("1|-|u|-|1|-", "`topic` is NULL"),
            ("1|10.0.0.0/33|-|-|1|a", "10.0.0.0/33"),
            ("1|-|u|-|1", "5 columns"),
        ] {
            let broken = read(&written(text)).unwrap_err();
            assert!(broken.why.contains(why), "{text}: {}", broken.why);
        }
        assert_eq!(&*read(&written("1|-|u|-|1|a|7")).unwrap().name, "row 7 of mqtt_acl");
    }

    proptest! {
        #[test]
        fn of_all_rows_that_fit_the_last_one_decides(
            rows in prop::collection::vec((any::<bool>(), 1..=3_u8, 0..3_usize, 0..4_usize), 0..8),
            publishes in any::<bool>(),
            topic in prop::sample::select(vec!["a", "b", "a/b"]),
        ) {
            // Who, and topics each with what it matches of the three.
            const WHO: [(&str, bool); 3] = [("-|u|-", true), ("-|$all|-", true), ("-|u|d", false)];
            const TOPICS: [(&str, &[&str]); 4] =
                [("a", &["a"]), ("#", &["a", "b", "a/b"]), ("+", &["a", "b"]), ("a/#", &["a", "a/b"])];
            let text = |(allows, access, who, topic): &(bool, u8, usize, usize)| {
                format!("{}|{}|{access}|{}", u8::from(*allows), WHO[*who].0, TOPICS[*topic].0)
            };
            let texts: Vec<String> = rows.iter().map(text).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let bit = if publishes { 2 } else { 1 };
            let fits = |row: &&(bool, u8, usize, usize)| {
                row.1 & bit != 0 && WHO[row.2].1 && TOPICS[row.3].1.contains(&topic)
            };
            let wanted = rows.iter().rev().find(fits).map(|row| row.0);
            let action = if publishes { Action::Publish } else { Action::Subscribe };
            prop_assert_eq!(decide(&texts, action, topic), wanted);
        }
    }
}
