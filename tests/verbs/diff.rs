//! `rebeam diff` and `rebeam image diff`.

use std::fs;

use serde_json::Value;

use super::harness::World;

#[test]
fn a_changed_module_is_all_that_differs_and_code_is_told_from_form() {
    let world = World::with("hello");
    world.rebeam(&["build", "-o", "one.tar"]).succeeds();
    world.edit("src/hello_page.erl", "not found", "nothing here");
    world.rebeam(&["build", "-o", "two.tar"]).succeeds();
    let told = world.rebeam(&["diff", "one.tar", "two.tar", "--html", "page.html"]).fails(1, &[]);
    for words in
        ["hello_page.beam: module: code", "LitT: /2/1: <<\"not found\\n\">>", "1 module: code"]
    {
        assert!(told.stdout.contains(words), "{words:?} is missing in:\n{}", told.stdout);
    }
    assert!(!told.stdout.contains("hello_app.beam"), "{}", told.stdout);
    assert!(world.read("page.html").contains("hello_page.beam"));
    let told = world.rebeam(&["image", "diff", "one.tar", "two.tar", "--json"]).fails(1, &[]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["same"], false);
    let differences = told["differences"].as_array().unwrap();
    let module = differences.iter().find(|one| one["kind"] == "module").unwrap();
    assert_eq!((&module["level"], &module["counts"]), (&"content".into(), &"meaning".into()));
    let same = world.rebeam(&["diff", "one.tar", "one.tar"]).succeeds();
    assert_eq!(same.stdout, "the same\n");
}

#[test]
fn differences_of_form_do_not_count_where_only_meaning_is_asked_for() {
    let world = World::of(&[("a.config", "[{port, 80}]. %% a\n"), ("b.config", "[{port,80}].\n")]);
    world.rebeam(&["diff", "a.config", "b.config"]).fails(1, &[]);
    let told = world.rebeam(&["diff", "--semantic", "a.config", "b.config"]).succeeds();
    assert_eq!(told.stdout, "the same in what runs; 1 differences in form\n");
    world.write("b.config", "[{port,81}].\n");
    let told = world.rebeam(&["diff", "--semantic", "a.config", "b.config"]).fails(1, &[]);
    assert!(told.stdout.contains("/0/0/port/1: 80 | 81"), "{}", told.stdout);
}

#[test]
fn what_cannot_be_compared_exits_with_two_and_says_why() {
    let world = World::of(&[("a.txt", "a"), ("b.txt", "b")]);
    let mut cut = [0_u8; 512];
    cut[257..262].copy_from_slice(b"ustar");
    fs::write(world.project().join("cut.tar"), cut).unwrap();
    world.rebeam(&["diff", "a.txt", "gone.txt"]).fails(2, &["there is no file `gone.txt`"]);
    world.rebeam(&["diff", "a.txt", "cut.tar"]).fails(2, &["is an image and `a.txt` is none"]);
    world.rebeam(&["diff", "cut.tar", "cut.tar"]).fails(2, &["is no image file"]);
    world.rebeam(&["diff", "a.txt", "b.txt"]).fails(1, &[]);
}
