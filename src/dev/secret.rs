//! Secret: a password that is compared without telling how much of it is right, and that is never shown.

use std::fmt;
use std::sync::Arc;

use ring::hmac;
use ring::rand::SystemRandom;

/// A password of the stack.
#[derive(Clone)]
pub struct Secret(Arc<Held>);

struct Held {
    text: Box<str>,
    key: hmac::Key,
    tag: hmac::Tag,
}

impl Secret {
    /// Takes a password.
    pub fn new(text: &str) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the kernel gives random bytes");
        let tag = hmac::sign(&key, text.as_bytes());
        Self(Arc::new(Held { text: text.into(), key, tag }))
    }

    /// Tells whether `other` is the same password.
    pub fn is(&self, other: &[u8]) -> bool {
        hmac::verify(&self.0.key, other, self.0.tag.as_ref()).is_ok()
    }

    /// Shows the password, for those to whom it has to be handed.
    pub fn reveal(&self) -> &str {
        &self.0.text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_knows_itself_and_is_not_printed() {
        let secret = Secret::new("hunter2");
        assert!(secret.is(b"hunter2") && !secret.is(b"hunter") && !secret.is(b""));
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
