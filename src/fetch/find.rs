//! Find: what a wish means today, fetched and pinned.

use crate::digest::Digest;
use crate::lock::Pin;
use crate::manifest::rebar::{GitRef, Wish, WishSource};

use super::git::{GitCommit, GitRequest};
use super::hex::{self, HexError, HexPackage, HexRepository};
use super::url::{self, Tarball};
use super::{Doors, FetchError, Found};

impl Doors<'_> {
    /// Finds what a wish means today, and fetches it.
    ///
    /// `outer` is the tarball's checksum that an imported rebar.lock promises for a hex package.
    pub fn find(&self, wish: &Wish, outer: Option<Digest>) -> Result<Found, FetchError> {
        match &wish.source {
            WishSource::Git { url, reference, subdir } => {
                self.find_git(&wish.app, url, reference, subdir.as_deref())
            }
            WishSource::Hex { package, requirement, repository } => {
                let repositories: Vec<&HexRepository> = match repository {
                    Some(name) => vec![self.repository(&wish.app, name)?],
                    None => self.repositories.iter().collect(),
                };
                self.find_hex(package, requirement.as_deref(), &repositories, outer)
            }
            WishSource::Url { url, sha256 } => self.find_url(&wish.app, url, *sha256),
            WishSource::Path { .. } => {
                unreachable!("a directory of the project is looked at where it stands")
            }
        }
    }

    pub(super) fn find_git(
        &self,
        app: &str,
        url: &str,
        reference: &GitRef,
        subdir: Option<&str>,
    ) -> Result<Found, FetchError> {
        let request = GitRequest {
            app: app.to_owned(),
            url: url.to_owned(),
            reference: reference.clone(),
            subdir: subdir.map(str::to_owned),
        };
        let mut found = self.git().resolve(&request)?;
        if let Some(older) = self.older_git(&request, &found.commit)? {
            found = self.git().resolve(&older)?;
        }
        let wanted = reference.to_string();
        let commit = GitCommit {
            app,
            // As written: it may hold what the server wants to hear and the lock must not.
            url,
            commit: &found.commit,
            subdir,
            wanted: &wanted,
        };
        let tree = self.git().checkout(&commit, None)?;
        let pin = Pin::Git {
            url: found.url,
            commit: found.commit.clone(),
            subdir: subdir.map(str::to_owned),
            tree: tree.digest(),
        };
        Ok(Found { pin, describe: found.describe, wanted, tree, time: found.time, deps: None })
    }

    fn find_url(&self, app: &str, url: &str, sha256: Digest) -> Result<Found, FetchError> {
        let tarball = Tarball { app, url, sha256 };
        let tree = url::checkout(&tarball, self.store, self.http, self.observer, None)?;
        Ok(Found {
            pin: Pin::Url { url: url.to_owned(), sha256, tree: tree.digest() },
            describe: None,
            wanted: format!("sha256 {}", sha256.hex()),
            tree,
            time: 0,
            deps: None,
        })
    }

    fn find_hex(
        &self,
        package: &str,
        requirement: Option<&str>,
        repositories: &[&HexRepository],
        outer: Option<Digest>,
    ) -> Result<Found, FetchError> {
        let (repository, releases) = self.releases(package, repositories)?;
        let release = self.choose_hex(package, &releases, requirement)?;
        self.hex().remark(package, release);
        let chosen = HexPackage {
            repository,
            package,
            version: &release.version,
            outer: release.outer.or(outer),
            inner: Some(release.inner),
        };
        if let (Some(locked), Some(fetched)) = (outer, release.outer)
            && locked != fetched
        {
            let name = package.to_owned();
            return Err(FetchError::Mismatch { name, locked, fetched });
        }
        let (tree, outer) = self.hex().checkout(&chosen, None)?;
        let pin = Pin::Hex {
            repository: repository.name.clone(),
            package: package.to_owned(),
            version: release.version.clone(),
            outer,
            tree: tree.digest(),
        };
        Ok(Found {
            pin,
            describe: Some(release.version.clone()),
            wanted: requirement.unwrap_or("newest").to_owned(),
            tree,
            time: release.published.unwrap_or(0),
            deps: Some(super::answer::wishes(release)),
        })
    }

    /// Asks one repository after another, as rebar3 does, until one has the package.
    fn releases<'r>(
        &self,
        package: &str,
        repositories: &[&'r HexRepository],
    ) -> Result<(&'r HexRepository, Vec<hex::Release>), FetchError> {
        let mut first_error = None;
        for repository in repositories {
            match self.hex().releases(repository, package) {
                Ok(releases) => return Ok((repository, releases)),
                Err(error @ HexError::NoSuchPackage { .. }) => {
                    first_error = first_error.or(Some(error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let nowhere = || HexError::NoSuchPackage {
            package: package.to_owned(),
            repository: hex::HEXPM.to_owned(),
        };
        Err(first_error.unwrap_or_else(nowhere).into())
    }
}
