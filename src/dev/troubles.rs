//! Troubles: what keeps parts of the stack from writing, as it was seen last.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// Each part that is in trouble, by the beginning of its services' names, and why.
type Known = BTreeMap<&'static str, String>;

/// Where troubles are told. Cloned by counting.
#[derive(Debug, Clone, Default)]
pub struct Troubles {
    known: Arc<watch::Sender<Known>>,
}

impl Troubles {
    /// Tells how things are now.
    pub(super) fn set(&self, now: Known) {
        self.known.send_if_modified(|known| {
            let is_news = *known != now;
            *known = now;
            is_news
        });
    }

    /// Returns what keeps the service `name` from writing, if something does.
    pub fn of(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix("embedded-").unwrap_or(name);
        let known = self.known.borrow();
        known.iter().find(|(part, _)| name.starts_with(**part)).map(|(_, why)| why.clone())
    }

    /// Waits for the next change and returns what is different: each part, and its trouble or none.
    pub async fn next(&self, before: &mut Known) -> BTreeMap<&'static str, Option<String>> {
        let mut watch = self.known.subscribe();
        // Not an error: this very value keeps the other end.
        let now = watch.wait_for(|now| now != before).await.map(|now| now.clone());
        let now = now.unwrap_or_default();
        let fresh = now.iter().filter(|(part, why)| before.get(*part) != Some(why));
        let mut news: BTreeMap<_, _> =
            fresh.map(|(part, why)| (*part, Some(why.clone()))).collect();
        news.extend(
            before.keys().filter(|part| !now.contains_key(*part)).map(|part| (*part, None)),
        );
        *before = now;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_trouble_is_told_once_for_all_services_of_its_part_and_so_is_its_end() {
        let troubles = Troubles::default();
        let mut seen = BTreeMap::new();
        let why = || "the disk is full".to_owned();
        troubles.set([("mqtt", why())].into());
        assert_eq!(troubles.of("mqtts"), Some(why()));
        assert_eq!((troubles.of("embedded-mqtt"), troubles.of("redis")), (Some(why()), None));
        assert_eq!(troubles.next(&mut seen).await, [("mqtt", Some(why()))].into());
        troubles.set([("mqtt", why())].into());
        troubles.set([("redis", why())].into());
        let both = [("mqtt", None), ("redis", Some(why()))];
        assert_eq!(troubles.next(&mut seen).await, both.into());
    }
}
