//! Failures: an error and its next step, for people or scripts.

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::Mode;
use crate::explain::{Blame, Failure};

/// A run's end in error, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Ended {
    event: &'static str,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    exit: u8,
}

/// Tells a failure and returns the exit code.
pub fn report(failure: &Failure, mode: Mode) -> u8 {
    let exit = failure.blame().exit_code();
    let mut messages = failure.messages();
    let message = messages.remove(0);
    // A source that the message already quotes is not told twice.
    messages.retain(|cause| !message.contains(cause.as_str()));
    if mode == Mode::Json {
        let ended =
            Ended { event: "failed", message, causes: messages, hint: failure.hint(), exit };
        super::data(&serde_json::to_string(&ended).expect("plain data"));
        return exit;
    }
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    super::alarm(&format!("{red}error:{red:#} {message}"));
    for cause in &messages {
        super::alarm(&format!("  because: {cause}"));
    }
    if let Some(hint) = failure.hint() {
        let cyan = Style::new().bold().fg_color(Some(AnsiColor::Cyan.into()));
        super::alarm(&format!("\n{cyan}hint:{cyan:#} {hint}"));
    }
    if failure.blame() == Blame::Bug {
        super::alarm("\nThis is a bug in rebeam; please report it with the lines above.");
    }
    exit
}

/// Makes a panic say that it is a bug of rebeam, and end the process with exit code 70.
pub fn catch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let version = env!("CARGO_PKG_VERSION");
        let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
        super::alarm(&format!(
            "error: {panic}\n\nThis is a bug in rebeam {version} ({system} {machine}); please report it with the lines above."
        ));
        std::process::exit(i32::from(Blame::Bug.exit_code()));
    }));
}
