//! Explain: what an error says beside its message, and Failure, the form in which it leaves.

use std::error::Error;
use std::fmt;

/// Whose move it is after an error; each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Your input or your build: exit 1.
    User,
    /// A command line that cannot be read: exit 2.
    Usage,
    /// The world: network, disk, kernel: exit 3.
    World,
    /// A bug in rebeam: exit 70.
    Bug,
}

impl Blame {
    /// Returns the blame that a program of ours ended with; one that said nothing else has the world to blame.
    pub fn of_exit_code(code: Option<i32>) -> Self {
        let all = [Self::User, Self::Usage, Self::World, Self::Bug];
        let found = all.into_iter().find(|blame| Some(i32::from(blame.exit_code())) == code);
        found.unwrap_or(Self::World)
    }

    /// Returns the exit code of this blame.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Usage => 2,
            Self::World => 3,
            Self::Bug => 70,
        }
    }
}

/// An error that knows whose move it is and what the next step would be.
pub trait Explain: Error + Send + Sync + 'static {
    /// Says whose move it is.
    fn blame(&self) -> Blame {
        Blame::User
    }

    /// Says the next step, as a command where there is one.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// An error on its way out, with its blame and hint.
///
/// `?` turns every error that implements [`Explain`] into one, and no other.
pub struct Failure {
    error: Box<dyn Explain>,
}

impl Failure {
    /// Returns whose move it is.
    pub fn blame(&self) -> Blame {
        self.error.blame()
    }

    /// Returns the next step, if the error knows one.
    pub fn hint(&self) -> Option<String> {
        self.error.hint()
    }

    /// Returns the messages from the outermost error to its deepest source.
    pub fn messages(&self) -> Vec<String> {
        let mut messages = vec![self.error.to_string()];
        let mut source = self.error.source();
        while let Some(error) = source {
            messages.push(error.to_string());
            source = error.source();
        }
        messages
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: Box::new(error) }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.messages().join(": "))
    }
}

/// Characters of a quoted line that are shown; a crash can print a megabyte on one.
const QUOTED_CHARS_MAX: usize = 300;

/// Lays out what a command printed below an error's first line.
pub fn quoted(lines: &[String]) -> String {
    let show = |line: &String| match line.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("  | {}…", &line[..end]),
        None => format!("  | {line}"),
    };
    lines.iter().map(show).collect::<Vec<_>>().join("\n")
}
