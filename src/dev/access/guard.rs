//! Guard: asks the policy for the broker, and remembers what it said until a rule changes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::error::AccessError;
use super::open::Open;
use super::policy::{Chain, Known, Policy, Stop, Turned, Watch, asker};
use super::rule::{Action, Asker};
use super::settings::Settings;
use super::{Access, Admission, Answer, Attempt, Verdict, Who};
use crate::manifest::Anonymous;

/// Clients whose rules are remembered; with one more all are asked anew.
const REMEMBERED_MAX: usize = 10_000;
/// Passwords that are compared at once: it takes a processor each.
const HASHED_MAX: usize = 2;
/// How long a password may wait to be compared, and be compared.
const COMPARED_MAX: Duration = Duration::from_secs(5);

/// Begins to guard the broker as `settings` say; embedded rules are below `state`.
///
/// # Errors
/// Where the embedded database or the file cannot be read. A database that is away is no error: it is asked again.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn guard(settings: &Settings, state: &Path) -> Result<Arc<dyn Access>, AccessError> {
    if settings.is_open() {
        return Ok(Arc::new(Open::default()));
    }
    Ok(Arc::new(Guard {
        policy: Policy::open(settings, state, Watch::On)?,
        remembered: Mutex::default(),
        hashing: Semaphore::new(HASHED_MAX),
    }))
}

#[derive(Debug)]
struct Guard {
    policy: Policy,
    remembered: Mutex<Remembered>,
    hashing: Semaphore,
}

#[derive(Debug, Default)]
struct Remembered {
    generation: u64,
    chains: HashMap<Key, Arc<Chain>>,
}

type Key = (Arc<str>, Option<Arc<str>>, IpAddr);

impl Guard {
    async fn admit(&self, attempt: &Attempt<'_>) -> Result<bool, Turned> {
        match self.policy.look_up(attempt).await? {
            Known::Nobody => {
                self.policy.admit_unknown(attempt)?;
                // emqttd looks nobody up there whom it does not know.
                Ok(false)
            }
            Known::Row(row) => {
                let password = attempt.password.unwrap_or_default().to_vec();
                let hash = self.policy.hash;
                let compare = async {
                    let _place = self.hashing.acquire().await.expect("the places are never closed");
                    let compared =
                        tokio::task::spawn_blocking(move || hash.verify(&row, &password));
                    compared.await.expect("what runs there does not panic")
                };
                let compared = tokio::time::timeout(COMPARED_MAX, compare).await;
                match compared
                    .map_err(|_| Turned::away("too many passwords are compared at once"))?
                {
                    Ok(true) => self.policy.is_superuser(&asker(attempt)).await,
                    Ok(false) => Err(Turned::bad("the password is wrong")),
                    Err(why) => Err(Turned::bad(&format!("no password can be right: {why}"))),
                }
            }
        }
    }

    async fn decide(&self, who: &Who, action: Action, topic: &str) -> Verdict {
        let verdict = |is_allowed, rule: String| Verdict { is_allowed, rule: rule.into() };
        let address = who.peer.ip().to_canonical();
        let asker = Asker { client: &who.client_id, user: who.username.as_deref(), address };
        let chain = match self.chain(who, &asker).await {
            Ok(chain) => chain,
            Err(stop) => return verdict(false, stop.rule()),
        };
        match chain.decides(&asker, action, topic) {
            Some(rule) => verdict(rule.allows, format!("{}: {rule}", rule.name)),
            None => verdict(self.policy.nomatch_allows, self.policy.nomatch()),
        }
    }

    async fn chain(&self, who: &Who, asker: &Asker<'_>) -> Result<Arc<Chain>, Stop> {
        // Read before the rules are asked: what changes meanwhile is asked anew.
        let generation = self.policy.generation();
        let key = (Arc::clone(&who.client_id), who.username.clone(), asker.address);
        if let Some(chain) = self.remembered(generation).chains.get(&key) {
            return Ok(Arc::clone(chain));
        }
        let chain = Arc::new(self.policy.chain(asker).await?);
        let mut remembered = self.remembered(generation);
        if remembered.generation == generation {
            remembered.chains.insert(key, Arc::clone(&chain));
        }
        Ok(chain)
    }

    fn remembered(&self, generation: u64) -> std::sync::MutexGuard<'_, Remembered> {
        let remembered = self.remembered.lock();
        let mut remembered = remembered.expect("nothing panics while it holds the rules");
        if remembered.generation < generation || remembered.chains.len() >= REMEMBERED_MAX {
            remembered.generation = remembered.generation.max(generation);
            remembered.chains.clear();
        }
        remembered
    }
}

impl Access for Guard {
    fn connect<'a>(&'a self, attempt: &'a Attempt<'a>) -> Answer<'a, Admission> {
        Box::pin(async move {
            match self.admit(attempt).await {
                Ok(is_superuser) => Admission::Allowed { is_superuser, identity: None },
                Err(Turned { code, rule }) => Admission::Denied { code, rule: rule.into() },
            }
        })
    }

    fn publish<'a>(&'a self, who: &'a Who, topic: &'a str) -> Answer<'a, Verdict> {
        Box::pin(self.decide(who, Action::Publish, topic))
    }

    fn subscribe<'a>(&'a self, who: &'a Who, filter: &'a str) -> Answer<'a, Verdict> {
        Box::pin(self.decide(who, Action::Subscribe, filter))
    }

    fn generation(&self) -> u64 {
        self.policy.generation()
    }

    fn trouble(&self) -> Option<String> {
        self.policy.source.as_ref().and_then(|source| source.trouble())
    }

    fn knows_clients(&self) -> bool {
        self.policy.auth.is_some() && self.policy.anonymous == Anonymous::Deny
    }
}
