//! Tags: what the commit that is checked out is called.

use std::path::Path;

use git2::ObjectType;

use super::{ProjectError, around, head};

/// Returns the tags of the commit that is checked out around `root`, by name; none outside of git.
pub fn tags(root: &Path) -> Result<Vec<String>, ProjectError> {
    let git = |source| ProjectError::Git { path: root.to_owned(), source };
    let Some(repository) = around(root).map_err(git)? else { return Ok(Vec::new()) };
    let Some(commit) = head(&repository).map_err(git)? else { return Ok(Vec::new()) };
    let mut tags = Vec::new();
    for reference in repository.references_glob("refs/tags/*").map_err(git)? {
        let reference = reference.map_err(git)?;
        let tagged = reference.peel(ObjectType::Commit).ok().map(|object| object.id());
        if tagged == Some(commit.id())
            && let Some(name) =
                reference.name().ok().and_then(|name| name.strip_prefix("refs/tags/"))
        {
            tags.push(name.to_owned());
        }
    }
    tags.sort_unstable();
    Ok(tags)
}
