//! Whole bodies: judged by their status, counted against their limit, and taken up again after a cut.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::Path;

use crate::disk;
use crate::event::{Event, Observer};

use super::{Answer, Failed, Http, HttpError, Method, Pace, Passing, Request, TooLong, local};

/// Bytes that arrive between two attempts for the count of attempts to start again.
const PROGRESS_BYTES_MIN: u64 = 1 << 20;
/// Bytes between two facts about progress.
const NEWS_BYTES: u64 = 128 << 10;

impl Http {
    /// Writes a body to the new file `into` and returns its bytes. A failure leaves no file.
    ///
    /// A connection that breaks is taken up where it broke (`Range`), if the server can.
    pub fn download(
        &self,
        request: &Request<'_>,
        into: &Path,
        observer: &dyn Observer,
    ) -> Result<u64, HttpError> {
        let name = request.name;
        let url = self.inner.mirrors.rewrite(request.url);
        let done = if let Some(path) = local::path(&url) {
            observer.observe(&Event::FetchStarted { name, bytes: None });
            local::copy(request, &path, into)
        } else {
            let file = disk::create_new(into, false)?;
            let done = self.download_into(request, file, into, observer);
            if done.is_err() {
                let _ = disk::remove_file(into);
            }
            done
        };
        let bytes = done?;
        observer.observe(&Event::Fetched { name, bytes });
        Ok(bytes)
    }

    fn download_into(
        &self,
        request: &Request<'_>,
        file: File,
        path: &Path,
        observer: &dyn Observer,
    ) -> Result<u64, HttpError> {
        let mut part = Part {
            request,
            file,
            path,
            observer,
            received: 0,
            total: None,
            validator: None,
            started: false,
        };
        let mut attempt = 1;
        let mut counted_from = 0;
        loop {
            let result = self
                .ask(Method::Get, request, &part.range(), &[])
                .and_then(|answer| part.take(answer, self.inner.pace));
            match result {
                Ok(()) => return Ok(part.received),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Passing(passing)) => {
                    if part.received >= counted_from + PROGRESS_BYTES_MIN {
                        counted_from = part.received;
                        attempt = 1;
                    }
                    self.pause(request.name, attempt, passing, observer)?;
                }
            }
            attempt += 1;
        }
    }
}

/// A download on its way.
struct Part<'a> {
    request: &'a Request<'a>,
    file: File,
    path: &'a Path,
    observer: &'a dyn Observer,
    received: u64,
    total: Option<u64>,
    validator: Option<String>,
    started: bool,
}

impl Part<'_> {
    /// Returns the headers that ask for the rest.
    fn range(&self) -> Vec<(&'static str, String)> {
        if self.received == 0 {
            return Vec::new();
        }
        let mut headers = vec![("range", format!("bytes={}-", self.received))];
        if let Some(validator) = &self.validator {
            headers.push(("if-range", validator.clone()));
        }
        headers
    }

    /// Takes what one answer brings.
    fn take(&mut self, answer: Answer, pace: Pace) -> Result<(), Failed> {
        if answer.status == 416 {
            // What we have is no beginning of what the server has now.
            self.restart()?;
            return Err(cut(self.request, io::ErrorKind::UnexpectedEof.into()));
        }
        let mut answer = accept(self.request, answer, pace)?;
        let length = header_number(&answer, "content-length");
        if answer.status == 206 {
            let range = content_range(&answer);
            let goes_on = range.is_some_and(|(from, total)| {
                from == self.received && (self.total.is_none() || self.total == total)
            });
            if !goes_on {
                self.restart()?;
                return Err(cut(self.request, io::ErrorKind::UnexpectedEof.into()));
            }
        } else {
            self.restart()?;
            self.total = length;
            self.validator = validator(&answer);
        }
        if length.is_some_and(|length| self.received.saturating_add(length) > self.request.limit) {
            return Err(too_large(self.request).into());
        }
        if !self.started {
            self.started = true;
            self.observer
                .observe(&Event::FetchStarted { name: self.request.name, bytes: self.total });
        }
        self.pour(&mut answer.body)
    }

    fn pour(&mut self, body: &mut dyn Read) -> Result<(), Failed> {
        let mut buffer = vec![0; 64 << 10];
        let mut told = self.received;
        loop {
            let count = match body.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(cut(self.request, error)),
            };
            if count == 0 {
                break;
            }
            if self.received + count as u64 > self.request.limit {
                return Err(too_large(self.request).into());
            }
            disk::write_all(&mut self.file, self.path, &buffer[..count])
                .map_err(HttpError::from)?;
            self.received += count as u64;
            if self.received >= told + NEWS_BYTES {
                told = self.received;
                self.observer
                    .observe(&Event::FetchProgress { name: self.request.name, bytes: told });
            }
        }
        match self.total {
            Some(total) if total != self.received => {
                Err(cut(self.request, io::ErrorKind::UnexpectedEof.into()))
            }
            _ => Ok(()),
        }
    }

    fn restart(&mut self) -> Result<(), HttpError> {
        if self.received > 0 {
            let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
            emptied.map_err(disk::refused("write", self.path))?;
            self.received = 0;
        }
        self.total = None;
        self.validator = None;
        Ok(())
    }
}

/// Lets a success through and turns every other status into how it failed.
pub(super) fn accept(request: &Request<'_>, answer: Answer, pace: Pace) -> Result<Answer, Failed> {
    let error = match answer.status {
        200..=299 => return Ok(answer),
        status => HttpError::status(request, status),
    };
    match (answer.status, retry_after_ms(&answer, pace)) {
        (408 | 425 | 429 | 500..=599, Ok(after_ms)) => {
            Err(Failed::Passing(Passing { error, after_ms }))
        }
        _ => Err(Failed::Final(error)),
    }
}

/// Returns the pause that a server asks for. A date instead of seconds gets our own pause.
pub(super) fn retry_after_ms(answer: &Answer, pace: Pace) -> Result<Option<u64>, TooLong> {
    match header_number(answer, "retry-after").map(|seconds| seconds.saturating_mul(1000)) {
        Some(asked_ms) if asked_ms > pace.retry_after_ms_max => Err(TooLong),
        other => Ok(other),
    }
}

/// Reads a whole body into memory.
pub(super) fn read_whole(request: &Request<'_>, answer: &mut Answer) -> Result<Vec<u8>, Failed> {
    let length = header_number(answer, "content-length");
    if length.is_some_and(|length| length > request.limit) {
        return Err(too_large(request).into());
    }
    let mut bytes = Vec::new();
    let mut body = (&mut answer.body).take(request.limit.saturating_add(1));
    body.read_to_end(&mut bytes).map_err(|error| cut(request, error))?;
    if bytes.len() as u64 > request.limit {
        return Err(too_large(request).into());
    }
    Ok(bytes)
}

fn header_number(answer: &Answer, name: &str) -> Option<u64> {
    answer.headers.get(name)?.trim().parse().ok()
}

/// Returns a header that names this very version of the body: a strong entity tag, or its date.
fn validator(answer: &Answer) -> Option<String> {
    let tag = answer.headers.get("etag").filter(|tag| tag.starts_with('"'));
    tag.or_else(|| answer.headers.get("last-modified")).cloned()
}

/// Reads `Content-Range: bytes 5-9/10` as where it starts and how long the whole is.
fn content_range(answer: &Answer) -> Option<(u64, Option<u64>)> {
    let text = answer.headers.get("content-range")?.strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let from = range.split_once('-')?.0.trim().parse().ok()?;
    Some((from, total.trim().parse().ok()))
}

fn cut(request: &Request<'_>, source: io::Error) -> Failed {
    Failed::Passing(HttpError::cut(request, source).into())
}

fn too_large(request: &Request<'_>) -> HttpError {
    HttpError::TooLarge { name: request.name.to_owned(), limit: request.limit }
}
