//! Guarded: where others than this machine reach the stack and the rules know no passwords, the stack's own is asked.

use std::sync::Arc;

use super::{Access, Admission, Answer, Attempt, Denial, Verdict, Who};
use crate::dev::Message;
use crate::dev::secret::Secret;

/// Rules behind the stack's password.
#[derive(Debug)]
pub struct Guarded {
    rules: Arc<dyn Access>,
    secret: Secret,
}

impl Guarded {
    /// Asks for `secret` before `rules` are asked; not at all where those know who a client is by themselves.
    pub fn over(rules: Arc<dyn Access>, secret: Secret) -> Arc<dyn Access> {
        if rules.knows_clients() { rules } else { Arc::new(Self { rules, secret }) }
    }
}

impl Access for Guarded {
    fn connect<'a>(&'a self, attempt: &'a Attempt<'a>) -> Answer<'a, Admission> {
        if attempt.password.is_some_and(|password| self.secret.is(password)) {
            return self.rules.connect(attempt);
        }
        let rule = "the stack's password".into();
        Box::pin(async { Admission::Denied { code: Denial::BadCredentials, rule } })
    }

    fn publish<'a>(&'a self, who: &'a Who, topic: &'a str) -> Answer<'a, Verdict> {
        self.rules.publish(who, topic)
    }

    fn subscribe<'a>(&'a self, who: &'a Who, filter: &'a str) -> Answer<'a, Verdict> {
        self.rules.subscribe(who, filter)
    }

    fn generation(&self) -> u64 {
        self.rules.generation()
    }

    fn trouble(&self) -> Option<String> {
        self.rules.trouble()
    }

    fn published(&self, who: &Who, message: &Message) -> Result<(), &'static str> {
        self.rules.published(who, message)
    }
}
