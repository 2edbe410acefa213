//! Parts: what `rebeam dev up` starts beside what is in rebeam itself: the manifest's services and the release.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::Common;
use crate::dev::DevError;
use crate::dev::services::RELEASE;
use crate::disk;
use crate::explain::Failure;
use crate::manifest::{self, Manifest, Restart, Runs, ServiceWish};
use crate::pipeline;
use crate::sandbox::Level;
use crate::terminal::Reasons;

/// Variables of this machine that its own programs need.
const MACHINE: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME"];

/// What is started beside what is in rebeam itself.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) services: BTreeMap<String, ServiceWish>,
    pub(super) roots: BTreeMap<Vec<String>, PathBuf>,
    pub(super) image: Option<PathBuf>,
    pub(super) machine: BTreeMap<String, String>,
    pub(super) project: PathBuf,
    pub(super) level: Level,
}

impl Parts {
    /// Reads the manifest, if there is one, and has everything in the store that its services run from.
    pub(super) fn prepare(common: &Common) -> Result<Self, Failure> {
        let project = disk::canonical(&common.project)?;
        let variable = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        let mut parts = Self {
            services: BTreeMap::new(),
            roots: BTreeMap::new(),
            image: None,
            machine: MACHINE.into_iter().filter_map(variable).collect(),
            level: common.sandbox.into(),
            project,
        };
        if !disk::exists(&parts.project.join(manifest::FILE_NAME)) {
            return Ok(parts);
        }
        let manifest = Manifest::read(&parts.project)?;
        parts.services.clone_from(&manifest.services);
        parts.take_release(common, &manifest)?;
        let wanted: BTreeSet<Vec<String>> = manifest.service_packages();
        if !wanted.is_empty() {
            let held = common
                .with_desk(Reasons::Summed, |desk| pipeline::service_packages(desk, &wanted))?;
            let roots = held.into_iter();
            parts.roots = roots.map(|(name, root)| (name, root.path().to_owned())).collect();
        }
        Ok(parts)
    }

    /// Adds the release, if one is built, unless the manifest has it among its services.
    fn take_release(&mut self, common: &Common, manifest: &Manifest) -> Result<(), Failure> {
        let named = manifest.services.iter().find(|(_, wish)| wish.runs == Runs::Release);
        if !manifest.dev.release && named.is_none() {
            return Ok(());
        }
        let image = common.own_image()?;
        if !disk::exists(&image) {
            let Some((name, _)) = named else { return Ok(()) };
            return Err(DevError::NotBuilt { service: name.clone() }.into());
        }
        self.image = Some(image);
        let (name, mut wish) = match named {
            Some((name, wish)) => (name.clone(), wish.clone()),
            None => (RELEASE.to_owned(), implied(manifest)),
        };
        if wish.ports.is_empty() {
            let numbers = manifest.image.ports.iter().filter_map(|port| port.strip_suffix("/tcp"));
            wish.ports = numbers.filter_map(|number| number.parse().ok()).collect();
        }
        for (variable, value) in &manifest.dev.env {
            wish.env.entry(variable.clone()).or_insert_with(|| value.clone());
        }
        self.services.entry(name).or_insert_with(|| wish.clone()).clone_from(&wish);
        Ok(())
    }

    /// Returns how long all of it may take to be ready, one after another.
    pub(super) fn patience(&self) -> Duration {
        self.services.values().map(|wish| Duration::from_secs(wish.ready_timeout_s)).sum()
    }
}

/// The release as a service that nothing was said of: it starts when all others are ready.
fn implied(manifest: &Manifest) -> ServiceWish {
    ServiceWish {
        runs: Runs::Release,
        env: BTreeMap::new(),
        ports: Vec::new(),
        volumes: Vec::new(),
        seed: Vec::new(),
        depends_on: manifest.services.keys().filter(|name| *name != RELEASE).cloned().collect(),
        ready: None,
        ready_timeout_s: manifest.release.boot_timeout_s.unwrap_or(manifest::BOOT_TIMEOUT_S),
        restart: Restart::OnFailure,
    }
}
