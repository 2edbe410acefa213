//! Tests with Debian's own packages, which only run when asked: they need the archive, and some need root.

use std::path::Path;

use crate::disk;
use crate::event::{Event, Observer, Silent};
use crate::fetch::debian::{
    Architecture, EMULATORS, Expiry, Unneeded, Wanted, resolve, resolve_keeping,
};
use crate::http::{Http, Mirrors, Network};
use crate::lock::ToolchainLock;
use crate::store::Store;
use crate::toolchain::{Toolchain, preset, toolchain, write_preset};

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
            println!("{}: {} packages, {bytes} bytes", path.display(), lock.debs.len());
        }
    }
}

/// Maintenance, after the presets: what Elixir needs beside each.
#[test]
#[ignore = "asks Debian's archive and writes lockfiles/"]
fn write_what_elixir_needs_beside_the_presets() {
    let http = Http::new(Network::Open, Mirrors::default());
    for otp in ["25", "27", "29"] {
        for architecture in [Architecture::Amd64, Architecture::Arm64] {
            let web = (&http, &Spoken as &dyn Observer);
            let base = preset(otp, architecture).unwrap();
            let mut lock =
                resolve(otp, &["elixir".into()], architecture, Expiry::Ignored, web).unwrap();
            lock.debs.retain(|deb| !base.debs.iter().any(|known| known.package == deb.package));
            let name = format!("{}-elixir-{}.lock", lock.suite, architecture.name());
            let path = Path::new("lockfiles").join(name);
            disk::write_atomic(&path, write_preset(&lock).as_bytes()).unwrap();
            println!("{}: {} packages", path.display(), lock.debs.len());
        }
    }
}

/// Maintenance, after the presets: for other machines their libraries, where no preset has them, and compilers.
#[test]
#[ignore = "asks Debian's archive and writes lockfiles/"]
fn write_what_other_machines_need_beside_the_presets() {
    use Architecture::{Amd64, Arm64, Armhf};
    let http = Http::new(Network::Open, Mirrors::default());
    let web = (&http, &Spoken as &dyn Observer);
    let write = |name: String, lock: &ToolchainLock| {
        let path = Path::new("lockfiles").join(name);
        disk::write_atomic(&path, write_preset(lock).as_bytes()).unwrap();
        let bytes: u64 = lock.debs.iter().map(|deb| deb.size).sum();
        println!("{}: {} packages, {bytes} bytes", path.display(), lock.debs.len());
    };
    let (package, otp) = EMULATORS;
    for own in [Amd64, Arm64] {
        let mut lock = resolve(otp, &[package.into()], own, Expiry::Ignored, web).unwrap();
        lock.debs.retain(|deb| deb.package == package);
        write(format!("emulator-{}.lock", own.name()), &lock);
    }
    for otp in ["23", "25", "27", "29"] {
        match resolve(otp, &[], Armhf, Expiry::Ignored, web) {
            Ok(mut lock) => {
                lock.debs.retain(|deb| Architecture::wants(&deb.package));
                write(format!("{}-target-armhf.lock", lock.suite), &lock);
            }
            // A mirror need not have every machine's security updates; that preset stays as it is.
            Err(error) => println!("OTP {otp} for armhf: {error}"),
        }
        for (own, other) in [(Amd64, Arm64), (Amd64, Armhf), (Arm64, Amd64), (Arm64, Armhf)] {
            let base = preset(otp, own).unwrap();
            let wished = other.cross_compilers();
            let unneeded = Unneeded::Stays;
            let (architecture, pinned) = (own, &base.debs);
            let wanted = Wanted { otp, wished: &wished, architecture, pinned, unneeded };
            let mut lock = resolve_keeping(&wanted, Expiry::Ignored, web).unwrap();
            lock.debs.retain(|deb| !base.debs.contains(deb));
            write(format!("{}-cross-{}-on-{}.lock", lock.suite, other.name(), own.name()), &lock);
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
        Self { start: std::time::Instant::now(), last: std::sync::Mutex::default() }
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

/// Another machine's programs do not run here; its packages fit together all the same.
#[test]
#[ignore = "fetches toolchains from Debian's archive"]
fn the_other_machines_presets_are_put_together() {
    let other = match Architecture::own() {
        Architecture::Amd64 => Architecture::Arm64,
        Architecture::Arm64 | Architecture::Armhf => Architecture::Amd64,
    };
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let http = Http::new(Network::Open, Mirrors::default());
    for otp in ["23", "25", "27", "29"] {
        let lock = preset(otp, other).unwrap();
        let made = toolchain(&lock, &store, &http, &Silent).unwrap();
        for tool in ["usr/bin/cc", "usr/bin/c++", "usr/bin/erl", "bin/sh"] {
            assert!(disk::exists(&made.root.path().join(tool)), "{otp} {tool}");
        }
        assert_eq!(made.owners().unwrap().holding("libc.so.6"), ["libc6"]);
    }
}

#[test]
#[ignore = "fetches a toolchain from Debian's archive, and needs root for chroot"]
fn wished_packages_come_with_what_they_need() {
    let home = std::env::var_os("REBEAM_TEST_STORE");
    let temporary = tempfile::tempdir().unwrap();
    let home = home.map_or_else(|| temporary.path().to_owned(), Into::into);
    let store = Store::open(&home).unwrap();
    let http = Http::new(Network::Open, Mirrors::default());
    let wished = [
        "autoconf",
        "automake",
        "cmake",
        "elixir",
        "gawk",
        "git",
        "libexpat1-dev",
        "libssl-dev",
        "libtool",
        "libyaml-dev",
        "python3",
        "zlib1g-dev",
    ]
    .map(str::to_owned);
    let web = (&http, &Silent as &dyn Observer);
    let lock = resolve("25", &wished, Architecture::own(), Expiry::Ignored, web).unwrap();
    println!("{} packages", lock.debs.len());
    let made = toolchain(&lock, &store, &http, &Silent).unwrap();
    let text = in_root(&made, WISHED);
    assert!(text.contains("all there"));
}

const WISHED: &str = r#"
cd /build
autoconf --version | head -1
automake --version | head -1
libtoolize --version | head -1
cmake --version | head -1
git init -q here && git -C here status | head -1
awk --version | head -1
elixir --version
python3 -c 'import ssl, zlib; print(ssl.OPENSSL_VERSION)'
pkg-config --libs libssl expat yaml-0.1 zlib
echo all there
"#;

fn try_out(made: &Toolchain, otp: &str) {
    let text = in_root(made, TRY_OUT);
    assert!(text.contains(&format!("otp {otp}")));
    assert!(text.contains("nif 42 43"));
    assert!(!text.contains("missing:"));
}

/// Runs a shell script in a copy of the root, and returns what it prints.
fn in_root(made: &Toolchain, script: &str) -> String {
    // A copy: what runs in a chroot as root could write into the store.
    let copy = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(made.root.path())
        .arg(copy.path().join("root"))
        .status();
    assert!(status.unwrap().success());
    let root = copy.path().join("root");
    disk::write_atomic(&root.join("build/try.sh"), script.as_bytes()).unwrap();
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
    text.into_owned()
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
