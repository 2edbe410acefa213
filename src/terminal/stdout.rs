//! Standard output: data that is piped or kept, and whether all of it arrived.

use std::io::{self, Write as _};
use std::sync::OnceLock;

use thiserror::Error;

use crate::explain::{Blame, Explain};

/// What standard output refused first. Who reads no more wants no more, and that is no refusal.
static REFUSED: OnceLock<io::Error> = OnceLock::new();

/// Standard output that did not take everything.
#[derive(Debug, Error)]
#[error("not everything could be written to the standard output")]
pub struct CutOff(#[source] &'static io::Error);

impl Explain for CutOff {
    fn blame(&self) -> Blame {
        Blame::World
    }
}

/// Writes a line of data to standard output; a reader that is gone is no error.
pub fn data(text: &str) {
    line(text);
}

/// Writes a line of a stream of data to standard output; tells whether anybody still reads.
pub fn line(text: &str) -> bool {
    is_taken(writeln!(anstream::stdout(), "{text}"))
}

/// Writes raw bytes of data to standard output.
pub fn raw(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    is_taken(stdout.write_all(bytes).and_then(|()| stdout.flush()));
}

/// Fails where a full disk, say, has only a part of what was written: no script may take that for the whole.
pub fn all_arrived() -> Result<(), CutOff> {
    is_taken(io::stdout().flush());
    REFUSED.get().map_or(Ok(()), |error| Err(CutOff(error)))
}

fn is_taken(written: io::Result<()>) -> bool {
    match written {
        Ok(()) => true,
        Err(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                drop(REFUSED.set(error));
            }
            false
        }
    }
}
