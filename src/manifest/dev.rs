//! Dev: how the stack on one's desk runs, as `[dev]` says it.

use super::access::{self, ACCESS, AccessWish};
use super::format::Section;
use super::keys::{Key, Kind, key};

/// `[dev]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DevWish {
    /// Who may use the broker.
    pub access: AccessWish,
}

/// The keys of `[dev]`.
pub(super) const DEV: &[Key] =
    &[key("access", Kind::Table(ACCESS), "Who may connect to the broker, publish and subscribe.")];

pub(super) fn read(section: &Section<'_>) -> DevWish {
    DevWish { access: access::read(&section.section("access")) }
}
