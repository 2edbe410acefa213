//! What the verbs share that take an image of a registry in the place of a file.

use std::path::{Path, PathBuf};

use clap::Args;
use thiserror::Error;

use super::{Common, push};
use crate::disk;
use crate::explain::{Explain, Failure};
use crate::image::{self, KnownImage};
use crate::pipeline;
use crate::registry::Platform;
use crate::store::{Scratch, Store};
use crate::terminal::Reasons;

/// How an image is pulled.
#[derive(Debug, Default, Args)]
pub(super) struct From {
    /// Of an image for several platforms, take this one [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform)]
    platform: Option<Platform>,
    /// Speak plain HTTP to a registry that is not on this machine
    #[arg(long)]
    pub(super) insecure: bool,
}

/// An image that can be read, for as long as this lives.
pub(super) struct Opened {
    path: PathBuf,
    /// What stands there only meanwhile; it goes before its store does.
    _meanwhile: Option<Meanwhile>,
    store: Option<Store>,
}

#[expect(dead_code, reason = "they are held so that what they laid out stays")]
enum Meanwhile {
    Pulled(pipeline::Opened),
    Known(Scratch),
}

impl Opened {
    /// Returns where it stands.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn here(path: PathBuf) -> Self {
        Self { path, _meanwhile: None, store: None }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // What was pulled is used again; nothing is lost where it is not written down yet.
        if let Some(store) = &self.store {
            drop(store.settle());
        }
    }
}

/// What was named as an image is nowhere.
#[derive(Debug, Error)]
enum OpenError {
    #[error("there is no file `{named}`, and the store has no image of this name or id")]
    Nowhere { named: String },
    #[error("`{named}` may be any of {} images of the store: {}", ids.len(), ids.join(", "))]
    Several { named: String, ids: Vec<String> },
}

impl Explain for OpenError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Nowhere { .. } => {
                "`rebeam build` makes the project's image; `rebeam image ls` lists those of the store"
                    .into()
            }
            Self::Several { .. } => "name one of them by its id".into(),
        })
    }
}

impl From {
    /// Hands the image that is named to `work`, or else the project's own.
    pub(super) fn with_image<T>(
        &self,
        common: &Common,
        named: Option<String>,
        work: impl FnOnce(&Path) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        work(self.open(common, named.as_deref())?.path())
    }

    /// Opens the image that is named: a file or directory, one of the store by NAME:VERSION or the beginning of an id,
    /// or one of a registry; the project's own file where none is named.
    pub(super) fn open(&self, common: &Common, named: Option<&str>) -> Result<Opened, Failure> {
        let Some(named) = named else {
            return Ok(Opened::here(common.image_file(None)?));
        };
        if disk::exists(Path::new(named)) {
            return Ok(Opened::here(named.into()));
        }
        let screen = common.screen(Reasons::Summed);
        let store = common.open_store(&screen)?;
        if let Some((path, scratch)) = of_store(named, &store)? {
            let _meanwhile = Some(Meanwhile::Known(scratch));
            return Ok(Opened { path, _meanwhile, store: Some(store) });
        }
        if !pipeline::is_reference(named) {
            return Err(OpenError::Nowhere { named: named.to_owned() }.into());
        }
        let platform = self.platform.clone().unwrap_or_else(Platform::of_this_machine);
        let pulled = push::with_door(common, self.insecure, &screen, |door| {
            pipeline::open_image(named, &platform, &store, door)
        })?;
        let path = pulled.path().to_owned();
        Ok(Opened { path, _meanwhile: Some(Meanwhile::Pulled(pulled)), store: Some(store) })
    }
}

/// Finds an image of the store by what it is called, and lays it out.
fn of_store(named: &str, store: &Store) -> Result<Option<(PathBuf, Scratch)>, Failure> {
    let known = image::known(store)?;
    let meant: Vec<&KnownImage> = known.iter().filter(|image| image.is_meant_by(named)).collect();
    let image = match meant.as_slice() {
        [] => return Ok(None),
        [image] => image,
        several => {
            let ids = several.iter().map(|image| image.image_id.to_string()).collect();
            return Err(OpenError::Several { named: named.to_owned(), ids }.into());
        }
    };
    let scratch = store.scratch()?;
    let path = scratch.path().join(format!("{}-{}", image.name, image.version));
    disk::create_dir(&path)?;
    image.lay_out(store, &path)?;
    Ok(Some((path, scratch)))
}

fn platform(text: &str) -> Result<Platform, String> {
    Platform::parse(text)
        .ok_or_else(|| "a platform is `linux/amd64`, `linux/arm64`, `linux/arm/v7`".into())
}
