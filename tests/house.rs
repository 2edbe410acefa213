//! House: reads the floor plan in `src/lib.rs` and fails on an import against its order.

#![allow(clippy::unwrap_used, reason = "this is a test from end to end")]

use std::fs;
use std::path::{Path, PathBuf};

fn rooms() -> Vec<String> {
    let plan = fs::read_to_string("src/lib.rs").unwrap();
    let room = |line: &str| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    plan.lines().filter_map(room).collect()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// What a user runs: a room's tests may look anywhere.
fn product() -> Vec<PathBuf> {
    let is_test = |file: &PathBuf| file.iter().any(|part| part == "tests" || part == "tests.rs");
    let mut files = sources(Path::new("src"));
    files.retain(|file| !is_test(file));
    files
}

/// The room that a file of `src` belongs to.
fn room_of(file: &Path) -> String {
    let inside = file.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Cuts the tests off: they may look anywhere.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

#[test]
fn every_room_imports_only_from_rooms_above_it() {
    let rooms = rooms();
    let place = |name: &str| rooms.iter().position(|room| room == name);
    let mut breaches = Vec::new();
    for file in product() {
        let Some(own) = place(&room_of(&file)) else {
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in without_tests(&text).lines().enumerate() {
            for piece in line.split("crate::").skip(1) {
                let name: String =
                    piece.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if place(&name).is_some_and(|other| other > own) {
                    breaches.push(format!("{}:{}: {name}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "imports against the floor plan:\n{}", breaches.join("\n"));
}

#[test]
fn no_room_reaches_over_its_own_wall() {
    for file in product() {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!without_tests(&text).contains("super::super"), "{}", file.display());
        assert!(!without_tests(&text).contains("use super::*"), "{}", file.display());
    }
}

#[test]
fn only_the_disk_room_opens_files() {
    for file in product() {
        let text = fs::read_to_string(&file).unwrap();
        let allowed = ["disk", "sandbox"].contains(&room_of(&file).as_str());
        let opens = without_tests(&text).lines().any(|line| {
            (line.contains("std::fs::") || line.contains("use std::fs"))
                && !line.contains("std::fs::File")
        });
        assert!(allowed || !opens, "{} opens files past `disk`", file.display());
    }
}

#[test]
fn nothing_is_left_to_fix_me() {
    let mark = ["FIX", "ME"].concat();
    for file in sources(Path::new("src")).into_iter().chain(sources(Path::new("tests"))) {
        assert!(!fs::read_to_string(&file).unwrap().contains(&mark), "{}", file.display());
    }
}

#[test]
fn every_trap_is_shown_by_a_test_that_exists() {
    let files = sources(Path::new("src")).into_iter().chain(sources(Path::new("tests")));
    let code: String = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    let table = fs::read_to_string("tests/traps.md").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| trap"));
    for row in rows {
        let tests = row.rsplit_once(" | ").unwrap().1;
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(code.contains(&format!("fn {name}(")), "no test is called `{name}`: {row}");
        }
    }
}

#[test]
fn only_the_kernel_of_the_sandbox_lifts_the_lint_against_unsafe_code() {
    let mark = ["allow(unsafe", "_code"].concat();
    let lifts = |file: &PathBuf| fs::read_to_string(file).unwrap().contains(&mark);
    let lifting: Vec<PathBuf> = sources(Path::new("src")).into_iter().filter(lifts).collect();
    assert_eq!(lifting, [Path::new("src/sandbox/kernel/mod.rs")]);
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    let documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    let mut gone = Vec::new();
    for document in documents {
        let text = fs::read_to_string(document).unwrap();
        for word in text.split(|c: char| c.is_whitespace() || "`(),;:".contains(c)) {
            let word = word.trim_end_matches('.');
            let is_path = ["src/", "tests/", "scripts/", "lockfiles/", "fixtures/"]
                .iter()
                .any(|folder| word.strip_prefix(folder).is_some_and(|rest| !rest.is_empty()));
            let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if is_path && is_plain && !Path::new(word).exists() {
                gone.push(format!("{document}: {word}"));
            }
        }
    }
    assert!(gone.is_empty(), "{}", gone.join("\n"));
}
