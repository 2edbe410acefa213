//! Subscribing: SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;

use super::codec::{Reason, Subscribe, Unsubscribe, Version, Wish};
use super::connection::{Connection, Ending, Promise};
use super::session::Options;
use super::tree;
use crate::dev::access::Verdict;
use crate::dev::happening::What;

/// Why a filter is refused.
#[derive(Debug, Clone)]
struct Refused {
    reason: Reason,
    rule: Option<Arc<str>>,
}

impl Connection {
    pub(super) async fn subscribe(&mut self, subscribe: Subscribe<'_>) -> Result<(), Ending> {
        let client = Arc::clone(&self.client);
        let topics = subscribe.wishes.iter().map(|wish| (wish.filter.into(), wish.qos)).collect();
        self.core.say(What::ClientSubscribe { client, topics });
        let mut refusals = Vec::with_capacity(subscribe.wishes.len());
        for wish in &subscribe.wishes {
            refusals.push(self.refuses(wish).await);
        }
        let is_denied = |refusal: &Refused| refusal.reason == Reason::NotAuthorized;
        if self.core.limits.denies_all_filters
            && let Some(denied) = refusals.iter().flatten().find(|refusal| is_denied(refusal))
        {
            let denied = denied.clone();
            refusals.fill(Some(denied));
        }
        let rule = refusals.iter_mut().find_map(|refusal| refusal.as_mut()?.rule.take());
        let rule = rule.filter(|_| self.is_told_why);
        let refusals = refusals.into_iter().map(|refusal| refusal.map(|refusal| refusal.reason));
        let (mut codes, mut last, mut kept) = (Vec::new(), 0, Vec::new());
        for (wish, refusal) in subscribe.wishes.iter().zip(refusals) {
            if let Some(reason) = refusal {
                let is_told = self.core.limits.tells_why_denied || reason != Reason::NotAuthorized;
                let is_told = is_told && self.version == Version::V5;
                codes.push(if is_told { reason } else { Reason::Unspecified }.code());
                continue;
            }
            let options = Options {
                qos: wish.qos,
                no_local: wish.no_local,
                retain_as_published: wish.retain_as_published,
                subscription: subscribe.subscription,
            };
            let filter: Arc<str> = wish.filter.into();
            let (is_new, number) = self.core.subscribe(&self.session, &filter, options);
            last = last.max(number);
            codes.push(wish.qos);
            let wants_kept = wish.retain_handling == 0 || (wish.retain_handling == 1 && is_new);
            if wants_kept && tree::shared(&filter).is_none() {
                kept.push((Arc::clone(&filter), options));
            }
            if is_new {
                let (client, qos) = (Arc::clone(&self.client), wish.qos);
                self.core.say(What::SessionSubscribed { client, topic: filter, qos });
            }
        }
        self.promises
            .push_back((last, Promise::Subscribed(subscribe.identifier, codes, rule, kept)));
        Ok(())
    }

    /// Says why a filter is refused, if it is.
    async fn refuses(&self, wish: &Wish<'_>) -> Option<Refused> {
        let limits = &self.core.limits;
        if wish.filter.split('/').count() > limits.topic_levels_max {
            return Some(Refused { reason: Reason::BadFilter, rule: None });
        }
        {
            let state = self.session.lock();
            let is_more = !state.subscriptions.contains_key(wish.filter);
            let bytes = state.filters.bytes() + tree::filter_bytes(wish.filter);
            let is_costly = bytes > limits.filters_bytes / 8 || self.core.filters.is_spent();
            if is_more && (is_costly || state.subscriptions.len() >= limits.subscriptions_max) {
                return Some(Refused { reason: Reason::QuotaExceeded, rule: None });
            }
        }
        let verdict = if self.who.is_superuser {
            Verdict { is_allowed: true, rule: "superuser".into() }
        } else {
            self.core.access.subscribe(&self.who, tree::inner(wish.filter)).await
        };
        if verdict.is_allowed {
            return None;
        }
        self.core.say_denied(&self.client, "subscribe", &wish.filter.into(), &verdict.rule);
        Some(Refused { reason: Reason::NotAuthorized, rule: Some(verdict.rule) })
    }

    pub(super) fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) {
        let client = Arc::clone(&self.client);
        let topics = unsubscribe.filters.iter().map(|filter| Arc::from(*filter)).collect();
        self.core.say(What::ClientUnsubscribe { client, topics });
        let (mut codes, mut last) = (Vec::new(), 0);
        for filter in &unsubscribe.filters {
            let (was_there, number) = self.core.unsubscribe(&self.session, filter);
            last = last.max(number);
            let reason = if was_there { Reason::Success } else { Reason::NoSubscriptionExisted };
            codes.push(reason.code());
            if was_there {
                let (client, topic) = (Arc::clone(&self.client), (*filter).into());
                self.core.say(What::SessionUnsubscribed { client, topic });
            }
        }
        self.promises.push_back((last, Promise::Unsubscribed(unsubscribe.identifier, codes)));
    }
}
