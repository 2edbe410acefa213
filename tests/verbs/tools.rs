//! `[tools]`: what is built from source before everything else.

use super::harness::World;

/// Makes of Debian's rebar3 what a bootstrap leaves behind, so that all but the bootstrap itself is as with a real source.
pub(crate) const STAND_IN: &str = r#"#!/usr/bin/env escript
main(["--offline"]) ->
    {ok, Parts} = escript:extract("/usr/bin/rebar3", []),
    {archive, Archive} = lists:keyfind(archive, 1, Parts),
    ok = filelib:ensure_dir("_build/prod/lib/x"),
    {ok, _} = zip:unzip(Archive, [{cwd, "_build/prod/lib"}]).
"#;

pub(crate) fn tool(world: &World, line: &str) {
    let manifest = world.read("rebeam.toml");
    world.write("rebeam.toml", &format!("{manifest}\n[tools]\n{line}\n"));
}

#[test]
fn rebar3_from_source_builds_the_project() {
    let world = World::with("hello").with_own_store();
    world.write("../rebar3/bootstrap", STAND_IN);
    tool(&world, "rebar3 = \"../rebar3\"");
    world.write("rebar.config.script", "CONFIG.");
    let built = world.rebeam(&["build"]).succeeds();
    assert!(built.stderr.contains("Compiled rebar3"), "{}", built.stderr);
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
    assert!(world.read("rebeam.lock").contains("app = \"rebar3\"\nrole = \"tool\""));
    // A change of the tool's source is a reason to build again.
    world.write("../rebar3/bootstrap", &format!("{STAND_IN}\n%% Newer.\n"));
    let again = world.rebeam(&["build", "--why"]).succeeds();
    assert!(again.stderr.contains("rebar3 ../rebar3 changed"), "{}", again.stderr);
}

#[test]
fn a_bootstrap_that_leaves_half_a_rebar3_is_refused() {
    let world = World::with("hello").with_own_store();
    let half = STAND_IN.replace(
        "[{cwd,",
        "[{file_filter, fun(F) -> element(2, F) =/= \"rebar/ebin/rebar3.beam\" end}, {cwd,",
    );
    world.write("../rebar3/bootstrap", &half);
    tool(&world, "rebar3 = \"../rebar3\"");
    world.rebeam(&["build"]).fails(1, &["step `rebar3`", "rebar3.beam is missing"]);
}

/// The suite of OTP 23 came before rebar3. Its source is no part of Debian's archive, so this runs where
/// `REBEAM_TEST_REBAR3` names a clone of rebar3's repository.
#[test]
fn otp_23_has_a_rebar3_although_its_suite_has_none() {
    let Some(clone) = std::env::var_os("REBEAM_TEST_REBAR3") else {
        eprintln!("skipped: REBEAM_TEST_REBAR3 names no clone of rebar3's repository");
        return;
    };
    let world = World::with("hello");
    world.edit("rebeam.toml", "otp = \"25\"", "otp = \"23\"");
    let manifest = world.read("rebeam.toml");
    let mirror = format!("\"https://github.com/erlang/rebar3\" = \"file://{}\"", clone.display());
    world.write("rebeam.toml", &format!("{manifest}{mirror}\n"));
    world.rebeam(&["build"]).succeeds();
    assert!(world.read("rebeam.lock").contains("https://github.com/erlang/rebar3"));
}

/// Each project's steps see its own OTP, whatever else the store holds and builds meanwhile.
#[test]
fn two_projects_with_different_otps_are_built_side_by_side_in_one_store() {
    let [old, new] = [World::with("hello"), World::with("hello")];
    new.edit("rebeam.toml", "otp = \"25\"", "otp = \"27\"");
    // Neither has its steps in the store yet.
    for (world, words) in [(&old, "hello from 25"), (&new, "hello from 27")] {
        let manifest = world.read("rebeam.toml");
        world.write("rebeam.toml", &format!("{manifest}\n# {words}\n"));
        world.rebeam(&["lock"]).succeeds();
    }
    let building = [&old, &new].map(|world| {
        let mut command = world.command(&["build"]);
        command.stderr(std::process::Stdio::piped()).spawn().unwrap()
    });
    for child in building {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    for (world, erts) in [(&old, "erts-13."), (&new, "erts-15.")] {
        let tar = world.project().join("hello-1.0.0.tar");
        let size = world.rebeam(&["image", "size", "--json", tar.to_str().unwrap()]).succeeds();
        assert!(size.stdout.contains(erts), "{erts}: {}", size.stdout);
    }
}

/// A source of OTP is no part of the repository, and building one takes a quarter of an hour: this one installs Debian's
/// own, with a name that nothing else gives it.
#[test]
fn an_otp_from_source_takes_the_place_of_debians() {
    let world = World::with("hello").with_own_store();
    let makefile = "all:\n\tcp -a /usr/lib/erlang otp\n\tmv otp/lib/sasl-* otp/lib/sasl-77.7\n\
                    \tsed -i 's/{vsn, *\"[^\"]*\"}/{vsn,\"77.7\"}/' otp/lib/sasl-77.7/ebin/sasl.app\n\
                    install:\n\tmkdir -p $(DESTDIR)/usr/lib\n\tcp -a otp $(DESTDIR)/usr/lib/erlang\n";
    world.write("../otp/Makefile", makefile);
    world.write("../otp/configure", "#!/bin/sh\nexit 0\n");
    let configure = world.path("otp/configure");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(configure, mode).unwrap();
    tool(&world, "otp = \"../otp\"");
    let built = world.rebeam(&["build"]).succeeds();
    assert!(built.stderr.contains("Compiled otp"), "{}", built.stderr);
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
    let mut find = std::process::Command::new("find");
    let trees = world.path("store/trees");
    let found = find.arg(trees).args(["-name", "hello.rel", "-exec", "cat", "{}", "+"]).output();
    let release = String::from_utf8(found.unwrap().stdout).unwrap();
    assert!(release.contains("{sasl,\"77.7\""), "{release}");
}

#[test]
fn an_otp_from_source_for_another_machine_is_refused_before_anything_is_fetched() {
    let world = World::with("hello");
    world.write("../otp/configure", "#!/bin/sh\nexit 0\n");
    tool(&world, "otp = \"../otp\"");
    let other = if cfg!(target_arch = "aarch64") { "linux/amd64" } else { "linux/arm64" };
    let says = format!("which makes it for this machine and not for `{other}`");
    let ways = "remove `otp` from `[tools]`";
    world.rebeam(&["--offline", "build", "--platform", other]).fails(1, &[&says, ways]);
    world.edit("rebeam.toml", "[image]", &format!("[image]\nplatforms = [\"{other}\"]"));
    world.rebeam(&["--offline", "lock"]).fails(1, &[&says, ways]);
}
