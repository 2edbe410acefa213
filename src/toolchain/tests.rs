//! Tests of the whole room: with packages made here, and, when asked, with Debian's own.

mod real;

use super::unpack::place;
use super::{
    Toolchain, ToolchainError, cross, emulator, preset, preset_platform, read_preset, toolchain,
    unpack, write_preset,
};
use crate::digest::Digest;
use crate::disk;
use crate::event::{Event, Observer, Silent};
use crate::explain::Explain as _;
use crate::fetch::debian::fixture::{self, Part};
use crate::fetch::debian::{Architecture, PRIMARY};
use crate::http::{Http, Mirrors, Network};
use crate::lock::{Deb, PlatformLock, ToolchainLock};
use crate::manifest::Platform;
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
                Part::Second("./usr/share/man/again", "./usr/share/doc/base-files/copyright"),
            ],
        )
        .with("dash", &[Part::File("./bin/dash", 0o755, b"dash"), Part::Link("./bin/sh", "dash")])
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
    let same = World::new().with("a", &file(b"one")).with("b", &file(b"one"));
    let owners = same.toolchain().unwrap().owners().unwrap();
    assert_eq!(owners.of("etc/x").unwrap().package, "a");
    let other = World::new().with("a", &file(b"one")).with("b", &file(b"two"));
    let error = other.toolchain().unwrap_err();
    assert_eq!(error.to_string(), "`b` and `a` both have `etc/x`, and not the same");
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
    let needed = ["dash", "erlang-base", "erlang-dev", "g++", "gcc", "libc6-dev", "make"];
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
fn a_cross_root_has_the_other_machines_libraries_where_its_compilers_look() {
    let text = |path: &'static str, bytes: &'static [u8]| Part::File(path, 0o644, bytes);
    let otp = "./usr/lib/erlang/lib/erl_interface-5.3";
    let (library, header) = (format!("{otp}/lib/libei.a"), format!("{otp}/include/ei.h"));
    let world = World::new()
        .with(
            "erlang-dev",
            &[Part::File(&library, 0o644, b"ours"), Part::File(&header, 0o644, b"ours")],
        )
        .with("gcc-cross", &[text("./usr/bin/aarch64-linux-gnu-gcc", b"compiler")])
        .with(
            "other-dev",
            &[
                Part::File(&library, 0o644, b"theirs"),
                Part::File(&header, 0o644, b"theirs"),
                text("./usr/lib/aarch64-linux-gnu/libx.so", b"x"),
                text("./usr/bin/tool", b"cannot run here"),
            ],
        )
        .with(
            "qemu-user",
            &[text("./usr/bin/qemu-aarch64", b"emulator"), text("./usr/bin/qemu-mips", b"another")],
        );
    let deb = |name: &str| world.lock.debs.iter().find(|deb| deb.package == name).unwrap().clone();
    let own = ToolchainLock { debs: vec![deb("erlang-dev")], ..world.lock.clone() };
    let platform = PlatformLock {
        platform: Platform::Arm64,
        debs: vec![deb("other-dev")],
        tools: vec![deb("gcc-cross"), deb("qemu-user")],
    };
    let (store, http) = (world.store(), world.http());
    let web = (&http, &Silent as &dyn Observer);
    let made = cross(&own, &platform, &store, web).unwrap();
    let read = |path: &str| disk::read_text(&made.root.path().join(path), 1 << 20).unwrap();
    assert_eq!(read(&library), "theirs");
    assert_eq!(read(&header), "theirs");
    assert_eq!(read("usr/lib/aarch64-linux-gnu/libx.so"), "x");
    assert_eq!(read("usr/bin/aarch64-linux-gnu-gcc"), "compiler");
    let plain = disk::read_link(&made.root.path().join("usr/share/rebeam/bin/cc")).unwrap();
    assert_eq!(plain, b"/usr/bin/aarch64-linux-gnu-gcc");
    assert!(read("usr/share/rebeam/cross.cmake").contains("aarch64-linux-gnu-g++"));
    for absent in ["usr/bin/tool", "usr/bin/qemu-aarch64"] {
        assert!(!made.root.path().join(absent).exists(), "{absent}");
    }
    let offline = Http::new(Network::Offline, Mirrors::default());
    let again = cross(&own, &platform, &store, (&offline, &Silent)).unwrap();
    assert_eq!(again.root, made.root);

    // Of the emulators one is unpacked, and without any nothing is.
    let found = emulator(&platform, &store, web).unwrap().unwrap();
    assert_eq!(disk::read_text(&found.program, 100).unwrap(), "emulator");
    assert_eq!(disk::list(found.tree.path()).unwrap().len(), 1);
    assert!(emulator(&platform, &store, (&offline, &Silent)).unwrap().is_some());
    let none = PlatformLock { tools: vec![], ..platform };
    assert!(emulator(&none, &store, web).unwrap().is_none());
}

#[test]
fn every_preset_for_another_machine_is_of_the_toolchains_own_otp() {
    use Architecture::{Amd64, Arm64, Armhf};
    let source = |debs: &[Deb]| {
        let emulator = debs.iter().find(|deb| deb.package == "erlang-base").unwrap();
        // Debian's patches for a release are not there for all machines at once.
        let plain = emulator.version.split("+b").next().unwrap();
        plain.split("+deb").next().unwrap().to_owned()
    };
    for otp in ["23", "25", "27", "29"] {
        for (own, other) in [(Amd64, Arm64), (Amd64, Armhf), (Arm64, Amd64), (Arm64, Armhf)] {
            let found = preset_platform(otp, own, other).unwrap();
            assert_eq!(found.platform.short(), other.name());
            assert_eq!(source(&found.debs), source(&preset(otp, own).unwrap().debs));
            assert!(found.debs.is_sorted() && found.tools.is_sorted());
            let names =
                |debs: &[Deb]| debs.iter().map(|deb| deb.package.clone()).collect::<Vec<_>>();
            let (debs, tools) = (names(&found.debs), names(&found.tools));
            for package in ["erlang-crypto", "erlang-dev", "libc6", "libstdc++6", "busybox-static"]
            {
                assert!(debs.iter().any(|name| name == package), "{otp} {other:?} {package}");
            }
            for package in other.cross_compilers().iter().map(String::as_str).chain(["qemu-user"]) {
                assert!(tools.iter().any(|name| name == package), "{otp} {other:?} {package}");
            }
            for package in ["gcc", "bash", "rebar3", "libgcc-12-dev", "linux-libc-dev", "libc6-dev"]
            {
                assert!(!debs.iter().any(|name| name == package), "{otp} {other:?} {package}");
            }
            let fits = |debs: &[Deb], machine: Architecture| {
                let known = [machine.name(), "all"];
                debs.iter().all(|deb| known.contains(&deb.architecture.as_str()))
            };
            assert!(fits(&found.debs, other) && fits(&found.tools, own));
        }
    }
    assert_eq!(preset_platform("25", Amd64, Amd64), None);
    assert_eq!(preset_platform("22", Amd64, Arm64), None);
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
