//! HTTP: the only door to the network's web: bounds, retries, resume, mirrors, offline.
//!
//! An address is first rewritten by the mirrors; what then starts with `file://` or `/` is read from
//! disk, so that a mirror may be a directory. A request that fails in a way that may pass (a cut, a
//! timeout, a name server that is busy, 408, 429, 5xx) is made again after a pause that doubles and
//! is jittered, or after what the server asks for; everything else is an error at once. Names are
//! looked up once a host, connections are kept. No byte is read beyond a request's limit.

mod agent;
mod download;
mod error;
mod local;
mod socket;
#[cfg(test)]
pub(crate) mod serve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::event::{Event, Observer};
use crate::limits::REQUEST_ATTEMPTS_MAX;

use agent::Agents;
pub use error::HttpError;
pub use socket::Socket;

/// Whether the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// It may.
    Open,
    /// `--offline`: every attempt is an error that names what is missing.
    Offline,
}

/// Prefixes of addresses and what stands in their place. The longest match wins, as in git's insteadOf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    rules: BTreeMap<String, String>,
}

impl Mirrors {
    /// Takes the rules as `[mirrors]` has them.
    pub fn new(rules: BTreeMap<String, String>) -> Self {
        Self { rules }
    }

    /// Returns the address to use for `url`.
    pub fn rewrite(&self, url: &str) -> String {
        let rule = self
            .rules
            .iter()
            .filter(|(from, _)| url.starts_with(from.as_str()))
            .max_by_key(|(from, _)| from.len());
        match rule {
            Some((from, to)) => format!("{to}{}", &url[from.len()..]),
            None => url.to_owned(),
        }
    }
}

/// How patient the door is. The default suits the public network; tests are brisk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Times a request is made before its error counts.
    pub attempts_max: u32,
    /// The first pause; it doubles with each attempt.
    pub delay_ms: u64,
    /// The longest pause of our own choice.
    pub delay_ms_max: u64,
    /// The longest pause that a server may ask for; one that asks for more is not asked again.
    pub retry_after_ms_max: u64,
    /// How long a connection may take, and a lookup.
    pub connect_ms_max: u64,
    /// How long a server may be silent.
    pub silence_ms_max: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            attempts_max: REQUEST_ATTEMPTS_MAX,
            delay_ms: 400,
            delay_ms_max: 20_000,
            retry_after_ms_max: 120_000,
            connect_ms_max: 20_000,
            silence_ms_max: 60_000,
        }
    }
}

impl Pace {
    /// Returns the pause after a failed attempt: doubled each time, and jittered between half and whole.
    fn delay_ms(&self, attempt: u32) -> u64 {
        let doubled = self.delay_ms.saturating_mul(1 << (attempt - 1).min(20));
        let whole = doubled.min(self.delay_ms_max).max(1);
        whole - jitter() % whole.div_ceil(2)
    }
}

/// Numbers that differ between processes and calls, so that machines do not come back in step.
fn jitter() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let seed = u64::from(std::process::id()) ^ call.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    seed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}

/// One thing that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What people call it.
    pub name: &'a str,
    /// Its address, before mirrors.
    pub url: &'a str,
    /// Bytes it may have.
    pub limit: u64,
    /// Headers beside our own. `Authorization` never leaves for another host, a mirror's included.
    pub headers: &'a [(&'a str, String)],
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Asks for a body.
    Get,
    /// Asks for the headers alone.
    Head,
    /// Gives a body to work on.
    Post,
    /// Gives a body to keep.
    Put,
    /// Gives a piece of a body.
    Patch,
    /// Removes something.
    Delete,
}

/// A call in full, for the protocols that need more than a download.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// What it does.
    pub method: Method,
    /// What is asked for.
    pub request: Request<'a>,
    /// The body that is sent, again at each attempt; not with `Get` and `Head`.
    pub body: &'a [u8],
}

/// One step of a protocol that follows redirects and repeats itself by its own rules.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// What it does.
    pub method: Method,
    /// What is asked for, under its very address.
    pub request: Request<'a>,
    /// What is sent.
    pub sent: Sent<'a>,
}

/// The body of a step.
#[derive(Clone, Copy)]
pub enum Sent<'a> {
    /// None; only with `Get` and `Head`.
    Nothing,
    /// These bytes.
    Bytes(&'a [u8]),
    /// What is read, from its start at each attempt, and never held whole in memory.
    Stream {
        /// Its bytes: what is read must have neither less nor is more of it sent.
        bytes: u64,
        /// What is read.
        source: &'a dyn Source,
    },
}

/// Something that can be read from its start more than once.
pub trait Source {
    /// Opens it at its start.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;
}

/// What a server answered, whatever its status. The body ends with an error at the request's limit.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The address that answered in the end, after redirects.
    pub url: String,
    /// Headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Box<dyn Read + Send>,
}

/// The door. Cheap to clone; nothing is loaded or opened before the first request.
#[derive(Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

struct Inner {
    network: Network,
    mirrors: Mirrors,
    pace: Pace,
    agents: Agents,
}

/// How an attempt failed.
#[derive(Debug)]
pub enum Failed {
    /// For good.
    Final(HttpError),
    /// In a way that may pass.
    Passing(Passing),
}

/// A failure that may pass.
#[derive(Debug)]
pub struct Passing {
    /// What counts if it does not pass.
    pub error: HttpError,
    /// The pause that the server asks for.
    pub after_ms: Option<u64>,
}

impl From<HttpError> for Passing {
    fn from(error: HttpError) -> Self {
        Self { error, after_ms: None }
    }
}

impl From<HttpError> for Failed {
    fn from(error: HttpError) -> Self {
        Self::Final(error)
    }
}

impl Http {
    /// Makes the door.
    pub fn new(network: Network, mirrors: Mirrors) -> Self {
        Self::with_pace(network, mirrors, Pace::default())
    }

    /// Makes the door with another patience.
    pub fn with_pace(network: Network, mirrors: Mirrors, pace: Pace) -> Self {
        let inner = Inner { network, mirrors, pace, agents: Agents::new(pace) };
        Self { inner: Arc::new(inner) }
    }

    /// Tells whether the network may be used.
    pub fn network(&self) -> Network {
        self.inner.network
    }

    /// Returns the mirrors' rules.
    pub fn mirrors(&self) -> &Mirrors {
        &self.inner.mirrors
    }

    /// Returns where `url` stands if the mirrors, or its own words, place it on this machine.
    pub fn path_of(&self, url: &str) -> Option<PathBuf> {
        local::path(&self.inner.mirrors.rewrite(url))
    }

    /// Returns a whole body.
    pub fn get(
        &self,
        request: &Request<'_>,
        observer: &dyn Observer,
    ) -> Result<Vec<u8>, HttpError> {
        let url = self.inner.mirrors.rewrite(request.url);
        if let Some(path) = local::path(&url) {
            return local::read(request, &path);
        }
        self.repeat(request.name, observer, || {
            let answer = self.ask(Method::Get, request, &[], &[])?;
            let mut answer = download::accept(request, answer, self.inner.pace)?;
            download::read_whole(request, &mut answer)
        })
    }

    /// Makes a call and returns what the server answered, whatever its status.
    ///
    /// Failures to reach the server, 429 and 503 are tried again; the answer's body is the caller's to read.
    pub fn exchange(&self, call: &Call<'_>, observer: &dyn Observer) -> Result<Answer, HttpError> {
        self.repeat(call.request.name, observer, || {
            let answer = self.ask(call.method, &call.request, &[], call.body)?;
            if matches!(answer.status, 429 | 503) {
                let after_ms = download::retry_after_ms(&answer, self.inner.pace);
                let error = HttpError::status(&call.request, answer.status);
                return Err(match after_ms {
                    Ok(after_ms) => Failed::Passing(Passing { error, after_ms }),
                    Err(TooLong) => Failed::Final(error),
                });
            }
            Ok(answer)
        })
    }

    /// Returns the failure that an answer is whose status may pass: 408, 425, 429 and those of 500 on.
    ///
    /// For protocols that judge other statuses themselves.
    pub fn passing(&self, request: &Request<'_>, answer: &Answer) -> Option<Passing> {
        if !matches!(answer.status, 408 | 425 | 429 | 500..=599) {
            return None;
        }
        let after_ms = download::retry_after_ms(answer, self.inner.pace).ok()?;
        Some(Passing { error: HttpError::status(request, answer.status), after_ms })
    }

    /// Makes attempts until one succeeds, fails for good, or was the last.
    fn repeat<T>(
        &self,
        name: &str,
        observer: &dyn Observer,
        mut attempt: impl FnMut() -> Result<T, Failed>,
    ) -> Result<T, HttpError> {
        let mut count = 1;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Passing(passing)) => self.pause(name, count, passing, observer)?,
            }
            count += 1;
        }
    }

    /// Waits before the next attempt, or gives the error up if there is none.
    ///
    /// For protocols that read an [`Answer`]'s body themselves and may start again after a cut.
    pub fn pause(
        &self,
        name: &str,
        attempt: u32,
        passing: Passing,
        observer: &dyn Observer,
    ) -> Result<(), HttpError> {
        let Passing { error, after_ms } = passing;
        if attempt >= self.inner.pace.attempts_max {
            return Err(error);
        }
        let own_ms = self.inner.pace.delay_ms(attempt);
        let delay_ms = after_ms.map_or(own_ms, |asked_ms| asked_ms.max(own_ms));
        observer.observe(&Event::Retrying { name, attempt, delay_ms, reason: &error.reason() });
        self.inner.agents.forget_names();
        std::thread::sleep(Duration::from_millis(delay_ms));
        Ok(())
    }
}

/// The server asks for a longer pause than we grant.
struct TooLong;
