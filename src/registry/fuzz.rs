//! Fuzz: what registries, engines and people's configuration say, given by a fuzzer.

use super::challenge::{Challenge, check_realm, scopes};
use super::credentials::logins_in;
use super::engine::refusal;
use super::session::said_in;
use super::url::{Url, with_parameter};
use super::{Reference, mount_source};

/// Each reader of this room over the same text.
pub(crate) fn texts(text: &str) {
    if let Ok(reference) = Reference::parse(text) {
        let again = Reference::parse(&reference.to_string());
        assert_eq!(again.ok(), Some(reference), "a reference reads back from what it prints");
    }
    let _ = mount_source(text, "r.example");
    if let Some(Challenge::Bearer { realm, scope, .. }) = Challenge::parse(text) {
        let registry = Url { scheme: "https", authority: "r.example", rest: "" };
        let _ = check_realm(&realm, &registry, false);
        let _ = scopes(scope.as_deref(), &["repository:a:pull,push".into()]);
    }
    let base = Url { scheme: "https", authority: "r.example", rest: "/v2/a/blobs/uploads/?b=c" };
    if let Some(joined) = base.join(text) {
        assert!(Url::parse(&joined).is_some(), "what a location means is an address: {joined}");
        let _ = with_parameter(&joined, "digest", text);
    }
    let _ = said_in(text.as_bytes());
    let _ = refusal(text.as_bytes());
    let _ = logins_in(text, "r.example");
}
