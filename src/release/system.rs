//! System: the few files of an operating system that a release looks for.

use std::collections::BTreeMap;
use std::path::Path;

use super::closure::{merged, resolve};
use super::start::USER_HOME;
use super::{Content, HOME, Node, ReleaseError, at, head};
use crate::disk;
use crate::limits::FILE_BYTES_MAX;
use crate::manifest::{ImageWish, Shell};
use crate::tree::{self, Entry, RelPath};

pub(super) const CA_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
const ZONES: &str = "usr/share/zoneinfo";
/// What stands beside the zones and serves no node: what they were compiled from, a quarter of them all, and the leap
/// seconds, which only servers of time reckon with.
const NOT_ZONES: [&[u8]; 3] = [b"tzdata.zi", b"leapseconds", b"leap-seconds.list"];
/// The names that a release's own script calls, and `remote_console` by hand.
const APPLETS: [&str; 51] = [
    "awk", "basename", "cat", "chmod", "cp", "cut", "date", "dd", "dirname", "echo", "env", "expr",
    "false", "find", "grep", "head", "hostname", "id", "kill", "ln", "ls", "mkdir", "mkfifo", "mv",
    "od", "printf", "ps", "pwd", "readlink", "realpath", "rm", "sed", "sh", "sleep", "sort",
    "stat", "stty", "tail", "tee", "test", "touch", "tr", "true", "tty", "uname", "uniq", "vi",
    "wc", "which", "whoami", "xargs",
];

/// Terminals that people sit at.
const TERMINALS: [&str; 9] = [
    "dumb",
    "linux",
    "screen",
    "screen-256color",
    "tmux-256color",
    "vt100",
    "vt220",
    "xterm",
    "xterm-256color",
];

type Entries = BTreeMap<RelPath, Node>;

/// Makes what does not depend on the release: users, names, directories.
pub(super) fn base(image: &ImageWish) -> Entries {
    let mut entries = Entries::new();
    for name in ["lib", "bin"] {
        entries.insert(at(name), Node::link(format!("usr/{name}")));
    }
    let (passwd, group) = users(image.user);
    entries.insert(at("etc/passwd"), Node::text(passwd));
    entries.insert(at("etc/group"), Node::text(group));
    entries.insert(
        at("etc/nsswitch.conf"),
        Node::text("passwd: files\ngroup: files\nhosts: files dns\n"),
    );
    entries
        .insert(at("etc/hosts"), Node::text("127.0.0.1 localhost\n::1 localhost ip6-localhost\n"));
    entries.insert(at("usr/bin"), Node::directory());
    entries.insert(at("usr/lib"), Node::directory());
    let shared = Node { mode: 0o1777, ..Node::directory() };
    entries.insert(at("tmp"), shared);
    let home = if image.user.0 == 0 { "root" } else { USER_HOME };
    entries.insert(at(home), own_directory(image.user, 0o750));
    // Most logging libraries write below the working directory.
    let log = at(HOME).join(b"log").expect("it is short");
    entries.insert(log, own_directory(image.user, 0o755));
    for volume in &image.volumes {
        if let Ok(path) = RelPath::new(volume.trim_matches('/')) {
            // What stands already keeps its mode: `/tmp` is everyone's.
            entries.entry(merged(&path)).or_insert_with(|| own_directory(image.user, 0o755));
        }
    }
    entries
}

/// Makes a directory that the release may write to.
pub(super) fn own_directory(user: (u32, u32), mode: u32) -> Node {
    Node { mode, ..Node::directory() }.owned_by(user)
}

fn users(user: (u32, u32)) -> (String, String) {
    let mut passwd = "root:x:0:0:root:/root:/bin/sh\n".to_owned();
    let mut group = "root:x:0:\n".to_owned();
    let (uid, gid) = user;
    if uid != 0 && uid != 65534 {
        passwd += &format!("app:x:{uid}:{gid}:app:/{USER_HOME}:/bin/sh\n");
    }
    if gid != 0 && gid != 65534 {
        group += &format!("app:x:{gid}:\n");
    }
    passwd += "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    group += "nogroup:x:65534:\n";
    (passwd, group)
}

/// Takes what was wished for out of the toolchain's root. `tls` tells whether the release holds `ssl`.
pub(super) fn wished(
    image: &ImageWish,
    toolchain: &Path,
    shell: Shell,
    tls: bool,
) -> Result<Entries, ReleaseError> {
    let mut entries = Entries::new();
    let bundle = resolve(toolchain, &at(CA_BUNDLE))?;
    match (image.ca_certificates, bundle) {
        (Some(false), _) => {}
        (Some(true), None) => {
            return Err(ReleaseError::NoSystemFile {
                path: CA_BUNDLE.into(),
                wish: "ca_certificates",
                package: "ca-certificates",
            });
        }
        (wish, Some(bundle)) if tls || wish == Some(true) => {
            entries.insert(at(CA_BUNDLE), file(&bundle.under(toolchain), false)?);
        }
        (None | Some(true), _) => {}
    }
    if image.tzdata {
        zones(toolchain, &mut entries)?;
    }
    if shell == Shell::Busybox {
        let busybox = resolve(toolchain, &at("usr/bin/busybox"))?;
        let busybox = busybox.ok_or(ReleaseError::NoSystemFile {
            path: "usr/bin/busybox".into(),
            wish: "shell",
            package: "busybox-static",
        })?;
        entries.insert(at("usr/bin/busybox"), file(&busybox.under(toolchain), true)?);
        for applet in APPLETS {
            entries.insert(at(&format!("usr/bin/{applet}")), Node::link("busybox"));
        }
        terminals(toolchain, &mut entries)?;
    }
    Ok(entries)
}

/// Takes the descriptions of common terminals: without its own, Erlang's shell falls back to one that
/// cannot reach another node.
fn terminals(toolchain: &Path, entries: &mut Entries) -> Result<(), ReleaseError> {
    for terminal in TERMINALS {
        for directory in ["usr/lib/terminfo", "usr/share/terminfo"] {
            let first = &terminal[..1];
            let place = at(&format!("{directory}/{first}/{terminal}"));
            if let Some(real) = resolve(toolchain, &place)? {
                entries.insert(place, file(&real.under(toolchain), false)?);
                break;
            }
        }
    }
    Ok(())
}

fn zones(toolchain: &Path, entries: &mut Entries) -> Result<(), ReleaseError> {
    let missing =
        || ReleaseError::NoSystemFile { path: ZONES.into(), wish: "tzdata", package: "tzdata" };
    let root = resolve(toolchain, &at(ZONES))?.ok_or_else(missing)?;
    let root = root.under(toolchain);
    // `posix` repeats everything, and `right` counts leap seconds, which nothing asks for.
    let scan = tree::scan(&root, &["posix", "right"])?;
    for (path, entry) in scan.tree.entries() {
        if NOT_ZONES.contains(&path.as_bytes()) {
            continue;
        }
        let place = at(ZONES).join(path.as_bytes())?;
        let node = match entry {
            Entry::Directory => Node::directory(),
            Entry::Symlink { target } => Node::link(target.clone()),
            Entry::File { size, digest, .. } => {
                let (path, size, digest) = (path.under(&root), *size, *digest);
                // The lists beside the zones are text.
                let is_zone = head(&path)?.starts_with(b"TZif");
                let content = match is_zone {
                    true => Content::Zone { path, digest },
                    false => Content::File { path, size, digest },
                };
                Node::text("").with(content)
            }
        };
        entries.insert(place, node);
    }
    Ok(())
}

/// Makes an entry of a file of the toolchain.
pub(super) fn file(path: &Path, executable: bool) -> Result<Node, ReleaseError> {
    let bytes = disk::read(path, FILE_BYTES_MAX)?;
    let content = Content::File {
        path: path.to_owned(),
        size: bytes.len() as u64,
        digest: crate::digest::Digest::of(&bytes),
    };
    let mode = if executable { 0o755 } else { 0o644 };
    Ok(Node { mode, ..Node::text("") }.with(content))
}
