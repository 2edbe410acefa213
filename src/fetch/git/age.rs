//! Age: when a commit was made public, as far as the repository says, and what stood there before.

use crate::manifest::rebar::GitRef;

use super::origin::Origin;
use super::{Git, GitError, GitRequest, parse_commit};

impl Git<'_> {
    /// Returns when a found commit was made, or when it was tagged if that came later; in seconds since 1970.
    ///
    /// Its history must be here: [`Git::resolve`] has fetched it.
    pub(in crate::fetch) fn dated(
        &self,
        request: &GitRequest,
        commit: &str,
    ) -> Result<i64, GitError> {
        let origin = Origin::open(*self, &request.app, &request.url)?;
        let id = parse_commit(commit).ok_or_else(|| origin.no_such("commit", commit))?;
        let committed = origin.commit(id)?.time().seconds();
        let GitRef::Tag(name) = &request.reference else {
            return Ok(committed);
        };
        let tag = origin.repository().find_reference(&format!("refs/tags/{name}"));
        let tag = tag.ok().and_then(|reference| reference.peel_to_tag().ok());
        let tagged = tag.and_then(|tag| Some(tag.tagger()?.when().seconds()));
        Ok(committed.max(tagged.unwrap_or(committed)))
    }

    /// Returns the first commit on the way back from a found commit, by first parents, that was made by `time_max`.
    pub(in crate::fetch) fn older(
        &self,
        request: &GitRequest,
        commit: &str,
        time_max: i64,
    ) -> Result<Option<String>, GitError> {
        let origin = Origin::open(*self, &request.app, &request.url)?;
        let id = parse_commit(commit).ok_or_else(|| origin.no_such("commit", commit))?;
        let mut next = Some(origin.commit(id)?);
        while let Some(commit) = next {
            if commit.time().seconds() <= time_max {
                return Ok(Some(commit.id().to_string()));
            }
            next = match commit.parent_id(0) {
                Ok(parent) => Some(origin.commit(parent)?),
                Err(_) => None,
            };
        }
        Ok(None)
    }
}
