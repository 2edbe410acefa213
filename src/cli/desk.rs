//! Desk: what the environment and the common options say, as the things that the pipeline works with.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Common;
use crate::disk;
use crate::explain::{Blame, Explain, Failure};
use crate::fetch::debian::Architecture;
use crate::http::{Http, Mirrors, Network};
use crate::manifest::{Manifest, Platform};
use crate::pipeline::{self, Desk};
use crate::registry::Credentials;
use crate::store::Store;
use crate::terminal::{Reasons, Screen, StepOutput};

/// The environment lacks something.
#[derive(Debug, Error)]
pub(super) enum DeskError {
    /// No place for the store is known.
    #[error("no place for the store is known: HOME is not set")]
    NoHome,
    /// `SOURCE_DATE_EPOCH` is not a number.
    #[error("SOURCE_DATE_EPOCH is `{text}`, which is no number of seconds")]
    BadEpoch { text: String },
    /// The project's image was not built yet.
    #[error("there is no image at `{}`", path.display())]
    NotBuilt { path: PathBuf },
}

impl Explain for DeskError {
    fn blame(&self) -> Blame {
        Blame::User
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("name one: `--store DIR` or REBEAM_STORE".into()),
            Self::BadEpoch { .. } => Some("unset it, or set it to seconds since 1970".into()),
            Self::NotBuilt { .. } => Some("make it: `rebeam build`".into()),
        }
    }
}

impl Common {
    /// Opens the store where the options, the environment or the user's cache directory say.
    pub(super) fn open_store(&self, screen: &Screen) -> Result<Store, Failure> {
        let place = self.store.clone().or_else(default_store).ok_or(DeskError::NoHome)?;
        Ok(Store::open_observed(&place, screen)?)
    }

    /// Returns where the image file of the project is once it is built.
    pub(super) fn own_image(&self) -> Result<PathBuf, Failure> {
        self.with_desk(Reasons::Summed, |desk| {
            let own = pipeline::default_output(desk);
            let platforms = &desk.manifest.image.platforms;
            let is_own = |platform: &&Platform| platform.short() == Architecture::own().name();
            Ok(match platforms.iter().find(is_own) {
                Some(platform) => pipeline::outputs(desk, &[*platform]).0.remove(0),
                None => own,
            })
        })
    }

    /// Returns the image file that is named, or else the project's own.
    pub(super) fn image_file(&self, named: Option<PathBuf>) -> Result<PathBuf, Failure> {
        if let Some(named) = named {
            return Ok(named);
        }
        built(self.own_image()?)
    }

    /// Returns the project's image files for these machines, or for those of the manifest, or else its own.
    pub(super) fn image_files(
        &self,
        mut platforms: Vec<Platform>,
    ) -> Result<Vec<PathBuf>, Failure> {
        let files = self.with_desk(Reasons::Summed, |desk| {
            if platforms.is_empty() {
                platforms.clone_from(&desk.manifest.image.platforms);
            }
            platforms.sort_unstable();
            platforms.dedup();
            Ok(pipeline::outputs(desk, &platforms).0)
        })?;
        match files.is_empty() {
            true => Ok(vec![self.image_file(None)?]),
            false => files.into_iter().map(built).collect(),
        }
    }

    pub(super) fn screen(&self, reasons: Reasons) -> Screen {
        let output = if self.verbose { StepOutput::Shown } else { StepOutput::Logged };
        Screen::new(self.mode(), output, reasons)
    }

    pub(super) fn network(&self) -> Network {
        if self.offline { Network::Offline } else { Network::Open }
    }

    pub(super) fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.jobs.unwrap_or_else(cores).max(1)
    }

    /// Reads the manifest and hands everything that the pipeline needs to `work`.
    pub(super) fn with_desk<T>(
        &self,
        reasons: Reasons,
        work: impl FnOnce(&Desk<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let root = disk::canonical(&self.project)?;
        let screen = self.screen(reasons);
        // A manifest that cannot be read is told before a store is made.
        let manifest = Manifest::read(&root)?;
        let store = self.open_store(&screen)?;
        self.with_desk_at((&root, &manifest), &store, &screen, work)
    }

    /// Hands everything that the pipeline needs for the project at `root` to `work`.
    pub(super) fn with_desk_at<T>(
        &self,
        (root, manifest): (&Path, &Manifest),
        store: &Store,
        screen: &Screen,
        work: impl FnOnce(&Desk<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let http = Http::new(self.network(), Mirrors::new(manifest.mirrors.clone()));
        let variable = |name: &str| std::env::var(name).ok();
        let repositories = pipeline::repositories(manifest, root, &variable)?;
        let credentials = Credentials::from_environment(&|name| std::env::var_os(name));
        let desk = Desk {
            root,
            manifest,
            store,
            http: &http,
            repositories: &repositories,
            credentials: &credentials,
            observer: screen,
            variation: None,
            level: self.sandbox.into(),
            jobs: self.jobs(),
            epoch: epoch()?,
            now: now(),
        };
        work(&desk)
    }
}

fn built(path: PathBuf) -> Result<PathBuf, Failure> {
    match disk::exists(&path) {
        true => Ok(path),
        false => Err(DeskError::NotBuilt { path }.into()),
    }
}

fn default_store() -> Option<PathBuf> {
    let set =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    Some(cache.or_else(|| Some(set("HOME")?.join(".cache")))?.join("rebeam"))
}

fn epoch() -> Result<Option<i64>, DeskError> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().map(Some).map_err(|_| DeskError::BadEpoch { text }),
        Err(_) => Ok(None),
    }
}

fn now() -> i64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_1970.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}
