//! About: what each service says of itself.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::{Part, Routes, Service};
use crate::dev::things::wrong::Result;

/// The version that Mainflux had when it looked as this does.
const VERSION: &str = "0.9.0";

pub(super) fn routes(part: Part) -> Routes {
    let name = match part {
        Part::Users => "users",
        // The gateway's `/version` was that of things.
        Part::Things | Part::Auth | Part::Gateway => "things",
        Part::Adapter => "http",
        Part::Bootstrap => "bootstrap",
        Part::Reader => "postgres-reader",
    };
    let version = format!(r#"{{"service":"{name}","version":"{VERSION}"}}"#);
    Routes::new().route("/version", get(async || version)).route("/metrics", get(metrics))
}

pub(super) async fn count(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    service.requests.fetch_add(1, Ordering::Relaxed);
    next.run(request).await
}

async fn metrics(State(service): State<Arc<Service>>) -> Result<Response> {
    const TABLES: [&str; 6] = ["users", "things", "channels", "connections", "configs", "messages"];
    let counts = service.ask(|model| TABLES.iter().map(|table| model.count(table)).collect());
    let counts: Vec<u64> = counts.await?;
    let mut text = String::new();
    for (table, count) in TABLES.iter().zip(counts) {
        writeln!(text, "# TYPE mainflux_{table} gauge\nmainflux_{table} {count}")
            .expect("a text takes every text");
    }
    let requests = service.requests.load(Ordering::Relaxed);
    writeln!(text, "# TYPE mainflux_requests_total counter\nmainflux_requests_total {requests}")
        .expect("a text takes every text");
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
