//! JSON: facts as one object a line, for scripts.

use crate::event::Event;

/// Prints one fact. Progress of downloads and output of steps are facts too; a script filters.
pub(super) fn line(event: &Event<'_>) {
    let text = serde_json::to_string(event).expect("facts are plain data");
    super::data(&text);
}
