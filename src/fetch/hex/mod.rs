//! Hex: packages of a signed registry, found by requirement and fetched by checksum.

mod error;
pub(crate) mod fuzz;
mod registry;
mod shelf;
mod tarball;
#[cfg(test)]
pub(crate) mod tests;

use crate::digest::{Digest, Hashing};
use crate::disk;
use crate::event::{Event, Observer};
use crate::http::{Http, HttpError, Request};
use crate::limits::{HEX_TARBALL_BYTES_MAX, INDEX_BYTES_MAX};
use crate::store::{HeldTree, Store};

pub use crate::version::{Requirement, Version};
pub use error::HexError;
use error::disbelieved;
use tarball::Refused;

/// The name of the public repository.
pub const HEXPM: &str = "hexpm";
const HEXPM_URL: &str = "https://repo.hex.pm";
/// The public repository's key, as every Hex client carries it.
const HEXPM_PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApqREcFDt5vV21JVe2QNB
Edvzk6w36aNFhVGWN5toNJRjRJ6m4hIuG4KaXtDWVLjnvct6MYMfqhC79HAGwyF+
IqR6Q6a5bbFSsImgBJwz1oadoVKD6ZNetAuCIK84cjMrEFRkELtEIPNHblCzUkkM
3rS9+DPlnfG8hBvGi6tvQIuZmXGCxF/73hU0/MyGhbmEjIKRtG6b0sJYKelRLTPW
XgK7s5pESgiwf2YC/2MGDXjAJfpfCd0RpLdvd4eRiXtVlE9qO9bND94E7PgQ/xqZ
J1i2xWFndWa6nfFnRxZmCStCOZWYYPlaxr+FZceFbpMwzTNs4g3d4tLNUcbKAIH4
0wIDAQAB
-----END PUBLIC KEY-----";

/// A repository of packages.
#[derive(Clone, PartialEq, Eq)]
pub struct HexRepository {
    /// Its name, as manifests and locks have it.
    pub name: String,
    /// Its address, before mirrors, without a `/` at the end.
    pub url: String,
    /// The key that its registry is signed with.
    pub public_key_pem: String,
    /// What it wants to hear before it answers. Never told to another host.
    pub auth_key: Option<String>,
}

impl std::fmt::Debug for HexRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key to it stays out of logs.
        write!(f, "HexRepository({} at {})", self.name, self.url)
    }
}

impl HexRepository {
    /// Returns the public repository.
    pub fn hexpm() -> Self {
        Self {
            name: HEXPM.into(),
            url: HEXPM_URL.into(),
            public_key_pem: HEXPM_PUBLIC_KEY.into(),
            auth_key: None,
        }
    }

    /// Returns an organisation's private repository at the public one.
    pub fn organization(name: &str, auth_key: &str) -> Self {
        Self {
            name: format!("{HEXPM}:{name}"),
            url: format!("{HEXPM_URL}/repos/{name}"),
            public_key_pem: HEXPM_PUBLIC_KEY.into(),
            auth_key: Some(auth_key.into()),
        }
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let key = self.auth_key.iter();
        key.map(|key| ("Authorization", key.clone())).collect()
    }
}

/// A release of a package, as the registry vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its version, as written.
    pub version: String,
    /// SHA-256 over the parts of the tarball; old.
    pub inner: Digest,
    /// SHA-256 of the tarball; very old registries lack it.
    pub outer: Option<Digest>,
    /// Why it was retired, if it was.
    pub retired: Option<String>,
    /// When it was published, in seconds since 1970.
    pub published: Option<i64>,
    /// What it asks for.
    pub dependencies: Vec<Dependency>,
    /// The security advisories that the registry has for it.
    pub advisories: Vec<Advisory>,
}

/// A security advisory, as the registry vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory {
    /// Its identifier, like `GHSA-…` or `CVE-…`.
    pub id: String,
    /// What it is about, in a line.
    pub summary: String,
    /// Where to read on.
    pub url: String,
    /// `none`, `low`, `medium`, `high` or `critical`, where it was rated.
    pub severity: Option<&'static str>,
    /// Other identifiers of the same matter.
    pub aliases: Vec<String>,
}

/// A package that a release asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The OTP application's name.
    pub app: String,
    /// The package's name.
    pub package: String,
    /// Which versions will do.
    pub requirement: String,
    /// Whether it is only used where something else asks for it too.
    pub optional: bool,
    /// The repository; `None` means the same one.
    pub repository: Option<String>,
}

/// A package whose version is known.
#[derive(Debug, Clone, Copy)]
pub struct HexPackage<'a> {
    /// Its repository.
    pub repository: &'a HexRepository,
    /// Its name.
    pub package: &'a str,
    /// Its version.
    pub version: &'a str,
    /// SHA-256 of the tarball.
    pub outer: Option<Digest>,
    /// The registry's inner checksum, where it was asked.
    pub inner: Option<Digest>,
}

/// What the room works with.
#[derive(Clone, Copy)]
pub struct Hex<'a> {
    /// Keeps trees.
    pub store: &'a Store,
    /// The way to servers.
    pub http: &'a Http,
    /// Hears the facts.
    pub observer: &'a dyn Observer,
}

impl Hex<'_> {
    /// Asks a repository for the releases of a package.
    ///
    /// With the network closed, the document that was read last answers.
    pub fn releases(
        &self,
        repository: &HexRepository,
        package: &str,
    ) -> Result<Vec<Release>, HexError> {
        check_name(package)?;
        let url = format!("{}/packages/{package}", repository.url);
        let headers = repository.headers();
        let request =
            Request { name: package, url: &url, limit: INDEX_BYTES_MAX, headers: &headers };
        let document = match self.http.get(&request, self.observer) {
            Err(error) if error.is_gone() => {
                return Err(HexError::NoSuchPackage {
                    package: package.to_owned(),
                    repository: repository.name.clone(),
                });
            }
            Err(error @ HttpError::Offline { .. }) => {
                self.shelved(repository, package)?.ok_or(HexError::Http(error))?
            }
            other => other?,
        };
        self.shelve(repository, package, &document)
    }

    /// Fetches a package's tarball, unless the store holds the promised tree, and takes its files in.
    ///
    /// Returns the tree and the tarball's checksum.
    pub fn checkout(
        &self,
        package: &HexPackage<'_>,
        promised: Option<Digest>,
    ) -> Result<(HeldTree, Digest), HexError> {
        check_name(package.package)?;
        let (name, version) = (package.package.to_owned(), package.version.to_owned());
        if Version::parse(package.version).is_none() {
            let requirement = version;
            return Err(HexError::BadRequirement { package: name, requirement });
        }
        let scratch = self.store.scratch()?;
        let file = scratch.path().join("tarball");
        let outer = self.download(package, &file)?;
        if let Some(promised) = package.outer.filter(|promised| *promised != outer) {
            return Err(HexError::Mismatch { package: name, version, promised, received: outer });
        }
        let root = scratch.path().join("tree");
        tarball::unpack(&file, &root, package.inner).map_err(|refused| match refused {
            Refused::Malformed(why) => HexError::Malformed { package: name, version, why },
            Refused::Archive(source) => HexError::Archive { package: name, version, source },
        })?;
        let held = self.store.insert_tree(package.package, &root, promised)?;
        Ok((held, outer))
    }

    fn download(
        &self,
        package: &HexPackage<'_>,
        into: &std::path::Path,
    ) -> Result<Digest, HexError> {
        let repository = package.repository;
        let file_name = format!("{}-{}.tar", package.package, package.version);
        let url = format!("{}/tarballs/{file_name}", repository.url);
        let headers = repository.headers();
        let request = Request {
            name: package.package,
            url: &url,
            limit: HEX_TARBALL_BYTES_MAX,
            headers: &headers,
        };
        self.http.download(&request, into, self.observer)?;
        let mut hashing = Hashing::new(std::io::sink());
        std::io::copy(&mut disk::open(into)?, &mut hashing).map_err(disk::refused("read", into))?;
        Ok(hashing.finish().1)
    }

    /// Says what a person should know of a release that was chosen.
    pub(super) fn remark(&self, package: &str, release: &Release) {
        if let Some(reason) = &release.retired {
            let message = format!("`{package}` {} was retired ({reason})", release.version);
            self.observer.observe(&Event::Warned { message: &message });
        }
    }
}

/// Chooses the newest release that a requirement allows; `None` asks for the newest of all.
///
/// As rebar3 does, a retired release is chosen like any other.
pub fn choose<'a>(
    package: &str,
    releases: &'a [Release],
    requirement: Option<&str>,
) -> Result<&'a Release, HexError> {
    let text = requirement.unwrap_or(">= 0.0.0");
    let parsed = Requirement::parse(text).ok_or_else(|| HexError::BadRequirement {
        package: package.to_owned(),
        requirement: text.to_owned(),
    })?;
    let versions =
        || releases.iter().filter_map(|release| Some((Version::parse(&release.version)?, release)));
    let newest = |fits: &dyn Fn(&Version) -> bool| {
        let fitting = versions().filter(|(version, _)| fits(version));
        fitting.max_by(|one, other| one.0.cmp(&other.0))
    };
    if let Some((_, release)) = newest(&|version| parsed.matches(version)) {
        return Ok(release);
    }
    Err(HexError::NoSuchVersion {
        package: package.to_owned(),
        requirement: text.to_owned(),
        newest: newest(&|_| true).map_or_else(|| "none".into(), |(version, _)| version.to_string()),
        pre: newest(&|version| parsed.holds(version)).map(|(version, _)| version.to_string()),
    })
}

/// Refuses a name that would lead elsewhere as a part of an address.
fn check_name(package: &str) -> Result<(), HexError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !package.is_empty() && package.len() <= 100 && package.bytes().all(plain) {
        return Ok(());
    }
    Err(HexError::BadName { package: package.chars().take(100).collect() })
}
