//! `rebeam outdated`.

use clap::Args;
use serde_json::{Value, json};

use super::Common;
use crate::explain::Failure;
use crate::fetch::{News, Standing};
use crate::pipeline::{self, Outlook};
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
#[command(after_help = "\
Its columns, beside what is locked:
  current   what the wish means today: what `rebeam update NAME` would take
  newest    the newest release of a package, or the newest tag that looks like a version

Nothing is fetched and no lock is written. With --offline, what was heard last answers.
Standard output is one row a source; with --json one object a line.")]
pub(super) struct Outdated {
    /// Show only what `rebeam update` would move, what is retired, and what has an advisory
    #[arg(long)]
    behind: bool,
}

impl Outdated {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        let mut rows = common.with_desk(Reasons::Summed, pipeline::outdated)?;
        if self.behind {
            rows.retain(|row| row.is_behind() || row.problem.is_some() || is_warned_of(row));
        }
        if common.mode() == Mode::Json {
            for row in &rows {
                terminal::data(&as_json(row).to_string());
            }
        } else if !rows.is_empty() {
            let head =
                ["app", "role", "wished", "current", "locked", "newest", "retired", "advisory"];
            let head = head.map(str::to_owned).to_vec();
            let table: Vec<_> = std::iter::once(head).chain(rows.iter().map(as_row)).collect();
            terminal::data(&terminal::table(&table));
        }
        Ok(0)
    }
}

fn standing(row: &Outlook) -> Option<&Standing> {
    row.news.as_ref().and_then(|news| news.standing.as_ref())
}

fn is_warned_of(row: &Outlook) -> bool {
    standing(row).is_some_and(|standing| {
        standing.retired.is_some() || !standing.advisories.is_empty() || !standing.is_there
    })
}

fn as_row(row: &Outlook) -> Vec<String> {
    let unknown = if row.problem.is_some() { "?" } else { "-" };
    let asked = |of: fn(&News) -> &Option<String>| {
        let word = row.news.as_ref().and_then(|news| of(news).clone());
        word.unwrap_or_else(|| if row.news.is_some() { "none".into() } else { unknown.into() })
    };
    let retired = match standing(row) {
        Some(standing) if !standing.is_there => "gone from the registry".into(),
        standing => standing.and_then(|one| one.retired.clone()).unwrap_or_else(|| "-".into()),
    };
    let advisories = standing(row).map(|standing| {
        let ids = standing.advisories.iter().map(|advisory| advisory.id.as_str());
        ids.collect::<Vec<_>>().join(", ")
    });
    vec![
        row.app.clone(),
        row.role.name().to_owned(),
        row.wanted.clone(),
        asked(|news| &news.current),
        row.locked.clone(),
        asked(|news| &news.newest),
        retired,
        advisories.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".into()),
    ]
}

fn as_json(row: &Outlook) -> Value {
    let news = row.news.as_ref();
    let advisories: Vec<Value> = standing(row)
        .map(|standing| standing.advisories.iter().map(super::audit::advisory).collect())
        .unwrap_or_default();
    json!({
        "event": "outlook",
        "app": row.app,
        "role": row.role.name(),
        "wanted": row.wanted,
        "current": news.and_then(|news| news.current.clone()),
        "locked": row.locked,
        "newest": news.and_then(|news| news.newest.clone()),
        "newest_published": news.and_then(|news| news.newest_published),
        "behind": row.is_behind(),
        "in_registry": standing(row).map(|standing| standing.is_there),
        "retired": standing(row).and_then(|standing| standing.retired.clone()),
        "advisories": advisories,
        "problem": row.problem,
    })
}
