//! Origins: which file of an image came from where, as far as the image itself tells.
//!
//! Files of Debian's packages are listed under `var/lib/dpkg/status.d`; an application's directory bears its name and
//! version, and its layer says whether it is a locked dependency, the project's own or OTP's.

use std::collections::BTreeMap;
use std::path::Path;

use super::ImageError;
use super::entries::{LayerEntry, each_file, entries};
use super::holdings::{Holdings, holdings};
use crate::release::{HOME, LOCK_PATH, PROVENANCE_PATH, STATUS_DIRECTORY};

/// Where a file of an image came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A locked dependency.
    Dependency {
        /// The application.
        app: String,
        /// Its version.
        version: String,
    },
    /// An application of the project's own.
    Project {
        /// The application.
        app: String,
        /// Its version.
        version: String,
    },
    /// OTP, or a language on top of it, as the toolchain brings it.
    Otp {
        /// The application; `erts` for the emulator.
        app: String,
        /// Its version.
        version: String,
    },
    /// The release that the project's own tool made: boot scripts and configuration.
    Release,
    /// The system.
    System,
    /// rebeam itself.
    Rebeam,
    /// Nobody can say: rebeam did not make the image.
    Unknown,
}

/// A file of an image, with where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Where it stands.
    pub path: String,
    /// The number of its layer, from 0.
    pub layer: usize,
    /// What it is.
    pub entry: LayerEntry,
    /// Where it came from.
    pub origin: Origin,
    /// The Debian package that it came with, where it came with one.
    pub package: Option<String>,
}

/// An image's files with their origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// What the image holds.
    pub holdings: Holdings,
    /// Its files, the uppermost layer's where several hold one name.
    pub files: BTreeMap<String, Placed>,
}

/// Lists every file of the image at `path` with where it came from.
pub fn origins(path: &Path) -> Result<Origins, ImageError> {
    let holdings = holdings(path)?;
    let (_, layers) = entries(path)?;
    let mut packages: BTreeMap<String, String> = BTreeMap::new();
    let is_list = |path: &str| path.starts_with(STATUS_DIRECTORY) && path.ends_with(".md5sums");
    each_file(path, &|_, path| is_list(path), &mut |_, list, bytes| {
        let name = list.rsplit('/').next().and_then(|file| file.strip_suffix(".md5sums"));
        let text = String::from_utf8_lossy(&bytes);
        let files = text.lines().filter_map(|line| line.split_once("  "));
        packages
            .extend(files.map(|(_, path)| (path.to_owned(), name.unwrap_or_default().to_owned())));
    })?;
    let mut files = BTreeMap::new();
    for (number, layer) in layers.into_iter().enumerate() {
        let made_by = &holdings.inspected.layers[number].made_by;
        let name = made_by.strip_prefix("rebeam layer=");
        for (path, entry) in layer {
            let origin = name.map_or(Origin::Unknown, |name| origin(name, &path, &holdings));
            let package = packages.get(&path).cloned();
            let placed = Placed { path: path.clone(), layer: number, entry, origin, package };
            files.insert(path, placed);
        }
    }
    Ok(Origins { holdings, files })
}

fn origin(layer: &str, path: &str, holdings: &Holdings) -> Origin {
    let below = path.strip_prefix(HOME).map(|rest| rest.trim_start_matches('/'));
    let mut parts = below.unwrap_or_default().split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    if let (Some(_), "lib", Some(directory)) = (below, first, second)
        && let Some((app, version)) = application(directory, holdings)
    {
        return match layer {
            "deps" => Origin::Dependency { app, version },
            "app" => Origin::Project { app, version },
            _ => Origin::Otp { app, version },
        };
    }
    if let Some(version) = first.strip_prefix("erts-").filter(|_| below.is_some()) {
        return Origin::Otp { app: "erts".into(), version: version.into() };
    }
    match layer {
        _ if [LOCK_PATH, PROVENANCE_PATH].contains(&path) => Origin::Rebeam,
        _ if path.starts_with(STATUS_DIRECTORY) => Origin::Rebeam,
        "system" => Origin::System,
        "otp" => Origin::Otp { app: "OTP".into(), version: String::new() },
        _ => Origin::Release,
    }
}

/// Parts `NAME-VERSION`: by the applications that are known, since both may hold dashes.
fn application(directory: &str, holdings: &Holdings) -> Option<(String, String)> {
    let known = holdings.apps.iter().find(|(name, app)| {
        directory.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('-'))
            == Some(app.version.as_str())
    });
    known.map(|(name, app)| (name.clone(), app.version.clone()))
}
