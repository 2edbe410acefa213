//! erlang.mk: a project with three kinds of dependencies, built by a real erlang.mk, which is taken out of the source of
//! Debian's rabbitmq-server where the archive gives it; without it the tests are skipped with a line that says so.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rebeam::digest::Digest;
use rebeam::event::Silent;
use rebeam::fetch::debian::base_address;
use rebeam::http::{Http, Mirrors, Network, Request};

use super::harness::World;

const TARBALL: &str = "pool/main/r/rabbitmq-server/rabbitmq-server_3.10.8.orig.tar.xz";
const SHA256: &str = "903b761ee541c3cf3374506c0d71cd80254392f58c55e033ac8ce3ebcf8d3b29";
const MEMBER: &str = "rabbitmq-server-3.10.8/erlang.mk";
const TARBALL_BYTES_MAX: u64 = 16 << 20;

fn fetched(cache: &Path) -> Result<PathBuf, String> {
    let path = cache.join("rabbitmq-server.tar.xz");
    if path.exists() {
        return Ok(path);
    }
    let http = Http::new(Network::Open, Mirrors::default());
    let base = base_address(&http).map_err(|error| error.to_string())?;
    let url = format!("{base}/{TARBALL}");
    let request =
        Request { name: "rabbitmq-server", url: &url, limit: TARBALL_BYTES_MAX, headers: &[] };
    let part = cache.join(format!(".rabbitmq-server.{}", std::process::id()));
    http.download(&request, &part, &Silent).map_err(|error| error.to_string())?;
    let found = Digest::of(&fs::read(&part).unwrap()).hex();
    assert_eq!(found, SHA256, "{TARBALL} is not the pinned one");
    fs::rename(&part, &path).unwrap();
    Ok(path)
}

fn erlang_mk() -> Result<Vec<u8>, String> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/erlang-mk-cache");
    fs::create_dir_all(&cache).unwrap();
    let tarball = fetched(&cache)?;
    let mut tar = Command::new("tar");
    let output = tar.args(["-xJOf", tarball.to_str().unwrap(), MEMBER]).output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Makes the project and its repositories; `None` where there is no erlang.mk to be had.
pub(crate) fn project() -> Option<World> {
    match erlang_mk() {
        Ok(text) => {
            let world = World::with("erlang_mk");
            fs::write(world.project().join("erlang.mk"), text).unwrap();
            Some(world)
        }
        Err(why) => {
            // Not by a macro, whose output a passing test keeps for itself.
            let line = format!("skipped: the archive does not give {TARBALL}: {why}\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            None
        }
    }
}

#[test]
fn traps_5_17_18_20_the_makefile_decides_what_is_locked() {
    let Some(world) = project() else { return };
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
fn an_erlang_mk_project_boots_and_gives_the_same_bytes_twice() {
    let (Some(one), Some(two)) = (project(), project()) else { return };
    for world in [&one, &two] {
        world.rebeam(&["lock"]).succeeds();
    }
    let (one, two) = (one.with_own_store(), two.with_own_store());
    let built = one.rebeam(&["build"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
    two.rebeam(&["build", "--jobs", "1"]).succeeds();
    let image = |world: &World| fs::read(world.project().join("mk_hello-1.0.0.tar")).unwrap();
    assert!(image(&one) == image(&two), "the images differ");

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
    let world = World::with("custom").with_own_store();
    world.rebeam(&["lock"]).succeeds();
    let built = world.rebeam(&["build"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
}
