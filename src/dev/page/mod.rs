//! Page: the desk in a browser: what runs, who is connected, what is said, and why something was not.
//!
//! Every page is gathered by one function and shown in four ways (see [`view`]): HTML, JSON, and both live. All of
//! it is rendered here; the script only swaps what comes. Nothing is fetched from elsewhere, and whatever a stranger
//! wrote (topics, payloads, names) is text and never markup.

mod clients;
mod desk;
mod devices;
mod diff;
mod events;
mod frame;
mod live;
mod logs;
mod messages;
mod overview;
mod plot;
mod rules;
mod samples;
mod stream;
mod text;
mod topics;
mod view;
mod watching;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::desk::Desk;
use self::samples::Samples;
use self::view::page;
use self::watching::Watching;
use super::access::Book;
use super::error::DevError;
use super::place::Service;
use super::services::Supervised;
use super::web::{Guard, Web};
use super::{Bus, Troubles, broker, events as events_log, streams, things};
use crate::limits::PAGE_LIVES_MAX;

/// What the page shows.
#[derive(Debug)]
pub struct Parts {
    /// What runs.
    pub services: Vec<Service>,
    /// What keeps parts of the stack from writing.
    pub troubles: Troubles,
    /// The broker.
    pub broker: broker::Handle,
    /// The streams.
    pub streams: streams::Inlet,
    /// What was written down of what happened.
    pub log: events_log::Reader,
    /// Things and channels.
    pub things: things::View,
    /// The rules of access.
    pub book: Book,
    /// What runs in rooms.
    pub supervised: Supervised,
    /// Where everything that happens is said.
    pub bus: Bus,
}

/// A page that is served. Call [`Page::stop`] to end it.
#[derive(Debug)]
pub struct Page {
    web: Web,
    stop: CancellationToken,
    watching: JoinSet<()>,
}

impl Page {
    /// Serves the page of these parts on `socket` to whom `guard` lets in.
    ///
    /// # Errors
    /// Where the kernel refuses the socket.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(socket: TcpListener, parts: Parts, guard: &Guard) -> Result<Self, DevError> {
        let stop = CancellationToken::new();
        let desk = Desk {
            services: parts.services,
            troubles: parts.troubles,
            broker: parts.broker.clone(),
            streams: parts.streams,
            log: Arc::new(parts.log),
            things: parts.things,
            book: parts.book,
            supervised: parts.supervised,
            watching: Arc::new(Watching::new()),
            samples: Arc::new(Samples::default()),
            lives: Arc::new(Semaphore::new(PAGE_LIVES_MAX)),
            reading: Arc::new(Semaphore::new(1)),
            started: Instant::now(),
        };
        let mut watching = JoinSet::new();
        let seen = Arc::clone(&desk.watching);
        watching.spawn(watching::messages(seen, parts.bus, stop.clone()));
        watching.spawn(samples::run(Arc::clone(&desk.samples), parts.broker, stop.clone()));
        let web = Web::guarded("page", socket, router(desk), guard)?;
        Ok(Self { web, stop, watching })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.web.address()
    }

    /// Tells every live view, and ends.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.web.stop().await;
        while self.watching.join_next().await.is_some() {}
    }
}

fn router(desk: Desk) -> Router {
    let router = Router::new()
        .route("/client/disconnect", post(clients::disconnect))
        .route("/service/restart", post(logs::restart))
        .route("/page.css", get(async || asset("text/css", include_str!("page.css"))))
        .route("/page.js", get(async || asset("text/javascript", include_str!("page.js"))))
        .route("/icon.svg", get(async || asset("image/svg+xml", include_str!("icon.svg"))));
    let router = page(router, "/", overview::load);
    let router = page(router, "/clients", clients::load);
    let router = page(router, "/client", clients::load_one);
    let router = page(router, "/topics", topics::load);
    let router = page(router, "/topic", topics::load_one);
    let router = page(router, "/messages", messages::load);
    let router = page(router, "/message", messages::load_one);
    let router = page(router, "/diff", messages::compare);
    let router = page(router, "/events", events::load);
    let router = page(router, "/streams", stream::load);
    let router = page(router, "/stream", stream::load_one);
    let router = page(router, "/things", devices::load);
    let router = page(router, "/access", rules::load);
    let router = page(router, "/logs", logs::load);
    router.fallback(view::nothing).layer(middleware::from_fn(confine)).with_state(Arc::new(desk))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], text).into_response()
}

/// Lets a browser load from here alone, and run nothing that stands in a page.
async fn confine(request: Request, next: Next) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                          img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
        // One address is HTML, JSON and live; and what is shown is old at once.
        (CACHE_CONTROL, "no-store"),
        (VARY, "accept"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
