//! Terminal: what people and scripts see. Listens to the flow's facts; decides once where words go.

mod bars;
mod failures;
mod json;
mod lines;
mod secret;
mod table;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

pub use failures::{Ended, catch_panics, report};
pub use lines::{bytes, duration};
pub use secret::ask_secret;
pub use table::table;

use crate::event::{Event, Observer};

/// How facts are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Lines, and bars where there is a terminal.
    People,
    /// Nothing but errors.
    Quiet,
    /// One JSON object a line on standard output.
    Json,
}

/// What of a step's own output is shown while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutput {
    /// Nothing; the log has it.
    Logged,
    /// Every line, with the step's name.
    Shown,
}

/// Tells the flow's facts on this process's standard streams.
pub struct Screen {
    mode: Mode,
    output: StepOutput,
    reasons: Reasons,
    bars: Option<bars::Bars>,
}

/// Whether the reason for every step is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasons {
    /// One line sums all steps up.
    Summed,
    /// Every step says why it was or was not reused: `--why`.
    Told,
}

impl Screen {
    /// Looks at the standard streams and chooses bars or lines.
    pub fn new(mode: Mode, output: StepOutput, reasons: Reasons) -> Self {
        let bars = (mode == Mode::People && io::stderr().is_terminal()).then(bars::Bars::new);
        Self { mode, output, reasons, bars }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.above(text),
            // A closed standard error is no reason to stop.
            None => drop(writeln!(anstream::stderr(), "{text}")),
        }
    }
}

impl Observer for Screen {
    fn observe(&self, event: &Event<'_>) {
        match self.mode {
            Mode::Quiet => {}
            Mode::Json => json::line(event),
            Mode::People => {
                if let Some(bars) = &self.bars {
                    bars.observe(event);
                }
                if let Some(text) = lines::line(event, self.output, self.reasons) {
                    self.line(&text);
                }
            }
        }
    }
}

/// Writes a line of data to standard output; a reader that is gone is no error.
pub fn data(text: &str) {
    drop(writeln!(anstream::stdout(), "{text}"));
}

/// Writes a line of a stream of data to standard output; tells whether anybody still reads.
pub fn line(text: &str) -> bool {
    writeln!(anstream::stdout(), "{text}").is_ok()
}

/// Writes raw bytes of data to standard output.
pub fn raw(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    drop(stdout.write_all(bytes).and_then(|()| stdout.flush()));
}

/// Whether nobody wants talk.
static IS_HUSHED: AtomicBool = AtomicBool::new(false);

/// Has nothing said from now on that nobody asked for: `--quiet`.
pub fn hush() {
    IS_HUSHED.store(true, Ordering::Relaxed);
}

/// Writes a line of talk to standard error, unless nobody wants any.
pub fn talk(text: &str) {
    if !IS_HUSHED.load(Ordering::Relaxed) {
        alarm(text);
    }
}

/// Writes a line to standard error of what went wrong, though nothing ends by that.
pub fn alarm(text: &str) {
    drop(writeln!(anstream::stderr(), "{text}"));
}
