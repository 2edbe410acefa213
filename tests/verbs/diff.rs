//! `rebeam diff` and `rebeam image diff`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

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

/// Lays the files of an image out, as an engine would.
fn unpacked(image: &Path, to: &Path) {
    let (blobs, files) = (to.with_extension("blobs"), to);
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(files).unwrap();
    tar::Archive::new(fs::File::open(image).unwrap()).unpack(&blobs).unwrap();
    let manifest: Value =
        serde_json::from_slice(&fs::read(blobs.join("manifest.json")).unwrap()).unwrap();
    for layer in manifest[0]["Layers"].as_array().unwrap() {
        let blob = fs::File::open(blobs.join(layer.as_str().unwrap())).unwrap();
        tar::Archive::new(flate2::read::MultiGzDecoder::new(blob)).unpack(files).unwrap();
    }
}

/// The files below `top` that diffoscope finds to differ; `None` where it is not installed.
fn diffoscope(world: &World, one: &Path, other: &Path) -> Option<BTreeSet<String>> {
    fn walk(one: &Value, top: &str, found: &mut BTreeSet<String>) {
        let source = one["source1"].as_str().unwrap_or_default();
        if let Some(path) =
            source.strip_prefix(top).filter(|_| fs::metadata(source).is_ok_and(|is| is.is_file()))
        {
            found.insert(path.trim_start_matches('/').to_owned());
        }
        for inner in one["details"].as_array().into_iter().flatten() {
            walk(inner, top, found);
        }
    }
    let told = world.path("told.json");
    let arguments = ["--exclude-directory-metadata=yes", "--json", told.to_str().unwrap()];
    let ran = Command::new("diffoscope").args(arguments).arg(one).arg(other).output().ok()?;
    assert!(
        ran.status.code().is_some_and(|code| code < 2),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let mut found = BTreeSet::new();
    if let Ok(told) = fs::read(told) {
        walk(&serde_json::from_slice(&told).unwrap(), one.to_str().unwrap(), &mut found);
    }
    Some(found)
}

#[test]
fn the_files_that_differ_are_those_that_diffoscope_names() {
    let world = World::with("hello");
    world.rebeam(&["build", "-o", "one.tar"]).succeeds();
    world.edit("src/hello_page.erl", "not found", "nothing here");
    world.edit("config/vm.args", "none", "long");
    world.rebeam(&["build", "-o", "two.tar"]).succeeds();
    let [one, other] = ["one", "two"].map(|name| {
        unpacked(&world.project().join(format!("{name}.tar")), &world.path(name));
        world.path(name)
    });
    let Some(theirs) = diffoscope(&world, &one, &other) else {
        return;
    };
    let told = world.rebeam(&["diff", "one.tar", "two.tar", "--json"]).fails(1, &[]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let content = told["differences"].as_array().unwrap().iter();
    let content = content.filter(|one| one["level"] == "content");
    let ours: BTreeSet<String> =
        content.map(|one| one["place"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 2, "{ours:?}");
}

#[test]
fn differences_of_form_do_not_count_where_only_meaning_is_asked_for() {
    let world = World::of(&[("a.config", "[{port, 80}]. %% a\n"), ("b.config", "[{port,80}].\n")]);
    world.rebeam(&["diff", "a.config", "b.config"]).fails(1, &[]);
    let told = world.rebeam(&["diff", "--semantic", "a.config", "b.config"]).succeeds();
    assert_eq!(told.stdout, "the same in what runs; 1 difference in form\n");
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
