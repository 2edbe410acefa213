//! Users: registration, tokens, and who one is.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use serde::Serialize;

use super::input::{self, Fields};
use super::{Routes, Service, output};
use crate::dev::things::entries::Metadata;
use crate::dev::things::wrong::{Result, Wrong};

pub(super) fn routes() -> Routes {
    Routes::new().route("/users", post(register).get(view)).route("/tokens", post(log_in))
}

#[derive(Serialize)]
struct Token {
    token: String,
}

#[derive(Serialize)]
struct User {
    email: String,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
}

type Asked = State<Arc<Service>>;

async fn register(State(service): Asked, headers: HeaderMap, body: Bytes) -> Result<Response> {
    let mut fields = Fields::read(&headers, &body)?;
    let (email, password) = (fields.text("email")?, fields.text("password")?);
    let metadata = fields.object("metadata")?.unwrap_or_default();
    service.ask_slowly(move |model| model.register(&email, &password, &metadata)).await?;
    Ok(output::empty(StatusCode::CREATED))
}

async fn log_in(State(service): Asked, headers: HeaderMap, body: Bytes) -> Result<Response> {
    let mut fields = Fields::read(&headers, &body)?;
    let (email, password) = (fields.text("email")?, fields.text("password")?);
    if email.is_empty() || password.is_empty() {
        return Err(Wrong::Malformed("an e-mail address and a password are needed"));
    }
    let token = service.ask_slowly(move |model| model.log_in(&email, &password)).await?;
    Ok(output::json(StatusCode::CREATED, &Token { token }))
}

async fn view(State(service): Asked, headers: HeaderMap) -> Result<Response> {
    let token = input::token(&headers)?;
    let (email, metadata) = service.ask(move |model| model.user(&token)).await?;
    Ok(output::json(StatusCode::OK, &User { email, metadata }))
}
