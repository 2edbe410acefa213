//! Project: the project's own files, as a tree of the store, and the time that dates what is made of them.
//!
//! What git ignores is no part of a project, nor are the outputs of a build. A look at every file's status
//! decides whether anything changed since the last time: contents are read only then.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::Repository;
use thiserror::Error;

use crate::digest::Digest;
use crate::disk::{self, DiskError, Kind, Status};
use crate::explain::{Blame, Explain};
use crate::limits::TREE_ENTRIES_MAX;
use crate::store::{BuildKey, HeldTree, Record, Store, StoreError};
use crate::tree::{RelPath, TreeError};

/// The project's files could not be taken.
#[derive(Debug, Error)]
pub enum ProjectError {
    /// There are more files than a project may have.
    #[error("`{}` holds more than {limit} files", path.display())]
    TooMany {
        /// The project's root.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The repository around the project could not be read.
    #[error("the git repository of `{}` cannot be read", path.display())]
    Git {
        /// The project's root.
        path: PathBuf,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A revision that the repository does not have, or that lacks the file.
    #[error("`{}` has no revision `{revision}` with a `{file}`", path.display())]
    NoRevision {
        /// The project's root.
        path: PathBuf,
        /// What was named.
        revision: String,
        /// The file, relative to the project.
        file: String,
    },
    /// A path cannot be in a tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for ProjectError {
    fn blame(&self) -> Blame {
        match self {
            Self::Store(error) => error.blame(),
            Self::Tree(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            Self::TooMany { .. } | Self::Git { .. } | Self::NoRevision { .. } => Blame::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Tree(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            Self::TooMany { .. } => Some("name what is no source in `.gitignore`".into()),
            Self::NoRevision { path, file, .. } => Some(format!(
                "`git -C {} log --oneline -- {file}` lists those that have it",
                path.display()
            )),
            Self::Git { path, .. } => {
                Some(format!("`git -C {} fsck` looks for damage", path.display()))
            }
        }
    }
}

/// Names at the project's top that are never sources: ours, git's and rebar3's. What lies below
/// `_checkouts` are dependencies, each a source of its own.
const NO_SOURCES: [&str; 7] =
    [".git", "_build", ".rebar3", "_checkouts", "rebeam.lock", "rebeam.toml", ".rebeam"];

/// How files at the project's top end that rebeam writes there: images, and bundles of sources.
const MADE: [&str; 2] = [".tar", ".bundle"];

/// The file that marks a directory that `rebeam vendor` made: nothing in it is the project's own.
pub const VENDOR_MARK: &str = ".rebeam-vendor";

/// The file that marks a directory that `--cache-to` fills: people keep it beside their sources.
pub const CACHE_MARK: &str = ".rebeam-cache";

/// One file or link of the project with its status.
struct Found {
    path: RelPath,
    status: Status,
}

/// What git leaves out of a project: what it ignores and does not have all the same.
struct Ignored {
    repository: Repository,
    /// The project's place in the repository; empty at its top.
    below: Vec<u8>,
    /// What the repository has, read where something is ignored at all.
    tracked: OnceCell<BTreeSet<Vec<u8>>>,
}

impl Ignored {
    fn new(root: &Path, repository: Repository) -> Result<Self, ProjectError> {
        let top = repository.workdir().map(disk::canonical).transpose()?;
        let below = disk::canonical(root)?;
        let below = top.and_then(|top| below.strip_prefix(top).ok().map(Path::to_owned));
        let mut below = below.unwrap_or_default().into_os_string().into_encoded_bytes();
        if !below.is_empty() {
            below.push(b'/');
        }
        Ok(Self { repository, below, tracked: OnceCell::new() })
    }

    /// Tells whether `path` is ignored, and neither it nor anything below it is in the repository: an ignored file that
    /// was added counts for git like any other.
    fn holds(&self, path: &RelPath, on_disk: &Path) -> bool {
        if !self.repository.is_path_ignored(on_disk).unwrap_or(false) {
            return false;
        }
        let tracked = self.tracked.get_or_init(|| {
            let index = self.repository.index();
            index.map(|index| index.iter().map(|entry| entry.path).collect()).unwrap_or_default()
        });
        let path = [self.below.as_slice(), path.as_bytes()].concat();
        let inside = [path.as_slice(), b"/"].concat();
        let first = tracked.range(inside.clone()..).next();
        !tracked.contains(&path) && !first.is_some_and(|first| first.starts_with(&inside))
    }
}

/// The project's files by name and status, contents unread.
pub struct Survey {
    root: PathBuf,
    files: Vec<Found>,
}

impl Survey {
    /// Lists the project's files below `root`; a `.tar` or `.bundle` at the top is one that rebeam made.
    pub fn new(root: &Path) -> Result<Self, ProjectError> {
        let git = |source| ProjectError::Git { path: root.to_owned(), source };
        let ignored = around(root).map_err(git)?.map(|repository| Ignored::new(root, repository));
        let ignored = ignored.transpose()?;
        let mut survey = Self { root: root.to_owned(), files: Vec::new() };
        for name in disk::list(root)? {
            let text = String::from_utf8_lossy(&name);
            let is_made = MADE.iter().any(|ending| text.ends_with(ending));
            if !NO_SOURCES.contains(&text.as_ref()) && !is_made {
                survey.visit(RelPath::new(name)?, ignored.as_ref())?;
            }
        }
        Ok(survey)
    }

    fn visit(&mut self, path: RelPath, ignored: Option<&Ignored>) -> Result<(), ProjectError> {
        let on_disk = path.under(&self.root);
        let is_ignored = ignored.is_some_and(|ignored| ignored.holds(&path, &on_disk));
        let Some(status) = disk::status(&on_disk)?.filter(|_| !is_ignored) else {
            return Ok(());
        };
        match status.kind {
            Kind::Directory => {
                let names = disk::list(&on_disk)?;
                let marks = [VENDOR_MARK.as_bytes(), CACHE_MARK.as_bytes()];
                if names.iter().any(|name| marks.contains(&name.as_slice())) {
                    return Ok(());
                }
                for name in names.into_iter().filter(|name| name != b".git") {
                    self.visit(path.join(&name)?, ignored)?;
                }
            }
            Kind::Special => {}
            Kind::File { .. } | Kind::Symlink => self.files.push(Found { path, status }),
        }
        if self.files.len() > TREE_ENTRIES_MAX {
            return Err(ProjectError::TooMany { path: self.root.clone(), limit: TREE_ENTRIES_MAX });
        }
        Ok(())
    }

    /// Returns the hash of every file's name, kind, size, times and identity.
    pub fn fingerprint(&self) -> Digest {
        let mut text = String::new();
        for Found { path, status } in &self.files {
            let Status { kind, size, identity, modified_ns, changed_ns, owner: _ } = status;
            writeln!(text, "{path:?} {kind:?} {size} {identity:?} {modified_ns} {changed_ns}")
                .expect("writing to a String cannot fail");
        }
        Digest::of(text.as_bytes())
    }

    /// Takes the files into the store, unless their fingerprint says that they are there.
    pub fn take(&self, store: &Store) -> Result<HeldTree, ProjectError> {
        let key = BuildKey::of(&format!("project files {}", self.fingerprint()));
        if let Some(record) = store.recall(key)?
            && let Some((_, digest)) = record.outputs.first()
            && let Some(held) = store.tree(*digest)?
        {
            return Ok(held);
        }
        let scratch = store.scratch()?;
        let copy = scratch.path().join("project");
        disk::create_dir(&copy)?;
        let now = disk::status(&copy)?.map_or(0, |status| status.changed_ns);
        for Found { path, status } in &self.files {
            self.copy(path, *status, &copy)?;
        }
        let held = store.insert_tree("the project", &copy, None)?;
        if self.is_settled(now) {
            store.remember(
                key,
                &Record { inputs: String::new(), outputs: vec![("tree".into(), held.digest())] },
            )?;
        }
        Ok(held)
    }

    /// Tells whether every file had been at rest for a second at `moment_ns`, in nanoseconds since 1970.
    ///
    /// A file that changed in that very moment can change again without its times showing it.
    pub fn is_settled(&self, moment_ns: i128) -> bool {
        self.files.iter().all(|found| found.status.changed_ns + 1_000_000_000 < moment_ns)
    }

    fn copy(&self, path: &RelPath, status: Status, to: &Path) -> Result<(), ProjectError> {
        let (from, target) = (path.under(&self.root), path.under(to));
        if let Some(parent) = path.parent() {
            disk::create_dir_all(&parent.under(to))?;
        }
        match status.kind {
            Kind::File { executable } => disk::copy_file(&from, &target, executable)?,
            _ => disk::symlink(&disk::read_link(&from)?, &target)?,
        }
        Ok(())
    }
}

/// Returns the project's own applications with their directories, where rebar3 looks for them: at the
/// top, in `apps/*` and in `lib/*`.
pub fn applications(root: &Path) -> Result<BTreeMap<String, PathBuf>, ProjectError> {
    let mut homes = vec![root.to_owned()];
    for below in ["apps", "lib"] {
        let below = root.join(below);
        if disk::exists(&below) {
            homes
                .extend(disk::list(&below)?.iter().map(|name| below.join(OsStr::from_bytes(name))));
        }
    }
    let mut applications = BTreeMap::new();
    for home in homes {
        let src = home.join("src");
        let names = if disk::exists(&src) { disk::list(&src)? } else { vec![] };
        for name in names {
            let name = String::from_utf8_lossy(&name).into_owned();
            let app =
                name.strip_suffix(".app.src").or_else(|| name.strip_suffix(".app.src.script"));
            if let Some(app) = app {
                applications.insert(app.to_owned(), home.clone());
            }
        }
    }
    Ok(applications)
}

/// Returns the time of the newest commit of the repository around `root`, in seconds since 1970.
pub fn newest_commit(root: &Path) -> Result<Option<i64>, ProjectError> {
    let git = |source| ProjectError::Git { path: root.to_owned(), source };
    let Some(repository) = around(root).map_err(git)? else { return Ok(None) };
    let commit = head(&repository).map_err(git)?;
    Ok(commit.map(|commit| commit.time().seconds()))
}

/// Returns the top of the repository around `root`.
pub fn top(root: &Path) -> Result<Option<PathBuf>, ProjectError> {
    let git = |source| ProjectError::Git { path: root.to_owned(), source };
    let Some(repository) = around(root).map_err(git)? else { return Ok(None) };
    Ok(repository.workdir().map(Path::to_owned))
}

/// Returns the commit that is checked out around `root`, as 40 hex digits; `None` outside of git.
pub fn checked_out(root: &Path) -> Result<Option<String>, ProjectError> {
    let git = |source| ProjectError::Git { path: root.to_owned(), source };
    let Some(repository) = around(root).map_err(git)? else { return Ok(None) };
    let commit = head(&repository).map_err(git)?;
    Ok(commit.map(|commit| commit.id().to_string()))
}

/// Returns the commit whose files those below `root` are, to the last byte; `None` where a file was
/// changed, added or removed since. Built images count for nothing.
pub fn revision(root: &Path) -> Result<Option<String>, ProjectError> {
    let git = |source| ProjectError::Git { path: root.to_owned(), source };
    let Some(repository) = around(root).map_err(git)? else { return Ok(None) };
    let Some(commit) = head(&repository).map_err(git)? else { return Ok(None) };
    let Some(top) = repository.workdir().map(disk::canonical).transpose()? else {
        return Ok(None);
    };
    let below = disk::canonical(root)?;
    let below = below.strip_prefix(&top).unwrap_or(Path::new("")).to_owned();
    let mut options = git2::DiffOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true);
    if below != Path::new("") {
        options.pathspec(&below).disable_pathspec_match(true);
    }
    let tree = commit.tree().map_err(git)?;
    let changes = repository.diff_tree_to_workdir_with_index(Some(&tree), Some(&mut options));
    let changes = changes.map_err(git)?;
    let is_image =
        |path: &Path| path.parent() == Some(&below) && path.extension() == Some(OsStr::new("tar"));
    let mut paths = changes.deltas().filter_map(|delta| delta.new_file().path());
    Ok(paths.all(is_image).then(|| commit.id().to_string()))
}

/// Makes a directory of a commit's files a repository, so that what the project ignores is told as in its own.
pub fn make_repository(root: &Path) -> Result<(), ProjectError> {
    let git = |source| ProjectError::Git { path: root.to_owned(), source };
    disk::change("create", root)?;
    Repository::init(root).map(drop).map_err(git)
}

fn around(root: &Path) -> Result<Option<Repository>, git2::Error> {
    match Repository::discover(root) {
        Ok(repository) => Ok(Some(repository)),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn head(repository: &Repository) -> Result<Option<git2::Commit<'_>>, git2::Error> {
    match repository.head() {
        Ok(head) => head.peel_to_commit().map(Some),
        Err(error) if error.code() == git2::ErrorCode::UnbornBranch => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the text that the project's `file` had at a git revision: `HEAD`, `main`, a tag, a commit.
pub fn text_at(root: &Path, revision: &str, file: &str) -> Result<String, ProjectError> {
    let git = |source| ProjectError::Git { path: root.to_owned(), source };
    let missing = || ProjectError::NoRevision {
        path: root.to_owned(),
        revision: revision.to_owned(),
        file: file.to_owned(),
    };
    let repository = match Repository::discover(root) {
        Ok(repository) => repository,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Err(missing()),
        Err(error) => return Err(git(error)),
    };
    let top = repository.workdir().ok_or_else(missing)?;
    let top = disk::canonical(top)?;
    let place = disk::canonical(root)?.join(file);
    let place = place.strip_prefix(&top).map_err(|_| missing())?;
    let object = repository.revparse_single(revision).map_err(|_| missing())?;
    let tree = object.peel_to_tree().map_err(|_| missing())?;
    let entry = tree.get_path(place).map_err(|_| missing())?;
    let object = entry.to_object(&repository).map_err(git)?;
    let blob = object.as_blob().ok_or_else(missing)?;
    String::from_utf8(blob.content().to_vec()).map_err(|_| missing())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        disk::create_dir_all(path.parent().unwrap()).unwrap();
        disk::write_atomic(path, text.as_bytes()).unwrap();
    }

    fn world() -> (tempfile::TempDir, PathBuf, Store) {
        let world = tempfile::tempdir().unwrap();
        let root = world.path().join("project");
        write(&root.join("src/a.erl"), "-module(a).");
        write(&root.join("src/a.app.src"), "{application, a, []}.");
        let store = Store::open(&world.path().join("store")).unwrap();
        (world, root, store)
    }

    #[test]
    fn an_ignored_file_that_was_added_to_git_is_part_of_the_project() {
        let (_world, root, store) = world();
        let repository = Repository::init(&root).unwrap();
        write(&root.join(".gitignore"), "bin/\n");
        write(&root.join("bin/run.escript"), "x");
        write(&root.join("bin/built"), "x");
        let added = |project: &Path| {
            let held = Survey::new(project).unwrap().take(&store).unwrap();
            let from_top = project.strip_prefix(&root).unwrap();
            let bin = Path::new("bin").strip_prefix(from_top).unwrap_or(Path::new("bin"));
            let has = |name: &str| disk::exists(&held.path().join(bin).join(name));
            (has("run.escript"), has("built"))
        };
        assert_eq!(added(&root), (false, false));
        let mut index = repository.index().unwrap();
        index.add_path(Path::new("bin/run.escript")).unwrap();
        index.write().unwrap();
        assert_eq!(added(&root), (true, false));
        assert_eq!(added(&root.join("bin")), (true, false));
    }

    #[test]
    fn outputs_and_ignored_files_are_no_part_of_the_project() {
        let (_world, root, store) = world();
        let before = Survey::new(&root).unwrap().take(&store).unwrap();
        Repository::init(&root).unwrap();
        write(&root.join("_build/x"), "x");
        write(&root.join("a-1.0.tar"), "x");
        write(&root.join("a.bundle"), "x");
        write(&root.join("rebeam.lock"), "x");
        write(&root.join("third_party/.rebeam-vendor"), "");
        write(&root.join("third_party/deps/b/src/b.erl"), "-module(b).");
        write(&root.join("shared/.rebeam-cache"), "");
        write(&root.join("shared/blobs/sha256/0"), "x");
        write(&root.join(".git/info/exclude"), "*.swp\n");
        write(&root.join("src/a.swp"), "x");
        assert_eq!(Survey::new(&root).unwrap().take(&store).unwrap(), before);
        write(&root.join("src/b.erl"), "-module(b).");
        assert_ne!(Survey::new(&root).unwrap().take(&store).unwrap(), before);
    }

    #[test]
    fn a_change_right_after_a_look_is_seen() {
        let (_world, root, store) = world();
        for text in ["-module(a). % 1", "-module(a). % 2", "-module(a). % 3"] {
            write(&root.join("src/a.erl"), text);
            let held = Survey::new(&root).unwrap().take(&store).unwrap();
            assert_eq!(disk::read_text(&held.path().join("src/a.erl"), 100).unwrap(), text);
        }
    }

    #[test]
    fn the_revision_is_the_commit_only_while_nothing_differs_from_it() {
        let (_world, root, _store) = world();
        assert_eq!(revision(&root).unwrap(), None);
        let repository = Repository::init(&root).unwrap();
        assert_eq!(revision(&root).unwrap(), None, "there is no commit yet");
        let mut index = repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        index.write().unwrap();
        let author = git2::Signature::new("a", "a@b.test", &git2::Time::new(1, 0)).unwrap();
        let commit = repository.commit(Some("HEAD"), &author, &author, "a", &tree, &[]).unwrap();
        let commit = Some(commit.to_string());
        assert_eq!(revision(&root).unwrap(), commit);
        assert_eq!(checked_out(&root).unwrap(), commit);
        write(&root.join("a-1.0.tar"), "an image");
        assert_eq!(revision(&root).unwrap(), commit);
        write(&root.join("src/b.erl"), "-module(b).");
        assert_eq!(revision(&root).unwrap(), None, "a file was added");
        assert_eq!(revision(&root.join("src")).unwrap(), None);
        disk::remove_file(&root.join("src/b.erl")).unwrap();
        write(&root.join("src/a.erl"), "-module(a). % changed");
        assert_eq!(revision(&root).unwrap(), None, "a file was changed");
    }

    #[test]
    fn applications_are_found_at_the_top_and_below_apps() {
        let (_world, root, _store) = world();
        write(&root.join("apps/b/src/b.app.src"), "");
        let found = applications(&root).unwrap();
        assert_eq!(
            found,
            BTreeMap::from([("a".into(), root.clone()), ("b".into(), root.join("apps/b"))])
        );
    }
}
