//! `rebeam lock`, `update` and `lock --check`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::harness::{Ran, World};

#[test]
fn lock_pins_the_closure_and_writes_nothing_when_equal() {
    let world = World::with("hello");
    fs::remove_file(world.project().join("rebeam.lock")).ok();
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    for app in ["tinyhttp", "adler", "words"] {
        let commit = world.git(app, &["rev-parse", "main"]);
        assert!(lock.contains(&format!("commit = \"{commit}\"")), "{app}:\n{lock}");
    }
    let written = fs::metadata(world.project().join("rebeam.lock")).unwrap().modified().unwrap();
    let again = world.rebeam(&["lock"]).succeeds();
    assert!(again.stderr.contains("nothing changed"), "{}", again.stderr);
    assert_eq!(
        fs::metadata(world.project().join("rebeam.lock")).unwrap().modified().unwrap(),
        written
    );
}

#[test]
fn the_fixtures_own_lock_is_current() {
    let world = World::with("hello");
    let checked = world.rebeam(&["lock", "--check"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (0, ""), "{}", checked.stderr);
}

#[test]
fn a_branch_moves_only_when_asked() {
    let world = World::with("hello");
    world.rebeam(&["lock"]).succeeds();
    let before = world.read("rebeam.lock");
    let commit = world.commit("adler", "src/adler.app.src", "Adler-32 in C", "Adler-32 in plain C");
    world.rebeam(&["lock"]).succeeds();
    assert_eq!(world.read("rebeam.lock"), before);
    let moved = world.rebeam(&["update", "adler"]).succeeds();
    assert!(moved.stderr.contains("adler"), "{}", moved.stderr);
    assert!(world.read("rebeam.lock").contains(&commit));
}

#[test]
fn a_stale_field_is_named() {
    let world = World::with("hello");
    world.rebeam(&["lock"]).succeeds();
    world.edit("rebar.config", "{branch, \"main\"}", "{tag, \"0.3.0\"}");
    let checked = world.rebeam(&["lock", "--check"]);
    assert_eq!(checked.code, 1, "{}", checked.stderr);
    assert!(
        checked.stdout.contains("adler") && checked.stdout.contains("tag 0.3.0"),
        "{}",
        checked.stdout
    );
    world.rebeam(&["build", "--locked"]).fails(1, &["stale", "adler", "rebeam lock"]);
}

#[test]
fn a_configuration_script_is_evaluated_by_the_pinned_otp() {
    let world = World::with("hello");
    world.edit(
        "rebar.config",
        "{adler, {git, \"https://git.rebeam.test/adler.git\", {branch, \"main\"}}}",
        "{adler, none}",
    );
    let script = "Adler = {adler, {git, \"https://git.rebeam.test/adler.git\", {tag, \"0.3.0\"}}},\n\
        true = list_to_integer(erlang:system_info(otp_release)) >= 25,\n\
        false = os:getenv(\"REBEAM_STORE\"),\n\
        {ok, [$3 | _]} = application:get_key(rebar, vsn),\n\
        true = erlang:function_exported(rebar3, main, 1),\n\
        {deps, Deps} = lists:keyfind(deps, 1, CONFIG),\n\
        lists:keystore(deps, 1, CONFIG, {deps, lists:keystore(adler, 1, Deps, Adler)}).\n";
    world.write("rebar.config.script", script);
    world.rebeam(&["lock"]).succeeds();
    assert!(world.read("rebeam.lock").contains("wanted = \"tag 0.3.0\""));
}

#[test]
fn a_project_in_no_repository_is_dated_by_its_former_lock_where_its_sources_stay() {
    let world = World::with("hello");
    let undated = || {
        let mut command = world.command(&["lock"]);
        Ran::of(&command.env_remove("SOURCE_DATE_EPOCH").output().unwrap()).succeeds()
    };
    let epoch = || {
        let lock = world.read("rebeam.lock");
        lock.lines().find(|line| line.starts_with("epoch = ")).unwrap().to_owned()
    };
    undated();
    let dated = epoch();
    world.edit(
        "rebar.config",
        "{tag, \"1.0.0\"}}},\n    {adler, {git, \"https://git.rebeam.test/adler.git\", {branch, \"main\"}}}",
        "{tag, \"1.0.0\"}}}",
    );
    undated();
    assert!(!world.read("rebeam.lock").contains("app = \"adler\""));
    assert_eq!(epoch(), dated);
}

#[test]
fn what_is_refused_whatever_is_resolved_is_refused_first() {
    let world = World::with("hello");
    let refused = |arguments: &[&str], says: &[&str]| {
        let mut command = world.command(arguments);
        let ran = Ran::of(&command.env_remove("SOURCE_DATE_EPOCH").output().unwrap());
        ran.fails(1, says);
    };
    // Nothing answers there, so whoever asks gets another error and another exit code.
    let manifest = world.read("rebeam.toml");
    let away = manifest.replace("../git/", "http://127.0.0.1:1/");
    world.write("rebeam.toml", &away);
    refused(&["update", "adlre"], &["`adlre` is not in the lock"]);
    world.write("rebeam.toml", &away.replace("[image]", "[image]\nbase = \"Not A Name\""));
    refused(&["lock"], &["Not A Name"]);

    fs::remove_file(world.project().join("rebeam.lock")).unwrap();
    let base = away.replace("[image]", "[image]\nbase = \"127.0.0.1:1/base:1\"");
    world.write("rebeam.toml", &base);
    world.write("rebar.config", "{erl_opts, [debug_info]}.\n");
    refused(&["lock"], &["nothing dates the image", "git init", "SOURCE_DATE_EPOCH"]);
    world.write("lib/own/src/own.erl", "-module(own).\n");
    world.write("rebar.config", "{deps, [own]}.\n");
    world.write("rebeam.toml", &format!("{base}\n[deps.own]\nsource = \"./lib/own\"\n"));
    refused(&["lock"], &["nothing dates the image", "git init", "SOURCE_DATE_EPOCH"]);
}

#[test]
fn an_application_that_is_asked_for_by_another_name_is_told_with_its_way() {
    let world = World::with("hello");
    world.edit("rebar.config", "{adler, {git", "{adlr, {git");
    let said = world.rebeam(&["lock"]).succeeds().stderr;
    let words = "`adlr` is asked for, and its source is the application `adler`";
    assert!(said.contains(words) && said.contains("hello → adlr"), "{said}");
}

/// Trap 30.
#[test]
fn a_host_without_git_or_anything_else_locks_and_builds() {
    let world = World::with("hello");
    fs::remove_file(world.project().join("rebeam.lock")).unwrap();
    for verb in ["lock", "build"] {
        let mut command = world.command(&[verb]);
        Ran::of(&command.env("PATH", "/nowhere").output().unwrap()).succeeds();
    }
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    let world = World::with("hello");
    world.edit("rebeam.toml", "[image]\nports", "[image]\nprots");
    world.rebeam(&["lock"]).fails(1, &["rebeam.toml", "prots", "ports"]);
}

#[test]
fn a_lock_with_merge_markers_is_refused() {
    let world = World::with("hello");
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    world.write("rebeam.lock", &format!("<<<<<<< HEAD\n{lock}=======\n{lock}>>>>>>> other\n"));
    world.rebeam(&["build"]).fails(1, &["rebeam.lock", "merge"]);
}

#[test]
fn the_hash_of_a_commit_is_the_one_in_the_lock_and_that_of_its_files() {
    let world = World::with("hello");
    world.rebeam(&["lock"]).succeeds();
    let commit = world.git("adler", &["rev-parse", "main"]);
    let address = format!("git+file://{}#{commit}", world.path("git/adler.git").display());
    let hash = world.rebeam(&["hash", &address]).succeeds().stdout;
    assert!(world.read("rebeam.lock").contains(&format!("hash = \"{}\"", hash.trim())), "{hash}");
    let clone = std::process::Command::new("git")
        .args(["clone", "-q"])
        .args([world.path("git/adler.git"), world.path("clone")])
        .status()
        .unwrap();
    assert!(clone.success());
    let files = world.rebeam(&["hash", world.path("clone").to_str().unwrap()]).succeeds().stdout;
    assert_eq!(files, hash);
}

#[test]
fn a_rebar_lock_decides_where_there_is_no_other_lock() {
    let world = World::with("hello");
    fs::remove_file(world.project().join("rebeam.lock")).unwrap();
    let old = world.git("adler", &["rev-parse", "main"]);
    let new = world.commit("adler", "src/adler.app.src", "Adler-32 in C", "Adler-32 in plain C");
    let entry = |app: &str, commit: &str, level: u8| {
        format!(
            "{{<<\"{app}\">>,{{git,\"https://git.rebeam.test/{app}.git\",{{ref,\"{commit}\"}}}},{level}}}"
        )
    };
    let [tinyhttp, words] = ["tinyhttp", "words"].map(|app| world.git(app, &["rev-parse", "main"]));
    let entries =
        [entry("adler", &old, 0), entry("tinyhttp", &tinyhttp, 0), entry("words", &words, 1)];
    world.write("rebar.lock", &format!("[{}].\n", entries.join(",\n ")));
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains(&old) && !lock.contains(&new), "{lock}");
    let stays = world.rebeam(&["update", "adler"]).succeeds();
    let says = "`adler` stays where `rebar.lock` says: that counts first; `rebar3 upgrade adler`";
    assert!(stays.stderr.contains(says), "{}", stays.stderr);
    fs::remove_file(world.project().join("rebar.lock")).unwrap();
    world.rebeam(&["update", "adler"]).succeeds();
    assert!(world.read("rebeam.lock").contains(&new));
}

#[test]
fn tree_and_why_tell_how_an_application_came_in() {
    let world = World::with("hello");
    assert!(world.rebeam(&["tree"]).succeeds().stdout.contains("tinyhttp"));
    assert_eq!(world.rebeam(&["why", "words"]).succeeds().stdout, "hello → tinyhttp → words\n");
    world.rebeam(&["why", "cowboy"]).fails(1, &["`cowboy` is not in the lock", "rebeam tree"]);
}

#[test]
fn a_directory_and_a_tarball_serve_as_dependencies() {
    let world = World::with("hello").with_own_store();
    let words = world.path("words");
    fs::create_dir_all(words.join("src")).unwrap();
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["words.app.src", "words.erl"] {
        fs::copy(top.join("fixtures/git/words/src").join(file), words.join("src").join(file))
            .unwrap();
    }
    let tarball = world.path("tinyhttp.tar.gz");
    let tree = top.join("fixtures/git/tinyhttp");
    let made = Command::new("tar")
        .args(["--sort=name", "--mtime=@0", "-czf"])
        .args([&tarball, Path::new("-C"), &tree, Path::new(".")])
        .status();
    assert!(made.unwrap().success());
    let sha256 = rebeam::digest::Digest::of(&fs::read(&tarball).unwrap()).hex();
    let mut manifest = world.read("rebeam.toml");
    manifest += &format!(
        "\n[deps.words]\nsource = \"../words\"\n\n[deps.tinyhttp]\nsource = \"file://{}#sha256={sha256}\"\n",
        tarball.display()
    );
    world.write("rebeam.toml", &manifest);
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains("kind = \"path\"\npath = \"../words\""), "{lock}");
    assert!(lock.contains(&format!("kind = \"url\"\nurl = \"file://{}\"", tarball.display())));
    world.rebeam(&["lock", "--check"]).succeeds();
    world.rebeam(&["build", "--locked"]).succeeds();
    // What is not pinned is looked at again: a changed directory is a changed image.
    let file = words.join("src/words.erl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        format!("{text}\nmore() -> more.\n").replace("-export([", "-export([more/0, "),
    )
    .unwrap();
    let ran = world.rebeam(&["build", "--locked"]);
    assert!(ran.stderr.contains("words"), "{}", ran.stderr);
    ran.succeeds();
    fs::write(&tarball, b"another file").unwrap();
    let other = world.read("rebeam.toml").replace(&sha256, &"0".repeat(64));
    world.write("rebeam.toml", &other);
    let ran = world.rebeam(&["lock", "--check"]).fails(1, &[]);
    assert!(ran.stdout.contains("dep `tinyhttp`"), "{}", ran.stdout);
    world
        .rebeam(&["lock"])
        .fails(3, &["is not the promised file", "rebeam lock --update tinyhttp"]);
}

#[test]
fn a_field_that_is_stale_further_down_is_named() {
    let world = World::with("hello");
    world.rebeam(&["lock", "--check"]).succeeds();
    let config = world.read("rebar.config");
    let more = "\n{overrides, [{override, tinyhttp, [{deps, []}]}]}.\n";
    world.write("rebar.config", &format!("{config}{more}"));
    let ran = world.rebeam(&["lock", "--check"]).fails(1, &[]);
    let says = ["`deps` of dep tinyhttp is `words`", "dep words is locked as"];
    assert!(says.iter().all(|says| ran.stdout.contains(says)), "{}", ran.stdout);
    world.rebeam(&["build", "--locked"]).fails(1, &["the lock is stale", "dep words"]);
}
