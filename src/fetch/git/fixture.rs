//! Repositories for tests, made with fixed authors and dates, so that ids are constant.

use std::path::{Path, PathBuf};

use git2::{Oid, Repository, Signature, Time};

/// When the first commit of a fixture is made.
pub(crate) const BEGAN: i64 = 1_500_000_000;

/// A bare repository in a directory of its own.
pub(crate) struct Fixture {
    repository: Repository,
    path: PathBuf,
}

/// A file of a commit.
pub(crate) enum File<'a> {
    Plain(&'a str),
    Executable(&'a str),
    Link(&'a str),
    Submodule(Oid),
}

impl Fixture {
    pub(crate) fn new(directory: &Path, name: &str) -> Self {
        let path = directory.join(name);
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).external_template(false).initial_head("main");
        let repository =
            Repository::init_opts(&path, &options).expect("a fresh directory takes one");
        Self { repository, path }
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    fn signature(&self, time: i64) -> Signature<'static> {
        Signature::new("Test", "test@example.org", &Time::new(time, 0)).expect("a plain name")
    }

    /// Makes a commit of exactly these files, `age` seconds after the beginning, without a branch.
    pub(crate) fn commit(&self, files: &[(&str, File<'_>)], parents: &[Oid], age: i64) -> Oid {
        let empty = self.repository.treebuilder(None).unwrap().write().unwrap();
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, file) in files {
            let blob = |text: &str| self.repository.blob(text.as_bytes()).unwrap();
            let (id, mode) = match file {
                File::Plain(text) => (blob(text), git2::FileMode::Blob),
                File::Executable(text) => (blob(text), git2::FileMode::BlobExecutable),
                File::Link(target) => (blob(target), git2::FileMode::Link),
                File::Submodule(commit) => (*commit, git2::FileMode::Commit),
            };
            update.upsert(*path, id, mode);
        }
        let base = self.repository.find_tree(empty).unwrap();
        let tree = update.create_updated(&self.repository, &base).unwrap();
        let tree = self.repository.find_tree(tree).unwrap();
        let parents: Vec<_> =
            parents.iter().map(|id| self.repository.find_commit(*id).unwrap()).collect();
        let signature = self.signature(BEGAN + age);
        self.repository
            .commit(
                None,
                &signature,
                &signature,
                "change",
                &tree,
                &parents.iter().collect::<Vec<_>>(),
            )
            .unwrap()
    }

    /// Makes a commit with one file that holds `text`.
    pub(crate) fn simple(&self, text: &str, parents: &[Oid], age: i64) -> Oid {
        self.commit(&[("file", File::Plain(text))], parents, age)
    }

    pub(crate) fn branch(&self, name: &str, commit: Oid) {
        self.repository.reference(&format!("refs/heads/{name}"), commit, true, "").unwrap();
    }

    pub(crate) fn tag(&self, name: &str, commit: Oid) {
        self.repository.reference(&format!("refs/tags/{name}"), commit, true, "").unwrap();
    }

    pub(crate) fn annotated(&self, name: &str, commit: Oid, age: i64) {
        let object = self.repository.find_object(commit, None).unwrap();
        let signature = self.signature(BEGAN + age);
        self.repository.tag(name, &object, &signature, "a release", true).unwrap();
    }

    pub(crate) fn drop_reference(&self, name: &str) {
        self.repository.find_reference(name).unwrap().delete().unwrap();
    }

    pub(crate) fn head(&self, branch: &str) {
        self.repository.set_head(&format!("refs/heads/{branch}")).unwrap();
    }

    /// Returns where a loose object stands.
    pub(crate) fn loose(&self, id: Oid) -> PathBuf {
        let hex = id.to_string();
        self.path.join("objects").join(&hex[..2]).join(&hex[2..])
    }
}
