//! Storms: what happens to a client again and again is said at once, and summed from the second on.
//!
//! A client that does not read can make the broker drop a hundred thousand messages a second, and one that tries what
//! it may not can be denied as often. The first of a client, topic and reason is said as it happens; what follows
//! within the second is one happening with a count.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::core::Core;
use crate::dev::happening::{Client, What};

/// How long what is of one kind is summed.
const PERIOD: Duration = Duration::from_secs(1);
/// Kinds that are summed apart; more topics than that are summed as `#`.
const KINDS_MAX: usize = 4096;
const MANY_TOPICS: &str = "#";

/// What happens in storms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Blow {
    /// A message reaches a client no more.
    Dropped(&'static str),
    /// A rule denies a client an action.
    Denied(&'static str, Arc<str>),
}

type Kind = (Arc<str>, Arc<str>, Blow);

#[derive(Debug)]
struct Sum {
    client: Arc<Client>,
    count: u64,
    bytes: u64,
}

/// What happened since it was last said.
#[derive(Debug, Default)]
pub(super) struct Storm {
    sums: Mutex<HashMap<Kind, Sum>>,
}

impl Storm {
    /// Counts what happens to a client, with the bytes it was about; gives it back to be said if it is the first of
    /// its kind.
    pub(super) fn add(
        &self,
        client: &Arc<Client>,
        topic: &Arc<str>,
        blow: Blow,
        bytes: u64,
    ) -> Option<What> {
        let mut sums = self.sums.lock().expect("nobody panics over a sum");
        let mut kind = (Arc::clone(&client.id), Arc::clone(topic), blow);
        if sums.len() >= KINDS_MAX && !sums.contains_key(&kind) {
            kind.1 = MANY_TOPICS.into();
        }
        if let Some(sum) = sums.get_mut(&kind) {
            sum.count += 1;
            sum.bytes += bytes;
            return None;
        }
        // However many clients there are: beyond this, it is counted and no longer said one by one.
        if sums.len() >= 2 * KINDS_MAX {
            return None;
        }
        let what = say(client, &kind, 1, bytes);
        sums.insert(kind, Sum { client: Arc::clone(client), count: 0, bytes: 0 });
        Some(what)
    }

    /// Takes out what came after the first of each kind; a kind that was quiet is forgotten.
    fn take(&self) -> Vec<What> {
        let mut sums = self.sums.lock().expect("nobody panics over a sum");
        sums.retain(|_, sum| sum.count > 0);
        let said = sums.iter_mut().map(|(kind, sum)| {
            let (count, bytes) = (std::mem::take(&mut sum.count), std::mem::take(&mut sum.bytes));
            say(&sum.client, kind, count, bytes)
        });
        said.collect()
    }
}

fn say(client: &Arc<Client>, (_, topic, blow): &Kind, count: u64, bytes: u64) -> What {
    let (client, topic) = (Arc::clone(client), Arc::clone(topic));
    match blow {
        Blow::Dropped(reason) => What::MessageDropped { client, topic, count, bytes, reason },
        Blow::Denied(action, rule) => {
            What::AclDenied { client, action, topic, rule: Arc::clone(rule), count }
        }
    }
}

/// Says the sums until the broker stops, and once more then.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        let is_over = tokio::select! {
            () = tokio::time::sleep(PERIOD) => false,
            () = core.stop.cancelled() => true,
        };
        for what in [core.drops.take(), core.denials.take()].into_iter().flatten() {
            core.say(what);
        }
        if is_over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Blow = Blow::Dropped("queue is full");

    fn client(id: &str) -> Arc<Client> {
        Arc::new(Client { id: id.into(), username: None, address: "127.0.0.1".into(), port: 1 })
    }

    fn counts(said: &[What]) -> Vec<(String, u64, u64)> {
        let count = |what: &What| match what {
            What::MessageDropped { topic, count, bytes, .. } => (topic.to_string(), *count, *bytes),
            What::AclDenied { action, topic, rule, count, .. } => {
                (format!("{action} {topic}: {rule}"), *count, 0)
            }
            other => panic!("{other:?}"),
        };
        said.iter().map(count).collect()
    }

    #[test]
    fn the_first_drop_is_said_at_once_and_a_storm_is_one_event_with_a_count() {
        let (drops, client, topic) = (Storm::default(), client("stuck"), Arc::from("t"));
        let first = drops.add(&client, &topic, FULL, 3).unwrap();
        assert_eq!(counts(&[first]), [("t".into(), 1, 3)]);
        for _ in 0..1000 {
            assert!(drops.add(&client, &topic, FULL, 3).is_none());
        }
        assert!(drops.add(&client, &topic, Blow::Dropped("memory is short"), 3).is_some());
        assert_eq!(counts(&drops.take()), [("t".into(), 1000, 3000)]);
        drops.add(&client, &topic, FULL, 3);
        assert_eq!(counts(&drops.take()), [("t".into(), 1, 3)]);
        assert!(drops.take().is_empty());
        assert!(drops.add(&client, &topic, FULL, 3).is_some());
    }

    #[test]
    fn a_storm_of_denials_is_one_event_with_a_count_for_each_action_and_rule() {
        let (denials, client, topic) = (Storm::default(), client("curious"), Arc::from("secret"));
        let publish = || Blow::Denied("publish", "row 7".into());
        let first = denials.add(&client, &topic, publish(), 0).unwrap();
        assert_eq!(counts(&[first]), [("publish secret: row 7".into(), 1, 0)]);
        for _ in 0..1000 {
            assert!(denials.add(&client, &topic, publish(), 0).is_none());
        }
        let subscribe = Blow::Denied("subscribe", "row 7".into());
        assert!(denials.add(&client, &topic, subscribe, 0).is_some());
        assert_eq!(counts(&denials.take()), [("publish secret: row 7".into(), 1000, 0)]);
    }

    #[test]
    fn more_topics_than_can_be_told_apart_are_summed_as_one() {
        let (drops, client) = (Storm::default(), client("stuck"));
        let said = (0..3 * KINDS_MAX)
            .filter_map(|number| drops.add(&client, &number.to_string().into(), FULL, 3))
            .count();
        assert_eq!(said, KINDS_MAX + 1);
        let rest = (2 * KINDS_MAX - 1) as u64;
        assert_eq!(counts(&drops.take()), [("#".into(), rest, 3 * rest)]);
    }
}
