//! Hybrid: one tar that is a Docker archive and an OCI layout at once.
//!
//! `index.json` and `manifest.json` name the same blobs, so Docker, podman, containerd, skopeo and umoci
//! each find the form they know. The short documents come first, so that a reader of a huge
//! file sees what is in it from its first blocks. The outer tar is plain: its layers are compressed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use super::config::{Descriptor, MANIFEST_TYPE};
use super::tar::{END, member, padding};
use super::{Image, ImageError};
use crate::digest::Digest;
use crate::disk;
use crate::release::Machine;
use crate::store::HeldBlob;

/// The bytes that mark an OCI layout, as every writer writes them.
pub(super) const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion": "1.0.0"}"#;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: &'static str,
    manifests: [Named; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    #[serde(flatten)]
    descriptor: Descriptor,
    platform: Platform<'static>,
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
pub(super) struct Platform<'a> {
    pub(super) architecture: &'a str,
    pub(super) os: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) variant: Option<&'a str>,
}

impl Platform<'_> {
    fn of(machine: Machine) -> Self {
        Self { architecture: machine.image_name(), os: "linux", variant: machine.variant() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: [String; 1],
    layers: Vec<String>,
}

/// Writes the image as one file at `path`, in one instant, and returns the file's bytes.
pub fn write_archive(image: &Image, name: &str, tag: &str, path: &Path) -> Result<u64, ImageError> {
    if !is_name(name) || !is_tag(tag) {
        return Err(ImageError::BadName { reference: format!("{name}:{tag}") });
    }
    let temporary = disk::sibling(path);
    let written = write(image, (name, tag), &temporary).and_then(|bytes| {
        disk::rename(&temporary, path)?;
        Ok(bytes)
    });
    if written.is_err() {
        let _ = disk::remove_file(&temporary);
    }
    written.map_err(|error| match error {
        ImageError::Disk(error) => error.instead(&temporary, path).into(),
        other => other,
    })
}

fn write(image: &Image, (name, tag): (&str, &str), path: &Path) -> Result<u64, ImageError> {
    let mut archive = Archive::new(path, image.created)?;
    archive.document("oci-layout", OCI_LAYOUT)?;
    archive.document("index.json", &index(image, name, tag))?;
    archive.document("manifest.json", &docker(image, name, tag))?;
    archive.blob(&image.manifest, image.manifest_bytes)?;
    archive.blob(&image.config, image.config_bytes)?;
    for layer in &image.layers {
        archive.blob(&layer.blob, layer.bytes)?;
    }
    archive.write(&END)?;
    Ok(archive.bytes)
}

fn index(image: &Image, name: &str, tag: &str) -> Vec<u8> {
    let document = Index {
        schema_version: 2,
        media_type: "application/vnd.oci.image.index.v1+json",
        manifests: [Named {
            descriptor: Descriptor {
                media_type: MANIFEST_TYPE,
                digest: image.manifest_digest(),
                size: image.manifest_bytes,
            },
            platform: Platform::of(image.machine),
            annotations: BTreeMap::from([
                ("io.containerd.image.name", format!("{}:{tag}", full_name(name))),
                ("org.opencontainers.image.ref.name", tag.to_owned()),
            ]),
        }],
    };
    serde_json::to_vec(&document).expect("the document has only text keys")
}

fn docker(image: &Image, name: &str, tag: &str) -> Vec<u8> {
    let document = [DockerImage {
        config: blob_name(image.image_id()),
        repo_tags: [format!("{name}:{tag}")],
        layers: image.layers.iter().map(|layer| blob_name(layer.blob.digest())).collect(),
    }];
    serde_json::to_vec(&document).expect("the document has only text keys")
}

pub(super) fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Returns the name with its registry, as containerd wants it: Docker's own where none is named.
pub(super) fn full_name(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((first, _)) if is_registry(first) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

/// Tells whether the first part of a name is a registry's host.
pub fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

pub(super) fn is_name(name: &str) -> bool {
    let mut parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 1 && is_registry(parts[0]) {
        let host = parts.remove(0);
        let plain = |c: char| c.is_ascii_alphanumeric() || ".:-[]".contains(c);
        if !host.chars().all(plain) {
            return false;
        }
    }
    is_repository(&parts.join("/")) && name.len() <= 255
}

/// Tells whether registries take the name of a repository: lower-case words, joined by `.`, `_`, `__` or dashes,
/// and slashes between such names.
pub fn is_repository(path: &str) -> bool {
    path.len() <= 255 && path.split('/').all(is_word)
}

fn is_word(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let joints = part.split(word).filter(|joint| !joint.is_empty());
    let plain =
        |joint: &str| matches!(joint, "." | "_" | "__") || joint.bytes().all(|byte| byte == b'-');
    part.starts_with(word) && part.ends_with(word) && joints.into_iter().all(plain)
}

/// Tells whether registries take the tag.
pub fn is_tag(tag: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (1..=128).contains(&tag.len()) && tag.chars().all(plain) && !tag.starts_with(['.', '-'])
}

pub(super) struct Archive<'a> {
    file: File,
    path: &'a Path,
    modified: u64,
    pub(super) bytes: u64,
    /// A name stands once, also where two layers are the same.
    names: BTreeSet<String>,
}

impl<'a> Archive<'a> {
    pub(super) fn new(path: &'a Path, modified: u64) -> Result<Self, ImageError> {
        let file = disk::create_new(path, false)?;
        Ok(Self { file, path, modified, bytes: 0, names: BTreeSet::new() })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        disk::write_all(&mut self.file, self.path, bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn document(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        let size = bytes.len() as u64;
        let mut whole = member(name, size, self.modified);
        whole.extend_from_slice(bytes);
        whole.resize(whole.len() + padding(size), 0);
        self.write(&whole)
    }

    /// Copies a blob of the store; between two files the kernel does it.
    pub(super) fn blob(&mut self, blob: &HeldBlob, size: u64) -> Result<(), ImageError> {
        let name = blob_name(blob.digest());
        if !self.names.insert(name.clone()) {
            return Ok(());
        }
        self.write(&member(&name, size, self.modified))?;
        let mut source = disk::open(blob.path())?;
        let copied =
            io::copy(&mut source, &mut self.file).map_err(disk::refused("write", self.path))?;
        self.bytes += copied;
        if copied != size {
            return Err(ImageError::Truncated { path: blob.path().to_owned(), member: name });
        }
        let zeros = vec![0; padding(size)];
        self.file.write_all(&zeros).map_err(disk::refused("write", self.path))?;
        self.bytes += zeros.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_registries_take() {
        for name in ["hello", "a/b", "registry.example:5000/team/app", "a__b.c-d--e", "localhost/x"]
        {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Hello", "a//b", "-a", "a-", "a___b", "a..b", "a b", "ä", "a/"] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_tag("1.0.0-rc_1") && !is_tag("") && !is_tag(".1") && !is_tag("1+2"));
    }

    #[test]
    fn a_name_gets_its_registry() {
        assert_eq!(full_name("hello"), "docker.io/library/hello");
        assert_eq!(full_name("team/hello"), "docker.io/team/hello");
        assert_eq!(full_name("r.example/hello"), "r.example/hello");
    }
}
