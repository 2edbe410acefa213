//! Push: where an image goes, known before anything is built or sent, and then there.

use std::path::{Path, PathBuf};

use super::evidence::Backing;
use crate::explain::Failure;
use crate::image::{self, Contents, Member};
use crate::registry::{self, Door, Origin, PushError, Pushed, Reference, Target, mount_source};

/// What was said about where an image goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushWish {
    /// References; none for the image's own name.
    pub references: Vec<String>,
    /// Tags beside those of the references.
    pub tags: Vec<String>,
    /// A repository of the registry that may have the same blobs.
    pub mount_from: Option<String>,
}

impl PushWish {
    /// Reads everything that was said, for an image of this name and tag.
    ///
    /// A reference without a tag gets the tags that were named, or else the image's own.
    pub fn targets(&self, name: &str, tag: &str) -> Result<Vec<Target>, PushError> {
        let mut references = Vec::new();
        for text in &self.references {
            references.push(Reference::parse(text)?);
        }
        if references.is_empty() {
            references.push(Reference::of_image(name)?);
        }
        let mut targets: Vec<Target> = Vec::new();
        for reference in references {
            let own = reference.tag.clone();
            let mut tags: Vec<String> = own.into_iter().chain(self.tags.clone()).collect();
            if tags.is_empty() {
                tags.push(tag.to_owned());
            }
            for tag in &tags {
                reference.tagged(tag)?;
            }
            let mut seen = std::collections::BTreeSet::new();
            tags.retain(|tag| seen.insert(tag.clone()));
            let before =
                targets.iter().rfind(|before| before.reference.registry == reference.registry);
            let mount_from = match &self.mount_from {
                Some(from) => Some(mount_source(from, &reference.registry)?),
                // What was pushed a moment ago is there.
                None => before.map(|before| before.reference.repository.clone()),
            };
            targets.push(Target { reference, tags, mount_from });
        }
        Ok(targets)
    }
}

/// Pushes the image file to every target, after every digest in it was checked, and then what proves it. Of several
/// files, one for each machine, a registry gets an index, too.
pub fn push(
    files: &[PathBuf],
    targets: &[Target],
    backing: &Backing<'_>,
    door: Door<'_>,
) -> Result<Vec<Pushed>, Failure> {
    let images = files.iter().map(|file| contents(file)).collect::<Result<Vec<_>, _>>()?;
    send(&images, targets, backing, door)
}

fn send(
    images: &[Contents],
    targets: &[Target],
    backing: &Backing<'_>,
    door: Door<'_>,
) -> Result<Vec<Pushed>, Failure> {
    let mut evidence = Vec::new();
    for image in images {
        evidence.push(backing.prepare(image)?);
    }
    let mut pushed = Vec::new();
    for target in targets {
        let target = &beside_base(images, target);
        let there = match images {
            [image] => registry::push(image, target, door)?,
            several => registry::push_index(several, &index(several), target, door)?,
        };
        for (image, evidence) in images.iter().zip(&evidence) {
            evidence.attach(image, &target.reference, door)?;
        }
        if images.len() > 1 {
            backing.sign_index(there.manifest, &target.reference, door)?;
        }
        pushed.push(there);
    }
    Ok(pushed)
}

/// The index that names one image for each machine, as the layout that a build writes has it.
fn index(images: &[Contents]) -> Vec<u8> {
    let member = |image: &Contents| Member {
        manifest: image.manifest_digest,
        bytes: image.manifest.len() as u64,
        machine: image.machine.clone(),
    };
    image::index(&images.iter().map(member).collect::<Vec<_>>())
}

/// A target in the registry of the image's base takes the base's layers from there, unless another place is named.
fn beside_base(images: &[Contents], target: &Target) -> Target {
    let name = images.first().and_then(|image| image.base.as_ref());
    let origin = name.and_then(|name| Origin::parse(name).ok());
    let base = origin.filter(|origin| origin.place.registry == target.reference.registry);
    let mount_from = target.mount_from.clone();
    Target { mount_from: mount_from.or(base.map(|base| base.place.repository)), ..target.clone() }
}

/// Pushes the image files to where the wish says, or their own name.
pub fn push_files(
    files: &[PathBuf],
    wish: &PushWish,
    backing: &Backing<'_>,
    door: Door<'_>,
) -> Result<Vec<Pushed>, Failure> {
    let images = files.iter().map(|file| contents(file)).collect::<Result<Vec<_>, _>>()?;
    let own = images.first().and_then(|image| image.names.first()).map_or("", String::as_str);
    let slash = own.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match own[slash..].rfind(':') {
        Some(colon) => (&own[..slash + colon], &own[slash + colon + 1..]),
        None => (own, "latest"),
    };
    send(&images, &wish.targets(name, tag)?, backing, door)
}

fn contents(file: &Path) -> Result<Contents, Failure> {
    let contents = Contents::read(file)?;
    if !contents.ours {
        return Err(PushError::NotOurs { path: file.to_owned() }.into());
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(references: &[&str], tags: &[&str], mount_from: Option<&str>) -> PushWish {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        PushWish {
            references: owned(references),
            tags: owned(tags),
            mount_from: mount_from.map(str::to_owned),
        }
    }

    fn planned(wish: &PushWish) -> Vec<String> {
        let targets = wish.targets("r.example/team/hello", "1.0.0").unwrap();
        let line = |target: Target| {
            let from = target.mount_from.unwrap_or_else(|| "-".into());
            format!("{} {} {from}", target.reference.place(), target.tags.join(","))
        };
        targets.into_iter().map(line).collect()
    }

    #[test]
    fn an_image_goes_under_its_own_name_and_tag_where_nothing_else_is_said() {
        assert_eq!(planned(&wish(&[], &[], None)), ["r.example/team/hello 1.0.0 -"]);
        let tagged = wish(&["s.example/a:x"], &["y", "x"], None);
        assert_eq!(planned(&tagged), ["s.example/a x,y -"]);
        let tagged = wish(&["s.example/a"], &["y"], None);
        assert_eq!(planned(&tagged), ["s.example/a y -"]);
    }

    #[test]
    fn what_one_repository_got_the_next_of_its_registry_may_mount() {
        let several = wish(&["s.example/a", "t.example/b", "s.example/c"], &[], None);
        let expected = ["s.example/a 1.0.0 -", "t.example/b 1.0.0 -", "s.example/c 1.0.0 a"];
        assert_eq!(planned(&several), expected);
        let named = wish(&["s.example/a"], &[], Some("s.example/base"));
        assert_eq!(planned(&named), ["s.example/a 1.0.0 base"]);
        assert_eq!(planned(&wish(&["s.example/a"], &[], Some("x/y"))), ["s.example/a 1.0.0 x/y"]);
    }

    #[test]
    fn a_wrong_word_is_found_before_anything_is_done() {
        for wrong in [
            wish(&["s.example/A"], &[], None),
            wish(&["s.example/a", "b c"], &[], None),
            wish(&["s.example/a"], &["x y"], None),
            wish(&["s.example/a"], &[], Some("t.example/a")),
            wish(&["s.example/a"], &[], Some("A")),
        ] {
            assert!(wrong.targets("hello", "1").is_err(), "{wrong:?}");
        }
        assert!(wish(&[], &[], None).targets("hello", "1").is_err(), "no registry is named");
        // A version that is no tag is found here, too.
        assert!(wish(&["s.example/a"], &[], None).targets("hello", "1.0+build").is_err());
    }
}
