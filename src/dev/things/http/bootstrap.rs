//! Bootstrap: configurations for their owners, and for the devices that ask for them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, put};
use bytes::Bytes;
use serde::Serialize;

use super::input::{Fields, Queries, token};
use super::output::{self, ConfigView, DeviceView};
use super::{Routes, Service};
use crate::dev::things::bootstrap::Closed;
use crate::dev::things::cipher;
use crate::dev::things::configs::{Config, Filter};
use crate::dev::things::wrong::{JSON, Result, Wrong};

type Asked = State<Arc<Service>>;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/things/configs", get(list).post(add))
        .route("/things/configs/{id}", get(view).put(update).delete(remove))
        .route("/things/configs/certs/{id}", patch(update_certificates))
        .route("/things/configs/connections/{id}", put(update_connections))
        .route("/things/unknown/configs", get(strangers))
        .route("/things/bootstrap/{external_id}", get(bootstrap))
        .route("/things/bootstrap/secure/{external_id}", get(secure))
        .route("/things/state/{id}", put(change_state))
}

async fn add(State(service): Asked, headers: HeaderMap, body: Bytes) -> Result<Response> {
    let mut fields = Fields::read(&headers, &body)?;
    let config = Config {
        thing: fields.text("thing_id")?,
        external_id: fields.text("external_id")?,
        external_key: fields.text("external_key")?,
        name: fields.text("name")?,
        content: fields.text("content")?,
        client_cert: fields.text("client_cert")?,
        client_key: fields.text("client_key")?,
        ca_cert: fields.text("ca_cert")?,
        ..Config::default()
    };
    let channels = fields.texts("channels")?;
    let token = token(&headers)?;
    if config.external_id.is_empty() || config.external_key.is_empty() {
        return Err(Wrong::Malformed("`external_id` and `external_key` are needed"));
    }
    let thing = service.ask(move |model| model.add_config(&token, config, &channels)).await?;
    Ok(output::created(&format!("/things/configs/{thing}")))
}

async fn view(
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let token = token(&headers)?;
    let config = service.ask(move |model| model.config(&token, &id)).await?;
    Ok(output::json(StatusCode::OK, &ConfigView::from(&config)))
}

async fn list(State(service): Asked, headers: HeaderMap, uri: Uri) -> Result<Response> {
    let queries = Queries::read(&uri)?;
    let (offset, limit) = queries.page()?;
    let of = |name| queries.first(name).map(str::to_owned);
    let filter = Filter {
        state: of("state"),
        external_id: of("external_id"),
        thing: of("mainflux_id"),
        key: of("mainflux_key"),
        name: of("name"),
    };
    let token = token(&headers)?;
    let found = service.ask(move |model| model.configs(&token, &filter, offset, limit)).await?;
    Ok(output::configs(&found))
}

async fn update(
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let mut fields = Fields::read(&headers, &body)?;
    let (name, content) = (fields.text("name")?, fields.text("content")?);
    let token = token(&headers)?;
    service.ask(move |model| model.update_config(&token, &id, &name, &content)).await?;
    Ok(output::empty(StatusCode::OK))
}

async fn update_certificates(
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let mut fields = Fields::read(&headers, &body)?;
    let cert = fields.text("client_cert")?;
    let (key, ca) = (fields.text("client_key")?, fields.text("ca_cert")?);
    let token = token(&headers)?;
    let changed =
        service.ask(move |model| model.update_certificates(&token, &id, [&cert, &key, &ca]));
    changed.await?;
    Ok(output::empty(StatusCode::OK))
}

async fn update_connections(
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let channels = Fields::read(&headers, &body)?.texts("channels")?;
    let token = token(&headers)?;
    service.ask(move |model| model.update_connections(&token, &id, &channels)).await?;
    Ok(output::empty(StatusCode::OK))
}

async fn change_state(
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let state = Fields::read(&headers, &body)?.number("state")?;
    let token = token(&headers)?;
    if !(0..=1).contains(&state) {
        return Err(Wrong::Malformed("a state is 0 or 1"));
    }
    service.ask(move |model| model.change_state(&token, &id, state)).await?;
    Ok(output::empty(StatusCode::OK))
}

async fn remove(
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let token = token(&headers)?;
    service.ask(move |model| model.remove_config(&token, &id)).await?;
    Ok(output::empty(StatusCode::NO_CONTENT))
}

#[derive(Serialize)]
struct Stranger {
    external_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    external_key: String,
}

#[derive(Serialize)]
struct Strangers {
    /// Go writes a list that was never begun as null.
    configs: Option<Vec<Stranger>>,
}

async fn strangers(State(service): Asked, headers: HeaderMap, uri: Uri) -> Result<Response> {
    let (offset, limit) = Queries::read(&uri)?.page()?;
    let token = token(&headers)?;
    let found = service.ask(move |model| model.strangers(&token, offset, limit)).await?;
    let view = |(external_id, external_key)| Stranger { external_id, external_key };
    let configs: Vec<Stranger> = found.into_iter().map(view).collect();
    let configs = (!configs.is_empty()).then_some(configs);
    Ok(output::json(StatusCode::OK, &Strangers { configs }))
}

async fn bootstrap(
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let key = token(&headers)?;
    let config = service.ask(move |model| model.bootstrap(&id, &key, Closed::Open)).await?;
    Ok(output::json(StatusCode::OK, &DeviceView::from(&config)))
}

async fn secure(
    State(service): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let key = token(&headers)?;
    let secret = service.bootstrap_key.clone();
    let config =
        service.ask(move |model| model.bootstrap(&id, &key, Closed::Under(&secret))).await?;
    let plain = output::text(&DeviceView::from(&config));
    let sealed = cipher::seal(&service.bootstrap_key, plain.as_bytes()).ok_or(Wrong::Broken)?;
    Ok(([(CONTENT_TYPE, JSON)], sealed).into_response())
}
