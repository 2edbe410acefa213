//! The agents that speak HTTP, and whom they trust.
//!
//! Trust is the system's roots (`SSL_CERT_FILE` counts) and, for machines without any, the roots that
//! rebeam carries. One verifier knows only one of the two, so there are two agents: where the first does
//! not trust a server, the second is asked. Both are made at their first use: reading the system's
//! certificates takes 10 ms, which a build with nothing to fetch must not pay.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ureq::config::{Config, RedirectAuthHeaders};
use ureq::http::{self, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, AsSendBody, Body, ResponseExt as _, SendBody};

use crate::limits::{BODY_SECONDS_MAX, REDIRECTS_MAX};

use super::error::shown;
use super::{Answer, Failed, Http, HttpError, Method, Network, Pace, Request, Sent, Step, local};

/// Bytes of a body from which on the server is asked first whether it wants it.
const EXPECT_BYTES_MIN: u64 = 64 << 10;
/// How long a server may take to answer that before the body is sent all the same.
const EXPECT_MS_MAX: u64 = 1_000;

pub(super) struct Agents {
    pace: Pace,
    names: Names,
    system: OnceLock<Agent>,
    bundled: OnceLock<Agent>,
    prefer_bundled: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Roots {
    System,
    Bundled,
}

impl Agents {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            names: Names::default(),
            system: OnceLock::new(),
            bundled: OnceLock::new(),
            prefer_bundled: AtomicBool::new(false),
        }
    }

    /// Forgets where hosts stand: after a failure they may stand elsewhere.
    pub(super) fn forget_names(&self) {
        let known = self.names.known.lock();
        known.expect("no holder of the names panics").clear();
    }

    fn agent(&self, roots: Roots) -> &Agent {
        let (cell, certificates) = match roots {
            Roots::System => (&self.system, RootCerts::PlatformVerifier),
            Roots::Bundled => (&self.bundled, RootCerts::WebPki),
        };
        cell.get_or_init(|| {
            let config = self.config(certificates);
            Agent::with_parts(config, DefaultConnector::default(), self.names.clone())
        })
    }

    fn config(&self, certificates: RootCerts) -> Config {
        let connect = Duration::from_millis(self.pace.connect_ms_max);
        let silence = Duration::from_millis(self.pace.silence_ms_max);
        let asking = Duration::from_millis(EXPECT_MS_MAX.min(self.pace.silence_ms_max / 2));
        Config::builder()
            .tls_config(TlsConfig::builder().root_certs(certificates).build())
            .http_status_as_error(false)
            .max_redirects(REDIRECTS_MAX)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_per_read(Some(silence))
            .timeout_per_write(Some(silence))
            .timeout_await_100(Some(asking))
            .timeout_recv_body(Some(Duration::from_secs(BODY_SECONDS_MAX)))
            .user_agent(concat!("rebeam/", env!("CARGO_PKG_VERSION")))
            // Bodies arrive as they are stored: lengths, ranges and digests speak of those bytes.
            .accept_encoding("identity")
            .build()
    }

    /// Asks the agent whose roots are preferred, and the other one where it does not trust the server.
    fn run(&self, ask: Ask<'_>) -> Result<http::Response<Body>, ureq::Error> {
        let prefer_bundled = self.prefer_bundled.load(Ordering::Relaxed);
        let (first, second) = match prefer_bundled {
            false => (Roots::System, Roots::Bundled),
            true => (Roots::Bundled, Roots::System),
        };
        let error = match ask(self.agent(first)) {
            Err(error) if is_untrusted(&error) => error,
            other => return other,
        };
        match ask(self.agent(second)) {
            // The system's own words are the better ones: that is where a person can mend it.
            Err(second_error) if is_untrusted(&second_error) => {
                Err(if prefer_bundled { second_error } else { error })
            }
            other => {
                self.prefer_bundled.store(second == Roots::Bundled, Ordering::Relaxed);
                other
            }
        }
    }
}

/// One attempt with one agent.
type Ask<'a> = &'a dyn Fn(&Agent) -> Result<http::Response<Body>, ureq::Error>;

fn ask_whole(
    agent: &Agent,
    request: &http::Request<&[u8]>,
) -> Result<http::Response<Body>, ureq::Error> {
    if request.body().is_empty() && !takes_body(request.method()) {
        let (parts, _) = request.clone().into_parts();
        return agent.run(http::Request::from_parts(parts, ()));
    }
    agent.run(request.clone())
}

/// Sends one request and hands a redirect back instead of following it.
pub(super) fn ask_once(
    agent: &Agent,
    head: &http::Request<()>,
    sent: &Sent<'_>,
) -> Result<http::Response<Body>, ureq::Error> {
    let (parts, ()) = head.clone().into_parts();
    let mut reader;
    let body = match sent {
        Sent::Nothing => {
            let request = http::Request::from_parts(parts, ());
            return agent.run(unfollowed(agent, request));
        }
        Sent::Bytes(bytes) => {
            let request = http::Request::from_parts(parts, *bytes);
            return agent.run(unfollowed(agent, request));
        }
        Sent::Stream { bytes, source } => {
            reader = Exactly { inner: source.open()?, left: *bytes };
            SendBody::from_reader(&mut reader)
        }
    };
    agent.run(unfollowed(agent, http::Request::from_parts(parts, body)))
}

fn unfollowed<B: AsSendBody>(agent: &Agent, request: http::Request<B>) -> http::Request<B> {
    let here = request.uri().host().is_some_and(is_loopback);
    let config = agent.configure_request(request).max_redirects(0).max_redirects_will_error(false);
    // A proxy's loopback is not ours.
    if here { config.proxy(None).build() } else { config.build() }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// A body of just so many bytes: one that ends before is an error, and what comes behind is not sent.
struct Exactly<'a> {
    inner: Box<dyn Read + 'a>,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..room])?;
        if count == 0 && room > 0 {
            let what = format!("what is sent ended {} bytes too early", self.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn takes_body(method: &http::Method) -> bool {
    !matches!(*method, http::Method::GET | http::Method::HEAD)
}

/// Tells whether a handshake failed over trust. rustls wraps its refusal as invalid data.
fn is_untrusted(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        _ => false,
    }
}

impl Http {
    /// Makes one attempt at a call.
    pub(super) fn ask(
        &self,
        method: Method,
        request: &Request<'_>,
        extra: &[(&str, String)],
        body: &[u8],
    ) -> Result<Answer, Failed> {
        let url = self.inner.mirrors.rewrite(request.url);
        if self.inner.network == Network::Offline || local::path(&url).is_some() {
            return Err(Failed::Final(HttpError::Offline {
                name: request.name.to_owned(),
                url: shown(request.url),
            }));
        }
        let mut builder = http::Request::builder().method(method_name(method)).uri(&url);
        let moved = host(&url) != host(request.url);
        for (name, value) in request.headers.iter().chain(extra) {
            if !(moved && name.eq_ignore_ascii_case("authorization")) {
                builder = builder.header(*name, value);
            }
        }
        let bad_address =
            |_| HttpError::BadAddress { name: request.name.to_owned(), url: shown(&url) };
        let built = builder.body(body).map_err(bad_address)?;
        match self.inner.agents.run(&|agent| ask_whole(agent, &built)) {
            Ok(response) => Ok(answer(request, response)),
            Err(error) => Err(explain(request, &url, error)),
        }
    }

    /// Makes one attempt at a step of a protocol, and follows no redirect. No mirror stands in for the address.
    ///
    /// What to do after a failure that may pass only the caller's protocol knows; see [`Http::pause`].
    pub fn attempt(&self, step: &Step<'_>) -> Result<Answer, Failed> {
        let request = &step.request;
        if self.inner.network == Network::Offline {
            let (name, url) = (request.name.to_owned(), shown(request.url));
            return Err(Failed::Final(HttpError::Offline { name, url }));
        }
        let head = head(step, request.url)?;
        match self.inner.agents.run(&|agent| ask_once(agent, &head, &step.sent)) {
            Ok(response) => Ok(answer(request, response)),
            Err(error) => Err(explain(request, request.url, error)),
        }
    }
}

/// Makes the request of a step, without its body.
pub(super) fn head(step: &Step<'_>, url: &str) -> Result<http::Request<()>, HttpError> {
    let mut builder = http::Request::builder().method(method_name(step.method)).uri(url);
    for (name, value) in step.request.headers {
        builder = builder.header(*name, value);
    }
    if let Sent::Stream { bytes, .. } = step.sent {
        builder = builder.header("content-length", bytes);
        if bytes >= EXPECT_BYTES_MIN {
            // A server that does not want it says so before it is sent, not by closing the door on it.
            builder = builder.header("expect", "100-continue");
        }
    }
    let name = || step.request.name.to_owned();
    builder.body(()).map_err(|_| HttpError::BadAddress { name: name(), url: shown(url) })
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

/// Returns scheme, host and port, where a secret belongs.
fn host(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?).to_ascii_lowercase())
}

pub(super) fn answer(request: &Request<'_>, response: http::Response<Body>) -> Answer {
    let url = response.get_uri().to_string();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers = BTreeMap::new();
    for (name, value) in response.headers() {
        let before = headers.remove(name.as_str());
        let value = match before {
            // A server may offer each way to say who asks in a header of its own.
            Some(before) if name == "www-authenticate" => format!("{before}, {}", text(value)),
            _ => text(value),
        };
        headers.insert(name.as_str().to_owned(), value);
    }
    let status = response.status().as_u16();
    let body =
        response.into_body().into_with_config().limit(request.limit.saturating_add(1)).reader();
    Answer { status, url, headers, body: Box::new(body) }
}

pub(super) fn explain(request: &Request<'_>, url: &str, error: ureq::Error) -> Failed {
    let name = request.name.to_owned();
    let url = shown(url);
    if is_untrusted(&error) {
        let source = error.into_io();
        return Failed::Final(HttpError::Untrusted { name, url, source });
    }
    match error {
        ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => {
            Failed::Final(HttpError::Redirects { name, url })
        }
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            Failed::Final(HttpError::BadAddress { name, url })
        }
        error => {
            let source = error.into_io();
            let passes = may_pass(&source);
            let error = HttpError::Unreachable { name, url, source };
            if passes { Failed::Passing(error.into()) } else { Failed::Final(error) }
        }
    }
}

/// Tells whether asking again makes sense. A name that does not exist will not exist in a second,
/// but a name server that is busy (EAI_AGAIN; each C library has its own words) is worth waiting for.
fn may_pass(error: &io::Error) -> bool {
    let text = error.to_string();
    let unknown_name = ["not known", "does not resolve", "No address", "host not found"];
    !unknown_name.iter().any(|words| text.contains(words))
        && error.kind() != io::ErrorKind::PermissionDenied
}

/// Looks each host up once, and one host at a time: small name servers answer a burst with EAI_AGAIN.
#[derive(Debug, Clone, Default)]
struct Names {
    known: Arc<Mutex<BTreeMap<String, ResolvedSocketAddrs>>>,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let key = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |authority| authority.as_str())
        );
        let mut known = self.known.lock().expect("no holder of the names panics");
        if let Some(addresses) = known.get(&key) {
            return Ok(addresses.clone());
        }
        let addresses = DefaultResolver::default().resolve(uri, config, timeout)?;
        known.insert(key, addresses.clone());
        Ok(addresses)
    }
}
