//! Build: from a lock to an image file that was seen to start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::configs::{Configs, changed_files, unpinned};
use super::lock::{LockFailure, Update, lock as make_lock, stale};
use super::{Desk, lacking, mix, modules, quick, rooms};
use crate::compile::{self, Compiled, Project, Workshop};
use crate::digest::Digest;
use crate::disk;
use crate::event::Event;
use crate::explain::Failure;
use crate::fetch::debian;
use crate::image::{self, Image};
use crate::lock::{self, IMAGE_FORMAT, Lock, Role};
use crate::manifest::{self, Manifest, Tool};
use crate::project::{self, Survey};
use crate::release::{self, Release};
use crate::store::HeldTree;
use crate::toolchain::{self, Toolchain};

/// The label of a source's commit (OCI image specification, "Annotations").
pub(super) const REVISION: &str = "org.opencontainers.image.revision";
/// The label of the content hash of the project's files, as `rebeam hash` prints hashes.
pub(super) const PROJECT_LABEL: &str = "rebeam.project";
/// The label of the SHA-256 of the project's `rebeam.toml`.
pub(super) const MANIFEST_LABEL: &str = "rebeam.manifest";

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
    let lock = fresh_lock(desk, options.freshness)?;
    let made = make(desk, &lock, options.boot_check)?;
    let packed = write(desk, &made.image, &output)?;
    remember(desk, options, &packed, made.project)?;
    desk.store.settle()?;
    Ok(packed)
}

/// Remembers the image for the next build, if the project is still what it was made of.
///
/// A file that changed a moment ago can change again without its status showing it; then the next build looks closer.
fn remember(
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

fn fresh_lock(desk: &Desk<'_>, freshness: Freshness) -> Result<Lock, Failure> {
    let Some(found) = Lock::read(desk.root)? else {
        return match freshness {
            Freshness::Renewed => make_lock(desk, &Update::nothing()),
            _ => Err(LockFailure::Missing { path: desk.root.to_owned() }.into()),
        };
    };
    if freshness == Freshness::Frozen {
        return Ok(found);
    }
    let reasons = stale(desk, &found)?;
    match freshness {
        _ if reasons.is_empty() => Ok(found),
        Freshness::Locked => Err(LockFailure::Stale { reasons }.into()),
        _ => make_lock(desk, &Update::nothing()),
    }
}

/// An image and what of the project went into it.
struct Made {
    image: Image,
    project: Digest,
}

/// Makes the image of a lock: fetches, compiles, assembles, and sees it start.
fn make(desk: &Desk<'_>, lock: &Lock, boot_check: bool) -> Result<Made, Failure> {
    let sources = desk.doors().fetch(lock)?;
    let toolchain = toolchain::toolchain(&lock.toolchain, desk.store, desk.http, desk.observer)?;
    let project = Survey::new(desk.root)?.take(desk.store)?;
    let compiled = compile(desk, lock, &toolchain, &project)?;
    let release = assemble(desk, lock, &toolchain, &compiled, &provenance(desk))?;
    let labelled = labelled(desk, lock, &project)?;
    // The check wants the files, not the layers: both go on at once.
    let (image, booted) = std::thread::scope(|scope| {
        let boot = scope.spawn(|| match boot_check {
            true => rooms::boot_check(desk, &release, (&toolchain, &compiled)),
            false => Ok(()),
        });
        let image = image::assemble(&release, lock, &labelled, desk.store, desk.observer);
        (image, boot.join().expect("a panic has ended the process"))
    });
    let image = image?;
    booted?;
    // All that a build of this lock needs again stays until the lock is gone.
    let mut uses: Vec<Digest> = sources.trees.values().map(HeldTree::digest).collect();
    uses.extend(lock.toolchain.debs.iter().map(|deb| deb.sha256));
    uses.extend([toolchain.root.digest(), toolchain.owners.digest(), toolchain.key.digest()]);
    uses.extend(compiled.keys.iter().map(|key| key.digest()));
    uses.extend(compiled.outputs.iter().map(HeldTree::digest));
    uses.extend(image.layers.iter().map(|layer| layer.blob.digest()));
    uses.extend([image.image_id(), image.manifest_digest(), project.digest()]);
    desk.store.add_root(&desk.root.join(lock::FILE_NAME), &uses)?;
    Ok(Made { image, project: project.digest() })
}

/// The manifest with labels for the project's files, and for the commit that they are, if they are one: by these
/// `rebeam verify` finds what the image was made of. The project's own label of a commit counts more.
fn labelled(desk: &Desk<'_>, lock: &Lock, project: &HeldTree) -> Result<Manifest, Failure> {
    let mut manifest = desk.manifest.clone();
    let labels = &mut manifest.image.labels;
    if let Some(commit) = project::revision(desk.root)? {
        labels.entry(REVISION.into()).or_insert(commit);
    }
    labels.extend(identity(desk, lock, project)?);
    Ok(manifest)
}

/// What an image says of the project that it was made of, beside the lock in it.
pub(super) fn identity(
    desk: &Desk<'_>,
    lock: &Lock,
    project: &HeldTree,
) -> Result<BTreeMap<String, String>, Failure> {
    let manifest = disk::digest(&desk.root.join(manifest::FILE_NAME))?;
    let mut labels = BTreeMap::from([
        (PROJECT_LABEL.to_owned(), project.digest().sri()),
        (MANIFEST_LABEL.to_owned(), manifest.to_string()),
    ]);
    // A directory that is no part of the project is pinned by nothing else.
    for (app, tree) in unpinned(desk, &lock.sources)? {
        labels.insert(format!("{PROJECT_LABEL}.{app}"), tree.sri());
    }
    Ok(labels)
}

/// Makes the image of a lock once more, from what is at hand, without a look at how it starts.
pub(super) fn remake(
    desk: &Desk<'_>,
    lock: &Lock,
    (toolchain, project): (&Toolchain, &HeldTree),
    labels: &BTreeMap<String, String>,
    provenance: &str,
) -> Result<Image, Failure> {
    let compiled = compile(desk, lock, toolchain, project)?;
    let release = assemble(desk, lock, toolchain, &compiled, provenance)?;
    let mut manifest = desk.manifest.clone();
    manifest.image.labels.extend(labels.clone());
    Ok(image::assemble(&release, lock, &manifest, desk.store, desk.observer)?)
}

fn compile(
    desk: &Desk<'_>,
    lock: &Lock,
    toolchain: &Toolchain,
    tree: &HeldTree,
) -> Result<Compiled, Failure> {
    let started = Instant::now();
    let project = &desk.manifest.project;
    let configs = Configs::of(desk, lock);
    let (mut config, mut facts, mut make) = (vec![], None, None);
    match desk.manifest.build.tool {
        Tool::Rebar3 => config = configs.terms(&project.name, tree)?,
        Tool::Mix => facts = Some(mix::facts(desk, &configs, tree)?),
        Tool::ErlangMk => make = Some(configs.make_project(tree)?),
        Tool::Rebar | Tool::Make => {}
    }
    config.extend(compile::flags(&desk.manifest.deps));
    let patches = changed_files(desk)?;
    let unpinned = unpinned(desk, &lock.sources)?;
    let plan = compile::plan(&Project {
        manifest: desk.manifest,
        lock,
        tree: tree.digest(),
        config: &config,
        mix: facts.as_ref(),
        patches: &patches,
        unpinned: &unpinned,
        make,
    })?;
    desk.observer.observe(&Event::BuildPlanned { steps: plan.steps.len() });
    let Desk { store, level, jobs, observer, variation, .. } = *desk;
    let compiled =
        compile::compile(&plan, &Workshop { store, toolchain, level, jobs, observer, variation });
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
    Ok(compiled)
}

fn assemble(
    desk: &Desk<'_>,
    lock: &Lock,
    toolchain: &Toolchain,
    compiled: &Compiled,
    provenance: &str,
) -> Result<Release, Failure> {
    let deps = lock.sources.iter().filter(|source| source.role == Role::Dep);
    let dep_apps: BTreeSet<String> = deps.map(|source| source.app.clone()).collect();
    let owners = toolchain.owners()?;
    let listing = desk.store.listing(&compiled.release)?;
    Ok(release::assemble(&release::Inputs {
        release: compiled.release.path(),
        listing: &listing,
        toolchain: toolchain.root.path(),
        otp: compiled.otp.as_ref().map(HeldTree::path),
        owner: &|path| {
            let owner = owners.of(&path.to_string())?;
            Some(release::Package { name: owner.package.clone(), version: owner.version.clone() })
        },
        papers: &|package| {
            let debs = &lock.toolchain.debs;
            let deb = debs
                .iter()
                .find(|deb| deb.package == package.name && deb.version == package.version);
            let Some(deb) = deb else {
                return Ok(None);
            };
            let held = debian::fetch(deb, desk.store, desk.http, desk.observer)?;
            debian::papers(&format!("{} {}", deb.package, deb.version), &held).map(Some)
        },
        provider: &|library| owners.holding(library),
        dep_apps: &dep_apps,
        manifest: desk.manifest,
        lock_text: &lock.to_text(),
        provenance,
    })?)
}

/// How the image was made, as it says in itself. No times, no paths, no host.
fn provenance(desk: &Desk<'_>) -> String {
    let value = serde_json::json!({
        "image_format": IMAGE_FORMAT,
        "recipe": compile::RECIPE_VERSION,
        "rules": release::RULES,
        "sandbox": desk.level.name(),
    });
    format!("{value}\n")
}

fn write(desk: &Desk<'_>, image: &Image, output: &Path) -> Result<Packed, Failure> {
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
