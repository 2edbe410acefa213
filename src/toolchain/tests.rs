//! Tests of the whole room.

use std::path::Path;

use super::*;
use crate::event::Silent;
use crate::fetch::debian::{Architecture, Expiry, resolve};
use crate::http::{Mirrors, Network};

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
            crate::disk::write_atomic(&path, write_preset(&lock).as_bytes()).unwrap();
            let bytes: u64 = lock.debs.iter().map(|deb| deb.size).sum();
            println!(
                "{}: {} packages, {bytes} bytes",
                path.display(),
                lock.debs.len()
            );
        }
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

/// The whole way for each preset, and what the root is for: Erlang runs, and NIFs compile, in C and in C++.
#[test]
#[ignore = "fetches a toolchain from Debian's archive, and needs root for chroot"]
fn every_preset_runs_erlang_and_compiles_nifs() {
    let home = std::env::var_os("REBEAM_TEST_STORE");
    let temporary = tempfile::tempdir().unwrap();
    let home = home.map_or_else(|| temporary.path().to_owned(), Into::into);
    let store = Store::open(&home).unwrap();
    let http = Http::new(Network::Open, Mirrors::default());
    for otp in ["25", "27", "29", "23"] {
        let lock = preset(otp, Architecture::own()).unwrap();
        let start = std::time::Instant::now();
        let made = toolchain(&lock, &store, &http, &Silent).unwrap();
        println!("{}: {:?}", lock.suite, start.elapsed());
        let start = std::time::Instant::now();
        let again = toolchain(&lock, &store, &http, &Silent).unwrap();
        println!("{}: again {:?}", lock.suite, start.elapsed());
        assert_eq!(made.root, again.root);
        let owners = made.owners().unwrap();
        let libc = owners.of("/lib/x86_64-linux-gnu/libc.so.6").unwrap();
        assert_eq!(libc.package, "libc6");
        try_out(&made, otp);
    }
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
    std::fs::write(root.join("build/try.sh"), TRY_OUT).unwrap();
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
  [{module, _} = code:ensure_loaded(M) || M <- [eunit, ct, mnesia, snmp, ssh, ftp, tftp, diameter, edoc, xmerl, eldap, os_mon, parse_tools_is_absent] -- [os_mon, parse_tools_is_absent]],
  halt().'
if [ -e /usr/bin/rebar3 ]; then rebar3 version; fi
which awk sed make patch pkg-config bash
echo x | awk '{print "awk " $1}'
ls -la / /usr/bin/awk; cat /etc/os-release | head -2; wc -c /etc/ssl/certs/ca-certificates.crt
TZ=Europe/Berlin date
missing=0
for f in /usr/bin/* /usr/lib/erlang/erts*/bin/* /usr/lib/erlang/lib/*/priv/bin/* /usr/lib/erlang/lib/*/priv/lib/*; do
  if [ -f $f ]; then ldd $f 2>/dev/null | grep -q "not found" && { echo "misses: $f: $(ldd $f | grep 'not found')"; } || true; fi
done
find / -xdev -type l ! -exec test -e {} \; -print | head -40
"#;
