//! Fuzz: what a file of rules, a row and a query may hold, for the fuzzer.

use super::conf;
use super::query::Query;
use super::rule::{Action, Asker};
use super::topic::{Pattern, is_filter};
use super::wording;

/// Reads bytes as an `acl.conf`, as topics and as a query; what covers another matches all that the other does.
pub fn rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let asker =
        Asker { client: "c", user: Some("u"), address: "127.0.0.1".parse().expect("it is one") };
    if let Ok(rules) = conf::read(&text, "acl.conf") {
        for pair in rules.windows(2) {
            let _ = (pair[0].shadows(&pair[1]), wording::never_matches(&pair[0]));
            let _ = pair[0].speaks(&asker, Action::Subscribe, &pair[1].to_string());
        }
    }
    let query = Query::new(&text, '$');
    assert!(query.values(&asker).len() <= text.len());
    let lines: Vec<&str> = text.lines().take(8).collect();
    for line in &lines {
        let filter = Pattern::from_row(line);
        assert!(filter.covers(&filter) || super::topic::is_fed(line) || line.starts_with("eq "));
        for topic in lines.iter().filter(|topic| !topic.contains(['+', '#'])) {
            let wide = Pattern::from_row(lines[0]);
            if is_filter(line) && wide.covers(&filter) && filter.matches(topic, Some("u"), "c") {
                assert!(wide.matches(topic, Some("u"), "c"), "{} {line} {topic}", lines[0]);
            }
        }
    }
}
