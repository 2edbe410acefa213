//! Forwarding: where events go, as the manifest says, and who we are there, as the environment says.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::dev::Secret;
use crate::dev::events::{Credentials, Forwards, Index};
use crate::manifest::EventsWish;

/// Reads what `[dev.events]` of the project at `project` says.
pub(super) fn forwards(wish: &EventsWish, project: &Path) -> Forwards {
    let target = |text: &String| text.parse().expect("the manifest was checked");
    Forwards {
        targets: wish.forward.iter().map(target).collect(),
        index: if wish.is_daily { Index::Daily } else { Index::One },
        credentials: credentials(),
        ndjson: wish.ndjson.as_ref().map(|path| project.join(path)),
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
