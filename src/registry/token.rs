//! Token: what a registry's own server of keys is asked, with whatever login there is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::challenge::check_realm;
use super::credentials::Credential;
use super::session::{Ask, Reach, Session, Trouble, body, request, said_in};
use super::url::{Url, encoded, with_parameter};
use super::{PushError, Security};
use crate::http::{Method, Sent};
use crate::limits::ANSWER_BYTES_MAX;

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Session<'_> {
    /// Fetches a token from where the registry says.
    pub(super) fn fetch_token(
        &self,
        wanted: &Wanted<'_>,
        credential: Option<&Credential>,
    ) -> Result<String, Trouble> {
        check_realm(wanted.realm, &self.home(), self.door.security == Security::Plain)?;
        let (mut url, mut form, mut key) = (wanted.realm.to_owned(), None, None);
        match credential {
            Some(Credential::Identity { token, .. }) => form = Some(wanted.form(token)),
            _ => {
                for (name, value) in wanted.parameters() {
                    url = with_parameter(&url, name, &value);
                }
            }
        }
        if let Some(Credential::Login { user, secret, .. }) = credential {
            key = Some(basic(user, secret));
        }
        let headers = [("content-type", "application/x-www-form-urlencoded".to_owned())];
        let ask = Ask {
            method: if form.is_some() { Method::Post } else { Method::Get },
            name: "a token",
            url: &url,
            headers: if form.is_some() { &headers } else { &[] },
            sent: form.as_deref().map_or(Sent::Nothing, |form| Sent::Bytes(form.as_bytes())),
            reach: Reach::Own,
        };
        let realm = Url::parse(wanted.realm).ok_or_else(|| self.strange("its realm".into()))?;
        let mut answer = self.follow(&ask, ANSWER_BYTES_MAX, (key.as_deref(), &realm))?;
        if let Some(passing) = self.door.http.passing(&request(ask.name, &url, &[]), &answer) {
            return Err(Trouble::Passing(passing));
        }
        let body = body(&mut answer);
        match answer.status {
            200..=299 => {}
            400 | 401 | 403 => return Err(self.refused_login(said_in(&body).1).into()),
            status => {
                let (host, name) = (realm.authority.to_owned(), "a token".to_owned());
                let says = said_in(&body).1;
                return Err(PushError::Refused { host, name, status, says }.into());
            }
        }
        let token: Option<Token> = serde_json::from_slice(&body).ok();
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let token = token.and_then(|token| filled(token.token).or(filled(token.access_token)));
        let token = token.filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        token.ok_or_else(|| self.strange(format!("`{}` gives no token", realm.authority)).into())
    }
}

/// What a token is for.
pub(super) struct Wanted<'a> {
    pub(super) realm: &'a str,
    pub(super) service: Option<String>,
    pub(super) scopes: Vec<String>,
}

impl Wanted<'_> {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let service = self.service.iter().map(|service| ("service", service.clone()));
        service.chain(self.scopes.iter().map(|scope| ("scope", scope.clone()))).collect()
    }

    /// Writes the form that trades a token for a token (OAuth 2.0, section 6).
    fn form(&self, token: &str) -> String {
        let mut fields = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", "rebeam".to_owned()),
            ("refresh_token", token.to_owned()),
            ("scope", self.scopes.join(" ")),
        ];
        fields.extend(self.service.iter().map(|service| ("service", service.clone())));
        let field = |(name, value): &(&str, String)| format!("{name}={}", encoded(value));
        fields.iter().map(field).collect::<Vec<_>>().join("&")
    }
}

pub(super) fn basic(user: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))
}
