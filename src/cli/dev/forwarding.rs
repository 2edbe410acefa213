//! Forwarding: where events go, as the manifest says, and who we are there, as the environment says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cli::Common;
use crate::dev::Secret;
use crate::dev::events::{Credentials, Forwards, Index};
use crate::disk;
use crate::explain::Failure;
use crate::manifest::{FILE_NAME, Manifest};

/// Reads `[dev.events]`; a directory without a manifest forwards nothing.
pub(super) fn read(common: &Common) -> Result<Forwards, Failure> {
    let project = disk::canonical(&common.project)?;
    if !disk::exists(&project.join(FILE_NAME)) {
        return Ok(Forwards::default());
    }
    let wish = Manifest::read(&project)?.dev.events;
    let target = |text: &String| text.parse().expect("the manifest was checked");
    Ok(Forwards {
        targets: wish.forward.iter().map(target).collect(),
        index: if wish.is_daily { Index::Daily } else { Index::One },
        credentials: credentials(),
        ndjson: wish.ndjson.map(|path| project.join(path)),
    })
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
