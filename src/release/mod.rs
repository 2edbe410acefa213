//! Release: which files an image holds, and how it starts.
//!
//! A built release is parted into components by how often they change. What its programs and
//! libraries load is taken from the toolchain's root and checked: every library must be there and
//! define every symbol version that is asked of it. Nothing is copied here: a component names files where
//! they stand, so a layer that is in the store already costs no reading.

mod beam;
mod boot;
mod closure;
mod elf;
mod emulate;
mod error;
pub(crate) mod fuzz;
mod gather;
mod lay_out;
mod over;
mod packages;
mod spec;
mod start;
mod system;
mod wanted;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

pub use beam::{BeamError, Chunk, chunks};
pub use boot::{BootVerdict, BootWatch, boot_room, check_in, writable_mounts};
pub use elf::{Elf, Machine, is_elf, parse as parse_elf};
pub use emulate::emulate;
pub use error::{Lacking, Missing, ReleaseError};
pub use gather::assemble;
pub use lay_out::lay_out;

use crate::digest::Digest;
use crate::disk;
use crate::fetch::debian::{DebianError, Papers};
use crate::limits::FILE_BYTES_MAX;
use crate::manifest::Manifest;
use crate::tree::{RelPath, Tree};
use wanted::OTP;

/// The version of the rules by which a release becomes files; part of every layer's key.
pub const RULES: u32 = 4;
/// Where the release stands in the image.
pub const HOME: &str = "app";
/// Where the lock stands in the image.
pub const LOCK_PATH: &str = "usr/share/rebeam/rebeam.lock";
/// Where the image says which packages its files are from, one file a package, as scanners read it.
pub const STATUS_DIRECTORY: &str = "var/lib/dpkg/status.d";
/// Where the image says which system its packages are from.
pub const OS_RELEASE_PATH: &str = "etc/os-release";
/// Where the provenance stands in the image.
pub const PROVENANCE_PATH: &str = "usr/share/rebeam/provenance.json";

/// A Debian package and its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What a release is assembled from.
pub struct Inputs<'a> {
    /// The release as the project's own tool made it: `lib`, `releases`, perhaps `erts-VERSION` and `bin`.
    pub release: &'a Path,
    /// The listing of that directory.
    pub listing: &'a Tree,
    /// Native files for another machine than the one that built, by their paths in the release, with their listing.
    pub natives: Option<(&'a Path, &'a Tree)>,
    /// The toolchain's root, a whole file system; where the image is for another machine, a root of that machine.
    pub toolchain: &'a Path,
    /// The home of an OTP that was built from source; where there is one, the toolchain's own does not count.
    pub otp: Option<&'a Path>,
    /// Names the package that a path of the toolchain came with.
    pub owner: &'a dyn Fn(&RelPath) -> Option<Package>,
    /// Reads what a package says of itself; `None` for one that is not locked.
    pub papers: &'a dyn Fn(&Package) -> Result<Option<Papers>, DebianError>,
    /// Names the packages that hold a library, for an error's hint.
    pub provider: &'a dyn Fn(&str) -> Vec<String>,
    /// Applications that are locked dependencies.
    pub dep_apps: &'a BTreeSet<String>,
    /// The files of the image that the release is laid over.
    pub base: Option<&'a Path>,
    /// The project's wishes.
    pub manifest: &'a Manifest,
    /// The lock's text, which travels in the image.
    pub lock_text: &'a str,
    /// How the image was made, as JSON without times, which travels in the image.
    pub provenance: &'a str,
}

impl Inputs<'_> {
    /// Returns where a path below OTP's home stands on disk.
    fn in_otp(&self, below: &RelPath) -> Result<PathBuf, ReleaseError> {
        Ok(match self.otp {
            Some(otp) => below.under(otp),
            None => at(OTP).join(below.as_bytes())?.under(self.toolchain),
        })
    }

    /// Names the package that a path below OTP's home came with; none where OTP was built from source.
    fn otp_owner(&self, below: &RelPath) -> Result<Option<Package>, ReleaseError> {
        Ok(match self.otp {
            Some(_) => None,
            None => (self.owner)(&at(OTP).join(below.as_bytes())?),
        })
    }
}

/// The parts of an image, from what changes least to what changes most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Shared objects and files of the system.
    System,
    /// ERTS and OTP's applications.
    Otp,
    /// Locked dependencies.
    Deps,
    /// The project's own applications.
    App,
    /// Configuration, boot script, lock and provenance.
    Config,
}

impl Part {
    /// All parts, from the bottom.
    pub const ALL: [Self; 5] = [Self::System, Self::Otp, Self::Deps, Self::App, Self::Config];

    /// Returns the name of the part's layer.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Otp => "otp",
            Self::Deps => "deps",
            Self::App => "app",
            Self::Config => "config",
        }
    }
}

/// What stands at a path of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// A symbolic link, unresolved.
    Symlink(Vec<u8>),
    /// A small file that was made here.
    Bytes(Vec<u8>),
    /// A file as it stands on disk.
    File {
        /// Where it stands.
        path: PathBuf,
        /// Its bytes.
        size: u64,
        /// SHA-256 of its bytes.
        digest: Digest,
    },
    /// A module that is stripped while it is read.
    Beam {
        /// Where it stands.
        path: PathBuf,
        /// SHA-256 of its bytes before it is stripped.
        digest: Digest,
    },
    /// A time zone that is slimmed while it is read.
    Zone {
        /// Where it stands.
        path: PathBuf,
        /// SHA-256 of its bytes before it is slimmed.
        digest: Digest,
    },
}

/// An entry of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What it is.
    pub content: Content,
}

/// One part of the image with its entries by path. Every directory on the way to an entry is an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Which part it is.
    pub part: Part,
    /// Its entries.
    pub entries: BTreeMap<RelPath, Node>,
}

/// How the image starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The command that the container runs.
    pub entrypoint: Vec<String>,
    /// Arguments behind it, which `docker run` replaces.
    pub cmd: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub directory: String,
}

/// What is known of a release beside its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The release's name.
    pub name: String,
    /// The release's version.
    pub version: String,
    /// The version of ERTS.
    pub erts: String,
    /// The machine it runs on.
    pub machine: Machine,
    /// Every application with its version and part.
    pub apps: BTreeMap<String, (String, Part)>,
    /// Packages that files of the image came with.
    pub packages: BTreeSet<Package>,
    /// Libraries of the system that are in the image.
    pub libraries: BTreeSet<String>,
}

/// The files of an image and how it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The parts that hold anything, from the bottom.
    pub components: Vec<Component>,
    /// How it starts.
    pub start: Start,
    /// What is known of it.
    pub facts: Facts,
    /// The files of the image that it is laid over.
    pub base: Option<PathBuf>,
}

impl Node {
    /// Makes a directory that belongs to root.
    pub(crate) fn directory() -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, content: Content::Directory }
    }

    /// Makes a small file that belongs to root.
    pub(crate) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self { mode: 0o644, uid: 0, gid: 0, content: Content::Bytes(text.into()) }
    }

    /// Makes a link.
    pub(crate) fn link(target: impl Into<Vec<u8>>) -> Self {
        Self { mode: 0o777, uid: 0, gid: 0, content: Content::Symlink(target.into()) }
    }

    /// Returns this entry with another content.
    pub(crate) fn with(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// Returns this entry as `user`'s own.
    pub(crate) fn owned_by(self, user: (u32, u32)) -> Self {
        Self { uid: user.0, gid: user.1, ..self }
    }
}

/// A file's bytes as the image holds them, to be read once.
pub enum Body {
    /// In memory.
    Memory(Cursor<Vec<u8>>),
    /// On disk.
    Disk(std::fs::File),
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(buffer),
            Self::Disk(file) => file.read(buffer),
        }
    }
}

impl Content {
    /// Opens a file's bytes as the image holds them, with their number; `None` for what is no file.
    pub fn open(&self) -> Result<Option<(u64, Body)>, ReleaseError> {
        let memory = |bytes: Vec<u8>| Some((bytes.len() as u64, Body::Memory(Cursor::new(bytes))));
        match self {
            Self::Directory | Self::Symlink(_) => Ok(None),
            Self::Bytes(bytes) => Ok(memory(bytes.clone())),
            Self::File { path, size, .. } => Ok(Some((*size, Body::Disk(disk::open(path)?)))),
            Self::Beam { path, .. } => {
                let whole = disk::read(path, FILE_BYTES_MAX)?;
                let lean = beam::strip(&whole)
                    .map_err(|source| ReleaseError::DamagedBeam { path: path.clone(), source })?;
                Ok(memory(lean))
            }
            Self::Zone { path, .. } => {
                let whole = disk::read(path, FILE_BYTES_MAX)?;
                Ok(memory(zone::slim(&whole).unwrap_or(whole)))
            }
        }
    }
}

impl Release {
    /// Returns the entry at `path`; the uppermost part's, where several hold it.
    pub fn get(&self, path: &RelPath) -> Option<&Node> {
        self.components.iter().rev().find_map(|component| component.entries.get(path))
    }
}

/// Makes a path of the image from text that is known to be one.
pub(crate) fn at(path: &str) -> RelPath {
    RelPath::new(path).expect("the image's own paths are plain")
}

/// Reads a file's first bytes, to see what it is.
fn head(path: &Path) -> Result<Vec<u8>, ReleaseError> {
    let mut head = Vec::new();
    disk::open(path)?
        .take(elf::HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(disk::refused("read", path))?;
    Ok(head)
}

#[cfg(test)]
pub(crate) mod tests;
