//! `rebeam dev logs`.

use std::time::Duration;

use clap::Args;

use crate::cli::Common;
use crate::dev::services::{Line, Logs as Files};
use crate::dev::{DevError, Place};
use crate::explain::Failure;
use crate::terminal::{self, Mode};

const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rebeam dev logs -f              all services, as it comes
  rebeam dev logs db --since 10m  what one of them said in the last ten minutes

With --json each line is an object with time, service and text.")]
pub(super) struct Logs {
    /// Only these [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Go on with what they say from now on
    #[arg(short, long)]
    follow: bool,
    /// Leave out what is older: `30s`, `10m`, `2h`, `1d`, or a time like `2026-11-22T08:00`
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<String>,
}

impl Logs {
    pub(super) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        let files = Files::of(place.directory());
        let known = files.services()?;
        if let Some(name) = self.services.iter().find(|name| !known.contains(name)) {
            return Err(DevError::NoSuchService { name: name.clone(), known }.into());
        }
        let chosen = if self.services.is_empty() { known } else { self.services.clone() };
        // Where to go on is noted before anything is read, so that no line falls between.
        let mut follows = Vec::new();
        for name in chosen.iter().filter(|_| self.follow) {
            follows.push(files.follow(name)?);
        }
        let mut lines = Vec::new();
        for name in &chosen {
            lines.extend(files.lines(name)?);
        }
        if lines.is_empty() && common.mode() == Mode::People {
            terminal::talk(match chosen.is_empty() {
                true => "no service ran yet; `rebeam dev events` tells of the broker",
                false => "nothing was said yet",
            });
        }
        self.show(common, chosen.len(), lines);
        while !follows.is_empty() {
            std::thread::sleep(LOOK_AGAIN);
            let mut lines = Vec::new();
            for follow in &mut follows {
                lines.extend(follow.news()?);
            }
            self.show(common, chosen.len(), lines);
        }
        Ok(0)
    }

    fn show(&self, common: &Common, services: usize, mut lines: Vec<Line>) {
        lines.retain(|line| self.since.as_ref().is_none_or(|since| line.time >= *since));
        lines.sort_by(|a, b| a.time.cmp(&b.time));
        for Line { time, service, text } in &lines {
            terminal::data(&match (common.mode(), services) {
                (Mode::Json, _) => {
                    serde_json::json!({ "time": time, "service": service, "text": text })
                        .to_string()
                }
                (_, 1) => format!("{time} {text}"),
                _ => format!("{time} {service} | {text}"),
            });
        }
    }
}

/// Reads an age or a time; the result is the beginning of a time as logs have it.
fn since(text: &str) -> Result<String, String> {
    let begins_with_a_date = text.len() >= 10
        && text.bytes().take(4).all(|byte| byte.is_ascii_digit())
        && text.as_bytes()[4] == b'-';
    if begins_with_a_date {
        return Ok(text.to_uppercase());
    }
    let units = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(*seconds)
    });
    let age = found.ok_or("write `30s`, `10m`, `2h`, `1d`, or a time like `2026-11-22T08:00`")?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let then = now.map_or(0, |now| now.as_secs()).saturating_sub(age);
    Ok(crate::image::rfc3339(then).trim_end_matches('Z').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_time_and_a_time_is_itself() {
        assert_eq!(since("2026-11-22t08").unwrap(), "2026-11-22T08");
        assert!(since("1h").unwrap() < since("1s").unwrap());
        assert!(since("1d").unwrap().starts_with("20"));
        for wrong in ["", "h", "10", "1w", "-1s", "99999999999999999999s"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
