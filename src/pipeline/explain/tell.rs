//! Tell: what is known of a file, a layer or an image, fact by fact.

use super::Explained;
use crate::digest::Digest;
use crate::explain::Failure;
use crate::image::{EntryKind, InspectedLayer, Origin, Origins, Placed};
use crate::lock::{self, Deb, Lock, Pin, Role, Source};
use crate::pipeline::said::{PROJECT_LABEL, REVISION};
use crate::release;
use crate::store::Store;
use crate::toolchain::Owners;

/// Everything that is known.
pub(super) struct Teller<'a> {
    pub(super) origins: &'a Origins,
    pub(super) lock: Option<&'a Lock>,
    pub(super) store: &'a Store,
    /// The packages of the toolchain's files, where the store holds it.
    pub(super) owners: Option<&'a Owners>,
}

impl Teller<'_> {
    pub(super) fn file(&self, placed: &Placed) -> Result<Explained, Failure> {
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

    pub(super) fn image(&self, told: Explained) -> Explained {
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

    pub(super) fn layer(&self, told: Explained, layer: &InspectedLayer, words: &str) -> Explained {
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
}

pub(super) fn layer_name(layer: &InspectedLayer) -> String {
    layer.made_by.strip_prefix("rebeam layer=").unwrap_or(&layer.made_by).to_owned()
}

pub(super) fn pinned(told: Explained, source: &Source) -> Explained {
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

pub(super) fn deb_words(deb: &Deb) -> String {
    format!(
        "{} {} {}, {} of {}, {}",
        deb.package, deb.version, deb.architecture, deb.path, deb.suite, deb.sha256
    )
}
