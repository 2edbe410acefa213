//! Drops: messages that reach nobody are said at once, and summed from the second on.
//!
//! A client that does not read can make the broker drop a hundred thousand messages a second. The first of a client,
//! topic and reason is said as it happens; what follows within the second is one happening with a count.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::core::Core;
use crate::dev::happening::{Client, Message, What};

/// How long drops of one kind are summed.
const PERIOD: Duration = Duration::from_secs(1);
/// Kinds that are summed apart; more topics than that are summed as `#`.
const KINDS_MAX: usize = 4096;
const MANY_TOPICS: &str = "#";

type Kind = (Arc<str>, Arc<str>, &'static str);

#[derive(Debug)]
struct Sum {
    client: Arc<Client>,
    count: u64,
    bytes: u64,
}

/// What was dropped since it was last said.
#[derive(Debug, Default)]
pub(super) struct Drops {
    sums: Mutex<HashMap<Kind, Sum>>,
}

impl Drops {
    /// Counts a dropped message; gives it back to be said if it is the first of its kind.
    pub(super) fn add(
        &self,
        client: &Arc<Client>,
        message: &Message,
        reason: &'static str,
    ) -> Option<What> {
        let bytes = message.payload.len() as u64;
        let mut sums = self.sums.lock().expect("nobody panics over a sum");
        let mut kind = (Arc::clone(&client.id), Arc::clone(&message.topic), reason);
        if sums.len() >= KINDS_MAX && !sums.contains_key(&kind) {
            kind.1 = MANY_TOPICS.into();
        }
        if let Some(sum) = sums.get_mut(&kind) {
            sum.count += 1;
            sum.bytes += bytes;
            return None;
        }
        // However many clients there are: beyond this, drops are counted and no longer said one by one.
        if sums.len() >= 2 * KINDS_MAX {
            return None;
        }
        let topic = Arc::clone(&kind.1);
        sums.insert(kind, Sum { client: Arc::clone(client), count: 0, bytes: 0 });
        Some(What::MessageDropped { client: Arc::clone(client), topic, count: 1, bytes, reason })
    }

    /// Takes out what came after the first of each kind; a kind that was quiet is forgotten.
    fn take(&self) -> Vec<What> {
        let mut sums = self.sums.lock().expect("nobody panics over a sum");
        sums.retain(|_, sum| sum.count > 0);
        let said = sums.iter_mut().map(|((_, topic, reason), sum)| What::MessageDropped {
            client: Arc::clone(&sum.client),
            topic: Arc::clone(topic),
            count: std::mem::take(&mut sum.count),
            bytes: std::mem::take(&mut sum.bytes),
            reason,
        });
        said.collect()
    }
}

/// Says the sums until the broker stops, and once more then.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        let is_over = tokio::select! {
            () = tokio::time::sleep(PERIOD) => false,
            () = core.stop.cancelled() => true,
        };
        for what in core.drops.take() {
            core.say(what);
        }
        if is_over {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn client(id: &str) -> Arc<Client> {
        Arc::new(Client { id: id.into(), username: None, address: "127.0.0.1".into(), port: 1 })
    }

    fn message(topic: &str) -> Message {
        Message {
            id: 1,
            topic: topic.into(),
            payload: Bytes::from_static(b"abc"),
            qos: 0,
            retain: false,
            dup: false,
            from: None,
            at_ms: 0,
        }
    }

    fn counts(said: &[What]) -> Vec<(String, u64, u64)> {
        let count = |what: &What| match what {
            What::MessageDropped { topic, count, bytes, .. } => (topic.to_string(), *count, *bytes),
            other => panic!("{other:?}"),
        };
        said.iter().map(count).collect()
    }

    #[test]
    fn the_first_drop_is_said_at_once_and_a_storm_is_one_event_with_a_count() {
        let (drops, client) = (Drops::default(), client("stuck"));
        let first = drops.add(&client, &message("t"), "queue is full").unwrap();
        assert_eq!(counts(&[first]), [("t".into(), 1, 3)]);
        for _ in 0..1000 {
            assert!(drops.add(&client, &message("t"), "queue is full").is_none());
        }
        assert!(drops.add(&client, &message("t"), "memory is short").is_some());
        assert_eq!(counts(&drops.take()), [("t".into(), 1000, 3000)]);
        drops.add(&client, &message("t"), "queue is full");
        assert_eq!(counts(&drops.take()), [("t".into(), 1, 3)]);
        assert!(drops.take().is_empty());
        assert!(drops.add(&client, &message("t"), "queue is full").is_some());
    }

    #[test]
    fn more_topics_than_can_be_told_apart_are_summed_as_one() {
        let (drops, client) = (Drops::default(), client("stuck"));
        let said = (0..3 * KINDS_MAX)
            .filter_map(|number| drops.add(&client, &message(&number.to_string()), "queue is full"))
            .count();
        assert_eq!(said, KINDS_MAX + 1);
        let rest = (2 * KINDS_MAX - 1) as u64;
        assert_eq!(counts(&drops.take()), [("#".into(), rest, 3 * rest)]);
    }
}
