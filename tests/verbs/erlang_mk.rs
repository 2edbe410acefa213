//! erlang.mk: a project with three kinds of dependencies, built by a real erlang.mk, which is taken out of the source of
//! Debian's rabbitmq-server where the archive gives it; without it the tests are skipped with a line that says so.

use std::fs;
use std::process::Command;

use super::harness::{World, built_alike};
use super::pool::Tarball;

const RABBITMQ: Tarball = Tarball {
    path: "main/r/rabbitmq-server/rabbitmq-server_3.10.8.orig.tar.xz",
    sha256: "903b761ee541c3cf3374506c0d71cd80254392f58c55e033ac8ce3ebcf8d3b29",
};
const MEMBER: &str = "rabbitmq-server-3.10.8/erlang.mk";

/// Makes the project and its repositories; `None` where there is no erlang.mk to be had.
pub(crate) fn project() -> Option<World> {
    let tarball = RABBITMQ.fetched()?;
    let mut tar = Command::new("tar");
    let output = tar.arg("-xJOf").arg(tarball).arg(MEMBER).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let world = World::with("erlang_mk");
    fs::write(world.project().join("erlang.mk"), output.stdout).unwrap();
    Some(world)
}

#[test]
fn traps_5_17_18_20_the_makefile_decides_what_is_locked() {
    let Some(world) = project() else { return };
    // Beside a Makefile that builds the project it is some other build's.
    let stale = "[{<<\"mk_old\">>,{git,\"https://git.example/nobody\",{ref,\"0123456789012345678901234567890123456789\"}},0}].\n";
    world.write("rebar.lock", stale);
    let ran = world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert_eq!(lock.matches("[[source]]").count(), 2, "{lock}");
    assert!(lock.contains("wanted = \"tag 1.0.0\""), "the commit beats the line: {lock}");
    assert!(lock.contains("wanted = \"tag v0.1.0\""), "what is fetched first wins: {lock}");
    assert!(!lock.contains("nobody") && !lock.contains("relx"), "{lock}");
    for words in ["`mk_old` is asked for in 2 versions", "(by mk_hello)", "(by mk_words)"] {
        assert!(ran.stderr.contains(words), "{words} is missing in:\n{}", ran.stderr);
    }
    world.rebeam(&["lock", "--check"]).succeeds();
}

#[test]
fn a_makefile_sees_the_variables_of_the_build_when_it_is_locked() {
    let Some(world) = project() else { return };
    world.edit("Makefile", "DEPS = mk_words", "DEPS = $(WANTED)");
    world.rebeam(&["lock"]).succeeds();
    assert!(!world.read("rebeam.lock").contains("mk_words"));
    world.edit(
        "rebeam.toml",
        "tool = \"erlang.mk\"",
        "tool = \"erlang.mk\"\nenv = { WANTED = \"mk_words\" }",
    );
    let stale = world.rebeam(&["lock", "--check"]).fails(1, &[]);
    assert!(stale.stdout.contains("mk_words"), "{}", stale.stdout);
    world.rebeam(&["lock"]).succeeds();
    assert!(world.read("rebeam.lock").contains("app = \"mk_words\""));
}

#[test]
fn an_erlang_mk_project_boots_and_gives_the_same_bytes_twice() {
    let (Some(one), Some(two)) = (project(), project()) else { return };
    let [one, _] = built_alike([one, two], "mk_hello-1.0.0.tar");

    one.edit("src/mk_hello_app.erl", "~s ~p~n", "~s: ~p~n");
    let again = one.rebeam(&["build"]).succeeds();
    assert!(!again.stderr.contains("Compiled mk_words"), "{}", again.stderr);
}

#[test]
fn trap_18_a_method_that_is_not_known_names_the_dependency_and_the_way_out() {
    let Some(world) = project() else { return };
    world.edit("Makefile", "git https://git.example/mk_old v0.1.0", "svn https://svn.example/old");
    world.rebeam(&["lock"]).fails(1, &["`mk_old` by `svn`", "[deps.mk_old]", "source ="]);
}

#[test]
fn a_makefile_without_its_erlang_mk_says_what_is_missing() {
    let world = World::with("erlang_mk");
    world.rebeam(&["lock"]).fails(1, &["includes `erlang.mk`, which is not there", "commit"]);
}

#[test]
fn steps_of_ones_own_find_dependencies_where_they_look_and_make_a_release_that_boots() {
    built_alike([(); 2].map(|()| World::with("custom")), "own-1.0.tar");
}
