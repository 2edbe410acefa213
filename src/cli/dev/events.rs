//! `rebeam dev events`.

use std::time::Duration;

use clap::Args;
use thiserror::Error;

use crate::cli::Common;
use crate::dev::events::{Forwarded, Line, Reader, Wish, now_ms, read_since, time_text};
use crate::dev::{Place, control};
use crate::explain::{Blame, Explain, Failure};
use crate::terminal::{self, Mode};

/// How long it takes until something new is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Lines that are asked for at once while following.
const PAGE: usize = 1000;
/// Characters of a payload on a line.
const SHOWN_CHARS_MAX: usize = 120;

#[derive(Debug, Args)]
#[command(after_help = "\
The log is kept with the stack's state and can be read while nothing runs. What comes once a message is left out where
there is more than the log takes; the line `events_left_out` says how many. With --json each event is one line, as the
document that Elasticsearch clients get.

  rebeam dev events -f                              watch
  rebeam dev events --type acl_denied --since 1h    who was refused within the last hour
  rebeam dev events --topic 'home/#' --search warm  messages below home that say warm
  rebeam dev events --forwarded                     what arrived elsewhere, what waits, what was lost

`[dev.events]` in rebeam.toml passes events on: `forward = [\"http://search:9200\", \"redis://queue:6379\"]`, `ndjson = \"FILE\"`.
Credentials come from REBEAM_ELASTICSEARCH_API_KEY, or _USER and _PASSWORD, and REBEAM_REDIS_USER and _PASSWORD.")]
pub(super) struct Events {
    /// Go on with what is new until stopped
    #[arg(short, long)]
    follow: bool,
    /// Show only events of this type: message_published, acl_denied
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Show only what this client did
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Show only topics that this filter matches
    #[arg(long, value_name = "FILTER")]
    topic: Option<String>,
    /// Show only what has this text in its topic, payload, reason or client
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Show nothing older than this: 30s, 5m, 2h, 7d or 2026-11-22T07:00
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Say instead how passing events on goes: `[dev.events]` of the manifest
    #[arg(long, conflicts_with = "follow")]
    forwarded: bool,
}

#[derive(Debug, Error)]
enum EventsError {
    #[error("`{text}` is no time")]
    NoTime { text: String },
}

impl Explain for EventsError {
    fn blame(&self) -> Blame {
        Blame::Usage
    }

    fn hint(&self) -> Option<String> {
        Some("say how long ago, `--since 5m`, or when, `--since 2026-11-22T07:00`".into())
    }
}

impl Events {
    pub(super) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        let wish = self.wish()?;
        let state = place.directory();
        if place.is_held()? {
            // The log is written behind the traffic. A stack that does not answer has nothing to be waited for.
            let _ = control::flush(place);
        }
        let mut reader = Reader::open(state)?;
        if reader.is_none() && !self.follow {
            terminal::talk("nothing happened yet; `rebeam dev up` starts the stack");
            return Ok(0);
        }
        if let Some(reader) = reader.as_ref().filter(|_| self.forwarded) {
            tell(common, &reader.forwarded()?);
            return Ok(0);
        }
        let mut last = 0;
        if let Some(reader) = &reader {
            last = reader.newest()?;
            let lines = reader.search(&wish)?;
            last = last.max(lines.first().map_or(0, |line| line.id));
            lines.iter().rev().for_each(|line| show(common, line));
        }
        if !self.follow {
            return Ok(0);
        }
        loop {
            std::thread::sleep(LOOK_AGAIN);
            if reader.is_none() {
                reader = Reader::open(state)?;
            }
            let Some(reader) = &reader else { continue };
            let newest = reader.newest()?;
            // The log began anew.
            last = if newest < last { 0 } else { last };
            while last < newest {
                let wish = Wish { after: Some(last), limit: PAGE, ..wish.clone() };
                let lines = reader.search(&wish)?;
                lines.iter().for_each(|line| show(common, line));
                let shown = lines.last().map_or(0, |line| line.id);
                last = if lines.len() < PAGE { newest.max(shown) } else { shown };
            }
        }
    }

    fn wish(&self) -> Result<Wish, EventsError> {
        let since = |text: &String| {
            read_since(text, now_ms()).ok_or_else(|| EventsError::NoTime { text: text.clone() })
        };
        Ok(Wish {
            text: self.search.clone(),
            kind: self.kind.clone(),
            client: self.client.clone(),
            topic: self.topic.clone(),
            since_ms: self.since.as_ref().map(since).transpose()?,
            limit: self.limit,
            ..Wish::default()
        })
    }
}

/// Says how passing on goes, a line for each place that was ever passed on to.
fn tell(common: &Common, all: &[Forwarded]) {
    if common.mode() == Mode::Json {
        return terminal::data(&serde_json::json!(all).to_string());
    }
    let row = |one: &Forwarded| {
        let counts = [
            format!("{} sent", one.sent),
            format!("{} waiting", one.waiting),
            format!("{} dropped", one.dropped),
            format!("{} refused", one.refused),
        ];
        let trouble = one.trouble.clone().unwrap_or_default();
        [one.target.clone()].into_iter().chain(counts).chain([trouble]).collect()
    };
    match all {
        [] => {
            terminal::talk("events go nowhere else; `[dev.events]` with `forward` in rebeam.toml")
        }
        all => terminal::data(&terminal::table(&all.iter().map(row).collect::<Vec<_>>())),
    }
}

fn show(common: &Common, line: &Line) {
    let text = match common.mode() {
        Mode::Json => serde_json::json!(line).to_string(),
        _ => worded(line),
    };
    terminal::data(&text);
}

/// Words an event as one line: when, what, who, where, and the rest of it that matters.
fn worded(line: &Line) -> String {
    let mut parts = vec![time_text(line.at_ms), format!("{:<20}", line.kind)];
    parts.extend(line.client.clone());
    parts.extend(line.topic.as_ref().map(|topic| topic.replace('\n', ", ")));
    for name in ["qos", "size", "action", "rule", "connack", "reason", "count", "payload"] {
        let Some(value) = line.document.get(name) else { continue };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let cut: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        let dots = if cut.len() < text.len() { "…" } else { "" };
        parts.push(format!("{name}={cut}{dots}"));
    }
    // Strangers write topics and payloads: nothing of them may steer a terminal.
    let visible = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    parts.join(" ").chars().map(visible).collect()
}
