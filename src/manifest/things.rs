//! Things: how things and channels run on one's desk, as `[dev.things]` says it.

use super::form::Form;
use super::keys::{Key, Kind, key};
use super::section::Section;

/// `[dev.things]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThingsWish {
    /// Whether things decide who may publish, and each of Mainflux's services has its own port; else the profile says.
    pub decide: Option<bool>,
    /// Whether the name of an MQTT client has to be its thing's identifier.
    pub username_is_thing: bool,
    /// The variable of the environment that holds what secure bootstrap closes configurations with.
    pub bootstrap_key_env: Option<String>,
}

/// The keys of `[dev.things]`.
pub(super) const THINGS: &[Key] = &[
    key(
        "decide",
        Kind::Flag,
        "Whether things decide who may connect and publish, and each of Mainflux's services has its own port; true by default under `profile = \"mainflux\"`.",
    ),
    key(
        "username-is-thing",
        Kind::Flag,
        "Whether the user name of an MQTT client has to be its thing's identifier; false by default: the key alone counts.",
    ),
    key(
        "bootstrap-key-env",
        Kind::Text(Form::Variable),
        "The variable of the environment that holds the key of secure bootstrap, 16, 24 or 32 bytes; Mainflux's own by default.",
    ),
];

pub(super) fn read(section: &Section<'_>) -> ThingsWish {
    ThingsWish {
        decide: section.flag("decide"),
        username_is_thing: section.flag("username-is-thing").unwrap_or(false),
        bootstrap_key_env: section.text("bootstrap-key-env"),
    }
}
