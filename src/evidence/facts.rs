//! Facts: what is known of an image by itself, in the terms that every kind of document needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{EvidenceError, purl};
use crate::digest::Digest;
use crate::image::{HeldPackage, Holdings, holdings, rfc3339};
use crate::lock::{Deb, Lock, Pin, Role};

/// Applications that Elixir brings; they have its version.
const ELIXIR: [&str; 6] = ["elixir", "eex", "ex_unit", "iex", "logger", "mix"];

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The project's name.
    pub name: String,
    /// The project's version.
    pub version: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// The image's time, which is every document's.
    pub created: String,
    /// The digest by which documents name the image: of its manifest.
    pub manifest: Digest,
    /// The digests of its layers as they were found, from the bottom.
    pub layers: Vec<Digest>,
    /// The commit that the project is, where it is one.
    pub revision: Option<String>,
    /// The lock that it was made from.
    pub lock: Lock,
    /// The digest of the lock's text.
    pub lock_digest: Digest,
    /// How it was made, as it says itself.
    pub made: serde_json::Value,
    /// What is in it, each once, sorted.
    pub components: Vec<Component>,
    /// The number of the Debian release that its packages are from.
    pub release: Option<String>,
}

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One of the project's own applications.
    Own,
    /// A locked dependency.
    Dep,
    /// Erlang/OTP as such.
    Otp,
    /// An application that comes with OTP or Elixir.
    OtpApp,
    /// A Debian package.
    Deb,
}

/// A thing in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The name that scanners compare.
    pub purl: Option<String>,
    /// The name that the vulnerability database of NIST uses.
    pub cpe: Option<String>,
    /// SHA-256 of the file that it was distributed as.
    pub sha256: Option<Digest>,
    /// Where its source is kept: a git address and the commit.
    pub git: Option<(String, String)>,
    /// The names of the applications in the image that it asks for.
    pub deps: BTreeSet<String>,
}

impl Component {
    fn new(kind: Kind, name: &str, version: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            version: version.to_owned(),
            purl: None,
            cpe: None,
            sha256: None,
            git: None,
            deps: BTreeSet::new(),
        }
    }
}

impl Facts {
    /// Reads an image file and gathers what is known of it.
    pub fn read(path: &Path) -> Result<Self, EvidenceError> {
        Self::of(holdings(path)?, path)
    }

    /// Gathers what is known of an image. `path` is for errors alone.
    pub(super) fn of(held: Holdings, path: &Path) -> Result<Self, EvidenceError> {
        let no_lock = || EvidenceError::NoLock { path: path.to_owned() };
        let text = held.inspected.lock.clone().ok_or_else(no_lock)?;
        let lock = Lock::parse(&text, path).map_err(|source| EvidenceError::BadLock {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let label = |name: &str| {
            let label = held.inspected.labels.get(&format!("org.opencontainers.image.{name}"));
            label.filter(|text| !text.is_empty()).cloned()
        };
        let made = held.inspected.provenance.as_deref().unwrap_or_default();
        let components = components(&held, &lock);
        Ok(Self {
            name: lock.project.clone(),
            version: label("version").unwrap_or_default(),
            architecture: held.inspected.architecture.clone(),
            created: rfc3339(u64::try_from(lock.epoch).unwrap_or(0)),
            manifest: held.inspected.manifest_digest.unwrap_or(held.inspected.image_id),
            layers: held.inspected.layers.iter().map(|layer| layer.digest).collect(),
            revision: label("revision"),
            lock_digest: Digest::of(text.as_bytes()),
            made: serde_json::from_str(made).unwrap_or_default(),
            components,
            release: held.release,
            lock,
        })
    }
}

fn components(held: &Holdings, lock: &Lock) -> Vec<Component> {
    let mut found: Vec<Component> = Vec::new();
    for (name, app) in &held.apps {
        found.push(match (lock.find(Role::Dep, name), app.layer.as_str()) {
            (Some(source), _) => {
                let mut dep = Component::new(Kind::Dep, name, &app.version);
                dep.purl = purl::of_pin(name, &source.pin);
                dep.deps = within(&source.deps, held);
                match &source.pin {
                    Pin::Hex { outer, .. } => dep.sha256 = Some(*outer),
                    Pin::Url { sha256, .. } => dep.sha256 = Some(*sha256),
                    Pin::Git { url, commit, .. } => dep.git = Some((url.clone(), commit.clone())),
                    Pin::Path { .. } => {}
                }
                dep
            }
            (None, "otp") => {
                let family = if ELIXIR.contains(&name.as_str()) { "elixir" } else { "erlang-otp" };
                let mut app = Component::new(Kind::OtpApp, name, &app.version);
                app.purl = Some(purl::generic(&format!("{family}/{name}"), &app.version));
                app
            }
            (None, _) => {
                let mut own = Component::new(Kind::Own, name, &app.version);
                let asked = lock.sources.iter().filter(|source| {
                    source.role == Role::Dep && (source.level == 0 || source.parents.contains(name))
                });
                own.deps = within(&asked.map(|source| source.app.clone()).collect(), held);
                own
            }
        });
    }
    found.extend(otp(held, lock));
    let key = |deb: &Deb| (deb.package.clone(), deb.version.clone(), deb.architecture.clone());
    let digests: BTreeMap<_, Digest> = lock.debs().map(|deb| (key(deb), deb.sha256)).collect();
    for package in &held.packages {
        let mut deb = Component::new(Kind::Deb, &package.name, &package.version);
        deb.purl = Some(purl::of_deb(package, held.codename.as_deref()));
        let HeldPackage { name, version, architecture, .. } = package.clone();
        deb.sha256 = digests.get(&(name, version, architecture)).copied();
        found.push(deb);
    }
    found.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    found
}

fn within(names: &BTreeSet<String>, held: &Holdings) -> BTreeSet<String> {
    names.iter().filter(|name| held.apps.contains_key(*name)).cloned().collect()
}

/// Names OTP as a whole, for its vulnerabilities are told of the whole.
fn otp(held: &Holdings, lock: &Lock) -> Option<Component> {
    let locked = lock.find(Role::Tool, "otp");
    let version = match locked {
        Some(source) => match &source.pin {
            Pin::Hex { version, .. } => version.clone(),
            _ => of_tag(&source.wanted).unwrap_or_else(|| lock.toolchain.otp.clone()),
        },
        None => {
            let base = held.packages.iter().find(|package| package.name == "erlang-base");
            base.map_or_else(|| lock.toolchain.otp.clone(), upstream)
        }
    };
    held.apps.get("kernel")?;
    let mut otp = Component::new(Kind::Otp, "erlang-otp", &version);
    otp.purl = Some(purl::generic("erlang-otp", &version));
    otp.cpe = Some(format!("cpe:2.3:a:erlang:erlang\\/otp:{version}:*:*:*:*:*:*:*"));
    if let Some(Pin::Git { url, commit, .. }) = locked.map(|source| &source.pin) {
        otp.git = Some((url.clone(), commit.clone()));
    }
    let is_of_otp = |(name, app): &(&String, &crate::image::HeldApp)| {
        app.layer == "otp" && !ELIXIR.contains(&name.as_str())
    };
    otp.deps = held.apps.iter().filter(is_of_otp).map(|(name, _)| name.clone()).collect();
    Some(otp)
}

/// Reads the version that a wish names: `tag OTP-25.3.2.8`.
fn of_tag(wanted: &str) -> Option<String> {
    let start = wanted.find(|c: char| c.is_ascii_digit())?;
    let version: String =
        wanted[start..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    version.contains('.').then_some(version)
}

/// Returns the version that Debian's was made of: `1:25.2.3+dfsg-1` is 25.2.3.
fn upstream(package: &HeldPackage) -> String {
    let version = package.version.split_once(':').map_or(&*package.version, |(_, rest)| rest);
    let end = version.find(['+', '-', '~']).unwrap_or(version.len());
    version[..end].to_owned()
}
