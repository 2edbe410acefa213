//! Native code that needs more of Debian than the preset has.

use super::harness::World;

/// Lets the C code of a dependency include a header and call what it declares.
fn adler_includes(world: &World, header: &str, library: &str, call: &str) {
    world.commit(
        "adler",
        "c_src/adler_nif.c",
        "#include <erl_nif.h>",
        &format!("#include <erl_nif.h>\n#include <{header}>\nconst void *used(void) {{ return (const void *){call}; }}"),
    );
    world.commit("adler", "c_src/Makefile", "-o $@ $<", &format!("-o $@ $< {library}"));
    world.rebeam(&["update", "adler"]).succeeds();
}

#[test]
fn a_missing_header_is_named_with_its_debian_package() {
    let world = World::with("hello");
    adler_includes(&world, "expat.h", "-lexpat", "XML_ExpatVersion()");
    world.rebeam(&["build"]).fails(
        1,
        &["step `adler`", "`expat.h` is in libexpat1-dev", "rebeam toolchain add libexpat1-dev"],
    );
    world.rebeam(&["toolchain", "add", "libexpat1-dev"]).succeeds();
    assert!(world.read("rebeam.toml").contains("packages = [\"libexpat1-dev\"]"));
    // The library itself comes along into the image, or this would be refused.
    world.rebeam(&["build"]).succeeds();
}

#[test]
fn what_is_not_usual_is_looked_up_in_the_suites_index_of_files() {
    let world = World::with("hello");
    adler_includes(&world, "libwebsockets.h", "-lwebsockets", "lws_get_library_version()");
    world.rebeam(&["build"]).fails(
        1,
        &["`libwebsockets.h` is in libwebsockets-dev", "rebeam toolchain add libwebsockets-dev"],
    );
    // What was looked up once is known without a network.
    world.rebeam(&["build", "--offline"]).fails(1, &["is in libwebsockets-dev"]);
}

#[test]
fn a_header_that_debian_does_not_have_adds_nothing() {
    let world = World::with("hello");
    adler_includes(&world, "no_such_header_anywhere.h", "", "0");
    let ran = world.rebeam(&["build"]).fails(1, &["no_such_header_anywhere.h: No such file"]);
    assert!(ran.stderr.contains("rebeam shell --failed"), "{}", ran.stderr);
}

/// Builds, and tells of every library of this name that was ever made in a release whether it holds what debuggers read.
fn kept_debug_info(world: &World, library: &str) -> Vec<bool> {
    world.rebeam(&["build"]).succeeds();
    let mut find = std::process::Command::new("find");
    find.arg(world.path("store/trees")).args(["-path", &format!("*/lib/*-*/priv/{library}")]);
    let found = String::from_utf8(find.output().unwrap().stdout).unwrap();
    let files = found.lines().map(|path| std::fs::read(path).unwrap());
    let has_debug = |bytes: Vec<u8>| bytes.windows(11).any(|part| part == b".debug_info");
    let mut kept: Vec<bool> = files.map(has_debug).collect();
    kept.sort_unstable();
    kept
}

fn keep_debug_info(world: &World) {
    let manifest = world.read("rebeam.toml");
    world.write("rebeam.toml", &format!("{manifest}\n[release]\nkeep-debug-info = true\n"));
}

#[test]
fn native_code_is_stripped_unless_debug_info_is_kept() {
    let world = World::with("hello").with_own_store();
    world.commit("adler", "c_src/Makefile", "-O2", "-O2 -g");
    world.rebeam(&["update", "adler"]).succeeds();
    assert_eq!(kept_debug_info(&world, "adler_nif.so"), [false]);
    keep_debug_info(&world);
    assert_eq!(kept_debug_info(&world, "adler_nif.so"), [false, true]);
}

#[test]
fn native_code_of_steps_of_ones_own_is_stripped_unless_debug_info_is_kept() {
    let world = World::with("custom").with_own_store();
    let build = world.read("build.sh");
    let native = "mkdir -p $OUT/lib/own-1.0/priv; echo 'int one = 1;' > one.c\n\
                  gcc -g -shared -fPIC -o $OUT/lib/own-1.0/priv/one.so one.c\n";
    world.write("build.sh", &format!("{build}{native}"));
    world.rebeam(&["lock"]).succeeds();
    assert_eq!(kept_debug_info(&world, "one.so"), [false]);
    keep_debug_info(&world);
    assert_eq!(kept_debug_info(&world, "one.so"), [false, true]);
}
