//! `[deps.NAME]`: what is done otherwise for one dependency.

use super::harness::World;

fn add(world: &World, text: &str) {
    let manifest = world.read("rebeam.toml");
    world.write("rebeam.toml", &format!("{manifest}\n{text}\n"));
}

/// Writes a file of the project and returns its hash as the manifest wants it.
fn own(world: &World, file: &str, text: &str) -> String {
    world.write(file, text);
    world.rebeam(&["hash", file]).succeeds().stdout.trim().to_owned()
}

/// Trap 24: what one dependency's compiler needs must not reach another's.
#[test]
fn compiler_options_reach_one_dependency_and_no_other() {
    let world = World::with("hello").with_own_store();
    // Only with this does it compile, and with it nothing else would say anything else.
    world.commit(
        "words",
        "src/words.erl",
        "-module(words).",
        "-module(words).\n-ifndef(ERA).\n-error(no_era).\n-endif.",
    );
    let old = world.git("words", &["rev-parse", "main"]);
    world.git("words", &["tag", "-f", "v0.2.0", &old]);
    world.rebeam(&["update", "words"]).succeeds();
    world.rebeam(&["build"]).fails(1, &["step `words`", "no_era"]);
    add(&world, "[deps.words]\nenv = { ERL_COMPILER_OPTIONS = \"[{d,'ERA'}]\" }");
    let built = world.rebeam(&["build", "--why"]).succeeds();
    assert!(built.stderr.contains("words"), "{}", built.stderr);
    // Another one that would refuse the same option is built as before.
    world.commit(
        "adler",
        "src/adler.erl",
        "-module(adler).",
        "-module(adler).\n-ifdef(ERA).\n-error(an_era).\n-endif.",
    );
    world.rebeam(&["update", "adler"]).succeeds();
    world.rebeam(&["build"]).succeeds();
}

/// Traps 20 and 21: a version comes from git that is not there, or the tag says another one.
#[test]
fn a_version_of_the_manifest_is_what_the_application_states() {
    let world = World::with("hello").with_own_store();
    add(&world, "[deps.tinyhttp]\nvsn = \"9.8.7\"");
    world.rebeam(&["build"]).succeeds();
    let listed = std::process::Command::new("find")
        .arg(world.path("store/trees"))
        .args(["-name", "tinyhttp-9.8.7", "-type", "d"])
        .output()
        .unwrap();
    assert!(!listed.stdout.is_empty(), "the release holds no tinyhttp-9.8.7");
}

/// Trap 9: a configuration that is code, and wants what is not there, is replaced by one of the project's.
#[test]
fn a_script_of_a_dependency_is_replaced_by_one_of_the_project() {
    let world = World::with("hello").with_own_store();
    world.commit_with(
        "adler",
        "rebar.config",
        ("{erl_opts", "{erl_opts"),
        &[("rebar.config.script", "{ok, _} = file:consult(\"/configured/by/hand\"), CONFIG.\n")],
    );
    world.rebeam(&["update", "adler"]).fails(1, &["adler"]);
    let sha256 = own(&world, "overrides/adler.script", "[{deps, []} | CONFIG].\n");
    let table = format!(
        "[[deps.adler.files]]\npath = \"rebar.config.script\"\nfile = \"overrides/adler.script\"\nsha256 = \"{sha256}\""
    );
    add(&world, &table);
    world.rebeam(&["update", "adler"]).succeeds();
    world.rebeam(&["build"]).succeeds();
    world.write("overrides/adler.script", "CONFIG.\n");
    world.rebeam(&["build"]).fails(1, &["`overrides/adler.script` for `adler` is not the one"]);
}

/// Trap 16: a dependency that refuses this OTP says so when it is locked, with the way out.
#[test]
fn an_otp_that_a_dependency_refuses_is_said_when_it_is_locked() {
    let world = World::with("hello").with_own_store();
    let gate = "{minimum_otp_vsn, \"26.1\"}.\n{erl_opts";
    world.commit("adler", "rebar.config", "{erl_opts", gate);
    let says = ["`adler` asks for OTP 26.1 or newer", "25.2.3", "hello → adler", "otp = \"27\""];
    world.rebeam(&["update", "adler"]).fails(1, &says);
    let config = "{erl_opts, [debug_info]}.\n{require_otp_vsn, \"R16|17|18\"}.\n\
                  {pre_hooks, [{compile, \"make -C c_src\"}]}.\n";
    let sha256 = own(&world, "overrides/adler.config", config);
    let table = format!(
        "[[deps.adler.files]]\npath = \"rebar.config\"\nfile = \"overrides/adler.config\"\nsha256 = \"{sha256}\""
    );
    add(&world, &table);
    let locked = world.rebeam(&["update", "adler"]).succeeds();
    assert!(locked.stderr.contains("require_otp_vsn"), "{}", locked.stderr);
    world.rebeam(&["build"]).succeeds();
}

/// The BEAM has one namespace for modules; relx would say so only after everything is built.
#[test]
fn two_applications_with_one_module_are_refused_with_both_ways() {
    let world = World::with("hello").with_own_store();
    let says = [
        "the module `words` is defined by two applications",
        "hello → adler",
        "hello → tinyhttp → words",
    ];
    let copy = ("src/words.erl", "-module(words).\n");
    world.commit_with("adler", "rebar.config", ("{erl_opts", "{erl_opts"), &[copy]);
    world.rebeam(&["update", "adler"]).fails(1, &says);
    // One that is made while building is seen then.
    let old = world.git("adler", &["rev-parse", "main~1"]);
    world.git("adler", &["update-ref", "refs/heads/main", &old]);
    let hook = "{pre_hooks, [{\"linux\", compile, \"echo '-module(words).' > src/words.erl\"}, {";
    world.commit("adler", "rebar.config", "{pre_hooks, [{", hook);
    world.rebeam(&["update", "adler"]).succeeds();
    world.rebeam(&["build"]).fails(1, &says);
}

/// What OTP has in every release is known beforehand; of the rest, systools says so in a term, after everything is built.
#[test]
fn an_application_with_a_module_of_otps_is_refused_with_its_way() {
    let world = World::with("hello").with_own_store();
    let module = |name: &str| format!("-module({name}).\n-export([x/0]).\nx() -> x.\n");
    let about = |name: &str, needs: &str| {
        format!(
            "{{application, {name}, [{{description, \"\"}}, {{vsn, \"1.0.0\"}}, {{registered, []}},\n\
             {{applications, [kernel, stdlib{needs}]}}]}}.\n"
        )
    };
    world.write("libs/own/src/own.app.src", &about("own", ", crypto"));
    world.write("libs/own/src/lists.erl", &module("lists"));
    world.edit("rebar.config", "{deps, [", "{deps, [\n    own,");
    world.edit("src/hello.app.src", "{applications, [", "{applications, [own, ");
    add(&world, "[deps.own]\nsource = \"./libs/own\"");
    let says = |module: &str, of: &str| {
        [
            format!("the module `{module}` is defined by two applications"),
            format!("OTP 25 → {of}"),
            "hello → own".to_owned(),
            "patch in `[deps.own]`".to_owned(),
        ]
    };
    let refused = |verb: &str, says: &[String; 4]| {
        let says: Vec<&str> = says.iter().map(String::as_str).collect();
        world.rebeam(&[verb]).fails(1, &says);
    };
    refused("lock", &says("lists", "stdlib"));
    // One that the source may leave out is no reason to refuse it.
    world.write("libs/own/rebar.config", "{erl_opts, [{src_dirs, [\"src\"]}]}.\n");
    world.rebeam(&["lock"]).succeeds();
    refused("build", &says("lists", "stdlib"));

    std::fs::remove_file(world.project().join("libs/own/src/lists.erl")).unwrap();
    world.write("libs/own/src/crypto_ec_curves.erl", &module("crypto_ec_curves"));
    world.rebeam(&["lock"]).succeeds();
    refused("build", &says("crypto_ec_curves", "crypto"));
    std::fs::remove_file(world.project().join("libs/own/src/crypto_ec_curves.erl")).unwrap();
    world.write("src/crypto_ec_curves.erl", &module("crypto_ec_curves"));
    world
        .rebeam(&["build"])
        .fails(1, &["the module `crypto_ec_curves`", "OTP 25 → crypto", "rename the project's"]);
}

#[test]
fn a_patch_changes_the_dependency_that_it_is_for_and_must_be_what_the_manifest_names() {
    let world = World::with("hello").with_own_store();
    let patch = "--- a/src/words.erl\n+++ b/src/words.erl\n@@ -3,4 +3,4 @@\n -export([reason/1]).\n \n\
                 -reason(200) -> <<\"OK\">>;\n+reason(200) -> <<\"Fine\">>;\n reason(400) -> <<\"Bad Request\">>;\n";
    let sha256 = own(&world, "patches/words.patch", patch);
    let check = "[release]\nsmoke-eval = '''words:reason(200) =:= <<\"Fine\">>'''";
    let table =
        format!("[[deps.words.patches]]\nfile = \"patches/words.patch\"\nsha256 = \"{sha256}\"");
    add(&world, &format!("{check}\n\n{table}"));
    world.rebeam(&["lock"]).succeeds();
    world.rebeam(&["build"]).succeeds();
    world.write("patches/words.patch", &patch.replace("Fine", "Good"));
    world.rebeam(&["build"]).fails(1, &["`patches/words.patch` for `words` is not the one"]);
}
