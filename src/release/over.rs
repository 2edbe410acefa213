//! Over: a release that is laid over a base brings what the base lacks.
//!
//! What the base has of a system counts: its users, certificates, zones, shell, and its libraries where it has a loader for
//! our programs. A way that the base leads through a link is followed, so that no directory of ours hides what
//! stands behind it.

use std::collections::BTreeMap;
use std::path::Path;

use super::closure::resolve;
use super::{Component, Content, Node, Part, ReleaseError};
use crate::disk::{self, Kind};
use crate::tree::RelPath;

/// Leaves out of a release what the base has, and moves what is left to where the base's links lead.
pub(super) fn over(
    components: Vec<Component>,
    base: &Path,
) -> Result<Vec<Component>, ReleaseError> {
    let mut left = Vec::new();
    for Component { part, entries } in components {
        let mut kept = BTreeMap::new();
        for (path, node) in entries {
            let place = place_of(&path, base)?;
            let stands = disk::status(&place.under(base))?.map(|status| status.kind);
            if !is_there(part, &node, stands, (base, &place))? {
                kept.insert(place, node);
            }
        }
        if !kept.is_empty() {
            left.push(Component { part, entries: kept });
        }
    }
    Ok(left)
}

/// Tells whether the base has what an entry is for.
fn is_there(
    part: Part,
    node: &Node,
    stands: Option<Kind>,
    (base, place): (&Path, &RelPath),
) -> Result<bool, ReleaseError> {
    let is_plain = (node.mode, node.uid, node.gid) == (0o755, 0, 0);
    Ok(match (&node.content, stands) {
        (_, None) => false,
        // A directory of the user's own becomes that; `/tmp` is everyone's in each base.
        (Content::Directory, Some(Kind::Directory)) => is_plain || node.mode == 0o1777,
        (Content::Directory, Some(Kind::Symlink)) => match resolve(base, place)? {
            Some(real) => is_directory(base, &real)?,
            None => return Err(in_the_way(place)),
        },
        (Content::Directory, Some(_)) => return Err(in_the_way(place)),
        (_, Some(_)) => part == Part::System,
    })
}

fn is_directory(base: &Path, path: &RelPath) -> Result<bool, ReleaseError> {
    let status = disk::status(&path.under(base))?;
    Ok(status.is_some_and(|status| status.kind == Kind::Directory))
}

/// Returns where a path stands once the base's links on the way to it are followed.
fn place_of(path: &RelPath, base: &Path) -> Result<RelPath, ReleaseError> {
    let Some(parent) = path.parent() else {
        return Ok(path.clone());
    };
    let mut real: Option<RelPath> = None;
    for part in parent.components() {
        let next = match &real {
            Some(above) => above.join(part)?,
            None => RelPath::new(part)?,
        };
        real = Some(match disk::status(&next.under(base))?.map(|status| status.kind) {
            None | Some(Kind::Directory) => next,
            Some(Kind::Symlink) => match resolve(base, &next)? {
                Some(led) if is_directory(base, &led)? => led,
                _ => return Err(in_the_way(&next)),
            },
            Some(_) => return Err(in_the_way(&next)),
        });
    }
    Ok(real.expect("a parent has a part").join(path.name())?)
}

fn in_the_way(path: &RelPath) -> ReleaseError {
    ReleaseError::BaseInTheWay { path: path.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::at;
    use super::*;

    #[test]
    fn what_the_base_has_is_left_out_and_its_links_are_followed() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path();
        for directory in ["usr/lib", "etc", "data/real", "tmp"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        std::fs::write(root.join("etc/passwd"), "theirs").unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        for (target, link) in
            [("usr/lib", "lib"), ("/data/real", "srv"), ("..", "up"), ("/none", "gone")]
        {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        let own = Node { mode: 0o750, ..Node::directory() }.owned_by((1, 1));
        let system = [
            ("lib", Node::link("usr/lib")),
            ("etc", Node::directory()),
            ("etc/passwd", Node::text("ours")),
            ("etc/hosts", Node::text("ours")),
            ("lib/x.so", Node::text("x")),
            ("srv/log", own.clone()),
            ("tmp", Node { mode: 0o1777, ..Node::directory() }),
            ("data", own),
        ];
        let component = |part, entries: &[(&str, Node)]| Component {
            part,
            entries: entries.iter().map(|(path, node)| (at(path), node.clone())).collect(),
        };
        let app = [("etc", Node::directory()), ("etc/passwd", Node::text("the project's own"))];
        let parts = vec![component(Part::System, &system), component(Part::App, &app)];
        let left = over(parts, root).unwrap();
        let paths = |index: usize| -> Vec<String> {
            left[index].entries.keys().map(ToString::to_string).collect()
        };
        assert_eq!(paths(0), ["data", "data/real/log", "etc/hosts", "usr/lib/x.so"]);
        assert_eq!(paths(1), ["etc/passwd"]);
        for path in ["up/x", "gone/x", "file/x"] {
            let parts = vec![component(Part::App, &[(path, Node::text(""))])];
            let error = over(parts, root).unwrap_err();
            assert!(matches!(error, ReleaseError::BaseInTheWay { .. }), "{error}");
        }
    }
}
