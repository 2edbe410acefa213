//! Scheme: whether a registry is spoken to in the open or encrypted.
//!
//! One elsewhere is encrypted unless a person says otherwise. One on this machine may be either, and nothing in its name tells:
//! so it is asked in the open first, and where that is answered with 400, which is what servers of TLS say to it, once more
//! encrypted. The first question bears no key, so nothing is given away by it.

use std::sync::atomic::{AtomicU8, Ordering};

use super::reference::is_loopback;
use super::session::Trouble;
use super::{PushError, Security};
use crate::http::Answer;

const UNKNOWN: u8 = 0;
const OPEN: u8 = 1;
const ENCRYPTED: u8 = 2;

/// A call to an address; what it gives beside the answer is the caller's.
type Call<'a, T> = dyn Fn(&str) -> Result<(Answer, T), Trouble> + 'a;

/// How one registry is spoken to.
pub(super) struct Scheme {
    open: String,
    encrypted: String,
    state: AtomicU8,
}

impl Scheme {
    /// What is known of a host before it is asked.
    pub(super) fn of(host: &str, security: Security) -> Self {
        let state = match security {
            Security::Plain => OPEN,
            Security::Encrypted if is_loopback(host) => UNKNOWN,
            Security::Encrypted => ENCRYPTED,
        };
        let (open, encrypted) = (format!("http://{host}"), format!("https://{host}"));
        Self { open, encrypted, state: AtomicU8::new(state) }
    }

    /// Scheme, host and port, as far as it is known now.
    pub(super) fn base(&self) -> &str {
        match self.state.load(Ordering::SeqCst) {
            ENCRYPTED => &self.encrypted,
            _ => &self.open,
        }
    }

    /// Makes a call, and the same once more encrypted where the registry turns out to want that.
    pub(super) fn settle<T>(&self, url: &str, call: &Call<'_, T>) -> Result<(Answer, T), Trouble> {
        let rest = url.strip_prefix(&self.open).filter(|rest| rest.starts_with(['/', '?']));
        let Some(rest) = rest else {
            return call(url);
        };
        let encrypted = format!("{}{rest}", self.encrypted);
        match self.state.load(Ordering::SeqCst) {
            OPEN => return call(url),
            ENCRYPTED => return call(&encrypted),
            _ => {}
        }
        let first = call(url)?;
        if first.0.status != 400 {
            self.state.store(OPEN, Ordering::SeqCst);
            return Ok(first);
        }
        match call(&encrypted) {
            Ok(second) => {
                self.state.store(ENCRYPTED, Ordering::SeqCst);
                Ok(second)
            }
            // It has a certificate, so it is the one to be mended.
            Err(trouble) if is_about_trust(&trouble) => Err(trouble),
            Err(_) => Ok(first),
        }
    }
}

/// Tells whether a handshake came as far as to a certificate. What speaks no TLS at all fails before.
fn is_about_trust(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Final(PushError::Untrusted { source, .. }) => {
            source.to_string().contains("certificate")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registry_on_this_machine_leaves_its_scheme_open() {
        for (host, security, base, state) in [
            ("r.example", Security::Encrypted, "https://r.example", ENCRYPTED),
            ("r.example", Security::Plain, "http://r.example", OPEN),
            ("localhost:5000", Security::Encrypted, "http://localhost:5000", UNKNOWN),
            ("127.0.0.1:5000", Security::Plain, "http://127.0.0.1:5000", OPEN),
        ] {
            let scheme = Scheme::of(host, security);
            assert_eq!((scheme.base(), scheme.state.load(Ordering::SeqCst)), (base, state));
        }
    }
}
