//! Tests of the whole room: with packages made here, and, when asked, with Debian's own.

use std::path::Path;

use super::unpack::place;
use super::{Toolchain, ToolchainError, preset, read_preset, toolchain, unpack, write_preset};
use crate::digest::Digest;
use crate::disk;
use crate::event::{Event, Observer, Silent};
use crate::explain::Explain as _;
use crate::fetch::debian::fixture::{self, Part};
use crate::fetch::debian::{Architecture, Expiry, PRIMARY, resolve};
use crate::http::{Http, Mirrors, Network};
use crate::lock::{Deb, ToolchainLock};
use crate::store::Store;
use crate::tree::RelPath;

/// A pool in a directory, a store, and a lock of what is in the pool.
struct World {
    home: tempfile::TempDir,
    lock: ToolchainLock,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        disk::create_dir(&home.path().join("pool")).unwrap();
        let lock = ToolchainLock {
            otp: "25".into(),
            wished: vec![],
            suite: "bookworm".into(),
            debs: vec![],
        };
        Self { home, lock }
    }

    fn with(mut self, package: &str, parts: &[Part<'_>]) -> Self {
        let bytes = fixture::deb(parts);
        let path = format!("pool/{package}.deb");
        disk::write_atomic(&self.home.path().join(&path), &bytes).unwrap();
        self.lock.debs.push(Deb {
            package: package.into(),
            version: "1.0-1".into(),
            architecture: "amd64".into(),
            sha256: Digest::of(&bytes),
            size: bytes.len() as u64,
            path,
            suite: "bookworm".into(),
        });
        self.lock.debs.sort();
        self
    }

    fn store(&self) -> Store {
        Store::open(&self.home.path().join("store")).unwrap()
    }

    fn http(&self) -> Http {
        let rule = (PRIMARY.to_owned(), self.home.path().display().to_string());
        Http::new(Network::Open, Mirrors::new([rule].into()))
    }

    fn toolchain(&self) -> Result<Toolchain, ToolchainError> {
        toolchain(&self.lock, &self.store(), &self.http(), &Silent)
    }
}

/// A system from before and one from after `usr` was merged, with a bit of what the fix-ups look for.
fn small() -> World {
    World::new()
        .with(
            "base-files",
            &[
                Part::Directory("./bin/"),
                Part::Directory("./etc/"),
                Part::File("./etc/passwd", 0o644, b"theirs"),
                Part::File("./lib64/ld.so", 0o755, b"ld"),
                Part::Directory("./usr/share/doc/base-files/"),
                Part::File("./usr/share/doc/base-files/copyright", 0o644, b"text"),
                Part::Second(
                    "./usr/share/man/again",
                    "./usr/share/doc/base-files/copyright",
                ),
            ],
        )
        .with(
            "dash",
            &[
                Part::File("./bin/dash", 0o755, b"dash"),
                Part::Link("./bin/sh", "dash"),
            ],
        )
        .with("mawk", &[Part::File("./usr/bin/mawk", 0o755, b"mawk")])
        .with(
            "newer",
            &[
                Part::Link("./bin", "usr/bin"),
                Part::Link("./lib64", "usr/lib64"),
                Part::File("./usr/bin/gcc", 0o755, b"gcc"),
                Part::File("./usr/sbin/tool", 0o4755, b"tool"),
            ],
        )
        .with(
            "ca-certificates",
            &[
                Part::File("./usr/share/ca-certificates/mozilla/B.crt", 0o644, b"B\n"),
                Part::File("./usr/share/ca-certificates/mozilla/A.crt", 0o644, b"A"),
                Part::File("./usr/share/ca-certificates/mozilla/note", 0o644, b"no"),
            ],
        )
}

#[test]
fn a_root_is_put_together_and_does_what_scripts_would() {
    let made = small().toolchain().unwrap();
    let world = small();
    let again = world.toolchain().unwrap();
    assert_eq!(made.root.digest(), again.root.digest());
    let root = again.root.path();
    let read = |path: &str| disk::read_text(&root.join(path), 1 << 20).unwrap();
    let link = |path: &str| String::from_utf8(disk::read_link(&root.join(path)).unwrap()).unwrap();
    assert_eq!(link("bin"), "usr/bin");
    assert_eq!(link("lib64"), "usr/lib64");
    assert_eq!(read("bin/sh"), "dash");
    assert_eq!(link("usr/bin/cc"), "gcc");
    assert_eq!(link("usr/bin/awk"), "mawk");
    assert!(!root.join("usr/bin/c++").exists());
    assert_eq!(read("etc/ssl/certs/ca-certificates.crt"), "A\nB\n");
    assert!(read("etc/passwd").starts_with("root:x:0:0:"));
    assert!(!root.join("usr/share/doc").exists());
    assert!(!root.join("usr/share/man").exists());
    for directory in ["proc", "dev", "tmp", "build"] {
        assert!(root.join(directory).is_dir(), "{directory}");
    }
}

#[test]
fn what_rebeam_writes_does_not_reach_a_packages_own_tree() {
    let world = small();
    world.toolchain().unwrap();
    let trees = world.home.path().join("store/trees");
    let names = disk::list(&trees).unwrap();
    let theirs = names.iter().filter(|name| {
        let tree = trees.join(String::from_utf8_lossy(name).as_ref());
        disk::read(&tree.join("etc/passwd"), 1 << 20).is_ok_and(|bytes| bytes == b"theirs")
    });
    assert_eq!(theirs.count(), 1);
}

#[test]
fn every_file_of_a_package_knows_its_owner() {
    let world = small();
    let owners = world.toolchain().unwrap().owners().unwrap();
    let package = |path: &str| owners.of(path).map(|owner| owner.package.as_str());
    assert_eq!(package("/bin/sh"), Some("dash"));
    assert_eq!(package("usr/bin/dash"), Some("dash"));
    assert_eq!(package("/lib64/ld.so"), Some("base-files"));
    assert_eq!(package("/usr/bin/cc"), None);
    assert_eq!(package("/../etc"), None);
    assert_eq!(owners.of("/bin/sh").unwrap().version, "1.0-1");
    assert_eq!(owners.holding("dash"), ["dash"]);
    assert!(owners.files().map(|(path, _)| path).is_sorted());
}

#[test]
fn a_root_that_was_made_is_recalled_without_network_and_packages() {
    let world = small();
    let made = world.toolchain().unwrap();
    let offline = Http::new(Network::Offline, Mirrors::default());
    let again = toolchain(&world.lock, &world.store(), &offline, &Silent).unwrap();
    assert_eq!((again.root, again.owners), (made.root, made.owners));
}

#[test]
fn only_a_package_that_is_new_is_fetched_and_unpacked() {
    struct Unpacked(std::sync::Mutex<Vec<String>>);
    impl Observer for Unpacked {
        fn observe(&self, event: &Event<'_>) {
            if let Event::PackageUnpacked { name } = event {
                self.0.lock().unwrap().push((*name).to_owned());
            }
        }
    }
    let world = small();
    world.toolchain().unwrap();
    let world = world.with("file", &[Part::File("./usr/bin/file", 0o755, b"file")]);
    let unpacked = Unpacked(std::sync::Mutex::default());
    toolchain(&world.lock, &world.store(), &world.http(), &unpacked).unwrap();
    assert_eq!(unpacked.0.into_inner().unwrap(), ["file"]);
}

#[test]
fn two_packages_may_have_one_file_only_if_it_is_the_same() {
    let file = |bytes| [Part::File("./etc/x", 0o644, bytes)];
    let same = World::new()
        .with("a", &file(b"one"))
        .with("b", &file(b"one"));
    let owners = same.toolchain().unwrap().owners().unwrap();
    assert_eq!(owners.of("etc/x").unwrap().package, "a");
    let other = World::new()
        .with("a", &file(b"one"))
        .with("b", &file(b"two"));
    let error = other.toolchain().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`b` and `a` both have `etc/x`, and not the same"
    );
}

#[test]
fn a_link_where_another_package_has_a_directory_is_a_clash() {
    let world = World::new()
        .with("a", &[Part::File("./etc/x/y", 0o644, b"y")])
        .with("b", &[Part::Link("./etc/x", "z")]);
    let error = world.toolchain().unwrap_err();
    assert!(matches!(error, ToolchainError::Clash { .. }), "{error}");
}

#[test]
fn a_package_that_left_the_pool_stops_the_build_with_the_way_out() {
    let world = small();
    disk::remove_file(&world.home.path().join("pool/mawk.deb")).unwrap();
    let error = world.toolchain().unwrap_err();
    assert_eq!(error.to_string(), "`mawk` 1.0-1 has left Debian's pool");
    assert!(error.hint().unwrap().contains("`rebeam update toolchain`"));
}

#[test]
fn a_full_disk_leaves_no_half_root() {
    let whole = small().toolchain().unwrap().root.digest();
    let world = small();
    let store = world.store();
    let http = world.http();
    // Threads have faults of their own; what fails here is the merge and what comes after it.
    unpack::packages(&world.lock.debs, &store, &http, &Silent).unwrap();
    for changes in 0..10_000 {
        disk::faults::fail_after(changes);
        let result = toolchain(&world.lock, &store, &http, &Silent);
        let failed = disk::faults::clear();
        if let Ok(made) = result {
            assert_eq!(made.root.digest(), whole, "after {changes} changes");
        } else {
            assert!(failed, "after {changes} changes");
        }
        if !failed {
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn places_are_merged_into_usr_and_documents_left_out() {
    let placed = |path: &str| place(RelPath::new(path).unwrap()).map(|path| path.to_string());
    for (path, merged) in [
        ("bin/sh", Some("usr/bin/sh")),
        ("lib64/ld.so", Some("usr/lib64/ld.so")),
        ("usr/bin/sh", Some("usr/bin/sh")),
        ("library/x", Some("library/x")),
        ("bin", None),
        ("lib", None),
        ("usr/share/doc", None),
        ("usr/share/man/man1/x", None),
        ("usr/share/manual", Some("usr/share/manual")),
        ("usr/share/doc-base/x", None),
        ("usr/share/documents", Some("usr/share/documents")),
        ("usr/bin/x86_64-linux-gnu-lto-dump-12", None),
    ] {
        assert_eq!(placed(path).as_deref(), merged, "{path}");
    }
}

#[test]
fn every_preset_reads_back_sorted_and_whole() {
    let needed = [
        "dash",
        "erlang-base",
        "erlang-dev",
        "g++",
        "gcc",
        "libc6-dev",
        "make",
    ];
    for otp in ["23", "25", "27", "29"] {
        for architecture in [Architecture::Amd64, Architecture::Arm64] {
            let lock = preset(otp, architecture).unwrap();
            assert_eq!(lock.otp, otp);
            assert_eq!(read_preset(&write_preset(&lock)).unwrap(), lock);
            for package in needed {
                let has = lock.debs.iter().any(|deb| deb.package == package);
                assert!(has, "{package}");
            }
            for deb in &lock.debs {
                let machines = [architecture.name(), "all"];
                assert!(machines.contains(&deb.architecture.as_str()), "{deb:?}");
                assert!(deb.path.starts_with("pool/"), "{deb:?}");
                assert!(deb.suite.starts_with(&lock.suite), "{deb:?}");
            }
        }
    }
    assert_eq!(preset("22", Architecture::Amd64), None);
}

#[test]
fn a_preset_that_is_unsorted_newer_or_odd_is_refused() {
    let line = |package: &str| {
        let hex = "0".repeat(64);
        format!(
            r#"{{ package = "{package}", version = "1", architecture = "all", suite = "x", path = "pool/x", size = 1, sha256 = "sha256:{hex}" }}"#
        )
    };
    let text = |version: u32, debs: &str| {
        format!("version = {version}\notp = \"1\"\nsuite = \"x\"\n{debs}")
    };
    read_preset(&text(1, &format!("debs = [{}, {}]", line("a"), line("b")))).unwrap();
    for bad in [
        text(1, &format!("debs = [{}, {}]", line("b"), line("a"))),
        text(2, "debs = []"),
        text(1, "debs = []\nmore = 1"),
        text(1, "debs = [{}]"),
    ] {
        assert!(read_preset(&bad).is_err(), "{bad}");
    }
}

/// Maintenance: `cargo test --lib write_the_presets -- --ignored` takes what the archive has today.
///
/// Testing's release file is often past its time where the mirror is a snapshot, so its age is not asked.
#[test]
#[ignore = "asks Debian's archive and writes lockfiles/"]
fn write_the_presets() {
    let http = Http::new(Network::Open, Mirrors::default());
    for otp in ["23", "25", "27", "29"] {
        for architecture in [Architecture::Amd64, Architecture::Arm64] {
            let web = (&http, &Spoken as &dyn Observer);
            let lock = resolve(otp, &[], architecture, Expiry::Ignored, web).unwrap();
            let name = format!("{}-{}.lock", lock.suite, architecture.name());
            let path = Path::new("lockfiles").join(name);
            disk::write_atomic(&path, write_preset(&lock).as_bytes()).unwrap();
            let bytes: u64 = lock.debs.iter().map(|deb| deb.size).sum();
            println!(
                "{}: {} packages, {bytes} bytes",
                path.display(),
                lock.debs.len()
            );
        }
    }
}

/// Tells when the parts of the work were done.
struct Clock {
    start: std::time::Instant,
    last: std::sync::Mutex<std::collections::BTreeMap<&'static str, (usize, u64, u128)>>,
}

impl Clock {
    fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
            last: std::sync::Mutex::default(),
        }
    }
}

impl Observer for Clock {
    fn observe(&self, event: &Event<'_>) {
        let (what, bytes) = match event {
            Event::Fetched { bytes, .. } => ("fetched", *bytes),
            Event::PackageUnpacked { .. } => ("unpacked", 0),
            Event::ToolchainReady { .. } => ("ready", 0),
            _ => return,
        };
        let mut last = self.last.lock().unwrap();
        let (count, sum, at_ms) = last.entry(what).or_default();
        *count += 1;
        *sum += bytes;
        *at_ms = self.start.elapsed().as_millis();
    }
}

struct Spoken;

impl Observer for Spoken {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Warned { message } = event {
            println!("{message}");
        }
    }
}

/// The whole way for a preset, and what the root is for: Erlang runs, and NIFs compile, in C and in C++.
///
/// With `REBEAM_TEST_STORE` the packages are kept in a store there.
fn whole_way(otp: &str) {
    let home = std::env::var_os("REBEAM_TEST_STORE");
    let temporary = tempfile::tempdir().unwrap();
    let home = home.map_or_else(|| temporary.path().to_owned(), Into::into);
    let store = Store::open(&home).unwrap();
    let http = Http::new(Network::Open, Mirrors::default());
    let lock = preset(otp, Architecture::own()).unwrap();
    let clock = Clock::new();
    let made = toolchain(&lock, &store, &http, &clock).unwrap();
    println!("{}: {:?}", lock.suite, clock.last.lock().unwrap());
    let start = std::time::Instant::now();
    let again = toolchain(&lock, &store, &http, &Silent).unwrap();
    println!("{}: again {:?}", lock.suite, start.elapsed());
    assert_eq!(made.root, again.root);
    let mut less = lock.clone();
    less.debs.retain(|deb| deb.package != "patch");
    let start = std::time::Instant::now();
    toolchain(&less, &store, &http, &Silent).unwrap();
    println!("{}: merged alone {:?}", lock.suite, start.elapsed());
    assert_eq!(made.owners().unwrap().holding("libc.so.6"), ["libc6"]);
    try_out(&made, otp);
}

#[test]
#[ignore = "fetches a toolchain from Debian's archive, and needs root for chroot"]
fn bullseye_runs_erlang_and_compiles_nifs() {
    whole_way("23");
}

#[test]
#[ignore = "fetches a toolchain from Debian's archive, and needs root for chroot"]
fn bookworm_runs_erlang_and_compiles_nifs() {
    whole_way("25");
}

#[test]
#[ignore = "fetches a toolchain from Debian's archive, and needs root for chroot"]
fn trixie_runs_erlang_and_compiles_nifs() {
    whole_way("27");
}

#[test]
#[ignore = "fetches a toolchain from Debian's archive, and needs root for chroot"]
fn forky_runs_erlang_and_compiles_nifs() {
    whole_way("29");
}

fn try_out(made: &Toolchain, otp: &str) {
    // A copy: what runs in a chroot as root could write into the store.
    let copy = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(made.root.path())
        .arg(copy.path().join("root"))
        .status();
    assert!(status.unwrap().success());
    let root = copy.path().join("root");
    disk::write_atomic(&root.join("build/try.sh"), TRY_OUT.as_bytes()).unwrap();
    // Without these the emulator spins for ever instead of saying what it misses.
    for (name, minor) in [("null", "3"), ("zero", "5"), ("urandom", "9")] {
        let node = std::process::Command::new("mknod")
            .arg(root.join("dev").join(name))
            .args(["c", "1", minor])
            .status();
        assert!(node.unwrap().success());
    }
    let output = std::process::Command::new("timeout")
        .args(["120", "chroot"])
        .arg(&root)
        .args(["/bin/sh", "-e", "/build/try.sh"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin")
        .env("HOME", "/build")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{text}{errors}");
    assert!(output.status.success());
    assert!(text.contains(&format!("otp {otp}")));
    assert!(text.contains("nif 42 43"));
    assert!(!text.contains("missing:"));
}

const TRY_OUT: &str = r#"
cd /build
cat > one.c <<'END'
#include <erl_nif.h>
static ERL_NIF_TERM one(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) { return enif_make_int(env, 42); }
static ErlNifFunc functions[] = {{"one", 0, one}};
ERL_NIF_INIT(one, functions, NULL, NULL, NULL, NULL)
END
cat > two.cc <<'END'
#include <erl_nif.h>
#include <string>
#include <map>
static ERL_NIF_TERM two(ErlNifEnv* env, int argc, const ERL_NIF_TERM argv[]) {
  std::map<std::string, int> m; m["x"] = 43; return enif_make_int(env, m.at("x")); }
static ErlNifFunc functions[] = {{"two", 0, two}};
extern "C" { ERL_NIF_INIT(two, functions, NULL, NULL, NULL, NULL) }
END
for m in one two; do
  printf -- "-module($m).\n-export([$m/0]).\n-on_load(init/0).\ninit() -> erlang:load_nif(\"./$m\", 0).\n$m() -> erlang:nif_error(x).\n" > $m.erl
  erlc $m.erl
done
I=$(ls -d /usr/lib/erlang/usr/include)
cc -shared -fPIC -O2 -I$I -o one.so one.c
c++ -shared -fPIC -O2 -I$I -o two.so two.cc
erl -noshell -eval '
  io:format("otp ~s~n", [erlang:system_info(otp_release)]),
  io:format("nif ~p ~p~n", [one:one(), two:two()]),
  {ok, _} = application:ensure_all_started(ssl),
  io:format("~p~n", [crypto:info_lib()]),
  [{module, _} = code:ensure_loaded(M) || M <- [eunit, ct, mnesia, snmp, ssh, ftp, tftp, diameter, edoc, xmerl, eldap, memsup, leex, dbg, erl_syntax, cover]],
  halt().'
if [ -e /usr/bin/rebar3 ]; then rebar3 version; fi
for tool in awk sed make patch pkg-config bash ld ar strip tar gzip find diff; do which $tool > /dev/null || echo "missing: $tool"; done
test "$(echo a b | awk '{ print $2 }')" = b || echo "missing: awk"
TZ=Europe/Berlin date
for f in /usr/bin/* /usr/lib/erlang/erts*/bin/* /usr/lib/erlang/lib/*/priv/bin/* /usr/lib/erlang/lib/*/priv/lib/*; do
  if [ -f $f ]; then ldd $f 2>/dev/null | grep -q "not found" && echo "missing: what $f needs" || true; fi
done
# Links of sanitizers, and of what no package of ours has.
find / -xdev -type l ! -exec test -e {} \; -print | grep -v -e 'lib[a-z]*san.so$' -e ^/etc/rmt$ | sed 's/^/missing: target of /'
true
"#;
