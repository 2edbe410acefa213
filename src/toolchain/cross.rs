//! Cross: the roots by which a toolchain makes things for another machine.
//!
//! The *target* is a root of that machine's OTP, libraries and data, out of which images are put together. The *cross root*
//! is the toolchain's own with compilers for that machine in it, and with the libraries and headers of the target
//! where those compilers look for them: in the directories that bear the machine's name, and, for Erlang's own
//! library and the headers that tell sizes, in OTP's home.

use std::path::{Path, PathBuf};

use crate::disk;
use crate::event::Observer;
use crate::fetch::debian::{self, Architecture, EMULATORS};
use crate::http::Http;
use crate::lock::{Deb, PlatformLock, ToolchainLock};
use crate::store::{BuildKey, HeldTree, Record, Store, TREE_TIME};
use crate::tree::{self, Entry, Placement, RelPath, Tree};

use super::{Toolchain, ToolchainError, fixups, merge, recall, toolchain, unpack};

/// The version of how a cross root is put together.
const RECIPE: u32 = 2;
/// OTP's home.
const OTP: &[u8] = b"usr/lib/erlang/";
/// The name of an emulator in the store.
const PROGRAM: &str = "emulator";
/// What tells CMake about the machine, in the cross root.
pub const CMAKE_FILE: &str = "/usr/share/rebeam/cross.cmake";
/// Where the cross compilers bear the plain names, in the cross root.
pub const PLAIN_NAMES: &str = "/usr/share/rebeam/bin";
/// The plain names. Not those of assembler and linker, which the toolchain's own compiler calls so.
const PLAIN: [(&str, &str); 7] = [
    ("ar", "ar"),
    ("c++", "g++"),
    ("cc", "gcc"),
    ("g++", "g++"),
    ("gcc", "gcc"),
    ("ranlib", "ranlib"),
    ("strip", "strip"),
];

/// Returns the root of another machine's OTP, libraries and data.
pub fn target(
    lock: &ToolchainLock,
    platform: &PlatformLock,
    store: &Store,
    web: (&Http, &dyn Observer),
) -> Result<Toolchain, ToolchainError> {
    let debs = platform.debs.clone();
    let wished = Vec::new();
    let lock = ToolchainLock { debs, wished, otp: lock.otp.clone(), suite: lock.suite.clone() };
    toolchain(&lock, store, web.0, web.1)
}

/// Returns the root in which native code is compiled for another machine.
pub fn cross(
    lock: &ToolchainLock,
    platform: &PlatformLock,
    store: &Store,
    (http, observer): (&Http, &dyn Observer),
) -> Result<Toolchain, ToolchainError> {
    let (own, inputs) = cross_inputs(lock, platform);
    let key = BuildKey::of(&inputs);
    if let Some(found) = recall(key, store)? {
        return Ok(found);
    }
    let _lock = store.lock_step(key)?;
    if let Some(found) = recall(key, store)? {
        return Ok(found);
    }
    let packages = unpack::packages(&own.debs, store, http, observer)?;
    let foreign = unpack::packages(&platform.debs, store, http, observer)?;
    let scratch = store.scratch()?;
    let root = scratch.path().join("root");
    let owners = merge::merge(&packages, store, &root)?;
    let machine = machine(platform);
    for package in &foreign {
        overlay(&package.tree, machine.triplet(), store, &root)?;
    }
    fixups::apply(&root)?;
    let cmake = root.join(CMAKE_FILE.trim_start_matches('/'));
    disk::create_dir_all(cmake.parent().expect("the file stands in a directory"))?;
    let mut file = disk::create_new(&cmake, false)?;
    disk::write_all(&mut file, &cmake, cmake_text(machine).as_bytes())?;
    drop(file);
    let plain = root.join(PLAIN_NAMES.trim_start_matches('/'));
    disk::create_dir_all(&plain)?;
    for (name, tool) in PLAIN {
        let target = format!("/usr/bin/{}-{tool}", machine.triplet());
        disk::symlink(target.as_bytes(), &plain.join(name))?;
    }
    let root = store.insert_tree("the cross toolchain", &root, None)?;
    let owners = owners.write(store)?;
    let outputs = vec![("root".into(), root.digest()), ("owners".into(), owners.digest())];
    store.remember(key, &Record { inputs, outputs })?;
    Ok(Toolchain { root, owners, key })
}

/// Returns the packages of the cross root, and the canonical text of what decides it.
fn cross_inputs(lock: &ToolchainLock, platform: &PlatformLock) -> (ToolchainLock, String) {
    let mut debs: Vec<Deb> = lock.debs.clone();
    debs.extend(platform.tools.iter().filter(|deb| !is_emulator(deb)).cloned());
    debs.sort();
    let own = ToolchainLock { debs, ..lock.clone() };
    let mut inputs = format!("cross recipe {RECIPE} for {}\n", platform.platform.name());
    inputs += &super::inputs(&own);
    for deb in &platform.debs {
        inputs += &format!("foreign {} {}\n", deb.package, deb.sha256);
    }
    (own, inputs)
}

/// Returns the cross root if the store has it already.
pub fn known_cross(
    lock: &ToolchainLock,
    platform: &PlatformLock,
    store: &Store,
) -> Result<Option<Toolchain>, ToolchainError> {
    recall(BuildKey::of(&cross_inputs(lock, platform).1), store)
}

fn machine(platform: &PlatformLock) -> Architecture {
    Architecture::from_name(platform.platform.short()).expect("Debian builds for every platform")
}

/// Lays what compilers for the other machine look for over the root, in place of the toolchain's own.
fn overlay(
    package: &HeldTree,
    triplet: &str,
    store: &Store,
    root: &Path,
) -> Result<(), ToolchainError> {
    let mut new = Tree::default();
    for (path, entry) in store.listing(package)?.entries() {
        if *entry == Entry::Directory || !is_for_compilers(path, triplet) {
            continue;
        }
        let on_disk = path.under(root);
        disk::create_dir_all(on_disk.parent().expect("the file stands in a directory"))?;
        disk::remove_file(&on_disk)?;
        new.insert(path.clone(), entry.clone());
    }
    Ok(tree::place(&new, package.path(), root, Placement::HardLink, TREE_TIME)?)
}

/// Tells whether a compiler for the machine reads a file of its packages.
fn is_for_compilers(path: &RelPath, triplet: &str) -> bool {
    let path = path.as_bytes();
    let below = |directory: &str| path.starts_with(format!("{directory}/{triplet}/").as_bytes());
    let of_otp = path.starts_with(OTP) && (path.ends_with(b".h") || path.ends_with(b".a"));
    below("usr/lib") || below("usr/include") || of_otp
}

fn cmake_text(machine: Architecture) -> String {
    let triplet = machine.triplet();
    let processor = triplet.split('-').next().unwrap_or_default();
    format!(
        "set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR {processor})\n\
         set(CMAKE_C_COMPILER {triplet}-gcc)\nset(CMAKE_CXX_COMPILER {triplet}-g++)\n\
         set(CMAKE_LIBRARY_ARCHITECTURE {triplet})\nset(CMAKE_FIND_ROOT_PATH /usr/{triplet} /)\n\
         set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)\n"
    )
}

fn is_emulator(deb: &Deb) -> bool {
    deb.package == EMULATORS.0
}

/// Returns the emulator of another machine's programs, a static program of this one; none where the lock has none.
///
/// It is the one file of its package that is unpacked: the others are for thirty more machines.
pub fn emulator(
    platform: &PlatformLock,
    store: &Store,
    (http, observer): (&Http, &dyn Observer),
) -> Result<Option<Emulator>, ToolchainError> {
    let Some(deb) = platform.tools.iter().find(|deb| is_emulator(deb)) else {
        return Ok(None);
    };
    let name = match machine(platform) {
        Architecture::Amd64 => "qemu-x86_64",
        Architecture::Arm64 => "qemu-aarch64",
        Architecture::Armhf => "qemu-arm",
    };
    let inputs = format!("emulator recipe {RECIPE} {name}\ndeb {}\n", deb.sha256);
    let key = BuildKey::of(&inputs);
    let recalled = match store.recall(key)?.and_then(|record| record.outputs.first().cloned()) {
        Some((_, digest)) => store.tree(digest)?,
        None => None,
    };
    let tree = match recalled {
        Some(tree) => tree,
        None => {
            let file = debian::fetch(deb, store, http, observer)?;
            let scratch = store.scratch()?;
            let target = scratch.path().join("tree");
            disk::create_dir(&target)?;
            let wanted = format!("usr/bin/{name}");
            let only =
                |path: RelPath| (path.as_bytes() == wanted.as_bytes()).then(|| called(PROGRAM));
            debian::unpack(&super::spoken(deb), &file, &target, &only)?;
            let tree = store.insert_tree(name, &target, None)?;
            let outputs = vec![("tree".into(), tree.digest())];
            store.remember(key, &Record { inputs, outputs })?;
            tree
        }
    };
    let program = tree.path().join(PROGRAM);
    Ok(disk::exists(&program).then_some(Emulator { program, tree, key }))
}

/// A program that runs another machine's programs.
#[derive(Debug, Clone)]
pub struct Emulator {
    /// Where it stands.
    pub program: PathBuf,
    /// The tree of the store that holds it.
    pub tree: HeldTree,
    /// What went in.
    pub key: BuildKey,
}

fn called(name: &str) -> RelPath {
    RelPath::new(name).expect("a plain name is a path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_get_what_bears_the_machines_name_and_otps_library_and_headers() {
        let is = |path: &str| is_for_compilers(&RelPath::new(path).unwrap(), "aarch64-linux-gnu");
        for path in [
            "usr/lib/aarch64-linux-gnu/libssl.so",
            "usr/lib/aarch64-linux-gnu/pkgconfig/x.pc",
            "usr/include/aarch64-linux-gnu/openssl/opensslconf.h",
            "usr/lib/erlang/lib/erl_interface-5.3/lib/libei.a",
            "usr/lib/erlang/usr/include/erl_int_sizes_config.h",
        ] {
            assert!(is(path), "{path}");
        }
        for path in [
            "usr/lib/erlang/erts-13.1.5/bin/beam.smp",
            "usr/lib/erlang/lib/crypto-5.1/ebin/crypto.beam",
            "usr/lib/x86_64-linux-gnu/libssl.so",
            "usr/include/expat.h",
            "usr/bin/busybox",
        ] {
            assert!(!is(path), "{path}");
        }
    }
}
