//! Describe: the version that rebar3 puts where an application says `{vsn, git}`.
//!
//! The rule is `rebar_git_resource:make_vsn/2`, with its quirks: a tag on the commit itself is the
//! version, without a leading `v` and without what stands before its last `/`. Otherwise the nearest tag
//! behind it is the version (only a leading `v` goes), `+build.`, the number of *all* commits that
//! lead here, and `.ref` with the abbreviated commit; `0.0.0` stands in where there is no tag. rebar3
//! abbreviates to 7 digits or more, depending on how much its clone happens to hold; we take 7, so
//! that one commit has one version everywhere.

use git2::{Commit, DescribeFormatOptions, DescribeOptions, ErrorClass, ObjectType, Oid};

use super::GitError;
use super::origin::Origin;

/// Returns the version of a commit whose history is here.
pub(super) fn describe(origin: &Origin<'_>, commit: &Commit<'_>) -> Result<String, GitError> {
    if let Some(tag) = tag_at(origin, commit.id())? {
        let version = tag.strip_prefix('v').unwrap_or(&tag);
        return Ok(version.rsplit('/').next().unwrap_or(version).to_owned());
    }
    let nearest = nearest_tag(origin, commit)?;
    let version = nearest.as_deref().map_or("0.0.0", |tag| tag.strip_prefix('v').unwrap_or(tag));
    let count = count(origin, commit.id())?;
    let short = &commit.id().to_string()[..7];
    Ok(format!("{version}+build.{count}.ref{short}"))
}

/// Returns the tag that `git log --decorate` shows first: the last one by name.
fn tag_at(origin: &Origin<'_>, commit: Oid) -> Result<Option<String>, GitError> {
    let damaged = |error| origin.named().damaged(error);
    let mut last: Option<String> = None;
    for reference in origin.repository().references_glob("refs/tags/*").map_err(damaged)? {
        let reference = reference.map_err(damaged)?;
        let peeled = reference.peel(ObjectType::Commit).ok().map(|object| object.id());
        let name = reference.shorthand().unwrap_or_default();
        let name = name.strip_prefix("tags/").unwrap_or(name);
        if peeled == Some(commit) && last.as_deref().is_none_or(|last| last < name) {
            last = Some(name.to_owned());
        }
    }
    Ok(last)
}

fn nearest_tag(origin: &Origin<'_>, commit: &Commit<'_>) -> Result<Option<String>, GitError> {
    let mut format = DescribeFormatOptions::new();
    format.abbreviated_size(0);
    let described = commit
        .as_object()
        .describe(DescribeOptions::new().describe_tags())
        .and_then(|found| found.format(Some(&format)));
    match described {
        Ok(tag) => Ok(Some(tag)),
        Err(error) if error.class() == ErrorClass::Describe => Ok(None),
        Err(error) => Err(origin.named().damaged(error)),
    }
}

fn count(origin: &Origin<'_>, commit: Oid) -> Result<usize, GitError> {
    let damaged = |error| origin.named().damaged(error);
    let mut walk = origin.repository().revwalk().map_err(damaged)?;
    walk.push(commit).map_err(damaged)?;
    let mut count = 0;
    for step in walk {
        step.map_err(|error| origin.named().unread(commit, error))?;
        count += 1;
    }
    Ok(count)
}
