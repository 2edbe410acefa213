//! Follow: links followed inside a directory as if it were `/`, whoever wrote them, and never on this machine.

use std::path::Path;

use super::{RelPath, TreeError};
use crate::disk::{self, Kind};

/// Links followed on one way.
const LINKS_MAX: usize = 40;

/// Where a way leads, its links followed. No part of a path in here is a link; none is the directory itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Something stands there.
    Stands(Option<RelPath>),
    /// Nothing stands there; what of the way does not exist is taken as it is named.
    Missing(Option<RelPath>),
    /// The links lead in a circle.
    Nowhere,
}

/// Follows the links of `path`, the last part's too, below `root`. `..` stops at the root, as it does at `/`.
pub fn follow(root: &Path, path: &RelPath) -> Result<Followed, TreeError> {
    let mut ahead: Vec<Vec<u8>> = reversed(path.as_bytes()).collect();
    let mut done: Vec<Vec<u8>> = Vec::new();
    let (mut links, mut stands) = (0, true);
    while let Some(part) = ahead.pop() {
        match part.as_slice() {
            b"" | b"." => continue,
            b".." => {
                done.pop();
                continue;
            }
            _ => done.push(part),
        }
        let on_disk = RelPath::new(done.join(&b'/'))?.under(root);
        match disk::status(&on_disk)?.map(|status| status.kind) {
            None => stands = false,
            Some(Kind::Symlink) => {
                links += 1;
                if links > LINKS_MAX {
                    return Ok(Followed::Nowhere);
                }
                let target = disk::read_link(&on_disk)?;
                done.pop();
                if target.starts_with(b"/") {
                    done.clear();
                }
                ahead.extend(reversed(&target));
            }
            Some(_) => {}
        }
    }
    let place = match done.as_slice() {
        [] => None,
        parts => Some(RelPath::new(parts.join(&b'/'))?),
    };
    Ok(if stands { Followed::Stands(place) } else { Followed::Missing(place) })
}

fn reversed(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.rsplit(|byte| *byte == b'/').map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_root_alone() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str| std::fs::create_dir_all(root.path().join(path)).unwrap();
        let link = |target: &str, path: &str| {
            std::os::unix::fs::symlink(target, root.path().join(path)).unwrap();
        };
        make("usr/lib/x");
        std::fs::write(root.path().join("usr/lib/x/liba.so.1.2"), "").unwrap();
        link("usr/lib", "lib");
        link("liba.so.1.2", "usr/lib/x/liba.so.1");
        link("/lib/x/liba.so.1", "usr/lib/x/liba.so");
        link("../../../../../../usr/lib/x/liba.so", "usr/up");
        link("round", "usr/round");
        link("/", "usr/top");
        let path = |path: &str| RelPath::new(path).unwrap();
        let found = |at: &str| follow(root.path(), &path(at)).unwrap();
        let real = Followed::Stands(Some(path("usr/lib/x/liba.so.1.2")));
        assert_eq!(found("lib/x/liba.so"), real);
        assert_eq!(found("usr/up"), real);
        assert_eq!(found("usr/top"), Followed::Stands(None));
        assert_eq!(found("usr/round"), Followed::Nowhere);
        assert_eq!(found("usr/none"), Followed::Missing(Some(path("usr/none"))));
        assert_eq!(found("lib/none/y"), Followed::Missing(Some(path("usr/lib/none/y"))));
    }
}
