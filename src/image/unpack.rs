//! Unpack: lays the files of an image file out as a root, for `rebeam run`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::ImageError;
use super::inspect::{Inspected, each_layer, inspect};
use crate::archive::{self, Links, Rules, SpecialBits};
use crate::disk::{self, Kind};
use crate::limits::LAYER_BYTES_MAX;
use crate::release;
use crate::sandbox::{Bounds, Guise, Level, Reach, Room};

/// Checks the image file at `archive` and lays its files out below the empty directory `root`.
///
/// The image must be for this machine to be of use; that is the caller's matter. Layers that remove files of lower
/// layers are not of our making and are refused.
pub fn unpack(archive: &Path, root: &Path) -> Result<Inspected, ImageError> {
    let inspected = inspect(archive)?;
    let rules = Rules {
        bytes_max: LAYER_BYTES_MAX,
        links: Links::Anywhere,
        special_bits: SpecialBits::Dropped,
        strip: 0,
    };
    each_layer(archive, &mut |layer| {
        archive::unpack(layer, root, &rules, &|path| path).map_err(|source| ImageError::BadLayer {
            path: archive.to_owned(),
            source: Box::new(source),
        })
    })?;
    Ok(inspected)
}

impl Inspected {
    /// Returns the room in which the image starts as a container would, on the host's network.
    pub fn room(&self, root: &Path, level: Level) -> Room {
        let pairs = self.env.iter().filter_map(|pair| pair.split_once('='));
        let env: BTreeMap<String, String> =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut ids = self.user.split(':').map(|id| id.parse::<u32>().ok());
        let uid = ids.next().flatten().unwrap_or(65_532);
        let gid = ids.next().flatten().unwrap_or(uid);
        let mounts = release::writable_mounts(root, self.writable(root, &env));
        Room {
            root: root.to_owned(),
            mounts,
            argv: self.entrypoint.iter().chain(&self.cmd).cloned().collect(),
            env,
            cwd: if self.directory.is_empty() { "/".into() } else { self.directory.clone() },
            user: (uid, gid),
            bounds: Bounds {
                wall_s: u64::MAX,
                memory_bytes: None,
                processes: 65_536,
                file_bytes: u64::MAX,
                cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            },
            reach: Reach::Host,
            level,
            guise: Guise::default(),
        }
    }

    /// Returns what stands below `root` of the directories that the image's user may write to: the home,
    /// the volumes, and the log directory beside the release.
    fn writable(&self, root: &Path, env: &BTreeMap<String, String>) -> BTreeSet<String> {
        let log = format!("{}/log", self.directory.trim_end_matches('/'));
        let named = env.get("HOME").into_iter().chain(&self.volumes);
        let places = named.map(|place| place.trim_end_matches('/').to_owned());
        let stands = |place: &String| {
            let status = disk::status(&root.join(place.trim_start_matches('/')));
            let kind = status.ok().flatten().map(|status| status.kind);
            place.starts_with('/') && kind == Some(Kind::Directory)
        };
        places.chain([log]).filter(stands).collect()
    }
}
