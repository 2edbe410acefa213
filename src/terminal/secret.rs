//! Secret: a password that a person types, which the screen does not show.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::disk;

/// The terminal of who started the program, wherever its input and output lead.
const TERMINAL: &str = "/dev/tty";
/// Bytes of a password that are read.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// Asks for a password; `None` where no terminal is.
pub fn ask_secret(words: &str) -> Option<Vec<u8>> {
    let mut terminal = disk::open_terminal(TERMINAL.as_ref())?;
    let before = tcgetattr(terminal.as_fd()).ok()?;
    let mut silent: Termios = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(terminal.as_fd(), OptionalActions::Flush, &silent).ok()?;
    let answer = (|| {
        terminal.write_all(words.as_bytes()).ok()?;
        let mut line = Vec::new();
        let reader = std::io::Read::take(&terminal, PASSWORD_BYTES_MAX);
        BufReader::new(reader).read_until(b'\n', &mut line).ok()?;
        terminal.write_all(b"\n").ok()?;
        (line.pop() == Some(b'\n')).then_some(line)
    })();
    // The screen shows again what is typed, whatever happened.
    let _ = tcsetattr(terminal.as_fd(), OptionalActions::Flush, &before);
    answer
}
