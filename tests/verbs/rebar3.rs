//! What rebar3 projects are made of: umbrellas, checkouts, subdirectories, plugins, overrides. The boot check
//! runs the application's start, so what a release must hold is asked for there.

use super::harness::World;

/// The application `NAME`, whose start fails unless `check` is true.
fn app(name: &str, check: &str) -> [(String, String); 2] {
    let about = format!(
        "{{application, {name}, [{{vsn, \"1.0.0\"}}, {{applications, [kernel, stdlib]}}, {{mod, {{{name}_app, []}}}}]}}.\n"
    );
    let code = format!(
        "-module({name}_app).\n-behaviour(application).\n-behaviour(supervisor).\n-export([start/2, stop/1, init/1]).\n\
         start(_, _) -> true = {check}, supervisor:start_link(?MODULE, []).\n\
         stop(_) -> ok.\ninit([]) -> {{ok, {{#{{}}, []}}}}.\n"
    );
    [(format!("src/{name}.app.src"), about), (format!("src/{name}_app.erl"), code)]
}

/// A library of one module with one function.
fn library(name: &str, function: &str) -> [(String, String); 2] {
    let about =
        format!("{{application, {name}, [{{vsn, git}}, {{applications, [kernel, stdlib]}}]}}.\n");
    let (head, _) = function.split_once('(').unwrap();
    let code = format!("-module({name}).\n-export([{head}/0]).\n{function}\n");
    [(format!("src/{name}.app.src"), about), (format!("src/{name}.erl"), code)]
}

fn below(directory: &str, files: &[(String, String)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| (format!("{directory}/{name}"), text.clone())).collect()
}

fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

const MANIFEST: &str = "[project]\nname = \"shop\"\nversion = \"1.0.0\"\n\n[toolchain]\notp = \"25\"\n\n\
    [mirrors]\n\"https://git.rebeam.test/\" = \"../git/\"\n";

const RELX: &str =
    "{relx, [{release, {shop, \"1.0.0\"}, APPS}, {mode, prod}, {include_src, false}]}.\n";

/// A project with this configuration, whose release holds `apps`.
fn shop(config: &str, apps: &str, files: &[(String, String)]) -> World {
    let config = format!("{config}\n{}", RELX.replace("APPS", apps));
    let mut all = vec![("rebeam.toml", MANIFEST), ("rebar.config", config.as_str())];
    all.extend(borrowed(files));
    World::of(&all)
}

fn from_git(name: &str) -> String {
    format!("{{{name}, {{git, \"https://git.rebeam.test/{name}.git\", {{tag, \"1.0.0\"}}}}}}")
}

#[test]
fn an_umbrella_is_built_and_its_applications_see_each_other() {
    let mut files = below("apps/core", &library("core", "name() -> \"core\"."));
    files.extend(below(
        "apps/shop",
        &app("shop", "(core:name() =:= \"core\" andalso rate:rate() =:= 7)"),
    ));
    let own = format!("{{deps, [{}]}}.\n", from_git("rate"));
    files.push(("apps/core/rebar.config".into(), own));
    let world = shop("{erl_opts, []}.", "[core, shop, rate]", &files);
    world.repository("rate", "1.0.0", &borrowed(&library("rate", "rate() -> 7.")));
    world.rebeam(&["build"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains("app = \"rate\"") && !lock.contains("app = \"core\""), "{lock}");
}

#[test]
fn a_checkout_takes_the_place_of_what_is_asked_for() {
    let config = format!("{{deps, [{}]}}.", from_git("rate"));
    let mut files = app("shop", "(rate:rate() =:= 8)").to_vec();
    files.extend(below("_checkouts/rate", &library("rate", "rate() -> 8.")));
    let world = shop(&config, "[shop, rate]", &files);
    world.repository("rate", "1.0.0", &borrowed(&library("rate", "rate() -> 7.")));
    world.rebeam(&["build"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains("path = \"_checkouts/rate\""), "{lock}");
    std::fs::remove_dir_all(world.project().join("_checkouts")).unwrap();
    let ran = world.rebeam(&["lock", "--check"]).fails(1, &[]);
    assert!(ran.stdout.contains("dep `rate`"), "{}", ran.stdout);
}

#[test]
fn an_application_below_a_repository_is_a_source_of_its_own() {
    let config = "{deps, [{rate, {git_subdir, \"https://git.rebeam.test/mono.git\", {tag, \"1.0.0\"}, \"libs/rate\"}}]}.";
    let world = shop(config, "[shop, rate]", &app("shop", "(rate:rate() =:= 7)"));
    let mut mono = below("libs/rate", &library("rate", "rate() -> 7."));
    mono.push(("README".into(), "all of it\n".into()));
    world.repository("mono", "1.0.0", &borrowed(&mono));
    world.rebeam(&["build"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains("subdir = \"libs/rate\""), "{lock}");
}

#[test]
fn a_plugin_with_a_dependency_of_its_own_takes_part_in_the_build() {
    let config = format!(
        "{{plugins, [{}]}}.\n{{provider_hooks, [{{pre, [{{compile, {{default, scribe}}}}]}}]}}.",
        from_git("scribe")
    );
    let world = shop(&config, "[shop]", &app("shop", "(made:made() =:= 5)"));
    let plugin = "-module(scribe).\n-export([init/1, do/1, format_error/1]).\n\
        init(S) -> {ok, rebar_state:add_provider(S, providers:create([{name, scribe}, {module, ?MODULE}, {bare, true}, {deps, []}, {short_desc, \"\"}]))}.\n\
        do(S) ->\n  ok = file:write_file(\"src/made.erl\", scribe_text:text()),\n  {ok, S}.\n\
        format_error(R) -> io_lib:format(\"~p\", [R]).\n";
    let about = "{application, scribe, [{description, \"\"}, {vsn, \"1.0.0\"}, {applications, [kernel, stdlib, scribe_text]}]}.\n";
    let own = format!("{{deps, [{}]}}.\n", from_git("scribe_text"));
    let files =
        [("src/scribe.erl", plugin), ("src/scribe.app.src", about), ("rebar.config", own.as_str())];
    world.repository("scribe", "1.0.0", &files);
    let text = "text() -> \"-module(made).\\n-export([made/0]).\\nmade() -> 5.\\n\".";
    world.repository("scribe_text", "1.0.0", &borrowed(&library("scribe_text", text)));
    world.rebeam(&["build"]).succeeds();
    let lock = world.read("rebeam.lock");
    for plugin in ["scribe", "scribe_text"] {
        assert!(lock.contains(&format!("app = \"{plugin}\"\nrole = \"plugin\"")), "{lock}");
    }
}

#[test]
fn overrides_reach_the_dependency_that_they_name() {
    let config = format!(
        "{{deps, [{}]}}.\n{{overrides, [{{add, rate, [{{erl_opts, [{{d, 'RATE', 9}}]}}]}}, {{del, rate, [{{erl_opts, [warnings_as_errors]}}]}}]}}.",
        from_git("rate")
    );
    let world = shop(&config, "[shop, rate]", &app("shop", "(rate:rate() =:= 9)"));
    let mut rate = library("rate", "rate() -> ?RATE.\nunused() -> ok.").to_vec();
    rate.push(("rebar.config".into(), "{erl_opts, [warnings_as_errors]}.\n".into()));
    world.repository("rate", "1.0.0", &borrowed(&rate));
    world.rebeam(&["build"]).succeeds();
}

#[test]
fn a_version_that_asks_git_is_that_of_the_tag() {
    let config = format!("{{deps, [{}]}}.", from_git("rate"));
    let check = "(begin _ = application:load(rate), application:get_key(rate, vsn) end =:= {ok, \"1.0.0\"})";
    let world = shop(&config, "[shop, rate]", &app("shop", check));
    world.repository("rate", "1.0.0", &borrowed(&library("rate", "rate() -> 7.")));
    world.rebeam(&["build"]).succeeds();
}

#[test]
fn what_only_a_profile_asks_for_is_locked_and_built() {
    let config = format!(
        "{{profiles, [{{prod, [{{deps, [{}]}}]}}, {{test, [{{deps, [{}]}}]}}]}}.",
        from_git("rate"),
        from_git("nowhere")
    );
    let world = shop(&config, "[shop, rate]", &app("shop", "(rate:rate() =:= 7)"));
    world.repository("rate", "1.0.0", &borrowed(&library("rate", "rate() -> 7.")));
    world.rebeam(&["build"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains("profiles = [\"prod\"]") && !lock.contains("nowhere"), "{lock}");
}

#[test]
fn a_script_that_tells_rebar2_and_rebar3_apart_sees_rebar3() {
    let config = format!("{{deps, [{}]}}.", from_git("rate"));
    let world = shop(&config, "[shop, rate]", &app("shop", "(rate:rate() =:= 3)"));
    let mut rate = library("rate", "rate() -> ?RATE.").to_vec();
    // As real projects do it: by what is loaded, and by an environment that only rebar2 sets.
    let script = "Found = case {code:is_loaded(rebar3), os:getenv(\"REBAR_DEPS_DIR\")} of\n\
        \x20 {{file, _}, false} -> 3;\n\
        \x20 _ -> 2\n\
        end,\n\
        [{erl_opts, [{d, 'RATE', Found}]} | CONFIG].\n";
    rate.push(("rebar.config.script".into(), script.into()));
    world.repository("rate", "1.0.0", &borrowed(&rate));
    world.rebeam(&["build"]).succeeds();
}

#[test]
fn a_script_sees_the_variables_of_the_build_when_it_is_locked() {
    let world = shop("{erl_opts, []}.", "[shop]", &app("shop", "true"));
    world.repository("rate", "1.0.0", &borrowed(&library("rate", "rate() -> 7.")));
    let mut tax = library("tax", "tax() -> 1.").to_vec();
    // Each asks for the next one where a variable says so.
    let script = |variable: &str, dep: &str| {
        format!(
            "case os:getenv(\"{variable}\") of false -> CONFIG; _ -> [{{deps, [{dep}]}} | CONFIG] end.\n"
        )
    };
    tax.push(("rebar.config.script".into(), script("RATED", &from_git("rate"))));
    world.repository("tax", "1.0.0", &borrowed(&tax));
    world.write("rebar.config.script", &script("TAXED", &from_git("tax")));
    world.rebeam(&["lock"]).succeeds();
    assert!(!world.read("rebeam.lock").contains("[[source]]"));

    let manifest = world.read("rebeam.toml");
    world.write("rebeam.toml", &format!("{manifest}\n[build]\nenv = {{ TAXED = \"yes\" }}\n"));
    let stale = world.rebeam(&["lock", "--check"]).fails(1, &[]);
    assert!(stale.stdout.contains("tax"), "{}", stale.stdout);
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    assert!(lock.contains("app = \"tax\"") && !lock.contains("app = \"rate\""), "{lock}");

    let manifest = world.read("rebeam.toml");
    world.write("rebeam.toml", &format!("{manifest}\n[deps.tax]\nenv = {{ RATED = \"yes\" }}\n"));
    world.rebeam(&["lock"]).succeeds();
    assert!(world.read("rebeam.lock").contains("app = \"rate\""));
}

#[test]
fn an_application_of_an_umbrella_whose_configuration_is_code_is_asked_as_the_others() {
    let mut files = below("apps/core", &library("core", "name() -> \"core\"."));
    let script = format!("[{{deps, [{}]}} | CONFIG].\n", from_git("rate"));
    files.push(("apps/core/rebar.config.script".into(), script));
    files.extend(below("apps/shop", &app("shop", "(rate:rate() =:= 7)")));
    let world = shop("{erl_opts, []}.", "[core, shop, rate]", &files);
    world.repository("rate", "1.0.0", &borrowed(&library("rate", "rate() -> 7.")));
    world.rebeam(&["build"]).succeeds();
    assert!(world.read("rebeam.lock").contains("app = \"rate\""));
}

#[test]
fn an_overlay_copies_what_a_dependency_brings_along() {
    let overlay = "[{release, {shop, \"1.0.0\"}, APPS}, {overlay, [{mkdir, \"etc\"}, \
        {copy, \"_build/default/lib/rate/priv/rate.conf\", \"etc/rate.conf\"}]},";
    let config = format!(
        "{{deps, [{}]}}.\n{}",
        from_git("rate"),
        RELX.replace("[{release, {shop, \"1.0.0\"}, APPS},", overlay)
            .replace("APPS", "[shop, rate]")
    );
    let check = "filelib:is_regular(filename:join(code:root_dir(), \"etc/rate.conf\"))";
    let mut all = vec![("rebeam.toml", MANIFEST), ("rebar.config", config.as_str())];
    let files = app("shop", check);
    all.extend(borrowed(&files));
    let world = World::of(&all);
    let mut rate = library("rate", "rate() -> 7.").to_vec();
    rate.push(("priv/rate.conf".into(), "rate = 7\n".into()));
    world.repository("rate", "1.0.0", &borrowed(&rate));
    world.rebeam(&["build"]).succeeds();
}
