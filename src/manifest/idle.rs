//! Idle: keys that the project's build tool does not heed, which would be wishes without an effect.

use toml_edit::{Document, Item, TableLike};

use super::Tool;
use super::error::{ManifestError, Place};

/// What rebar3 and mix decide themselves of a release, and of a dependency.
const OF_BUILD: [&str; 2] = ["steps", "output"];
const OF_DEP: [&str; 3] = ["needs", "at", "steps"];

/// Refuses what the tool does not heed.
pub(super) fn check(
    document: &Document<String>,
    text: &str,
    file: &str,
    tool: Tool,
) -> Result<(), ManifestError> {
    if !matches!(tool, Tool::Rebar3 | Tool::Mix) {
        return Ok(());
    }
    let table = |name: &str| document.get(name).and_then(Item::as_table_like);
    let idle = |table: &dyn TableLike, path: &str, key: &'static str| {
        let span = table.key(key).and_then(toml_edit::Key::span);
        let place = Place::at(file, text, span.map_or(0, |span| span.start));
        ManifestError::Idle { place, key: format!("{path}.{key}"), tool: tool.name() }
    };
    if let Some(build) = table("build")
        && let Some(key) = OF_BUILD.into_iter().find(|key| build.contains_key(key))
    {
        return Err(idle(build, "build", key));
    }
    for (app, item) in table("deps").into_iter().flat_map(TableLike::iter) {
        let Some(dep) = item.as_table_like() else { continue };
        let stated = dep.get("tool").and_then(Item::as_str);
        let is_idle = |key: &&str| dep.contains_key(key);
        // rebar3 builds whatever it is given; mix knows dependencies of several tools.
        let own = ["make", "erlang.mk"].iter().any(|name| stated == Some(*name));
        let key = match OF_DEP.into_iter().find(is_idle) {
            None if tool == Tool::Rebar3 && own => "tool",
            None => continue,
            Some(key) => key,
        };
        return Err(idle(dep, &format!("deps.{app}"), key));
    }
    Ok(())
}
