//! Layout: the images of several machines as one file: an OCI layout whose index names each by its platform.
//!
//! `index.json` names one thing, the index of the images, so that a tag means all of them, as it does in a registry; who
//! loads the file takes the image for its own machine. Blobs that images share stand in it once.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::config::{Descriptor, MANIFEST_TYPE};
use super::hybrid::{Archive, OCI_LAYOUT, Platform, blob_name, full_name, is_name, is_tag};
use super::tar::END;
use super::{Image, ImageError};
use crate::digest::Digest;
use crate::disk;

/// The media type of an index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// One image of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its manifest's digest.
    pub manifest: Digest,
    /// Bytes of the manifest.
    pub bytes: u64,
    /// The machine that it is for, and the variant of it.
    pub machine: (String, Option<String>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<T> {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<T>,
}

#[derive(Serialize)]
struct OfPlatform<'a> {
    #[serde(flatten)]
    descriptor: Descriptor,
    platform: Platform<'a>,
}

#[derive(Serialize)]
struct Tagged {
    #[serde(flatten)]
    descriptor: Descriptor,
    annotations: BTreeMap<&'static str, String>,
}

/// Returns the index of these images, byte for byte the same for the same images in the same order.
pub fn index(members: &[Member]) -> Vec<u8> {
    let manifests: Vec<OfPlatform<'_>> = members.iter().map(of_platform).collect();
    let index = Index { schema_version: 2, media_type: INDEX_TYPE, manifests };
    serde_json::to_vec(&index).expect("the document has only text keys")
}

fn of_platform(member: &Member) -> OfPlatform<'_> {
    let (digest, size) = (member.manifest, member.bytes);
    let (architecture, variant) = (member.machine.0.as_str(), member.machine.1.as_deref());
    OfPlatform {
        descriptor: Descriptor { media_type: MANIFEST_TYPE, digest, size },
        platform: Platform { architecture, os: "linux", variant },
    }
}

/// Writes the images as one file at `path`, in one instant, and returns the digest of their index and the file's bytes.
pub fn write_layout(
    images: &[Image],
    name: &str,
    tag: &str,
    path: &Path,
) -> Result<(Digest, u64), ImageError> {
    if !is_name(name) || !is_tag(tag) {
        return Err(ImageError::BadName { reference: format!("{name}:{tag}") });
    }
    let temporary = disk::sibling(path);
    let written = write(images, (name, tag), &temporary).and_then(|written| {
        disk::rename(&temporary, path)?;
        Ok(written)
    });
    if written.is_err() {
        let _ = disk::remove_file(&temporary);
    }
    written.map_err(|error| match error {
        ImageError::Disk(error) => error.instead(&temporary, path).into(),
        other => other,
    })
}

fn write(
    images: &[Image],
    (name, tag): (&str, &str),
    path: &Path,
) -> Result<(Digest, u64), ImageError> {
    let member = |image: &Image| Member {
        manifest: image.manifest_digest(),
        bytes: image.manifest_bytes,
        machine: (
            image.machine.image_name().to_owned(),
            image.machine.variant().map(str::to_owned),
        ),
    };
    let index = index(&images.iter().map(member).collect::<Vec<_>>());
    let digest = Digest::of(&index);
    let created = images.iter().map(|image| image.created).max().unwrap_or_default();
    let mut archive = Archive::new(path, created)?;
    archive.document("oci-layout", OCI_LAYOUT)?;
    archive.document("index.json", &entry(digest, index.len() as u64, name, tag))?;
    archive.document(&blob_name(digest), &index)?;
    for image in images {
        archive.blob(&image.manifest, image.manifest_bytes)?;
        archive.blob(&image.config, image.config_bytes)?;
    }
    for layer in images.iter().flat_map(|image| &image.layers) {
        archive.blob(&layer.blob, layer.bytes)?;
    }
    archive.write(&END)?;
    Ok((digest, archive.bytes))
}

fn entry(digest: Digest, size: u64, name: &str, tag: &str) -> Vec<u8> {
    let tagged = Tagged {
        descriptor: Descriptor { media_type: INDEX_TYPE, digest, size },
        annotations: BTreeMap::from([
            ("io.containerd.image.name", format!("{}:{tag}", full_name(name))),
            ("org.opencontainers.image.ref.name", tag.to_owned()),
        ]),
    };
    let index = Index { schema_version: 2, media_type: INDEX_TYPE, manifests: vec![tagged] };
    serde_json::to_vec(&index).expect("the document has only text keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_each_image_by_its_platform() {
        let member = |text: &str, architecture: &str, variant: Option<&str>| Member {
            manifest: Digest::of(text.as_bytes()),
            bytes: 7,
            machine: (architecture.to_owned(), variant.map(str::to_owned)),
        };
        let text = index(&[member("a", "amd64", None), member("b", "arm", Some("v7"))]);
        let [a, b] = ["a", "b"].map(|text| Digest::of(text.as_bytes()));
        let line = |digest, platform| {
            format!(
                r#"{{"mediaType":"{MANIFEST_TYPE}","digest":"{digest}","size":7,"platform":{platform}}}"#
            )
        };
        let lines = [
            line(a, r#"{"architecture":"amd64","os":"linux"}"#),
            line(b, r#"{"architecture":"arm","os":"linux","variant":"v7"}"#),
        ];
        let expected = format!(
            r#"{{"schemaVersion":2,"mediaType":"{INDEX_TYPE}","manifests":[{}]}}"#,
            lines.join(",")
        );
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn the_tag_of_a_layout_means_the_index() {
        let text = entry(Digest::of(b"index"), 5, "team/shop", "1.0");
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(r#""org.opencontainers.image.ref.name":"1.0""#), "{text}");
        assert!(text.contains(r#""io.containerd.image.name":"docker.io/team/shop:1.0""#), "{text}");
        assert_eq!(text.matches(INDEX_TYPE).count(), 2);
    }
}
