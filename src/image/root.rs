//! Root: layers of strangers laid over one another below a directory, as a container's runtime would.
//!
//! A layer may name a way that leads through a link of a layer below. The link is followed inside the root, as it would be
//! in a container, and never on this machine: no layer writes, or removes, anything beside the root.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use crate::archive::{self, ArchiveError, Links, Rules, SpecialBits};
use crate::disk::{self, DiskError, Kind};
use crate::limits::LAYER_BYTES_MAX;
use crate::tree::{self, Followed, RelPath};

/// What begins the name of a removal.
const WHITEOUT: &[u8] = b".wh.";
/// What removes all that lower layers have in a directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Lays a layer, a plain tar, over what stands below `root`.
pub(super) fn lay(layer: &mut dyn Read, root: &Path) -> Result<(), ArchiveError> {
    let rules = Rules {
        bytes_max: LAYER_BYTES_MAX,
        links: Links::Anywhere,
        special_bits: SpecialBits::Dropped,
        strip: 0,
    };
    let laying = Laying { root, own: RefCell::default(), failure: RefCell::default() };
    let unpacked = archive::unpack_some(layer, root, &rules, &|path| laying.place_of(path));
    match laying.failure.into_inner() {
        Some(failure) => Err(failure.into()),
        None => unpacked,
    }
}

struct Laying<'a> {
    root: &'a Path,
    /// What this layer has put there, which no removal of its own means.
    own: RefCell<BTreeSet<RelPath>>,
    failure: RefCell<Option<DiskError>>,
}

impl Laying<'_> {
    /// Returns where an entry goes; a removal is done and goes nowhere.
    fn place_of(&self, path: RelPath) -> Option<RelPath> {
        let place = self.real(&path)?;
        let removed = match place.name() {
            OPAQUE => self.clear(place.parent().as_ref()),
            name if name.starts_with(WHITEOUT) => self.remove(&place),
            _ => {
                self.own.borrow_mut().insert(place.clone());
                return self.make_way(&place).then_some(place);
            }
        };
        if let Err(error) = removed {
            self.failure.borrow_mut().get_or_insert(error);
        }
        None
    }

    /// Follows the links on the way to an entry; a way in a circle leads nowhere.
    fn real(&self, path: &RelPath) -> Option<RelPath> {
        let Some(parent) = path.parent() else {
            return Some(path.clone());
        };
        match tree::follow(self.root, &parent).ok()? {
            Followed::Stands(None) | Followed::Missing(None) => RelPath::new(path.name()).ok(),
            Followed::Stands(Some(at)) | Followed::Missing(Some(at)) => at.join(path.name()).ok(),
            Followed::Nowhere => None,
        }
    }

    /// A file gives way to a directory of its name; the archive makes what is to stand there.
    fn make_way(&self, place: &RelPath) -> bool {
        let Some(parent) = place.parent() else {
            return true;
        };
        let on_disk = parent.under(self.root);
        let stands = disk::status(&on_disk).ok().flatten().map(|status| status.kind);
        if matches!(stands, None | Some(Kind::Directory)) {
            return true;
        }
        // A file where a directory is wanted.
        match disk::remove_file(&on_disk) {
            Ok(()) => true,
            Err(error) => {
                self.failure.borrow_mut().get_or_insert(error);
                false
            }
        }
    }

    fn remove(&self, whiteout: &RelPath) -> Result<(), DiskError> {
        let name = &whiteout.name()[WHITEOUT.len()..];
        let place = match whiteout.parent() {
            Some(parent) => parent.join(name),
            None => RelPath::new(name),
        };
        match place {
            Ok(place) if !self.own.borrow().contains(&place) => remove(&place.under(self.root)),
            _ => Ok(()),
        }
    }

    fn clear(&self, directory: Option<&RelPath>) -> Result<(), DiskError> {
        let on_disk = directory.map_or(self.root.to_owned(), |place| place.under(self.root));
        if disk::status(&on_disk)?.is_none_or(|status| status.kind != Kind::Directory) {
            return Ok(());
        }
        for name in disk::list(&on_disk)? {
            let place = directory.map_or_else(|| RelPath::new(name.clone()), |at| at.join(&name));
            if let Ok(place) = place
                && !self.own.borrow().contains(&place)
            {
                remove(&place.under(self.root))?;
            }
        }
        Ok(())
    }
}

/// Removes what stands there. The way to it holds no link: that was followed before.
fn remove(on_disk: &Path) -> Result<(), DiskError> {
    match disk::status(on_disk)?.map(|status| status.kind) {
        None => Ok(()),
        Some(Kind::Directory) => disk::remove_tree(on_disk),
        Some(_) => disk::remove_file(on_disk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Put<'a> {
        File(&'a str, &'a str),
        Link(&'a str, &'a str),
    }

    fn layer(puts: &[Put<'_>]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for put in puts {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(0);
            match put {
                Put::File(name, text) => {
                    header.set_size(text.len() as u64);
                    tar.append_data(&mut header, name, text.as_bytes()).unwrap();
                }
                Put::Link(name, target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    tar.append_link(&mut header, name, target).unwrap();
                }
            }
        }
        tar.into_inner().unwrap()
    }

    fn laid(layers: &[&[Put<'_>]]) -> (tempfile::TempDir, Result<(), ArchiveError>) {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(outer.path().join("outside"), "kept").unwrap();
        let mut result = Ok(());
        for puts in layers {
            result = result.and_then(|()| lay(&mut layer(puts).as_slice(), &root));
        }
        let outside = std::fs::read_to_string(outer.path().join("outside")).unwrap();
        assert_eq!(outside, "kept");
        assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 2);
        (outer, result)
    }

    fn read(outer: &tempfile::TempDir, path: &str) -> Option<String> {
        std::fs::read_to_string(outer.path().join("root").join(path)).ok()
    }

    #[test]
    fn an_upper_layer_replaces_and_removes() {
        let (outer, result) = laid(&[
            &[
                Put::File("a", "1"),
                Put::File("b/c", "1"),
                Put::File("b/d", "1"),
                Put::File("e/f", "1"),
            ],
            &[
                Put::File("a", "2"),
                Put::File("b/.wh.c", ""),
                Put::File("e/g", "2"),
                Put::File("e/.wh..wh..opq", ""),
            ],
            &[Put::File(".wh.b", ""), Put::File("h/.wh.none", "")],
        ]);
        result.unwrap();
        let found = ["a", "b/c", "b/d", "e/f", "e/g"].map(|path| read(&outer, path));
        assert_eq!(found, [Some("2".into()), None, None, None, Some("2".into())]);
    }

    #[test]
    fn a_way_through_a_link_of_a_layer_below_stays_inside() {
        let (outer, result) = laid(&[
            &[
                Put::Link("var/run", "/run"),
                Put::Link("lib", "usr/lib"),
                Put::File("run/x", "1"),
                Put::File("usr/lib/y", "1"),
            ],
            &[Put::File("var/run/z", "2"), Put::File("lib/w", "2"), Put::File("var/run/.wh.x", "")],
        ]);
        result.unwrap();
        let found = ["run/x", "run/z", "usr/lib/w", "usr/lib/y"].map(|path| read(&outer, path));
        assert_eq!(found, [None, Some("2".into()), Some("2".into()), Some("1".into())]);
        for target in
            ["../", "../..", "/../outside", "../outside", "/proc/self/root", "./../root/.."]
        {
            let (_outer, _) = laid(&[
                &[Put::Link("up", target), Put::File("x", "")],
                &[
                    Put::File("up/.wh.outside", ""),
                    Put::File("up/outside", "2"),
                    Put::File("up/.wh..wh..opq", ""),
                ],
            ]);
        }
    }
}
