//! Fix-ups: what the packages' scripts would have done in a root, done natively.
//!
//! The root's files are second names of files in the store: nothing here writes into one that is there.

use std::io::Read as _;
use std::path::Path;

use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;

use super::ToolchainError;
use super::unpack::MERGED;

/// Links that update-alternatives would have made: the first target that is there is taken.
const ALTERNATIVES: [(&str, &[&str]); 11] = [
    ("usr/bin/awk", &["gawk", "mawk"]),
    ("usr/bin/nawk", &["gawk", "mawk"]),
    ("usr/bin/cc", &["gcc"]),
    ("usr/bin/c++", &["g++"]),
    ("usr/bin/c89", &["c89-gcc"]),
    ("usr/bin/c99", &["c99-gcc"]),
    ("usr/bin/which", &["which.debianutils"]),
    ("usr/bin/pkg-config", &["pkgconf"]),
    ("usr/bin/lzma", &["xz"]),
    ("usr/bin/unlzma", &["unxz"]),
    ("usr/bin/m4", &["gm4"]),
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
    (
        "etc/hosts",
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    ),
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
    for (link, targets) in ALTERNATIVES {
        let directory = root.join("usr/bin");
        let target = targets
            .iter()
            .find(|target| disk::exists(&directory.join(target)));
        if let Some(target) = target {
            link_if_free(&root.join(link), target)?;
        }
    }
    for (path, text) in FILES {
        write(&root.join(path), text.as_bytes())?;
    }
    if disk::exists(&root.join("usr/share/zoneinfo/Etc/UTC")) {
        disk::remove_file(&root.join("etc/localtime"))?;
        disk::symlink(b"/usr/share/zoneinfo/Etc/UTC", &root.join("etc/localtime"))?;
    }
    certificates(root)
}

fn link_if_free(link: &Path, target: &str) -> Result<(), ToolchainError> {
    if !disk::exists(link) {
        disk::symlink(target.as_bytes(), link)?;
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
