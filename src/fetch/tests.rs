//! What fetching a lock promises, over all kinds of sources.

use std::collections::BTreeSet;
use std::path::Path;

use crate::digest::Digest;
use crate::disk;
use crate::event::{Heard, Silent};
use crate::explain::{Blame, Explain as _};
use crate::http::Http;
use crate::http::serve::{Reply, Server, closed_door, door};
use crate::lock::{Lock, Pin, Role, Source};
use crate::manifest::rebar::{GitRef, Wish, WishSource};
use crate::store::Store;

use super::git::fixture::Fixture;
use super::hex::HexError;
use super::hex::tests::{registry, tar_of};
use super::url::{Tarball, UrlError};
use super::{Doors, FetchError, fetch, find, url};

struct World {
    directory: tempfile::TempDir,
    store: Store,
    http: Http,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        Self { directory, store, http: door(&[]) }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn doors(&self) -> Doors<'_> {
        Doors::new(&self.store, &self.http, &Silent)
    }
}

fn lock_of(pins: Vec<(&str, Pin)>) -> Lock {
    let source = |(app, pin): (&str, Pin)| Source::of(app, Role::Dep, pin, "branch main");
    Lock::of(pins.into_iter().map(source).collect())
}

fn git_wish(app: &str, url: &str) -> Wish {
    let source =
        WishSource::Git { url: url.into(), reference: GitRef::Branch("main".into()), subdir: None };
    Wish { app: app.into(), source }
}

fn hex_wish(requirement: Option<&str>, repository: Option<&str>) -> Wish {
    let source = WishSource::Hex {
        package: "ranch".into(),
        requirement: requirement.map(Into::into),
        repository: repository.map(Into::into),
    };
    Wish { app: "ranch".into(), source }
}

#[test]
fn what_was_found_is_fetched_again_from_its_lock_in_an_empty_store() {
    let (first, registry) = (World::new(), registry());
    let fixture = Fixture::new(first.path(), "a");
    fixture.branch("main", fixture.simple("one", &[], 0));
    let mut doors = first.doors();
    doors.repositories = vec![registry.repository.clone()];
    let git = find(&git_wish("a", &fixture.url()), &doors).unwrap();
    assert_eq!(git.wanted, "branch main");
    assert_eq!(git.time, super::git::fixture::BEGAN);
    let hex = find(&hex_wish(Some("~> 1.0"), None), &doors).unwrap();
    assert_eq!((hex.wanted.as_str(), hex.describe.as_deref()), ("~> 1.0", Some("1.8.0")));
    let path = Pin::Path { path: "apps/x".into() };
    let lock = lock_of(vec![("a", git.pin), ("ranch", hex.pin), ("x", path)]);

    let second = World::new();
    let doors = Doors { repositories: doors.repositories.clone(), ..second.doors() };
    let sources = doors.fetch(&lock).unwrap();
    assert_eq!(sources.trees.len(), 2);
    assert_eq!(sources.trees[&(Role::Dep, "a".to_owned())].digest(), git.tree.digest());
    // What is held is not asked for again, and needs no network.
    let asked = registry.server.asked().len();
    let http = closed_door();
    assert_eq!(fetch(&lock, &second.store, &http, &Silent).unwrap(), sources);
    assert_eq!(registry.server.asked().len(), asked);
}

#[test]
fn a_source_that_is_not_what_the_lock_says_is_refused_with_both_hashes() {
    let (world, registry) = (World::new(), registry());
    let fixture = Fixture::new(world.path(), "a");
    let commit = fixture.simple("one", &[], 0);
    let locked = Digest::of(b"what was locked");
    let git =
        Pin::Git { url: fixture.url(), commit: commit.to_string(), subdir: None, tree: locked };
    let error = world.doors().fetch(&lock_of(vec![("a", git)])).unwrap_err();
    let FetchError::Mismatch { name, locked: told, .. } = &error else { panic!("{error:?}") };
    assert_eq!((name.as_str(), *told), ("a", locked));
    assert_eq!(error.blame(), Blame::World);
    assert!(error.hint().unwrap().ends_with("`rebeam lock --update a`"));

    let hex = Pin::Hex {
        repository: "test".into(),
        package: "ranch".into(),
        version: "1.8.0".into(),
        outer: locked,
        tree: locked,
    };
    let doors = Doors { repositories: vec![registry.repository.clone()], ..world.doors() };
    let error = doors.fetch(&lock_of(vec![("ranch", hex.clone())])).unwrap_err();
    let FetchError::Mismatch { fetched, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*fetched, registry.outer);
    // And a repository that nobody named is not guessed.
    let error = world.doors().fetch(&lock_of(vec![("ranch", hex)])).unwrap_err();
    assert!(matches!(error, FetchError::UnknownRepository { .. }), "{error:?}");
}

#[test]
fn of_several_failures_the_first_in_the_lock_counts() {
    let world = World::new();
    let gone = |name: &str| Pin::Url {
        url: format!("file://{}/{name}", world.path().display()),
        sha256: Digest::of(b""),
        tree: Digest::of(b""),
    };
    let names: Vec<String> = (0..20).map(|n| format!("n{n:02}")).collect();
    let pins: Vec<_> = names.iter().map(|name| (name.as_str(), gone(name))).collect();
    for _ in 0..5 {
        let error = fetch(&lock_of(pins.clone()), &world.store, &world.http, &Silent).unwrap_err();
        assert!(error.to_string().contains("n00"), "{error}");
    }
}

#[test]
fn an_imported_checksum_must_be_the_registrys() {
    let (world, registry) = (World::new(), registry());
    let doors = Doors { repositories: vec![registry.repository.clone()], ..world.doors() };
    let wish = hex_wish(Some("1.8.0"), Some("test"));
    assert!(doors.find(&wish, Some(registry.outer)).is_ok());
    let error = doors.find(&wish, Some(Digest::of(b"old lock"))).unwrap_err();
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error:?}");
    let error = doors.find(&hex_wish(None, Some("other")), None).unwrap_err();
    assert!(matches!(error, FetchError::UnknownRepository { .. }), "{error:?}");
}

#[test]
fn repositories_are_asked_in_their_order() {
    let (world, registry) = (World::new(), registry());
    let empty = Server::start(|_, _| Reply::status(404));
    let mut first = registry.repository.clone();
    (first.name, first.url) = ("first".into(), empty.url(""));
    let repositories = vec![first, registry.repository.clone()];
    let doors = Doors { repositories, ..world.doors() };
    let found = doors.find(&hex_wish(None, None), None).unwrap();
    assert_eq!(found.wanted, "newest");
    assert_eq!(empty.asked().len(), 1);
    let mut wish = hex_wish(None, None);
    let WishSource::Hex { package, .. } = &mut wish.source else { unreachable!() };
    *package = "nowhere".into();
    let error = doors.find(&wish, None).unwrap_err();
    assert!(matches!(error, FetchError::Hex(HexError::NoSuchPackage { .. })), "{error:?}");
}

// -- tarballs --

fn packed(tar: &[u8], kind: &str) -> Vec<u8> {
    use std::io::Write as _;
    match kind {
        "gz" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(tar).unwrap();
            encoder.finish().unwrap()
        }
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(tar).unwrap();
            encoder.finish().unwrap()
        }
        "zst" => zstd::encode_all(tar, 1).unwrap(),
        _ => tar.to_vec(),
    }
}

fn take(world: &World, file: &[u8], sha256: Digest) -> Result<crate::store::HeldTree, UrlError> {
    let path = world.path().join("file");
    disk::write_atomic(&path, file).unwrap();
    let url = format!("file://{}", path.display());
    let tarball = Tarball { app: "a", url: &url, sha256 };
    url::checkout(&tarball, &world.store, &world.http, &Silent, None)
}

#[test]
fn a_tarball_gives_one_tree_however_it_is_packed_and_topped() {
    let world = World::new();
    let topped = tar_of(&[("a-1.0/src/a.erl", b"a"), ("a-1.0/README", b"r")]);
    let plain = tar_of(&[("./src/a.erl", b"a"), ("README", b"r")]);
    let digests: BTreeSet<Digest> =
        [(&topped, "gz"), (&topped, "xz"), (&topped, "zst"), (&topped, "tar"), (&plain, "gz")]
            .iter()
            .map(|(tar, kind)| {
                let file = packed(tar, kind);
                take(&world, &file, Digest::of(&file)).unwrap().digest()
            })
            .collect();
    assert_eq!(digests.len(), 1);
}

#[test]
fn a_tarball_that_was_replaced_or_is_damaged_is_refused() {
    let world = World::new();
    let file = packed(&tar_of(&[("a/b", b"b")]), "gz");
    let error = take(&world, &file, Digest::of(b"other")).unwrap_err();
    assert!(matches!(error, UrlError::Mismatch { .. }), "{error:?}");
    for kind in ["gz", "xz", "zst"] {
        let file = packed(&tar_of(&[("a/b", &[7; 5000])]), kind);
        let half = &file[..file.len() / 2];
        let error = take(&world, half, Digest::of(half)).unwrap_err();
        assert!(matches!(error, UrlError::Archive { .. }), "{kind}: {error:?}");
    }
    let outside = tar_of(&[("a/../../b", b"b")]);
    let error = take(&world, &outside, Digest::of(&outside)).unwrap_err();
    assert!(matches!(error, UrlError::Archive { .. }), "{error:?}");
}

#[test]
fn progress_is_told_from_beginning_to_end() {
    let (world, heard) = (World::new(), Heard::default());
    let file = packed(&tar_of(&[("a/b", b"b")]), "gz");
    let sha256 = Digest::of(&file);
    let served = file.clone();
    let server = Server::start(move |_, _| Reply::ok(served.clone()));
    let url = server.url("/a.tar.gz");
    let tarball = Tarball { app: "a", url: &url, sha256 };
    url::checkout(&tarball, &world.store, &world.http, &heard, None).unwrap();
    let heard = heard.0.lock().unwrap();
    assert!(heard.first().unwrap().contains("fetch_started"));
    assert_eq!(
        heard.last().unwrap(),
        &format!("{{\"event\":\"fetched\",\"name\":\"a\",\"bytes\":{}}}", file.len())
    );
}
