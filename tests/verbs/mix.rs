//! mix projects through the whole command: Elixir from the toolchain, sources from git and from a registry that
//! the test signs.

use std::fs;
use std::path::Path;

use rebeam::digest::Digest;

use super::harness::{Ran, World};
use super::hex::{PUBLIC_KEY, field, gzip, packed, signed, tar};

/// A version of a package: package and requirement of what it needs.
struct Version<'a> {
    number: &'a str,
    needs: &'a [(&'a str, &'a str)],
}

/// The registry of a test: `acme`, in a directory beside the project.
struct Registry<'a>(&'a World);

impl Registry<'_> {
    /// Publishes an Elixir package whose module says its own version, and returns the checksums of each.
    fn publish(&self, name: &str, versions: &[Version<'_>]) -> Vec<(Digest, Digest)> {
        let place = self.0.path("hex");
        for directory in ["packages", "tarballs"] {
            fs::create_dir_all(place.join(directory)).unwrap();
        }
        let mut releases = Vec::new();
        let mut sums = Vec::new();
        for version in versions {
            let (inner, tarball) = package(name, version);
            let outer = Digest::of(&tarball);
            let file = format!("tarballs/{name}-{}.tar", version.number);
            fs::write(place.join(file), tarball).unwrap();
            let need = |(package, requirement): &(&str, &str)| {
                field(3, [field(1, package), field(2, requirement)].concat())
            };
            let release = [
                field(1, version.number),
                field(2, inner.as_bytes()),
                version.needs.iter().flat_map(need).collect(),
                field(5, outer.as_bytes()),
            ];
            releases.push(field(1, release.concat()));
            sums.push((inner, outer));
        }
        let document = [releases.concat(), field(2, name), field(3, "acme")].concat();
        fs::write(place.join("packages").join(name), signed(&document)).unwrap();
        sums
    }
}

fn package(name: &str, version: &Version<'_>) -> (Digest, Vec<u8>) {
    let Version { number, needs } = version;
    let module = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    let need = |(package, requirement): &(&str, &str)| format!("{{:{package}, \"{requirement}\"}}");
    let deps: Vec<String> = needs.iter().map(need).collect();
    let project = format!(
        "defmodule {module}.MixProject do\n  use Mix.Project\n  def project, do: [app: :{name}, version: \"{number}\", deps: [{}]]\n  def application, do: []\nend\n",
        deps.join(", ")
    );
    let source = format!("defmodule {module} do\n  def version, do: \"{name} {number}\"\nend\n");
    let contents = gzip(&tar(&[
        ("mix.exs".into(), project.into_bytes()),
        (format!("lib/{name}.ex"), source.into_bytes()),
    ]));
    packed(format!("{{<<\"name\">>,<<\"{name}\">>}}.\n").into_bytes(), contents)
}

#[test]
fn a_mix_exs_sees_the_variables_of_the_build_when_it_is_locked() {
    let world = World::with("mix");
    world.edit(
        "mix.exs",
        "      deps: deps()",
        "      deps: if(System.get_env(\"SOLD\"), do: deps(), else: [])",
    );
    world.rebeam(&["lock"]).succeeds();
    assert!(!world.read("rebeam.lock").contains("app = \"scales\""));
    let manifest = world.read("rebeam.toml");
    let has_table = manifest.contains("[build]\n");
    let table = "[build]\nenv = { SOLD = \"yes\" }\n";
    match has_table {
        true => world.edit("rebeam.toml", "[build]\n", table),
        false => world.write("rebeam.toml", &format!("{manifest}\n{table}")),
    }
    world.rebeam(&["lock", "--check"]).fails(1, &[]);
    world.rebeam(&["lock"]).succeeds();
    assert!(world.read("rebeam.lock").contains("app = \"scales\""));
}

/// The project `shop` with more dependencies, and the registry `acme`.
fn shop(deps: &str) -> World {
    let world = World::with("mix");
    world.write("keys/acme.pem", PUBLIC_KEY);
    world.edit(
        "rebeam.toml",
        "[mirrors]",
        "[hex.acme]\nurl = \"../hex\"\npublic-key = \"keys/acme.pem\"\n\n[mirrors]",
    );
    world.edit("mix.exs", "{:pebble,", &format!("{deps},\n      {{:pebble,"));
    world
}

/// The packages `web` and `cart` over three versions of `plug`.
fn market(world: &World) -> Vec<(Digest, Digest)> {
    let registry = Registry(world);
    let version = |number, needs| Version { number, needs };
    registry.publish(
        "web",
        &[version("1.0.0", &[("plug", "~> 1.0")]), version("1.1.0", &[("plug", "~> 2.0")])],
    );
    registry.publish("cart", &[version("1.0.0", &[("plug", "~> 1.0")])]);
    registry.publish("plug", &[version("1.0.0", &[]), version("1.4.0", &[]), version("2.0.0", &[])])
}

/// The locked version of a package.
fn locked(world: &World, app: &str) -> Option<String> {
    let lock = world.read("rebeam.lock");
    let table =
        lock.split("[[source]]").find(|table| table.contains(&format!("app = \"{app}\"\n")))?;
    let line = table.lines().find_map(|line| line.strip_prefix("version = "))?;
    Some(line.trim_matches('"').to_owned())
}

fn image(world: &World, name: &str) -> Vec<u8> {
    fs::read(world.project().join(name)).unwrap()
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is missing in:\n{}", ran.stderr);
    }
}

#[test]
fn a_mix_release_starts_with_the_same_bytes_wherever_it_is_built() {
    let [one, other] = [World::with("mix"), World::with("mix").with_own_store()];
    for world in [&one, &other] {
        // It is written only after it was seen to start, and `Shop.Application` starts only if all is as mix does it.
        world.rebeam(&["build"]).succeeds();
    }
    assert!(image(&one, "shop-0.1.0.tar") == image(&other, "shop-0.1.0.tar"), "the images differ");
    let files = one.rebeam(&["image", "inspect", "--files", "shop-0.1.0.tar"]);
    if files.code == 0 {
        assert!(!files.stdout.contains("COOKIE"), "{}", files.stdout);
    }
    // credo is only asked for in development, ex_doc and decimal only by scales' own.
    for absent in ["credo", "ex_doc", "decimal", "app = \"pebble\""] {
        assert!(!one.read("rebeam.lock").contains(absent), "{absent} is locked");
    }
    one.rebeam(&["build", "--locked", "--offline"]).succeeds();
}

#[test]
fn an_application_that_fails_while_it_starts_is_seen_by_the_boot_check() {
    let world = World::with("mix");
    world.edit("lib/shop.ex", "7 = Scales", "8 = Scales");
    world
        .rebeam(&["build"])
        .fails(1, &["the release does not start", "no match of right hand side"]);
}

#[test]
fn a_new_manifest_for_a_mix_project_locks_and_builds() {
    let world = World::with("mix");
    let mirrors = world.read("rebeam.toml");
    let mirrors = mirrors.split_once("[mirrors]").unwrap().1.to_owned();
    fs::remove_file(world.project().join("rebeam.toml")).unwrap();
    let written = world.rebeam(&["init"]).succeeds();
    says(&written, &["`mix.exs`"]);
    let text = world.read("rebeam.toml");
    assert!(
        text.contains("name = \"shop\"\nversion = \"0.1.0\"") && text.contains("tool = \"mix\""),
        "{text}"
    );
    // The test stays with the toolchain of the others.
    let text = text.replace("otp = \"27\"", "otp = \"25\"");
    world.write("rebeam.toml", &format!("{text}\n[mirrors]{mirrors}"));
    world.rebeam(&["build"]).succeeds();
}

#[test]
fn an_umbrella_is_built_with_what_its_applications_ask_for() {
    let world = World::with("umbrella");
    let built = world.rebeam(&["build"]).succeeds();
    says(&built, &["mall 0.1.0"]);
    let other = World::with("umbrella").with_own_store();
    other.rebeam(&["build", "--jobs", "1"]).succeeds();
    assert!(
        image(&world, "mall-0.1.0.tar") == image(&other, "mall-0.1.0.tar"),
        "the images differ"
    );
    assert!(world.read("rebeam.lock").contains("app = \"words\""));
}

#[test]
fn packages_are_locked_at_versions_that_are_right_for_all_and_built_without_the_registry() {
    let world = shop("{:web, \"~> 1.0\"}, {:cart, \"~> 1.0\"}");
    market(&world);
    world.edit(
        "lib/shop.ex",
        "#{greeting()}:",
        "#{greeting()}: #{Web.version()} #{Plug.version()}",
    );
    world.rebeam(&["lock"]).succeeds();
    assert_eq!(locked(&world, "plug").as_deref(), Some("1.4.0"));
    assert_eq!(locked(&world, "web").as_deref(), Some("1.0.0"));
    let before = world.read("rebeam.lock");
    fs::remove_dir_all(world.path("hex")).unwrap();
    // A lock that stays as it is asks no registry, and neither does the build.
    world.rebeam(&["lock", "--offline"]);
    assert_eq!(world.read("rebeam.lock"), before);
    world.rebeam(&["build", "--offline", "--locked"]).succeeds();
}

#[test]
fn versions_that_contradict_each_other_are_told_with_both_chains() {
    let world = shop("{:web, \"~> 1.1\"}, {:cart, \"~> 1.0\"}");
    market(&world);
    let says = [
        "no version of `plug` is right for all",
        "`~> 2.0` by shop → web",
        "`~> 1.0` by shop → cart",
        "override: true",
    ];
    world.rebeam(&["lock"]).fails(1, &says);
    world.edit(
        "mix.exs",
        "{:cart, \"~> 1.0\"}",
        "{:cart, \"~> 1.0\"}, {:plug, \"~> 2.0\", override: true}",
    );
    world.rebeam(&["lock"]).succeeds();
    assert_eq!(locked(&world, "plug").as_deref(), Some("2.0.0"));
}

#[test]
fn trap_07_a_mix_lock_is_imported_in_its_old_and_new_shapes() {
    let world = shop("{:web, \"~> 1.0\"}");
    let sums = market(&world);
    let (inner, outer) = (sums[0].0.hex(), sums[0].1.hex());
    let old = format!(
        "%{{\"plug\": {{:hex, :plug, \"1.0.0\", \"{inner}\", [:mix], []}},\n  \"web\": {{:hex, :web, \"1.0.0\"}}}}\n"
    );
    let new = format!(
        "%{{\n  \"plug\" => {{:hex, :plug, \"1.0.0\", \"{inner}\", [:mix], [], \"acme\", \"{outer}\"}},\n  \"web\" => {{:hex, :web, \"1.0.0\"}},\n}}\n"
    );
    for text in [&old, &new] {
        world.write("mix.lock", text);
        drop(fs::remove_file(world.project().join("rebeam.lock")));
        world.rebeam(&["lock"]).succeeds();
        assert_eq!(locked(&world, "plug").as_deref(), Some("1.0.0"), "{text}");
    }
    for (sum, says) in
        [(&inner, "is not what mix.lock says"), (&outer, "`plug` is not what the lock says")]
    {
        world.write("mix.lock", &new.replace(sum.as_str(), &Digest::of(b"another").hex()));
        fs::remove_file(world.project().join("rebeam.lock")).unwrap();
        world.rebeam(&["lock"]).fails(3, &[says]);
        world.write("mix.lock", &new);
        world.rebeam(&["lock"]).succeeds();
    }
}

#[test]
fn a_mix_lock_that_changed_makes_the_lock_stale() {
    let world = shop("{:web, \"~> 1.0\"}");
    market(&world);
    let entries = |plug: &str| {
        format!("%{{\"plug\": {{:hex, :plug, \"{plug}\"}}, \"web\": {{:hex, :web, \"1.0.0\"}}}}\n")
    };
    world.write("mix.lock", &entries("1.0.0"));
    world.rebeam(&["lock"]).succeeds();
    world.rebeam(&["lock", "--check"]).succeeds();
    world.write("mix.lock", &entries("1.4.0"));
    // Whether what the registry said is still at hand or not.
    for _ in 0..2 {
        let stale = world.rebeam(&["lock", "--check"]).fails(1, &[]);
        assert!(
            stale.stdout.contains("plug") && stale.stdout.contains("1.4.0"),
            "{}",
            stale.stdout
        );
        world.rebeam(&["build", "--locked"]).fails(1, &["the lock is stale", "1.4.0"]);
        drop(fs::rename(world.path("hex"), world.path("hex-away")));
    }
    fs::rename(world.path("hex-away"), world.path("hex")).unwrap();
    world.rebeam(&["lock"]).succeeds();
    assert_eq!(locked(&world, "plug").as_deref(), Some("1.4.0"));
    world.rebeam(&["lock", "--check"]).succeeds();
}

#[test]
fn an_update_says_what_stays_where_mix_lock_has_it_and_moves_what_that_does_not_name() {
    let world = shop("{:web, \"~> 1.0\"}");
    market(&world);
    let web = "\"web\": {:hex, :web, \"1.0.0\"}";
    world.write("mix.lock", &format!("%{{{web}, \"plug\": {{:hex, :plug, \"1.0.0\"}}}}\n"));
    world.rebeam(&["lock"]).succeeds();
    let said = world.rebeam(&["update", "plug"]).succeeds();
    assert_eq!(locked(&world, "plug").as_deref(), Some("1.0.0"));
    says(&said, &["`plug` stays where `mix.lock` says: that counts first; `mix deps.update plug`"]);
    world.write("mix.lock", &format!("%{{{web}}}\n"));
    let said = world.rebeam(&["update", "plug"]).succeeds();
    assert_eq!(locked(&world, "plug").as_deref(), Some("1.4.0"));
    assert!(!said.stderr.contains("stays"), "{}", said.stderr);
}

#[test]
fn two_repositories_for_one_application_are_told_and_chosen_between() {
    let world = World::with("mix");
    let moved = world.commit_with(
        "scales",
        "mix.exs",
        (
            "{:ex_doc,",
            "{:words, git: \"https://git.rebeam.test/words.git\", tag: \"v0.2.0\"}, {:ex_doc,",
        ),
        &[],
    );
    world.edit("mix.exs", "tag: \"1.0.0\"", &format!("ref: \"{moved}\""));
    world.edit("libs/pebble/mix.exs", "tag: \"1.0.0\"", &format!("ref: \"{moved}\""));
    world.rebeam(&["lock"]).succeeds();
    assert!(world.read("rebeam.lock").contains("lost = ["), "{}", world.read("rebeam.lock"));
    world.edit("mix.exs", ", override: true", "");
    world.rebeam(&["lock"]).fails(
        1,
        &[
            "`words` is asked for in two ways",
            "branch main` by shop",
            "tag v0.2.0` by shop → scales",
            "override: true",
        ],
    );
}

#[test]
fn trap_11_a_mix_exs_is_evaluated_and_its_failure_is_shown() {
    let world = World::with("mix");
    world.edit(
        "mix.exs",
        "defp deps do\n",
        "defp deps do\n    File.exists?(\"deps.off\") || Mix.raise(\"no deps today\")\n",
    );
    world.rebeam(&["lock"]).fails(1, &["shop's mix.exs", "no deps today"]);
    world.write("deps.off", "");
    world.rebeam(&["lock"]).succeeds();
    assert!(Path::new(&world.project().join("rebeam.lock")).exists());
}

#[test]
fn a_mix_release_starts_with_the_environment_and_arguments_that_the_project_writes() {
    let world = World::with("mix");
    let env = "#!/bin/sh\nexport GREETING=\"hello by <%= @release.name %> $RELEASE_COMMAND\"\n";
    world.write("rel/env.sh.eex", env);
    world.write("rel/vm.args.eex", "+P 131072\n-env FROM_ARGS <%= @release.version %>\n");
    world.edit(
        "lib/shop.ex",
        "\"hello at run time\" = Shop.greeting()",
        "\"hello by shop start\" = Shop.greeting()\n    \
         131072 = :erlang.system_info(:process_limit)\n    \
         \"0.1.0\" = System.get_env(\"FROM_ARGS\")\n    false = Node.alive?()",
    );
    world.rebeam(&["build"]).succeeds();

    // It may name the node, as mix lets it.
    let node = "export RELEASE_DISTRIBUTION=name RELEASE_NODE=shop@127.0.0.1 RELEASE_COOKIE=oats\n";
    world.write("rel/env.sh.eex", &format!("{env}{node}"));
    world.edit(
        "lib/shop.ex",
        "false = Node.alive?()",
        "{:\"shop@127.0.0.1\", :oats} = {Node.self(), Node.get_cookie()}",
    );
    world.rebeam(&["build"]).succeeds();

    let manifest = world.read("rebeam.toml");
    world.write("rebeam.toml", &format!("{manifest}\n[image]\nshell = \"none\"\n"));
    world.rebeam(&["build"]).fails(1, &["env.sh", "rel/env.sh.eex", "shell = \"busybox\""]);
}

#[test]
fn dependencies_of_every_kind_are_built_inside_a_mix_project() {
    let world = shop(
        "{:crates, git: \"https://git.rebeam.test/crates.git\", tag: \"1.0.0\"},\n      \
         {:made, git: \"https://git.rebeam.test/made.git\", tag: \"1.0.0\"},\n      \
         {:ported, git: \"https://git.rebeam.test/ported.git\", tag: \"1.0.0\"},\n      \
         {:nifty, git: \"https://git.rebeam.test/nifty.git\", tag: \"1.0.0\"},\n      \
         {:tape, \"~> 1.0\", organization: \"acme\"}",
    );
    world.edit("rebeam.toml", "[hex.acme]", "[hex.\"hexpm:acme\"]");
    Registry(&world).publish("tape", &[Version { number: "1.0.0", needs: &[] }]);
    let mix = |app: &str, more: &str| {
        format!(
            "defmodule {app}.MixProject do\n  use Mix.Project\n  def project, do: [app: :{}, version: \"1.0.0\", {more}]\n  def application, do: []\nend\n",
            app.to_lowercase()
        )
    };
    // A path in a dependency's own words is one of its repository.
    let crates = mix("Crates", "deps: [{:lid, path: \"libs/lid\"}]");
    let lid = mix("Lid", "deps: []");
    let files = [
        ("mix.exs", crates.as_str()),
        ("lib/crates.ex", "defmodule Crates do\n  def lid, do: Lid.name()\nend\n"),
        ("libs/lid/mix.exs", &lid),
        ("libs/lid/lib/lid.ex", "defmodule Lid do\n  def name, do: :lid\nend\n"),
    ];
    world.repository("crates", "1.0.0", &files);
    // A Makefile and nothing else.
    let makefile = "all:\n\tmkdir -p ebin\n\techo '-module(made). -export([name/0]). name() -> made.' > made.erl\n\
                    \terlc -o ebin made.erl\n\techo '{application,made,[{description,\"\"},{vsn,\"1.0.0\"},{modules,[made]},{registered,[]},{applications,[kernel,stdlib]}]}.' > ebin/made.app\n";
    world.repository("made", "1.0.0", &[("Makefile", makefile)]);
    // rebar3's, with a plugin that compiles C.
    let native = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/git/adler");
    let read = |file: &str| fs::read_to_string(format!("{native}/{file}")).unwrap();
    let nif = read("c_src/adler_nif.c").replace("ERL_NIF_INIT(adler,", "ERL_NIF_INIT(ported,");
    let module = read("src/adler.erl")
        .replace("-module(adler)", "-module(ported)")
        .replace("priv_dir(adler), \"adler_nif\"", "priv_dir(ported), \"ported_nif\"");
    let app = read("src/adler.app.src").replace("{application, adler", "{application, ported");
    let config = "{plugins, [{pc, {git, \"https://git.rebeam.test/pc.git\", {tag, \"1.15.0\"}}}]}.\n\
                  {port_specs, [{\"priv/ported_nif.so\", [\"c_src/*.c\"]}]}.\n\
                  {provider_hooks, [{post, [{compile, {pc, compile}}]}]}.\n";
    let files = [
        ("rebar.config", config),
        ("c_src/nif.c", &nif),
        ("src/ported.erl", &module),
        ("src/ported.app.src", &app),
    ];
    world.repository("ported", "1.0.0", &files);
    // A compiler of mix's that is a dependency itself, and what it makes.
    let compiler = "defmodule Mix.Tasks.Compile.ElixirMake do\n  use Mix.Task.Compiler\n  def run(_) do\n    \
                    {_, 0} = System.cmd(\"make\", [], env: [{\"MIX_APP_PATH\", Mix.Project.app_path()}])\n    \
                    Mix.Project.build_structure()\n    {:ok, []}\n  end\nend\n";
    let make = mix("Elixir_make", "deps: []").replace("Elixir_make.Mix", "ElixirMake.Mix");
    world.repository("elixir_make", "1.0.0", &[("mix.exs", &make), ("lib/make.ex", compiler)]);
    let nifty = mix(
        "Nifty",
        "compilers: [:elixir_make] ++ Mix.compilers(), deps: [{:elixir_make, git: \"https://git.rebeam.test/elixir_make.git\", tag: \"1.0.0\", runtime: false}]",
    );
    let files = [
        ("mix.exs", nifty.as_str()),
        (
            "Makefile",
            "all:\n\tmkdir -p $(MIX_APP_PATH)/priv\n\techo made > $(MIX_APP_PATH)/priv/made.txt\n",
        ),
        (
            "lib/nifty.ex",
            "defmodule Nifty do\n  def made, do: File.read!(Path.join(:code.priv_dir(:nifty), \"made.txt\"))\nend\n",
        ),
    ];
    world.repository("nifty", "1.0.0", &files);
    world.edit(
        "lib/shop.ex",
        "\"stone\" = Scales.unit()",
        "\"stone\" = Scales.unit()\n    {:lid, :made, \"made\\n\", \"tape 1.0.0\"} = {Crates.lid(), :made.name(), Nifty.made(), Tape.version()}\n    \
         true = :ported.sum(\"rebeam\") == :adler.sum(\"rebeam\")",
    );
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    for words in
        ["subdir = \"libs/lid\"", "repository = \"hexpm:acme\"", "app = \"pc\"", "tool = \"make\""]
    {
        assert!(lock.contains(words), "{words} is missing in:\n{lock}");
    }
    world.rebeam(&["lock", "--check"]).succeeds();
    world.rebeam(&["build", "--locked"]).succeeds();
}
