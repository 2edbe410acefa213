//! Token: JSON web tokens as Mainflux gives them to users: HS256, ten hours.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

const LIFE_S: i64 = 10 * 3600;
const ISSUER: &str = "mainflux";
const HEAD: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// What tokens of one stack are signed with.
pub(super) struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    exp: i64,
    iat: i64,
    iss: String,
    sub: String,
}

impl Secret {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Signs a token for a user.
    pub(super) fn token(&self, user: &str, now_s: i64) -> String {
        let claims =
            Claims { exp: now_s + LIFE_S, iat: now_s, iss: ISSUER.into(), sub: user.into() };
        let claims = serde_json::to_vec(&claims).expect("claims are texts and numbers");
        let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEAD), URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&self.0, body.as_bytes());
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Returns whose a token is, if it is ours and not too old.
    pub(super) fn user(&self, token: &str, now_s: i64) -> Option<String> {
        let (body, signature) = token.rsplit_once('.')?;
        let (head, claims) = body.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // The signature covers the head, so no other algorithm can be slipped in.
        hmac::verify(&self.0, body.as_bytes(), &signature).ok()?;
        let head = URL_SAFE_NO_PAD.decode(head).ok()?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let is_ours = head == HEAD.as_bytes() && claims.iss == ISSUER && claims.exp > now_s;
        is_ours.then_some(claims.sub)
    }
}

/// Bytes that nobody can guess.
pub(super) fn random<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    SystemRandom::new().fill(&mut bytes).expect("the kernel gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_users_for_ten_hours() {
        let secret = Secret::new(b"s");
        let token = secret.token("a@b.io", 100);
        assert!(token.starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."), "{token}");
        assert_eq!(secret.user(&token, 100 + LIFE_S - 1).as_deref(), Some("a@b.io"));
        assert_eq!(secret.user(&token, 100 + LIFE_S), None);
    }

    #[test]
    fn a_token_that_was_changed_or_is_anothers_is_nobodys() {
        let secret = Secret::new(b"s");
        let token = secret.token("a@b.io", 100);
        assert_eq!(Secret::new(b"t").user(&token, 100), None);
        let bare = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), "e30");
        for wrong in ["", ".", "..", "a.b.c", &bare, &token[..token.len() - 2]] {
            assert_eq!(secret.user(wrong, 100), None, "{wrong}");
        }
        let other = secret.token("c@b.io", 100);
        let claims = other.split('.').nth(1).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        parts[1] = claims;
        assert_eq!(secret.user(&parts.join("."), 100), None);
    }
}
