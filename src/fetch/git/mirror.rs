//! The mirrors that the store keeps of repositories on the web, and what is written in them.
//!
//! A mirror is a bare repository that only grows. Which commits it holds whole is written in it:
//! `refs/rebeam/history/<id>` with everything that leads there, `refs/rebeam/files/<id>` with the files
//! alone. Only the first kind is told to a server as had. Its tags are those that the server
//! listed last and whose commits are here. One process fetches into a mirror at a time.

use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use crate::disk::{self, LockMode};
use crate::store::{Store, StoreError};

use super::origin::Origin;
use super::wire::{Depth, Server};
use super::{Address, Git, GitError, Listing, Named};

/// Commits that a server is told we have.
const HAVES_MAX: usize = 64;

/// Opens the mirror of an address, and makes it if there is none; also says which file locks it.
pub(super) fn open_mirror(
    git: Git<'_>,
    named: &Named,
    address: &Address,
) -> Result<(Repository, PathBuf), GitError> {
    let root = git.store.mirrors_root();
    disk::create_dir_all(&root)?;
    let directory = root.join(address.directory());
    let lock = root.join(format!("{}.lock", address.directory()));
    let _held = disk::lock(&lock, LockMode::Exclusive)?;
    if let Ok(repository) = Repository::open_bare(&directory) {
        return Ok((repository, lock));
    }
    // What cannot be opened was left half made; it is a copy, and made anew.
    disk::remove_tree(&directory)?;
    let mut options = git2::RepositoryInitOptions::new();
    options.bare(true).external_template(false).initial_head("main");
    let repository = Repository::init_opts(&directory, &options);
    Ok((repository.map_err(|error| named.damaged(error))?, lock))
}

pub(super) fn mark_name(kind: &str, commit: Oid) -> String {
    format!("refs/rebeam/{kind}/{commit}")
}

/// Throws our mirror of an address away; tells whether there was one.
pub(super) fn forget(git: Git<'_>, url: &str) -> Result<bool, GitError> {
    let Some(address) = Address::new(url) else {
        return Ok(false);
    };
    let root = git.store.mirrors_root();
    let directory = root.join(address.directory());
    if !disk::exists(&directory) {
        return Ok(false);
    }
    let lock = root.join(format!("{}.lock", address.directory()));
    let _held = disk::lock(&lock, LockMode::Exclusive)?;
    disk::remove_tree(&directory)?;
    Ok(true)
}

/// Reads every object of every mirror again and returns the mirrors that hold a damaged one; with
/// `heal` they are removed, and fetched again when they are next needed.
pub fn verify_mirrors(store: &Store, heal: bool) -> Result<Vec<PathBuf>, StoreError> {
    let mut damaged = Vec::new();
    for mirror in store.mirrors()? {
        if !is_whole(&mirror) {
            if heal {
                disk::remove_tree(&mirror)?;
            }
            damaged.push(mirror);
        }
    }
    Ok(damaged)
}

/// Tells whether every object of a repository has the id that its content hashes to.
fn is_whole(mirror: &Path) -> bool {
    let read = || -> Result<bool, git2::Error> {
        let repository = Repository::open_bare(mirror)?;
        let odb = repository.odb()?;
        let mut whole = true;
        odb.foreach(|id| {
            whole = odb.read(*id).is_ok();
            whole
        })
        .or_else(|error| if whole { Err(error) } else { Ok(()) })?;
        Ok(whole)
    };
    read().unwrap_or(false)
}

impl Origin<'_> {
    /// Returns the commits that are here with everything that leads to them.
    pub(super) fn whole(&self) -> Result<Vec<Oid>, GitError> {
        let marks = self.repository().references_glob("refs/rebeam/history/*");
        let marks = marks.map_err(|error| self.named().damaged(error))?;
        Ok(marks.flatten().filter_map(|mark| mark.target()).take(HAVES_MAX).collect())
    }

    pub(super) fn mark(&self, commit: Oid, depth: Depth) -> Result<(), GitError> {
        let kind = match depth {
            Depth::History => "history",
            Depth::Tree => "files",
        };
        // The mark is for the commit; a tag's own id may have been asked for.
        let commit = self.commit(commit)?.id();
        self.set(&mark_name(kind, commit), commit)
    }

    pub(super) fn mark_all(&self, listing: &Listing) -> Result<(), GitError> {
        for object in listing.objects() {
            if self.commit(object).is_ok() {
                self.mark(object, Depth::History)?;
            }
        }
        Ok(())
    }

    /// Makes the mirror's tags and branches those that the server listed, as far as their commits are here.
    pub(super) fn keep_references(
        &self,
        server: &Server<'_>,
        listing: &Listing,
    ) -> Result<(), GitError> {
        let odb = self.odb()?;
        let reached = listing.tags.values().filter(|tag| odb.exists(tag.peeled));
        let wants = self.missing(reached.map(|tag| tag.object))?;
        if !wants.is_empty() {
            self.take(server, &wants, Depth::History)?;
        }
        self.drop_references(listing)?;
        for (name, tag) in &listing.tags {
            if odb.exists(tag.object) && odb.exists(tag.peeled) {
                self.set(&format!("refs/tags/{name}"), tag.object)?;
            }
        }
        for (name, commit) in &listing.branches {
            if odb.exists(*commit) {
                self.set(&format!("refs/heads/{name}"), *commit)?;
            }
        }
        if let Some(branch) = &listing.head_branch {
            self.repository()
                .set_head(&format!("refs/heads/{branch}"))
                .map_err(|error| self.named().damaged(error))?;
        }
        Ok(())
    }

    pub(super) fn drop_references(&self, listing: &Listing) -> Result<(), GitError> {
        let damaged = |error| self.named().damaged(error);
        for reference in self.repository().references().map_err(damaged)? {
            let mut reference = reference.map_err(damaged)?;
            let name = reference.name().unwrap_or_default();
            let tag = name.strip_prefix("refs/tags/");
            let branch = name.strip_prefix("refs/heads/");
            let gone = tag.is_some_and(|tag| !listing.tags.contains_key(tag))
                || branch.is_some_and(|branch| !listing.branches.contains_key(branch));
            if gone {
                reference.delete().map_err(damaged)?;
            }
        }
        Ok(())
    }

    /// Points a reference of the mirror at an object. A name that git itself would refuse is left out.
    pub(super) fn set(&self, name: &str, object: Oid) -> Result<(), GitError> {
        if !git2::Reference::is_valid_name(name) {
            return Ok(());
        }
        match self.repository().reference(name, object, true, "") {
            Ok(_) => Ok(()),
            Err(error) => Err(self.named().damaged(error)),
        }
    }
}
