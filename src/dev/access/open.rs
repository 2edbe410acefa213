//! Open: everybody may do everything, but speak as the broker itself and subscribe to what is named.

use super::{Access, Admission, Answer, Attempt, Verdict, Who};

/// Lets everybody in.
#[derive(Debug, Clone, Default)]
pub struct Open {
    /// Filters that nobody may subscribe to.
    pub denied: Vec<String>,
}

impl Access for Open {
    fn connect<'a>(&'a self, _attempt: &'a Attempt<'a>) -> Answer<'a, Admission> {
        Box::pin(async { Admission::Allowed { is_superuser: false, identity: None } })
    }

    fn publish<'a>(&'a self, _who: &'a Who, topic: &'a str) -> Answer<'a, Verdict> {
        let is_allowed = !topic.starts_with("$SYS/");
        let rule = if is_allowed { "open" } else { "`$SYS` is the broker's own" };
        Box::pin(async move { Verdict { is_allowed, rule: rule.into() } })
    }

    fn subscribe<'a>(&'a self, _who: &'a Who, filter: &'a str) -> Answer<'a, Verdict> {
        let is_allowed = !self.denied.iter().any(|denied| denied == filter);
        let rule = if is_allowed { "open" } else { "the filter is denied to all" };
        Box::pin(async move { Verdict { is_allowed, rule: rule.into() } })
    }
}
