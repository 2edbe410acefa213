//! Claim: what an image says that it was made of, and the project's files that are exactly that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::compile::{self, RECIPE_VERSION};
use crate::disk;
use crate::explain::{Blame, Explain, Failure};
use crate::fetch::Doors;
use crate::image::{self, Inspected};
use crate::lock::{IMAGE_FORMAT, LOCK_IN_IMAGE, Lock};
use crate::manifest::{self, Manifest};
use crate::pipeline::said::{MANIFEST_LABEL, PROJECT_LABEL, REVISION};
use crate::project::{self, Survey};
use crate::release;
use crate::store::{HeldTree, Scratch, Store};
use crate::tree::Entry;

/// The label of the address where a project's sources are (OCI image specification, "Annotations").
const SOURCE: &str = "org.opencontainers.image.source";

/// An image cannot be verified.
#[derive(Debug, Error)]
pub enum VerifyFailure {
    /// It holds no lock.
    #[error("`{}` holds no lock, so nobody can say what it was made of", file.display())]
    NoLock {
        /// The image file.
        file: PathBuf,
    },
    /// It was made in another way than this rebeam makes images.
    #[error("the image was made with {what} {theirs}, and this rebeam makes {ours}")]
    OtherRules {
        /// `image format`, `recipe`, `rules`.
        what: &'static str,
        /// The image's.
        theirs: String,
        /// Ours.
        ours: u32,
    },
    /// The files that it was made of are nowhere.
    #[error("the project that the image was made of was not found\n  wanted: {wanted}\n{}", looked.join("\n"))]
    NoProject {
        /// What identifies it.
        wanted: String,
        /// Where was looked, and what is there.
        looked: Vec<String>,
        /// The commit, where the image names one.
        commit: Option<String>,
    },
}

impl Explain for VerifyFailure {
    fn blame(&self) -> Blame {
        Blame::User
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoLock { .. } => "`rebeam build` makes images that can be verified".into(),
            Self::OtherRules { .. } => {
                "verify it with the version of rebeam that made it".to_owned()
            }
            Self::NoProject { commit: Some(commit), .. } => format!(
                "name a clone of its repository that has the commit: `rebeam verify -C DIR …`; it is {commit}"
            ),
            Self::NoProject { .. } => {
                "name a directory with exactly these files: `rebeam verify -C DIR …`".into()
            }
        })
    }
}

/// What an image says that it was made of.
#[derive(Debug, Clone)]
pub struct Claim {
    /// What is in the image.
    pub image: Inspected,
    /// The lock in it.
    pub lock: Lock,
    /// How it was made, as it stands in it.
    pub provenance: String,
}

impl Claim {
    /// Reads the image file and its claim.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let image = image::inspect(file)?;
        let (Some(lock), Some(provenance)) = (&image.lock, &image.provenance) else {
            return Err(VerifyFailure::NoLock { file: file.to_owned() }.into());
        };
        let provenance = provenance.clone();
        let lock = Lock::parse(lock, Path::new(LOCK_IN_IMAGE))?;
        let claim = Self { image, lock, provenance };
        claim.refuse_other_rules()?;
        Ok(claim)
    }

    /// What was made in another way cannot come out the same, and that would be no fault of the image.
    fn refuse_other_rules(&self) -> Result<(), VerifyFailure> {
        let said: serde_json::Value = serde_json::from_str(&self.provenance).unwrap_or_default();
        let known = [
            ("image format", "image_format", IMAGE_FORMAT),
            ("recipe", "recipe", RECIPE_VERSION),
            ("rules", "rules", release::RULES),
        ];
        for (what, key, ours) in known {
            if said[key].as_u64() != Some(u64::from(ours)) {
                let theirs = match &said[key] {
                    serde_json::Value::Null => "of an older rebeam".into(),
                    said => said.to_string(),
                };
                return Err(VerifyFailure::OtherRules { what, theirs, ours });
            }
        }
        Ok(())
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.image.labels.get(name).map(String::as_str)
    }

    /// The labels by which the project can be told.
    fn identity(&self) -> BTreeMap<&str, &str> {
        let ours = |name: &str| name == MANIFEST_LABEL || name.starts_with(PROJECT_LABEL);
        let labels = self.image.labels.iter().filter(|(name, _)| ours(name));
        labels.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// The labels that are taken as they are: what no build can find out again.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let taken = [REVISION, SOURCE].into_iter().filter_map(|name| {
            let value = self.label(name)?;
            Some((name.to_owned(), value.to_owned()))
        });
        let ours = self.identity().into_iter();
        taken.chain(ours.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
    }
}

/// The project's files that an image was made of.
#[derive(Debug)]
pub struct Origin {
    /// Where they stand.
    pub root: PathBuf,
    /// Where they were found, for people.
    pub found: String,
    /// Whether they were taken from the commit that the image names.
    pub from_commit: bool,
    _scratch: Option<Scratch>,
}

/// Finds the files that the image was made of: those of `project`, or of the commit that the image names, out of
/// the repository around `project` or the one that the image names.
pub fn find(claim: &Claim, project: &Path, doors: &Doors<'_>) -> Result<Origin, Failure> {
    let mut looked = Vec::new();
    if disk::exists(&project.join(manifest::FILE_NAME)) {
        let differs = differs(claim, project, &Survey::new(project)?.take(doors.store)?)?;
        if differs.is_empty() {
            let (root, found) = (project.to_owned(), project.display().to_string());
            return Ok(Origin { root, found, from_commit: false, _scratch: None });
        }
        looked.push(format!("  `{}` has other files: {}", project.display(), differs.join(", ")));
    } else {
        looked.push(format!("  `{}` is no project", project.display()));
    }
    let commit = claim.label(REVISION).filter(|commit| is_commit(commit));
    let around = project::top(project)?.map(|top| top.display().to_string());
    let places = around.iter().map(String::as_str).chain(claim.label(SOURCE));
    for (place, commit) in places.filter_map(|place| Some((place, commit?))) {
        match doors.take_git(place, commit) {
            Err(error) => looked.push(format!("  `{place}`: {error}")),
            Ok(tree) => match lay_out(claim, &tree, doors.store)? {
                Some((root, scratch)) => {
                    let found = format!("{place} at {commit}");
                    return Ok(Origin { root, found, from_commit: true, _scratch: Some(scratch) });
                }
                None => looked.push(format!("  `{place}` has another project at {commit}")),
            },
        }
    }
    let named = claim.identity().into_iter().map(|(name, value)| format!("{name} {value}"));
    let wanted = named.chain(commit.map(|commit| format!("commit {commit}")));
    let wanted = wanted.collect::<Vec<_>>().join(", ");
    Err(VerifyFailure::NoProject { wanted, looked, commit: commit.map(str::to_owned) }.into())
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Names what of the project at `root` is not what the image says.
fn differs(claim: &Claim, root: &Path, tree: &HeldTree) -> Result<Vec<String>, Failure> {
    let mut differs = Vec::new();
    let manifest = Manifest::read(root)?.content.to_string();
    let ours = [(PROJECT_LABEL, tree.digest().sri()), (MANIFEST_LABEL, manifest)];
    for (name, value) in ours {
        if claim.label(name).is_some_and(|said| said != value) {
            differs.push(format!("{name} {value}"));
        }
    }
    Ok(differs)
}

/// Lays a commit's files out, and finds the project in them.
fn lay_out(
    claim: &Claim,
    tree: &HeldTree,
    store: &Store,
) -> Result<Option<(PathBuf, Scratch)>, Failure> {
    let scratch = store.scratch()?;
    let top = scratch.path().join("project");
    disk::create_dir(&top)?;
    compile::lay(store, tree, &top)?;
    project::make_repository(&top)?;
    let wanted = claim.label(MANIFEST_LABEL);
    for (path, entry) in store.listing(tree)?.entries() {
        let is_manifest = path.name() == manifest::FILE_NAME.as_bytes();
        if !is_manifest || !matches!(entry, Entry::File { .. }) {
            continue;
        }
        let root = path.parent().map_or_else(|| top.clone(), |parent| parent.under(&top));
        // One that cannot be read is another project's.
        let content = Manifest::read(&root).map(|manifest| manifest.content.to_string());
        if !content.is_ok_and(|content| wanted.is_none_or(|wanted| wanted == content)) {
            continue;
        }
        let found = Survey::new(&root)?.take(store)?;
        if differs(claim, &root, &found)?.is_empty() {
            return Ok(Some((root, scratch)));
        }
    }
    Ok(None)
}
