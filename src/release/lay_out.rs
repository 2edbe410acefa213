//! Lay out: a release's files as they will be in the image, below a directory.

use std::path::Path;

use super::{Content, Release, ReleaseError};
use crate::disk;
use crate::tree::{self, Placement};

/// Lays the image's exact files below the empty directory `root`, with their modes but not their owners.
pub fn lay_out(release: &Release, root: &Path) -> Result<(), ReleaseError> {
    if let Some(base) = &release.base {
        let files = tree::scan(base, &[])?.tree;
        tree::place(&files, base, root, Placement::HardLink, 0)?;
    }
    let mut modes = Vec::new();
    for component in &release.components {
        for (path, node) in &component.entries {
            let on_disk = path.under(root);
            match &node.content {
                Content::Directory => {
                    if !disk::exists(&on_disk) {
                        disk::create_dir(&on_disk)?;
                    }
                    modes.push((on_disk, node.mode));
                }
                Content::Symlink(target) => {
                    disk::remove_file(&on_disk)?;
                    disk::symlink(target, &on_disk)?;
                }
                content => {
                    let (_, mut body) = content.open()?.expect("only files are left");
                    disk::remove_file(&on_disk)?;
                    let mut file = disk::create_new(&on_disk, node.mode & 0o100 != 0)?;
                    std::io::copy(&mut body, &mut file)
                        .map_err(disk::refused("write", &on_disk))?;
                    if ![0o644, 0o755].contains(&node.mode) {
                        disk::set_mode(&on_disk, node.mode)?;
                    }
                }
            }
        }
    }
    // Last, and from the deepest up, so that no directory is closed before it is filled.
    for (on_disk, mode) in modes.into_iter().rev() {
        disk::set_mode(&on_disk, mode)?;
    }
    Ok(())
}
