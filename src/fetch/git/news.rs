//! News: what a repository has beside the commit that is locked.

use git2::Oid;

use crate::version::Version;

use super::listing::Listing;
use super::origin::Origin;
use super::{Git, GitCommit, GitError};

/// What a repository has today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitNews {
    /// The commit that the lock's words mean now; `None` where the name is gone.
    pub commit: Option<String>,
    /// The newest tag that looks like a version, with its commit.
    pub newest_tag: Option<(String, String)>,
}

impl Git<'_> {
    /// Asks what the words of a locked commit mean today, and which version is the newest.
    ///
    /// Fetches no object: the list of names is all that is asked for.
    pub fn news(&self, locked: &GitCommit<'_>) -> Result<GitNews, GitError> {
        let origin = Origin::open(*self, locked.app, locked.url)?;
        let listing = origin.list()?;
        let commit = match locked.wanted.split_once(' ') {
            Some(("tag", name)) => listing.tag(name).or_else(|| listing.branch(name)),
            Some(("branch", name)) => listing.branch(name).or_else(|| listing.tag(name)),
            Some(("default", "branch")) => listing.default_branch(),
            // A commit is what it is, as long as it is named by its id.
            _ => Oid::from_str(locked.commit).ok(),
        };
        Ok(GitNews {
            commit: commit.map(|commit| commit.to_string()),
            newest_tag: newest_tag(&listing),
        })
    }
}

/// Returns the newest of the tags that look like versions; one before a release only where there is no other.
fn newest_tag(listing: &Listing) -> Option<(String, String)> {
    let versions = listing
        .tags
        .iter()
        .filter_map(|(name, tag)| Some((Version::of_tag(name)?, name, tag.peeled)));
    let newest = versions.max_by(|(one, name, _), (other, other_name, _)| {
        let key = |version: &Version| !version.is_pre();
        // Of `1.0.0` and `v1.0.0` the longer name is taken, so that the answer does not depend on luck.
        let names = (name.len(), name).cmp(&(other_name.len(), other_name));
        key(one).cmp(&key(other)).then_with(|| one.cmp(other)).then(names)
    });
    newest.map(|(_, name, commit)| (name.clone(), commit.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(names: &[&str]) -> Option<String> {
        let mut listing = Listing::default();
        for name in names {
            listing.add(&format!("refs/tags/{name}"), Oid::ZERO_SHA1, None);
        }
        newest_tag(&listing).map(|(name, _)| name)
    }

    #[test]
    fn the_newest_tag_is_the_highest_version_and_no_other_word() {
        let newest = |names: &[&str]| newest(names).unwrap();
        assert_eq!(newest(&["1.9.0", "1.10.0", "1.2", "zzz", "nightly", "2024"]), "1.10.0");
        assert_eq!(newest(&["v0.9", "v0.10", "0.8"]), "v0.10");
        assert_eq!(newest(&["2.0.0-rc.1", "1.0.0"]), "1.0.0");
        assert_eq!(newest(&["2.0.0-rc.1", "2.0.0-beta"]), "2.0.0-rc.1");
        assert_eq!(newest(&["release-3.1", "release/2.9"]), "release-3.1");
    }

    #[test]
    fn without_a_version_there_is_no_newest_tag() {
        assert_eq!(newest(&["stable", "2020-01-01", "v"]), None);
    }
}
