//! Harness: a world of its own for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// A project, the repositories that it depends on, and a home.
pub(crate) struct World {
    directory: TempDir,
    store: PathBuf,
}

/// How a run of rebeam ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    /// Copies `fixtures/NAME` and makes the git repositories of `fixtures/git` beside it.
    pub(crate) fn with(fixture: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let world = Self { directory, store: top.join("target/test-store") };
        let made =
            Command::new(top.join("scripts/fixtures")).arg(world.path("git")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        copy(&top.join("fixtures").join(fixture), &world.project());
        world.edit("rebeam.toml", "../../target/fixtures/git/", "../git/");
        world
    }

    /// Makes a project of these files, by name and text.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-store");
        let world = Self { directory, store };
        fs::create_dir_all(world.project()).unwrap();
        for (name, text) in files {
            world.write(name, text);
        }
        world
    }

    /// Makes the git repository `NAME` of these files, with one commit that bears `tag`.
    pub(crate) fn repository(&self, name: &str, tag: &str, files: &[(&str, &str)]) {
        let work = self.path("work");
        drop(fs::remove_dir_all(&work));
        for (file, text) in files {
            let path = work.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.repository_of(&work, name, tag);
    }

    /// Makes the git repository `NAME` of a directory, with one commit that bears `tag`.
    pub(crate) fn repository_of(&self, work: &Path, name: &str, tag: &str) {
        let bare = self.path("git").join(format!("{name}.git"));
        let (work, bare) = (work.to_str().unwrap(), bare.to_str().unwrap());
        for arguments in [
            &["-c", "init.defaultBranch=main", "init", "-q", work][..],
            &["-C", work, "add", "-A"],
            &["-C", work, "commit", "-qm", "fixture"],
            &["-C", work, "tag", tag],
            &["clone", "-q", "--bare", work, bare],
        ] {
            let mut command = Command::new("git");
            let output = fixed(command.args(arguments)).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }

    /// Uses a store that no other test knows and that holds the toolchain and nothing else.
    pub(crate) fn with_own_store(mut self) -> Self {
        self.store = self.path("store");
        let seed = self.seed();
        for part in ["blobs", "trees"] {
            fs::create_dir_all(&self.store).unwrap();
            let mut link = Command::new("cp");
            let linked =
                link.arg("-al").arg(seed.join(part)).arg(self.store.join(part)).output().unwrap();
            assert!(linked.status.success(), "{}", String::from_utf8_lossy(&linked.stderr));
        }
        fs::copy(seed.join("index.sqlite"), self.store.join("index.sqlite")).unwrap();
        self
    }

    /// Throws the own store away and takes another one that holds the toolchain and nothing else.
    pub(crate) fn with_own_store_anew(self) -> Self {
        fs::remove_dir_all(&self.store).unwrap();
        self.with_own_store()
    }

    /// Uses a store that holds nothing at all, not even the toolchain.
    pub(crate) fn with_empty_store(mut self) -> Self {
        self.store = self.path("store");
        self
    }

    /// A store that is made once, and never opened afterwards.
    fn seed(&self) -> PathBuf {
        static MADE: OnceLock<()> = OnceLock::new();
        let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-store-seed");
        MADE.get_or_init(|| {
            // The toolchain is that of a project with a committed lock, whichever test comes first.
            let locked = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hello");
            let mut unpack = self.command(&["shell", "--", "true"]);
            unpack.current_dir(locked);
            Ran::of(&unpack.env("REBEAM_STORE", &seed).output().unwrap()).succeeds();
        });
        seed
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.path("project")
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.project().join(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.project().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces a piece of text that must be there.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} does not hold {from:?}:\n{text}");
        self.write(file, &text.replace(from, to));
    }

    /// A call of rebeam in the project, with a cleared environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rebeam"));
        command.args(arguments).current_dir(self.project()).env_clear();
        command
            .env("HOME", self.path("home"))
            .env("REBEAM_STORE", &self.store)
            .env("PATH", "/usr/bin:/bin");
        // The one thing of the host that matters: how it trusts the archive's address.
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // The project is in no repository; this dates its image.
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        command
    }

    pub(crate) fn rebeam(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }

    /// Runs git in one of the bare repositories and returns what it printed.
    pub(crate) fn git(&self, repository: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.path("git").join(format!("{repository}.git"))).args(arguments);
        let output = fixed(&mut command).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Adds a commit to a repository that replaces `from` in `file`, on top of its main branch.
    pub(crate) fn commit(&self, repository: &str, file: &str, from: &str, to: &str) -> String {
        self.commit_with(repository, file, (from, to), &[])
    }

    /// Adds a commit that also has these new files, by name and text.
    pub(crate) fn commit_with(
        &self,
        repository: &str,
        file: &str,
        (from, to): (&str, &str),
        files: &[(&str, &str)],
    ) -> String {
        let work = self.path("work");
        let clone = |arguments: &[&str]| {
            let output = Command::new("git").args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        drop(fs::remove_dir_all(&work));
        let bare = self.path("git").join(format!("{repository}.git"));
        clone(&["clone", "-q", bare.to_str().unwrap(), work.to_str().unwrap()]);
        let path = work.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).unwrap();
        for (name, text) in files {
            let path = work.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let work = work.to_str().unwrap();
        clone(&["-C", work, "add", "-A"]);
        clone(&[
            "-C",
            work,
            "-c",
            "user.name=fixture",
            "-c",
            "user.email=fixture@rebeam.test",
            "commit",
            "-qam",
            "change",
        ]);
        clone(&["-C", work, "push", "-q", "origin", "main"]);
        self.git(repository, &["rev-parse", "main"])
    }
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Ends with this exit code and says all of these.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        for words in says {
            assert!(self.stderr.contains(words), "{words:?} is missing in:\n{}", self.stderr);
        }
        self
    }
}

/// Locks and builds a project in two worlds, each with a store of its own, one of them with one job: the release boots, and
/// the images are byte for byte the same.
#[track_caller]
pub(crate) fn built_alike([one, two]: [World; 2], image: &str) -> [World; 2] {
    for world in [&one, &two] {
        world.rebeam(&["lock"]).succeeds();
    }
    let (one, two) = (one.with_own_store(), two.with_own_store());
    let built = one.rebeam(&["build", "--locked"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
    two.rebeam(&["build", "--locked", "--jobs", "1"]).succeeds();
    let bytes = |world: &World| fs::read(world.project().join(image)).unwrap();
    assert!(bytes(&one) == bytes(&two), "the images differ");
    [one, two]
}

/// Makes what git writes the same at any time, for any user.
fn fixed(command: &mut Command) -> &mut Command {
    for (name, value) in
        [("NAME", "fixture"), ("EMAIL", "fixture@rebeam.test"), ("DATE", "2024-05-01T10:00:00Z")]
    {
        command
            .env(format!("GIT_AUTHOR_{name}"), value)
            .env(format!("GIT_COMMITTER_{name}"), value);
    }
    command
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != "_build" {
                copy(&entry.path(), &target);
            }
        } else if !entry.file_name().to_string_lossy().ends_with(".tar") {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
