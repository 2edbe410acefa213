//! Parts: what `rebeam dev up` starts beside what is in rebeam itself: the manifest's services and the release.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::Common;
use crate::dev::services::RELEASE;
use crate::dev::{DevError, Place};
use crate::disk;
use crate::explain::Failure;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::manifest::{
    self, DevWish, Manifest, ManifestError, Profile, Restart, Runs, ServiceWish, StackValue,
    StackWish,
};
use crate::pipeline;
use crate::sandbox::Level;
use crate::terminal::Reasons;

/// Variables of this machine that its own programs need.
const MACHINE: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME"];

/// Which files say what the stack is, in the stack's directory.
const LAYERS: &str = "layers.json";

/// Which files say what the stack is.
#[derive(Debug, Default, Args)]
pub(super) struct Layers {
    /// Lay this file's `[dev]` and `[services]` over those of rebeam.toml; may be given again, and the later one wins
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// A stack by name: bare, emqttd or mainflux
    #[arg(long, value_name = "NAME", value_parser = profile)]
    profile: Option<Profile>,
    /// Whether the stack that was up last was told to let things decide.
    #[arg(skip)]
    pub(super) things: bool,
}

fn profile(name: &str) -> Result<Profile, String> {
    let names = Profile::ALL.map(Profile::name).join(", ");
    Profile::from_name(name).ok_or_else(|| format!("the profiles are {names}"))
}

/// Which files the stack that was up last was made of, as it is kept in its directory.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    files: Vec<PathBuf>,
    profile: Option<String>,
    #[serde(default)]
    things: bool,
}

impl Layers {
    /// Returns those of the stack that was up last.
    pub(super) fn of(place: &Place) -> Result<Self, DevError> {
        let path = place.directory().join(LAYERS);
        if !disk::exists(&path) {
            return Ok(Self::default());
        }
        let text = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
        // One of another rebeam says nothing.
        let remembered = serde_json::from_str::<Remembered>(&text).ok();
        Ok(remembered.map_or_else(Self::default, |one| Self {
            file: one.files,
            profile: one.profile.and_then(|name| Profile::from_name(&name)),
            things: one.things,
        }))
    }

    /// Keeps them for verbs that ask about the stack.
    pub(super) fn remember(&self, place: &Place, things: bool) -> Result<(), DevError> {
        let files = self.file.iter().map(|file| disk::canonical(file));
        let remembered = Remembered {
            files: files.collect::<Result<_, _>>()?,
            profile: self.profile.map(|profile| profile.name().to_owned()),
            things,
        };
        let text = serde_json::to_vec(&remembered).expect("it has only texts");
        Ok(disk::write_atomic(&place.directory().join(LAYERS), &text)?)
    }

    /// Reads all files, one over the other.
    pub(super) fn read(&self, project: &Path) -> Result<StackWish, ManifestError> {
        manifest::stack(project, &self.file, self.profile)
    }
}

/// What is started beside what is in rebeam itself.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) dev: DevWish,
    pub(super) values: Vec<StackValue>,
    pub(super) services: BTreeMap<String, ServiceWish>,
    pub(super) roots: BTreeMap<Vec<String>, PathBuf>,
    pub(super) image: Option<PathBuf>,
    pub(super) machine: BTreeMap<String, String>,
    pub(super) project: PathBuf,
    pub(super) level: Level,
}

impl Parts {
    /// Reads what the files say, and has everything in the store that services run from.
    pub(super) fn prepare(
        common: &Common,
        layers: &Layers,
        place: &Place,
    ) -> Result<Self, Failure> {
        let project = disk::canonical(&common.project)?;
        let variable = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        let wish = layers.read(&project)?;
        let mut parts = Self {
            dev: wish.dev,
            values: wish.values,
            services: wish.services,
            roots: BTreeMap::new(),
            image: None,
            machine: MACHINE.into_iter().filter_map(variable).collect(),
            level: common.sandbox.into(),
            project,
        };
        let manifest = match disk::exists(&parts.project.join(manifest::FILE_NAME)) {
            true => {
                let manifest = Manifest::read(&parts.project)?;
                parts.take_release(common, &manifest)?;
                manifest
            }
            false => nobodys(),
        };
        let lists = parts.services.values().map(|wish| wish.runs.packages());
        let wanted: BTreeSet<Vec<String>> = lists.filter(|list| !list.is_empty()).collect();
        if !wanted.is_empty() {
            disk::create_dir_all(place.directory())?;
            let beside = place.pins();
            let screen = common.screen(Reasons::Summed);
            let store = common.open_store(&screen)?;
            let held =
                common.with_desk_at((&parts.project, &manifest), &store, &screen, |desk| {
                    pipeline::service_packages(desk, &wanted, &beside)
                })?;
            let roots = held.into_iter();
            parts.roots = roots.map(|(name, root)| (name, root.path().to_owned())).collect();
        }
        Ok(parts)
    }

    /// Reads what the files say of what runs in rebeam itself, and nothing else.
    pub(super) fn alone(common: &Common, layers: &Layers) -> Result<Self, Failure> {
        let project = disk::canonical(&common.project)?;
        let wish = layers.read(&project)?;
        Ok(Self {
            dev: wish.dev,
            values: wish.values,
            services: BTreeMap::new(),
            roots: BTreeMap::new(),
            image: None,
            machine: BTreeMap::new(),
            level: common.sandbox.into(),
            project,
        })
    }

    /// Reads the project's manifest, where it has one.
    pub(super) fn manifest(&self) -> Result<Option<Manifest>, ManifestError> {
        match disk::exists(&self.project.join(manifest::FILE_NAME)) {
            true => Manifest::read(&self.project).map(Some),
            false => Ok(None),
        }
    }

    /// Adds the release, if one is built, unless the manifest has it among its services.
    fn take_release(&mut self, common: &Common, manifest: &Manifest) -> Result<(), Failure> {
        let named = self.services.iter().find(|(_, wish)| wish.runs == Runs::Release);
        let named = named.map(|(name, wish)| (name.clone(), wish.clone()));
        if !self.dev.release && named.is_none() {
            return Ok(());
        }
        let image = common.own_image()?;
        if !disk::exists(&image) {
            let Some((service, _)) = named else { return Ok(()) };
            return Err(DevError::NotBuilt { service }.into());
        }
        self.image = Some(image);
        let (name, mut wish) =
            named.unwrap_or_else(|| (RELEASE.to_owned(), implied(manifest, &self.services)));
        if wish.ports.is_empty() {
            let numbers = manifest.image.ports.iter().filter_map(|port| port.strip_suffix("/tcp"));
            wish.ports = numbers.filter_map(|number| number.parse().ok()).collect();
            wish.ports.sort_unstable();
        }
        for (variable, value) in &self.dev.env {
            wish.env.entry(variable.clone()).or_insert_with(|| value.clone());
        }
        self.services.insert(name, wish);
        Ok(())
    }

    /// Returns how long all of it may take to be ready, one after another.
    pub(super) fn patience(&self) -> Duration {
        self.services.values().map(|wish| Duration::from_secs(wish.ready_timeout_s)).sum()
    }
}

/// The release as a service that nothing was said of: it starts when all others are ready.
fn implied(manifest: &Manifest, others: &BTreeMap<String, ServiceWish>) -> ServiceWish {
    ServiceWish {
        runs: Runs::Release,
        env: BTreeMap::new(),
        ports: Vec::new(),
        volumes: Vec::new(),
        seed: Vec::new(),
        depends_on: others.keys().filter(|name| *name != RELEASE).cloned().collect(),
        ready: None,
        ready_timeout_s: manifest.release.boot_timeout_s.unwrap_or(manifest::BOOT_TIMEOUT_S),
        restart: Restart::OnFailure,
    }
}

/// The manifest of a directory that has none: its services are of the newest suite that is released.
fn nobodys() -> Manifest {
    const TEXT: &str = "[project]\nname = \"desk\"\nversion = \"0\"\n[toolchain]\notp = \"27\"\n";
    Manifest::parse(TEXT, Path::new(manifest::FILE_NAME)).expect("the text is ours")
}
