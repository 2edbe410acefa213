//! Html: a comparison as one page that needs nothing from elsewhere and reads in the dark as by day.
//!
//! Every name and text in it may be a stranger's: all of it is escaped, and the page forbids scripts to itself.

use std::fmt::Write as _;

use super::{Comparison, Difference, Side, Weight};

/// Differences that are laid out; a page of more is read by nobody.
const SHOWN_MAX: usize = 5_000;

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<style>
:root { color-scheme: light dark; --page: #fcfcfb; --text: #1d1d1b; --soft: #6b6b66; --line: #e3e2dd; --card: #ffffff;
  --meaning: #b3261e; --form: #8a6d00; --good: #1f7a3d; }
@media (prefers-color-scheme: dark) {
  :root { --page: #191a1b; --text: #e8e8e4; --soft: #a09f98; --line: #35363a; --card: #212225;
    --meaning: #ff8a80; --form: #e3c04b; --good: #7fd39a; } }
body { background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; max-width: 68rem;
  margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.35rem; margin: 0 0 1rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; text-transform: capitalize; }
code, pre, .place { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; }
td.count { text-align: right; font-variant-numeric: tabular-nums; padding-right: 1rem; }
details, .one { background: var(--card); border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0;
  padding: .5rem .75rem; }
summary { cursor: pointer; }
pre { margin: .4rem 0 0; white-space: pre-wrap; color: var(--soft); }
.mark { font-size: 12px; font-weight: 600; border: 1px solid; border-radius: 3px; padding: 0 .35rem; margin-left: .5rem; }
.meaning { color: var(--meaning); }
.form { color: var(--form); }
.good { color: var(--good); font-weight: 600; }
.soft { color: var(--soft); }
</style>
";

/// Writes the comparison as one page.
pub fn html(comparison: &Comparison) -> String {
    let mut page = HEAD.to_owned();
    let title = format!("{} and {}", file(&comparison.left), file(&comparison.right));
    write!(page, "<title>{0}</title>\n<h1>What differs: {0}</h1>\n", escaped(&title)).expect(SAY);
    sides(&mut page, comparison);
    let counting: Vec<&Difference> = comparison.counting(Weight::Form).collect();
    if counting.is_empty() {
        page += "<p class=\"good\">✓ They are the same.</p>\n";
        return page;
    }
    causes(&mut page, comparison);
    let mut level = None;
    for one in counting.iter().take(SHOWN_MAX) {
        if level != Some(one.level) {
            level = Some(one.level);
            writeln!(page, "<h2>{}</h2>", one.level.name()).expect(SAY);
        }
        difference(&mut page, one);
    }
    if counting.len() > SHOWN_MAX {
        let more = counting.len() - SHOWN_MAX;
        writeln!(page, "<p class=\"soft\">… and {more} more</p>").expect(SAY);
    }
    page
}

const SAY: &str = "writing to a String cannot fail";

fn file(side: &Side) -> &str {
    side.name.rsplit('/').next().unwrap_or(&side.name)
}

fn sides(page: &mut String, comparison: &Comparison) {
    *page += "<table>\n<tr><th></th><th>file</th><th>id</th><th>names</th></tr>\n";
    for (word, side) in [("first", &comparison.left), ("second", &comparison.right)] {
        let digest = side.digest.map(|digest| digest.to_string()).unwrap_or_default();
        writeln!(
            page,
            "<tr><th>{word}</th><td><code>{}</code></td><td><code>{digest}</code></td><td>{}</td></tr>",
            escaped(&side.name),
            escaped(&side.names.join(", ")),
        )
        .expect(SAY);
    }
    *page += "</table>\n";
}

fn causes(page: &mut String, comparison: &Comparison) {
    *page += "<h2>Why</h2>\n<table>\n<tr><th class=\"count\">how many</th><th>what</th><th>cause</th><th>what mends it</th></tr>\n";
    for tally in comparison.causes(Weight::Form) {
        writeln!(
            page,
            "<tr><td class=\"count\">{}</td><td>{}</td><td>{}{}</td><td class=\"soft\">{}</td></tr>",
            tally.count,
            escaped(tally.noun),
            escaped(&tally.cause.words()),
            mark(tally.cause.weight()),
            escaped(tally.cause.remedy().unwrap_or_default()),
        )
        .expect(SAY);
    }
    *page += "</table>\n";
}

/// A word beside the colour, which is never the only sign.
fn mark(weight: Weight) -> &'static str {
    match weight {
        Weight::Meaning => "<span class=\"mark meaning\">may run differently</span>",
        Weight::Form => "<span class=\"mark form\">runs the same</span>",
    }
}

fn difference(page: &mut String, one: &Difference) {
    let head = format!(
        "<span class=\"place\">{}</span> <span class=\"soft\">{}:</span> {}{}",
        escaped(&one.place),
        escaped(one.noun),
        escaped(&one.cause.words()),
        mark(one.cause.weight()),
    );
    if one.details.is_empty() && one.inner.is_empty() {
        writeln!(page, "<div class=\"one\">{head}</div>").expect(SAY);
        return;
    }
    writeln!(page, "<details open><summary>{head}</summary>").expect(SAY);
    if !one.details.is_empty() {
        writeln!(page, "<pre>{}</pre>", escaped(&one.details.join("\n"))).expect(SAY);
    }
    for inner in one.inner.iter().take(SHOWN_MAX) {
        difference(page, inner);
    }
    *page += "</details>\n";
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // What a browser would not show, or turn around.
            '\n' | '\t' => out.push(c),
            c if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
