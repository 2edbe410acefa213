//! Overview: what runs, how it is, and its counters as small plots.

use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};
use serde::Serialize;

use super::desk::Desk;
use super::frame::{Mood, Section, badge, table};
use super::plot::{Plot, Unit};
use super::samples::Sample;
use super::text::{grouped, link, span};
use super::view::{Ask, View};
use crate::dev::Service;
use crate::dev::services::{self, Standing};
use crate::dev::web::Refusal;

/// How long a service may take to show that it is there.
const PATIENCE: Duration = Duration::from_millis(500);

/// The stack at one glance.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    version: &'static str,
    uptime_s: u64,
    services: Vec<Health>,
    counters: Counters,
    plots: Vec<Plot>,
}

/// A service and how it is.
#[derive(Debug, Serialize)]
struct Health {
    name: String,
    url: String,
    state: State,
    /// What is wrong, if something is.
    detail: Option<String>,
    /// How often it was started again, for one that is.
    restarts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ready,
    Troubled,
    Silent,
    /// What its supervisor says of one that runs in a room.
    #[serde(untagged)]
    Supervised(services::State),
}

#[derive(Debug, Serialize)]
struct Counters {
    connected: u64,
    connections: u64,
    refused: u64,
    faults: u64,
    received: u64,
    sent: u64,
    dropped: u64,
    denied: u64,
    bytes_received: u64,
    bytes_sent: u64,
    memory_used: usize,
}

pub(super) async fn load(desk: Arc<Desk>, _: Ask) -> Result<Overview, Refusal> {
    // All at once: one that is silent holds up no other.
    let asked = desk.services.iter().cloned().map(|service| {
        let desk = Arc::clone(&desk);
        tokio::spawn(async move { health(&desk, &service).await })
    });
    let mut services = Vec::new();
    for health in asked.collect::<Vec<_>>() {
        services.extend(health.await);
    }
    let supervised = desk.supervised.get().map(|services| services.standing()).unwrap_or_default();
    for embedded in &mut services {
        // Where a real server has the name, ours goes by another, as everywhere.
        if supervised.iter().any(|real| real.name == embedded.name) {
            embedded.name = format!("embedded-{}", embedded.name);
        }
    }
    services.extend(supervised.into_iter().map(Health::of));
    let counters = desk.broker.counters();
    let now = Sample::of(&desk.broker);
    Ok(Overview {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: desk.started.elapsed().as_secs(),
        services,
        counters: Counters {
            connected: now.connected,
            connections: counters.connections.get(),
            refused: counters.refused.get(),
            faults: counters.faults.get(),
            received: now.received,
            sent: now.sent,
            dropped: now.dropped,
            denied: now.denied,
            bytes_received: counters.bytes_received.get(),
            bytes_sent: counters.bytes_sent.get(),
            memory_used: desk.broker.memory_used(),
        },
        plots: plots(&desk, now),
    })
}

fn plots(desk: &Desk, now: Sample) -> Vec<Plot> {
    let rate = |name, of: fn(&Sample) -> u64| Plot {
        name,
        unit: Unit::Rate,
        total: of(&now),
        values: desk.samples.rises(of),
    };
    let level = |name, unit, of: fn(&Sample) -> u64| Plot {
        name,
        unit,
        total: of(&now),
        values: desk.samples.levels(of),
    };
    vec![
        rate("Messages in", |sample| sample.received),
        rate("Messages out", |sample| sample.sent),
        rate("Drops", |sample| sample.dropped),
        rate("Denials", |sample| sample.denied),
        level("Clients", Unit::Count, |sample| sample.connected),
        level("Waiting and kept", Unit::Bytes, |sample| sample.memory),
    ]
}

async fn health(desk: &Desk, service: &Service) -> Health {
    let (state, detail) = match service.name.as_str() {
        "page" => (State::Ready, None),
        "redis" => match tokio::time::timeout(PATIENCE, desk.streams.server(0)).await {
            Ok(Some(view)) => troubled(view.trouble),
            _ => (State::Silent, Some("it does not answer".to_owned())),
        },
        // The broker is asked, not connected to: it would count that as a client that was refused.
        name if name.starts_with("mqtt") => troubled(desk.broker.trouble()),
        name => {
            let connect = tokio::net::TcpStream::connect(service.address);
            match tokio::time::timeout(PATIENCE, connect).await {
                Ok(Ok(_)) => troubled(desk.troubles.of(name)),
                Ok(Err(error)) => (State::Silent, Some(error.to_string())),
                Err(_) => (State::Silent, Some(format!("no answer within {PATIENCE:?}"))),
            }
        }
    };
    let (name, url) = (service.name.clone(), service.url.clone());
    Health { name, url, state, detail, restarts: 0 }
}

fn troubled(trouble: Option<String>) -> (State, Option<String>) {
    match trouble {
        Some(trouble) => (State::Troubled, Some(format!("it cannot write to its disk: {trouble}"))),
        None => (State::Ready, None),
    }
}

impl Health {
    fn of(standing: Standing) -> Self {
        Self {
            name: standing.name,
            url: standing.url.unwrap_or_default(),
            state: State::Supervised(standing.state),
            detail: standing.why,
            restarts: standing.restarts,
        }
    }

    fn row(&self) -> Markup {
        let (mood, word) = match self.state {
            State::Ready => (Mood::Good, "ready"),
            State::Troubled => (Mood::Bad, "troubled"),
            State::Silent => (Mood::Bad, "silent"),
            State::Supervised(state) => (mood(state), state.name()),
        };
        html! {
            tr {
                th scope="row" {
                    @if let State::Supervised(_) = self.state {
                        a href=(link("/logs", &[("service", &self.name)])) { (self.name) }
                    } @else { (self.name) }
                }
                td { (badge(mood, word)) }
                td {
                    @if self.url.starts_with("http://") { a href=(self.url) { (self.url) } }
                    @else if !self.url.is_empty() { code { (self.url) } }
                }
                td {
                    @if let Some(detail) = &self.detail { (detail) " " }
                    @match self.restarts { 0 => {}, 1 => "restarted once", count => { "restarted " (count) " times" } }
                }
            }
        }
    }
}

fn mood(state: services::State) -> Mood {
    match state {
        services::State::Ready | services::State::Done => Mood::Good,
        services::State::Failed | services::State::Troubled => Mood::Bad,
        _ => Mood::Plain,
    }
}

impl View for Overview {
    const SECTION: Section = Section::Overview;

    fn title(&self) -> String {
        "Overview".to_owned()
    }

    fn body(&self) -> Markup {
        let rows = html! { @for service in &self.services { (service.row()) } };
        let counters = &self.counters;
        html! {
            (table("Services", &["Service", "State", "Address", ""], &rows))
            h2 { "Broker" }
            div.plots { @for plot in &self.plots { (plot.html()) } }
            p.muted {
                (grouped(counters.connections)) " connections let in, "
                (grouped(counters.refused)) " refused, "
                (grouped(counters.faults)) " closed for a fault · rebeam "
                (self.version) ", up for " (span(self.uptime_s))
            }
        }
    }
}
