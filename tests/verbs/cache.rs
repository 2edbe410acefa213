//! `rebeam build --cache-to` and `--cache-from`: what one machine made, another does not make again.

use super::harness::{Ran, World};

/// Returns how many facts of a kind a run with `--json` told.
fn facts(ran: &Ran, kind: &str) -> usize {
    let fact = format!("\"event\":\"{kind}\"");
    ran.stdout.lines().chain(ran.stderr.lines()).filter(|line| line.contains(&fact)).count()
}

#[test]
fn a_second_machine_runs_no_step_and_makes_no_layer() {
    let world = World::with("hello").with_own_store();
    let made = world.rebeam(&["build", "--json", "--cache-to", "../cache"]).succeeds();
    assert!(facts(&made, "step_built") > 2 && facts(&made, "cache_filled") == 1, "{}", made.stdout);
    let image = std::fs::read(world.project().join("hello-1.0.0.tar")).unwrap();
    std::fs::remove_file(world.project().join("hello-1.0.0.tar")).unwrap();
    let world = world.with_own_store_anew();
    let taken = world.rebeam(&["build", "--json", "--cache-from", "../cache"]).succeeds();
    assert_eq!(facts(&taken, "step_built"), 0, "{}", taken.stdout);
    assert_eq!(facts(&taken, "layer_made"), 0, "{}", taken.stdout);
    assert_eq!(facts(&taken, "step_reused"), facts(&made, "step_built"));
    assert_eq!(std::fs::read(world.project().join("hello-1.0.0.tar")).unwrap(), image);
    // What is up to date is shared all the same, and what is there is not brought again.
    let again = world.rebeam(&["build", "--cache-to", "../cache"]).succeeds();
    assert!(again.stderr.contains("../cache had all"), "{}", again.stderr);
    let elsewhere = world.rebeam(&["build", "--cache-to", "../other"]).succeeds();
    assert!(elsewhere.stderr.contains("results in ../other"), "{}", elsewhere.stderr);
}

#[test]
fn a_cache_beside_the_sources_is_none_of_them() {
    let world = World::with("hello");
    let built = |arguments: &[&str]| {
        world.rebeam(&[&["build", "--no-boot-check"], arguments].concat()).succeeds();
        std::fs::read(world.project().join("hello-1.0.0.tar")).unwrap()
    };
    let image = built(&["--cache-to", "./shared"]);
    assert!(world.project().join("shared/index.json").exists());
    std::fs::remove_file(world.project().join("hello-1.0.0.tar")).unwrap();
    assert!(built(&["--cache-from", "./shared"]) == image, "the cache changes no image");
}

#[test]
fn a_cache_that_is_not_there_does_not_stop_a_build() {
    let world = World::with("hello");
    world
        .rebeam(&[
            "build",
            "--offline",
            "--cache-from",
            "r.example/cache",
            "--cache-from",
            "../none",
        ])
        .succeeds();
    let image = world.project().join("hello-1.0.0.tar");
    assert!(image.exists());
    let ran = world.rebeam(&["build", "--offline", "--cache-to", "r.example/cache"]);
    ran.fails(3, &["the network is closed"]);
    // A word that names no cache is found before the build.
    std::fs::remove_file(&image).unwrap();
    for option in ["--cache-from", "--cache-to"] {
        world
            .rebeam(&["build", option, "r.example/a:1"])
            .fails(2, &["names a tag", "`r.example/a`"]);
        world.rebeam(&["build", option, "r.example/A"]).fails(2, &["names no place in a registry"]);
    }
    assert!(!image.exists());
}
