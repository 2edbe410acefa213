//! Texts about rebeam itself.

use super::harness::World;

#[test]
fn help_completions_man_pages_and_schema_are_printed() {
    let world = World::with("hello");
    for arguments in
        [&["--help"][..], &["build", "--help"], &["completions", "bash"], &["man"], &["schema"]]
    {
        let ran = world.rebeam(arguments).succeeds();
        assert!(ran.stdout.len() > 200, "{arguments:?}: {}", ran.stdout);
    }
    world.rebeam(&["man", "pages"]).succeeds();
    assert!(world.project().join("pages/rebeam-build.1").exists());
}

#[test]
fn a_wrong_word_is_a_usage_error() {
    let world = World::with("hello");
    world.rebeam(&["biuld"]).fails(2, &["biuld", "build"]);
}
