//! Fetch: documents and blobs out of a repository, counted and hashed as they arrive.
//!
//! A blob goes from the wire into the store without being held in memory. Where the connection breaks, the rest is
//! asked for (`Range`) and read on as if nothing had happened; a registry that gives it all again is read past what
//! is there. Either way the digest over all of it decides, so a server that changes its mind in between gains nothing.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::documents::ACCEPTED;
use super::error::said;
use super::session::{Ask, Reach, Session, Trouble};
use super::{PullError, PushError};
use crate::digest::Digest;
use crate::event::Event;
use crate::http::{Answer, HttpError, Method, Passing, Sent};
use crate::limits::MANIFEST_BYTES_MAX;
use crate::store::{HeldBlob, Store, StoreError};

/// Bytes that arrive between two attempts for the count of attempts to start again.
const PROGRESS_BYTES_MIN: u64 = 1 << 20;
/// Bytes between two facts about progress.
const NEWS_BYTES: u64 = 128 << 10;

/// A document as it came.
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: String,
}

/// A blob that is wanted.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) digest: Digest,
    pub(super) bytes: u64,
}

/// Fetches an index or manifest by tag or digest, and checks it against every digest that is known of it.
pub(super) fn document(
    session: &Session<'_>,
    wanted: &str,
    promised: Option<Digest>,
) -> Result<Fetched, PullError> {
    let url = session.url(&format!("manifests/{wanted}"));
    let headers = [("accept", ACCEPTED.to_owned())];
    let ask = get("manifest", &url, &headers);
    let fetched = session.again("manifest", || {
        let mut answer = session.call_within(&ask, MANIFEST_BYTES_MAX)?;
        match answer.status {
            200 => Ok(Some((read_document(&ask, &mut answer)?, answer))),
            404 => Ok(None),
            _ => Err(session.refused("manifest", 0, &mut answer).into()),
        }
    })?;
    let place = &session.reference.repository;
    let Some((bytes, answer)) = fetched else {
        let joint = if promised.is_some() { '@' } else { ':' };
        let wanted = format!("{place}{joint}{wanted}");
        return Err(PullError::Gone { host: session.host(), wanted, says: String::new() });
    };
    let (host, name) = (session.host(), format!("the manifest of `{place}`"));
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        return Err(PullError::TooLarge { host, name, limit: MANIFEST_BYTES_MAX });
    }
    let received = Digest::of(&bytes);
    // A tag promises nothing, but the registry says beside it what it means to give.
    let claimed = answer.headers.get("docker-content-digest").map(|text| said(text));
    let claimed = claimed.filter(|text| text.starts_with("sha256:"));
    for promised in promised.map(|digest| digest.to_string()).into_iter().chain(claimed) {
        if !promised.eq_ignore_ascii_case(&received.to_string()) {
            return Err(PullError::WrongDigest { host, name, promised, received });
        }
    }
    let media_type = answer.headers.get("content-type").cloned().unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
    Ok(Fetched { bytes, media_type })
}

fn read_document(ask: &Ask<'_>, answer: &mut Answer) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    let mut body = (&mut answer.body).take(MANIFEST_BYTES_MAX + 1);
    match body.read_to_end(&mut bytes) {
        // What is too long may end with an error of the door instead of one byte more.
        Err(_) if bytes.len() as u64 >= MANIFEST_BYTES_MAX => bytes.push(0),
        Err(source) => return Err(cut(ask, source)),
        Ok(_) => {}
    }
    Ok(bytes)
}

/// Brings a blob into the store, unless it holds it; returns the bytes that came over the wire.
pub(super) fn blob(
    session: &Session<'_>,
    part: &Part,
    store: &Store,
    stopped: &AtomicBool,
) -> Result<(HeldBlob, u64), PullError> {
    if let Some(held) = store.blob(part.digest)? {
        return Ok((held, 0));
    }
    let observer = session.door.observer;
    observer.observe(&Event::FetchStarted { name: &part.name, bytes: Some(part.bytes) });
    let mut arriving = Arriving {
        session,
        part,
        url: session.url(&format!("blobs/{}", part.digest)),
        stopped,
        body: None,
        received: 0,
        told: 0,
        attempt: 1,
        counted_from: 0,
        failure: None,
    };
    let inserted = store.insert_blob(&part.name, &mut arriving, part.bytes, Some(part.digest));
    if let Some(failure) = arriving.failure {
        return Err(failure);
    }
    match inserted {
        Ok(held) => {
            observer.observe(&Event::Fetched { name: &part.name, bytes: part.bytes });
            Ok((held, part.bytes))
        }
        Err(StoreError::Mismatch { promised, received, .. }) => Err(PullError::WrongDigest {
            host: session.host(),
            name: part.name.clone(),
            promised: promised.to_string(),
            received,
        }),
        Err(error) => Err(error.into()),
    }
}

/// A blob on its way here, whose connection may break.
struct Arriving<'a> {
    session: &'a Session<'a>,
    part: &'a Part,
    url: String,
    stopped: &'a AtomicBool,
    body: Option<Box<dyn Read + Send>>,
    received: u64,
    told: u64,
    attempt: u32,
    counted_from: u64,
    /// What really happened, where a reader can only say that it cannot go on.
    failure: Option<PullError>,
}

impl Read for Arriving<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(io::Error::other("another part could not be fetched"));
            }
            let left = self.part.bytes - self.received;
            if left == 0 {
                return self.end().map_err(|failure| self.fail(failure));
            }
            if self.body.is_none() {
                self.body = Some(self.open().map_err(|failure| self.fail(failure))?);
            }
            let body = self.body.as_mut().expect("it was opened in the line above");
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let broke = match body.read(&mut buffer[..room]) {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(count) => {
                    self.note(count as u64);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.body = None;
            self.wait(broke).map_err(|failure| self.fail(failure))?;
        }
    }
}

impl Arriving<'_> {
    fn fail(&mut self, failure: PullError) -> io::Error {
        self.failure = Some(failure);
        io::Error::other("it cannot be fetched")
    }

    fn note(&mut self, count: u64) {
        self.received += count;
        if self.received >= self.told + NEWS_BYTES {
            self.told = self.received;
            let event = Event::FetchProgress { name: &self.part.name, bytes: self.received };
            self.session.door.observer.observe(&event);
        }
    }

    /// Sees that nothing comes behind the last byte.
    fn end(&mut self) -> Result<usize, PullError> {
        let more = match self.body.take() {
            Some(mut body) => matches!(body.read(&mut [0]), Ok(count) if count > 0),
            None => false,
        };
        if more { Err(self.wrong_length(self.part.bytes + 1)) } else { Ok(0) }
    }

    /// Waits before the rest is asked for, or gives up.
    fn wait(&mut self, source: io::Error) -> Result<(), PullError> {
        if self.received >= self.counted_from + PROGRESS_BYTES_MIN {
            self.counted_from = self.received;
            self.attempt = 1;
        }
        let Trouble::Passing(passing) = cut(&get(&self.part.name, &self.url, &[]), source) else {
            unreachable!("a cut may pass");
        };
        self.pause(passing)
    }

    fn pause(&mut self, passing: Passing) -> Result<(), PullError> {
        let door = &self.session.door;
        door.http
            .pause(&self.part.name, self.attempt, passing, door.observer)
            .map_err(PushError::from)?;
        self.attempt += 1;
        Ok(())
    }

    /// Asks for the blob, or for what is missing of it.
    fn open(&mut self) -> Result<Box<dyn Read + Send>, PullError> {
        loop {
            let error = match self.try_open() {
                Ok(body) => return body,
                Err(Trouble::Final(error)) => return Err(error.into()),
                Err(Trouble::Passing(passing)) => passing,
            };
            self.pause(error)?;
        }
    }

    #[allow(clippy::type_complexity)]
    fn try_open(&self) -> Result<Result<Box<dyn Read + Send>, PullError>, Trouble> {
        let range = [("range", format!("bytes={}-", self.received))];
        let headers = if self.received > 0 { &range[..] } else { &[] };
        let ask = get(&self.part.name, &self.url, headers);
        let mut answer = self.session.call_within(&ask, self.part.bytes.saturating_add(1))?;
        let number = |name: &str| answer.headers.get(name)?.trim().parse::<u64>().ok();
        let length = number("content-length");
        match answer.status {
            200 => {
                if let Some(length) = length.filter(|length| *length != self.part.bytes) {
                    return Ok(Err(self.wrong_length(length)));
                }
                let mut past = (&mut answer.body).take(self.received);
                let skipped = io::copy(&mut past, &mut io::sink());
                match skipped.map_err(|source| cut(&ask, source))? {
                    skipped if skipped < self.received => {
                        Err(cut(&ask, io::ErrorKind::UnexpectedEof.into()))
                    }
                    _ => Ok(Ok(answer.body)),
                }
            }
            206 => {
                let range = answer.headers.get("content-range");
                let wanted = format!("bytes {}-", self.received);
                if !range.is_some_and(|range| range.trim().starts_with(&wanted)) {
                    let what = "it gives another part of a blob than it was asked for".to_owned();
                    return Err(self.session.strange(what).into());
                }
                Ok(Ok(answer.body))
            }
            404 => Ok(Err(PullError::NoBlob {
                host: self.session.host(),
                name: self.part.name.clone(),
                digest: self.part.digest,
            })),
            // What came before was all that it has.
            416 => Ok(Err(self.wrong_length(self.received))),
            _ => {
                let bytes = self.part.bytes;
                Err(self.session.refused(&self.part.name, bytes, &mut answer).into())
            }
        }
    }

    fn wrong_length(&self, received: u64) -> PullError {
        let (host, name) = (self.session.host(), self.part.name.clone());
        PullError::WrongLength { host, name, promised: self.part.bytes, received }
    }
}

fn get<'r>(name: &'r str, url: &'r str, headers: &'r [(&'r str, String)]) -> Ask<'r> {
    Ask { method: Method::Get, name, url, headers, sent: Sent::Nothing, reach: Reach::Own }
}

fn cut(ask: &Ask<'_>, source: io::Error) -> Trouble {
    let (name, url) = (ask.name.to_owned(), ask.url.to_owned());
    Trouble::Passing(HttpError::Unreachable { name, url, source }.into())
}
