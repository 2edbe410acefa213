//! Fix-ups: what the packages' scripts would have done in a root, done natively.
//!
//! The root's files are second names of files in the store: nothing here writes into one that is there.

use std::io::Read as _;
use std::path::Path;

use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;

use super::ToolchainError;
use super::unpack::MERGED;

/// Links in `usr/bin` that update-alternatives would have made: the first target that is there is taken.
/// A `*` at a target's end stands for a version.
const ALTERNATIVES: [(&str, &[&str]); 12] = [
    ("aclocal", &["aclocal-*"]),
    ("automake", &["automake-*"]),
    ("awk", &["gawk", "mawk"]),
    ("c++", &["g++"]),
    ("c89", &["c89-gcc"]),
    ("c99", &["c99-gcc"]),
    ("cc", &["gcc"]),
    ("lzma", &["xz"]),
    ("nawk", &["gawk", "mawk"]),
    ("unlzma", &["unxz"]),
    ("which", &["which.debianutils"]),
    ("yacc", &["bison.yacc"]),
];

/// Directories that a running system expects.
const DIRECTORIES: [&str; 14] = [
    "build", "dev", "etc", "home", "proc", "root", "run", "srv", "sys", "tmp", "usr/bin",
    "usr/lib", "var/lib", "var/tmp",
];

/// Files of a system's configuration.
const FILES: [(&str, &str); 5] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\n\
         build:x:1000:1000:build:/build:/bin/sh\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("etc/group", "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"),
    (
        "etc/nsswitch.conf",
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
         protocols: files\nservices: files\n",
    ),
    ("etc/timezone", "Etc/UTC\n"),
];

/// Where the package of certificates puts them, and where programs look for their concatenation.
const CERTIFICATES: &str = "usr/share/ca-certificates/mozilla";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Does everything that is left to do in the merged root.
pub(super) fn apply(root: &Path) -> Result<(), ToolchainError> {
    for directory in DIRECTORIES {
        disk::create_dir_all(&root.join(directory))?;
    }
    for name in MERGED {
        let name = std::str::from_utf8(name).expect("the names are ASCII");
        let target = format!("usr/{name}");
        if disk::exists(&root.join(&target)) {
            disk::symlink(target.as_bytes(), &root.join(name))?;
        }
    }
    alternatives(&root.join("usr/bin"))?;
    for (path, text) in FILES {
        write(&root.join(path), text.as_bytes())?;
    }
    if disk::exists(&root.join("usr/share/zoneinfo/Etc/UTC")) {
        disk::remove_file(&root.join("etc/localtime"))?;
        disk::symlink(b"/usr/share/zoneinfo/Etc/UTC", &root.join("etc/localtime"))?;
    }
    certificates(root)
}

fn alternatives(directory: &Path) -> Result<(), ToolchainError> {
    let names = disk::list(directory)?;
    for (link, targets) in ALTERNATIVES {
        let found = targets.iter().find_map(|target| match target.strip_suffix('*') {
            Some(start) => names.iter().rfind(|name| name.starts_with(start.as_bytes())),
            None => names.iter().find(|name| *name == target.as_bytes()),
        });
        let path = directory.join(link);
        if let Some(target) = found.filter(|_| !disk::exists(&path)) {
            disk::symlink(target, &path)?;
        }
    }
    Ok(())
}

/// Writes a file of our own, in place of a package's where one is there.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ToolchainError> {
    disk::remove_file(path)?;
    let mut file = disk::create_new(path, false)?;
    Ok(disk::write_all(&mut file, path, bytes)?)
}

/// Concatenates the certificates in order of their names.
fn certificates(root: &Path) -> Result<(), ToolchainError> {
    let directory = root.join(CERTIFICATES);
    if !disk::exists(&directory) {
        return Ok(());
    }
    let mut bundle = Vec::new();
    for name in disk::list(&directory)? {
        let name = String::from_utf8_lossy(&name).into_owned();
        if name.ends_with(".crt") {
            let path = directory.join(&name);
            let file = disk::open(&path)?;
            file.take(TEXT_FILE_BYTES_MAX)
                .read_to_end(&mut bundle)
                .map_err(disk::refused("read", &path))?;
            if bundle.last().is_some_and(|last| *last != b'\n') {
                bundle.push(b'\n');
            }
        }
    }
    disk::create_dir_all(&root.join("etc/ssl/certs"))?;
    write(&root.join(BUNDLE), &bundle)
}
