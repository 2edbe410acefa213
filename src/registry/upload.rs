//! Upload: blobs and manifests into a repository, each once, and nothing believed that the registry does not say.

use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::PushError;
use super::error::said;
use super::session::{Ask, Reach, Session, Trouble, body};
use super::url::with_parameter;
use super::watched::Watched;
use crate::digest::Digest;
use crate::event::{Arrival, Event};
use crate::http::{Answer, HttpError, Method, Passing, Sent, Source};
use crate::image::{Blob, Contents};
use crate::limits::UPLOADS_MAX;

/// What went over the wire.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traffic {
    pub(super) bytes: u64,
    pub(super) blobs: usize,
}

/// Brings an image's blobs into the repository, several at once, the configuration behind the layers.
pub(super) fn blobs(
    session: &Session<'_>,
    contents: &Contents,
    mount_from: Option<&str>,
) -> Result<Traffic, PushError> {
    let mut layers: Vec<&Blob> = Vec::new();
    for layer in &contents.layers {
        if !layers.iter().any(|known| known.digest == layer.digest) {
            layers.push(layer);
        }
    }
    let all = Uploads { session, contents, mount_from, stopped: AtomicBool::new(false) };
    let (next, outcome) = (AtomicUsize::new(0), Mutex::new(Ok(Traffic::default())));
    std::thread::scope(|scope| {
        for _ in 0..UPLOADS_MAX.min(layers.len()) {
            scope.spawn(|| {
                while let Some(layer) = layers.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let result = all.bring(layer);
                    if result.is_err() && all.stopped.swap(true, Ordering::SeqCst) {
                        // The first error is the cause; the others are its echo.
                        return;
                    }
                    add(&mut outcome.lock().expect("no upload panics"), result);
                }
            });
        }
    });
    let mut outcome = outcome.into_inner().expect("no upload panics");
    if outcome.is_ok() {
        add(&mut outcome, all.bring(&contents.config));
    }
    outcome
}

fn add(sum: &mut Result<Traffic, PushError>, result: Result<Traffic, PushError>) {
    match (&mut *sum, result) {
        (Ok(sum), Ok(one)) => {
            sum.bytes += one.bytes;
            sum.blobs += one.blobs;
        }
        (Ok(_), Err(error)) => *sum = Err(error),
        (Err(_), _) => {}
    }
}

struct Uploads<'a> {
    session: &'a Session<'a>,
    contents: &'a Contents,
    mount_from: Option<&'a str>,
    stopped: AtomicBool,
}

impl Uploads<'_> {
    /// Brings one blob there; after a failure that may pass, it looks again what has arrived.
    fn bring(&self, blob: &Blob) -> Result<Traffic, PushError> {
        if self.stopped.load(Ordering::SeqCst) {
            return Ok(Traffic::default());
        }
        let arrival = self.session.again(&blob.name, || {
            if self.is_there(blob)? {
                return Ok(Arrival::Present);
            }
            match self.mount(blob)? {
                Mounted::Done => return Ok(Arrival::Mounted),
                Mounted::Session(location) => self.put(blob, &location)?,
                Mounted::Refused => self.put(blob, &self.begin(blob)?)?,
            }
            Ok(Arrival::Sent)
        })?;
        let Blob { name, digest, bytes, .. } = blob;
        let event = Event::BlobPushed { name, digest: *digest, bytes: *bytes, arrival };
        self.session.door.observer.observe(&event);
        Ok(match arrival {
            Arrival::Sent => Traffic { bytes: *bytes, blobs: 1 },
            _ => Traffic::default(),
        })
    }

    fn ask<'r>(&self, method: Method, blob: &'r Blob, url: &'r str) -> Ask<'r> {
        let sent = if method == Method::Post { Sent::Bytes(&[]) } else { Sent::Nothing };
        Ask { method, name: &blob.name, url, headers: &[], sent, reach: Reach::Own }
    }

    fn is_there(&self, blob: &Blob) -> Result<bool, Trouble> {
        let url = self.session.url(&format!("blobs/{}", blob.digest));
        let mut answer = self.session.call(&self.ask(Method::Head, blob, &url))?;
        match answer.status {
            200..=299 => {}
            404 => return Ok(false),
            // Who may only write is not told what is there.
            403 | 405 => return Ok(false),
            _ => return Err(self.session.refused(&blob.name, blob.bytes, &mut answer).into()),
        }
        let length = answer.headers.get("content-length").and_then(|text| text.trim().parse().ok());
        if let Some(theirs) = length.filter(|theirs| *theirs != blob.bytes) {
            let (host, name, digest) = (self.session.host(), blob.name.clone(), blob.digest);
            return Err(
                PushError::WrongLength { host, name, digest, ours: blob.bytes, theirs }.into()
            );
        }
        same_digest(self.session, &blob.name, blob.digest, &answer)?;
        Ok(true)
    }

    /// Asks the registry to take the blob from another repository. Whatever it has against that, the blob is sent.
    fn mount(&self, blob: &Blob) -> Result<Mounted, Trouble> {
        let Some(from) = self.mount_from else {
            return Ok(Mounted::Refused);
        };
        let url =
            with_parameter(&self.session.url("blobs/uploads/"), "mount", &blob.digest.to_string());
        let url = with_parameter(&url, "from", from);
        let ask = Ask { reach: Reach::Mount, ..self.ask(Method::Post, blob, &url) };
        let Ok(answer) = self.session.call(&ask) else {
            return Ok(Mounted::Refused);
        };
        match answer.status {
            201 => {
                same_digest(self.session, &blob.name, blob.digest, &answer)?;
                Ok(Mounted::Done)
            }
            202 => location(self.session, &blob.name, blob.digest, &answer).map(Mounted::Session),
            _ => Ok(Mounted::Refused),
        }
    }

    /// Begins an upload and returns where its bytes go.
    fn begin(&self, blob: &Blob) -> Result<String, Trouble> {
        let url = self.session.url("blobs/uploads/");
        let mut answer = self.session.call(&self.ask(Method::Post, blob, &url))?;
        match answer.status {
            202 => location(self.session, &blob.name, blob.digest, &answer),
            _ => Err(self.session.refused(&blob.name, blob.bytes, &mut answer).into()),
        }
    }

    /// Sends the bytes, in one piece.
    fn put(&self, blob: &Blob, url: &str) -> Result<(), Trouble> {
        let source = Outgoing { all: self, blob };
        let headers = [("content-type", "application/octet-stream".to_owned())];
        let sent = Sent::Stream { bytes: blob.bytes, source: &source };
        let ask = Ask { headers: &headers, sent, ..self.ask(Method::Put, blob, url) };
        let mut answer = self.session.call(&ask)?;
        match answer.status {
            200 | 201 | 204 => Ok(same_digest(self.session, &blob.name, blob.digest, &answer)?),
            // The upload is forgotten, as after a restart: it begins anew.
            404 | 416 => {
                let (name, url, status) = (blob.name.clone(), url.to_owned(), answer.status);
                let error = HttpError::Status { name, url, status };
                Err(Trouble::Passing(Passing { error, after_ms: None }))
            }
            _ => Err(self.session.refused(&blob.name, blob.bytes, &mut answer).into()),
        }
    }
}

/// A blob on its way.
struct Outgoing<'a> {
    all: &'a Uploads<'a>,
    blob: &'a Blob,
}

impl Source for Outgoing<'_> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let Uploads { session, contents, stopped, .. } = self.all;
        let (name, bytes, observer) = (&self.blob.name, self.blob.bytes, session.door.observer);
        observer.observe(&Event::PushStarted { name, bytes });
        let inner = contents.open(self.blob)?;
        Ok(Box::new(Watched::new(inner, name, observer).stopped_by(stopped)))
    }
}

/// What became of a wish to mount.
enum Mounted {
    Done,
    /// The registry wants it sent, here.
    Session(String),
    Refused,
}

/// Reads where an upload goes: relative or absolute, with parameters of its own or without.
pub(super) fn location(
    session: &Session<'_>,
    name: &str,
    digest: Digest,
    answer: &Answer,
) -> Result<String, Trouble> {
    let base = session.admitted(&answer.url)?;
    let location = answer.headers.get("location").and_then(|location| base.join(location));
    let strange = || session.strange(format!("it says no address for `{name}`"));
    let location = location.ok_or_else(strange)?;
    session.admitted(&location)?;
    Ok(with_parameter(&location, "digest", &digest.to_string()))
}

/// A manifest or an index, as a registry takes it.
pub(super) struct Document<'a> {
    /// Its media type.
    pub(super) kind: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) digest: Digest,
}

impl<'a> Document<'a> {
    /// The manifest of an image file.
    pub(super) fn of(contents: &'a Contents) -> Self {
        let Contents { manifest, manifest_type, manifest_digest, .. } = contents;
        Self { kind: manifest_type, bytes: manifest, digest: *manifest_digest }
    }
}

/// Tells whether the repository has the image under the tag already.
pub(super) fn has_manifest(
    session: &Session<'_>,
    document: &Document<'_>,
    tag: &str,
) -> Result<bool, PushError> {
    let url = session.url(&format!("manifests/{tag}"));
    let headers = [("accept", document.kind.to_owned())];
    session.again("manifest", || {
        let answer = session.call(&manifest_ask(Method::Head, &url, &headers, Sent::Nothing))?;
        let theirs = answer.headers.get("docker-content-digest");
        // Whatever else it says, the answer to the push itself will say it better.
        Ok(answer.status == 200 && is(theirs, document.digest))
    })
}

/// Names the image by a tag, which the registry believes only if it has every blob, and hears its digest.
pub(super) fn put_manifest(
    session: &Session<'_>,
    document: &Document<'_>,
    tag: &str,
) -> Result<(), PushError> {
    let url = session.url(&format!("manifests/{tag}"));
    let headers = [("content-type", document.kind.to_owned())];
    let sent = Sent::Bytes(document.bytes);
    let ask = manifest_ask(Method::Put, &url, &headers, sent);
    session.again("manifest", || {
        let mut answer = session.call(&ask)?;
        match answer.status {
            200..=202 => {}
            _ => {
                let bytes = document.bytes.len() as u64;
                return Err(session.refused("manifest", bytes, &mut answer).into());
            }
        }
        match answer.headers.get("docker-content-digest") {
            Some(_) => same_digest(session, "manifest", document.digest, &answer)?,
            None => read_back(session, document, &url)?,
        }
        Ok(())
    })
}

/// Fetches the manifest from a registry that did not say its digest, and compares.
fn read_back(session: &Session<'_>, document: &Document<'_>, url: &str) -> Result<(), Trouble> {
    let headers = [("accept", document.kind.to_owned())];
    let mut answer = session.call(&manifest_ask(Method::Get, url, &headers, Sent::Nothing))?;
    if answer.status != 200 {
        let what = format!("it took the manifest and answers {} for it", answer.status);
        return Err(session.strange(what).into());
    }
    let theirs = Digest::of(&body(&mut answer));
    let ours = document.digest;
    if theirs == ours {
        return Ok(());
    }
    let (host, name, theirs) = (session.host(), "manifest".to_owned(), theirs.to_string());
    Err(PushError::WrongDigest { host, name, ours, theirs }.into())
}

fn manifest_ask<'r>(
    method: Method,
    url: &'r str,
    headers: &'r [(&'r str, String)],
    sent: Sent<'r>,
) -> Ask<'r> {
    Ask { method, name: "manifest", url, headers, sent, reach: Reach::Own }
}

fn is(text: Option<&String>, digest: Digest) -> bool {
    text.is_some_and(|text| text.trim().eq_ignore_ascii_case(&digest.to_string()))
}

/// Refuses an answer that names another digest than ours. One that names none says nothing.
pub(super) fn same_digest(
    session: &Session<'_>,
    name: &str,
    ours: Digest,
    answer: &Answer,
) -> Result<(), PushError> {
    let theirs = answer.headers.get("docker-content-digest");
    match theirs {
        Some(theirs) if !is(Some(theirs), ours) => Err(PushError::WrongDigest {
            host: session.host(),
            name: name.to_owned(),
            ours,
            theirs: said(theirs),
        }),
        _ => Ok(()),
    }
}
