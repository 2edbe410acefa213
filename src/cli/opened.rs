//! Opened: what stands for an image on the command line, as an image that can be read.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Common;
use crate::disk;
use crate::explain::{Explain, Failure};
use crate::image::{self, KnownImage};
use crate::store::{Scratch, Store};
use crate::terminal::Reasons;

/// An image that can be read, for as long as this lives.
pub(super) struct Opened {
    path: PathBuf,
    _laid_out: Option<(Scratch, Store)>,
}

impl Opened {
    /// Returns where it stands.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// What was named as an image is not on this machine.
#[derive(Debug, Error)]
pub(super) enum OpenError {
    #[error("`{named}` is no file, and no image of the store has this name or id")]
    NotHere { named: String },
    #[error("`{named}` may be any of {count} images of the store: {}", ids.join(", "))]
    Several { named: String, count: usize, ids: Vec<String> },
}

impl Explain for OpenError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotHere { named } if is_reference(named) => format!(
                "an image of a registry has to be fetched first: `skopeo copy docker://{named} oci-archive:image.tar`"
            ),
            Self::NotHere { .. } => {
                "`rebeam build` makes the project's image; `rebeam image ls` lists what is there"
                    .into()
            }
            Self::Several { .. } => "name one of them by its id".into(),
        })
    }
}

fn is_reference(named: &str) -> bool {
    named.contains([':', '@', '/']) && !named.ends_with(".tar") && !named.starts_with(['/', '.'])
}

impl Common {
    /// Turns what was named into an image: a file or directory, an image of the store by NAME:VERSION or the
    /// beginning of an id; the project's own file where nothing was named.
    ///
    /// This is the one place where a registry's reference would become an image.
    pub(super) fn open_image(&self, named: Option<&Path>) -> Result<Opened, Failure> {
        let Some(named) = named else {
            return Ok(Opened { path: self.image_file(None)?, _laid_out: None });
        };
        if disk::exists(named) {
            return Ok(Opened { path: named.to_owned(), _laid_out: None });
        }
        let text = named.display().to_string();
        let store = self.open_store(&self.screen(Reasons::Summed))?;
        let known = image::known(&store)?;
        let meant: Vec<&KnownImage> =
            known.iter().filter(|image| image.is_meant_by(&text)).collect();
        let [image] = meant.as_slice() else {
            let ids = meant.iter().map(|image| image.image_id.to_string()).collect();
            return Err(match meant.len() {
                0 => OpenError::NotHere { named: text },
                count => OpenError::Several { named: text, count, ids },
            }
            .into());
        };
        let scratch = store.scratch()?;
        let path = scratch.path().join(format!("{}-{}", image.name, image.version));
        disk::create_dir(&path)?;
        image.lay_out(&store, &path)?;
        Ok(Opened { path, _laid_out: Some((scratch, store)) })
    }
}
