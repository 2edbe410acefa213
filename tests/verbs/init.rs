//! `rebeam init`: of each kind of project it writes a manifest that locks and builds. (rebar 2 is asked the same where it is
//! tested.)

use std::fs;

use super::erlang_mk;
use super::harness::World;

/// Takes the fixture's manifest away and has another one written; the mirrors and the OTP stay those of the tests.
fn anew(world: &World, tool: &str) {
    let mirrors = world.read("rebeam.toml").split_once("[mirrors]").unwrap().1.to_owned();
    fs::remove_file(world.project().join("rebeam.toml")).unwrap();
    drop(fs::remove_file(world.project().join("rebeam.lock")));
    world.rebeam(&["init"]).succeeds();
    let text = world.read("rebeam.toml");
    assert!(text.contains(tool), "{text}");
    let text = text.replace("otp = \"27\"", "otp = \"25\"");
    world.write("rebeam.toml", &format!("{text}\n[mirrors]{mirrors}"));
}

#[track_caller]
fn locks_and_builds(world: &World) {
    world.rebeam(&["lock"]).succeeds();
    world.rebeam(&["lock", "--check"]).succeeds();
    let built = world.rebeam(&["build", "--locked"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
}

#[test]
fn a_new_manifest_for_a_rebar3_project_locks_and_builds() {
    let world = World::with("hello").with_own_store();
    anew(&world, "name = \"hello\"");
    locks_and_builds(&world);
}

#[test]
fn a_new_manifest_for_an_erlang_mk_project_locks_and_builds() {
    let Some(world) = erlang_mk::project() else { return };
    let world = world.with_own_store();
    anew(&world, "tool = \"erlang.mk\"");
    locks_and_builds(&world);
}

#[test]
fn a_new_manifest_for_an_umbrella_of_mix_locks_and_builds() {
    let world = World::with("umbrella").with_own_store();
    anew(&world, "tool = \"mix\"");
    locks_and_builds(&world);
}

#[test]
fn a_new_manifest_for_a_project_of_make_locks_and_builds() {
    let world = World::with("custom").with_own_store();
    // As such a project is found: what the fixture's manifest says by hand stands in its Makefile.
    world.write("Makefile", "rel:\n\tsh build.sh\n\tmkdir _rel\n\tmv out/rel _rel/own\n");
    for file in ["configure", "build.sh"] {
        let text = world.read(file).replace("third/words", "words");
        world.write(file, &text);
    }
    let script = world.project().join("configure");
    let mut mode = fs::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&script, mode).unwrap();
    anew(&world, "tool = \"make\"");
    assert!(world.read("rebeam.toml").contains("configure = [[\"./configure\"]]"));
    locks_and_builds(&world);
}
