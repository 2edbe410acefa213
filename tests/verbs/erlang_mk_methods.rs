//! erlang.mk: every method of fetching, and the traps that are in what is fetched.

use std::fs;

use super::erlang_mk::project;
use super::harness::World;
use super::hex::{PUBLIC_KEY, Package, publish};
use super::reltool::REBAR;

/// An application of one module, which says its own name.
fn app(name: &str) -> [(String, String); 2] {
    [
        (
            "Makefile".into(),
            format!("PROJECT = {name}\nPROJECT_VERSION = 1.0.0\ninclude erlang.mk\n"),
        ),
        (
            format!("src/{name}.erl"),
            format!("-module({name}).\n-export([name/0]).\nname() -> {name}.\n"),
        ),
    ]
}

/// Replaces the project's dependencies by these lines of a Makefile.
fn depends(world: &World, lines: &str) {
    let makefile = world.read("Makefile");
    let own = "DEPS = mk_words\n";
    assert!(makefile.contains(own), "{makefile}");
    world.write("Makefile", &makefile.replace(own, lines));
}

/// Says when it starts what these calls return.
fn starts_with(world: &World, calls: &str) {
    world.edit(
        "src/mk_hello_app.erl",
        "io:format(\"~s ~p~n\", [mk_words:greeting(), ?OLD])",
        &format!("io:format(\"~s ~p ~p~n\", [mk_words:greeting(), ?OLD, [{calls}]])"),
    );
}

#[test]
fn trap_18_every_method_of_fetching_is_locked_and_built() {
    let Some(world) = project() else { return };
    let world = world.with_own_store();
    let nested = app("mk_sub").map(|(name, text)| (format!("deps/mk_sub/{name}"), text));
    let nested: Vec<_> = nested.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    world.repository("mono", "1.0.0", &nested);
    for (place, name) in [("lib/mk_copied", "mk_copied"), ("../mk_linked", "mk_linked")] {
        for (file, text) in app(name) {
            world.write(&format!("{place}/{file}"), &text);
        }
    }
    fs::create_dir_all(world.path("hex")).unwrap();
    fs::write(world.path("hex/repository"), "hexpm").unwrap();
    let source = "-module(greeting).\n-export([name/0]).\nname() -> greeting.\n";
    let package = Package { name: "acme_greeting", app: "greeting", source, needs: None };
    publish(&world.path("hex"), &package);
    world.write("keys/hexpm.pem", PUBLIC_KEY);
    let registry = "[hex.hexpm]\nurl = \"../hex\"\npublic-key = \"keys/hexpm.pem\"\n\n[mirrors]";
    world.edit("rebeam.toml", "[mirrors]", registry);
    depends(
        &world,
        "DEPS = mk_words mk_sub mk_copied mk_linked greeting\n\
         dep_mk_sub = git-subfolder https://git.example/mono 1.0.0 deps/mk_sub\n\
         dep_mk_copied = cp lib/mk_copied\n\
         dep_mk_linked = ln ../mk_linked\n\
         dep_greeting = hex 1.0.0 acme_greeting\n",
    );
    starts_with(&world, "App:name() || App <- [mk_sub, mk_copied, mk_linked, greeting]");
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    for line in [
        "subdir = \"deps/mk_sub\"",
        "path = \"lib/mk_copied\"",
        "path = \"../mk_linked\"",
        "package = \"acme_greeting\"",
    ] {
        assert!(lock.contains(line), "{line} is missing in:\n{lock}");
    }
    world.rebeam(&["lock", "--check"]).succeeds();
    let built = world.rebeam(&["build", "--locked"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
}

#[test]
fn traps_1_and_3_references_and_addresses_of_every_kind_are_read_from_a_makefile() {
    let Some(world) = project() else { return };
    let commit = world.git("mk_old", &["rev-parse", "HEAD"]);
    // No commit at all, a protocol that is dead, and an abbreviated commit behind a slash.
    world.edit("Makefile", "dep_mk_words_commit = 1.0.0\n", "");
    world.edit(
        "Makefile",
        "git https://git.example/mk_words.git nowhere",
        "git git://git.example/mk_words.git",
    );
    let short = format!("git https://git.example/mk_old/ {}", &commit[..8]);
    world.edit("Makefile", "git https://git.example/mk_old v0.1.0", &short);
    let ran = world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains("url = \"https://git.example/mk_words\""), "{lock}");
    assert!(lock.contains("url = \"https://git.example/mk_old\""), "{lock}");
    assert!(lock.contains(&commit), "{lock}");
    assert!(ran.stderr.contains("git://"), "a dead protocol is remarked on: {}", ran.stderr);

    // A branch that was renamed; a tag where a branch is meant.
    world.edit("Makefile", "git://git.example/mk_words.git", "https://git.example/mk_words master");
    let ran = world.rebeam(&["lock"]).succeeds();
    assert!(ran.stderr.contains("`master`"), "{}", ran.stderr);
    world.rebeam(&["lock", "--check"]).succeeds();
}

#[test]
fn traps_19_22_and_23_raw_dependencies_overlays_and_nifs_of_an_erlang_mk_project() {
    let Some(world) = project() else { return };
    let world = world.with_own_store();
    // No code at all: erlang.mk makes it a Makefile that does nothing.
    world.repository("mk_raw", "1.0.0", &[("etc/mk_raw.conf", "raw = yes\n")]);
    let native = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/git/adler");
    let read = |file: &str| fs::read_to_string(format!("{native}/{file}")).unwrap();
    let erl = read("src/adler.erl").replace("code:priv_dir(adler)", "code:priv_dir(mk_adler)");
    let nif = read("c_src/adler_nif.c");
    let makefile = "PROJECT = mk_adler\nPROJECT_VERSION = 1.0.0\n\
                    C_SRC_OUTPUT = $(CURDIR)/priv/adler_nif\ninclude erlang.mk\n";
    let files = [
        ("Makefile", makefile),
        ("src/adler.erl", &erl),
        ("c_src/adler_nif.c", &nif),
        ("etc/adler.conf", "sum = 32\n"),
    ];
    world.repository("mk_adler", "1.0.0", &files);
    depends(
        &world,
        "DEPS = mk_words mk_adler\n\
         dep_mk_raw = git https://git.example/mk_raw 1.0.0\n\
         dep_mk_adler = git https://git.example/mk_adler 1.0.0\n",
    );
    world.edit("Makefile", "BUILD_DEPS = mk_old", "BUILD_DEPS = mk_old mk_raw");
    starts_with(&world, "adler:sum(<<\"x\">>)");
    let overlay = "{overlay, [{mkdir, \"etc\"}, {copy, \"deps/mk_adler/etc/adler.conf\", \"etc/adler.conf\"},\n\
                   \x20          {copy, \"deps/mk_raw/etc/mk_raw.conf\", \"etc/raw.conf\"}]}.\n";
    let relx = world.read("relx.config");
    world.write("relx.config", &format!("{relx}{overlay}"));
    world.rebeam(&["lock"]).succeeds();
    let built = world.rebeam(&["build"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
    let table = world.rebeam(&["image", "size", "--files=100"]).succeeds();
    for file in ["etc/adler.conf", "etc/raw.conf", "priv/adler_nif.so"] {
        assert!(table.stdout.contains(file), "{file} is missing in:\n{}", table.stdout);
    }
}

#[test]
fn trap_13_the_rebar_that_erlang_mk_would_clone_is_locked_and_takes_a_dependency_over() {
    let Some(world) = project() else { return };
    let rebar = world.path("rebar");
    let Some(()) = REBAR.unpack(&rebar) else { return };
    let world = world.with_own_store();
    world.repository_of(&rebar, "rebar", "2.6.4");
    let commit = world.git("rebar", &["rev-parse", "HEAD"]);
    let about = "{application, mk_rebar, [{description, \"\"}, {vsn, \"1.0.0\"}, {registered, []}, \
                 {applications, [kernel, stdlib]}]}.\n";
    let files = [
        ("rebar.config", "{erl_opts, [{d, style, old}]}.\n"),
        ("src/mk_rebar.app.src", about),
        ("src/mk_rebar.erl", "-module(mk_rebar).\n-export([style/0]).\nstyle() -> ?style.\n"),
    ];
    world.repository("mk_rebar", "1.0.0", &files);
    let named = format!("REBAR_GIT = https://git.example/rebar\nREBAR_COMMIT = {commit}\n");
    let dep = "DEPS = mk_words mk_rebar\ndep_mk_rebar = git https://git.example/mk_rebar 1.0.0\n";
    depends(&world, &format!("{named}{dep}"));
    starts_with(&world, "mk_rebar:style()");
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains("app = \"rebar\"") && lock.contains(&commit), "{lock}");
    world.rebeam(&["lock", "--check"]).succeeds();
    let built = world.rebeam(&["build", "--locked"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
}

#[test]
fn makefiles_that_dependencies_bring_along_are_read_before_the_projects_own_is_understood() {
    let Some(world) = project() else { return };
    let world = world.with_own_store();
    let late = app("mk_late");
    let late: Vec<_> = late.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    world.repository("mk_late", "1.0.0", &late);
    let early = "DEPS += mk_late\ndep_mk_late = git https://git.example/mk_late 1.0.0\n";
    let plugins = [("early-plugins.mk", early), ("plugins.mk", "ERLC_OPTS += -DPLUGGED=plugged\n")];
    world.repository("mk_plug", "1.0.0", &plugins);
    world.edit(
        "Makefile",
        "BUILD_DEPS = mk_old",
        "BUILD_DEPS = mk_plug mk_old\n\
        dep_mk_plug = git https://git.example/mk_plug 1.0.0\n\
        DEP_EARLY_PLUGINS = mk_plug\nDEP_PLUGINS = mk_plug",
    );
    starts_with(&world, "mk_late:name(), ?PLUGGED");
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains("app = \"mk_plug\"") && lock.contains("app = \"mk_late\""), "{lock}");
    world.rebeam(&["lock", "--check"]).succeeds();
    let built = world.rebeam(&["build", "--locked"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
}

#[test]
fn a_submodule_of_the_project_is_a_dependency_that_lies_there_already() {
    let Some(world) = project() else { return };
    for (file, text) in app("mk_inside") {
        world.write(&format!("deps/mk_inside/{file}"), &text);
    }
    depends(&world, "DEPS = mk_words mk_inside\ndep_mk_inside = git-submodule\n");
    starts_with(&world, "mk_inside:name()");
    world.rebeam(&["lock"]).succeeds();
    assert!(world.read("rebeam.lock").contains("path = \"deps/mk_inside\""));
    world.rebeam(&["build"]).succeeds();
}

#[test]
fn what_a_dependencys_makefile_says_anew_makes_the_lock_stale() {
    let Some(world) = project() else { return };
    for (file, text) in app("mk_copied") {
        world.write(&format!("lib/mk_copied/{file}"), &text);
    }
    depends(&world, "DEPS = mk_words mk_copied\ndep_mk_copied = cp lib/mk_copied\n");
    world.rebeam(&["lock"]).succeeds();
    world.rebeam(&["lock", "--check"]).succeeds();
    world.edit(
        "lib/mk_copied/Makefile",
        "include",
        "DEPS = mk_words\n\
        dep_mk_words = git https://git.example/mk_words 1.0.0\ninclude",
    );
    let stale = world.rebeam(&["lock", "--check"]).fails(1, &[]);
    assert!(stale.stdout.contains("mk_words"), "{}", stale.stdout);
}

/// A dependency that says of itself whether autopatch has put a Makefile of its own in the place of this one.
fn telling(name: &str) -> [(String, String); 3] {
    [
        (
            "Makefile".into(),
            format!(
                "REBAR = rebar\nall:\n\tmkdir -p ebin\n\terlc -Dkept -o ebin src/{name}.erl\n\tcp src/{name}.app.src ebin/{name}.app\n"
            ),
        ),
        (
            format!("src/{name}.app.src"),
            format!(
                "{{application, {name}, [{{description, \"\"}}, {{vsn, \"1.0.0\"}}, {{modules, [{name}]}}, {{registered, []}}, {{applications, [kernel, stdlib]}}]}}.\n"
            ),
        ),
        (
            format!("src/{name}.erl"),
            format!(
                "-module({name}).\n-export([is/0]).\n-ifdef(kept).\nis() -> kept.\n-else.\nis() -> patched.\n-endif.\n"
            ),
        ),
    ]
}

/// An application that fetches these and says this of autopatch.
fn fetching(name: &str, deps: &[&str], word: &str) -> [(String, String); 3] {
    let [(_, makefile), module] = app(name);
    let from = |dep: &&str| format!("dep_{dep} = cp /build/lib/{dep}\n");
    let lines: String = deps.iter().map(from).collect();
    let more = format!("DEPS = {}\n{lines}{word}\ninclude erlang.mk", deps.join(" "));
    // It brings an erlang.mk along, and any that includes erlang.mk gets the project's.
    let own = ("erlang.mk".into(), "include ../../erlang.mk\n".into());
    [("Makefile".into(), makefile.replace("include erlang.mk", &more)), module, own]
}

#[test]
fn who_fetches_a_dependency_says_whether_it_is_patched_as_it_does_to_make_itself() {
    let Some(world) = project() else { return };
    let world = world.with_own_store();
    let own: Vec<String> = (1..=6).map(|number| format!("k{number}")).collect();
    let kept = own.iter().map(|name| (name.as_str(), telling(name).to_vec()));
    let fetching = [
        // It adds to what is handed down to it, and hands it down.
        ("adds", fetching("adds", &["k1", "k2", "deep"], "NO_AUTOPATCH += k1 k6").to_vec()),
        ("deep", fetching("deep", &["k6"], "").to_vec()),
        // What counts above does not count, and what another one fetched first is as that one wished.
        ("anew", fetching("anew", &["k3", "k4", "k2"], "NO_AUTOPATCH = k2 k3").to_vec()),
    ];
    for (name, files) in kept.chain(fetching) {
        for (file, text) in files {
            world.write(&format!("lib/{name}/{file}"), &text);
        }
    }
    let all = ["adds", "anew", "deep", "k1", "k2", "k3", "k4", "k5", "k6"];
    let sources: String =
        all.iter().map(|name| format!("[deps.{name}]\nsource = \"./lib/{name}\"\n")).collect();
    let manifest = world.read("rebeam.toml");
    world.write("rebeam.toml", &format!("{manifest}\n{sources}"));
    world.write(
        "Makefile",
        "PROJECT = mk_hello\nPROJECT_VERSION = 1.0.0\nDEPS = adds anew k5\ndep_adds = cp lib/adds\n\
         dep_anew = cp lib/anew\ndep_k5 = cp lib/k5\nNO_AUTOPATCH = k4 k5\nREL_DEPS = relx\ninclude erlang.mk\n",
    );
    world.rebeam(&["lock"]).succeeds();
    world.rebeam(&["lock", "--check"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert_eq!(lock.matches("autopatch = false").count(), 4, "{lock}");

    let list = "[{K, K:is()} || K <- [k1, k2, k3, k4, k5, k6]]";
    let ask = format!(
        "make -s deps >&2 && erl -noinput -boot no_dot_erlang -pa deps/*/ebin -eval 'io:format(\"~w\", [{list}]), halt().'"
    );
    let real = world.rebeam(&["shell", "--", "sh", "-c", &ask]).succeeds().stdout;
    assert_eq!(real, "[{k1,kept},{k2,patched},{k3,kept},{k4,patched},{k5,kept},{k6,kept}]");
    world.edit("src/mk_hello_app.erl", "-include_lib(\"mk_old/include/mk_old.hrl\").\n", "");
    world.edit(
        "src/mk_hello_app.erl",
        "io:format(\"~s ~p~n\", [mk_words:greeting(), ?OLD])",
        &format!("{real} = {list}"),
    );
    let built = world.rebeam(&["build", "--locked"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
}

#[test]
fn an_application_of_the_project_hands_its_own_word_down_and_ignores_what_the_top_ignores_as_make_does()
 {
    let Some(world) = project() else { return };
    let world = world.with_own_store();
    let kept = ["k1", "k2", "k3", "k4", "k5"].map(|name| (name, telling(name).to_vec()));
    let fetching = [
        ("below_a", fetching("below_a", &["k2", "k3"], "").to_vec()),
        ("below_top", fetching("below_top", &["k1", "k3", "k4", "nobody"], "").to_vec()),
        ("below_b", fetching("below_b", &["k5"], "").to_vec()),
    ];
    for (name, files) in kept.into_iter().chain(fetching) {
        for (file, text) in files {
            world.write(&format!("lib/{name}/{file}"), &text);
        }
    }
    let source = |number| format!("[deps.k{number}]\nsource = \"./lib/k{number}\"\n");
    let sources: String = (1..=5).map(source).collect();
    let manifest = world.read("rebeam.toml");
    world.write("rebeam.toml", &format!("{manifest}\n{sources}"));
    let app = |name: &str, lines: &str| {
        format!("PROJECT = {name}\nPROJECT_VERSION = 1.0.0\n{lines}include ../../erlang.mk\n")
    };
    // What it says counts for what it is the first to fetch, and for what that fetches; `k4` is fetched by the top's.
    let lines = "DEPS = below_a\nLOCAL_DEPS = b\ndep_below_a = cp ../../lib/below_a\nNO_AUTOPATCH += k2 k4 k5\n";
    world.write("apps/a/Makefile", &app("a", lines));
    // The other one is built by the first, which says so, and before what the first one fetches.
    let lines = "DEPS = below_b\ndep_below_b = cp ../../lib/below_b\nNO_AUTOPATCH = k3\n";
    world.write("apps/b/Makefile", &app("b", lines));
    for name in ["a", "b"] {
        world.write(&format!("apps/{name}/src/{name}.erl"), &format!("-module({name}).\n"));
    }
    world.write(
        "Makefile",
        "PROJECT = mk_hello\nPROJECT_VERSION = 1.0.0\nDEPS = below_top\ndep_below_top = cp lib/below_top\n\
         NO_AUTOPATCH = k1\nIGNORE_DEPS = nobody\nREL_DEPS = relx\ninclude erlang.mk\n",
    );
    world.rebeam(&["lock"]).succeeds();
    world.rebeam(&["lock", "--check"]).succeeds();
    let lock = world.read("rebeam.lock");
    let mut kept = Vec::new();
    for table in lock.split("[[source]]") {
        let name = table.split("app = \"").nth(1).and_then(|rest| rest.split('"').next());
        if let Some(name) = name.filter(|_| table.contains("autopatch = false")) {
            kept.push(name.to_owned());
        }
    }
    let ask = "make -s deps >&2 && erl -noinput -boot no_dot_erlang -pa deps/*/ebin -eval \
               'io:format(\"~w\", [[K || K <- [k1, k2, k3, k4, k5], K:is() =:= kept]]), halt().'";
    let real = world.rebeam(&["shell", "--", "sh", "-c", ask]).succeeds().stdout;
    assert_eq!(format!("[{}]", kept.join(",")), real);
    assert_eq!(real, "[k1,k2]");
}
