//! `rebeam build --platform`: images for machines that are not the one that builds.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::harness::World;

const FILES: [&str; 3] = ["hello-1.0.0-amd64.tar", "hello-1.0.0-arm64.tar", "hello-1.0.0-oci.tar"];

/// The machine that is not the one that builds, as images name it and as compilers do.
fn other() -> (&'static str, &'static str, u8) {
    match cfg!(target_arch = "aarch64") {
        true => ("amd64", "x86_64-linux-gnu", 62),
        false => ("arm64", "aarch64-linux-gnu", 183),
    }
}

/// Unpacks an image file, and returns its documents: the file's index, and the configuration.
fn unpacked(world: &World, file: &str) -> Value {
    let place = world.path(file);
    fs::create_dir_all(&place).unwrap();
    let mut tar = tar::Archive::new(fs::File::open(world.project().join(file)).unwrap());
    tar.unpack(&place).unwrap();
    json(&place.join("index.json"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Reads the document that a descriptor names.
fn blob(world: &World, file: &str, descriptor: &Value) -> Value {
    json(&world.path(file).join(blob_path(descriptor)))
}

fn blob_path(descriptor: &Value) -> String {
    format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"))
}

/// The digests of an image's layers without compression, from the bottom.
fn diff_ids(world: &World, file: &str) -> Vec<Value> {
    let index = unpacked(world, file);
    let manifest = blob(world, file, &index["manifests"][0]);
    blob(world, file, &manifest["config"])["rootfs"]["diff_ids"].as_array().unwrap().clone()
}

/// The machine for which the dependency's shared object in an image is made, as ELF numbers it.
fn machine_of_nif(world: &World, file: &str) -> u8 {
    let index = unpacked(world, file);
    let manifest = blob(world, file, &index["manifests"][0]);
    for layer in manifest["layers"].as_array().unwrap() {
        let bytes = fs::File::open(world.path(file).join(blob_path(layer))).unwrap();
        let mut tar = tar::Archive::new(flate2::read::MultiGzDecoder::new(bytes));
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.path().unwrap().ends_with("priv/adler_nif.so") {
                let mut head = [0; 20];
                std::io::Read::read_exact(&mut entry, &mut head).unwrap();
                return head[18];
            }
        }
    }
    panic!("{file} holds no NIF");
}

#[test]
fn one_build_makes_images_for_two_machines_and_an_index_the_same_bytes_each_time() {
    let one = World::with("hello").with_own_store();
    one.edit("rebeam.toml", "[image]", "[image]\nplatforms = [\"linux/arm64\", \"linux/amd64\"]");
    let ran = one.rebeam(&["build"]).succeeds();
    // Each was seen to start, one of them under an emulator.
    assert_eq!(ran.stderr.matches("Booted in").count(), 2, "{}", ran.stderr);
    let paths = FILES.map(|file| one.project().join(file).display().to_string());
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), paths);
    let (name, _, number) = other();
    assert_eq!(machine_of_nif(&one, &format!("hello-1.0.0-{name}.tar")), number);

    // The modules were compiled once: the project's own layer is one for both, and stands once in the layout.
    let [amd64, arm64] = [diff_ids(&one, FILES[0]), diff_ids(&one, FILES[1])];
    let (own, config) = (amd64.len() - 2, amd64.len() - 1);
    assert_eq!(amd64[own], arm64[own]);
    assert_ne!(amd64[config], arm64[config]);
    let tag = unpacked(&one, FILES[2]);
    let index = blob(&one, FILES[2], &tag["manifests"][0]);
    let platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    // The same comes out of rooms that vary, native code for the other machine and all.
    let verified = one.rebeam(&["verify", &format!("hello-1.0.0-{name}.tar")]).succeeds();
    assert!(verified.stdout.starts_with("GOOD sha256:"), "{}", verified.stdout);
    let crossed = format!("Compiled adler for {name}");
    assert!(verified.stderr.contains(&crossed), "{}", verified.stderr);
    skopeo_takes_all_of_it(&one);
    a_registry_gets_the_very_index(&one, tag["manifests"][0]["digest"].as_str().unwrap());

    // All of it goes to a machine without a network, and comes out the same.
    one.rebeam(&["bundle", "export", "all.bundle"]).succeeds();
    let two = World::with("hello").with_own_store();
    fs::copy(one.project().join("rebeam.toml"), two.project().join("rebeam.toml")).unwrap();
    fs::copy(one.project().join("rebeam.lock"), two.project().join("rebeam.lock")).unwrap();
    fs::rename(one.project().join("all.bundle"), two.path("all.bundle")).unwrap();
    two.rebeam(&["bundle", "import", two.path("all.bundle").to_str().unwrap()]).succeeds();
    two.rebeam(&["build", "--locked", "--offline"]).succeeds();
    for file in FILES {
        let [first, second] =
            [&one, &two].map(|world| fs::read(world.project().join(file)).unwrap());
        assert!(first == second, "{file} differs");
    }
}

/// skopeo finds every image of the layout, where it is at hand.
fn skopeo_takes_all_of_it(world: &World) {
    if Command::new("skopeo").arg("--version").output().is_err() {
        return;
    }
    let from = format!("oci-archive:{}:1.0.0", world.project().join(FILES[2]).display());
    let to = format!("oci:{}:1.0.0", world.path("copied").display());
    let mut skopeo = Command::new("skopeo");
    let copied = skopeo.args(["copy", "--all", &from, &to]).output().unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let blobs = fs::read_dir(world.path("copied/blobs/sha256")).unwrap().count();
    let ours = fs::read_dir(world.path(FILES[2]).join("blobs/sha256")).unwrap().count();
    assert_eq!(blobs, ours);
}

/// A real registry, until it is dropped.
struct Registry(std::process::Child);

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A tag in a registry means the index that the layout holds, where a registry is at hand.
fn a_registry_gets_the_very_index(world: &World, digest: &str) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (config, data) = (world.path("registry.yml"), world.path("registry"));
    let settings = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
        data.display()
    );
    fs::write(&config, settings).unwrap();
    let mut serve = Command::new("docker-registry");
    serve.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = serve.spawn() else { return };
    let _registry = Registry(child);
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let place = format!("localhost:{port}/hello");
    let ran = world.rebeam(&["build", "--push", &place]).succeeds();
    assert!(ran.stderr.contains(&format!("{place}:1.0.0@{digest}")), "{}", ran.stderr);
    let again = world.rebeam(&["push", &place, "--platform", "linux/arm64,linux/amd64"]).succeeds();
    assert!(again.stderr.contains("nothing to send"), "{}", again.stderr);
    // A document is of one machine's image: the own one, or the one that is named.
    for name in ["arm64", "amd64"] {
        let platform = format!("linux/{name}");
        let bill = world.rebeam(&["sbom", &format!("{place}:1.0.0"), "--platform", &platform]);
        assert!(bill.succeeds().stdout.contains(&format!("arch={name}")), "{name}");
    }
    let one = world.rebeam(&["push", &format!("{place}:arm"), "--platform", "linux/arm64"]);
    assert!(!one.succeeds().stdout.contains(digest), "one machine's image needs no index");
}

#[test]
fn the_image_for_ones_own_machine_is_the_same_whether_it_is_named_or_not() {
    let world = World::with("hello");
    let lock = world.read("rebeam.lock");
    world.rebeam(&["build"]).succeeds();
    let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    world.rebeam(&["build", "--platform", &format!("linux/{own}")]).succeeds();
    let read = |file: &str| fs::read(world.project().join(file)).unwrap();
    assert!(read("hello-1.0.0.tar") == read(&format!("hello-1.0.0-{own}.tar")));
    assert_eq!(world.read("rebeam.lock"), lock);
    assert!(!world.project().join(FILES[2]).exists());
}

#[test]
fn armhf_is_a_platform_whose_image_starts() {
    let world = World::with("hello");
    let ran = world.rebeam(&["build", "--platform", "linux/arm/v7"]).succeeds();
    // It may have been seen to start before, in this store.
    assert!(!ran.stderr.contains("was not seen to start"), "{}", ran.stderr);
    let arm = 40;
    assert_eq!(machine_of_nif(&world, "hello-1.0.0-armhf.tar"), arm);
    // The lock knows the machine now, so it is not asked for again.
    world.rebeam(&["build", "--locked", "--offline", "--platform", "linux/arm/v7"]).succeeds();
    world.rebeam(&["run", "--image", "hello-1.0.0-armhf.tar"]).fails(
        1,
        &["is an image for linux/arm, and this machine is linux/", "rebeam build --platform"],
    );
}

#[test]
fn a_mix_release_with_native_code_starts_on_another_machine() {
    let world = World::with("mix");
    world.rebeam(&["lock"]).succeeds();
    let (name, _, number) = other();
    let ran = world.rebeam(&["build", "--platform", &format!("linux/{name}")]).succeeds();
    assert!(!ran.stderr.contains("was not seen to start"), "{}", ran.stderr);
    assert_eq!(machine_of_nif(&world, &format!("shop-0.1.0-{name}.tar")), number);
}

#[test]
fn native_code_of_erlang_mk_is_compiled_for_another_machine() {
    let Some(world) = super::erlang_mk::project() else { return };
    let nif = "#include <erl_nif.h>\n\
        static ERL_NIF_TERM greeting(ErlNifEnv *env, int argc, const ERL_NIF_TERM argv[])\n\
        {\n    return enif_make_string(env, \"C says hello\", ERL_NIF_LATIN1);\n}\n\
        static ErlNifFunc functions[] = {{\"greeting\", 0, greeting}};\n\
        ERL_NIF_INIT(mk_words, functions, NULL, NULL, NULL, NULL)\n";
    let module = "-on_load(load/0).\n\
        load() -> erlang:load_nif(filename:join(code:priv_dir(mk_words), \"adler_nif\"), 0).\n\
        greeting() ->\n    erlang:nif_error(not_loaded).";
    let from = "greeting() ->\n    \"erlang.mk says hello\".";
    // Under the name that this file looks for.
    let makefile = "C_SRC_OUTPUT = $(CURDIR)/priv/adler_nif\ninclude erlang.mk";
    world.commit("mk_words", "Makefile", "include erlang.mk", makefile);
    let files = [("c_src/words.c", nif)];
    world.commit_with("mk_words", "src/mk_words.erl", (from, module), &files);
    world.edit("Makefile", "dep_mk_words_commit = 1.0.0", "dep_mk_words_commit = main");
    world.rebeam(&["lock"]).succeeds();
    let (name, _, number) = other();
    let ran = world.rebeam(&["build", "--platform", &format!("linux/{name}")]).succeeds();
    assert!(!ran.stderr.contains("was not seen to start"), "{}", ran.stderr);
    assert_eq!(machine_of_nif(&world, &format!("mk_hello-1.0.0-{name}.tar")), number);
}

#[test]
fn what_a_port_compiler_makes_is_made_for_another_machine() {
    let world = World::with("hello");
    let hooks = "{pre_hooks, [{\"(linux|darwin)\", compile, \"make -C c_src\"}]}.";
    let config = "{plugins, [{pc, {git, \"https://git.rebeam.test/pc.git\", {tag, \"1.15.0\"}}}]}.\n\
                  {port_specs, [{\"priv/adler_nif.so\", [\"c_src/*.c\"]}]}.\n\
                  {provider_hooks, [{post, [{compile, {pc, compile}}]}]}.";
    world.commit("adler", "rebar.config", hooks, config);
    world.rebeam(&["update", "adler"]).succeeds();
    let (name, _, number) = other();
    let ran = world.rebeam(&["build", "--platform", &format!("linux/{name}")]).succeeds();
    assert!(!ran.stderr.contains("was not seen to start"), "{}", ran.stderr);
    assert_eq!(machine_of_nif(&world, &format!("hello-1.0.0-{name}.tar")), number);
}

#[test]
fn native_code_that_no_cross_compiler_made_is_refused_with_a_list() {
    let world = World::with("hello");
    world.commit("adler", "c_src/Makefile", "$(CC)", "/usr/bin/gcc");
    world.rebeam(&["update", "adler"]).succeeds();
    let (name, ..) = other();
    world.rebeam(&["build", "--platform", &format!("linux/{name}")]).fails(
        1,
        &[
            &format!("native code of the release is not there for `{name}`"),
            "`adler`: `lib/adler-0.3.0/priv/adler_nif.so` was made for another machine all the same",
            "$CC and $CXX", "[deps.adler]",
        ],
    );
    assert!(!world.project().join(format!("hello-1.0.0-{name}.tar")).exists());
}

#[test]
fn what_links_to_a_library_of_debians_gets_the_other_machines() {
    let world = World::with("hello");
    let includes = "#include <erl_nif.h>\n#include <expat.h>\nconst void *used(void) { return XML_ExpatVersion(); }";
    world.commit("adler", "c_src/adler_nif.c", "#include <erl_nif.h>", includes);
    world.commit("adler", "c_src/Makefile", "-o $@ $<", "-o $@ $< -lexpat");
    // Many a build calls the compiler by its plain name.
    world.commit("adler", "c_src/Makefile", "$(CC)", "cc");
    world.rebeam(&["update", "adler"]).succeeds();
    world.rebeam(&["toolchain", "add", "libexpat1-dev"]).succeeds();
    let (name, triplet, _) = other();
    world.rebeam(&["build", "--platform", &format!("linux/{name}")]).succeeds();
    let sizes = world.rebeam(&["image", "size", "--files=99", &format!("hello-1.0.0-{name}.tar")]);
    let expected = format!("usr/lib/{triplet}/libexpat.so.1");
    assert!(sizes.stdout.contains(&expected), "{}", sizes.stdout);
}

#[test]
fn a_platform_that_is_not_known_or_not_locked_is_refused_with_the_way_out() {
    let world = World::with("hello");
    world
        .rebeam(&["build", "--platform", "linux/mips"])
        .fails(2, &["rebeam makes images for linux/amd64, linux/arm64, linux/arm/v7"]);
    let (name, ..) = other();
    let platform = format!("linux/{name}");
    world
        .rebeam(&["build", "--locked", "--platform", &platform])
        .fails(1, &[&format!("the lock names no packages for `{platform}`"), "platforms = ["]);
    world.edit("rebeam.toml", "[image]", &format!("[image]\nplatforms = [\"{platform}\"]"));
    world.rebeam(&["build", "--locked"]).fails(1, &["the lock is stale", &platform]);
}
