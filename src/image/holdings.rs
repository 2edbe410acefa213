//! Holdings: what an image file holds beside what it says of itself: packages, applications, the system's release.
//!
//! Packages are those of `var/lib/dpkg/status.d`, where scanners look for them; applications are the directories of
//! `app/lib` with a resource file in them, each with the layer that it lies in.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use super::ImageError;
use super::inspect::{Inspected, inspect_by};
use crate::archive::{self, ArchiveError};
use crate::limits::{TEXT_FILE_BYTES_MAX, TREE_ENTRIES_MAX};
use crate::release::{HOME, LOCK_PATH, OS_RELEASE_PATH, PROVENANCE_PATH, STATUS_DIRECTORY};

/// What an image file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// What it says of itself, every digest checked.
    pub inspected: Inspected,
    /// Its Debian packages, sorted by name.
    pub packages: Vec<HeldPackage>,
    /// Its applications by name.
    pub apps: BTreeMap<String, HeldApp>,
    /// The codename of its Debian release: `bookworm`.
    pub codename: Option<String>,
    /// The number of its Debian release: `12`.
    pub release: Option<String>,
}

/// A Debian package of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it was built for.
    pub architecture: String,
    /// The source package and its version, where they differ from the package's own.
    pub source: Option<String>,
}

/// An application of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldApp {
    /// Its version.
    pub version: String,
    /// The layer that it lies in: `otp`, `deps`, `app`.
    pub layer: String,
}

/// Looks for what the image file at `path` holds. Every layer is read once.
pub fn holdings(path: &Path) -> Result<Holdings, ImageError> {
    let mut found = Found::default();
    let inspected = inspect_by(path, &mut |made_by, tar| look(made_by, tar, &mut found))?;
    let Found { mut packages, apps, codename, release, mut papers } = found;
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    let mut paper = |name| papers.remove(name);
    let (lock, provenance) = (paper(LOCK_PATH), paper(PROVENANCE_PATH));
    let inspected = Inspected { lock, provenance, ..inspected };
    Ok(Holdings { inspected, packages, apps, codename, release })
}

/// What was seen in the layers so far.
#[derive(Default)]
struct Found {
    packages: Vec<HeldPackage>,
    apps: BTreeMap<String, HeldApp>,
    codename: Option<String>,
    release: Option<String>,
    papers: BTreeMap<&'static str, String>,
}

fn look(made_by: &str, tar: &mut dyn std::io::Read, found: &mut Found) -> Result<(), ArchiveError> {
    let layer = made_by.strip_prefix("rebeam layer=").unwrap_or_default().to_owned();
    let mut entries = 0;
    archive::each_entry(tar, &mut |entry| {
        entries += 1;
        if entries > TREE_ENTRIES_MAX {
            let limit = TREE_ENTRIES_MAX as u64;
            return Err(ArchiveError::TooLarge { limit, unit: "entries" });
        }
        if !entry.header().entry_type().is_file() {
            return Ok(());
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if let Some((app, version)) = application(&path) {
            found.apps.insert(app, HeldApp { version, layer: layer.clone() });
            return Ok(());
        }
        let paper = [LOCK_PATH, PROVENANCE_PATH].into_iter().find(|name| path == *name);
        let is_status = path
            .strip_prefix(STATUS_DIRECTORY)
            .is_some_and(|file| file.starts_with('/') && !file.ends_with(".md5sums"));
        if paper.is_none() && !is_status && path != OS_RELEASE_PATH {
            return Ok(());
        }
        let mut text = Vec::new();
        entry.take(TEXT_FILE_BYTES_MAX).read_to_end(&mut text).map_err(ArchiveError::Damaged)?;
        let text = String::from_utf8_lossy(&text);
        if let Some(name) = paper {
            found.papers.insert(name, text.into_owned());
        } else if is_status {
            found.packages.extend(package(&text));
        } else {
            found.codename = variable(&text, "VERSION_CODENAME");
            found.release = variable(&text, "VERSION_ID");
        }
        Ok(())
    })
}

/// Reads `app/lib/NAME-VERSION/ebin/NAME.app`.
fn application(path: &str) -> Option<(String, String)> {
    let rest = path.strip_prefix(HOME)?.strip_prefix("/lib/")?;
    let (directory, file) = rest.split_once("/ebin/")?;
    let name = file.strip_suffix(".app")?;
    let version = directory.strip_prefix(name)?.strip_prefix('-')?;
    Some((name.to_owned(), version.to_owned()))
}

/// Reads a package's paragraph.
fn package(text: &str) -> Option<HeldPackage> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    Some(HeldPackage {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture").unwrap_or_default(),
        source: field("Source"),
    })
}

/// Reads a line of `os-release`, with quotes or without.
fn variable(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_and_packages_are_read_by_their_files() {
        let named = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(
            application("app/lib/cow_lib-2.12.1/ebin/cow_lib.app"),
            named("cow_lib", "2.12.1")
        );
        assert_eq!(application("app/lib/a-1.0-rc.1/ebin/a.app"), named("a", "1.0-rc.1"));
        for path in ["app/lib/a-1/ebin/b.app", "app/lib/a-1/priv/a.app", "lib/a-1/ebin/a.app"] {
            assert_eq!(application(path), None, "{path}");
        }
        let paragraph = "Package: libssl3\nSource: openssl\nVersion: 3.0.17-1~deb12u3\n\
                         Architecture: amd64\nDescription: x\n Version: 9\n";
        let held = package(paragraph).unwrap();
        assert_eq!((held.name.as_str(), held.source.as_deref()), ("libssl3", Some("openssl")));
        assert_eq!(held.version, "3.0.17-1~deb12u3");
        assert_eq!(package("Version: 1\n"), None);
        assert_eq!(variable("ID=debian\nVERSION_ID=\"12\"\n", "VERSION_ID").unwrap(), "12");
    }
}
