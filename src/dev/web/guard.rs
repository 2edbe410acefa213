//! Guard: what every request has to pass before a service sees it.
//!
//! The services listen on the loopback, and any page in a browser can send there. Two marks tell such a page's
//! requests from a person's own: a host name that is the page's (a name that was made to point here, known as DNS
//! rebinding), and an origin that is not the service itself.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::refusal::Refusal;
use crate::limits::{WEB_ANSWER_S_MAX, WEB_BODY_BYTES_MAX};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets a request through, or says why not. An answer has to begin in time, its body may come as it likes.
pub(super) async fn admit(request: Request, next: Next) -> Response {
    if let Err(refusal) = check(request.headers()) {
        return refusal.into_response();
    }
    let answer = tokio::time::timeout(Duration::from_secs(WEB_ANSWER_S_MAX), next.run(request));
    answer.await.unwrap_or_else(|_| {
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response()
    })
}

fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let host = text(&HOST);
    // HTTP/1.0 has none, and no browser speaks it.
    if host.is_some_and(|host| !is_near(name(host))) {
        let error = "this name is not the desk's; use 127.0.0.1 or localhost";
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, error));
    }
    let is_foreign = text(&ORIGIN).is_some_and(|origin| {
        let of = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        of.is_none() || of != host
    });
    let is_cross = matches!(text(&SITE), Some("cross-site" | "same-site"));
    if is_foreign || is_cross {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "a page of another site may not ask here"));
    }
    let length = text(&CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > WEB_BODY_BYTES_MAX as u64) {
        let error = format!("the body is larger than {WEB_BODY_BYTES_MAX} bytes");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error));
    }
    Ok(())
}

/// The name in `NAME:PORT` or `[ADDRESS]:PORT`.
fn name(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

/// Tells whether a name can be only this machine's: an address, a name without a dot (a service of the stack), or
/// one below `localhost`, which no one can register.
fn is_near(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_single = !name.is_empty() && !name.contains('.');
    name.parse::<IpAddr>().is_ok() || is_single || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(lines: &[(HeaderName, &str)]) -> Option<u16> {
        let headers =
            lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        check(&headers).err().map(|refusal| refusal.status.as_u16())
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
}
