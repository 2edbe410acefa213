//! Where a repository's objects are read: in place on this machine, or in a mirror in the store.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use git2::{Commit, ErrorCode, ObjectType, Odb, Oid, Repository};

use crate::disk::{self, FileLock, LockMode};
use crate::http::{HttpError, Network};

use super::mirror::{mark_name, open_mirror};
use super::wire::{Depth, Server};
use super::{Address, Git, GitError, Listing, Named};

pub(super) struct Origin<'a> {
    git: Git<'a>,
    named: Named,
    address: Address,
    repository: Repository,
    place: Place,
    listing: OnceCell<Listing>,
}

enum Place {
    /// On this machine, and read only.
    Here,
    /// Elsewhere; the repository is our mirror of it. Who fetches into it holds the lock.
    Away { lock: PathBuf },
}

impl<'a> Origin<'a> {
    pub(super) fn open(git: Git<'a>, app: &str, url: &str) -> Result<Self, GitError> {
        let bad = || GitError::BadAddress { app: app.to_owned(), url: url.to_owned() };
        let address = Address::new(url).ok_or_else(bad)?;
        Self::at(git, app, address)
    }

    pub(super) fn at(git: Git<'a>, app: &str, address: Address) -> Result<Self, GitError> {
        let named = Named { app: app.to_owned(), url: address.url.clone() };
        let path =
            [&address.url, &address.written].into_iter().find_map(|url| git.http.path_of(url));
        let (repository, place) = match path {
            Some(path) => {
                let url = path.display().to_string();
                let there = Named { url, ..named.clone() };
                (open_here(&path).ok_or_else(|| there.not_git())?, Place::Here)
            }
            None => {
                let (repository, lock) = open_mirror(git, &named, &address)?;
                (repository, Place::Away { lock })
            }
        };
        Ok(Self { git, named, address, repository, place, listing: OnceCell::new() })
    }

    pub(super) fn url(&self) -> &str {
        &self.named.url
    }

    pub(super) fn app(&self) -> &str {
        &self.named.app
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn named(&self) -> &Named {
        &self.named
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(super) fn odb(&self) -> Result<Odb<'_>, GitError> {
        self.repository.odb().map_err(|error| self.named.damaged(error))
    }

    pub(super) fn commit(&self, id: Oid) -> Result<Commit<'_>, GitError> {
        let object = self.repository.find_object(id, None);
        let object = object.map_err(|error| self.named.unread(id, error))?;
        object.peel_to_commit().map_err(|_| self.no_such("commit", &id.to_string()))
    }

    pub(super) fn no_such(&self, kind: &str, name: &str) -> GitError {
        GitError::NoSuchReference {
            app: self.named.app.clone(),
            url: self.named.url.clone(),
            reference: if name.is_empty() { kind.to_owned() } else { format!("{kind} `{name}`") },
            nearest: None,
        }
    }

    pub(super) fn no_such_of(&self, listing: &Listing, kind: &str, name: &str) -> GitError {
        let names = listing.tags.keys().chain(listing.branches.keys());
        let likeness = |other: &&String| (strsim::jaro_winkler(other, name) * 1000.0) as i64;
        let found = names.max_by_key(likeness).filter(|other| likeness(other) > 800);
        match self.no_such(kind, name) {
            GitError::NoSuchReference { app, url, reference, .. } => {
                GitError::NoSuchReference { app, url, reference, nearest: found.cloned() }
            }
            other => other,
        }
    }

    /// Returns the branches and tags: a server's, or what stands in the repository on this machine.
    ///
    /// With the network closed, a mirror answers with what it was told last.
    pub(super) fn list(&self) -> Result<Listing, GitError> {
        if let Some(listing) = self.listing.get() {
            return Ok(listing.clone());
        }
        let here = matches!(self.place, Place::Here);
        let listing = if here || self.git.http.network() == Network::Offline {
            let listing = self.list_here()?;
            if !here && listing == Listing::default() {
                return Err(self.offline());
            }
            listing
        } else {
            self.server()?.list()?
        };
        Ok(self.listing.get_or_init(|| listing).clone())
    }

    fn list_here(&self) -> Result<Listing, GitError> {
        let damaged = |error| self.named.damaged(error);
        let mut listing = Listing::default();
        for reference in self.repository.references().map_err(damaged)? {
            let reference = reference.map_err(damaged)?;
            let (Ok(name), Some(target)) = (reference.name(), reference.target()) else {
                continue;
            };
            // An ordinary clone keeps the branches that it never checked out here.
            let remote = name.strip_prefix("refs/remotes/origin/");
            if let Some(branch) = remote.filter(|branch| *branch != "HEAD") {
                listing.branches.entry(branch.to_owned()).or_insert(target);
                continue;
            }
            let peeled = name.starts_with("refs/tags/").then(|| reference.peel(ObjectType::Any));
            let peeled = peeled.and_then(Result::ok).map(|object| object.id());
            listing.add(name, target, peeled);
        }
        if let Ok(head) = self.repository.find_reference("HEAD") {
            let target = head.symbolic_target().ok().flatten();
            listing.head_branch =
                target.and_then(|name| name.strip_prefix("refs/heads/")).map(str::to_owned);
            listing.head = head.resolve().ok().and_then(|head| head.target());
        }
        Ok(listing)
    }

    /// Makes sure that the commit is here, fetching by its id first and by all references then.
    pub(super) fn ensure(&self, commit: Oid, depth: Depth) -> Result<(), GitError> {
        if self.holds(commit, depth)? {
            return Ok(());
        }
        let _lock = self.lock()?;
        // Whoever held the lock before us may have brought it.
        if self.holds(commit, depth)? {
            return Ok(());
        }
        if matches!(self.place, Place::Here) {
            return Err(self.vanished(commit));
        }
        if self.git.http.network() == Network::Offline {
            return Err(self.offline());
        }
        let server = self.server()?;
        let listing = if depth == Depth::History { Some(self.list()?) } else { None };
        match self.take(&server, &[commit].into(), depth) {
            Ok(()) => {}
            // Not every server gives a commit by its id; then it must be reached by a name.
            Err(GitError::Refused { .. } | GitError::Http(HttpError::Status { .. })) => {
                let wants = self.missing(self.list()?.objects())?;
                if !wants.is_empty() {
                    self.take(&server, &wants, Depth::History)?;
                }
                if !self.odb()?.exists(commit) {
                    return Err(self.vanished(commit));
                }
                self.mark_all(&self.list()?)?;
            }
            Err(error) => return Err(error),
        }
        if !self.odb()?.exists(commit) {
            return Err(self.vanished(commit));
        }
        self.mark(commit, depth)?;
        match listing {
            Some(listing) => self.keep_references(&server, &listing),
            None => Ok(()),
        }
    }

    /// Returns the commit that alone begins with the digits, after fetching everything that has a name.
    pub(super) fn expand(&self, digits: &str) -> Result<Option<Oid>, GitError> {
        if matches!(self.place, Place::Away { .. }) && self.git.http.network() == Network::Open {
            let _lock = self.lock()?;
            let listing = self.list()?;
            let wants = self.missing(listing.objects())?;
            if !wants.is_empty() {
                let server = self.server()?;
                self.take(&server, &wants, Depth::History)?;
                self.mark_all(&listing)?;
                self.keep_references(&server, &listing)?;
            }
        }
        match self.repository.find_commit_by_prefix(digits) {
            Ok(commit) => Ok(Some(commit.id())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) if error.code() == ErrorCode::Ambiguous => Err(GitError::Ambiguous {
                app: self.named.app.clone(),
                url: self.named.url.clone(),
                commit: digits.to_owned(),
            }),
            Err(error) => Err(self.named.damaged(error)),
        }
    }

    fn lock(&self) -> Result<Option<FileLock>, GitError> {
        match &self.place {
            Place::Here => Ok(None),
            Place::Away { lock } => Ok(Some(disk::lock(lock, LockMode::Exclusive)?)),
        }
    }

    fn server(&self) -> Result<Server<'_>, GitError> {
        let urls = [self.address.url.clone(), format!("{}.git", self.address.url)];
        let secret = self.address.secret.as_deref();
        Server::connect(self.git.http, self.git.observer, &self.named, &urls, secret)
    }

    fn holds(&self, commit: Oid, depth: Depth) -> Result<bool, GitError> {
        if !self.odb()?.exists(commit) {
            return Ok(false);
        }
        if matches!(self.place, Place::Here) {
            return Ok(true);
        }
        let marked = |kind: &str| self.repository.refname_to_id(&mark_name(kind, commit)).is_ok();
        if marked("history") || (depth == Depth::Tree && marked("files")) {
            return Ok(true);
        }
        let reaches =
            |tip: &Oid| self.repository.graph_descendant_of(*tip, commit).unwrap_or(false);
        Ok(self.whole()?.iter().any(reaches))
    }

    pub(super) fn missing(
        &self,
        objects: impl Iterator<Item = Oid>,
    ) -> Result<BTreeSet<Oid>, GitError> {
        let odb = self.odb()?;
        Ok(objects.filter(|object| !odb.exists(*object)).collect())
    }

    pub(super) fn take(
        &self,
        server: &Server<'_>,
        wants: &BTreeSet<Oid>,
        depth: Depth,
    ) -> Result<(), GitError> {
        let odb = self.odb()?;
        let haves = if depth == Depth::History { self.whole()? } else { Vec::new() };
        let pack = server.fetch(wants, &haves, depth, || {
            let writer = odb.packwriter().map_err(|error| self.named.damaged(error))?;
            Ok(Counted { writer, bytes: 0 })
        })?;
        // An empty pack has a header and a hash: 32 bytes.
        if pack.bytes > 32 {
            let mut writer = pack.writer;
            writer.commit().map_err(|error| self.named.damaged(error))?;
        }
        odb.refresh().map_err(|error| self.named.damaged(error))
    }

    fn vanished(&self, commit: Oid) -> GitError {
        GitError::Vanished {
            app: self.named.app.clone(),
            url: self.named.url.clone(),
            commit: commit.to_string(),
            now: None,
        }
    }

    fn offline(&self) -> GitError {
        let (name, url) = (self.named.app.clone(), self.named.url.clone());
        HttpError::Offline { name, url }.into()
    }
}

struct Counted<W> {
    writer: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.writer.write(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Opens a repository of this machine, bare or not, with and without `.git` in its name.
///
/// It is opened as a bare one because only objects and references are read: nobody's hooks, filters
/// or work tree matter, and so neither does who owns it.
fn open_here(path: &Path) -> Option<Repository> {
    let text = path.to_str()?;
    let without = text.strip_suffix(".git").unwrap_or(text);
    [
        text.to_owned(),
        format!("{text}/.git"),
        format!("{text}.git"),
        without.to_owned(),
        format!("{without}/.git"),
    ]
    .iter()
    .find_map(|path| Repository::open_bare(path).ok())
    .or_else(|| Repository::open(path).ok())
}
