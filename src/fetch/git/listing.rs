//! The branches and tags of a repository, by name.

use std::collections::BTreeMap;

use git2::Oid;

/// The branches and tags of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) head: Option<Oid>,
    pub(super) head_branch: Option<String>,
    pub(super) branches: BTreeMap<String, Oid>,
    pub(super) tags: BTreeMap<String, Tag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// What the reference points to: a tag object, or the commit itself.
    pub(super) object: Oid,
    /// What it means in the end.
    pub(super) peeled: Oid,
}

impl Listing {
    /// Takes one reference in; `name^{}` is how old servers say what a tag means.
    pub(super) fn add(&mut self, name: &str, object: Oid, peeled: Option<Oid>) {
        if name == "HEAD" {
            self.head = Some(object);
        } else if let Some(branch) = name.strip_prefix("refs/heads/") {
            self.branches.insert(branch.to_owned(), object);
        } else if let Some(tag) = name.strip_prefix("refs/tags/") {
            if let Some(known) = tag.strip_suffix("^{}").and_then(|tag| self.tags.get_mut(tag)) {
                known.peeled = object;
            } else {
                let peeled = peeled.unwrap_or(object);
                self.tags.insert(tag.to_owned(), Tag { object, peeled });
            }
        }
    }

    /// Returns everything that a whole copy holds.
    pub(super) fn objects(&self) -> impl Iterator<Item = Oid> {
        let tags = self.tags.values().map(|tag| tag.object);
        self.branches.values().copied().chain(tags).chain(self.head)
    }

    pub(super) fn tag(&self, name: &str) -> Option<Oid> {
        self.tags.get(name).map(|tag| tag.peeled)
    }

    pub(super) fn branch(&self, name: &str) -> Option<Oid> {
        self.branches.get(name).copied()
    }

    pub(super) fn default_branch(&self) -> Option<Oid> {
        let named = self.head_branch.as_deref().and_then(|name| self.branch(name));
        named.or(self.head)
    }
}
