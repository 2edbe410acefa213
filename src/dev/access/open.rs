//! Open: everybody may do everything, but speak as the broker itself.

use super::{Access, Admission, Answer, Attempt, Verdict, Who};

/// Lets everybody in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Access for Open {
    fn connect<'a>(&'a self, _attempt: &'a Attempt<'a>) -> Answer<'a, Admission> {
        Box::pin(async { Admission::Allowed { is_superuser: false, identity: None } })
    }

    fn publish<'a>(&'a self, _who: &'a Who, topic: &'a str) -> Answer<'a, Verdict> {
        let is_allowed = !topic.starts_with("$SYS/");
        let rule = if is_allowed { "open" } else { "`$SYS` is the broker's own" };
        Box::pin(async move { Verdict { is_allowed, rule: rule.into() } })
    }

    fn subscribe<'a>(&'a self, _who: &'a Who, _filter: &'a str) -> Answer<'a, Verdict> {
        Box::pin(async { Verdict { is_allowed: true, rule: "open".into() } })
    }
}
