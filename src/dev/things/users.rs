//! Users: who owns things, known by e-mail address and password.

use rusqlite::{OptionalExtension as _, params};
use serde_json::{Map, Value};

use super::model::{self, Model, now_s};
use super::password;
use super::wrong::{Result, Wrong};
use crate::limits::{THINGS_PASSWORD_BYTES_MAX, THINGS_USERS_MAX};

const NOBODY: Wrong = Wrong::Denied("the token is missing, too old, or another stack's");
const WRONG_PASSWORD: Wrong = Wrong::Denied("the e-mail address or the password is wrong");

impl Model {
    /// Registers a user. Slow on purpose.
    pub(super) fn register(
        &self,
        email: &str,
        password: &str,
        metadata: &Map<String, Value>,
    ) -> Result<()> {
        if !is_email(email) {
            return Err(Wrong::Malformed("this is no e-mail address"));
        }
        if password.is_empty() || password.len() > THINGS_PASSWORD_BYTES_MAX {
            return Err(Wrong::Malformed("a password has between 1 and 1024 bytes"));
        }
        self.keep_user(email, &password::hash(password), metadata)
    }

    /// Registers the stack's own user, whose password was drawn at random. Quick, for a stack waits for it.
    pub(super) fn register_own(&self, email: &str, password: &str) -> Result<()> {
        self.keep_user(email, &password::hash_drawn(password), &Map::new())
    }

    fn keep_user(&self, email: &str, hash: &str, metadata: &Map<String, Value>) -> Result<()> {
        let database = self.database();
        model::room(&database, "users", THINGS_USERS_MAX)?;
        let metadata = Value::from(metadata.clone()).to_string();
        let sql = "insert into users (email, password, metadata) values (?1, ?2, ?3)
            on conflict do nothing";
        match database.execute(sql, params![email, hash, metadata])? {
            0 => Err(Wrong::Exists("a user of this address is there already")),
            _ => Ok(()),
        }
    }

    /// Gives a token to who knows the password. Slow on purpose, and as slow for an unknown address.
    pub(super) fn log_in(&self, email: &str, password: &str) -> Result<String> {
        let sql = "select password from users where email = ?1";
        let kept: Option<String> =
            self.database().query_row(sql, [email], |row| row.get(0)).optional()?;
        let Some(kept) = kept else {
            password::hash(password);
            return Err(WRONG_PASSWORD);
        };
        match password::fits(password, &kept) {
            true => Ok(self.secret.token(email, now_s())),
            false => Err(WRONG_PASSWORD),
        }
    }

    /// Returns whose a token is.
    pub(super) fn identify(&self, token: &str) -> Result<String> {
        self.secret.user(token, now_s()).ok_or(NOBODY)
    }

    /// Returns what is known of the user whose token it is.
    pub(super) fn user(&self, token: &str) -> Result<(String, Map<String, Value>)> {
        let email = self.identify(token)?;
        let sql = "select metadata from users where email = ?1";
        let metadata: Option<String> =
            self.database().query_row(sql, [&email], |row| row.get(0)).optional()?;
        Ok((email, object(&metadata.ok_or(NOBODY)?)))
    }

    /// Tells whether a user is known.
    pub(super) fn has_user(&self, email: &str) -> Result<bool> {
        let sql = "select count(*) from users where email = ?1";
        let count: i64 = self.database().query_row(sql, [email], |row| row.get(0))?;
        Ok(count > 0)
    }
}

/// Reads an object that was written by us.
pub(super) fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

/// Tells whether a text is an e-mail address, by Mainflux's own rules.
fn is_email(email: &str) -> bool {
    const MARKS: &str = "!#$%&'*+/=?^_`{|}~.-";
    let Some((user, host)) = email.rsplit_once('@') else { return false };
    let user_fits = (1..=64).contains(&user.len())
        && user.chars().all(|c| c.is_ascii_alphanumeric() || MARKS.contains(c))
        && !user.starts_with('.')
        && !user.ends_with('.')
        && !user.contains("..");
    let host_fits = host.len() >= 2
        && !host.contains(char::is_whitespace)
        && host.char_indices().any(|(at, c)| c == '.' && at > 0 && at + 1 < host.len());
    (6..=254).contains(&email.len()) && user_fits && host_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_where_mainflux_takes_it() {
        for good in ["a@b.io", "user@example.com", "a+b@c.d.e", "x_y@h.co"] {
            assert!(is_email(good), "{good}");
        }
        for bad in
            ["", "a@b.i", "@b.com", "user", "a..b@c.de", ".a@c.de", "a.@c.de", "a@host", "a b@c.de"]
        {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
