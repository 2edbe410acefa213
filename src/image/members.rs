//! Members: where the members of an image file stand in it.

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

/// Where the members of an image file stand in it.
pub(super) struct Members {
    pub(super) path: PathBuf,
    by_name: BTreeMap<String, Member>,
}

enum Member {
    File {
        at: u64,
        size: u64,
    },
    /// A file of its own, of an image that is a directory.
    Apart,
    Link {
        target: String,
    },
}

impl Members {
    pub(super) fn read(path: &Path) -> Result<Self, ImageError> {
        if disk::status(path)?.is_some_and(|status| status.kind == disk::Kind::Directory) {
            return Self::of_directory(path);
        }
        let file = disk::open(path)?;
        let length = file.metadata().map_err(disk::refused("look at", path))?.len();
        let mut members = Self { path: path.to_owned(), by_name: BTreeMap::new() };
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

    /// Finds the members of an OCI layout that is a directory. Links in it are not followed.
    fn of_directory(path: &Path) -> Result<Self, ImageError> {
        let mut members = Self { path: path.to_owned(), by_name: BTreeMap::new() };
        for below in ["", "blobs/sha256"] {
            let directory = path.join(below);
            if !disk::exists(&directory) {
                continue;
            }
            for name in disk::list(&directory)? {
                let name = PathBuf::from(below).join(String::from_utf8_lossy(&name).as_ref());
                let status = disk::status(&path.join(&name))?;
                if status.is_some_and(|status| matches!(status.kind, disk::Kind::File { .. })) {
                    members.by_name.insert(name.to_string_lossy().into_owned(), Member::Apart);
                }
                if members.by_name.len() > IMAGE_MEMBERS_MAX {
                    return Err(
                        members.strange(format!("it has more than {IMAGE_MEMBERS_MAX} members"))
                    );
                }
            }
        }
        Ok(members)
    }

    /// Tells whether a member of this name is there.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Returns where a member's bytes begin, and how many they are.
    pub(super) fn find(&self, name: &str) -> Result<(u64, u64), ImageError> {
        let mut looked_for = name;
        for _ in 0..LINKS_MAX {
            match self.by_name.get(looked_for) {
                Some(Member::File { at, size }) => return Ok((*at, *size)),
                Some(Member::Link { target }) => looked_for = target,
                Some(Member::Apart) => {
                    return Err(self.strange("it is a directory, and this wants a file".into()));
                }
                None => break,
            }
        }
        Err(self.strange(format!("it holds no `{name}`")))
    }

    pub(super) fn open(&self, name: &str) -> Result<(impl Read + use<>, u64), ImageError> {
        if let Some(Member::Apart) = self.by_name.get(name) {
            let path = self.path.join(name);
            let size = disk::status(&path)?.map_or(0, |status| status.size);
            return Ok((disk::open(&path)?.take(size), size));
        }
        let (at, size) = self.find(name)?;
        let mut file: File = disk::open(&self.path)?;
        file.seek(SeekFrom::Start(at)).map_err(disk::refused("read", &self.path))?;
        Ok((file.take(size), size))
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
