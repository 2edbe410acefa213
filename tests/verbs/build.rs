//! `rebeam build` and what follows from it.

use std::fs;
use std::os::unix::process::CommandExt as _;

use rebeam::digest::Digest;

use super::harness::{Ran, World};

fn image(world: &World) -> Vec<u8> {
    fs::read(world.project().join("hello-1.0.0.tar")).unwrap()
}

#[test]
fn two_builds_give_the_same_bytes_whatever_the_host_looks_like() {
    let one = World::with("hello").with_own_store();
    one.rebeam(&["build"]).succeeds();
    let two = World::with("hello").with_own_store();
    let mut command = two.command(&["build", "--jobs", "1"]);
    command.env("TZ", "Pacific/Auckland").env("LC_ALL", "tr_TR.UTF-8").env("USER", "somebody");
    // SAFETY: umask is async-signal-safe and cannot fail.
    #[expect(unsafe_code, reason = "the mask of a child process is set between fork and exec")]
    unsafe {
        command.pre_exec(|| {
            libc::umask(0o077);
            Ok(())
        });
    }
    Ran::of(&command.output().unwrap()).succeeds();
    assert!(image(&one) == image(&two), "the images differ");
}

#[test]
fn an_ordinary_user_builds_the_same_bytes_as_root() {
    let root = World::with("hello");
    root.rebeam(&["build"]).succeeds();
    let user = World::with("hello").with_empty_store();
    let chown = std::process::Command::new("chown")
        .args(["-R", "4242:4242"])
        .arg(user.path(""))
        .status()
        .unwrap();
    assert!(chown.success(), "this test runs as root");
    let mut command = user.command(&["build"]);
    command.uid(4242).gid(4242);
    Ran::of(&command.output().unwrap()).succeeds();
    assert!(image(&root) == image(&user), "the images differ");
}

#[test]
fn a_second_build_does_nothing_and_leaves_the_file_alone() {
    let world = World::with("hello");
    // A file that changed within the last second is looked at more closely, and this project was just copied.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    world.rebeam(&["build"]).succeeds();
    let path = world.project().join("hello-1.0.0.tar");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    let again = world.rebeam(&["build"]).succeeds();
    assert!(again.stderr.contains("up to date"), "{}", again.stderr);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
}

#[test]
fn a_change_in_the_project_builds_only_the_project() {
    let world = World::with("hello").with_own_store();
    world.rebeam(&["build"]).succeeds();
    world.edit("src/hello_page.erl", "not found", "nothing here");
    let built = world.rebeam(&["build", "--why"]).succeeds();
    assert!(built.stderr.contains("4 reused, 1 built"), "{}", built.stderr);
    assert!(built.stderr.contains("hello 1.0.0 changed"), "{}", built.stderr);
}

#[test]
fn why_names_the_dependency_that_moved() {
    let world = World::with("hello").with_own_store();
    world.rebeam(&["build"]).succeeds();
    let new = world.commit("words", "src/words.erl", "Unknown", "Unheard Of");
    world.git("words", &["tag", "v0.3.0", &new]);
    let old = world.commit("tinyhttp", "rebar.config", "v0.2.0", "v0.3.0");
    world.git("tinyhttp", &["tag", "1.1.0", &old]);
    world.edit("rebar.config", "1.0.0\"}}},\n    {adler", "1.1.0\"}}},\n    {adler");
    let built = world.rebeam(&["build", "--why"]).succeeds();
    for reason in ["words v0.2.0 → v0.3.0", "tinyhttp 1.0.0 → 1.1.0"] {
        assert!(built.stderr.contains(reason), "{reason:?} is missing in:\n{}", built.stderr);
    }
    assert!(built.stderr.contains("adler: nothing changed"), "{}", built.stderr);
}

#[test]
fn a_failing_step_shows_its_last_lines_and_its_room_can_be_entered() {
    let world = World::with("hello").with_own_store();
    world.edit("src/hello_page.erl", "answer(_Method", "answr(_Method");
    world.rebeam(&["build"]).fails(
        1,
        &["step `hello` ended with exit code 1", "head mismatch", "rebeam shell --failed"],
    );
    let looked = world.rebeam(&["shell", "--failed", "--", "ls", "_build/default/lib"]).succeeds();
    assert_eq!(looked.stdout, "adler\ntinyhttp\nwords\n", "{}", looked.stderr);
}

#[test]
fn a_moved_tag_does_not_change_what_is_locked() {
    let world = World::with("hello").with_own_store();
    world.rebeam(&["lock"]).succeeds();
    let before = world.read("rebeam.lock");
    let moved = world.commit("tinyhttp", "src/tinyhttp.erl", "bad request", "bad demand");
    world.git("tinyhttp", &["tag", "-f", "1.0.0", &moved]);
    world.rebeam(&["build"]).succeeds();
    assert_eq!(world.read("rebeam.lock"), before);
}

#[test]
fn a_vanished_commit_is_an_error_that_names_old_and_new() {
    let world = World::with("hello");
    world.rebeam(&["lock"]).succeeds();
    let old = world.git("tinyhttp", &["rev-parse", "1.0.0"]);
    let new = world.git("tinyhttp", &["commit-tree", "-m", "rewritten", "1.0.0^{tree}"]);
    world.git("tinyhttp", &["update-ref", "refs/heads/main", &new]);
    world.git("tinyhttp", &["tag", "-f", "1.0.0", &new]);
    world.git("tinyhttp", &["-c", "gc.reflogExpire=now", "gc", "-q", "--prune=now"]);
    let world = world.with_own_store();
    world.rebeam(&["build", "--frozen"]).fails(3, &["tinyhttp", &old, &new]);
}

#[test]
fn offline_names_what_is_missing() {
    let world = World::with("hello").with_empty_store();
    world.rebeam(&["build", "--offline"]).fails(3, &["offline"]);
}

#[test]
fn the_sweep_keeps_what_a_lock_uses() {
    let world = World::with("hello").with_own_store();
    world.rebeam(&["build"]).succeeds();
    world.rebeam(&["store", "gc"]).succeeds();
    world.rebeam(&["store", "verify", "--no-heal"]).succeeds();
    fs::remove_file(world.project().join("hello-1.0.0.tar")).unwrap();
    let again = world.rebeam(&["build", "--offline"]).succeeds();
    assert!(again.stderr.contains("5 reused, 0 built"), "{}", again.stderr);
    fs::remove_file(world.project().join("rebeam.lock")).unwrap();
    let swept = world.rebeam(&["store", "gc", "--dry-run"]).succeeds();
    assert!(swept.stdout.contains("0 kept"), "{}", swept.stdout);
}

#[test]
fn an_image_names_the_commit_of_every_application() {
    let world = World::with("hello");
    world.rebeam(&["build"]).succeeds();
    let inspected = world.rebeam(&["image", "inspect"]).succeeds().stdout;
    for app in ["tinyhttp", "adler", "words"] {
        assert!(inspected.contains(&world.git(app, &["rev-parse", "main"])), "{app}:\n{inspected}");
    }
    assert!(inspected.contains("\"sandbox\":\"userns\""), "{inspected}");
    let json = world.rebeam(&["image", "inspect", "--json"]).succeeds().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["sources"].as_array().unwrap().len(), 3);
}

#[test]
fn every_byte_of_an_image_is_accounted_for() {
    let world = World::with("hello");
    world.rebeam(&["build"]).succeeds();
    let json = world.rebeam(&["image", "size", "--json", "--svg", "size.svg"]).succeeds().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for layer in json["layers"].as_array().unwrap() {
        let parts = layer["parts"].as_array().unwrap().iter();
        let sum: u64 = parts.map(|part| part["bytes"].as_u64().unwrap()).sum();
        assert_eq!(Some(sum), layer["unpacked_bytes"].as_u64(), "{layer}");
    }
    assert!(world.read("size.svg").contains("layer otp"));
    let table = world.rebeam(&["image", "size", "--files=1"]).succeeds().stdout;
    for row in ["layer app", "hello-1.0.0", "app/lib/tinyhttp-1.0.0/ebin/tinyhttp.beam"] {
        assert!(table.contains(row), "{row:?} is missing in:\n{table}");
    }
}

#[test]
fn what_a_release_is_checked_by_decides_whether_it_is_an_image() {
    let world = World::with("hello");
    let manifest = world.read("rebeam.toml");
    let check =
        |lines: &str| world.write("rebeam.toml", &format!("{manifest}\n[release]\n{lines}\n"));
    check(
        "smoke-eval = \"{ok, S} = gen_tcp:connect({127, 0, 0, 1}, 8080, []), gen_tcp:close(S).\"",
    );
    let built = world.rebeam(&["build"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
    check("smoke-eval = \"lists:member(ssl, [hello])\"");
    world
        .rebeam(&["build"])
        .fails(1, &["the release starts, but its smoke check fails", "it_is_false", "smoke-eval"]);
    check("smoke = [\"busybox\", \"true\"]");
    world.rebeam(&["build"]).fails(1, &["smoke check fails", "{there_is_no,busybox}"]);
    let manifest = manifest.replace("[image]", "[image]\nshell = \"busybox\"");
    let wget = |port| {
        let check =
            format!("smoke = [\"busybox\", \"wget\", \"-O-\", \"http://127.0.0.1:{port}/\"]");
        world.write("rebeam.toml", &format!("{manifest}\n[release]\n{check}\n"));
        world.rebeam(&["build"])
    };
    wget("9").fails(1, &["smoke check fails", "Connection refused", "{exit_code,1}"]);
    wget("8080").succeeds();
}

/// Returns the bytes of the image's files, and of its packed layers.
fn weigh(world: &World) -> (u64, u64) {
    let said = world.rebeam(&["image", "size", "--json"]).succeeds().stdout;
    let sizes: serde_json::Value = serde_json::from_str(&said).unwrap();
    let mut sums = (0, 0);
    for layer in sizes["layers"].as_array().unwrap() {
        let parts = layer["parts"].as_array().unwrap().iter();
        let files = parts.filter(|part| part["name"] != "headers and padding");
        sums.0 += files.map(|part| part["bytes"].as_u64().unwrap()).sum::<u64>();
        sums.1 += layer["packed_bytes"].as_u64().unwrap();
    }
    sums
}

#[test]
fn a_small_release_is_a_small_image_and_so_is_one_with_tls_and_time_zones() {
    let world = World::with("hello");
    world.rebeam(&["build", "--no-boot-check"]).succeeds();
    let (unpacked, _) = weigh(&world);
    assert!(unpacked <= 13_000_000, "{unpacked}");
    world.edit("src/hello.app.src", "stdlib, ", "stdlib, crypto, ssl, ");
    world.edit("rebeam.toml", "[image]\n", "[image]\ntzdata = true\n");
    world.rebeam(&["build"]).succeeds();
    let (unpacked, packed) = weigh(&world);
    assert!(unpacked <= 20_000_000, "{unpacked}");
    assert!(packed <= 10_000_000, "{packed}");
    let bill = world.rebeam(&["sbom"]).succeeds().stdout;
    for package in ["libssl3", "tzdata", "ca-certificates", "erlang-ssl"] {
        assert!(bill.contains(&format!("pkg:deb/debian/{package}@")), "{package}: {bill}");
    }
}

/// The applications of OTP that emqttd 2.3's release holds, beside kernel and stdlib.
const EMQTTD: &str = "sasl, crypto, asn1, public_key, ssl, inets, mnesia, compiler, syntax_tools, xmerl, os_mon, \
                      runtime_tools, ";

/// Every module that an application names is there and loads, whatever was left out of it.
const EVERY_MODULE: &str = r#"
[] = [{M, Why} || {App, _, _} <- application:loaded_applications(), {ok, Ms} <- [application:get_key(App, modules)],
      M <- Ms, {error, Why} <- [code:ensure_loaded(M)]],
ok = mnesia:start()
"#;

#[test]
fn a_release_as_large_as_emqttd_is_at_most_40_mb_and_everything_in_it_works() {
    let world = World::with("hello");
    world.edit("src/hello.app.src", "stdlib, ", &format!("stdlib, {EMQTTD}"));
    let image = "[image]\nshell = \"busybox\"\ntzdata = true\n";
    world.edit("rebeam.toml", "[image]\n", image);
    let manifest = world.read("rebeam.toml");
    let wget = r#"["busybox", "wget", "-O-", "http://127.0.0.1:8080/"]"#;
    let check = format!("[release]\nsmoke-eval = '''{EVERY_MODULE}'''\nsmoke = {wget}\n");
    world.write("rebeam.toml", &format!("{manifest}\n{check}"));
    // Its dashboard's pages, and what only a debugger opens of them.
    let noise = |bytes: u32| -> String {
        let hex = |at: u32| Digest::of(&at.to_le_bytes()).hex();
        (0..bytes / 64).map(hex).collect()
    };
    let script = format!("{}\n//# sourceMappingURL=vendor.js.map\n", noise(4_000_000));
    world.write("priv/www/vendor.js", &script);
    let map = format!("{{\"version\":3,\"mappings\":\"{}\"}}", noise(15_000_000));
    world.write("priv/www/vendor.js.map", &map);
    let built = world.rebeam(&["build"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
    let (unpacked, packed) = weigh(&world);
    assert!(unpacked <= 40_000_000, "{unpacked}");
    assert!(packed <= 20_000_000, "{packed}");
}

#[test]
fn a_release_that_stops_one_of_its_applications_in_order_has_started() {
    let world = World::with("hello");
    let stop =
        "    spawn(fun Stop() -> case application:stop(sasl) of ok -> ok; _ -> Stop() end end),\n";
    let start = "    hello_sup:start_link().";
    world.edit("src/hello_app.erl", start, &format!("{stop}{start}"));
    let built = world.rebeam(&["build"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
}
