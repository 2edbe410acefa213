//! Guard: what every request has to pass before a service sees it.
//!
//! The services listen on the loopback, and any page in a browser can send there. Two marks tell such a page's
//! requests from a person's own: a host name that is the page's (a name that was made to point here, known as DNS
//! rebinding), and an origin that is neither the service itself nor one that a person allowed. WebSockets of the
//! broker pass the same marks. Where others than this machine can reach the services, a password is asked for.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, ORIGIN, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::refusal::Refusal;
use crate::dev::secret::Secret;
use crate::limits::{WEB_ANSWER_S_MAX, WEB_BODY_BYTES_MAX};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The password, for those whose `Authorization` is the service's own.
const PASSWORD: HeaderName = HeaderName::from_static("x-rebeam-password");

/// Who can reach the services.
#[derive(Debug, Clone, Default)]
pub enum Exposure {
    /// This machine alone.
    #[default]
    Loopback,
    /// Others, who have to know a password.
    Password(Secret),
    /// Others, and a person said that they may.
    Insecure,
}

/// Who is let in.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    exposure: Exposure,
    origins: Arc<BTreeSet<String>>,
}

impl Guard {
    /// A guard that lets pages of `origins` in beside the services' own.
    pub fn new(exposure: Exposure, origins: BTreeSet<String>) -> Self {
        Self { exposure, origins: Arc::new(origins) }
    }

    /// Returns who can reach the services.
    pub fn exposure(&self) -> &Exposure {
        &self.exposure
    }

    /// Returns the password that everybody has to know, if there is one.
    pub fn secret(&self) -> Option<&Secret> {
        match &self.exposure {
            Exposure::Password(secret) => Some(secret),
            Exposure::Loopback | Exposure::Insecure => None,
        }
    }

    /// Refuses what a page of another site sends, or sends to a name that is not the desk's.
    pub fn check_site(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = text(headers, &HOST);
        // HTTP/1.0 has none, and no browser speaks it. Who has the password is no page that made up a name.
        if self.secret().is_none() && host.is_some_and(|host| !is_near(name(host))) {
            let error = "this name is not the desk's; use 127.0.0.1 or localhost";
            return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, error));
        }
        let origin = text(headers, &ORIGIN);
        if origin.is_some_and(|origin| self.origins.contains(origin)) {
            return Ok(());
        }
        let is_foreign = origin.is_some_and(|origin| {
            let of = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            of.is_none() || of != host
        });
        let is_cross = matches!(text(headers, &SITE), Some("cross-site" | "same-site"));
        if is_foreign || is_cross {
            let error = "a page of another site may not ask here";
            return Err(Refusal::new(StatusCode::FORBIDDEN, error));
        }
        Ok(())
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        self.check_site(headers)?;
        if self.secret().is_some_and(|secret| !knows(headers, secret)) {
            let error = "the stack's password is missing or wrong";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, error));
        }
        let length = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > WEB_BODY_BYTES_MAX as u64) {
            let error = format!("the body is larger than {WEB_BODY_BYTES_MAX} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error));
        }
        Ok(())
    }
}

/// Lets a request through, or says why not. An answer has to begin in time, its body may come as it likes.
pub(super) async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if let Err(refusal) = guard.check(request.headers()) {
        let is_unknown = refusal.status == StatusCode::UNAUTHORIZED;
        let mut response = refusal.into_response();
        if is_unknown {
            let ask = HeaderValue::from_static("Basic realm=\"rebeam dev\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, ask);
        }
        return response;
    }
    let answer = tokio::time::timeout(Duration::from_secs(WEB_ANSWER_S_MAX), next.run(request));
    answer.await.unwrap_or_else(|_| {
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response()
    })
}

/// A header as text; what is no text is no value that anybody waits for.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or(""))
}

/// Tells whether a request bears the password: in its own header, or as HTTP's basic one with any user name.
fn knows(headers: &HeaderMap, secret: &Secret) -> bool {
    if headers.get(&PASSWORD).is_some_and(|value| secret.is(value.as_bytes())) {
        return true;
    }
    let basic = text(headers, &AUTHORIZATION).and_then(|value| value.split_once(' '));
    let basic = basic.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let Some(bytes) = basic.and_then(|(_, given)| STANDARD.decode(given.trim()).ok()) else {
        return false;
    };
    let colon = bytes.iter().position(|byte| *byte == b':');
    colon.is_some_and(|colon| secret.is(&bytes[colon + 1..]))
}

/// The name in `NAME:PORT` or `[ADDRESS]:PORT`.
fn name(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

/// Tells whether a name can be only this machine's or its network's: an address, a name without a dot (a service of
/// the stack), or one below a domain that no one can register.
fn is_near(name: &str) -> bool {
    const PRIVATE: [&str; 4] = [".localhost", ".local", ".lan", ".internal"];
    let name = name.to_ascii_lowercase();
    let is_single = !name.is_empty() && !name.contains('.');
    let is_private = PRIVATE.iter().any(|domain| name.ends_with(domain));
    name.parse::<IpAddr>().is_ok() || is_single || is_private
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(guard: &Guard, lines: &[(HeaderName, &str)]) -> Option<u16> {
        let headers =
            lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        guard.check(&headers).err().map(|refusal| refusal.status.as_u16())
    }

    fn status(lines: &[(HeaderName, &str)]) -> Option<u16> {
        status_of(&Guard::default(), lines)
    }

    #[test]
    fn a_name_that_points_here_and_is_not_ours_is_refused() {
        for near in ["127.0.0.1:9200", "[::1]:80", "localhost", "elasticsearch:9200", "a.localhost"]
        {
            assert_eq!(status(&[(HOST, near)]), None, "{near}");
        }
        for far in ["attacker.example", "127.0.0.1.attacker.example:9200", ""] {
            assert_eq!(status(&[(HOST, far)]), Some(421), "{far}");
        }
        assert_eq!(status(&[]), None);
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let host = (HOST, "localhost:18083");
        assert_eq!(status(&[host.clone(), (ORIGIN, "http://localhost:18083")]), None);
        for origin in ["http://localhost:3000", "null", "https://attacker.example"] {
            assert_eq!(status(&[host.clone(), (ORIGIN, origin)]), Some(403), "{origin}");
        }
        assert_eq!(status(&[host.clone(), (SITE, "cross-site")]), Some(403));
        assert_eq!(status(&[host, (SITE, "same-origin")]), None);
    }

    #[test]
    fn a_page_that_was_allowed_by_name_is_let_in_and_no_other() {
        let origins = BTreeSet::from(["http://localhost:3000".to_owned()]);
        let guard = Guard::new(Exposure::Loopback, origins);
        let from = |origin| {
            let site = (SITE, "same-site");
            status_of(&guard, &[(HOST, "localhost:8083"), (ORIGIN, origin), site])
        };
        assert_eq!(from("http://localhost:3000"), None);
        assert_eq!(from("http://localhost:3001"), Some(403));
        assert_eq!(from("http://localhost:3000.attacker.example"), Some(403));
        let rebound = [(HOST, "attacker.example"), (ORIGIN, "http://localhost:3000")];
        assert_eq!(status_of(&guard, &rebound), Some(421));
    }

    #[test]
    fn a_password_is_taken_from_either_header_and_nothing_passes_without() {
        let guard = Guard::new(Exposure::Password(Secret::new("hunter2")), BTreeSet::new());
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(status_of(&guard, &[]), Some(401));
        assert_eq!(status_of(&guard, &[(PASSWORD, "hunter2")]), None);
        assert_eq!(status_of(&guard, &[(PASSWORD, "hunter")]), Some(401));
        assert_eq!(status_of(&guard, &[(AUTHORIZATION, &basic("anybody:hunter2"))]), None);
        for wrong in [basic("anybody:hunter"), basic("hunter2"), "Basic %".into(), "hunter2".into()]
        {
            assert_eq!(status_of(&guard, &[(AUTHORIZATION, &wrong)]), Some(401), "{wrong}");
        }
        // The password is asked of a page of another site, too, and does not help it.
        let foreign = [(PASSWORD, "hunter2"), (HOST, "h"), (ORIGIN, "https://attacker.example")];
        assert_eq!(status_of(&guard, &foreign), Some(403));
    }
}
