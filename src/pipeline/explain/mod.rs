//! Explain: which dependency, commit, package or step put a byte where it is.
//!
//! A file is asked for by its path in the image, anything else by its digest: the image's id and manifest, a layer as a
//! registry or as Docker names it, a file's content, a source's or package's hash in the lock, a step's output.

mod find;
mod tell;

use std::path::Path;

use thiserror::Error;

use self::tell::Teller;
use crate::digest::Digest;
use crate::explain::{Explain, Failure};
use crate::image::{self, Origins};
use crate::lock::{LOCK_IN_IMAGE, Lock};
use crate::store::Store;
use crate::toolchain;

/// Digits of a digest that are enough to ask by.
const DIGITS_MIN: usize = 7;
/// Files that one question is answered with.
const ANSWERS_MAX: usize = 50;

/// Nothing answers to what was asked.
#[derive(Debug, Error)]
#[error("nothing in `{image}` or the store answers to `{asked}`")]
pub struct NothingKnown {
    image: String,
    asked: String,
    near: Option<String>,
}

impl Explain for NothingKnown {
    fn hint(&self) -> Option<String> {
        Some(match &self.near {
            Some(near) => format!("the image has `{near}`"),
            None => "name the image that it was seen in: `rebeam explain --image FILE …`; `rebeam image ls` lists those of the store".into(),
        })
    }
}

/// What is known of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// What it is: `file`, `layer`, `image`, `source`.
    pub what: &'static str,
    /// Its facts by name, in the order in which they are told.
    pub facts: Vec<(&'static str, String)>,
}

impl Explained {
    fn new(what: &'static str, name: impl Into<String>) -> Self {
        Self { what, facts: vec![(what, name.into())] }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.facts.push((name, value));
        }
        self
    }
}

/// Says what is known of what was `asked` about the image at `file`.
pub fn explain(file: &Path, store: &Store, asked: &str) -> Result<Vec<Explained>, Failure> {
    let origins = image::origins(file)?;
    let lock = match &origins.holdings.inspected.lock {
        Some(text) => Some(Lock::parse(text, Path::new(LOCK_IN_IMAGE))?),
        None => None,
    };
    let owners = match &lock {
        Some(lock) => {
            toolchain::held(&lock.toolchain, store)?.map(|held| held.owners()).transpose()?
        }
        None => None,
    };
    let teller = Teller { origins: &origins, lock: lock.as_ref(), store, owners: owners.as_ref() };
    let mut found = Vec::new();
    if let Some(placed) = origins.files.get(&path_of(asked)) {
        found.push(teller.file(placed)?);
    }
    if let Some(wanted) = Wanted::read(asked) {
        found.extend(teller.of_image(&wanted));
        found.extend(teller.of_files(&wanted)?);
        found.extend(teller.of_lock(&wanted));
        found.extend(teller.of_store(&wanted)?);
    }
    if found.is_empty() {
        return Err(NothingKnown {
            image: file.display().to_string(),
            asked: asked.to_owned(),
            near: near(&origins, asked),
        }
        .into());
    }
    Ok(found)
}

/// A path as the image knows it.
fn path_of(asked: &str) -> String {
    let parts = asked.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}

/// A file of the same name elsewhere in the image.
fn near(origins: &Origins, asked: &str) -> Option<String> {
    let path = path_of(asked);
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    let is_near = |path: &&String| path.rsplit('/').next() == Some(name);
    origins.files.keys().find(is_near).map(|path| format!("/{path}"))
}

/// A digest, or its beginning, or a commit.
struct Wanted {
    digits: String,
}

impl Wanted {
    fn read(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse::<Digest>() {
            return Some(Self { digits: whole.hex() });
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_hex && (DIGITS_MIN..=64).contains(&digits.len())).then_some(Self { digits })
    }

    fn is(&self, digest: Digest) -> bool {
        digest.hex().starts_with(&self.digits)
    }

    fn is_text(&self, hex: &str) -> bool {
        hex.to_ascii_lowercase().starts_with(&self.digits)
    }
}
