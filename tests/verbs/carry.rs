//! `rebeam vendor` and `rebeam bundle`: a build without any origin, from what was carried there.

use std::fs;

use super::harness::World;
use super::hex::project;

/// Puts every origin of the project out of reach.
fn without_origins(world: &World) {
    fs::remove_dir_all(world.path("git")).unwrap();
    let text = world.read("rebeam.toml");
    world.write("rebeam.toml", text.split("[mirrors]").next().unwrap());
}

#[test]
fn a_bundle_is_all_that_a_build_needs_on_a_machine_without_a_network() {
    let world = World::with("hello").with_own_store();
    let bundle = world.path("hello.bundle");
    let bundle = bundle.to_str().unwrap();
    let exported = world.rebeam(&["bundle", "export", bundle]).succeeds();
    fs::copy(bundle, world.project().join("hello.bundle")).unwrap();
    let digest = rebeam::digest::Digest::of(&fs::read(bundle).unwrap());
    assert_eq!(exported.stdout, format!("{}  {bundle}\n", digest.hex()));
    world.rebeam(&["build"]).succeeds();
    let image = world.project().join("hello-1.0.0.tar");
    let here = fs::read(&image).unwrap();
    fs::remove_file(&image).unwrap();
    without_origins(&world);
    fs::rename(world.path("store"), world.path("old-store")).unwrap();
    let empty = world.rebeam(&["build", "--offline"]);
    assert_eq!(empty.code, 3, "{}", empty.stderr);
    let arrived = world.rebeam(&["bundle", "import", bundle]).succeeds();
    assert!(arrived.stderr.contains("3 sources and 102 packages of hello"), "{}", arrived.stderr);
    let built = world.rebeam(&["build", "--offline"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
    assert!(fs::read(&image).unwrap() == here, "the images differ");
}

#[test]
fn a_bundle_that_was_changed_or_cut_off_is_refused_with_the_next_step() {
    let world = World::with("hello").with_own_store();
    let bundle = world.path("hello.bundle");
    let name = bundle.to_str().unwrap();
    world.rebeam(&["bundle", "export", name]).succeeds();
    fs::rename(world.path("store"), world.path("old-store")).unwrap();
    let bytes = fs::read(&bundle).unwrap();
    fs::write(&bundle, &bytes[..bytes.len() / 2]).unwrap();
    world.rebeam(&["bundle", "import", name]).fails(3, &["damaged or cut off", "sha256sum"]);
    let mut turned = bytes;
    let middle = turned.len() / 2;
    turned[middle] ^= 1;
    fs::write(&bundle, turned).unwrap();
    world.rebeam(&["bundle", "import", name]).fails(3, &["is not what its name says", "sha256sum"]);
    for kind in ["blobs", "trees"] {
        assert_eq!(fs::read_dir(world.path("store").join(kind)).unwrap().count(), 0, "{kind}");
    }
    world.rebeam(&["bundle", "import", "rebeam.toml"]).fails(1, &["not a bundle of rebeam"]);
}

#[test]
fn a_bundle_brings_the_lock_and_what_registries_said_of_its_packages() {
    let world = project();
    world.rebeam(&["lock"]).succeeds();
    let bundle = world.path("hello.bundle");
    let bundle = bundle.to_str().unwrap();
    world.rebeam(&["bundle", "export", bundle]).succeeds();
    let lock = world.read("rebeam.lock");
    fs::remove_file(world.project().join("rebeam.lock")).unwrap();
    fs::rename(world.path("store"), world.path("old-store")).unwrap();
    let arrived = world.rebeam(&["bundle", "import", bundle, "--json"]).succeeds();
    assert!(arrived.stdout.contains("\"lock\":\"written\""), "{}", arrived.stdout);
    assert_eq!(world.read("rebeam.lock"), lock);
    // With what the registry said, the lock can be made again where nothing of it is out of date.
    assert_eq!(fs::read_dir(world.path("store/hex")).unwrap().count(), 2);
    fs::remove_dir_all(world.path("git")).unwrap();
    world.rebeam(&["lock", "--offline"]).succeeds();
    assert_eq!(world.read("rebeam.lock"), lock);
    let document = world.path("hex/packages/acme_tongue");
    fs::write(&document, "not signed").unwrap();
    world.rebeam(&["audit"]).fails(3, &["acme_tongue"]);
}

#[test]
fn vendored_sources_are_built_from_and_must_be_what_the_lock_says() {
    let world = World::with("hello").with_own_store();
    world.rebeam(&["build"]).succeeds();
    let image = world.project().join("hello-1.0.0.tar");
    let here = fs::read(&image).unwrap();
    let vendored = world.rebeam(&["vendor", "third_party"]).succeeds();
    assert!(vendored.stderr.contains("3 sources"), "{}", vendored.stderr);
    assert!(world.read("third_party/deps/words/src/words.erl").contains("-module(words)"));
    without_origins(&world);
    let with_key = format!("{}\n[lock]\nvendor = \"third_party\"\n", world.read("rebeam.toml"));
    world.write("rebeam.toml", &with_key);
    let world = world.with_own_store_anew();
    let built = world.rebeam(&["build", "--offline"]).succeeds();
    assert!(
        built.stderr.contains("4 built") || built.stderr.contains("5 built"),
        "{}",
        built.stderr
    );
    assert!(fs::read(&image).unwrap() == here, "the images differ");
    world.edit("third_party/deps/words/src/words.erl", "Unknown", "Changed");
    let world = world.with_own_store_anew();
    world.rebeam(&["build", "--offline"]).fails(1, &["third_party/deps/words", "rebeam vendor"]);
}

#[test]
fn what_a_bundle_brought_is_not_swept_away_before_the_first_build() {
    let world = World::with("hello").with_own_store();
    let bundle = world.path("hello.bundle");
    let bundle = bundle.to_str().unwrap();
    world.rebeam(&["bundle", "export", bundle]).succeeds();
    let lock = world.read("rebeam.lock");
    // With a project the lock protects it; without one the bundle's own file does.
    for with_lock in [true, false] {
        fs::remove_dir_all(world.path("store")).unwrap();
        if !with_lock {
            world.edit("rebeam.toml", "name = \"hello\"", "name = \"other\"");
        }
        world.rebeam(&["bundle", "import", bundle]).succeeds();
        world.rebeam(&["store", "gc"]).succeeds();
        let held = |kind: &str| fs::read_dir(world.path("store").join(kind)).unwrap().count();
        assert_eq!((held("trees"), held("blobs")), (3, 102), "{with_lock}");
    }
    assert_eq!(world.read("rebeam.lock"), lock);
    fs::remove_file(bundle).unwrap();
    world.rebeam(&["store", "gc"]).succeeds();
    assert_eq!(fs::read_dir(world.path("store/blobs")).unwrap().count(), 0);
}

#[test]
fn a_bundle_brings_the_source_of_the_tools_too() {
    let world = World::with("hello").with_own_store();
    let files = [("bootstrap", super::tools::STAND_IN)];
    world.repository("rebar3", "3.0.0", &files);
    super::tools::tool(&world, "rebar3 = \"git+https://git.rebeam.test/rebar3#tag=3.0.0\"");
    world.rebeam(&["lock"]).succeeds();
    let bundle = world.path("hello.bundle");
    let bundle = bundle.to_str().unwrap();
    world.rebeam(&["bundle", "export", bundle]).succeeds();
    without_origins(&world);
    super::tools::tool(&world, "rebar3 = \"git+https://git.rebeam.test/rebar3#tag=3.0.0\"");
    fs::remove_dir_all(world.path("store")).unwrap();
    world.rebeam(&["bundle", "import", bundle]).succeeds();
    let built = world.rebeam(&["build", "--offline", "--locked"]).succeeds();
    assert!(built.stderr.contains("Compiled rebar3"), "{}", built.stderr);
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
}
