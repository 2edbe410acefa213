//! Logs: what the services say: the newest lines of their files, and from then on what comes.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::frame::{Section, table};
use super::text::{link, size, visible};
use super::view::{self, Ask, Log, View};
use crate::dev::DevError;
use crate::dev::services::{Line, Services};
use crate::dev::web::Refusal;

/// Lines that are shown at once.
const SHOWN_MAX: usize = 300;
/// Characters of a line that a row shows.
const TEXT_MAX: usize = 1_000;
const HEADS: [&str; 3] = ["Time", "Service", "Line"];
/// Where a line's time has its time of day, up to milliseconds.
const OF_DAY: std::ops::Range<usize> = 11..23;

/// The lines that a search finds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Logs {
    search: String,
    service: String,
    /// Whose logs there are.
    services: BTreeSet<String>,
    #[serde(skip)]
    running: BTreeSet<String>,
    /// Newest first.
    lines: Vec<Line>,
    newest: u64,
    /// Lines that this reader missed.
    lost: u64,
}

/// Which lines somebody wants.
#[derive(Debug, Clone)]
struct Wish {
    service: String,
    text: String,
}

impl Wish {
    fn wants(&self, line: &Line) -> bool {
        (self.service.is_empty() || line.service == self.service)
            && (self.text.is_empty() || line.text.to_lowercase().contains(&self.text))
    }
}

pub(super) async fn load(desk: Arc<Desk>, ask: Ask) -> Result<Logs, Refusal> {
    let (search, service) = (ask.text("q").to_owned(), ask.text("service").to_owned());
    let wish = Wish { service: service.clone(), text: search.to_lowercase() };
    let mut view = Logs { search, service, ..Logs::default() };
    let Some(running) = desk.supervised.get().cloned() else { return Ok(view) };
    view.running = running.standing().into_iter().map(|standing| standing.name).collect();
    match ask.after {
        Some(after) => {
            let taken = running.logs().said().after(after);
            let rows = taken.rows.iter().filter(|(_, line)| wish.wants(line));
            let mut rows: Vec<_> = rows.take(SHOWN_MAX + 1).collect();
            view.lost = taken.lost;
            if rows.len() > SHOWN_MAX {
                rows.truncate(SHOWN_MAX);
                let oldest = rows.last().map_or(0, |(number, _)| *number);
                view.lost += oldest.saturating_sub(after + 1);
            }
            view.lines = rows.into_iter().map(|(_, line)| Line::clone(line)).collect();
            view.newest = taken.newest;
        }
        None => {
            let reading = desk.reading.acquire().await;
            let found = tokio::task::spawn_blocking(move || newest(&running, &wish)).await;
            drop(reading);
            let failed = |error: String| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error);
            let found = found.map_err(|_| failed("the logs cannot be read".to_owned()))?;
            let found = found.map_err(|error| failed(error.to_string()))?;
            (view.services, view.lines, view.newest) = found;
            if !view.service.is_empty() && !view.services.contains(&view.service) {
                return Err(missing(&view.service));
            }
        }
    }
    Ok(view)
}

fn missing(service: &str) -> Refusal {
    let error = format!("there is no service `{service}` beside what is in rebeam itself");
    Refusal::new(StatusCode::NOT_FOUND, error)
}

/// Whose logs there are, their newest lines, and the number behind which the next ones come.
type Found = (BTreeSet<String>, Vec<Line>, u64);

/// Reads the newest lines from the files.
fn newest(services: &Services, wish: &Wish) -> Result<Found, DevError> {
    let logs = services.logs();
    let names: BTreeSet<String> = logs.services()?.into_iter().collect();
    let newest = logs.said().after(u64::MAX).newest;
    let mut lines = Vec::new();
    for name in names.iter().filter(|name| wish.service.is_empty() || wish.service == **name) {
        lines.extend(logs.newest(name, SHOWN_MAX, |line| wish.wants(line))?);
    }
    // What came while the files were read comes by its number.
    let since = logs.said().after(newest).rows;
    lines.retain(|line| !since.iter().any(|(_, later)| **later == *line));
    // Stable: lines of one service at one time stay as they are.
    lines.sort_by(|a, b| b.time.cmp(&a.time));
    lines.truncate(SHOWN_MAX);
    Ok((names, lines, newest))
}

fn time(line: &Line) -> Markup {
    html! {
        @if let Some(of_day) = line.time.get(OF_DAY) {
            time datetime=(line.time) { (of_day) " UTC" }
        }
    }
}

/// Lays a line out; of a long one its beginning.
fn text(line: &Line) -> Markup {
    let cut = line.text.char_indices().nth(TEXT_MAX).map(|(at, _)| at);
    html! {
        code.said { (visible(&line.text[..cut.unwrap_or(line.text.len())])) @if cut.is_some() { "…" } }
        @if cut.is_some() { " " span.muted { (size(line.text.len())) } }
    }
}

fn row(line: &Line) -> Markup {
    html! {
        tr tabindex="-1" {
            td.time { (time(line)) }
            td.short { a href=(link("/logs", &[("service", &line.service)])) { (line.service) } }
            td.line { (text(line)) }
        }
    }
}

impl Logs {
    fn rows(&self) -> Markup {
        html! { @for line in &self.lines { (row(line)) } }
    }
}

impl View for Logs {
    const SECTION: Section = Section::Logs;

    fn title(&self) -> String {
        "Logs".to_owned()
    }

    fn head(&self) -> Markup {
        html! {
            form.search method="get" action="/logs" role="search" {
                label for="search" { "Search" }
                input #search type="search" name="q" value=(self.search) placeholder="any text"
                    autocomplete="off" spellcheck="false" maxlength="500";
                label for="service" { "Service" }
                select #service name="service" {
                    option value="" { "all" }
                    @for name in &self.services {
                        option value=(name) selected[*name == self.service] { (name) }
                    }
                }
                button type="submit" { "Show" }
            }
            @if self.running.contains(&self.service) {
                form method="post" action="/service/restart" {
                    input type="hidden" name="name" value=(self.service);
                    button type="submit" { "Restart " (self.service) }
                }
            }
            p.muted {
                "The newest " (SHOWN_MAX) " lines; "
                code { "rebeam dev logs" @if !self.service.is_empty() { " " (self.service) } }
                " has all that are kept."
            }
        }
    }

    fn body(&self) -> Markup {
        html! {
            p.lost hidden {}
            p.none hidden[!self.lines.is_empty()] {
                @if self.services.is_empty() {
                    "No service runs beside what is in rebeam itself; what that does is under "
                    a href="/events" { "events" } "."
                }
                @else if self.search.is_empty() { "Nothing was said yet." }
                @else { "Nothing was said that is wanted here." }
            }
            (table("Lines, newest first", &HEADS, &self.rows()))
        }
    }

    fn log(&self) -> Option<Log> {
        Some(Log {
            rows: self.rows(),
            count: self.lines.len(),
            newest: self.newest,
            lost: self.lost,
            wants_messages: false,
        })
    }
}

/// Which service.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    name: String,
}

/// Has a service end and start again, and goes to what it says.
pub(super) async fn restart(
    State(desk): State<Arc<Desk>>,
    Form(Which { name }): Form<Which>,
) -> Response {
    let asked = desk.supervised.get().map(|services| services.restart(&name));
    if !matches!(asked, Some(Ok(()))) {
        return view::refuse(missing(&name), view::Form::Html);
    }
    (StatusCode::SEE_OTHER, [(LOCATION, link("/logs", &[("service", &name)]))]).into_response()
}
