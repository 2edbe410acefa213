//! Messages: the adapter that takes them over HTTP, and the reader that gives them back.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;

use super::input::{Queries, token};
use super::{Routes, Service, output};
use crate::dev::things::messages::{Query, Raw};
use crate::dev::things::topic::{self, Topic};
use crate::dev::things::wrong::{Result, Wrong};

const LIMIT: u64 = 10;
const BAD_SUBTOPIC: Wrong =
    Wrong::Malformed("the subtopic has a wildcard in it, or cannot be read");

type Asked = State<Arc<Service>>;

/// The adapter, with its addresses below `prefix`.
pub(super) fn adapter_routes(prefix: &str) -> Routes {
    let channel = format!("{prefix}/channels/{{id}}/messages");
    Routes::new()
        .route(&format!("{channel}/{{*subtopic}}"), post(publish))
        .route(&format!("{channel}/"), post(publish))
        .route(&channel, post(publish))
}

/// The reader.
pub(super) fn reader_routes() -> Routes {
    Routes::new().route("/channels/{id}/messages", get(read))
}

async fn publish(
    State(service): Asked,
    uri: Uri,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<StatusCode> {
    let (channel, rest) = place(uri.path()).ok_or(Wrong::Malformed("this names no channel"))?;
    let subtopic = decoded(rest).and_then(|text| topic::subtopic(&text)).ok_or(BAD_SUBTOPIC)?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let key = token(&headers)?;
    let topic = Topic { channel: channel.to_owned(), subtopic, content_type };
    let address = topic::write(&topic).or_else(|| {
        // A type that no topic can name is left out; the message still arrives.
        topic::write(&Topic { content_type: String::new(), ..topic.clone() })
    });
    let address = address.ok_or(BAD_SUBTOPIC)?;
    let kept = payload.clone();
    let keep = move |model: &crate::dev::things::model::Model| {
        let publisher = model.may_use(&topic.channel, &key)?;
        model.keep(Raw {
            channel: &topic.channel,
            subtopic: &topic.subtopic,
            publisher: &publisher,
            protocol: "http",
            content_type: &topic.content_type,
            payload: &kept,
        })
    };
    service.ask(keep).await?;
    service.broker.publish(&address, payload, 2, false);
    Ok(StatusCode::ACCEPTED)
}

/// Finds the channel in an address, and what stands behind `/messages`.
fn place(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix("/http").unwrap_or(path).strip_prefix("/channels/")?;
    let (channel, rest) = path.split_once("/messages")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (!channel.is_empty() && channel.chars().all(plain)).then_some((channel, rest))
}

/// Reads what is percent-encoded, and `+` as a space, as Go reads a query.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

async fn read(
    State(service): Asked,
    Path(channel): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response> {
    let key = token(&headers)?;
    let queries = Queries::read(&uri);
    let asked = channel.clone();
    service.ask(move |model| model.may_use(&asked, &key)).await?;
    let queries = queries?;
    let (offset, limit) = (queries.number("offset", 0)?, queries.number("limit", LIMIT)?);
    if limit == 0 {
        return Err(Wrong::Malformed("the limit is at least 1"));
    }
    let one = |name| queries.one(name).ok().flatten().map(str::to_owned);
    let query = Query {
        subtopic: one("subtopic"),
        publisher: one("publisher"),
        protocol: one("protocol"),
        name: one("name"),
    };
    let asked = channel.clone();
    let found = service.ask(move |model| model.read(&asked, &query, offset, limit)).await?;
    Ok(output::messages(&channel, &found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_go_reads_it() {
        assert_eq!(place("/http/channels/a-1/messages/x"), Some(("a-1", "/x")));
        assert_eq!(place("/channels/a/messages"), Some(("a", "")));
        for bad in ["/channels//messages", "/channels/a.b/messages", "/things/a/messages"] {
            assert_eq!(place(bad), None, "{bad}");
        }
        assert_eq!(decoded("/a%2Fb+c").as_deref(), Some("/a/b c"));
        for bad in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
