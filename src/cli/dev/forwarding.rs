//! Forwarding: where events go, as the manifest says, and who we are there, as the environment says.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::parts::Parts;
use crate::dev::Secret;
use crate::dev::events::{Credentials, Forwards, Index};
use crate::dev::services::url_variable;
use crate::manifest::{Runs, Server, ServiceWish};

/// Reads what `[dev.events]` says. Each real Redis among the services, whose addresses are `known`, gets what ours
/// gets: programs that are told of it find Mainflux's streams there.
pub(super) fn forwards(parts: &Parts, known: &BTreeMap<String, String>) -> Forwards {
    let wish = &parts.dev.events;
    let target = |text: &String| text.parse().expect("the manifest was checked");
    let is_redis = |wish: &ServiceWish| wish.runs == Runs::Server(Server::Redis);
    let redis = parts.services.iter().filter(|(_, wish)| is_redis(wish));
    let own = redis.filter_map(|(name, _)| known.get(&url_variable(name))?.parse().ok());
    Forwards {
        targets: wish.forward.iter().map(target).collect(),
        own: own.collect(),
        index: if wish.is_daily { Index::Daily } else { Index::One },
        credentials: credentials(),
        ndjson: wish.ndjson.as_ref().map(|path| parts.project.join(path)),
        ..Forwards::default()
    }
}

/// Takes what the environment says; it is never written down or shown.
fn credentials() -> Credentials {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let basic = || {
        let (user, password) =
            (set("REBEAM_ELASTICSEARCH_USER")?, set("REBEAM_ELASTICSEARCH_PASSWORD")?);
        Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    };
    let key = set("REBEAM_ELASTICSEARCH_API_KEY").map(|key| format!("ApiKey {key}"));
    Credentials {
        authorization: key.or_else(basic).map(|text| Secret::new(&text)),
        redis_user: set("REBEAM_REDIS_USER"),
        redis_password: set("REBEAM_REDIS_PASSWORD").map(|text| Secret::new(&text)),
    }
}
