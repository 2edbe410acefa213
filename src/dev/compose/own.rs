//! Own: hands a volume to the user who is to write there. An engine makes it its own where the image has no such directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::disk::{self, DiskError, Kind};

/// Hands `volume` and all that stands in it to `owner`, unless it is the owner's already.
///
/// # Errors
/// Where the disk refuses.
pub fn own(volume: &Path, owner: (u32, u32)) -> Result<(), DiskError> {
    let status = disk::status(volume)?;
    if status.is_none_or(|status| status.owner == owner) {
        return Ok(());
    }
    let mut waiting = vec![volume.to_owned()];
    let mut handed = Vec::new();
    while let Some(path) = waiting.pop() {
        if disk::status(&path)?.is_some_and(|status| status.kind == Kind::Directory) {
            let names = disk::list(&path)?;
            waiting.extend(names.iter().map(|name| path.join(OsStr::from_bytes(name))));
        }
        handed.push(path);
    }
    // The volume itself comes last, so that one that was not handed over to its end is known by its owner.
    handed.iter().rev().try_for_each(|path| disk::own(path, owner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_volume_is_handed_over_once() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("below/file");
        disk::create_dir_all(&home.path().join("below")).unwrap();
        disk::write_atomic(&file, b"").unwrap();
        disk::symlink(b"/etc/passwd", &home.path().join("link")).unwrap();
        let owner_of = |path: &Path| disk::status(path).unwrap().unwrap().owner;
        let mine = owner_of(home.path());
        let others = (mine.0 + 4711, mine.1 + 4711);
        // Only root may give anything away.
        if own(home.path(), others).is_err() {
            assert_ne!(mine.0, 0);
            return;
        }
        assert_eq!(owner_of(home.path()), others);
        assert_eq!([owner_of(&file), owner_of(&home.path().join("link"))], [others; 2]);
        assert_ne!(owner_of(Path::new("/etc/passwd")), others);
        // What is added later is the business of whoever adds it.
        disk::own(&file, mine).unwrap();
        own(home.path(), others).unwrap();
        assert_eq!(owner_of(&file), mine);
    }
}
