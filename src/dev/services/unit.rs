//! Unit: a service as its thread needs it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dev::error::DevError;
use crate::disk::{self, Kind};
use crate::image;
use crate::manifest::Restart;
use crate::sandbox::{Access, Level, Mount, Room};
use crate::tree::{self, Followed, Placement, RelPath};

/// The file that says which image is laid out beside it.
const STAMP: &str = "of";
const STAMP_BYTES_MAX: u64 = 100;

/// A service as its thread needs it.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its name, and its host's name for the others.
    pub name: String,
    /// Where its command runs.
    pub body: Body,
    /// What is done before and after its first start.
    pub first: Option<First>,
    /// How it is known to be ready.
    pub ready: Ready,
    /// How long it may take to be.
    pub patience: Duration,
    /// What becomes of it when it ends.
    pub restart: Restart,
    /// The services that are ready before it starts.
    pub needs: BTreeSet<String>,
    /// Where it listens, and what a program is told of that.
    pub place: Option<(SocketAddr, String)>,
    /// The other ports that it listens on.
    pub others: Vec<u16>,
}

/// Where a command runs.
#[derive(Debug, Clone)]
pub enum Body {
    /// In a room that is known already.
    Room(Box<Room>),
    /// In a room of an image's files, laid out anew when the image changed.
    Image(Box<Archive>),
}

/// An image file that a service runs from.
#[derive(Debug, Clone)]
pub struct Archive {
    /// The image file.
    pub file: PathBuf,
    /// Where its files are laid out, as `root`.
    pub at: PathBuf,
    /// How strongly the room is closed.
    pub level: Level,
    /// Variables beside the image's own.
    pub env: Vec<(String, String)>,
    /// What else is seen.
    pub mounts: Vec<Mount>,
    /// Where directories are kept that the image calls volumes.
    pub volumes: PathBuf,
}

/// What is done once in the life of a service's state.
#[derive(Debug, Clone)]
pub struct First {
    /// The file that says that all of it was done.
    pub done: PathBuf,
    /// The directory that is emptied where it was not.
    pub state: PathBuf,
    /// Commands before the first start.
    pub before: Vec<Task>,
    /// Commands once the service answers, before it counts as ready.
    pub after: Vec<Task>,
}

/// One command on the way to a first start.
#[derive(Debug, Clone)]
pub struct Task {
    /// What it does, as messages call it.
    pub what: String,
    /// Where it runs.
    pub room: Room,
}

/// How a service is known to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// It runs.
    AtOnce,
    /// It takes a connection.
    Tcp(SocketAddr),
    /// A page is answered with a status below 400.
    Http {
        /// Where it is asked for.
        address: SocketAddr,
        /// The host that is named in the request.
        host: String,
        /// The page.
        path: String,
    },
    /// A line holds a text.
    Log(String),
    /// A command in the service's own room ends with 0.
    Exec(Vec<String>),
}

impl Unit {
    /// Returns the room for the next start.
    pub(super) fn room(&self) -> Result<Room, DevError> {
        match &self.body {
            Body::Room(room) => Ok((**room).clone()),
            Body::Image(archive) => archive.room(),
        }
    }
}

/// Returns the SHA-256, as digits, of the image file that the release `name` of the stack at `place` runs from.
///
/// # Errors
/// Where it cannot be read.
pub fn laid_out(place: &Path, name: &str) -> Result<Option<String>, DevError> {
    let stamp = place.join("services").join(name).join("image").join(STAMP);
    Ok(disk::exists(&stamp).then(|| disk::read_text(&stamp, STAMP_BYTES_MAX)).transpose()?)
}

impl Archive {
    fn room(&self) -> Result<Room, DevError> {
        let root = self.at.join("root");
        let stamp = self.at.join(STAMP);
        // By its content: an image that was built again to the same bytes needs no laying out.
        let now = disk::digest(&self.file)?.hex();
        let is_there = disk::exists(&stamp) && disk::read_text(&stamp, STAMP_BYTES_MAX)? == now;
        let unpacked = if is_there {
            image::inspect(&self.file).map_err(DevError::Image)?
        } else {
            if disk::exists(&self.at) {
                disk::remove_tree(&self.at)?;
            }
            disk::create_dir_all(&root)?;
            let unpacked = image::unpack(&self.file, &root).map_err(DevError::Image)?;
            disk::write_atomic(&stamp, now.as_bytes())?;
            unpacked
        };
        let owned = image::owned_directories(&self.file, &unpacked).map_err(DevError::Image)?;
        let mut room = unpacked.room(&root, &owned, self.level);
        room.env.extend(self.env.iter().cloned());
        let mut mounts = self.mounts.clone();
        for inside in &unpacked.volumes {
            // What the manifest shows there counts more.
            if mounts.iter().all(|mount| mount.inside != *inside) {
                let host = self.volumes.join(slug(inside));
                disk::create_dir_all(&host)?;
                mounts.push(Mount { host, inside: inside.clone(), access: Access::ReadWrite });
            }
        }
        for mount in mounts.iter().filter(|mount| mount.host.starts_with(&self.volumes)) {
            begin(&root, mount)?;
        }
        room.mounts.retain(|own| mounts.iter().all(|mount| mount.inside != own.inside));
        room.mounts.extend(mounts);
        Ok(room)
    }
}

/// Has a volume begin with what the image below `root` has there, as Docker does; one with files in it stays as it is.
fn begin(root: &Path, volume: &Mount) -> Result<(), DevError> {
    let Ok(path) = RelPath::new(volume.inside.trim_matches('/')) else { return Ok(()) };
    let Followed::Stands(Some(path)) = tree::follow(root, &path)? else { return Ok(()) };
    let from = path.under(root);
    let is_directory = disk::status(&from)?.is_some_and(|status| status.kind == Kind::Directory);
    if !is_directory || !disk::list(&volume.host)?.is_empty() {
        return Ok(());
    }
    // All or nothing: one that was half filled would pass for one that somebody wrote to. No volume has such a name.
    let made = volume.host.with_added_extension("%made");
    if disk::exists(&made) {
        disk::remove_tree(&made)?;
    }
    disk::create_dir_all(&made)?;
    let scan = tree::scan(&from, &[])?;
    tree::place(&scan.tree, &from, &made, Placement::Copy, 0)?;
    Ok(disk::rename(&made, &volume.host)?)
}

/// A directory's name for a path inside a room; a path has only letters of its own, so two never meet.
pub(super) fn slug(inside: &str) -> String {
    inside.trim_matches('/').replace('%', "%25").replace('/', "%2F")
}

/// Makes a directory that only its owner may look into.
pub(super) fn private(path: &Path) -> Result<(), DevError> {
    disk::create_dir_all(path)?;
    Ok(disk::set_mode(path, 0o700)?)
}
