//! Names: which indices a request is about: names, patterns, lists, and dates worked out as in
//! `<message_published-{now/d-1d}>`.
//!
//! The log is the index `mqtt`, and as well one index for each event and day, as emqttd's dashboards ask for it:
//! `message_published-2026.11.22`.

use super::error::Error;
use super::query::cut;
use super::sql::{Condition, glob};
use crate::dev::events::schema::LOG;
use crate::dev::events::when::{self, Date};

/// Names in one list, and bytes of one name.
const NAMES_MAX: usize = 1000;
const BYTES_MAX: usize = 255;
/// An entry's other name, in SQL.
const DAILY: &str = "(e.type || '-' || strftime('%Y.%m.%d', e.at_ms / 1000.0, 'unixepoch'))";
/// Events whose daily index is there even while nothing is in it.
const EVENTS: &[&str] = &[
    "client_connected",
    "client_disconnected",
    "client_subscribe",
    "client_unsubscribe",
    "session_created",
    "session_subscribed",
    "session_unsubscribed",
    "session_terminated",
    "message_published",
    "message_delivered",
    "message_acked",
    "message_dropped",
    "acl_denied",
];

/// The indices that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    pattern: String,
    is_wanted: bool,
}

impl Names {
    /// Reads a list; nothing and `_all` are all.
    pub(super) fn read(text: &str, now_ms: i64) -> Result<Self, Error> {
        let text = if text.is_empty() || text == "_all" { "*" } else { text };
        let parts = split(text);
        if parts.len() > NAMES_MAX {
            return Err(Error::illegal(format!("more than [{NAMES_MAX}] indices are named")));
        }
        let mut items = Vec::new();
        for part in parts {
            let (part, is_wanted) = match part.strip_prefix('-').filter(|_| !items.is_empty()) {
                Some(part) => (part, false),
                None => (part, true),
            };
            let pattern = match part.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')) {
                Some(template) => dated(template, now_ms)?,
                None => part.to_owned(),
            };
            if pattern.is_empty() || pattern.len() > BYTES_MAX * 2 || pattern.contains('\0') {
                return Err(invalid(&pattern, "must be a name or a pattern"));
            }
            items.push(Item { pattern, is_wanted });
        }
        Ok(Self { items })
    }

    /// Returns those that are no patterns.
    pub(super) fn plain(&self) -> impl Iterator<Item = &str> {
        let plain = |item: &&Item| item.is_wanted && !item.pattern.contains('*');
        self.items.iter().filter(plain).map(|item| item.pattern.as_str())
    }

    /// Tells whether an index of this name is meant.
    pub(super) fn has(&self, name: &str) -> bool {
        self.items.iter().fold(false, |has, item| match fits(&item.pattern, name) {
            true => item.is_wanted,
            false => has,
        })
    }

    /// Returns the index that an entry is shown in.
    pub(super) fn shown<'a>(
        &self,
        index: &'a str,
        kind: &str,
        at_ms: i64,
    ) -> std::borrow::Cow<'a, str> {
        if index != LOG || self.has(LOG) { index.into() } else { daily(kind, at_ms).into() }
    }

    /// The condition that an entry belongs to one of these.
    pub(super) fn condition(&self, out: &mut Condition) {
        // As in `has`: the last item that fits decides.
        let one = |out: &mut Condition, name: &str| {
            out.push("case");
            for item in self.items.iter().rev() {
                out.push(&format!(" when {name} glob ? then {}", u8::from(item.is_wanted)));
                out.bind(glob(&item.pattern));
            }
            out.push(" else 0 end");
        };
        if self.has(LOG)
            && self.items.iter().any(|item| item.pattern == "*")
            && self.items.len() == 1
        {
            return out.push("1");
        }
        out.push("(");
        one(out, "e.idx");
        if !self.has(LOG) {
            out.push(&format!(" or (e.idx = '{LOG}' and "));
            one(out, DAILY);
            out.push(")");
        }
        out.push(")");
    }
}

/// The name of the index that an event of a day is in.
pub(in crate::dev::events) fn daily(kind: &str, at_ms: i64) -> String {
    let Date { year, month, day } = when::date(at_ms);
    format!("{kind}-{year:04}.{month:02}.{day:02}")
}

/// Tells whether this is the index of an event and a day that the log knows.
pub(super) fn is_daily(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(kind, day)| {
        EVENTS.contains(&kind)
            && day.len() == 10
            && when::read_iso(&day.replace('.', "-")).is_some()
    })
}

/// Tells whether a pattern with stars fits a name.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Takes a list apart at commas that stand outside of `<…>`.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|letter: char| {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .filter(|part| !part.is_empty())
    .collect()
}

/// Works out `name-{now/d}`; a format may follow, `{now/d{yyyy.MM.dd|+02:00}}`.
fn dated(template: &str, now_ms: i64) -> Result<String, Error> {
    let wrong = || invalid(template, "must hold date math like `{now/d}`");
    let mut name = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        name.push_str(before);
        let end = match after.find(['{', '}']).ok_or_else(wrong)? {
            at if after[at..].starts_with('}') => at,
            _ => after.find("}}").ok_or_else(wrong)? + 1,
        };
        let (inner, after) = (&after[..end], &after[end + 1..]);
        rest = after;
        let (math, format) = match inner.split_once('{') {
            Some((math, format)) => {
                (math, format.trim_end_matches('}').split('|').next().unwrap_or_default())
            }
            None => (inner, "yyyy.MM.dd"),
        };
        let ms = when::read_math(math, now_ms, false).ok_or_else(wrong)?;
        let Date { year, month, day } = when::date(ms);
        let hour = ms.rem_euclid(when::DAY_MS) / when::HOUR_MS;
        let written =
            format.replace("yyyy", &format!("{year:04}")).replace("YYYY", &format!("{year:04}"));
        let written =
            written.replace("MM", &format!("{month:02}")).replace("dd", &format!("{day:02}"));
        name.push_str(
            &written.replace("DD", &format!("{day:02}")).replace("HH", &format!("{hour:02}")),
        );
    }
    name.push_str(rest);
    Ok(name)
}

/// Refuses what cannot be the name of an index that is written to.
pub(super) fn check(name: &str) -> Result<(), Error> {
    let because = |why: &str| Err(invalid(name, why));
    if name.is_empty() || name == "." || name == ".." {
        return because("must not be empty, '.' or '..'");
    }
    if name.len() > BYTES_MAX {
        return because("name is too long, (255 bytes)");
    }
    if name.starts_with(['_', '-', '+']) {
        return because("must not start with '_', '-', or '+'");
    }
    if name.chars().any(|letter| letter.is_control() || r#" "*\<|,>/?#:"#.contains(letter)) {
        return because(
            "must not contain the following characters [' ','\"','*','\\','<','|',',','>','/','?','#',':']",
        );
    }
    if name.chars().any(char::is_uppercase) {
        return because("must be lowercase");
    }
    Ok(())
}

fn invalid(name: &str, why: &str) -> Error {
    let name = cut(name);
    let reason = format!("Invalid index name [{name}], {why}");
    Error {
        index: Some(name.to_owned()),
        ..Error::new(400, "invalid_index_name_exception", reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_795_292_505_535;

    #[test]
    fn the_dashboards_names_are_worked_out() {
        let names = Names::read(
            "<message_published-{now/d}>,<message_published-{now/d-1d}>,<client_*>",
            AT,
        )
        .unwrap();
        assert!(
            names.has("message_published-2026.11.21") && names.has("message_published-2026.11.20")
        );
        assert!(
            names.has("client_subscribe-2026.01.01") && !names.has("message_published-2026.11.19")
        );
        let names = Names::read("<a-{now/M{yyyy.MM|+01:00}}-b>", AT).unwrap();
        assert_eq!(names.plain().collect::<Vec<_>>(), ["a-2026.11-b"]);
        for bad in ["<a-{now/d>", "<a-{then}>", "<a-{now/d{yyyy>", "<{>", "<>"] {
            assert!(Names::read(bad, AT).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_that_fits_decides() {
        let names = Names::read("log-*,-log-2,other", AT).unwrap();
        assert!(names.has("log-1") && !names.has("log-2") && names.has("other") && !names.has("x"));
        assert_eq!(names.plain().collect::<Vec<_>>(), ["other"]);
    }

    #[test]
    fn a_pattern_fits_with_its_stars_anywhere() {
        for (pattern, name) in
            [("a*c", "abc"), ("*", ""), ("a*", "a"), ("*b*b*", "abcb"), ("a", "a")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a*a", "a"), ("a", "ab"), ("*b", "ba"), ("a*b*c", "acb")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
