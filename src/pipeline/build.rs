//! Build: from a lock to an image file that was seen to start.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::configs::{Configs, changed_files, unpinned};
use super::lock::{LockFailure, Update, lock as make_lock, stale};
use super::platforms::PlatformFailure;
use super::{Desk, lacking, mix, modules, quick, rooms};
use crate::compile::{self, Compiled, Plan, Project, Workshop};
use crate::digest::Digest;
use crate::disk;
use crate::event::Event;
use crate::explain::Failure;
use crate::fetch::{Sources, debian};
use crate::image::{self, Image};
use crate::lock::{self, Deb, IMAGE_FORMAT, Lock, Role};
use crate::manifest::{Manifest, Platform, Tool};
use crate::project::{self, Survey};
use crate::release::{self, Release};
use crate::store::HeldTree;
use crate::toolchain::{self, Toolchain};
use crate::tree::Tree;

/// The label of a source's commit (OCI image specification, "Annotations").
const REVISION: &str = "org.opencontainers.image.revision";

/// What is done about a stale lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It is brought up to date.
    Renewed,
    /// It is an error: `--locked`.
    Locked,
    /// Nobody looks: `--frozen`.
    Frozen,
}

/// How a build is done.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// What is done about a stale lock.
    pub freshness: Freshness,
    /// Where the image goes; `NAME-VERSION.tar` in the project by default.
    pub output: Option<PathBuf>,
    /// Whether the image must be seen to start before it is written.
    pub boot_check: bool,
}

/// An image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Where it stands.
    pub path: PathBuf,
    /// The digest of its configuration.
    pub image_id: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
}

/// Builds the project's image and writes it, unless it stands there already.
pub fn build(desk: &Desk<'_>, options: &BuildOptions) -> Result<Packed, Failure> {
    let output = options.output.clone().unwrap_or_else(|| default_output(desk));
    if let Some(key) = quick::key(desk, options, &output)?
        && let Some(packed) = quick::recall(desk, key, &output)?
    {
        let path = output.to_string_lossy();
        let Packed { image_id, manifest, .. } = packed;
        desk.observer.observe(&Event::ImageUpToDate { path: &path, image_id, manifest });
        return Ok(packed);
    }
    let lock = fresh_lock(desk, options.freshness, &[])?;
    let made = make(desk, &lock, options.boot_check)?;
    let packed = write(desk, &made.image, &output)?;
    remember(desk, options, &packed, made.project)?;
    desk.store.settle()?;
    Ok(packed)
}

/// Remembers the image for the next build, if the project is still what it was made of.
///
/// A file that changed a moment ago can change again without its status showing it; then the next build looks closer.
pub(super) fn remember(
    desk: &Desk<'_>,
    options: &BuildOptions,
    packed: &Packed,
    project: Digest,
) -> Result<(), Failure> {
    let survey = Survey::new(desk.root)?;
    let now = disk::status(&packed.path)?.map_or(0, |status| status.changed_ns);
    if survey.is_settled(now)
        && survey.take(desk.store)?.digest() == project
        && let Some(key) = quick::key(desk, options, &packed.path)?
    {
        quick::remember(desk, key, packed)?;
    }
    Ok(())
}

/// Returns where the project's image is written: `NAME-VERSION.tar` in its root.
pub fn default_output(desk: &Desk<'_>) -> PathBuf {
    let project = &desk.manifest.project;
    desk.root.join(format!("{}-{}.tar", project.name, project.version))
}

/// Returns the lock, brought up to date where that is wished, with packages for these machines.
pub(super) fn fresh_lock(
    desk: &Desk<'_>,
    freshness: Freshness,
    platforms: &[Platform],
) -> Result<Lock, Failure> {
    let update = Update::for_platforms(platforms);
    let Some(found) = Lock::read(desk.root)? else {
        return match freshness {
            Freshness::Renewed => make_lock(desk, &update),
            _ => Err(LockFailure::Missing { path: desk.root.to_owned() }.into()),
        };
    };
    if freshness == Freshness::Frozen {
        return Ok(found);
    }
    let reasons = stale(desk, &found)?;
    let own = found.toolchain.platform();
    let is_lacking =
        |platform: &&Platform| Some(**platform) != own && found.platform(**platform).is_none();
    let lacking = platforms.iter().find(is_lacking);
    match (freshness, lacking) {
        (_, None) if reasons.is_empty() => Ok(found),
        (Freshness::Locked, Some(platform)) if reasons.is_empty() => {
            Err(PlatformFailure::NotLocked { platform: *platform }.into())
        }
        (Freshness::Locked, _) => Err(LockFailure::Stale { reasons }.into()),
        _ => make_lock(desk, &update),
    }
}

/// What an image is assembled from, whatever machine it is for: everything is fetched, and compiled.
pub(super) struct Site {
    sources: Sources,
    pub(super) toolchain: Toolchain,
    pub(super) project: HeldTree,
    pub(super) plan: Plan,
    pub(super) compiled: Compiled,
}

impl Site {
    /// Returns all that a build of this lock needs again.
    pub(super) fn uses(&self, lock: &Lock) -> Vec<Digest> {
        let mut uses: Vec<Digest> = self.sources.trees.values().map(HeldTree::digest).collect();
        uses.extend(lock.toolchain.debs.iter().map(|deb| deb.sha256));
        let Toolchain { root, owners, key } = &self.toolchain;
        uses.extend([root.digest(), owners.digest(), key.digest(), self.project.digest()]);
        uses.extend(self.compiled.keys.iter().map(|key| key.digest()));
        uses.extend(self.compiled.outputs.iter().map(HeldTree::digest));
        uses
    }
}

/// Returns what of an image is used again.
pub(super) fn uses_of(image: &Image) -> Vec<Digest> {
    let layers = image.layers.iter().map(|layer| layer.blob.digest());
    layers.chain([image.image_id(), image.manifest_digest()]).collect()
}

/// Fetches and compiles what the lock names.
pub(super) fn prepare(desk: &Desk<'_>, lock: &Lock) -> Result<Site, Failure> {
    let sources = desk.doors().fetch(lock)?;
    let toolchain = toolchain::toolchain(&lock.toolchain, desk.store, desk.http, desk.observer)?;
    let project = Survey::new(desk.root)?.take(desk.store)?;
    let (plan, compiled) = compile(desk, lock, &toolchain, &project)?;
    Ok(Site { sources, toolchain, project, plan, compiled })
}

/// An image and what of the project went into it.
struct Made {
    image: Image,
    project: Digest,
}

/// Makes the image of a lock: fetches, compiles, assembles, and sees it start.
fn make(desk: &Desk<'_>, lock: &Lock, boot_check: bool) -> Result<Made, Failure> {
    let site = prepare(desk, lock)?;
    let image = own_image(desk, lock, &site, boot_check)?;
    // All that a build of this lock needs again stays until the lock is gone.
    let uses = [site.uses(lock), uses_of(&image)].concat();
    desk.store.add_root(&desk.root.join(lock::FILE_NAME), &uses)?;
    Ok(Made { image, project: site.project.digest() })
}

/// Makes the image for the toolchain's own machine.
pub(super) fn own_image(
    desk: &Desk<'_>,
    lock: &Lock,
    site: &Site,
    boot_check: bool,
) -> Result<Image, Failure> {
    let release = assemble(desk, lock, &site.toolchain, &site.compiled)?;
    seen_to_start(desk, lock, &release, || match boot_check {
        true => rooms::boot_check(desk, &release, (&site.toolchain, &site.compiled), None),
        false => Ok(()),
    })
}

/// Makes the image of a release while it is seen to start: the check wants the files, not the layers.
pub(super) fn seen_to_start(
    desk: &Desk<'_>,
    lock: &Lock,
    release: &Release,
    check: impl FnOnce() -> Result<(), Failure> + Send,
) -> Result<Image, Failure> {
    let labelled = with_revision(desk)?;
    let (image, booted) = std::thread::scope(|scope| {
        let boot = scope.spawn(check);
        let image = image::assemble(release, lock, &labelled, desk.store, desk.observer);
        (image, boot.join().expect("a panic has ended the process"))
    });
    let image = image?;
    booted?;
    Ok(image)
}

/// The manifest with a label for the commit that the project is, if it is one, unless it has such a label.
fn with_revision(desk: &Desk<'_>) -> Result<Manifest, Failure> {
    let mut manifest = desk.manifest.clone();
    if let Some(commit) = project::revision(desk.root)? {
        manifest.image.labels.entry(REVISION.into()).or_insert(commit);
    }
    Ok(manifest)
}

fn compile(
    desk: &Desk<'_>,
    lock: &Lock,
    toolchain: &Toolchain,
    tree: &HeldTree,
) -> Result<(Plan, Compiled), Failure> {
    let started = Instant::now();
    let project = &desk.manifest.project;
    let configs = Configs::of(desk, lock);
    let tree = &configs.configured(tree)?;
    let (mut config, mut facts, mut make) = (vec![], None, None);
    match desk.manifest.build.tool {
        Tool::Rebar3 | Tool::Rebar => config = configs.terms(&project.name, tree)?,
        Tool::Mix => facts = Some(mix::facts(desk, &configs, tree)?),
        Tool::ErlangMk => make = Some(configs.make_project(tree)?),
        Tool::Make => {}
    }
    config.extend(compile::flags(&desk.manifest.deps));
    let patches = changed_files(desk)?;
    let unpinned = unpinned(desk, &lock.sources)?;
    let laid = configs.laid_as_source(lock, &unpinned)?;
    let plan = compile::plan(&Project {
        manifest: desk.manifest,
        lock,
        tree: tree.digest(),
        config: &config,
        mix: facts.as_ref(),
        patches: &patches,
        unpinned: &unpinned,
        laid: &laid,
        make,
    })?;
    desk.observer.observe(&Event::BuildPlanned { steps: plan.steps.len() });
    let Desk { store, level, jobs, observer, .. } = *desk;
    let compiled = compile::compile(&plan, &Workshop { store, toolchain, level, jobs, observer });
    let compiled = compiled.map_err(|error| match modules::explain(lock, error) {
        Ok(failure) => failure.into(),
        Err(error) => lacking::explain(desk, &lock.toolchain, error),
    })?;
    desk.observer.observe(&Event::Built {
        name: &project.name,
        version: &project.version,
        reused: compiled.reused,
        built: compiled.built,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok((plan, compiled))
}

fn assemble(
    desk: &Desk<'_>,
    lock: &Lock,
    toolchain: &Toolchain,
    compiled: &Compiled,
) -> Result<Release, Failure> {
    let own = lock.toolchain.platform().map(|own| lock.of_platform(own));
    let listing = desk.store.listing(&compiled.release)?;
    let parts = Parts {
        listing: &listing,
        natives: None,
        toolchain,
        debs: &lock.toolchain.debs,
        otp: compiled.otp.as_ref().map(HeldTree::path),
    };
    assemble_of(desk, own.as_ref().unwrap_or(lock), compiled, &parts)
}

/// What differs between the releases for two machines.
pub(super) struct Parts<'a> {
    pub(super) listing: &'a Tree,
    pub(super) natives: Option<(&'a Path, &'a Tree)>,
    pub(super) toolchain: &'a Toolchain,
    /// The packages that the toolchain is made of.
    pub(super) debs: &'a [Deb],
    pub(super) otp: Option<&'a Path>,
}

/// Says which files the image of a compiled release holds. The lock travels in it.
pub(super) fn assemble_of(
    desk: &Desk<'_>,
    lock: &Lock,
    compiled: &Compiled,
    parts: &Parts<'_>,
) -> Result<Release, Failure> {
    let deps = lock.sources.iter().filter(|source| source.role == Role::Dep);
    let dep_apps: BTreeSet<String> = deps.map(|source| source.app.clone()).collect();
    let owners = parts.toolchain.owners()?;
    Ok(release::assemble(&release::Inputs {
        release: compiled.release.path(),
        listing: parts.listing,
        natives: parts.natives,
        toolchain: parts.toolchain.root.path(),
        otp: parts.otp,
        owner: &|path| {
            let owner = owners.of(&path.to_string())?;
            Some(release::Package { name: owner.package.clone(), version: owner.version.clone() })
        },
        papers: &|package| {
            let is_it = |deb: &&Deb| deb.package == package.name && deb.version == package.version;
            let Some(deb) = parts.debs.iter().find(is_it) else {
                return Ok(None);
            };
            let held = debian::fetch(deb, desk.store, desk.http, desk.observer)?;
            debian::papers(&format!("{} {}", deb.package, deb.version), &held).map(Some)
        },
        provider: &|library| owners.holding(library),
        dep_apps: &dep_apps,
        manifest: desk.manifest,
        lock_text: &lock.to_text(),
        provenance: &provenance(desk),
    })?)
}

/// How the image was made, as it says in itself. No times, no paths, no host.
fn provenance(desk: &Desk<'_>) -> String {
    let value = serde_json::json!({ "image_format": IMAGE_FORMAT, "sandbox": desk.level.name() });
    format!("{value}\n")
}

pub(super) fn write(desk: &Desk<'_>, image: &Image, output: &Path) -> Result<Packed, Failure> {
    let wish = &desk.manifest.image;
    let bytes = image::write_archive(image, &wish.name, &desk.manifest.project.version, output)?;
    desk.observer.observe(&Event::ImageWritten {
        path: &output.to_string_lossy(),
        image_id: image.image_id(),
        manifest: image.manifest_digest(),
        bytes,
        unpacked_bytes: image.unpacked_bytes(),
    });
    Ok(Packed {
        path: output.to_owned(),
        image_id: image.image_id(),
        manifest: image.manifest_digest(),
    })
}
