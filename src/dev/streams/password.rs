//! Password: what clients have to know, of which only a slow hash is kept.

use std::num::NonZeroU32;

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac, pbkdf2};

const ROUNDS: u32 = 20_000;
const SALT_BYTES: usize = 16;

/// A password that is known by its hash.
#[derive(Clone)]
pub(super) struct Password {
    rounds: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
    /// The right one under a key of this process, once it was seen: the next client is let in at once.
    seen: Option<(hmac::Key, hmac::Tag)>,
}

impl Password {
    pub(super) fn new(password: &[u8]) -> Self {
        let mut salt = vec![0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).expect("the kernel gives random bytes");
        let mut hash = vec![0; digest::SHA256_OUTPUT_LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds(ROUNDS), &salt, password, &mut hash);
        Self { rounds: ROUNDS, salt, hash, seen: None }
    }

    /// Tells whether this is it.
    pub(super) fn is(&mut self, password: &[u8]) -> bool {
        if let Some((key, tag)) = &self.seen
            && hmac::verify(key, password, tag.as_ref()).is_ok()
        {
            return true;
        }
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        let is_right =
            pbkdf2::verify(algorithm, rounds(self.rounds), &self.salt, password, &self.hash);
        if is_right.is_ok()
            && let Ok(key) = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
        {
            let tag = hmac::sign(&key, password);
            self.seen = Some((key, tag));
        }
        is_right.is_ok()
    }

    /// Writes down what is kept of it.
    pub(super) fn to_text(&self) -> String {
        format!("pbkdf2-sha256:{}:{}:{}", self.rounds, hex(&self.salt), hex(&self.hash))
    }

    /// Reads what was written down.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("pbkdf2-sha256:")?.split(':');
        let rounds = parts.next()?.parse().ok().filter(|rounds| *rounds > 0)?;
        let (salt, hash) = (unhex(parts.next()?)?, unhex(parts.next()?)?);
        Some(Self { rounds, salt, hash, seen: None })
    }
}

fn rounds(rounds: u32) -> NonZeroU32 {
    NonZeroU32::new(rounds).expect("it was looked at when it was read")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_again_from_what_was_written_and_cannot_be_read_there() {
        let text = Password::new(b"hunter2").to_text();
        assert!(!text.contains("hunter2"));
        let mut known = Password::from_text(&text).unwrap();
        assert!(!known.is(b"hunter"));
        assert!(known.is(b"hunter2") && known.is(b"hunter2"));
        assert!(!known.is(b"hunter"));
    }
}
