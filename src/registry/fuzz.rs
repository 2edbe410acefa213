//! Fuzz: what registries, engines and people's configuration say, given by a fuzzer.

use super::challenge::{Challenge, check_realm, scopes};
use super::credentials::logins_in;
use super::documents::{Document, choose};
use super::engine::refusal;
use super::session::said_in;
use super::url::{Url, with_parameter};
use super::{Origin, Platform, Reference, mount_source};

/// Each reader of this room over the same text.
pub(crate) fn texts(text: &str) {
    if let Ok(reference) = Reference::parse(text) {
        let again = Reference::parse(&reference.to_string());
        assert_eq!(again.ok(), Some(reference), "a reference reads back from what it prints");
    }
    if let Ok(origin) = Origin::parse(text) {
        let again = Origin::parse(&origin.to_string());
        let again = again.expect("what an origin prints can be read");
        assert_eq!(again.to_string(), origin.to_string());
    }
    for media_type in ["", "application/vnd.oci.image.index.v1+json"] {
        if let Ok(Document::Index(entries)) = Document::read(text.as_bytes(), media_type) {
            let _ = choose(&entries, &Platform::of("amd64"));
        }
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
