//! Clients: sessions, what waits for them, and what did not reach them.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::events::{self, Row};
use super::frame::{Mood, Section, badge, search, table};
use super::text::{grouped, link, name, size, span};
use super::view::{Ask, View};
use crate::dev::broker::SessionView;
use crate::dev::web::Refusal;

/// Sessions that are looked at, and shown.
const LOOKED_AT_MAX: usize = 10_000;
const SHOWN_MAX: usize = 500;
/// Events of one client that are shown.
const EVENTS_MAX: usize = 50;

/// All sessions that a search finds.
#[derive(Debug, Serialize)]
pub(super) struct Clients {
    search: String,
    /// How many the search found.
    found: usize,
    clients: Vec<Session>,
}

#[derive(Debug, Serialize)]
struct Session {
    client_id: String,
    username: Option<String>,
    address: String,
    protocol: &'static str,
    is_connected: bool,
    /// Seconds that the session lives on without a connection; `null` for ever.
    expiry_s: Option<u32>,
    subscriptions: usize,
    waiting: usize,
    waiting_bytes: usize,
    open: usize,
    dropped: u64,
}

impl Session {
    fn of(view: &SessionView) -> Self {
        Self {
            client_id: view.client_id.to_string(),
            username: view.username.as_deref().map(str::to_owned),
            address: view.address.to_string(),
            protocol: match view.protocol {
                3 => "3.1",
                4 => "3.1.1",
                _ => "5",
            },
            is_connected: view.is_connected,
            expiry_s: Some(view.expiry_s).filter(|seconds| *seconds < u32::MAX),
            subscriptions: view.subscriptions.len(),
            waiting: view.waiting,
            waiting_bytes: view.waiting_bytes,
            open: view.open,
            dropped: view.dropped,
        }
    }

    fn state(&self) -> Markup {
        match self.is_connected {
            true => badge(Mood::Good, "connected"),
            false => badge(Mood::Plain, "away"),
        }
    }

    fn row(&self) -> Markup {
        html! {
            tr {
                th scope="row" { a href=(link("/client", &[("id", &self.client_id)])) { (name(&self.client_id)) } }
                td { (self.state()) }
                td { @if let Some(username) = &self.username { (name(username)) } }
                td { (self.address) }
                td { (self.protocol) }
                td.number { (self.subscriptions) }
                td.number { (self.waiting()) }
                td.number { (self.open) }
                td.number { (drops(self.dropped)) }
            }
        }
    }

    fn waiting(&self) -> Markup {
        html! {
            (grouped(self.waiting as u64))
            @if self.waiting > 0 { " " span.muted { "(" (size(self.waiting_bytes)) ")" } }
        }
    }
}

fn drops(count: u64) -> Markup {
    html! { @if count > 0 { (badge(Mood::Bad, &grouped(count))) } @else { "0" } }
}

pub(super) async fn load(desk: Arc<Desk>, ask: Ask) -> Result<Clients, Refusal> {
    let search = ask.text("q").to_owned();
    let wanted = search.to_lowercase();
    let mut found = desk.broker.sessions(LOOKED_AT_MAX);
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    found.retain(|view| has(&view.client_id) || view.username.as_deref().is_some_and(has));
    let clients = found.iter().take(SHOWN_MAX).map(Session::of).collect();
    Ok(Clients { search, found: found.len(), clients })
}

impl View for Clients {
    const SECTION: Section = Section::Clients;

    fn title(&self) -> String {
        "Clients".to_owned()
    }

    fn head(&self) -> Markup {
        search("/clients", "q", &self.search, "Search clients and users", "part of a name")
    }

    fn body(&self) -> Markup {
        let heads =
            ["Client", "State", "User", "From", "MQTT", "Filters", "Waiting", "Open", "Dropped"];
        let rows = html! { @for client in &self.clients { (client.row()) } };
        html! {
            @if self.clients.is_empty() {
                p.none {
                    @if self.search.is_empty() { "No client has a session. Connect one to the address of "
                        code { "mqtt" } " in the " a href="/" { "overview" } "." }
                    @else { "No client matches this search." }
                }
            } @else {
                (table("Clients and their sessions", &heads, &rows))
                @if self.found > self.clients.len() {
                    p.muted { (self.found - self.clients.len()) " more; search to see them." }
                }
            }
        }
    }
}

/// One session.
#[derive(Debug, Serialize)]
pub(super) struct Client {
    #[serde(flatten)]
    session: Session,
    filters: Vec<Filter>,
    events: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Filter {
    filter: String,
    qos: u8,
}

pub(super) async fn load_one(desk: Arc<Desk>, ask: Ask) -> Result<Client, Refusal> {
    let id = ask.exact("id")?;
    let view = desk.broker.sessions(usize::MAX).into_iter().find(|view| &*view.client_id == id);
    let view = view.ok_or_else(|| {
        let error = format!("no session of a client `{id}` is there; it ended, or never began");
        Refusal::new(StatusCode::NOT_FOUND, error)
    })?;
    let filters = view.subscriptions.iter().take(SHOWN_MAX);
    Ok(Client {
        session: Session::of(&view),
        filters: filters
            .map(|(filter, qos)| Filter { filter: filter.to_string(), qos: *qos })
            .collect(),
        events: events::of_client(&desk, id, EVENTS_MAX).await?,
    })
}

impl View for Client {
    const SECTION: Section = Section::Clients;

    fn title(&self) -> String {
        "Client".to_owned()
    }

    fn head(&self) -> Markup {
        html! {
            p.subject { (name(&self.session.client_id)) }
        }
    }

    fn body(&self) -> Markup {
        let session = &self.session;
        let filters = html! {
            @for filter in &self.filters {
                tr {
                    th scope="row" { a href=(link("/topics", &[("filter", &filter.filter)])) { (name(&filter.filter)) } }
                    td.number { (filter.qos) }
                }
            }
        };
        html! {
            dl.facts {
                div { dt { "State" } dd { (session.state()) } }
                div { dt { "User" } dd { @match &session.username { Some(user) => (name(user)), None => "none" } } }
                div { dt { "From" } dd { (session.address) } }
                div { dt { "MQTT" } dd { (session.protocol) } }
                div { dt { "Without a connection it lives" } dd {
                    @match session.expiry_s { None => "for ever", Some(0) => "not on", Some(seconds) => (span(seconds.into())) }
                } }
                div { dt { "Waiting" } dd { (session.waiting()) } }
                div { dt { "Open deliveries" } dd { (session.open) } }
                div { dt { "Dropped" } dd { (drops(session.dropped)) } }
            }
            @if session.is_connected {
                form method="post" action="/client/disconnect" {
                    input type="hidden" name="id" value=(session.client_id);
                    button type="submit" { "Disconnect" }
                }
            }
            h2 { "Filters" }
            @if self.filters.is_empty() { p.none { "It has subscribed to nothing." } }
            @else { (table("Filters", &["Filter", "QoS"], &filters)) }
            @if session.subscriptions > self.filters.len() {
                p.muted { (session.subscriptions - self.filters.len()) " more." }
            }
            h2 { "Events" }
            (events::list(&self.events))
        }
    }
}

/// Which client.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    id: String,
}

/// Ends a client's connection and goes back to its page.
pub(super) async fn disconnect(
    State(desk): State<Arc<Desk>>,
    Form(which): Form<Which>,
) -> Response {
    desk.broker.disconnect(&which.id);
    (StatusCode::SEE_OTHER, [(LOCATION, link("/clients", &[]))]).into_response()
}
