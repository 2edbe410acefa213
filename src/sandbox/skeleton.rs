//! Skeleton: the root of a room, put together in memory out of read-only views of the host's tree.

use std::path::Path;

use super::SandboxError;
use super::place::{Host, Look, Placed, within};
use super::plan::Action;

/// The root of the room: what the host's directory holds, each entry shown read-only, and taken apart
/// only where a mount needs a place that it lacks.
pub(super) struct Skeleton<'a> {
    pub(super) root: &'a str,
    pub(super) base: &'a str,
    pub(super) mounts: &'a [Placed],
    pub(super) host: &'a dyn Host,
}

impl Skeleton<'_> {
    fn look(&self, inside: &str) -> Result<Look, SandboxError> {
        self.host.look(Path::new(&format!("{}{inside}", self.root)))
    }

    /// Makes a directory's entries; the root's own is the empty path.
    pub(super) fn expand(
        &self,
        directory: &str,
        actions: &mut Vec<Action>,
    ) -> Result<(), SandboxError> {
        let mut names = match self.look(directory)? {
            Look::Directory => {
                let path = format!("{}{directory}", self.root);
                self.host.names(Path::new(&path))?
            }
            _ if directory.is_empty() => {
                let reason = format!("`{}` is not a directory", self.root);
                return Err(SandboxError::BadRoom { reason });
            }
            _ => Vec::new(),
        };
        let below = |path: &str| {
            let rest = path.strip_prefix(directory)?.strip_prefix('/')?;
            rest.split('/').next().map(str::to_owned)
        };
        names.extend(self.mounts.iter().filter_map(|mount| below(&mount.inside)));
        if directory.is_empty() {
            names.extend(["dev", "proc", "tmp"].map(str::to_owned));
        }
        names.sort_unstable();
        names.dedup();
        for name in names {
            self.entry(&format!("{directory}/{name}"), actions)?;
        }
        Ok(())
    }

    fn entry(&self, inside: &str, actions: &mut Vec<Action>) -> Result<(), SandboxError> {
        let at = format!("{}{inside}", self.base);
        let covered = ["/dev", "/proc", "/tmp"].contains(&inside);
        if let Some(mount) = self.mounts.iter().find(|mount| mount.inside == inside) {
            actions.push(Action::Place { at, directory: mount.directory });
            return Ok(());
        }
        if covered {
            actions.push(Action::Directory { at });
            return Ok(());
        }
        let from = format!("{}{inside}", self.root);
        let shown = Action::Bind { from, at: at.clone(), writable: false };
        match self.look(inside)? {
            Look::Link(target) => actions.push(Action::Link { at, target }),
            Look::File => actions.extend([Action::File { at }, shown]),
            Look::Directory if !self.lacks_a_place(inside)? => {
                actions.extend([Action::Directory { at }, shown]);
            }
            Look::Directory | Look::Missing => {
                actions.push(Action::Directory { at });
                self.expand(inside, actions)?;
            }
        }
        Ok(())
    }

    /// Tells whether a mount below the directory has no place to be mounted on.
    fn lacks_a_place(&self, directory: &str) -> Result<bool, SandboxError> {
        for mount in self.mounts {
            if !within(&mount.inside, directory) {
                continue;
            }
            let outers = self.mounts.iter().map(|outer| &outer.inside);
            let inside_another = outers.into_iter().any(|outer| within(&mount.inside, outer));
            if !inside_another && self.look(&mount.inside)? == Look::Missing {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
