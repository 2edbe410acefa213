//! File: an `acl.conf` that is read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use super::conf;
use super::error::AccessError;
use super::rule::Rule;
use super::source::{LOOK_AGAIN, Task};
use crate::disk;

/// Bytes of such a file.
const BYTES_MAX: u64 = 1 << 20;

/// The rules of a file.
#[derive(Debug)]
pub(super) struct File {
    shared: Arc<Shared>,
    _watch: Option<Task>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    rules: RwLock<Arc<Vec<Rule>>>,
    generation: AtomicU64,
}

impl File {
    /// Reads the file.
    pub(super) fn open(path: &Path) -> Result<Self, AccessError> {
        let rules = RwLock::new(Arc::new(parse(path, &read(path)?)?));
        let shared = Shared { path: path.to_owned(), rules, generation: AtomicU64::new(0) };
        Ok(Self { shared: Arc::new(shared), _watch: None })
    }

    /// Begins to look for changes. A file that cannot be read any more leaves the rules as they were.
    pub(super) fn watched(self) -> Result<Self, AccessError> {
        let shared = Arc::clone(&self.shared);
        let mut seen = read(&shared.path)?;
        let watch = async move {
            loop {
                tokio::time::sleep(LOOK_AGAIN).await;
                let Ok(text) = read(&shared.path) else { continue };
                if text == seen {
                    continue;
                }
                if let Ok(rules) = parse(&shared.path, &text) {
                    *shared.rules.write().expect("nothing panics while it holds the rules") =
                        Arc::new(rules);
                    shared.generation.fetch_add(1, Ordering::AcqRel);
                }
                seen = text;
            }
        };
        Ok(Self { _watch: Some(Task(tokio::spawn(watch))), ..self })
    }

    pub(super) fn rules(&self) -> Arc<Vec<Rule>> {
        Arc::clone(&self.shared.rules.read().expect("nothing panics while it holds the rules"))
    }

    pub(super) fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }
}

fn read(path: &Path) -> Result<String, AccessError> {
    Ok(disk::read_text(path, BYTES_MAX)?)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Rule>, AccessError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    conf::read(text, &name)
}
