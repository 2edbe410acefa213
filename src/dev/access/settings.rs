//! Settings: which rules decide, as `[dev.access]` says it.

use std::path::{Path, PathBuf};

use super::error::AccessError;
use super::hash::PasswordHash;
use super::schema;
use crate::manifest::{AccessProvider, AccessWish, Anonymous};

/// Which rules decide.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) provider: AccessProvider,
    /// The address of a PostgreSQL database; none for the embedded one.
    pub(super) url: Option<String>,
    /// emqttd's `acl.conf`: the rules, or what is asked after those of the database.
    pub(super) file: Option<PathBuf>,
    pub(super) auth: String,
    pub(super) superuser: String,
    pub(super) acl: String,
    pub(super) hash: PasswordHash,
    pub(super) nomatch_allows: bool,
    pub(super) anonymous: Anonymous,
    denies_as_emqttd: bool,
}

impl Settings {
    /// Makes settings of the wishes of the project at `project`; `url` is what the variable holds that they name.
    ///
    /// # Errors
    /// Where they contradict each other, or say something that is not known.
    pub fn new(
        wish: &AccessWish,
        project: &Path,
        url: Option<String>,
    ) -> Result<Self, AccessError> {
        let query = |query: &Option<String>, default: &str| {
            query.clone().unwrap_or_else(|| default.to_owned())
        };
        if let Some(name) = &wish.url_env
            && url.is_none()
        {
            return Err(AccessError::NoUrl { name: name.clone() });
        }
        let file = wish.file.as_ref().map(|file| project.join(file));
        if wish.provider == AccessProvider::Conf && file.is_none() {
            return Err(AccessError::NoFile);
        }
        Ok(Self {
            provider: wish.provider,
            url: url.or_else(|| wish.url.clone()),
            file,
            auth: query(&wish.auth_query, schema::AUTH),
            superuser: query(&wish.super_query, schema::SUPER),
            acl: query(&wish.acl_query, schema::ACL),
            hash: wish.password_hash.as_deref().map_or(Ok(PasswordHash::default()), str::parse)?,
            nomatch_allows: wish.nomatch_allows,
            anonymous: wish.anonymous,
            denies_as_emqttd: wish.denies_as_emqttd,
        })
    }

    /// Tells whether a denied message is answered with nothing and one denied filter denies a whole SUBSCRIBE.
    pub fn denies_as_emqttd(&self) -> bool {
        self.denies_as_emqttd
    }

    /// Tells whether no rule is asked at all.
    pub fn is_open(&self) -> bool {
        self.provider == AccessProvider::Open
    }
}
