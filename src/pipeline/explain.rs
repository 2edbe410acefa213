//! Explain: which dependency, commit, package or step put a byte where it is.
//!
//! A file is asked for by its path in the image, anything else by its digest: the image's id and manifest, a layer as a
//! registry or as Docker names it, a file's content, a source's or package's hash in the lock, a step's output.

use std::path::Path;

use thiserror::Error;

use crate::digest::Digest;
use crate::explain::{Explain, Failure};
use crate::image::{self, EntryKind, InspectedLayer, Origin, Origins, Placed};
use crate::lock::{self, Deb, LOCK_IN_IMAGE, Lock, Pin, Role, Source};
use crate::pipeline::build::{PROJECT_LABEL, REVISION};
use crate::release;
use crate::store::Store;
use crate::toolchain::{self, Owners};

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

struct Teller<'a> {
    origins: &'a Origins,
    lock: Option<&'a Lock>,
    store: &'a Store,
    /// The packages of the toolchain's files, where the store holds it.
    owners: Option<&'a Owners>,
}

impl Teller<'_> {
    fn file(&self, placed: &Placed) -> Result<Explained, Failure> {
        let image = &self.origins.holdings.inspected;
        let layer = &image.layers[placed.layer];
        let mut told = Explained::new("file", format!("/{}", placed.path));
        told = match &placed.entry.kind {
            EntryKind::File { bytes, digest } => {
                told.with("bytes", bytes.to_string()).with("content", digest.to_string())
            }
            EntryKind::Directory => told.with("kind", "a directory"),
            EntryKind::Symlink(target) => told.with("link to", target.clone()),
            EntryKind::Second(target) => told.with("same as", format!("/{target}")),
        };
        told = told.with("layer", format!("{} {}", layer_name(layer), layer.digest));
        let from = self.from(placed);
        told = told.with("from", from);
        told = match &placed.origin {
            Origin::Dependency { app, .. } => self.dependency(told, app)?,
            Origin::Project { .. } | Origin::Release => self.project(told)?,
            _ => told,
        };
        match (&placed.package, self.owner(placed)) {
            (Some(package), _) => told = self.package(told, package),
            (None, Some(package)) => told = self.package(told, &package),
            (None, None) => {}
        }
        Ok(told)
    }

    /// A release with an emulator of its own has copied OTP's files; the toolchain says with which package they came.
    fn owner(&self, placed: &Placed) -> Option<String> {
        let Origin::Otp { .. } = &placed.origin else {
            return None;
        };
        let below = placed.path.strip_prefix(release::HOME)?;
        let owner = self.owners?.of(&format!("usr/lib/erlang{below}"))?;
        Some(owner.package.clone())
    }

    fn from(&self, placed: &Placed) -> String {
        let tool = |name: &str| self.lock.and_then(|lock| lock.find(Role::Tool, name)).is_some();
        match &placed.origin {
            Origin::Dependency { app, version } => format!("{app} {version}, a locked dependency"),
            Origin::Project { app, version } => format!("{app} {version}, the project's own"),
            Origin::Otp { app, version } if tool("otp") => {
                format!("{app} {version} of an OTP that was built from source")
            }
            Origin::Otp { app, version } => format!("{app} {version} of the toolchain's OTP"),
            Origin::Release => "the project's release: made by its own build tool".into(),
            Origin::System if placed.package.is_some() => "the toolchain's Debian packages".into(),
            Origin::System => "rebeam, which lays out users, names and directories, and what packages' scripts would make".into(),
            Origin::Rebeam => "rebeam, which says in it what the image was made of".into(),
            Origin::Unknown => "unknown: rebeam did not make this image".into(),
        }
    }

    fn dependency(&self, told: Explained, app: &str) -> Result<Explained, Failure> {
        let found = self.lock.and_then(|lock| lock.find(Role::Dep, app));
        let Some(source) = found else {
            return Ok(told);
        };
        self.step(pinned(told, source), app, source.pin.tree())
    }

    fn project(&self, told: Explained) -> Result<Explained, Failure> {
        let labels = &self.origins.holdings.inspected.labels;
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let told = told
            .with("commit", label(REVISION))
            .with("source", label("org.opencontainers.image.source"))
            .with("files", label(PROJECT_LABEL));
        let tree = label(PROJECT_LABEL).parse().ok();
        let name = label("org.opencontainers.image.title");
        self.step(told, &name, tree)
    }

    /// The step that made it, where the store remembers one with this source.
    fn step(
        &self,
        told: Explained,
        name: &str,
        source: Option<Digest>,
    ) -> Result<Explained, Failure> {
        let Some(source) = source else {
            return Ok(told);
        };
        let copied = format!(" {source}");
        let is_it = |inputs: &str| {
            inputs.lines().any(|line| line.starts_with("copy ") && line.contains(&copied))
                && inputs.lines().any(|line| line.starts_with("argument "))
        };
        let made = self.store.made(&is_it)?;
        Ok(match made.first() {
            Some((key, record)) => {
                let outputs = record.outputs.iter().map(|(_, digest)| digest.to_string());
                told.with("step", format!("{name}, key {}", key.digest()))
                    .with("output", outputs.collect::<Vec<_>>().join(", "))
            }
            None => told,
        })
    }

    fn package(&self, told: Explained, name: &str) -> Explained {
        let held = self.origins.holdings.packages.iter().find(|package| package.name == name);
        let mut debs = self.lock.into_iter().flat_map(|lock| &lock.toolchain.debs);
        let deb = debs.find(|deb| deb.package == name);
        let version = held.map(|package| &package.version).or(deb.map(|deb| &deb.version));
        let version = version.cloned().unwrap_or_default();
        let told = told.with("package", format!("{name} {version}"));
        match deb {
            Some(deb) => told.with("deb", deb_words(deb)),
            None => told,
        }
    }

    /// The image itself and its layers, by any of their names.
    fn of_image(&self, wanted: &Wanted) -> Vec<Explained> {
        let image = &self.origins.holdings.inspected;
        let mut found = Vec::new();
        let names = image.names.join(", ");
        if wanted.is(image.image_id) {
            found.push(self.image(Explained::new("image id", image.image_id.to_string())));
        }
        if let Some(manifest) = image.manifest_digest.filter(|manifest| wanted.is(*manifest)) {
            found.push(self.image(Explained::new("manifest", manifest.to_string())));
        }
        let mut chain: Option<Digest> = None;
        for layer in &image.layers {
            let next = match chain {
                None => layer.diff_id,
                Some(before) => Digest::of(format!("{before} {}", layer.diff_id).as_bytes()),
            };
            chain = Some(next);
            let known = [
                ("layer", layer.digest, "its blob, as registries know it"),
                ("diff id", layer.diff_id, "its plain tar, as the configuration names it"),
                ("chain id", next, "it with all below it, as Docker keeps it"),
            ];
            // The lowest layer's chain is the layer itself.
            let mut seen = None;
            for (what, digest, words) in known {
                if wanted.is(digest) && seen != Some(digest) {
                    seen = Some(digest);
                    found.push(
                        self.layer(Explained::new(what, digest.to_string()), layer, words)
                            .with("image", names.clone()),
                    );
                }
            }
        }
        found
    }

    fn image(&self, told: Explained) -> Explained {
        let image = &self.origins.holdings.inspected;
        let label = |name: &str| image.labels.get(name).cloned().unwrap_or_default();
        let sources = self.lock.map_or(0, |lock| lock.sources.len());
        let debs = self.lock.map_or(0, |lock| lock.toolchain.debs.len());
        let layers = image.layers.iter().map(layer_name).collect::<Vec<_>>().join(", ");
        told.with("image", image.names.join(", "))
            .with("created", image.created.clone().unwrap_or_default())
            .with("layers", layers)
            .with("commit", label(REVISION))
            .with("files", label(PROJECT_LABEL))
            .with("made of", format!("{sources} locked sources, {debs} Debian packages"))
    }

    fn layer(&self, told: Explained, layer: &InspectedLayer, words: &str) -> Explained {
        let image = &self.origins.holdings.inspected;
        let number = image.layers.iter().position(|known| known == layer).unwrap_or_default();
        let files = self.origins.files.values().filter(|placed| {
            placed.layer == number && matches!(placed.entry.kind, EntryKind::File { .. })
        });
        let apps = self.origins.holdings.apps.iter();
        let apps = apps.filter(|(_, app)| app.layer == layer_name(layer));
        let apps: Vec<String> = apps.map(|(name, app)| format!("{name} {}", app.version)).collect();
        told.with("names", words)
            .with("layer", format!("{}, number {} from the bottom", layer_name(layer), number + 1))
            .with("bytes", format!("{} packed, {} unpacked", layer.bytes, layer.tar_bytes))
            .with("holds", format!("{} files", files.count()))
            .with("apps", apps.join(", "))
    }

    fn of_files(&self, wanted: &Wanted) -> Result<Vec<Explained>, Failure> {
        let is_it = |placed: &&Placed| match placed.entry.kind {
            EntryKind::File { digest, .. } => wanted.is(digest),
            _ => false,
        };
        let files = self.origins.files.values().filter(is_it).take(ANSWERS_MAX);
        files.map(|placed| self.file(placed)).collect()
    }

    fn of_lock(&self, wanted: &Wanted) -> Vec<Explained> {
        let Some(lock) = self.lock else {
            return vec![];
        };
        let mut found = Vec::new();
        for source in &lock.sources {
            let extra = match &source.pin {
                Pin::Git { commit, .. } => wanted.is_text(commit),
                Pin::Hex { outer, .. } => wanted.is(*outer),
                Pin::Url { sha256, .. } => wanted.is(*sha256),
                Pin::Path { .. } => false,
            };
            if extra || source.pin.tree().is_some_and(|tree| wanted.is(tree)) {
                let told =
                    Explained::new("source", format!("{} ({})", source.app, source.role.name()));
                found.push(pinned(told, source));
            }
        }
        for deb in lock.toolchain.debs.iter().filter(|deb| wanted.is(deb.sha256)) {
            let held = &self.origins.holdings.packages;
            let is_in = held.iter().any(|package| package.name == deb.package);
            let told = Explained::new("deb", deb_words(deb));
            found.push(told.with(
                "in the image",
                if is_in { "files of it" } else { "nothing of it; the build saw it" },
            ));
        }
        found
    }

    /// What the store knows by this digest: a step's output or its key.
    fn of_store(&self, wanted: &Wanted) -> Result<Vec<Explained>, Failure> {
        let mut found = Vec::new();
        for (key, record) in self.store.made(&|_| true)? {
            let outputs = record.outputs.iter().filter(|(_, digest)| wanted.is(*digest));
            let is_key = wanted.is(key.digest());
            let Some(output) = outputs
                .map(|(_, digest)| *digest)
                .next()
                .or_else(|| record.outputs.first().filter(|_| is_key).map(|(_, digest)| *digest))
            else {
                continue;
            };
            if !record.inputs.starts_with("recipe ") || found.len() >= ANSWERS_MAX {
                continue;
            }
            let line = |head: &str| {
                record
                    .inputs
                    .lines()
                    .filter(|line| line.starts_with(head))
                    .map(|line| line.rsplit('\t').next().unwrap_or(line).to_owned())
                    .collect::<Vec<_>>()
            };
            found.push(
                Explained::new("step's output", output.to_string())
                    .with("key", key.digest().to_string())
                    .with("made of", line("copy ").join(", "))
                    .with("beside", line("read ").join(", "))
                    .with(
                        "by",
                        line("argument ")
                            .into_iter()
                            .map(|line| line.trim_start_matches("argument ").to_owned())
                            .collect::<Vec<_>>()
                            .join(" "),
                    ),
            );
        }
        Ok(found)
    }
}

fn layer_name(layer: &InspectedLayer) -> String {
    layer.made_by.strip_prefix("rebeam layer=").unwrap_or(&layer.made_by).to_owned()
}

fn pinned(told: Explained, source: &Source) -> Explained {
    let told = told.with("address", source.pin.address()).with("wanted", source.wanted.clone());
    let told = match &source.pin {
        Pin::Git { commit, .. } => told.with("commit", commit.clone()),
        Pin::Hex { version, outer, .. } => {
            told.with("version", version.clone()).with("tarball", outer.to_string())
        }
        Pin::Url { sha256, .. } => told.with("tarball", sha256.to_string()),
        Pin::Path { .. } => told,
    };
    let tree = source.pin.tree().map(|tree| tree.sri()).unwrap_or_default();
    let parents: Vec<&str> = source.parents.iter().map(String::as_str).collect();
    told.with("files", tree).with("asked by", parents.join(", ")).with("lock", lock::FILE_NAME)
}

fn deb_words(deb: &Deb) -> String {
    format!(
        "{} {} {}, {} of {}, {}",
        deb.package, deb.version, deb.architecture, deb.path, deb.suite, deb.sha256
    )
}
