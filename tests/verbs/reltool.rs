//! rebar 2: a project in its old forms, with a release of reltool's. The real rebar 2 is taken from its source in Debian's
//! archive where that gives it, or from the clone of its repository that `REBEAM_TEST_REBAR` names; without either only
//! what is locked is looked at, by a stand-in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::harness::{World, built_alike};
use super::pool::Tarball;

pub(crate) const REBAR: Tarball = Tarball {
    path: "main/r/rebar/rebar_2.6.4.orig.tar.xz",
    sha256: "187f00e20db50725d33dc3347c7cd675703d5de88b1bc31c2a49e541237f3d94",
};

/// Leaves behind what a bootstrap of rebar 2 does: a module that says who it is.
const STAND_IN: &str = r#"#!/usr/bin/env escript
main(_) ->
    ok = filelib:ensure_dir("ebin/x"),
    ok = file:write_file("rebar.erl", "-module(rebar). -export([main/1]).
main(Arguments) -> io:format(\"built from source: ~s~n\", [lists:join(32, Arguments)])."),
    {ok, rebar} = compile:file("rebar.erl", [{outdir, "ebin"}]).
"#;

fn stand_in(world: &World) {
    world.write("../rebar/bootstrap", STAND_IN);
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(world.path("rebar/bootstrap"), mode).unwrap();
}

/// The project beside a real rebar 2; `None` where there is none to be had.
fn project() -> Option<World> {
    let world = World::with("reltool");
    match std::env::var_os("REBEAM_TEST_REBAR") {
        Some(clone) => {
            let mut git = Command::new("git");
            let cloned = git.args(["clone", "-q"]).arg(clone).arg(world.path("rebar")).output();
            let cloned = cloned.unwrap();
            assert!(cloned.status.success(), "{}", String::from_utf8_lossy(&cloned.stderr));
        }
        None => REBAR.unpack(&world.path("rebar"))?,
    }
    Some(world)
}

#[test]
fn the_forms_of_rebar_2_are_locked_after_configure_and_nobody_fetches_its_plugins() {
    let world = World::with("reltool");
    stand_in(&world);
    let ran = world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert_eq!(lock.matches("[[source]]").count(), 4, "{lock}");
    assert!(!lock.contains("house_plugin"), "{lock}");
    // An old gate that names the OTP is open, and no reason to warn.
    assert!(!ran.stderr.contains("require_otp_vsn"), "{}", ran.stderr);
    world.rebeam(&["lock", "--check"]).succeeds();

    world.edit("rebeam.toml", "--greeting=", "--no-greeting=");
    let failed = world.rebeam(&["lock", "--check"]);
    assert!(failed.stderr.contains("rebar.config.script"), "{}", failed.stderr);
}

#[test]
fn a_rebar_2_project_becomes_a_release_of_reltool_that_boots_and_has_the_same_bytes_twice() {
    let (Some(one), Some(two)) = (project(), project()) else { return };
    let [one, _] = built_alike([one, two], "greeter-2.1.0.tar");

    // The project's version and the dependency's are those of the manifest and of the tag: git is not there to be asked.
    let mut run = Command::new("timeout");
    run.args(["--signal=TERM", "4", env!("CARGO_BIN_EXE_rebeam"), "run"]);
    let ran = run.current_dir(one.project()).env("REBEAM_STORE", one.path("store")).output();
    let said = String::from_utf8(ran.unwrap().stdout).unwrap();
    assert!(said.contains("Moin OK 2.1.0 0.2.0 old"), "{said}");
}

#[test]
fn a_release_that_states_no_version_has_that_of_the_manifest() {
    let Some(world) = project().map(World::with_own_store) else { return };
    world.edit("rel/reltool.config", "\"greeter\", \"2.1.0\"", "\"greeter\", \"\"");
    world.edit("rel/reltool.config", "releases/{{rel_vsn}}/sys", "releases/sys");
    world.edit("rel/reltool.config", "releases/{{rel_vsn}}/vm", "releases/vm");
    let built = world.rebeam(&["build"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
}

#[test]
fn trap_14_escripts_that_sources_bring_along_are_replaced_by_the_tool_from_locked_source() {
    let world = World::with("custom").with_own_store();
    stand_in(&world);
    let manifest = world.read("rebeam.toml");
    world.write("rebeam.toml", &format!("{manifest}\n[tools]\nrebar = \"../rebar\"\n"));
    let old = "#!/bin/sh\necho 'please re-compile this module with an 23 compiler' >&2\nexit 1\n";
    for place in ["rebar", "words/rebar"] {
        world.write(place, old);
    }
    let script = world.read("build.sh");
    let calls = "sh ./rebar own > own.txt\n(cd third/words && sh ./rebar words) > words.txt\n\
                 grep -q 'built from source: own' own.txt\ngrep -q 'built from source: words' words.txt\n";
    world.write("build.sh", &format!("set -e\n{calls}{script}"));
    world.rebeam(&["build"]).succeeds();
}

#[test]
fn init_writes_a_manifest_for_rebar_2_that_locks_and_builds() {
    let Some(world) = project() else { return };
    let mirrors = world.read("rebeam.toml").split_once("[mirrors]").unwrap().1.to_owned();
    fs::remove_file(world.project().join("rebeam.toml")).unwrap();
    world.rebeam(&["init"]).succeeds();
    let manifest = world.read("rebeam.toml");
    // No tarball holds the commit that it names, so the source beside the project stands in its place.
    let rebar = "\"git+https://github.com/rebar/rebar#576e12171ab8d69b048b827b92aa65d067deea01\"";
    let configure = "[\"./configure\"]";
    assert!(manifest.contains(rebar) && manifest.contains(configure), "{manifest}");
    let manifest = manifest
        .replace(rebar, "\"../rebar\"")
        .replace("otp = \"27\"", "otp = \"25\"")
        .replace(configure, "[\"sh\", \"./configure\", \"--greeting=Hi\"]");
    world.write("rebeam.toml", &format!("{manifest}\n[mirrors]{mirrors}"));
    world.rebeam(&["lock"]).succeeds();
    world.rebeam(&["lock", "--check"]).succeeds();
    let built = world.rebeam(&["build", "--locked"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
}
