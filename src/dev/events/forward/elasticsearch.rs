//! Elasticsearch: events as documents of a real Elasticsearch or OpenSearch, by its bulk interface.
//!
//! Each document has the name `LOG-NUMBER`, so that what is sent twice is there once.

use std::io::Read as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Index, Outcome, Parcel, Receiver, Trouble};
use crate::dev::events::elastic::names::daily;
use crate::dev::events::schema::LOG;
use crate::dev::secret::Secret;
use crate::http::{Answer, Failed, Http, Method, Mirrors, Network, Pace, Request, Sent, Step};

/// Bytes of an answer: one line for each document.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

pub(super) struct Bulk {
    http: Http,
    url: String,
    authorization: Option<Secret>,
    index: Index,
    log: String,
}

impl Bulk {
    pub(super) fn new(url: &str, authorization: Option<Secret>, index: Index, log: &str) -> Self {
        let pace = Pace {
            attempts_max: 1,
            connect_ms_max: 5_000,
            silence_ms_max: 20_000,
            ..Pace::default()
        };
        let http = Http::with_pace(Network::Open, Mirrors::default(), pace);
        Self { http, url: format!("{url}/_bulk"), authorization, index, log: log.to_owned() }
    }

    fn body(&self, parcels: &[Parcel]) -> String {
        let mut body = String::new();
        for parcel in parcels {
            let index = match self.index {
                Index::One => LOG.to_owned(),
                Index::Daily => daily(&parcel.kind, parcel.at_ms).to_lowercase(),
            };
            let id = format!("{}-{}", self.log, parcel.id);
            let head = json!({"index": {"_index": index, "_id": id}});
            body.push_str(&format!("{head}\n{}\n", parcel.source));
        }
        body
    }

    fn post(&self, body: &str) -> Result<(u16, Value, Option<Duration>), Trouble> {
        let mut headers = vec![("content-type", "application/x-ndjson".to_owned())];
        headers.extend(
            self.authorization.as_ref().map(|secret| ("authorization", secret.reveal().to_owned())),
        );
        let request =
            Request { name: "events", url: &self.url, limit: ANSWER_BYTES_MAX, headers: &headers };
        let sent = Sent::Bytes(body.as_bytes());
        let Answer { status, headers, mut body, .. } = self
            .http
            .attempt(&Step { method: Method::Post, request, sent })
            .map_err(|failed| match failed {
                Failed::Final(error) => Trouble::new(error),
                Failed::Passing(passing) => Trouble::new(passing.error),
            })?;
        let after =
            headers.get("retry-after").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let mut text = Vec::new();
        body.read_to_end(&mut text).map_err(Trouble::new)?;
        Ok((status, serde_json::from_slice(&text).unwrap_or_default(), after))
    }
}

impl Receiver for Bulk {
    fn send(&mut self, parcels: &[Parcel]) -> Result<Outcome, Trouble> {
        let (status, answer, after) = self.post(&self.body(parcels))?;
        match status {
            200 => judge(&answer, parcels.len()),
            // Too much for it at once.
            413 if parcels.len() > 1 => {
                let (before, behind) = parcels.split_at(parcels.len() / 2);
                let mut outcome = self.send(before)?;
                // What was taken already is sent once more where this fails, and is there once all the same.
                let rest = self.send(behind)?;
                outcome.refused += rest.refused;
                outcome.again.extend(rest.again.iter().map(|place| place + before.len()));
                Ok(outcome)
            }
            413 => Ok(Outcome { refused: 1, again: Vec::new() }),
            _ => {
                let why = answer["error"]["reason"]
                    .as_str()
                    .or(answer["error"].as_str())
                    .unwrap_or_default();
                let why: String = why.chars().take(200).collect();
                Err(Trouble {
                    reason: format!("it answers {status} {why}").trim_end().to_owned(),
                    after,
                })
            }
        }
    }
}

/// Reads what became of each document.
fn judge(answer: &Value, count: usize) -> Result<Outcome, Trouble> {
    let items = answer["items"].as_array().filter(|items| items.len() == count);
    let items = items.ok_or_else(|| Trouble::new("its answer is none of Elasticsearch"))?;
    let mut outcome = Outcome::default();
    for (place, item) in items.iter().enumerate() {
        let result = item.as_object().and_then(|item| item.values().next());
        match result.and_then(|result| result["status"].as_u64()) {
            Some(200..=299) => {}
            Some(429) | Some(500..) | None => outcome.again.push(place),
            Some(_) => outcome.refused += 1,
        }
    }
    Ok(outcome)
}
