//! Members: where the members of an image file stand in it, or in a directory in OCI layout.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ImageError;
use crate::digest::Digest;
use crate::disk;
use crate::limits::IMAGE_MEMBERS_MAX;

/// Bytes of a JSON document of an image.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Links from member to member.
const LINKS_MAX: usize = 8;

/// Where the members of an image file stand in it, or in a directory.
pub(super) struct Members {
    pub(super) path: PathBuf,
    by_name: BTreeMap<String, Member>,
    is_directory: bool,
}

/// Where a member's bytes stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) at: u64,
    pub(super) bytes: u64,
}

enum Member {
    /// In the image file, or a file of its own below the directory.
    File {
        at: u64,
        size: u64,
    },
    Link {
        target: String,
    },
}

impl Members {
    pub(super) fn read(path: &Path) -> Result<Self, ImageError> {
        if disk::status(path)?.is_some_and(|status| status.kind == disk::Kind::Directory) {
            return Self::read_directory(path);
        }
        let file = disk::open(path)?;
        let length = file.metadata().map_err(disk::refused("look at", path))?.len();
        let mut members =
            Self { path: path.to_owned(), by_name: BTreeMap::new(), is_directory: false };
        let mut archive = tar::Archive::new(file);
        let damaged = |last: &str| {
            let what = match last {
                "" => "it is no tar".into(),
                last => format!("it breaks off behind `{last}`"),
            };
            members_strange(path, what)
        };
        let mut last = String::new();
        for entry in archive.entries_with_seek().map_err(|_| damaged(""))?.raw(true) {
            let entry = entry.map_err(|_| damaged(&last))?;
            let header = entry.header();
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.trim_start_matches("./").to_owned();
            let member = match header.entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    let (at, size) = (entry.raw_file_position(), entry.size());
                    if at.checked_add(size).is_none_or(|end| end > length) {
                        return Err(ImageError::Truncated { path: path.to_owned(), member: name });
                    }
                    Member::File { at, size }
                }
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let target = header.link_name_bytes().unwrap_or_default();
                    let target = String::from_utf8_lossy(&target).into_owned();
                    // A link's target is relative to it; old archives link `<id>/layer.tar` to `../<id>/layer.tar`.
                    let target = target.trim_start_matches("../").to_owned();
                    Member::Link { target }
                }
                _ => continue,
            };
            last.clone_from(&name);
            members.by_name.insert(name, member);
            if members.by_name.len() > IMAGE_MEMBERS_MAX {
                return Err(
                    members.strange(format!("it has more than {IMAGE_MEMBERS_MAX} members"))
                );
            }
        }
        Ok(members)
    }

    /// Finds what an OCI layout has: its documents and its blobs, and nothing that they might link to.
    fn read_directory(path: &Path) -> Result<Self, ImageError> {
        let mut members =
            Self { path: path.to_owned(), by_name: BTreeMap::new(), is_directory: true };
        let documents = ["oci-layout", "index.json", "manifest.json"].map(str::to_owned);
        let blobs = path.join("blobs/sha256");
        let blobs = if disk::exists(&blobs) { disk::list(&blobs)? } else { Vec::new() };
        if blobs.len() > IMAGE_MEMBERS_MAX {
            return Err(members.strange(format!("it has more than {IMAGE_MEMBERS_MAX} members")));
        }
        let blobs =
            blobs.iter().filter_map(|name| Digest::from_hex(str::from_utf8(name).ok()?).ok());
        let blobs = blobs.map(|digest| format!("blobs/sha256/{}", digest.hex()));
        for name in documents.into_iter().chain(blobs) {
            if let Some(status) = disk::status(&path.join(&name))?
                && matches!(status.kind, disk::Kind::File { .. })
            {
                members.by_name.insert(name, Member::File { at: 0, size: status.size });
            }
        }
        Ok(members)
    }

    /// Tells whether a member of this name is there.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Returns where a member's bytes begin, and how many they are.
    pub(super) fn find(&self, name: &str) -> Result<Place, ImageError> {
        let mut looked_for = name;
        for _ in 0..LINKS_MAX {
            match self.by_name.get(looked_for) {
                Some(Member::File { at, size }) => {
                    let path = match self.is_directory {
                        true => self.path.join(looked_for),
                        false => self.path.clone(),
                    };
                    return Ok(Place { path, at: *at, bytes: *size });
                }
                Some(Member::Link { target }) => looked_for = target,
                None => break,
            }
        }
        Err(self.strange(format!("it holds no `{name}`")))
    }

    pub(super) fn open(&self, name: &str) -> Result<(impl Read + use<>, u64), ImageError> {
        let Place { path, at, bytes } = self.find(name)?;
        let mut file: File = disk::open(&path)?;
        file.seek(SeekFrom::Start(at)).map_err(disk::refused("read", &path))?;
        Ok((file.take(bytes), bytes))
    }

    pub(super) fn document(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let (mut reader, size) = self.open(name)?;
        if size > DOCUMENT_BYTES_MAX {
            return Err(ImageError::TooLarge {
                path: self.path.clone(),
                member: name.to_owned(),
                limit: DOCUMENT_BYTES_MAX,
            });
        }
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(disk::refused("read", &self.path))?;
        Ok(bytes)
    }

    pub(super) fn json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<T, ImageError> {
        let bytes = self.document(name)?;
        self.parse(name, &bytes)
    }

    pub(super) fn parse<T: for<'de> Deserialize<'de>>(
        &self,
        name: &str,
        bytes: &[u8],
    ) -> Result<T, ImageError> {
        serde_json::from_slice(bytes)
            .map_err(|error| self.strange(format!("`{name}` cannot be read: {error}")))
    }

    pub(super) fn strange(&self, what: String) -> ImageError {
        members_strange(&self.path, what)
    }

    pub(super) fn unreadable<'a>(&'a self, name: &'a str) -> impl Fn(io::Error) -> ImageError + 'a {
        move |error| self.strange(format!("the layer `{name}` is damaged: {error}"))
    }

    pub(super) fn mismatch(&self, member: &str, promised: Digest, found: Digest) -> ImageError {
        ImageError::Mismatch { path: self.path.clone(), member: member.to_owned(), promised, found }
    }
}

fn members_strange(path: &Path, what: String) -> ImageError {
    ImageError::NoImage { path: path.to_owned(), what }
}
