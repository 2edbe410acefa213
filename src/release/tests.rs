//! What the room promises, over made-up releases and toolchains.

pub(crate) mod craft;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use self::craft::{AARCH64, Craft, X86_64, craft, module};
use super::*;
use crate::explain::{Blame, Explain as _};
use crate::fetch::debian::Papers;
use crate::manifest::{
    Build, DevWish, ImageWish, Project, ReleaseWish, Shell, Tool, ToolchainWish,
};
use crate::tree;

const LIB: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// A release and a toolchain on disk, and the wishes of their project.
pub(crate) struct World {
    directory: tempfile::TempDir,
    pub(crate) manifest: Manifest,
    pub(crate) deps: BTreeSet<String>,
    pub(crate) otp: Option<PathBuf>,
}

pub(crate) fn manifest() -> Manifest {
    Manifest {
        dev: DevWish::default(),
        services: BTreeMap::new(),
        content: Digest::of(b""),
        project: Project { name: "shop".into(), version: "1.2.0".into() },
        toolchain: ToolchainWish { otp: "25".into(), packages: vec![] },
        build: Build { tool: Tool::Rebar3, profile: "prod".into(), ..Build::default() },
        lock: Default::default(),
        deps: BTreeMap::new(),
        tools: BTreeMap::new(),
        release: ReleaseWish::default(),
        image: ImageWish {
            name: "shop".into(),
            platforms: vec![],
            base: None,
            ports: vec!["8080/tcp".into()],
            env: BTreeMap::from([("LANG".into(), "C".into())]),
            user: (65532, 65532),
            volumes: vec!["/var/lib/shop".into()],
            labels: BTreeMap::from([("team".into(), "sales".into())]),
            health: None,
            entrypoint: None,
            cmd: vec![],
            shell: None,
            epmd: None,
            tzdata: false,
            ca_certificates: None,
        },
        hex: BTreeMap::new(),
        mirrors: BTreeMap::new(),
    }
}

impl World {
    /// Makes a release with everything that relx lays into one, and a toolchain that holds what it loads.
    pub(crate) fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
            manifest: manifest(),
            deps: BTreeSet::from(["ranch".into()]),
            otp: None,
        };
        let whole = module(&[(b"Code", b"code"), (b"Dbgi", b"a long story")]);
        for path in [
            "lib/kernel-8.5/ebin/kernel.beam",
            "lib/shop-1.2.0/ebin/shop.beam",
            "lib/ranch-2.1.0/ebin/ranch.beam",
        ] {
            world.release(path, &whole);
        }
        for path in [
            "lib/shop-1.2.0/src/shop.erl",
            "lib/shop-1.2.0/include/shop.hrl",
            "lib/shop-1.2.0/ebin/shop.app",
            "lib/shop-1.2.0/priv/page.html",
            "lib/ranch-2.1.0/c_src/ranch.c",
            "erts-13.1/src/setuid_socket_wrap.c",
            "erts-13.1/bin/start.src",
            "releases/COOKIE",
            "releases/1.2.0/start.boot",
            "releases/1.2.0/start.script",
            "releases/1.2.0/sys.config",
            "etc/shop.conf",
        ] {
            world.release(path, path.as_bytes());
        }
        world.release("bin/shop", b"#!/bin/sh\n");
        world.release("releases/1.2.0/vm.args", b"# a comment -name x\n+K true\n");
        world.release("releases/start_erl.data", b"13.1 1.2.0\n");
        world.release(
            "releases/1.2.0/shop.rel",
            br#"{release, {"shop", "1.2.0"}, {erts, "13.1"},
                [{kernel, "8.5"}, {ranch, "2.1.0"}, {shop, "1.2.0", permanent}]}."#,
        );
        std::fs::create_dir_all(world.path("release/data/mnesia")).unwrap();
        world.programs();
        world
    }

    fn programs(&self) {
        let emulator = craft(&Craft {
            machine: X86_64,
            interpreter: Some(LOADER),
            needed: &["libc.so.6", "libz.so.1"],
            wants: &[("libc.so.6", "GLIBC_2.34")],
            ..Craft::default()
        });
        for tool in
            ["beam.smp", "erlexec", "erl_child_setup", "inet_gethost", "epmd", "erlc", "heart"]
        {
            self.release(&format!("erts-13.1/bin/{tool}"), &emulator);
        }
        let libc = craft(&Craft {
            machine: X86_64,
            needed: &["ld-linux-x86-64.so.2"],
            defines: &["GLIBC_2.2.5", "GLIBC_2.34"],
            ..Craft::default()
        });
        self.toolchain(&format!("{LIB}/libc.so.6"), &libc);
        let plain = craft(&Craft { machine: X86_64, ..Craft::default() });
        self.toolchain(&format!("{LIB}/ld-linux-x86-64.so.2"), &plain);
        self.toolchain(&format!("{LIB}/libz.so.1.2.13"), &plain);
        self.toolchain_link("libz.so.1.2.13", &format!("{LIB}/libz.so.1"));
        self.toolchain_link("usr/lib", "lib");
        self.toolchain_link("usr/lib64", "lib64");
        std::fs::create_dir_all(self.path("toolchain/usr/lib64")).unwrap();
        self.toolchain_link(
            &format!("/{LIB}/ld-linux-x86-64.so.2"),
            "usr/lib64/ld-linux-x86-64.so.2",
        );
        self.toolchain("usr/lib/erlang/lib/kernel-8.5/ebin/kernel.app", b"");
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Puts a file into the release.
    pub(crate) fn release(&self, path: &str, bytes: &[u8]) {
        self.put(&format!("release/{path}"), bytes);
    }

    /// Puts a file into the toolchain.
    pub(crate) fn toolchain(&self, path: &str, bytes: &[u8]) {
        self.put(&format!("toolchain/{path}"), bytes);
    }

    fn toolchain_link(&self, target: &str, path: &str) {
        std::os::unix::fs::symlink(target, self.path("toolchain").join(path)).unwrap();
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let mode = if bytes.starts_with(b"\x7fELF") { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn assemble(&self) -> Result<Release, ReleaseError> {
        let release = self.path("release");
        let listing = tree::scan(&release, &[]).unwrap().tree;
        assemble(&Inputs {
            base: None,
            release: &release,
            listing: &listing,
            natives: None,
            toolchain: &self.path("toolchain"),
            otp: self.otp.as_deref(),
            owner: &|path| {
                let name = path.to_string().contains("libz").then_some("zlib1g")?;
                Some(Package { name: name.into(), version: "1:1.2.13".into() })
            },
            papers: &|package| {
                let control = format!(
                    "Package: {}\nVersion: {}\nArchitecture: amd64\nSource: zlib\n\
                     Depends: libc6\nDescription: x\n Source: y\n",
                    package.name, package.version
                );
                let md5sums = "0123  lib/x86_64-linux-gnu/libz.so.1.2.13\n4567  usr/share/doc/x\n";
                Ok(Some(Papers { control, md5sums: md5sums.into() }))
            },
            provider: &|soname| match soname {
                "libodd.so.3" => vec!["libodd3".into()],
                _ => vec![],
            },
            dep_apps: &self.deps,
            manifest: &self.manifest,
            lock_text: "version = 1\n",
            provenance: "{}\n",
        })
    }
}

fn paths(release: &Release, part: Part) -> Vec<String> {
    let component = release.components.iter().find(|component| component.part == part).unwrap();
    let files = component.entries.iter().filter(|(_, node)| node.content != Content::Directory);
    files.map(|(path, _)| path.to_string()).collect()
}

#[test]
fn each_file_stands_in_its_part_and_what_only_developers_read_in_none() {
    let release = World::new().assemble().unwrap();
    let otp = ["beam.smp", "erl_child_setup", "erlexec", "inet_gethost"]
        .map(|tool| format!("app/erts-13.1/bin/{tool}"));
    assert_eq!(
        paths(&release, Part::Otp),
        [&otp[..], &["app/lib/kernel-8.5/ebin/kernel.beam".into()]].concat()
    );
    assert_eq!(paths(&release, Part::Deps), ["app/lib/ranch-2.1.0/ebin/ranch.beam"]);
    assert_eq!(
        paths(&release, Part::App),
        [
            "app/lib/shop-1.2.0/ebin/shop.app",
            "app/lib/shop-1.2.0/ebin/shop.beam",
            "app/lib/shop-1.2.0/priv/page.html",
        ]
    );
    assert_eq!(
        paths(&release, Part::Config),
        [
            "app/etc/shop.conf",
            "app/releases/1.2.0/shop.rel",
            "app/releases/1.2.0/start.boot",
            "app/releases/1.2.0/sys.config",
            "app/releases/1.2.0/vm.args",
            "app/releases/start_erl.data",
            "usr/share/rebeam/provenance.json",
            "usr/share/rebeam/rebeam.lock",
        ]
    );
    assert_eq!(release.facts.apps["ranch"], ("2.1.0".into(), Part::Deps));
    assert_eq!(release.facts.apps["kernel"].1, Part::Otp);
}

#[test]
fn libraries_stand_under_their_sonames_where_the_loader_looks() {
    let release = World::new().assemble().unwrap();
    let link = |path: &str| match &release.get(&at(path)).unwrap().content {
        Content::Symlink(target) => String::from_utf8(target.clone()).unwrap(),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(link("lib64"), "usr/lib64");
    assert_eq!(
        link("usr/lib64/ld-linux-x86-64.so.2"),
        "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    );
    let zlib = release.get(&at(&format!("{LIB}/libz.so.1"))).unwrap();
    assert!(
        matches!(&zlib.content, Content::File { path, .. } if path.ends_with("libz.so.1.2.13"))
    );
    let names: Vec<_> = release.facts.libraries.iter().map(String::as_str).collect();
    assert_eq!(names, ["ld-linux-x86-64.so.2", "libc.so.6", "libz.so.1"]);
    assert_eq!(release.facts.packages.iter().next().unwrap().name, "zlib1g");
    assert_eq!(release.facts.machine, Machine::X86_64);
}

#[test]
fn an_image_says_which_packages_its_files_are_from() {
    let world = World::new();
    world.toolchain("usr/lib/os-release", b"ID=debian\nVERSION_ID=\"12\"\n");
    std::fs::create_dir_all(world.path("toolchain/etc")).unwrap();
    world.toolchain_link("../usr/lib/os-release", "etc/os-release");
    let release = world.assemble().unwrap();
    let text = |path: &str| match &release.get(&at(path))?.content {
        Content::Bytes(bytes) => Some(String::from_utf8(bytes.clone()).unwrap()),
        _ => None,
    };
    let status = "Package: zlib1g\nSource: zlib\nVersion: 1:1.2.13\nArchitecture: amd64\n";
    assert_eq!(text("var/lib/dpkg/status.d/zlib1g").unwrap(), status);
    // The sum is that of the file in the image, under the name that it has there.
    let sums = text("var/lib/dpkg/status.d/zlib1g.md5sums").unwrap();
    assert_eq!(sums, format!("0123  {LIB}/libz.so.1\n"));
    assert!(release.get(&at("etc/os-release")).is_some());
    assert!(release.get(&at("etc/debian_version")).is_none());
}

#[test]
fn the_user_may_write_where_the_project_wants_it_and_nowhere_else() {
    let release = World::new().assemble().unwrap();
    let owned: Vec<_> = release
        .components
        .iter()
        .flat_map(|component| &component.entries)
        .filter(|(_, node)| {
            node.uid != 0 || node.mode & 0o002 != 0 && !matches!(node.content, Content::Symlink(_))
        })
        .map(|(path, node)| format!("{path} {:o}", node.mode))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert_eq!(
        owned,
        ["app/data/mnesia 755", "app/log 755", "home/app 750", "tmp 1777", "var/lib/shop 755"]
    );
}

#[test]
fn a_volume_takes_nothing_away() {
    let mut world = World::new();
    world.manifest.image.volumes = vec!["/tmp".into(), "/lib/data/".into(), "/".into()];
    let release = world.assemble().unwrap();
    assert_eq!(release.get(&at("tmp")).unwrap().mode, 0o1777);
    assert_eq!(release.get(&at("lib")).unwrap().content, Content::Symlink(b"usr/lib".to_vec()));
    assert_eq!(release.get(&at("usr/lib/data")).unwrap().uid, 65532);
    assert!(release.get(&at("lib/data")).is_none());
}

#[test]
fn every_part_says_the_same_of_a_directory() {
    let mut world = World::new();
    world.manifest.image.volumes.push("/app/etc".into());
    let release = world.assemble().unwrap();
    let mut seen: BTreeMap<&RelPath, &Node> = BTreeMap::new();
    for component in &release.components {
        for (path, node) in &component.entries {
            if node.content == Content::Directory {
                assert_eq!(*seen.entry(path).or_insert(node), node, "{path}");
            }
            if let Some(parent) = path.parent() {
                assert!(component.entries.contains_key(&parent), "{path}");
            }
        }
    }
    assert_eq!(seen[&at("app/etc")].uid, 65532);
}

#[test]
fn the_node_is_started_without_a_shell() {
    let start = World::new().assemble().unwrap().start;
    assert_eq!(
        start.entrypoint.join(" "),
        "/app/erts-13.1/bin/erlexec -noinput +Bd -boot /app/releases/1.2.0/start \
         -boot_var ERTS_LIB_DIR /app/lib -boot_var SYSTEM_LIB_DIR /app/lib -mode embedded \
         -config /app/releases/1.2.0/sys -args_file /app/releases/1.2.0/vm.args -start_epmd false"
    );
    assert_eq!(start.env["BINDIR"], "/app/erts-13.1/bin");
    assert_eq!(start.env["LANG"], "C", "the project's own variables count most");
    assert_eq!(start.directory, "/app");
}

#[test]
fn a_shell_brings_what_it_loads_itself() {
    let mut world = World::new();
    world.manifest.image.shell = Some(Shell::Busybox);
    let shell = Craft { machine: X86_64, needed: &["libresolv.so.2"], ..Craft::default() };
    world.toolchain("usr/bin/busybox", &craft(&shell));
    let error = world.assemble().unwrap_err();
    assert!(error.to_string().contains("`libresolv.so.2` (for `usr/bin/busybox`)"), "{error}");
}

#[test]
fn a_distributed_node_brings_its_port_mapper() {
    let world = World::new();
    world.release("releases/1.2.0/vm.args", b"-sname shop\n-start_epmd false\n");
    let release = world.assemble().unwrap();
    assert!(release.get(&at("app/erts-13.1/bin/epmd")).is_some());
    assert!(!release.start.entrypoint.contains(&"-start_epmd".to_owned()));
}

#[test]
fn a_node_that_cannot_start_its_port_mapper_is_refused() {
    let mut world = World::new();
    world.manifest.image.shell = Some(Shell::None);
    world.release("releases/1.2.0/vm.args", b"-sname shop\n");
    let error = world.assemble().unwrap_err();
    assert!(error.to_string().contains("epmd"), "{error}");
    assert!(error.hint().unwrap().contains("shell = \"busybox\""));
    world.manifest.image.shell = None;
    world.toolchain("usr/bin/busybox", &craft(&Craft { machine: X86_64, ..Craft::default() }));
    let release = world.assemble().unwrap();
    assert!(release.get(&at("usr/bin/sh")).is_some(), "a node that needs a shell brings one");
}

#[test]
fn epmd_is_started_before_a_script_that_asks_nodetool() {
    let mut world = World::new();
    world.toolchain("usr/bin/busybox", &craft(&Craft { machine: X86_64, ..Craft::default() }));
    let own = ["/app/bin/shop".to_owned(), "foreground".into()];
    world.manifest.image.entrypoint = Some(own.to_vec());
    world.manifest.image.shell = Some(Shell::Busybox);
    let start = |world: &World| world.assemble().unwrap().start.entrypoint;
    world.release("bin/shop", b"#!/bin/sh\nset -e\nescript bin/nodetool -name x ping\n");
    assert_eq!(start(&world), own, "it has no nodetool");
    world
        .release("bin/nodetool", b"#!/usr/bin/env escript\nmain(_) -> os:cmd(\"epmd -daemon\").\n");
    let entrypoint = start(&world);
    assert_eq!(entrypoint[..2], ["/bin/sh", "-c"]);
    assert!(entrypoint[2].contains("\"$0\" -names"), "{entrypoint:?}");
    assert_eq!(entrypoint[3], "/app/erts-13.1/bin/epmd");
    assert_eq!(entrypoint[4..], own);
    world.manifest.image.epmd = Some(false);
    assert_eq!(start(&world), own, "the manifest's word counts");
    world.release("bin/shop", b"#!/bin/sh\nexec erlexec\n");
    world.manifest.image.epmd = None;
    assert_eq!(start(&world), own, "it does not ask nodetool");
    world.manifest.image.epmd = Some(true);
    assert_eq!(start(&world), entrypoint);
    world.manifest.image.shell = None;
    assert_eq!(start(&world), entrypoint, "the wish brings the shell that it needs");
    world.manifest.image.shell = Some(Shell::None);
    let error = world.assemble().unwrap_err();
    assert!(error.hint().unwrap().contains("shell = \"busybox\""), "{error}");
}

#[test]
fn a_configuration_that_needs_a_shell_is_refused_without_one() {
    let mut world = World::new();
    world.manifest.image.shell = Some(Shell::None);
    std::fs::remove_file(world.path("release/releases/1.2.0/sys.config")).unwrap();
    world.release("releases/1.2.0/sys.config.src", b"[].");
    let error = world.assemble().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`releases/1.2.0/sys.config.src` is filled in by a shell script when the release starts, \
         and the image has no shell"
    );
    assert!(error.hint().unwrap().contains("shell = \"busybox\""));
    world.manifest.image.shell = None;
    world.toolchain("usr/bin/busybox", &craft(&Craft { machine: X86_64, ..Craft::default() }));
    let release = world.assemble().unwrap();
    assert_eq!(release.start.entrypoint, ["/app/bin/shop", "foreground"]);
    assert_eq!(release.start.env["RELX_OUT_FILE_PATH"], "/tmp");
    assert!(release.get(&at("app/bin/shop")).is_some());
    assert!(release.get(&at("usr/bin/sh")).is_some());
}

#[test]
fn what_a_release_was_made_without_comes_from_the_toolchain() {
    let world = World::new();
    let move_over = |from: &str, to: &str| {
        let to = world.path("toolchain/usr/lib/erlang").join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let _ = std::fs::remove_dir_all(&to);
        std::fs::rename(world.path("release").join(from), to).unwrap();
    };
    let whole = world.assemble().unwrap();
    move_over("erts-13.1", "erts-13.1");
    move_over("lib/kernel-8.5", "lib/kernel-8.5");
    let lean = world.assemble().unwrap();
    for part in Part::ALL {
        assert_eq!(paths(&whole, part), paths(&lean, part));
    }
    std::fs::remove_dir_all(world.path("toolchain/usr/lib/erlang/lib/kernel-8.5")).unwrap();
    let error = world.assemble().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the release needs `kernel` 8.5, which neither it nor the toolchain holds"
    );
    assert!(error.hint().unwrap().contains("erlang-kernel"));
}

#[test]
fn an_otp_from_source_stands_in_the_place_of_the_toolchains() {
    let mut world = World::new();
    let whole = world.assemble().unwrap();
    for place in ["erts-13.1", "lib/kernel-8.5"] {
        let to = world.path("otp").join(place);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(world.path("release").join(place), to).unwrap();
    }
    world.otp = Some(world.path("otp"));
    let built = world.assemble().unwrap();
    for part in Part::ALL {
        assert_eq!(paths(&whole, part), paths(&built, part));
    }
}

#[test]
fn missing_libraries_are_named_with_their_packages() {
    let world = World::new();
    let nif = craft(&Craft {
        machine: X86_64,
        needed: &["libodd.so.3", "libc.so.6"],
        ..Craft::default()
    });
    world.release("lib/shop-1.2.0/priv/shop.so", &nif);
    let error = world.assemble().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the release needs libraries that the toolchain does not hold:\n  \
         `libodd.so.3` (for `app/lib/shop-1.2.0/priv/shop.so`)"
    );
    assert_eq!(
        error.hint().unwrap(),
        "`packages = [\"libodd3\"]` under `[toolchain]`, then `rebeam lock`"
    );
    assert_eq!(error.blame(), Blame::User);
}

#[test]
fn a_library_beside_a_nif_is_found_where_the_nif_looks() {
    let world = World::new();
    let nif = craft(&Craft {
        machine: X86_64,
        needed: &["libodd.so.3"],
        runpath: Some("$ORIGIN/lib"),
        ..Craft::default()
    });
    world.release("lib/shop-1.2.0/priv/shop.so", &nif);
    let odd = craft(&Craft { machine: X86_64, ..Craft::default() });
    world.release("lib/shop-1.2.0/priv/lib/libodd.so.3", &odd);
    let release = world.assemble().unwrap();
    assert!(!release.facts.libraries.contains("libodd.so.3"));
}

#[test]
fn a_symbol_version_that_no_library_defines_is_named() {
    let world = World::new();
    let nif = craft(&Craft {
        machine: X86_64,
        needed: &["libc.so.6"],
        wants: &[("libc.so.6", "GLIBC_2.38")],
        ..Craft::default()
    });
    world.release("lib/shop-1.2.0/priv/shop.so", &nif);
    assert_eq!(
        world.assemble().unwrap_err().to_string(),
        "libraries lack symbol versions that are asked of them:\n  \
         `app/lib/shop-1.2.0/priv/shop.so` asks `libc.so.6` for GLIBC_2.38"
    );
}

#[test]
fn files_of_another_machine_are_listed() {
    let world = World::new();
    world.release(
        "lib/shop-1.2.0/priv/arm.so",
        &craft(&Craft { machine: AARCH64, ..Craft::default() }),
    );
    assert_eq!(
        world.assemble().unwrap_err().to_string(),
        "files of the release are made for another machine than its emulator:\n  `app/lib/shop-1.2.0/priv/arm.so`"
    );
}

#[test]
fn a_release_of_links_is_refused() {
    let world = World::new();
    std::fs::remove_dir_all(world.path("release/lib/shop-1.2.0")).unwrap();
    std::os::unix::fs::symlink("/build/_build/lib/shop", world.path("release/lib/shop-1.2.0"))
        .unwrap();
    let error = world.assemble().unwrap_err();
    assert!(matches!(error, ReleaseError::LinkOutside { .. }), "{error}");
    assert!(error.hint().unwrap().contains("dev_mode"));
}

#[test]
fn what_is_no_release_says_what_is_missing() {
    let said = |change: &dyn Fn(&World)| {
        let world = World::new();
        change(&world);
        let error = world.assemble().unwrap_err().to_string();
        error.split_once("holds no release: ").map_or(error.clone(), |(_, what)| what.to_owned())
    };
    let remove =
        |path: &'static str| move |world: &World| std::fs::remove_file(world.path(path)).unwrap();
    assert_eq!(
        said(&remove("release/releases/1.2.0/start.boot")),
        "`releases/1.2.0` holds neither `start.boot` nor `shop.boot`"
    );
    assert_eq!(
        said(&remove("release/releases/1.2.0/shop.rel")),
        "`releases/1.2.0` holds no `.rel` file"
    );
    assert_eq!(
        said(&|world| std::fs::remove_dir_all(world.path("release/releases")).unwrap()),
        "`releases` is missing or empty"
    );
    assert_eq!(
        said(&|world| world.release("releases/1.2.0/shop.rel", b"{release, nonsense}.")),
        "`releases/1.2.0/shop.rel` is no release resource file"
    );
    assert!(
        said(&|world| world.release("releases/1.2.0/shop.rel", b"{release,"))
            .contains("cannot be read")
    );
    assert!(
        said(&|world| world.release("releases/start_erl.data", b"13 ../../x"))
            .contains("no directory's name")
    );
}

#[test]
fn laid_out_files_are_the_image_s_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let release = world.assemble().unwrap();
    let root = world.path("root");
    std::fs::create_dir(&root).unwrap();
    lay_out(&release, &root).unwrap();
    for component in &release.components {
        for (path, node) in &component.entries {
            let on_disk = path.under(&root);
            let metadata = std::fs::symlink_metadata(&on_disk).unwrap();
            if !metadata.is_symlink() {
                assert_eq!(metadata.permissions().mode() & 0o7777, node.mode, "{path}");
            }
        }
    }
    let lean = std::fs::read(root.join("app/lib/shop-1.2.0/ebin/shop.beam")).unwrap();
    assert_eq!(lean, module(&[(b"Code", b"code")]));
    let loader = std::fs::canonicalize(root.join("usr/lib64/ld-linux-x86-64.so.2")).unwrap();
    assert!(loader.ends_with(format!("{LIB}/ld-linux-x86-64.so.2")));
}

#[test]
fn debug_information_is_kept_where_it_is_wished_for() {
    let mut world = World::new();
    world.manifest.release.keep_debug_info = true;
    let release = world.assemble().unwrap();
    let node = release.get(&at("app/lib/shop-1.2.0/ebin/shop.beam")).unwrap();
    assert!(matches!(node.content, Content::File { .. }));
}

#[test]
fn source_maps_go_with_the_debug_information_and_everything_else_is_kept() {
    let mut world = World::new();
    let www = "lib/shop-1.2.0/priv/www";
    let files = ["app.js", "app.js.gz", "lone.js.map", "treasure.map", "main.css", "world.svg.map"];
    let maps = ["app.js.map", "app.js.map.gz", "main.css.map"];
    for name in files.iter().chain(&maps) {
        world.release(&format!("{www}/{name}"), name.as_bytes());
    }
    let there = |world: &World, name: &str| {
        world.assemble().unwrap().get(&at(&format!("app/{www}/{name}"))).is_some()
    };
    for name in files {
        assert!(there(&world, name), "{name}");
    }
    assert_eq!(maps.map(|name| there(&world, name)), [false; 3]);
    world.manifest.release.keep_debug_info = true;
    assert_eq!(maps.map(|name| there(&world, name)), [true; 3]);
}

#[test]
fn scripts_for_windows_are_left_out_beside_a_shell_too() {
    let mut world = World::new();
    world.manifest.image.shell = Some(Shell::Busybox);
    world.toolchain("usr/bin/busybox", b"busybox");
    for name in ["bin/shop.cmd", "bin/shop.bat", "bin/shop.ps1", "releases/1.2.0/env.bat"] {
        world.release(name, b"@echo off");
    }
    let release = world.assemble().unwrap();
    assert!(release.get(&at("app/bin/shop")).is_some());
    for name in ["bin/shop.cmd", "bin/shop.bat", "bin/shop.ps1", "releases/1.2.0/env.bat"] {
        assert!(release.get(&at(&format!("app/{name}"))).is_none(), "{name}");
    }
}

#[test]
fn the_boot_room_starts_the_node_as_the_image_does() {
    let world = World::new();
    let release = world.assemble().unwrap();
    let room =
        boot_room(&release, &world.path("root"), (65532, 65532), 30, crate::sandbox::Level::Userns);
    assert_eq!(room.argv, release.start.entrypoint);
    assert!(room.env["ERL_ZFLAGS"].starts_with("-eval '"));
    assert_eq!(room.cwd, "/app");
    assert_eq!(room.reach, crate::sandbox::Reach::Closed);
}

#[test]
fn the_bundle_of_trust_comes_with_tls() {
    let mut world = World::new();
    let path = at("etc/ssl/certs/ca-certificates.crt");
    world.toolchain("etc/ssl/certs/ca-certificates.crt", b"-----BEGIN CERTIFICATE-----\n");
    assert!(world.assemble().unwrap().get(&path).is_none());
    world.manifest.image.ca_certificates = Some(true);
    assert!(world.assemble().unwrap().get(&path).is_some());
    std::fs::remove_file(world.path("toolchain/etc/ssl/certs/ca-certificates.crt")).unwrap();
    let error = world.assemble().unwrap_err();
    assert!(error.hint().unwrap().contains("\"ca-certificates\""), "{error}");
}

#[test]
fn time_zones_are_taken_once() {
    let mut world = World::new();
    world.toolchain("usr/share/zoneinfo/Europe/Berlin", b"TZif");
    world.toolchain("usr/share/zoneinfo/right/Europe/Berlin", b"TZif");
    for name in ["zone.tab", "tzdata.zi", "leapseconds", "leap-seconds.list"] {
        world.toolchain(&format!("usr/share/zoneinfo/{name}"), b"# text");
    }
    world.manifest.image.tzdata = true;
    let release = world.assemble().unwrap();
    assert!(release.get(&at("usr/share/zoneinfo/Europe/Berlin")).is_some());
    assert!(release.get(&at("usr/share/zoneinfo/zone.tab")).is_some());
    for name in ["right", "tzdata.zi", "leapseconds", "leap-seconds.list"] {
        assert!(release.get(&at(&format!("usr/share/zoneinfo/{name}"))).is_none(), "{name}");
    }
}
