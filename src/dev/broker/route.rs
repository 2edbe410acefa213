//! Route: a message finds the clients that want it, and new subscriptions find the messages that were kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::codec::Reason;
use super::core::Core;
use super::parcel::{Entry, Parcel};
use super::session::{Options, Pushed, Session};
use super::store::Change;
use super::tree::{self, Group, Target, Targets, Wish};
use crate::dev::happening::What;

/// What became of a message.
#[derive(Debug, Clone, Default)]
pub(super) struct Routed {
    /// The store's number that its acknowledgement waits for.
    pub(super) number: u64,
    /// Whether anybody wanted it.
    pub(super) is_wanted: bool,
    /// A client that got it and has more waiting than usual.
    pub(super) behind: Option<Arc<Session>>,
}

/// How a message is put into a queue.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) is_backlog: bool,
    pub(super) subscriptions: Option<Arc<[u32]>>,
}

impl Core {
    /// Publishes a message: keeps it if it asks for that, and gives it to all who want it.
    pub(super) fn publish_parcel(&self, parcel: &Arc<Parcel>, from: Option<&Session>) -> Routed {
        let targets = self.targets(&parcel.message.topic);
        self.publish_to(parcel, &targets, from)
    }

    /// Finds who wants a topic now.
    pub(super) fn targets(&self, topic: &str) -> Targets {
        self.tree
            .read()
            .expect("nothing panics while it holds the tree")
            .find(topic, self.limits.overlap)
    }

    /// Publishes a message to clients that were found before.
    pub(super) fn publish_to(
        &self,
        parcel: &Arc<Parcel>,
        targets: &Targets,
        from: Option<&Session>,
    ) -> Routed {
        let message = &parcel.message;
        if self.bus.is_watched_closely() && !message.topic.starts_with("$SYS/") {
            self.say(What::MessagePublished { message: message.clone() });
        }
        let mut routed = Routed::default();
        if message.retain {
            routed.number = self.retain(parcel);
        }
        for target in &targets.clients {
            if target.no_local && from.is_some_and(|from| std::ptr::eq(from, &*target.session)) {
                continue;
            }
            self.give(parcel, target, &mut routed);
        }
        for group in &targets.groups {
            if let Some(target) = next_of(group) {
                self.give(parcel, &target, &mut routed);
            }
        }
        routed
    }

    fn give(&self, parcel: &Arc<Parcel>, target: &Target, routed: &mut Routed) {
        let place = Place {
            qos: parcel.message.qos.min(target.qos),
            retain: parcel.message.retain && target.retain_as_published,
            is_backlog: false,
            subscriptions: target.subscriptions.clone(),
        };
        let (number, is_behind) = self.enqueue(&target.session, parcel, place);
        routed.number = routed.number.max(number);
        if is_behind {
            routed.behind = Some(Arc::clone(&target.session));
        }
        routed.is_wanted = true;
    }

    /// Puts a message into a client's queue, within the bounds.
    pub(super) fn enqueue(
        &self,
        session: &Arc<Session>,
        parcel: &Arc<Parcel>,
        place: Place,
    ) -> (u64, bool) {
        let mut state = session.lock();
        if state.is_gone {
            return (0, false);
        }
        let is_kept = place.qos > 0 && self.store.is_some() && state.is_durable();
        let entry = Entry {
            parcel: Arc::clone(parcel),
            place: if is_kept { self.number() } else { 0 },
            qos: place.qos,
            retain: place.retain,
            is_backlog: place.is_backlog,
            subscriptions: place.subscriptions,
        };
        let kept = is_kept.then(|| (entry.place, entry.subscriptions.clone()));
        let refused = match state.push(entry, &self.limits, &self.budget) {
            Pushed::Queued => None,
            Pushed::InPlaceOf(gone, reason) => {
                for entry in gone {
                    self.drop_entry(&mut state, &entry, reason);
                }
                None
            }
            Pushed::Refused(reason) => Some(reason),
            Pushed::Overflow => {
                if let Some(end) = state.end.take() {
                    let _ = end.send(Reason::QuotaExceeded);
                }
                Some("queue is full, client is disconnected")
            }
        };
        if let Some(reason) = refused {
            state.dropped += 1;
            self.say_dropped(&state.client, parcel, reason);
            return (0, state.is_behind(&self.limits));
        }
        let number = kept.map_or(0, |(place_number, numbers)| {
            self.keep(|| Change::Queued {
                session: session.number,
                place: place_number,
                parcel: Arc::clone(parcel),
                qos: place.qos,
                retain: place.retain,
                numbers,
            })
        });
        let (is_behind, is_connected) = (state.is_behind(&self.limits), state.is_connected);
        drop(state);
        if is_connected {
            session.wake.notify_one();
        }
        (number, is_behind)
    }

    /// Keeps a message for later subscribers; an empty one ends what was kept.
    fn retain(&self, parcel: &Arc<Parcel>) -> u64 {
        let topic = &parcel.message.topic;
        let mut retained = self.retained.write().expect("nothing panics while it holds these");
        let is_own = topic.starts_with("$SYS/");
        if parcel.message.payload.is_empty() {
            return match retained.remove(topic) {
                Some(_) if !is_own => {
                    self.keep(|| Change::RetainedGone { topic: Arc::clone(topic) })
                }
                _ => 0,
            };
        }
        let old_bytes = retained.get(topic).map(|old| old.message.payload.len());
        let is_larger = old_bytes.is_none_or(|bytes| bytes < parcel.message.payload.len());
        let is_one_more = old_bytes.is_none() && retained.len() >= self.limits.retained_max;
        // While the disk is behind, what was replaced still waits to be written: so nothing passes a spent budget.
        if is_one_more || (is_larger && self.budget.is_short()) || self.budget.is_spent() {
            drop(retained);
            if let Some(client) = &parcel.message.from {
                self.say_dropped(client, parcel, "too many messages are kept");
            }
            return 0;
        }
        // The old one is dropped after the lock: it may have to tell the store.
        let old = retained.insert(Arc::clone(topic), Arc::clone(parcel));
        drop(retained);
        drop(old);
        if is_own { 0 } else { self.keep(|| Change::Retained { parcel: Arc::clone(parcel) }) }
    }

    /// Adds a subscription; tells whether the client had none for this filter, and the store's number.
    pub(super) fn subscribe(
        &self,
        session: &Arc<Session>,
        filter: &Arc<str>,
        options: Options,
    ) -> (bool, u64) {
        let mut state = session.lock();
        if state.is_gone {
            return (false, 0);
        }
        let is_new = state.subscriptions.insert(Arc::clone(filter), options).is_none();
        if is_new {
            let bytes = state.filters.bytes() + tree::filter_bytes(filter);
            state.filters.resize(bytes);
        }
        let is_durable = state.is_durable();
        drop(state);
        let wish = Wish::new(session, options);
        self.tree.write().expect("nothing panics while it holds the tree").insert(filter, wish);
        self.generation.fetch_add(1, Ordering::Release);
        let (session, filter) = (session.number, Arc::clone(filter));
        let number = if is_durable {
            self.keep(|| Change::Subscription { session, filter, options })
        } else {
            0
        };
        (is_new, number)
    }

    /// Takes a subscription out; tells whether there was one, and the store's number.
    pub(super) fn unsubscribe(&self, session: &Arc<Session>, filter: &str) -> (bool, u64) {
        let mut state = session.lock();
        let Some((filter, _)) = state.subscriptions.remove_entry(filter) else {
            return (false, 0);
        };
        let bytes = state.filters.bytes().saturating_sub(tree::filter_bytes(&filter));
        state.filters.resize(bytes);
        let is_durable = state.is_durable();
        drop(state);
        self.tree.write().expect("nothing panics while it holds the tree").remove(&filter, session);
        self.generation.fetch_add(1, Ordering::Release);
        let session = session.number;
        let number =
            if is_durable { self.keep(|| Change::SubscriptionGone { session, filter }) } else { 0 };
        (true, number)
    }

    /// Gives a new subscription the messages that were kept for its filter.
    pub(super) fn give_retained(&self, session: &Arc<Session>, filter: &str, options: Options) {
        let now_ms = super::core::now_ms();
        for parcel in self.retained_for(filter) {
            if parcel.seconds_left(now_ms) == Some(0) {
                continue;
            }
            let own = parcel.message.from.as_ref().is_some_and(|from| from.id == session.client_id);
            if own && options.no_local {
                continue;
            }
            let place = Place {
                qos: parcel.message.qos.min(options.qos),
                retain: true,
                is_backlog: true,
                subscriptions: options.subscription.map(|number| Arc::from([number])),
            };
            self.enqueue(session, &parcel, place);
        }
    }

    /// Finds the kept messages of a filter, by the part before its first wildcard.
    pub(super) fn retained_for(&self, filter: &str) -> Vec<Arc<Parcel>> {
        let retained = self.retained.read().expect("nothing panics while it holds these");
        let Some(wildcard) = filter.find(['+', '#']) else {
            return retained.get(filter).cloned().into_iter().collect();
        };
        // `a/#` wants `a` too, so the slash before a wildcard is no part of what all have in common.
        let common = filter[..wildcard].trim_end_matches('/');
        retained
            .range::<str, _>((std::ops::Bound::Included(common), std::ops::Bound::Unbounded))
            .take_while(|(topic, _)| topic.starts_with(common))
            .filter(|(topic, _)| tree::matches(filter, topic))
            .map(|(_, parcel)| Arc::clone(parcel))
            .collect()
    }
}

impl Wish {
    pub(super) fn new(session: &Arc<Session>, options: Options) -> Self {
        Self {
            session: Arc::clone(session),
            qos: options.qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            subscription: options.subscription,
        }
    }
}

/// Chooses whose turn it is in a group: one that is there, else the first that has a queue.
fn next_of(group: &Group) -> Option<Target> {
    let count = group.members.len();
    let turn = group.turn.fetch_add(1, Ordering::Relaxed);
    let in_turn = (0..count).map(|step| &group.members[(turn.wrapping_add(step)) % count]);
    let chosen = in_turn
        .clone()
        .find(|wish| wish.session.lock().is_connected)
        .or_else(|| in_turn.clone().next())?;
    Some(Target {
        session: Arc::clone(&chosen.session),
        qos: chosen.qos,
        no_local: false,
        retain_as_published: chosen.retain_as_published,
        subscriptions: chosen.subscription.map(|number| Arc::from([number])),
    })
}
