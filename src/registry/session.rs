//! Session: the calls to one repository of one registry: who asks, redirects, and what refusals mean.
//!
//! A key (the `Authorization` header) is fetched when the registry demands one, and again when it no longer counts;
//! calls that run at once share it. It is sent to the registry's own scheme, host and port and to nobody else: not
//! to where a redirect leads, and not to an upload address on another server.

use std::io::Read as _;
use std::sync::{Arc, Mutex, OnceLock};

use serde::Deserialize;

use super::challenge::{Challenge, scopes};
use super::credentials::{Credential, Credentials};
use super::error::{place, said};
use super::reference::is_loopback;
use super::scheme::Scheme;
use super::token::{Wanted, basic};
use super::url::Url;
use super::{PushError, Reference, Security};
use crate::event::Observer;
use crate::http::{Answer, Failed, Http, Method, Passing, Request, Sent, Step};
use crate::limits::{ANSWER_BYTES_MAX, REDIRECTS_MAX};

/// What reaches a registry.
#[derive(Clone, Copy)]
pub struct Door<'a> {
    /// The way out. Mirrors do not count: they are for what is fetched.
    pub http: &'a Http,
    /// Where logins are kept.
    pub credentials: &'a Credentials,
    /// Whether a registry elsewhere may be spoken to without encryption.
    pub security: Security,
    /// Who hears of it.
    pub observer: &'a dyn Observer,
}

pub(super) struct Session<'a> {
    pub(super) door: Door<'a>,
    pub(super) reference: &'a Reference,
    scheme: Scheme,
    credential: OnceLock<Option<Credential>>,
    own: Keys,
    wide: Keys,
    actions: &'static str,
    mount_from: Option<&'a str>,
}

/// The key of one session, for the next that reads the same repository.
#[derive(Clone, Default)]
pub struct Keys(Arc<Mutex<Key>>);

/// An `Authorization` header, and how many there were before it.
#[derive(Debug, Clone, Default)]
struct Key {
    header: Option<String>,
    generation: u32,
}

/// What a call needs to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// To read and write the repository.
    Own,
    /// To read the repository that blobs are mounted from, too. A registry may refuse that alone.
    Mount,
}

/// One call.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) name: &'a str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'a str, String)],
    pub(super) sent: Sent<'a>,
    pub(super) reach: Reach,
}

/// How an attempt failed.
pub(super) enum Trouble {
    Final(PushError),
    Passing(Passing),
}

impl From<PushError> for Trouble {
    fn from(error: PushError) -> Self {
        Self::Final(error)
    }
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Final(error) => Self::Final(error.into()),
            Failed::Passing(passing) => Self::Passing(passing),
        }
    }
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        door: Door<'a>,
        reference: &'a Reference,
        mount_from: Option<&'a str>,
    ) -> Self {
        let scheme = Scheme::of(reference.host(), door.security);
        let (own, wide) = (Keys::default(), Keys::default());
        let (credential, actions) = (OnceLock::new(), "pull,push");
        Self { door, reference, scheme, credential, own, wide, actions, mount_from }
    }

    /// Begins a session that asks for no more than to read.
    pub(super) fn reading(door: Door<'a>, reference: &'a Reference) -> Self {
        Self { actions: "pull", ..Self::new(door, reference, None) }
    }

    /// Begins a session with the key of a former one, which need not ask for it again.
    pub(super) fn reading_with(door: Door<'a>, reference: &'a Reference, keys: &Keys) -> Self {
        Self { own: keys.clone(), ..Self::reading(door, reference) }
    }

    /// Returns an address of the repository.
    pub(super) fn url(&self, below: &str) -> String {
        format!("{}/v2/{}/{below}", self.scheme.base(), self.reference.repository)
    }

    pub(super) fn home(&self) -> Url<'_> {
        Url::parse(self.scheme.base()).expect("it was made of a scheme and a host")
    }

    pub(super) fn host(&self) -> String {
        self.reference.registry.clone()
    }

    /// Makes attempts until one succeeds, fails for good, or was the last.
    pub(super) fn again<T>(
        &self,
        name: &str,
        mut attempt: impl FnMut() -> Result<T, Trouble>,
    ) -> Result<T, PushError> {
        let mut count = 1;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing(passing)) => {
                    self.door.http.pause(name, count, passing, self.door.observer)?;
                }
            }
            count += 1;
        }
    }

    /// Makes one call as who is logged in. Statuses that may pass are trouble, all others are the caller's to judge.
    pub(super) fn call(&self, ask: &Ask<'_>) -> Result<Answer, Trouble> {
        self.call_within(ask, ANSWER_BYTES_MAX)
    }

    /// Makes one call as [`Session::call`] does, whose answer may have so many bytes.
    pub(super) fn call_within(&self, ask: &Ask<'_>, limit: u64) -> Result<Answer, Trouble> {
        let mut renewed = false;
        loop {
            let (mut answer, generation) = self.scheme.settle(ask.url, &|url| {
                let key = self.key(ask.reach).lock().expect("no holder of a key panics").clone();
                let ask = Ask { url, ..*ask };
                let answer = self.follow(&ask, limit, (key.header.as_deref(), &self.home()))?;
                Ok((answer, key.generation))
            })?;
            let ours = Url::parse(&answer.url).is_some_and(|url| url.same_server(&self.home()));
            if answer.status == 401 && ours {
                if renewed {
                    return Err(self.unwelcome(&mut answer).into());
                }
                self.renew(ask.reach, generation, &mut answer)?;
                renewed = true;
                continue;
            }
            let request = request(ask.name, ask.url, &[]);
            return match self.door.http.passing(&request, &answer) {
                Some(passing) => Err(Trouble::Passing(passing)),
                None => Ok(answer),
            };
        }
    }

    /// Sends a request and follows where it is sent on to; the key stays with `keeper`.
    pub(super) fn follow(
        &self,
        ask: &Ask<'_>,
        limit: u64,
        (key, keeper): (Option<&str>, &Url<'_>),
    ) -> Result<Answer, Trouble> {
        let mut url = ask.url.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let parsed = self.admitted(&url)?;
            let mut headers: Vec<(&str, String)> = ask.headers.to_vec();
            if let Some(key) = key.filter(|_| parsed.same_server(keeper)) {
                headers.push(("authorization", key.to_owned()));
            }
            let request = Request { limit, ..request(ask.name, &url, &headers) };
            let step = Step { method: ask.method, request, sent: ask.sent };
            let answer = self.door.http.attempt(&step)?;
            let next = match answer.status {
                301 | 302 | 307 | 308 => answer.headers.get("location"),
                _ => None,
            };
            let Some(location) = next else {
                return Ok(answer);
            };
            let strange =
                || self.strange(format!("it redirects `{}` to `{}`", ask.name, place(location)));
            url = parsed.join(location).ok_or_else(strange)?;
        }
        let (url, name) = (place(ask.url), ask.name.to_owned());
        Err(PushError::Redirects { url, name }.into())
    }

    /// Reads an address that the registry names; what it sends to must be as closed as itself.
    pub(super) fn admitted<'u>(&self, url: &'u str) -> Result<Url<'u>, PushError> {
        let parsed = Url::parse(url)
            .ok_or_else(|| self.strange(format!("it names the address `{}`", place(url))))?;
        let local = is_loopback(self.reference.host()) && is_loopback(parsed.authority);
        let open = self.door.security == Security::Plain || local;
        if parsed.scheme == "https" || open {
            return Ok(parsed);
        }
        Err(PushError::Downgrade { host: self.host(), url: place(url) })
    }

    fn key(&self, reach: Reach) -> &Mutex<Key> {
        match reach {
            Reach::Own => &self.own.0,
            Reach::Mount => &self.wide.0,
        }
    }

    /// Fetches a new key, unless another call did so since this one's was taken.
    fn renew(&self, reach: Reach, generation: u32, answer: &mut Answer) -> Result<(), Trouble> {
        let mut key = self.key(reach).lock().expect("no holder of a key panics");
        if key.generation != generation {
            return Ok(());
        }
        let header = answer.headers.get("www-authenticate").map(String::as_str);
        let credential = self.credential()?;
        let made = match (header.and_then(Challenge::parse), credential) {
            (_, Some(Credential::Token { token, .. })) => format!("Bearer {token}"),
            (Some(Challenge::Basic), Some(Credential::Login { user, secret, .. })) => {
                basic(user, secret)
            }
            (Some(Challenge::Bearer { realm, service, scope }), credential) => {
                let token = Wanted {
                    realm: &realm,
                    service,
                    scopes: scopes(scope.as_deref(), &self.wanted(reach)),
                };
                format!("Bearer {}", self.fetch_token(&token, credential)?)
            }
            _ => return Err(self.unwelcome(answer).into()),
        };
        *key = Key { header: Some(made), generation: generation + 1 };
        Ok(())
    }

    fn wanted(&self, reach: Reach) -> Vec<String> {
        let mut wanted = vec![format!("repository:{}:{}", self.reference.repository, self.actions)];
        if let (Reach::Mount, Some(from)) = (reach, self.mount_from) {
            wanted.push(format!("repository:{from}:pull"));
        }
        wanted
    }

    fn credential(&self) -> Result<Option<&Credential>, PushError> {
        if self.credential.get().is_none() {
            let found = self.door.credentials.find(&self.reference.registry)?;
            let _ = self.credential.set(found);
        }
        Ok(self.credential.get().and_then(Option::as_ref))
    }

    /// Makes the error of an answer that wants to know who asks.
    fn unwelcome(&self, answer: &mut Answer) -> PushError {
        let says = said_in(&body(answer)).1;
        self.refused_login(says)
    }

    pub(super) fn refused_login(&self, says: String) -> PushError {
        let (host, repository) = (self.host(), self.reference.repository.clone());
        let (user, from) = match self.credential.get().and_then(Option::as_ref) {
            None => return PushError::NoLogin { host, repository, says },
            Some(Credential::Login { user, from, .. }) => (user.clone(), from),
            Some(Credential::Identity { from, .. } | Credential::Token { from, .. }) => {
                ("a token".to_owned(), from)
            }
        };
        PushError::BadLogin { host, user, source_of: from.clone(), says }
    }

    /// Makes the error of an answer whose status is no success and will not pass.
    pub(super) fn refused(&self, name: &str, bytes: u64, answer: &mut Answer) -> PushError {
        let (code, says) = said_in(&body(answer));
        let (host, repository) = (self.host(), self.reference.repository.clone());
        let name = name.to_owned();
        match (answer.status, code.as_str()) {
            (413, _) => PushError::TooLarge { host, name, bytes },
            (401, _) => self.refused_login(says),
            (_, "NAME_UNKNOWN") | (404, _) => {
                PushError::UnknownRepository { host, repository, says }
            }
            (403, _) | (_, "DENIED") => PushError::Denied { host, repository, says },
            (status, _) => PushError::Refused { host, name, status, says },
        }
    }

    pub(super) fn strange(&self, what: String) -> PushError {
        PushError::BadAnswer { host: self.host(), what }
    }
}

pub(super) fn request<'r>(
    name: &'r str,
    url: &'r str,
    headers: &'r [(&'r str, String)],
) -> Request<'r> {
    Request { name, url, limit: ANSWER_BYTES_MAX, headers }
}

/// Reads as much of an answer as counts; one that breaks off says what it said until then.
pub(super) fn body(answer: &mut Answer) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = (&mut answer.body).take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
    bytes
}

/// Returns the code and the words of a registry's refusal.
pub(super) fn said_in(body: &[u8]) -> (String, String) {
    let errors: Option<Errors> = serde_json::from_slice(body).ok();
    match errors.and_then(|errors| errors.errors.into_iter().next()) {
        Some(first) if first.message.is_empty() => (first.code.clone(), said(&first.code)),
        Some(first) => (first.code, said(&first.message)),
        None => (String::new(), String::new()),
    }
}
