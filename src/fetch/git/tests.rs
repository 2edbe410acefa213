//! What git sources promise, shown on repositories that the tests make.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use git2::Oid;

use crate::disk;
use crate::event::{Event, Observer};
use crate::explain::Explain as _;
use crate::http::serve::{Asked, Reply, Server, closed_door, door};
use crate::http::{Http, HttpError};
use crate::manifest::rebar::GitRef;
use crate::store::{HeldTree, Store, StoreError};

use super::fixture::{BEGAN, File, Fixture};
use super::{Git, GitCommit, GitError, GitFound, GitRequest};

/// Keeps what was warned of.
#[derive(Default)]
struct Warned(Mutex<Vec<String>>);

impl Observer for Warned {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Warned { message } = event {
            self.0.lock().unwrap().push((*message).to_owned());
        }
    }
}

struct World {
    directory: tempfile::TempDir,
    store: Store,
    http: Http,
    warned: Warned,
}

impl World {
    fn new() -> Self {
        Self::with(door(&[]))
    }

    fn with(http: Http) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        Self { directory, store, http, warned: Warned::default() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn fixture(&self, name: &str) -> Fixture {
        Fixture::new(self.path(), name)
    }

    fn git(&self) -> Git<'_> {
        Git { store: &self.store, http: &self.http, observer: &self.warned }
    }

    fn resolve(&self, url: &str, reference: GitRef) -> Result<GitFound, GitError> {
        self.git().resolve(&GitRequest {
            app: "app".into(),
            url: url.into(),
            reference,
            subdir: None,
        })
    }

    fn checkout(&self, url: &str, commit: Oid, subdir: Option<&str>) -> Result<HeldTree, GitError> {
        let commit = commit.to_string();
        let wanted = "tag 1.0.0";
        self.git().checkout(&GitCommit { app: "app", url, commit: &commit, subdir, wanted }, None)
    }

    fn warnings(&self) -> Vec<String> {
        self.warned.0.lock().unwrap().clone()
    }
}

fn tag(name: &str) -> GitRef {
    GitRef::Tag(name.into())
}

fn branch(name: &str) -> GitRef {
    GitRef::Branch(name.into())
}

fn commit(name: &str) -> GitRef {
    GitRef::Commit(name.into())
}

fn text(held: &HeldTree, name: &str) -> String {
    disk::read_text(&held.path().join(name), 1 << 20).unwrap()
}

#[test]
fn every_kind_of_reference_finds_its_commit() {
    let world = World::new();
    let fixture = world.fixture("a");
    let first = fixture.simple("one", &[], 0);
    let second = fixture.simple("two", &[first], 10);
    let third = fixture.simple("three", &[second], 20);
    fixture.tag("light", first);
    fixture.annotated("heavy", second, 15);
    fixture.branch("main", third);
    fixture.branch("stable", second);
    let found = |reference| world.resolve(&fixture.url(), reference).unwrap().commit;
    let (first, second, third) = (first.to_string(), second.to_string(), third.to_string());
    assert_eq!(found(tag("light")), first);
    assert_eq!(found(tag("heavy")), second);
    assert_eq!(found(branch("stable")), second);
    assert_eq!(found(GitRef::Default), third);
    assert_eq!(found(commit(&second)), second);
    assert_eq!(found(commit(&second[..7])), second);
    assert_eq!(found(commit("")), third);
    assert_eq!(found(commit("HEAD")), third);
    assert_eq!(found(commit("origin/stable")), second);
    assert_eq!(found(commit("light")), first);
    assert_eq!(found(commit("stable")), second);
    assert_eq!(found(branch("")), third);
    assert_eq!(world.resolve(&fixture.url(), tag("light")).unwrap().time, BEGAN);
    assert_eq!(world.warnings(), Vec::<String>::new());
}

#[test]
fn ids_of_fixtures_are_constant() {
    let world = World::new();
    let first = world.fixture("a").simple("one", &[], 0);
    assert_eq!(first.to_string(), "2166cc30236d06f0838abaa1c9f8436167705315");
}

#[test]
fn a_tag_given_as_a_branch_is_taken_with_a_warning_and_the_other_way_round() {
    let world = World::new();
    let fixture = world.fixture("a");
    let first = fixture.simple("one", &[], 0);
    fixture.branch("main", first);
    fixture.annotated("0.1.3", first, 1);
    let found = world.resolve(&fixture.url(), branch("0.1.3")).unwrap();
    assert_eq!(found.commit, first.to_string());
    let found = world.resolve(&fixture.url(), tag("main")).unwrap();
    assert_eq!(found.commit, first.to_string());
    let warnings = world.warnings();
    assert!(warnings[0].contains("no branch `0.1.3`; the tag"), "{warnings:?}");
    assert!(warnings[1].contains("no tag `main`; the branch"), "{warnings:?}");
}

#[test]
fn a_missing_master_means_the_default_branch_with_a_warning() {
    let world = World::new();
    let fixture = world.fixture("a");
    let first = fixture.simple("one", &[], 0);
    fixture.branch("trunk", first);
    fixture.head("trunk");
    let found = world.resolve(&fixture.url(), branch("master")).unwrap();
    assert_eq!(found.commit, first.to_string());
    assert!(world.warnings()[0].contains("default branch `trunk` is taken"));
    let error = world.resolve(&fixture.url(), branch("develop")).unwrap_err();
    assert!(matches!(error, GitError::NoSuchReference { .. }), "{error:?}");
}

#[test]
fn an_unknown_name_is_an_error_with_the_nearest_one() {
    let world = World::new();
    let fixture = world.fixture("a");
    let first = fixture.simple("one", &[], 0);
    fixture.branch("main", first);
    fixture.tag("v2.12.1", first);
    let error = world.resolve(&fixture.url(), tag("2.12.1")).unwrap_err();
    assert!(error.to_string().ends_with("has no tag `2.12.1`"), "{error}");
    assert_eq!(error.hint().unwrap(), "the nearest name there is `v2.12.1`");
    let error = world.resolve(&fixture.url(), commit("0123456")).unwrap_err();
    assert!(matches!(error, GitError::NoSuchReference { .. }), "{error:?}");
    let error = world.resolve(&fixture.url(), commit("not-a-commit")).unwrap_err();
    assert!(matches!(error, GitError::NoSuchReference { .. }), "{error:?}");
}

#[test]
fn a_vanished_commit_names_the_locked_one_and_what_is_there_now() {
    let world = World::new();
    let fixture = world.fixture("a");
    let now = fixture.simple("now", &[], 0);
    fixture.annotated("1.0.0", now, 1);
    let gone = Oid::from_str("0123456789012345678901234567890123456789").unwrap();
    let error = world.checkout(&fixture.url(), gone, None).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("locked: 0123456789012345678901234567890123456789"), "{message}");
    assert!(message.contains(&format!("now:    {now} (tag 1.0.0)")), "{message}");
    assert!(error.hint().unwrap().contains("rebeam lock --update app"));
}

#[test]
fn a_place_that_is_no_repository_is_told_so() {
    let world = World::new();
    let nowhere = format!("file://{}/nowhere", world.path().display());
    let error = world.resolve(&nowhere, GitRef::Default).unwrap_err();
    assert!(matches!(error, GitError::NotGit { .. }), "{error:?}");
    let error = world.resolve("a b", GitRef::Default).unwrap_err();
    assert!(matches!(error, GitError::BadAddress { .. }), "{error:?}");
}

#[test]
fn files_are_laid_out_as_they_were_committed() {
    let world = World::new();
    let fixture = world.fixture("a");
    let files = [
        ("bin/run", File::Executable("#!/bin/sh\n")),
        ("src/deep/a.erl", File::Plain("-module(a).\r\n")),
        ("link", File::Link("src/deep")),
        (".gitattributes", File::Plain("* text eol=lf\nsrc export-ignore\n")),
    ];
    let id = fixture.commit(&files, &[], 0);
    let held = world.checkout(&fixture.url(), id, None).unwrap();
    assert_eq!(text(&held, "src/deep/a.erl"), "-module(a).\r\n");
    assert_eq!(disk::read_link(&held.path().join("link")).unwrap(), b"src/deep");
    let run = disk::status(&held.path().join("bin/run")).unwrap().unwrap();
    assert_eq!(run.kind, disk::Kind::File { executable: true });
    assert!(!disk::exists(&held.path().join(".git")));
}

#[test]
fn a_subdirectory_is_a_tree_of_its_own() {
    let world = World::new();
    let fixture = world.fixture("a");
    let files = [("apps/x/src/x.erl", File::Plain("x")), ("README", File::Plain("r"))];
    let id = fixture.commit(&files, &[], 0);
    let held = world.checkout(&fixture.url(), id, Some("apps/x")).unwrap();
    assert_eq!(disk::list(held.path()).unwrap(), [b"src".to_vec()]);
    for missing in ["apps/y", "README", "../a"] {
        let error = world.checkout(&fixture.url(), id, Some(missing)).unwrap_err();
        assert!(matches!(error, GitError::NoSubdir { .. }), "{missing}: {error:?}");
    }
}

#[test]
fn submodules_are_laid_out_inside_their_parents_and_inside_one_another() {
    let world = World::new();
    let (outer, middle, inner) =
        (world.fixture("outer"), world.fixture("middle"), world.fixture("inner"));
    let innermost = inner.simple("deep", &[], 0);
    let modules = "[submodule \"inner\"]\n\tpath = lib/inner\n\turl = ../inner\n";
    let files = [(".gitmodules", File::Plain(modules)), ("lib/inner", File::Submodule(innermost))];
    let between = middle.commit(&files, &[], 0);
    let modules = format!("[submodule \"m\"]\n  url = \"{}\"\n  path = c_src/m\n", middle.url());
    let files = [
        (".gitmodules", File::Plain(&modules)),
        ("c_src/m", File::Submodule(between)),
        ("lost", File::Submodule(innermost)),
    ];
    let id = outer.commit(&files, &[], 0);
    let held = world.checkout(&outer.url(), id, None).unwrap();
    assert_eq!(text(&held, "c_src/m/lib/inner/file"), "deep");
    assert_eq!(disk::list(&held.path().join("lost")).unwrap(), Vec::<Vec<u8>>::new());
    assert!(world.warnings()[0].contains("submodule `lost`"));
    let below = world.checkout(&outer.url(), id, Some("c_src")).unwrap();
    assert_eq!(text(&below, "m/lib/inner/file"), "deep");
}

#[test]
fn a_repository_inside_itself_without_end_is_stopped() {
    let world = World::new();
    let fixture = world.fixture("a");
    let mut last = fixture.simple("seed", &[], 0);
    let modules = format!("[submodule \"a\"]\npath = a\nurl = {}\n", fixture.url());
    for age in 1..12 {
        let files = [(".gitmodules", File::Plain(modules.as_str())), ("a", File::Submodule(last))];
        last = fixture.commit(&files, &[], age);
    }
    let error = world.checkout(&fixture.url(), last, None).unwrap_err();
    assert!(matches!(error, GitError::TooLarge { limit: 8, .. }), "{error:?}");
}

#[test]
fn a_tampered_object_is_refused() {
    let world = World::new();
    let fixture = world.fixture("a");
    let id = fixture.simple("honest", &[], 0);
    let blob = fixture.repository().blob(b"honest").unwrap();
    let forged = fixture.repository().blob(b"forged").unwrap();
    let path = fixture.loose(blob);
    disk::remove_file(&path).unwrap();
    disk::copy_file(&fixture.loose(forged), &path, false).unwrap();
    let error = world.checkout(&fixture.url(), id, None).unwrap_err();
    assert!(matches!(error, GitError::Damaged { .. }), "{error:?}");
}

#[test]
fn an_object_that_a_copy_lacks_is_named() {
    let world = World::new();
    let fixture = world.fixture("a");
    let id = fixture.simple("large", &[], 0);
    let blob = fixture.repository().blob(b"large").unwrap();
    disk::remove_file(&fixture.loose(blob)).unwrap();
    let error = world.checkout(&fixture.url(), id, None).unwrap_err();
    assert!(error.to_string().contains(&blob.to_string()), "{error}");
    assert!(matches!(error, GitError::MissingObject { .. }), "{error:?}");
}

#[test]
fn a_tree_that_is_not_the_promised_one_is_refused() {
    let world = World::new();
    let fixture = world.fixture("a");
    let id = fixture.simple("one", &[], 0).to_string();
    let url = fixture.url();
    let commit = GitCommit { app: "app", url: &url, commit: &id, subdir: None, wanted: "" };
    let promised = crate::digest::Digest::of(b"another");
    let error = world.git().checkout(&commit, Some(promised)).unwrap_err();
    assert!(matches!(error, GitError::Store(StoreError::Mismatch { .. })), "{error:?}");
}

#[test]
fn git_names_that_would_leave_the_tree_are_refused() {
    let world = World::new();
    let fixture = world.fixture("a");
    // libgit2 does not write such trees; a stranger's tool does.
    let blob = fixture.repository().blob(b"x").unwrap();
    for name in ["..", ".git", ".GIT", "."] {
        let mut bytes = format!("100644 {name}\0").into_bytes();
        bytes.extend(blob.as_bytes());
        let odb = fixture.repository().odb().unwrap();
        let tree = odb.write(git2::ObjectType::Tree, &bytes).unwrap();
        let commit =
            format!("tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n");
        let commit = odb.write(git2::ObjectType::Commit, commit.as_bytes()).unwrap();
        assert!(world.checkout(&fixture.url(), commit, None).is_err(), "{name}");
    }
}

#[test]
fn a_version_is_described_as_rebar3_does() {
    let world = World::new();
    let fixture = world.fixture("a");
    let first = fixture.simple("one", &[], 0);
    let second = fixture.simple("two", &[first], 10);
    let third = fixture.simple("three", &[second], 20);
    let described =
        |id: Oid| world.resolve(&fixture.url(), commit(&id.to_string())).unwrap().describe.unwrap();
    let short = |id: Oid| id.to_string()[..7].to_owned();
    assert_eq!(described(third), format!("0.0.0+build.3.ref{}", short(third)));
    fixture.annotated("v1.2.0", first, 1);
    assert_eq!(described(first), "1.2.0");
    assert_eq!(described(third), format!("1.2.0+build.3.ref{}", short(third)));
    fixture.tag("proj/2.0.0", second);
    assert_eq!(described(second), "2.0.0");
    assert_eq!(described(third), format!("proj/2.0.0+build.3.ref{}", short(third)));
    fixture.tag("proj/v3", second);
    fixture.tag("1.9", second);
    assert_eq!(described(second), "v3");
}

#[test]
fn dead_protocols_are_fetched_from_https_with_a_warning() {
    let seed = World::new();
    let fixture = seed.fixture("wooga/eredis");
    let id = fixture.simple("one", &[], 0);
    fixture.branch("master", id);
    let copy = format!("file://{}/", seed.path().display());
    for written in [
        "git://github.com/wooga/eredis.git",
        "git@github.com:wooga/eredis.git",
        "ssh://git@github.com/wooga/eredis",
    ] {
        let world = World::with(door(&[("https://github.com/", &copy)]));
        let found = world.resolve(written, branch("master")).unwrap();
        assert_eq!(found.url, "https://github.com/wooga/eredis");
        assert_eq!(found.commit, id.to_string());
        assert!(
            world.warnings()[0].contains("that protocol is not used"),
            "{:?}",
            world.warnings()
        );
    }
}

#[test]
fn an_ordinary_clone_serves_branches_that_it_never_checked_out() {
    let world = World::new();
    let fixture = world.fixture("clone/.git");
    let first = fixture.simple("one", &[], 0);
    fixture.branch("main", first);
    let second = fixture.simple("two", &[first], 1);
    fixture.repository().reference("refs/remotes/origin/stable", second, true, "").unwrap();
    let url = format!("{}/clone", world.path().display());
    assert_eq!(world.resolve(&url, branch("stable")).unwrap().commit, second.to_string());
}

// -- over HTTP: a server made of `git http-backend` --

/// Whether the server speaks version 2, or only the old version 0.
#[derive(Clone, Copy, PartialEq)]
enum Speaks {
    Two,
    Zero,
}

/// Serves the repositories below `root`; `None` where git is not installed.
fn serve(root: &Path, speaks: Speaks, cut: Option<usize>) -> Option<Server> {
    let backend = Command::new("git").args(["--exec-path"]).output().ok()?;
    let backend = String::from_utf8(backend.stdout).ok()?;
    let backend = Path::new(backend.trim()).join("git-http-backend");
    if !disk::exists(&backend) {
        return None;
    }
    let root = root.to_owned();
    Some(Server::start(move |asked, before| {
        // The old server has no way with names: `a.git` is not `a`.
        let mut reply = if speaks == Speaks::Zero && !asked.path.starts_with("/a.git/") {
            Reply::status(404)
        } else {
            run_backend(&backend, &root, asked, speaks)
        };
        if before == 1 && asked.method == "POST" {
            reply.cut_after = cut;
        }
        reply
    }))
}

fn run_backend(backend: &Path, root: &Path, asked: &Asked, speaks: Speaks) -> Reply {
    use std::io::Write as _;
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let mut command = Command::new(backend);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &asked.method)
        .env("CONTENT_LENGTH", asked.body.len().to_string())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    if let Some(kind) = asked.headers.get("content-type") {
        command.env("CONTENT_TYPE", kind);
    }
    if let (Speaks::Two, Some(version)) = (speaks, asked.headers.get("git-protocol")) {
        command.env("GIT_PROTOCOL", version);
    }
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&asked.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let mut reply = Reply::ok(&output[end + 4..]);
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        match line.split_once(": ").unwrap() {
            ("Status", status) => reply.status = status[..3].parse().unwrap(),
            (name, value) => reply = reply.header(name, value),
        }
    }
    reply
}

#[test]
fn a_commit_comes_over_http_from_old_and_new_servers() {
    for speaks in [Speaks::Two, Speaks::Zero] {
        let world = World::new();
        let fixture = world.fixture("served/a.git");
        let first = fixture.simple("one", &[], 0);
        let second = fixture.simple("two", &[first], 10);
        fixture.branch("main", second);
        fixture.annotated("v1.0", first, 5);
        let Some(server) = serve(&world.path().join("served"), speaks, None) else {
            return;
        };
        // The server only knows `a.git`; the normal form has no suffix.
        let url = server.url("/a");
        let found = world.resolve(&url, branch("main")).unwrap();
        assert_eq!(found.commit, second.to_string());
        assert_eq!(found.describe.unwrap(), format!("1.0+build.2.ref{}", &second.to_string()[..7]));
        let held = world.checkout(&url, second, None).unwrap();
        assert_eq!(text(&held, "file"), "two");
        let found = world.resolve(&url, tag("v1.0")).unwrap();
        assert_eq!((found.commit, found.describe.unwrap()), (first.to_string(), "1.0".to_owned()));
        assert_eq!(
            world.resolve(&url, commit(&first.to_string()[..8])).unwrap().commit,
            first.to_string()
        );
    }
}

#[test]
fn a_build_fetches_the_files_of_a_commit_and_no_history() {
    let world = World::new();
    let fixture = world.fixture("served/a.git");
    let first = fixture.simple("one", &[], 0);
    let second = fixture.simple("two", &[first], 10);
    fixture.branch("main", second);
    let Some(server) = serve(&world.path().join("served"), Speaks::Two, None) else {
        return;
    };
    let url = server.url("/a.git");
    world.checkout(&url, second, None).unwrap();
    let asked = server.asked();
    // One greeting, and one pack.
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(String::from_utf8_lossy(&asked[1].body).contains("deepen 1"));
    world.checkout(&url, second, None).unwrap();
    assert_eq!(server.asked().len(), 2);
    // The history is fetched when it is needed, although the commit is here.
    let found = world.resolve(&url, branch("main")).unwrap();
    assert!(found.describe.unwrap().starts_with("0.0.0+build.2.ref"));
}

#[test]
fn a_moved_tag_and_a_deleted_branch_are_seen_and_the_old_commit_stays() {
    let world = World::new();
    let fixture = world.fixture("served/a.git");
    let first = fixture.simple("one", &[], 0);
    let second = fixture.simple("two", &[], 10);
    fixture.branch("main", first);
    fixture.branch("gone", first);
    fixture.tag("1.0.0", first);
    let Some(server) = serve(&world.path().join("served"), Speaks::Zero, None) else {
        return;
    };
    let url = server.url("/a.git");
    assert_eq!(world.resolve(&url, tag("1.0.0")).unwrap().commit, first.to_string());
    fixture.tag("1.0.0", second);
    fixture.branch("main", second);
    fixture.drop_reference("refs/heads/gone");
    assert_eq!(world.resolve(&url, tag("1.0.0")).unwrap().commit, second.to_string());
    assert!(world.resolve(&url, branch("gone")).is_err());
    // Our own copy still has what was locked.
    assert_eq!(text(&world.checkout(&url, first, None).unwrap(), "file"), "one");
    // A fresh store has not, and no name leads there any more.
    let fresh = World::new();
    let error = fresh.checkout(&url, first, None).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains(&format!("locked: {first}\n  now:    {second} (tag 1.0.0)")),
        "{message}"
    );
}

#[test]
fn a_pack_that_is_cut_is_fetched_again() {
    let world = World::new();
    let fixture = world.fixture("served/a");
    let first = fixture.simple(&"one ".repeat(1000), &[], 0);
    fixture.branch("main", first);
    let Some(server) = serve(&world.path().join("served"), Speaks::Two, Some(150)) else {
        return;
    };
    let held = world.checkout(&server.url("/a"), first, None).unwrap();
    assert_eq!(text(&held, "file").len(), 4000);
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn submodules_come_over_http_too() {
    let world = World::new();
    let (outer, inner) = (world.fixture("served/outer"), world.fixture("served/inner"));
    let below = inner.simple("deep", &[], 0);
    inner.branch("main", below);
    let modules = "[submodule \"i\"]\npath = i\nurl = ../inner\n";
    let files = [(".gitmodules", File::Plain(modules)), ("i", File::Submodule(below))];
    let id = outer.commit(&files, &[], 0);
    outer.branch("main", id);
    let Some(server) = serve(&world.path().join("served"), Speaks::Two, None) else {
        return;
    };
    let held = world.checkout(&server.url("/outer"), id, None).unwrap();
    assert_eq!(text(&held, "i/file"), "deep");
}

#[test]
fn a_closed_network_uses_what_is_here_and_names_what_is_not() {
    let world = World::new();
    let fixture = world.fixture("served/a");
    let first = fixture.simple("one", &[], 0);
    fixture.branch("main", first);
    fixture.tag("1.0.0", first);
    let Some(server) = serve(&world.path().join("served"), Speaks::Two, None) else {
        return;
    };
    let url = server.url("/a");
    world.resolve(&url, tag("1.0.0")).unwrap();
    let http = closed_door();
    let git = Git { http: &http, ..world.git() };
    let request =
        |reference| GitRequest { app: "app".into(), url: url.clone(), reference, subdir: None };
    assert_eq!(git.resolve(&request(tag("1.0.0"))).unwrap().commit, first.to_string());
    assert_eq!(git.resolve(&request(GitRef::Default)).unwrap().commit, first.to_string());
    let error =
        git.resolve(&request(commit("0123456789012345678901234567890123456789"))).unwrap_err();
    assert!(matches!(error, GitError::Http(HttpError::Offline { .. })), "{error:?}");
}

#[test]
fn a_server_that_speaks_no_git_is_told_so() {
    for reply in [Reply::ok("<html>hello</html>"), Reply::status(404), Reply::ok("")] {
        let server = Server::start(move |_, _| reply.clone());
        let world = World::new();
        let error = world.resolve(&server.url("/a"), GitRef::Default).unwrap_err();
        let told = matches!(&error, GitError::NotGit { .. })
            || matches!(&error, GitError::Http(error) if error.is_gone());
        assert!(told, "{error:?}");
    }
}

#[test]
fn a_server_that_babbles_is_an_error_and_no_panic() {
    let words: [&[u8]; 6] = [
        b"zzzz",
        b"0003",
        b"fff0short",
        b"000eversion 2\n0000",
        b"0009hello0000",
        b"001e# service=git-upload-pack\n0000\xff\xff",
    ];
    for word in words {
        let server = Server::start(move |asked, _| {
            let kind = if asked.method == "GET" { "advertisement" } else { "result" };
            Reply::ok(word).header("Content-Type", &format!("application/x-git-upload-pack-{kind}"))
        });
        let world = World::new();
        assert!(world.resolve(&server.url("/a"), GitRef::Default).is_err());
    }
}

#[test]
fn one_repository_is_fetched_once_by_many_at_once() {
    let world = World::new();
    let fixture = world.fixture("served/a");
    let first = fixture.simple("one", &[], 0);
    fixture.branch("main", first);
    let Some(server) = serve(&world.path().join("served"), Speaks::Two, None) else {
        return;
    };
    let url = server.url("/a");
    std::thread::scope(|scope| {
        let world = &world;
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| world.checkout(&url, first, None).unwrap().digest()))
            .collect();
        let digests: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
    });
    let packs = server.asked().iter().filter(|asked| asked.method == "POST").count();
    assert_eq!(packs, 1);
}

#[test]
fn a_damaged_mirror_is_thrown_away_and_fetched_anew() {
    let world = World::new();
    let fixture = world.fixture("served/a");
    let first = fixture.simple(&"one ".repeat(1000), &[], 0);
    fixture.branch("main", first);
    let Some(server) = serve(&world.path().join("served"), Speaks::Two, None) else {
        return;
    };
    let url = server.url("/a");
    let held = world.checkout(&url, first, None).unwrap();
    flip_bits(&world.store);
    let again = world.checkout(&url, first, None).unwrap();
    assert_eq!(again.digest(), held.digest());
    assert!(world.warnings()[0].contains("was damaged"), "{:?}", world.warnings());
    // Those who look for damage find and heal it before anybody needs the mirror.
    let mirrors = world.store.mirrors().unwrap();
    assert_eq!(super::verify_mirrors(&world.store, true).unwrap(), Vec::<PathBuf>::new());
    flip_bits(&world.store);
    assert_eq!(super::verify_mirrors(&world.store, false).unwrap(), mirrors);
    assert_eq!(super::verify_mirrors(&world.store, true).unwrap(), mirrors);
    assert_eq!(world.store.mirrors().unwrap(), Vec::<PathBuf>::new());
}

/// Damages every pack of the only mirror.
fn flip_bits(store: &Store) {
    let packs = store.mirrors().unwrap()[0].join("objects/pack");
    for name in disk::list(&packs).unwrap() {
        let path = packs.join(String::from_utf8(name).unwrap());
        if path.extension().is_some_and(|extension| extension == "pack") {
            let mut bytes = disk::read(&path, 1 << 20).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            disk::write_atomic(&path, &bytes).unwrap();
        }
    }
}

#[test]
fn a_disk_that_fills_up_at_any_moment_leaves_no_half_tree() {
    let world = World::new();
    let fixture = world.fixture("a");
    let id = fixture.commit(
        &[
            ("src/a.erl", File::Plain("a")),
            ("run", File::Executable("b")),
            ("l", File::Link("run")),
        ],
        &[],
        0,
    );
    let whole = World::new().checkout(&fixture.url(), id, None).unwrap().digest();
    for changes in 0.. {
        disk::faults::fail_after(changes);
        let result = world.checkout(&fixture.url(), id, None);
        disk::faults::clear();
        if result.is_ok() {
            assert!(changes > 5);
            break;
        }
        // The last writes come after the tree has its name: then it is whole.
        if let Some(held) = world.store.tree(whole).unwrap() {
            assert_eq!(crate::tree::scan(held.path(), &[]).unwrap().hash, whole);
        }
    }
    assert!(world.store.tree(whole).unwrap().is_some());
}
