//! Plot: numbers as a small line, and in words beside it.

use std::fmt::Write as _;

use maud::{Markup, html};
use serde::Serialize;

use super::samples::SECONDS;
use super::text::{grouped, size};

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 48.0;

/// In what the numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    /// So many each second.
    Rate,
    Count,
    Bytes,
}

/// One number over time.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    /// The number as it is now; of a rate, all there were so far.
    pub(super) total: u64,
    /// One for each second, oldest first.
    pub(super) values: Vec<u64>,
}

impl Plot {
    fn word(&self, value: u64) -> String {
        match self.unit {
            Unit::Rate => format!("{}/s", grouped(value)),
            Unit::Count => grouped(value),
            Unit::Bytes => size(usize::try_from(value).unwrap_or(usize::MAX)),
        }
    }

    /// Draws it. Someone who does not see the line reads the same in words.
    pub(super) fn html(&self) -> Markup {
        let now = self.values.last().copied().unwrap_or(0);
        let highest = self.values.iter().copied().max().unwrap_or(0);
        let (now, top) = (self.word(now), self.word(highest));
        let about = format!("{}: now {now}, at most {top} in the last five minutes", self.name);
        html! {
            figure.plot {
                figcaption {
                    span.plot-name { (self.name) }
                    strong { (now) }
                }
                svg viewBox="0 0 240 48" preserveAspectRatio="none" role="img" aria-label=(about) {
                    line.axis x1="0" y1="47.5" x2="240" y2="47.5" {}
                    @if highest > 0 {
                        path.area d=(self.area(highest)) {}
                        polyline.curve points=(self.points(highest)) {}
                    }
                }
                p.plot-foot {
                    span { "at most " (top) }
                    @if self.unit == Unit::Rate { span { (grouped(self.total)) " in all" } }
                }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a point on a screen is coarse")]
    fn points(&self, highest: u64) -> String {
        let step = WIDTH / SECONDS as f64;
        let first = SECONDS.saturating_sub(self.values.len());
        let mut points = String::new();
        for (at, value) in self.values.iter().enumerate() {
            let (x, y) = ((first + at + 1) as f64 * step, *value as f64 / highest as f64);
            let _ = write!(points, "{x:.1},{:.1} ", HEIGHT - 1.0 - y * (HEIGHT - 4.0));
        }
        points
    }

    #[expect(clippy::cast_precision_loss, reason = "a point on a screen is coarse")]
    fn area(&self, highest: u64) -> String {
        let step = WIDTH / SECONDS as f64;
        let first = (SECONDS.saturating_sub(self.values.len()) + 1) as f64 * step;
        format!("M{first:.1},{HEIGHT} L{}L{WIDTH},{HEIGHT} Z", self.points(highest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_says_in_words_what_it_draws() {
        let plot = Plot { name: "Messages in", unit: Unit::Rate, total: 12, values: vec![0, 4, 2] };
        let html = plot.html().into_string();
        assert!(
            html.contains("Messages in: now 2/s, at most 4/s in the last five minutes"),
            "{html}"
        );
        assert!(html.contains("12 in all"), "{html}");
        assert!(!html.contains("style="), "{html}");
    }

    #[test]
    fn nothing_is_drawn_where_nothing_was() {
        let plot = Plot { name: "Drops", unit: Unit::Rate, total: 0, values: vec![] };
        assert!(!plot.html().into_string().contains("polyline"));
    }
}
