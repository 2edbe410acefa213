//! Frame: what stands around every page.

use axum::http::Uri;
use maud::{DOCTYPE, Markup, html};

use super::view::View;
use crate::dev::web::Refusal;

/// A place in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Clients,
    Topics,
    Messages,
    Events,
    Streams,
    Things,
    Access,
    Logs,
}

/// All places, in the order of their keys: the first is `1`.
const SECTIONS: &[(Section, &str, &str)] = &[
    (Section::Overview, "/", "Overview"),
    (Section::Clients, "/clients", "Clients"),
    (Section::Topics, "/topics", "Topics"),
    (Section::Messages, "/messages", "Messages"),
    (Section::Events, "/events", "Events"),
    (Section::Streams, "/streams", "Streams"),
    (Section::Things, "/things", "Things"),
    (Section::Access, "/access", "Access"),
    (Section::Logs, "/logs", "Logs"),
];

/// Lays a view out as a page.
pub(super) fn page<V: View>(view: &V, uri: &Uri) -> Markup {
    let log = view.log();
    let newest = log.as_ref().map(|log| log.newest.to_string());
    let content = html! {
        h1 { (view.title()) }
        (view.head())
        div #live data-live[V::IS_LIVE] data-after=[newest] {
            (view.body())
        }
    };
    whole(&view.title(), Some(V::SECTION), &content, &json_address(uri))
}

/// Lays out why there is no page.
pub(super) fn refused(refusal: &Refusal) -> Markup {
    let content = html! {
        h1 { (refusal.status.canonical_reason().unwrap_or("Refused")) }
        p { (refusal.error) }
        p { a href="/" { "To the overview" } }
    };
    whole("Refused", None, &content, "/overview.json")
}

/// Names the same page as JSON.
fn json_address(uri: &Uri) -> String {
    let path = if uri.path() == "/" { "/overview" } else { uri.path() };
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    format!("{path}.json{query}")
}

fn whole(title: &str, section: Option<Section>, content: &Markup, json: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · rebeam" }
                link rel="icon" href="/icon.svg";
                link rel="stylesheet" href="/page.css";
                script src="/page.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href="/" { "rebeam " span { "dev" } }
                    nav aria-label="Pages" {
                        ul {
                            @for (index, (of, path, name)) in SECTIONS.iter().enumerate() {
                                li {
                                    a href=(path) aria-current=[(section == Some(*of)).then_some("page")]
                                        data-key=(index + 1) { (name) }
                                }
                            }
                        }
                    }
                    div.state {
                        span #status role="status" {}
                        button #pause type="button" hidden aria-keyshortcuts="p" { "Pause" }
                    }
                }
                main #main tabindex="-1" { (content) }
                footer.bottom {
                    a href=(json) { "This page as JSON" }
                    details {
                        summary { "Keys" }
                        dl.keys {
                            dt { kbd { "1" } " – " kbd { (SECTIONS.len()) } } dd { "go to a page" }
                            dt { kbd { "/" } } dd { "search" }
                            dt { kbd { "p" } } dd { "pause, go on" }
                            dt { kbd { "j" } " " kbd { "k" } } dd { "next, previous row" }
                            dt { kbd { "?" } } dd { "show these keys" }
                        }
                    }
                    noscript { p { "Reload to see what is new: without JavaScript nothing is live." } }
                }
            }
        }
    }
}

/// Lays out a table in a box of its own, which scrolls where the screen is narrow.
pub(super) fn table(caption: &str, heads: &[&str], rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" aria-label=(caption) tabindex="0" {
            table {
                caption.unseen { (caption) }
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// Lays out a form with one field that is searched by.
pub(super) fn search(path: &str, name: &str, value: &str, label: &str, hint: &str) -> Markup {
    html! {
        form.search method="get" action=(path) role="search" {
            label for="search" { (label) }
            input #search type="search" name=(name) value=(value) placeholder=(hint)
                autocomplete="off" spellcheck="false" maxlength="500";
            button type="submit" { "Show" }
        }
    }
}

/// How something is, as a sign, a word and a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Plain,
    Bad,
}

pub(super) fn badge(mood: Mood, word: &str) -> Markup {
    let (class, sign) = match mood {
        Mood::Good => ("badge good", "●"),
        Mood::Plain => ("badge", "○"),
        Mood::Bad => ("badge bad", "▲"),
    };
    html! { span class=(class) { span aria-hidden="true" { (sign) } " " (word) } }
}
