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
