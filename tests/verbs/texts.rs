//! Texts about rebeam itself.

use std::fs;
use std::process::Stdio;

use super::harness::{Ran, World};

#[test]
fn help_completions_man_pages_and_schema_are_printed() {
    let world = World::with("hello");
    for arguments in
        [&["--help"][..], &["build", "--help"], &["completions", "bash"], &["man"], &["schema"]]
    {
        let ran = world.rebeam(arguments).succeeds();
        assert!(ran.stdout.len() > 200, "{arguments:?}: {}", ran.stdout);
    }
}

#[test]
fn every_manual_page_that_a_manual_page_refers_to_is_written() {
    let world = World::with("hello");
    world.rebeam(&["man", "pages"]).succeeds();
    let pages = world.project().join("pages");
    for page in fs::read_dir(&pages).unwrap() {
        let text = fs::read_to_string(page.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| line.starts_with("rebeam") && line.ends_with("(1)"))
        {
            let name = line.trim_end_matches("(1)").replace('\\', "");
            assert!(pages.join(format!("{name}.1")).exists(), "{name}");
        }
    }
    assert!(pages.join("rebeam-dev-up.1").exists());
}

#[test]
fn a_file_that_could_not_be_written_whole_is_no_success() {
    let world = World::with("hello");
    for arguments in
        [&["schema"][..], &["completions", "zsh"], &["hash", "src"], &["tree", "--json"]]
    {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::of(&world.command(arguments).stdout(full).output().unwrap());
        ran.fails(3, &["standard output", "No space left"]);
    }
}

#[test]
fn a_reader_that_has_enough_ends_nothing_in_error() {
    let world = World::with("hello");
    for arguments in [&["schema"][..], &["completions", "zsh"], &["man"], &["--help"]] {
        let mut running = world.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(running.stdout.take());
        assert!(running.wait().unwrap().success(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_word_is_a_usage_error() {
    let world = World::with("hello");
    world.rebeam(&["biuld"]).fails(2, &["biuld", "build"]);
}
