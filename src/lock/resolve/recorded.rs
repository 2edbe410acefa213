//! Recorded: worlds of repositories in which rebar3 itself was run (`scripts/record-rebar3`).
//!
//! Each world is resolved again here, and must end with the applications, tags and levels that
//! rebar3 wrote into its lock, the plugins that it installed, and what it fetched for `prod`.

use std::collections::BTreeMap;

use super::tests::{list, world};
use crate::lock::Role;

const RECORDED: &str = include_str!("../../../fixtures/rebar3/worlds.txt");

/// Spells a line of the record as a `rebar.config`, and as a `rebar.lock` where it has one.
fn config(line: &str) -> (String, Option<String>) {
    let (mut text, mut rules, mut lock) = (String::new(), Vec::new(), None);
    for part in line.split("; ") {
        let (key, names) = part.split_once(' ').unwrap_or((part, ""));
        match key {
            "deps" | "plugins" | "project_plugins" => {
                text.push_str(&format!("{{{key}, {}}}.\n", list(names)));
            }
            "prod" => {
                let deps = list(names);
                text.push_str(&format!("{{profiles, [{{prod, [{{deps, {deps}}}]}}]}}.\n"));
            }
            "lock" => {
                let entry = |name: &str| {
                    let (app, _) = name.split_once('@').unwrap();
                    let commit = super::tests::commit(name);
                    format!(
                        r#"{{<<"{app}">>, {{git, "https://git.example/{app}", {{ref, "{commit}"}}}}, 0}}"#
                    )
                };
                let entries: Vec<String> = names.split_whitespace().map(entry).collect();
                lock = Some(format!("[{}].", entries.join(", ")));
            }
            kind => {
                let (app, names) = names.split_once(' ').unwrap_or((names, ""));
                rules.push(format!("{{{kind}, {app}, [{{deps, {}}}]}}", list(names)));
            }
        }
    }
    if !rules.is_empty() {
        text.push_str(&format!("{{overrides, [{}]}}.\n", rules.join(", ")));
    }
    (text, lock)
}

/// Resolves a world and returns each application of a namespace with its tag, and its level.
fn resolved(lines: &BTreeMap<&str, &str>, profiles: &[&str], role: Role) -> Vec<(String, u32)> {
    let configs: Vec<(&str, (String, Option<String>))> =
        lines.iter().map(|(name, line)| (*name, config(line))).collect();
    let plain = configs.iter().map(|(name, (text, _))| (*name, text.as_str()));
    let plain: BTreeMap<&str, &str> = plain.collect();
    let repositories: Vec<(&str, &str)> = plain.clone().into_iter().collect();
    let mut world = world(plain["top"], &repositories);
    world.project.profiles = profiles.iter().map(|name| (*name).to_owned()).collect();
    for (name, (_, lock)) in &configs {
        if let Some(lock) = lock {
            world.locks.insert((*name).to_owned(), lock.clone());
        }
    }
    let sources = world.sources();
    let sources = sources.iter().filter(|source| source.role == role);
    sources.map(|source| (world.tag_of(source), source.level)).collect()
}

#[test]
fn what_rebar3_itself_locks_is_what_is_resolved() {
    let mut worlds = 0;
    for record in RECORDED.split("\n# world ").skip(1) {
        let (number, record) = record.split_once('\n').unwrap();
        let mut lines = BTreeMap::from([("top", "")]);
        let mut results = BTreeMap::new();
        for line in record.lines().filter(|line| !line.is_empty()) {
            match line.split_once("=> ").or_else(|| Some((line.strip_suffix("=>")?, ""))) {
                Some((what, result)) => drop(results.insert(what, result)),
                None => drop(line.split_once(": ").map(|(name, line)| lines.insert(name, line))),
            }
        }
        let join = |names: Vec<String>| names.join(" ");
        let tags =
            |found: Vec<(String, u32)>| join(found.into_iter().map(|(tag, _)| tag).collect());
        let locked = resolved(&lines, &[], Role::Dep);
        let locked = locked.into_iter().map(|(tag, level)| format!("{tag}/{level}"));
        assert_eq!(join(locked.collect()), results[""], "rebar.lock of world {number}");
        let plugins = tags(resolved(&lines, &[], Role::Plugin));
        assert_eq!(plugins, results["plugins"], "plugins of world {number}");
        let prod = tags(resolved(&lines, &["prod"], Role::Dep));
        assert_eq!(prod, results["prod"], "prod of world {number}");
        worlds += 1;
    }
    assert!(worlds >= 16, "only {worlds} worlds are recorded");
}
