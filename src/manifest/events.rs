//! Events: where what happens in the stack goes beside its log, as `[dev.events]` says it.

use super::form::Form;
use super::keys::{Key, Kind, key};
use super::section::Section;

/// How an index for each event and day is asked for.
pub(super) const DAILY: &str = "<event>-YYYY.MM.DD";

/// `[dev.events]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsWish {
    /// Addresses of servers: `http://…` of an Elasticsearch, `redis://…`.
    pub forward: Vec<String>,
    /// Whether an Elasticsearch gets an index for each event and day.
    pub is_daily: bool,
    /// A file that gets a line of JSON for each, relative to the project.
    pub ndjson: Option<String>,
}

/// The keys of `[dev.events]`.
pub(super) const EVENTS: &[Key] = &[
    key(
        "forward",
        Kind::Texts(Form::Forward),
        "Servers that get every event of the log: `http://HOST:9200` of an Elasticsearch or OpenSearch, `redis://HOST:6379`. Who we are there comes from the environment.",
    ),
    key(
        "index",
        Kind::Text(Form::EventIndex),
        "The index of an Elasticsearch: `mqtt`, or `<event>-YYYY.MM.DD`; `mqtt` by default.",
    ),
    key(
        "ndjson",
        Kind::Text(Form::Inside),
        "A file that gets a line of JSON for each event, relative to the project; at 16 MiB a new one is begun, and four old ones stay.",
    ),
];

pub(super) fn read(section: &Section<'_>) -> EventsWish {
    EventsWish {
        forward: section.texts("forward").unwrap_or_default(),
        is_daily: section.text("index").is_some_and(|index| index == DAILY),
        ndjson: section.text("ndjson"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::manifest::Manifest;

    fn read(more: &str) -> Result<Manifest, String> {
        let text = format!(
            "[project]\nname = \"shop\"\nversion = \"1\"\n[toolchain]\notp = \"27\"\n[dev.events]\n{more}\n"
        );
        Manifest::parse(&text, Path::new("/x/rebeam.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn events_go_where_the_manifest_says_and_it_holds_no_password() {
        let wish =
            read("forward = [\"http://a:9200\", \"redis://b/1\"]\nindex = \"<event>-YYYY.MM.DD\"");
        let wish = wish.unwrap().dev.events;
        assert_eq!((wish.forward.len(), wish.is_daily, wish.ndjson), (2, true, None));
        for bad in ["http://u:secret@a", "redis://b:x", "redis://b/x", "ftp://a", "http://"] {
            let error = read(&format!("forward = [\"{bad}\"]")).unwrap_err();
            assert!(error.contains("without a user or password"), "{error}");
        }
    }
}
