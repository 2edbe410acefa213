//! Place: where on the host things stand, and where inside they are to be seen.

use std::path::Path;

use super::{Access, Reach, Room, SandboxError};

/// Links followed to find the place of a mount.
const LINKS_MAX: usize = 40;
/// Places that hide nothing of ours when the new root is put together on top of them.
const BASES: [&str; 6] = ["/sys", "/mnt", "/media", "/srv", "/boot", "/tmp"];

/// What stands at a path of the host; links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    Missing,
    File,
    Link(String),
    Directory,
}

/// What the plan asks of the host; tests answer with a host of their own.
pub(super) trait Host {
    /// Looks at a path.
    fn look(&self, path: &Path) -> Result<Look, SandboxError>;
    /// Lists the names in a directory.
    fn names(&self, path: &Path) -> Result<Vec<String>, SandboxError>;
}

/// A mount whose place has been found.
pub(super) struct Placed {
    pub(super) host: String,
    pub(super) inside: String,
    pub(super) directory: bool,
    pub(super) access: Access,
}

/// Finds the place of each mount, outer ones first.
pub(super) fn placed(room: &Room, host: &dyn Host) -> Result<Vec<Placed>, SandboxError> {
    let mut placed = Vec::new();
    for mount in &room.mounts {
        let directory = match host.look(&mount.host)? {
            Look::Directory => true,
            Look::File => false,
            Look::Link(_) | Look::Missing => {
                let reason = format!("`{}` is not there to be mounted", mount.host.display());
                return Err(SandboxError::BadRoom { reason });
            }
        };
        placed.push(Placed {
            host: text(&mount.host)?.to_owned(),
            inside: resolve(&room.root, &mount.inside, host)?,
            directory,
            access: mount.access,
        });
    }
    let resolver = Path::new("/etc/resolv.conf");
    if room.reach == Reach::Host && host.look(resolver)? == Look::File {
        placed.push(Placed {
            host: "/etc/resolv.conf".into(),
            inside: resolve(&room.root, "/etc/resolv.conf", host)?,
            directory: false,
            access: Access::ReadOnly,
        });
    }
    placed.sort_by(|a, b| a.inside.cmp(&b.inside));
    if let Some(pair) = placed.windows(2).find(|pair| pair[0].inside == pair[1].inside) {
        let reason = format!("`{}` is mounted twice", pair[0].inside);
        return Err(SandboxError::BadRoom { reason });
    }
    Ok(placed)
}

/// Follows the links of the root on the way to a place, without ever leaving the root.
fn resolve(root: &Path, inside: &str, host: &dyn Host) -> Result<String, SandboxError> {
    let mut rest: Vec<String> = parts(inside).rev().collect();
    let mut done: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == ".." {
            done.pop();
            continue;
        }
        done.push(part);
        if let Look::Link(target) = host.look(&root.join(done.join("/")))? {
            links += 1;
            if links > LINKS_MAX {
                let reason = format!("`{inside}` passes more than {LINKS_MAX} links");
                return Err(SandboxError::BadRoom { reason });
            }
            if target.starts_with('/') {
                done.clear();
            } else {
                done.pop();
            }
            rest.extend(parts(&target).rev());
        }
    }
    Ok(format!("/{}", done.join("/")))
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = String> {
    let real = |part: &&str| !part.is_empty() && *part != ".";
    path.split('/').filter(real).map(str::to_owned)
}

pub(super) fn text(path: &Path) -> Result<&str, SandboxError> {
    path.to_str().ok_or_else(|| SandboxError::BadRoom {
        reason: format!("`{}` is not UTF-8", path.display()),
    })
}

/// Finds a directory of the host under which nothing lies that the room needs.
pub(super) fn base(
    room: &Room,
    mounts: &[Placed],
    host: &dyn Host,
) -> Result<String, SandboxError> {
    for base in BASES {
        let hides = |host: &Path| host.starts_with(base);
        let needed = hides(&room.root) || mounts.iter().any(|mount| hides(Path::new(&mount.host)));
        if !needed && matches!(host.look(Path::new(base))?, Look::Directory) {
            return Ok(base.to_owned());
        }
    }
    Err(SandboxError::BadRoom {
        reason: format!("none of {} is a directory to build the root on", BASES.join(", ")),
    })
}

/// Tells whether a path lies below another.
pub(super) fn within(path: &str, outer: &str) -> bool {
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| rest.starts_with('/'))
}
