//! News: what the origins of a lock's sources have today, beside what is locked. Fetches no source.

use crate::lock::{self, Pin, Source};
use crate::manifest::rebar::GitRef;
use crate::version::Version;

use super::git::{GitCommit, GitRequest};
use super::hex::{Advisory, HexError, Release, choose};
use super::{Doors, FetchError};

/// Hex digits of a commit that are shown.
const COMMIT_DIGITS: usize = 8;

/// What an origin has today.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// What the lock's wish means today, and what `rebeam update` would take; `None` where nothing meets it any more.
    pub current: Option<String>,
    /// The newest release or version-like tag, whatever was wished; `None` where there is none.
    pub newest: Option<String>,
    /// When the newest release was published, in seconds since 1970, where the registry says so.
    pub newest_published: Option<i64>,
    /// What the registry says of the locked release; `None` for what comes from no registry.
    pub standing: Option<Standing>,
}

/// What a registry says of a locked release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether the registry still has it.
    pub is_there: bool,
    /// Why it was retired, if it was.
    pub retired: Option<String>,
    /// The security advisories about it.
    pub advisories: Vec<Advisory>,
}

impl Doors<'_> {
    /// Asks the origin of a locked source what it has today; `None` for sources that have no versions.
    pub fn news(&self, source: &Source) -> Result<Option<News>, FetchError> {
        match &source.pin {
            Pin::Git { .. } => self.git_news(source).map(Some),
            Pin::Hex { version, .. } => {
                let releases = self.releases_of(source)?.unwrap_or_default();
                let old_enough = self.old_enough(&releases);
                Ok(Some(hex_news(&releases, &old_enough, version, &source.wanted)?))
            }
            Pin::Url { .. } | Pin::Path { .. } => Ok(None),
        }
    }

    /// Asks what the registry says of a locked release; `None` for what comes from no registry.
    pub fn standing(&self, source: &Source) -> Result<Option<Standing>, FetchError> {
        let (Pin::Hex { version, .. }, Some(releases)) = (&source.pin, self.releases_of(source)?)
        else {
            return Ok(None);
        };
        Ok(Some(standing(&releases, version)))
    }

    fn releases_of(&self, source: &Source) -> Result<Option<Vec<Release>>, FetchError> {
        let Pin::Hex { repository, package, .. } = &source.pin else {
            return Ok(None);
        };
        let repository = self.repository(&source.app, repository)?;
        match self.hex().releases(repository, package) {
            // A package that left the registry is news, not an error.
            Err(HexError::NoSuchPackage { .. }) => Ok(Some(Vec::new())),
            other => Ok(Some(other?)),
        }
    }

    fn git_news(&self, source: &Source) -> Result<News, FetchError> {
        let Pin::Git { url, commit, subdir, .. } = &source.pin else {
            return Ok(News::default());
        };
        let (app, wanted) = (source.app.as_str(), source.wanted.as_str());
        let locked = GitCommit { app, url, commit, subdir: subdir.as_deref(), wanted };
        let news = self.git().news(&locked)?;
        let now = match news.commit {
            Some(now) if now != *commit => self.old_enough_git(source, now)?,
            same => same,
        };
        let current = now.map(|now| {
            if now == *commit {
                return lock::version(source);
            }
            let short: String = now.chars().take(COMMIT_DIGITS).collect();
            match wanted.strip_prefix("tag ") {
                Some(tag) => format!("{tag} (moved to {short})"),
                None => short,
            }
        });
        let newest = news.newest_tag.map(|(tag, _)| tag);
        Ok(News { current, newest, newest_published: None, standing: None })
    }
}

impl Doors<'_> {
    /// What of a branch that moved `rebeam update` would take; `None` where all of it is too young.
    fn old_enough_git(&self, source: &Source, now: String) -> Result<Option<String>, FetchError> {
        let Pin::Git { url, subdir, .. } = &source.pin else { return Ok(Some(now)) };
        let reference = match source.wanted.split_once(' ') {
            Some(("tag", name)) => GitRef::Tag(name.to_owned()),
            Some(("branch", name)) => GitRef::Branch(name.to_owned()),
            _ => GitRef::Default,
        };
        let (app, url, subdir) = (source.app.clone(), url.clone(), subdir.clone());
        let request = GitRequest { app, url, reference, subdir };
        if self.cooldown.is_none() {
            return Ok(Some(now));
        }
        // Only the history tells how old its commits are.
        self.git().resolve(&request)?;
        match self.older_git(&request, &now) {
            Ok(None) => Ok(Some(now)),
            Ok(Some(GitRequest { reference: GitRef::Commit(older), .. })) => Ok(Some(older)),
            Ok(Some(_)) | Err(FetchError::TooYoung { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn hex_news(
    releases: &[Release],
    old_enough: &[Release],
    locked: &str,
    wanted: &str,
) -> Result<News, FetchError> {
    let requirement = (wanted != "newest").then_some(wanted);
    let current = match choose("", old_enough, requirement) {
        Ok(release) => Some(release.version.clone()),
        Err(HexError::NoSuchVersion { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let newest = newest(releases);
    Ok(News {
        current,
        newest: newest.map(|release| release.version.clone()),
        newest_published: newest.and_then(|release| release.published),
        standing: Some(standing(releases, locked)),
    })
}

/// The newest release that was not retired; one before a release only where there is no other.
fn newest(releases: &[Release]) -> Option<&Release> {
    let versions = releases
        .iter()
        .filter(|release| release.retired.is_none())
        .filter_map(|release| Some((Version::parse(&release.version)?, release)));
    let newest = versions.max_by(|(one, _), (other, _)| {
        (!one.is_pre()).cmp(&!other.is_pre()).then_with(|| one.cmp(other))
    });
    newest.map(|(_, release)| release)
}

fn standing(releases: &[Release], version: &str) -> Standing {
    let locked = releases.iter().find(|release| release.version == version);
    locked.map_or_else(Standing::default, |release| Standing {
        is_there: true,
        retired: release.retired.clone(),
        advisories: release.advisories.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn release(version: &str, retired: Option<&str>) -> Release {
        Release {
            version: version.into(),
            inner: Digest::of(b""),
            outer: None,
            retired: retired.map(str::to_owned),
            published: Some(7),
            dependencies: vec![],
            advisories: vec![],
        }
    }

    #[test]
    fn the_newest_release_is_no_retired_one_and_the_current_one_meets_the_wish() {
        let releases = [
            release("1.0.0", None),
            release("1.1.0", Some("security")),
            release("2.0.0", None),
            release("2.1.0", Some("invalid")),
            release("3.0.0-rc.1", None),
        ];
        let news = hex_news(&releases, &releases, "1.1.0", "~> 1.0").unwrap();
        assert_eq!(news.current.as_deref(), Some("1.1.0"));
        assert_eq!((news.newest.as_deref(), news.newest_published), (Some("2.0.0"), Some(7)));
        assert_eq!(news.standing.unwrap().retired.as_deref(), Some("security"));
    }

    #[test]
    fn a_release_that_the_registry_no_longer_has_is_not_there() {
        let news = hex_news(&[release("2.0.0", None)], &[], "1.0.0", "~> 1.0").unwrap();
        assert_eq!(news.current, None);
        assert!(!news.standing.unwrap().is_there);
    }
}
