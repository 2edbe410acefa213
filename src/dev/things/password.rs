//! Password: what is kept of a user's password: scrypt's hash of it, with the figures and the salt.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::hmac;

use super::token::random;

/// The power of two, the block size and the lanes: about 50 ms and 16 MiB.
const COST: u8 = 14;
/// The same for a password that was drawn: nobody guesses 128 bits, however fast a guess is.
const DRAWN_COST: u8 = 2;
const BLOCK_SIZE: u32 = 8;
const LANES: u32 = 1;
const MARK: &str = "scrypt";

/// Hashes a password that a person may have thought of; slow on purpose.
pub(super) fn hash(password: &str) -> String {
    hash_at(password, COST)
}

/// Hashes a password that was drawn at random.
pub(super) fn hash_drawn(password: &str) -> String {
    hash_at(password, DRAWN_COST)
}

fn hash_at(password: &str, cost: u8) -> String {
    let salt = random::<16>();
    let hash = derive(password, &salt, cost).expect("our own figures are in range");
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    format!("${MARK}${cost}${salt}${hash}")
}

/// Tells whether a password is the one that was hashed.
pub(super) fn fits(password: &str, kept: &str) -> bool {
    let mut parts = kept.split('$').skip(1);
    let mut next = || parts.next().unwrap_or_default();
    let (mark, cost, salt, hash) = (next(), next(), next(), next());
    let fits = || {
        let (salt, hash) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?);
        let again = derive(password, &salt, cost.parse().ok()?)?;
        // Compared under a key, so that the time it takes says nothing.
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random::<32>());
        hmac::verify(&key, &again, hmac::sign(&key, &hash).as_ref()).ok()
    };
    mark == MARK && fits().is_some()
}

fn derive(password: &str, salt: &[u8], cost: u8) -> Option<[u8; 32]> {
    let figures = scrypt::Params::new(cost, BLOCK_SIZE, LANES).ok()?;
    let mut hash = [0; 32];
    scrypt::scrypt(password.as_bytes(), salt, &figures, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits_and_nothing_of_it_is_kept() {
        for kept in [hash("open sesame"), hash_drawn("open sesame")] {
            assert!(!kept.contains("sesame"));
            assert!(fits("open sesame", &kept));
            assert!(!fits("open Sesame", &kept));
        }
        for damaged in ["", "$", "$scrypt", "$scrypt$99$AAAA$AAAA", "$md5$14$AAAA$AAAA"] {
            assert!(!fits("", damaged), "{damaged}");
        }
    }
}
