//! Unpack: lays the files of an image file out as a root, for `rebeam run`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::inspect::{Inspected, each_layer, inspect};
use super::{ImageError, root};
use crate::archive;
use crate::disk::{self, Kind};
use crate::limits::TREE_ENTRIES_MAX;
use crate::release;
use crate::sandbox::{Bounds, Guise, Level, Reach, Room};
use crate::tree::RelPath;

/// Checks the image file at `archive` and lays its files out below the empty directory `at`.
///
/// The image must be for this machine to be of use; that is the caller's matter.
pub fn unpack(archive: &Path, at: &Path) -> Result<Inspected, ImageError> {
    let inspected = inspect(archive)?;
    each_layer(archive, &mut |layer| {
        root::lay(layer, at).map_err(|source| ImageError::BadLayer {
            path: archive.to_owned(),
            source: Box::new(source),
        })
    })?;
    Ok(inspected)
}

/// Returns the directories of the image file at `archive` that belong to the user that it runs as, absolute.
///
/// What is unpacked belongs to whoever unpacks, so only the layers themselves tell.
pub fn owned_directories(
    archive: &Path,
    image: &Inspected,
) -> Result<BTreeSet<String>, ImageError> {
    let (uid, _) = image.ids();
    let mut owned = BTreeSet::new();
    each_layer(archive, &mut |layer| {
        let found = archive::each_entry(layer, &mut |entry| {
            let header = entry.header();
            // A container's root may write everywhere, and needs no mount to do so.
            if uid != 0 && header.entry_type().is_dir() && header.uid().ok() == Some(u64::from(uid))
            {
                let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                owned.insert(format!("/{}", path.trim_matches(['.', '/'])));
            }
            match owned.len() > TREE_ENTRIES_MAX {
                true => {
                    let limit = TREE_ENTRIES_MAX as u64;
                    Err(archive::ArchiveError::TooLarge { limit, unit: "entries" })
                }
                false => Ok(()),
            }
        });
        found.map_err(|source| ImageError::BadLayer {
            path: archive.to_owned(),
            source: Box::new(source),
        })
    })?;
    Ok(owned)
}

impl Inspected {
    /// Returns user and group by number.
    #[must_use]
    pub fn ids(&self) -> (u32, u32) {
        let mut ids = self.user.split(':').map(|id| id.parse::<u32>().ok());
        let uid = ids.next().flatten().unwrap_or(65_532);
        (uid, ids.next().flatten().unwrap_or(uid))
    }

    /// Returns the room in which the image starts as a container would, on the host's network; `owned` are the
    /// directories that belong to its user.
    pub fn room(&self, root: &Path, owned: &BTreeSet<String>, level: Level) -> Room {
        let pairs = self.env.iter().filter_map(|pair| pair.split_once('='));
        let env: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mounts = release::writable_mounts(root, self.writable(root, owned, &env));
        Room {
            root: root.to_owned(),
            mounts,
            argv: self.entrypoint.iter().chain(&self.cmd).cloned().collect(),
            env,
            cwd: if self.directory.is_empty() { "/".into() } else { self.directory.clone() },
            user: self.ids(),
            bounds: Bounds::lasting(),
            reach: Reach::Host,
            level,
            guise: Guise::default(),
        }
    }

    /// Returns what stands below `root` of the directories that the image's user may write to: those that it owns, the
    /// home, the volumes, and the log directory beside the release.
    fn writable(
        &self,
        root: &Path,
        owned: &BTreeSet<String>,
        env: &BTreeMap<String, String>,
    ) -> BTreeSet<String> {
        let log = format!("{}/log", self.directory.trim_end_matches('/'));
        let named = env.get("HOME").into_iter().chain(&self.volumes).chain(owned);
        let places = named.map(|place| place.trim_end_matches('/').to_owned());
        let stands = |place: &String| {
            // No part of the way may be a link: that could lead out of the root.
            let below = RelPath::new(place.trim_start_matches('/'));
            let mut way = std::iter::successors(below.ok(), RelPath::parent).peekable();
            let is_directory = |path: RelPath| {
                let status = disk::status(&path.under(root)).ok().flatten();
                status.map(|status| status.kind) == Some(Kind::Directory)
            };
            place.starts_with('/') && way.peek().is_some() && way.all(is_directory)
        };
        places.chain([log]).filter(stands).collect()
    }
}
