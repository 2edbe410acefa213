//! Foreign: images for several machines of one build, and the layout that holds them all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::build::{
    BuildOptions, Packed, Parts, Site, assemble_of, fresh_lock, own_image, prepare,
};
use super::build::{seen_to_start, uses_of, write};
use super::platforms::{self, PlatformFailure};
use super::rooms::{self, Emulation};
use super::{Desk, quick};
use crate::compile::{self, CrossWish, Crossed, Native, Workshop};
use crate::digest::Digest;
use crate::disk;
use crate::event::Event;
use crate::explain::Failure;
use crate::fetch::debian::Architecture;
use crate::image::{self, Image};
use crate::lock::{self, Lock, PlatformLock};
use crate::manifest::Platform;
use crate::project::Survey;
use crate::release::Release;
use crate::store::{BuildKey, HeldTree};
use crate::toolchain::{self, Toolchain};
use crate::tree::RelPath;

/// Images for several machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// One image file each, in the order of the platforms.
    pub images: Vec<Packed>,
    /// The file that holds all of them, where there are several.
    pub layout: Option<Layout>,
}

/// An OCI layout whose index names one image for each machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The file.
    pub path: PathBuf,
    /// The digest of the index.
    pub index: Digest,
}

/// Returns where the images for these platforms are written, and the layout of all.
pub fn outputs(desk: &Desk<'_>, platforms: &[Platform]) -> (Vec<PathBuf>, PathBuf) {
    let project = &desk.manifest.project;
    let file =
        |end: &str| desk.root.join(format!("{}-{}-{end}.tar", project.name, project.version));
    (platforms.iter().map(|platform| file(platform.short())).collect(), file("oci"))
}

/// Builds an image for each platform and writes it, and, where there are several, a layout of all; what stands there
/// already is left.
pub fn build_platforms(
    desk: &Desk<'_>,
    options: &BuildOptions,
    platforms: &[Platform],
) -> Result<Built, Failure> {
    let (mut files, layout) = outputs(desk, platforms);
    if let ([file], Some(named)) = (files.as_mut_slice(), &options.output) {
        *file = named.clone();
    }
    let places = Places { platforms, files, layout };
    if let Some(built) = places.recall(desk, options)? {
        return Ok(built);
    }
    let lock = fresh_lock(desk, options.freshness, platforms)?;
    platforms::refuse_otp_from_source(&lock, platforms)?;
    let site = prepare(desk, &lock)?;
    let mut uses = site.uses(&lock);
    let (mut made, mut images) = (Vec::new(), Vec::new());
    for (platform, file) in platforms.iter().zip(&places.files) {
        let image = match Some(*platform) == lock.toolchain.platform() {
            true => own_image(desk, &lock, &site, options.boot_check)?,
            false => foreign_image(desk, &lock, (&site, *platform), options.boot_check, &mut uses)?,
        };
        uses.extend(uses_of(&image));
        images.push(write(desk, &image, file)?);
        made.push(image);
    }
    let layout = match made.as_slice() {
        [_] => None,
        several => Some(write_layout(desk, several, &places.layout)?),
    };
    desk.store.add_root(&desk.root.join(lock::FILE_NAME), &uses)?;
    let built = Built { images, layout };
    places.remember(desk, options, &built, site.project.digest())?;
    desk.store.settle()?;
    Ok(built)
}

/// Where the images of a build for several machines stand.
struct Places<'a> {
    platforms: &'a [Platform],
    files: Vec<PathBuf>,
    layout: PathBuf,
}

impl Places<'_> {
    /// Each file with the key of everything that decides it; `None` where a part of that is not there.
    fn keys(
        &self,
        desk: &Desk<'_>,
        options: &BuildOptions,
    ) -> Result<Option<Vec<(BuildKey, &Path)>>, Failure> {
        let mut keys = Vec::new();
        let all =
            self.platforms.iter().map(|platform| platform.name()).collect::<Vec<_>>().join(",");
        let each = self.files.iter().zip(self.platforms.iter().map(|platform| platform.name()));
        let layout = (self.files.len() > 1).then_some((&self.layout, all.as_str()));
        for (file, what) in each.chain(layout) {
            let Some(key) = quick::key(desk, options, file)? else {
                return Ok(None);
            };
            let key = BuildKey::of(&format!("{} for {what}", key.digest()));
            keys.push((key, file.as_path()));
        }
        Ok(Some(keys))
    }

    /// Returns the images that were made of the same, if every file stands as it was left.
    fn recall(&self, desk: &Desk<'_>, options: &BuildOptions) -> Result<Option<Built>, Failure> {
        let mut found = Vec::new();
        for (key, file) in self.keys(desk, options)?.unwrap_or_default() {
            let Some(packed) = quick::recall(desk, key, file)? else {
                return Ok(None);
            };
            found.push(packed);
        }
        if found.is_empty() {
            return Ok(None);
        }
        for Packed { path, image_id, manifest } in &found {
            let (path, image_id, manifest) = (&path.to_string_lossy(), *image_id, *manifest);
            desk.observer.observe(&Event::ImageUpToDate { path, image_id, manifest });
        }
        let layout = found.split_off(self.files.len()).pop();
        let layout = layout.map(|Packed { path, manifest, .. }| Layout { path, index: manifest });
        Ok(Some(Built { images: found, layout }))
    }

    /// Remembers the images for the next build, if the project is still what they were made of.
    fn remember(
        &self,
        desk: &Desk<'_>,
        options: &BuildOptions,
        built: &Built,
        project: Digest,
    ) -> Result<(), Failure> {
        let layout = built.layout.iter().map(|Layout { path, index }| Packed {
            path: path.clone(),
            image_id: *index,
            manifest: *index,
        });
        let all: Vec<Packed> = built.images.iter().cloned().chain(layout).collect();
        let survey = Survey::new(desk.root)?;
        let first = disk::status(&all[0].path)?.map_or(0, |status| status.changed_ns);
        if !survey.is_settled(first) || survey.take(desk.store)?.digest() != project {
            return Ok(());
        }
        for ((key, _), packed) in self.keys(desk, options)?.unwrap_or_default().iter().zip(&all) {
            quick::remember(desk, *key, packed)?;
        }
        Ok(())
    }
}

fn write_layout(desk: &Desk<'_>, images: &[Image], path: &Path) -> Result<Layout, Failure> {
    let (name, tag) = (&desk.manifest.image.name, &desk.manifest.project.version);
    let (index, bytes) = image::write_layout(images, name, tag, path)?;
    let shown = path.to_string_lossy();
    desk.observer.observe(&Event::LayoutWritten {
        path: &shown,
        index,
        images: images.len(),
        bytes,
    });
    Ok(Layout { path: path.to_owned(), index })
}

/// Makes the image for a machine that is not the toolchain's.
fn foreign_image(
    desk: &Desk<'_>,
    lock: &Lock,
    (site, platform): (&Site, Platform),
    boot_check: bool,
    uses: &mut Vec<Digest>,
) -> Result<Image, Failure> {
    let locked = lock.platform(platform).ok_or(PlatformFailure::NotLocked { platform })?;
    let web = (desk.http, desk.observer);
    let target = toolchain::target(&lock.toolchain, locked, desk.store, web)?;
    let otp = otp_of(&site.toolchain);
    let natives = compile::natives(&site.plan, &site.compiled, desk.store, &otp)?;
    let crossed = match natives.is_empty() {
        true => None,
        false => Some(cross(desk, lock, locked, site, &natives)?),
    };
    uses.extend(locked.debs.iter().chain(&locked.tools).map(|deb| deb.sha256));
    uses.extend([target.root.digest(), target.owners.digest(), target.key.digest()]);
    if let Some(crossed) = &crossed {
        uses.push(crossed.natives.digest());
        uses.extend(crossed.outputs.iter().map(HeldTree::digest));
        uses.extend(crossed.keys.iter().map(|key| key.digest()));
    }
    let listing = compile::without(&desk.store.listing(&site.compiled.release)?, &otp);
    let natives = crossed.as_ref().map(|crossed| &crossed.natives);
    let natives_listing = natives.map(|held| desk.store.listing(held)).transpose()?;
    let natives = natives.zip(natives_listing.as_ref()).map(|(held, tree)| (held.path(), tree));
    let debs = &locked.debs;
    let parts = Parts { listing: &listing, natives, toolchain: &target, debs, otp: None };
    let release = assemble_of(desk, &lock.of_platform(platform), &site.compiled, &parts)?;
    seen_to_start(desk, lock, &release, || match boot_check {
        true => boot(desk, &release, (site, &target, locked), crossed.as_ref()),
        false => Ok(()),
    })
}

/// Tells what of a release is OTP's, of which the other machine brings its own.
fn otp_of(toolchain: &Toolchain) -> impl Fn(&RelPath) -> bool {
    let lib = toolchain.root.path().join("usr/lib/erlang/lib");
    let known: BTreeSet<Vec<u8>> = disk::list(&lib).unwrap_or_default().into_iter().collect();
    move |path| {
        let parts: Vec<&[u8]> = path.components().collect();
        match parts.as_slice() {
            [b"lib", app, ..] => known.contains(*app),
            [first, ..] => first.starts_with(b"erts-"),
            [] => false,
        }
    }
}

fn cross(
    desk: &Desk<'_>,
    lock: &Lock,
    locked: &PlatformLock,
    site: &Site,
    natives: &[Native],
) -> Result<Crossed, Failure> {
    let toolchain =
        toolchain::cross(&lock.toolchain, locked, desk.store, (desk.http, desk.observer))?;
    let machine = machine(locked.platform);
    let Desk { store, level, jobs, observer, .. } = *desk;
    let workshop = Workshop { store, toolchain: &toolchain, level, jobs, observer };
    let wish = CrossWish { machine, keep_debug_info: desk.manifest.release.keep_debug_info };
    Ok(compile::cross(&site.plan, &site.compiled, natives, wish, &workshop)?)
}

fn machine(platform: Platform) -> Architecture {
    Architecture::from_name(platform.short()).expect("Debian builds for every platform")
}

/// Starts the release under the locked emulator; where there is none, or no shell for it, that is said.
fn boot(
    desk: &Desk<'_>,
    release: &Release,
    (site, target, locked): (&Site, &Toolchain, &PlatformLock),
    crossed: Option<&Crossed>,
) -> Result<(), Failure> {
    let emulator = toolchain::emulator(locked, desk.store, (desk.http, desk.observer))?;
    let shell = site.toolchain.root.path().join("usr/bin/busybox");
    let Some(emulator) = emulator.filter(|_| disk::exists(&shell)) else {
        let name = locked.platform.name();
        let message = format!(
            "the image for {name} was not seen to start: the lock names no emulator for it"
        );
        desk.observer.observe(&Event::Warned { message: &message });
        return Ok(());
    };
    let natives = crossed.map(|crossed| crossed.natives.digest().to_string()).unwrap_or_default();
    let made_of = format!("natives {natives}\nemulator {}\n", emulator.tree.digest());
    let emulation = Emulation { program: &emulator.program, shell: &shell, made_of };
    rooms::boot_check(desk, release, (target, &site.compiled), Some(&emulation))
}
