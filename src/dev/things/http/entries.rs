//! Entries: things, channels, their connections, and who may use them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, patch, post, put};
use bytes::Bytes;
use serde::Serialize;

use super::input::{Fields, Queries, token};
use super::output::{self, EntryView};
use super::{Routes, Service};
use crate::dev::things::entries::{Kind, Said};
use crate::dev::things::wrong::{Result, Wrong};

type Asked = State<Arc<Service>>;

/// Things and channels.
pub(super) fn routes() -> Routes {
    const THING: Kind = Kind::Thing;
    const CHANNEL: Kind = Kind::Channel;
    let all = |kind: Kind| {
        get(move |state: Asked, headers, uri| list(kind, state, headers, uri))
            .post(move |state: Asked, headers, body| create(kind, state, headers, body))
    };
    let one = |kind: Kind| {
        get(move |state: Asked, id, headers| view(kind, state, id, headers))
            .put(move |state: Asked, id, headers, body| update(kind, state, id, headers, body))
            .delete(move |state: Asked, id, headers| remove(kind, state, id, headers))
    };
    let joined = |kind: Kind| {
        get(move |state: Asked, id, headers, uri| list_joined(kind, state, id, headers, uri))
    };
    Routes::new()
        .route("/things", all(THING))
        .route("/things/{id}", one(THING))
        .route("/things/{id}/key", patch(update_key))
        .route("/things/{id}/channels", joined(CHANNEL))
        .route("/channels", all(CHANNEL))
        .route("/channels/{id}", one(CHANNEL))
        .route("/channels/{id}/things", joined(THING))
        .route("/channels/{id}/things/{thing}", put(connect).delete(disconnect))
}

/// What adapters ask.
pub(super) fn auth_routes() -> Routes {
    Routes::new()
        .route("/identify", post(identify))
        .route("/channels/{id}/access", post(access))
        .route("/channels/{id}/access-by-id", post(access_by_id))
}

async fn create(
    kind: Kind,
    State(service): Asked,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let mut fields = Fields::read(&headers, &body)?;
    let (name, metadata) = (fields.text("name")?, fields.object("metadata")?);
    let key = if kind == Kind::Thing { fields.text("key")? } else { String::new() };
    let (token, said) = (token(&headers)?, Said { name, metadata, key });
    let id = service.ask(move |model| model.create(kind, &token, &said)).await?;
    let table = if kind == Kind::Thing { "things" } else { "channels" };
    Ok(output::created(&format!("/{table}/{id}")))
}

async fn list(kind: Kind, State(service): Asked, headers: HeaderMap, uri: Uri) -> Result<Response> {
    let wanted = Queries::read(&uri).and_then(|queries| queries.wanted());
    let token = token(&headers)?;
    let wanted = wanted?;
    let found = service.ask(move |model| model.list(kind, &token, &wanted)).await?;
    Ok(output::entries(kind, &found))
}

async fn list_joined(
    kind: Kind,
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response> {
    let token = token(&headers)?;
    let wanted = Queries::read(&uri)?.wanted_joined()?;
    let found = service.ask(move |model| model.list_joined(kind, &token, &id, &wanted)).await?;
    Ok(output::entries(kind, &found))
}

async fn view(
    kind: Kind,
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let token = token(&headers)?;
    let entry = service.ask(move |model| model.view(kind, &token, &id)).await?;
    Ok(output::json(StatusCode::OK, &EntryView::from(&entry)))
}

async fn update(
    kind: Kind,
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let mut fields = Fields::read(&headers, &body)?;
    let (name, metadata) = (fields.text("name")?, fields.object("metadata")?);
    let (token, said) = (token(&headers)?, Said { name, metadata, key: String::new() });
    service.ask(move |model| model.update(kind, &token, &id, &said)).await?;
    Ok(output::empty(StatusCode::OK))
}

async fn update_key(
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let key = Fields::read(&headers, &body)?.text("key")?;
    let token = token(&headers)?;
    service.ask(move |model| model.update_key(&token, &id, &key)).await?;
    Ok(output::empty(StatusCode::OK))
}

async fn remove(
    kind: Kind,
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let token = token(&headers)?;
    service.ask(move |model| model.remove(kind, &token, &id)).await?;
    Ok(output::empty(StatusCode::NO_CONTENT))
}

async fn connect(
    State(service): Asked,
    Path((channel, thing)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let token = token(&headers)?;
    service.ask(move |model| model.connect(&token, &channel, &thing)).await?;
    Ok(output::empty(StatusCode::OK))
}

async fn disconnect(
    State(service): Asked,
    Path((channel, thing)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let token = token(&headers)?;
    service.ask(move |model| model.disconnect(&token, &channel, &thing)).await?;
    Ok(output::empty(StatusCode::NO_CONTENT))
}

#[derive(Serialize)]
struct Identity {
    id: String,
}

const NO_KEY: Wrong = Wrong::Denied("a thing's key is missing");

async fn identify(State(service): Asked, headers: HeaderMap, body: Bytes) -> Result<Response> {
    let key = Fields::read(&headers, &body)?.text("token")?;
    if key.is_empty() {
        return Err(NO_KEY);
    }
    let id = service.ask(move |model| model.thing_of(&key)).await?;
    Ok(output::json(StatusCode::OK, &Identity { id }))
}

async fn access(
    State(service): Asked,
    Path(channel): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let key = Fields::read(&headers, &body)?.text("token")?;
    if key.is_empty() {
        return Err(NO_KEY);
    }
    let id = service.ask(move |model| model.may_use(&channel, &key)).await?;
    Ok(output::json(StatusCode::OK, &Identity { id }))
}

async fn access_by_id(
    State(service): Asked,
    Path(channel): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let thing = Fields::read(&headers, &body)?.text("thing_id")?;
    service.ask(move |model| model.may_use_by_id(&channel, &thing)).await?;
    Ok(output::empty(StatusCode::OK))
}
