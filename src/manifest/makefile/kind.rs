//! Kind: how erlang.mk builds what lies in a dependency's directory, and what it leaves out or fetches for that.

use std::collections::BTreeSet;
use std::path::Path;

use crate::disk::{self, DiskError};
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::manifest::rebar::Wish;

/// What erlang.mk leaves out of the dependencies of what it takes over from rebar.
const IGNORED_OF_REBAR: [&str; 8] = [
    "edown",
    "eper",
    "eunit_formatters",
    "meck",
    "node_package",
    "rebar_lock_deps_plugin",
    "rebar_vsn_plugin",
    "reltool_util",
];

/// How erlang.mk builds what lies in a dependency's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepKind {
    /// Its Makefile includes erlang.mk.
    ErlangMk,
    /// Autopatch makes a Makefile of its `rebar.config`.
    Rebar,
    /// A Makefile of its own, or none at all.
    Other,
}

impl DepKind {
    /// Looks at a dependency as `dep_autopatch` does; `is_patched` is false for what `NO_AUTOPATCH` names.
    pub fn of(directory: &Path, is_patched: bool) -> Result<Self, DiskError> {
        let has = |name: &str| disk::exists(&directory.join(name));
        let is_rebar = ["rebar", "rebar.config", "rebar.config.script", "rebar.lock"];
        let is_rebar = is_rebar.into_iter().any(has);
        let rebar = if is_rebar { Self::Rebar } else { Self::Other };
        let Some(makefile) = makefile(directory)? else {
            return Ok(rebar);
        };
        if has("erlang.mk") || includes_erlang_mk(&makefile) {
            return Ok(Self::ErlangMk);
        }
        let code = |line: &str| !line.starts_with('#');
        let names_rebar =
            makefile.to_lowercase().lines().any(|line| code(line) && line.contains("rebar"));
        Ok(if !is_patched || names_rebar { rebar } else { Self::Other })
    }
}

/// Reads the Makefile that `make` would take.
pub fn makefile(directory: &Path) -> Result<Option<String>, DiskError> {
    for name in ["GNUmakefile", "makefile", "Makefile"] {
        let path = directory.join(name);
        if disk::exists(&path) {
            return disk::read_text(&path, TEXT_FILE_BYTES_MAX).map(Some);
        }
    }
    Ok(None)
}

fn includes_erlang_mk(makefile: &str) -> bool {
    let include = |line: &str| {
        let line = line.trim_start_matches('-');
        line.strip_prefix("include ").is_some_and(|file| file.trim() == "erlang.mk")
    };
    makefile.lines().any(include)
}

/// Leaves out of a rebar dependency's wishes what autopatch leaves out.
pub fn without_ignored(mut deps: Vec<Wish>, ignored: &BTreeSet<String>) -> Vec<Wish> {
    deps.retain(|wish| {
        !IGNORED_OF_REBAR.contains(&wish.app.as_str()) && !ignored.contains(&wish.app)
    });
    deps
}

/// Reads the commit of rebar that an `erlang.mk` from before `REBAR_COMMIT` checks out.
pub fn rebar_in(erlang_mk: &str) -> Option<(String, String)> {
    let clone = erlang_mk.find("$(ERLANG_MK_TMP)/rebar; \\")?;
    let url = erlang_mk[..clone].rsplit(' ').nth(1)?;
    let rest = &erlang_mk[clone..];
    let commit = rest[rest.find("git checkout -q ")?..].split_whitespace().nth(3)?;
    let commit = commit.trim_end_matches(';');
    let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
    (is_commit && url.starts_with("https://")).then(|| (url.to_owned(), commit.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_13_the_hidden_clone_of_rebar_is_found_in_an_old_erlang_mk() {
        let commit = "791db716b5a3a7671e0b351f95ddf24b848ee173";
        let text = format!(
            "\tif [ ! -d $(ERLANG_MK_TMP)/rebar ]; then \\\n\t\tgit clone -q -n -- https://github.com/rebar/rebar $(ERLANG_MK_TMP)/rebar; \\\n\t\tcd $(ERLANG_MK_TMP)/rebar; \\\n\t\tgit checkout -q {commit}; \\\n"
        );
        let found = rebar_in(&text);
        assert_eq!(found, Some(("https://github.com/rebar/rebar".into(), commit.into())));
        assert_eq!(rebar_in("nothing"), None);
    }
}
