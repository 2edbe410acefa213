//! What hex sources promise, shown against a registry that the tests sign.

use std::os::unix::ffi::OsStringExt as _;
use std::sync::Mutex;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA512, RsaKeyPair};

use crate::digest::Digest;
use crate::disk;
use crate::event::{Event, Observer, Silent};
use crate::explain::Explain as _;
use crate::http::serve::{Reply, Server, door};
use crate::http::{Http, HttpError, Mirrors, Network};
use crate::store::Store;

use super::registry::{
    AdvisoryWire, DependencyWire, PackageWire, ReleaseWire, RetirementWire, SignedWire,
    TimestampWire,
};
use super::{Hex, HexError, HexPackage, HexRepository, Release, choose};

/// A throw-away key, made for these tests alone.
const PRIVATE_KEY: &str = include_str!("../../../fixtures/hex/private.pem");

const PUBLIC_KEY: &str = include_str!("../../../fixtures/hex/public.pem");

/// Signs a payload as a registry does.
fn signed(payload: Vec<u8>) -> Vec<u8> {
    use base64::Engine as _;
    let body: String = PRIVATE_KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let key = RsaKeyPair::from_pkcs8(&der).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), &payload, &mut signature).unwrap();
    gzip(&SignedWire { payload, signature }.encode_to_vec())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Makes a tar of files, with any name and kind.
pub(crate) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Makes a package's tarball around a tar of its contents, and returns it with its inner checksum.
fn tarball(contents: &[u8]) -> (Vec<u8>, Digest) {
    let contents = gzip(contents);
    let metadata = b"{<<\"name\">>,<<\"ranch\">>}.\n";
    let inner = Digest::of(&[b"3", &metadata[..], &contents].concat());
    let checksum = inner.hex().to_uppercase();
    let parts: [(&str, &[u8]); 4] = [
        ("VERSION", b"3"),
        ("CHECKSUM", checksum.as_bytes()),
        ("metadata.config", metadata),
        ("contents.tar.gz", &contents),
    ];
    (tar_of(&parts), inner)
}

fn release(version: &str, inner: Digest, outer: &[u8]) -> ReleaseWire {
    ReleaseWire {
        version: version.into(),
        inner_checksum: inner.as_bytes().to_vec(),
        outer_checksum: Some(Digest::of(outer).as_bytes().to_vec()),
        ..ReleaseWire::default()
    }
}

fn package(name: &str, repository: &str, releases: Vec<ReleaseWire>) -> Vec<u8> {
    let (name, repository) = (name.into(), repository.into());
    PackageWire { releases, name, repository, advisories: vec![] }.encode_to_vec()
}

/// A repository that serves one package, `ranch` 1.8.0 with one file.
pub(crate) struct Registry {
    pub(crate) server: Server,
    pub(crate) repository: HexRepository,
    pub(crate) outer: Digest,
    pub(crate) inner: Digest,
}

pub(crate) fn registry() -> Registry {
    let contents = tar_of(&[("src/ranch.erl", b"-module(ranch).\n"), ("rebar.config", b"")]);
    let (file, inner) = tarball(&contents);
    let document = signed(package("ranch", "test", vec![release("1.8.0", inner, &file)]));
    serving(document, file, inner)
}

fn serving(document: Vec<u8>, file: Vec<u8>, inner: Digest) -> Registry {
    let outer = Digest::of(&file);
    let server = Server::start(move |asked, _| match asked.path.as_str() {
        "/packages/ranch" => Reply::ok(document.clone()),
        "/tarballs/ranch-1.8.0.tar" => Reply::ok(file.clone()),
        _ => Reply::status(404),
    });
    let repository = HexRepository {
        name: "test".into(),
        url: server.url(""),
        public_key_pem: PUBLIC_KEY.into(),
        auth_key: Some("key".into()),
    };
    Registry { server, repository, outer, inner }
}

struct World {
    _directory: tempfile::TempDir,
    store: Store,
    http: crate::http::Http,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        Self { _directory: directory, store, http: door(&[]) }
    }

    fn hex(&self) -> Hex<'_> {
        Hex { store: &self.store, http: &self.http, observer: &Silent }
    }

    /// Fetches `ranch` 1.8.0 out of a tarball, promised by its own checksum.
    fn unpack(&self, file: Vec<u8>) -> Result<crate::store::HeldTree, HexError> {
        let registry = serving(Vec::new(), file, Digest::of(b""));
        let package = HexPackage {
            repository: &registry.repository,
            package: "ranch",
            version: "1.8.0",
            outer: Some(registry.outer),
            inner: None,
        };
        Ok(self.hex().checkout(&package, None)?.0)
    }
}

#[test]
fn a_package_is_found_and_fetched() {
    let (world, registry) = (World::new(), registry());
    let releases = world.hex().releases(&registry.repository, "ranch").unwrap();
    assert_eq!(releases[0].outer, Some(registry.outer));
    let package = HexPackage {
        repository: &registry.repository,
        package: "ranch",
        version: "1.8.0",
        outer: releases[0].outer,
        inner: Some(registry.inner),
    };
    let (held, outer) = world.hex().checkout(&package, None).unwrap();
    assert_eq!(outer, registry.outer);
    let names = disk::list(held.path()).unwrap();
    assert_eq!(names, [&b"hex_metadata.config"[..], b"rebar.config", b"src"]);
    assert_eq!(registry.server.asked()[0].headers["authorization"], "key");
}

#[test]
fn a_document_of_another_key_is_not_believed() {
    let world = World::new();
    let mut registry = registry();
    registry.repository.public_key_pem = HexRepository::hexpm().public_key_pem;
    let error = world.hex().releases(&registry.repository, "ranch").unwrap_err();
    assert!(matches!(error, HexError::Signature { .. }), "{error:?}");
    registry.repository.public_key_pem = "nonsense".into();
    let error = world.hex().releases(&registry.repository, "ranch").unwrap_err();
    assert!(matches!(error, HexError::BadKey { .. }), "{error:?}");
}

#[test]
fn a_document_that_was_changed_is_not_believed() {
    let payload = package("ranch", "test", Vec::new());
    let document = signed(payload);
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(document.as_slice()), &mut plain)
        .unwrap();
    let repository = HexRepository {
        name: "test".into(),
        public_key_pem: PUBLIC_KEY.into(),
        ..HexRepository::hexpm()
    };
    assert!(super::registry::releases(&plain, &repository, "ranch").is_ok());
    for place in 0..plain.len() {
        let mut changed = plain.clone();
        changed[place] ^= 1;
        assert!(super::registry::releases(&changed, &repository, "ranch").is_err(), "byte {place}");
    }
    for length in 0..document.len() {
        assert!(super::registry::releases(&document[..length], &repository, "ranch").is_err());
    }
}

#[test]
fn a_document_about_something_else_is_not_believed() {
    for (name, repository) in [("cowboy", "test"), ("ranch", "other")] {
        let world = World::new();
        let registry =
            serving(signed(package(name, repository, Vec::new())), Vec::new(), Digest::of(b""));
        let error = world.hex().releases(&registry.repository, "ranch").unwrap_err();
        assert!(matches!(error, HexError::WrongName { .. }), "{error:?}");
    }
}

#[test]
fn an_organisations_repository_calls_itself_by_its_own_name() {
    let document = signed(package("ranch", "acme", Vec::new()));
    let repository = HexRepository {
        public_key_pem: PUBLIC_KEY.into(),
        ..HexRepository::organization("acme", "k")
    };
    assert!(super::registry::releases(&document, &repository, "ranch").is_ok());
    assert_eq!(repository.url, "https://repo.hex.pm/repos/acme");
    assert!(
        !format!("{repository:?}").contains('k') || !format!("{repository:?}").contains("auth")
    );
}

#[test]
fn an_unknown_package_is_named_with_its_repository() {
    let (world, registry) = (World::new(), registry());
    let error = world.hex().releases(&registry.repository, "nothing").unwrap_err();
    assert_eq!(error.to_string(), "the repository `test` has no package `nothing`");
    for name in ["", "../x", "A", "a/b", "a?b"] {
        let error = world.hex().releases(&registry.repository, name).unwrap_err();
        assert!(matches!(error, HexError::BadName { .. }), "{name}");
    }
}

#[test]
fn a_tarball_that_was_replaced_is_refused_before_it_is_opened() {
    let (world, registry) = (World::new(), registry());
    let package = HexPackage {
        repository: &registry.repository,
        package: "ranch",
        version: "1.8.0",
        outer: Some(Digest::of(b"another")),
        inner: None,
    };
    let error = world.hex().checkout(&package, None).unwrap_err();
    assert!(matches!(error, HexError::Mismatch { .. }), "{error:?}");
    let package = HexPackage { outer: None, inner: Some(Digest::of(b"another")), ..package };
    let error = world.hex().checkout(&package, None).unwrap_err();
    assert!(matches!(error, HexError::Malformed { .. }), "{error:?}");
}

#[test]
fn a_tarball_of_other_parts_is_refused() {
    let world = World::new();
    let (good, _) = tarball(&tar_of(&[("a", b"a")]));
    assert!(world.unpack(good.clone()).is_ok());
    let wrong: [Vec<u8>; 6] = [
        Vec::new(),
        b"no tar at all".repeat(100),
        tar_of(&[("VERSION", b"3")]),
        tar_of(&[("VERSION", b"3"), ("VERSION", b"3")]),
        tar_of(&[
            ("VERSION", b"2"),
            ("CHECKSUM", b""),
            ("metadata.config", b""),
            ("contents.tar.gz", b""),
        ]),
        good[..good.len() / 2].to_vec(),
    ];
    for file in wrong {
        let error = world.unpack(file).unwrap_err();
        let refused = matches!(error, HexError::Malformed { .. } | HexError::Archive { .. });
        assert!(refused, "{error:?}");
    }
}

#[test]
fn contents_that_would_leave_the_tree_are_refused() {
    let world = World::new();
    for name in ["../out", "/etc/passwd", "a/../../b"] {
        let (file, _) = tarball(&tar_of(&[(name, b"x")]));
        let error = world.unpack(file).unwrap_err();
        assert!(matches!(error, HexError::Archive { .. }), "{name}: {error:?}");
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let world = World::new();
    // 200 MiB of zeros deflate to 200 KiB.
    let zeros = vec![0; 200 << 20];
    let (file, _) = tarball(&tar_of(&[("zeros", &zeros)]));
    assert!(file.len() < 2 << 20);
    let error = world.unpack(file).unwrap_err();
    let HexError::Archive { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("more than 134217728 bytes"), "{source}");
}

fn named(versions: &[&str]) -> Vec<Release> {
    let release = |version: &&str| Release {
        version: (*version).to_owned(),
        inner: Digest::of(b""),
        outer: None,
        retired: None,
        published: None,
        dependencies: Vec::new(),
        advisories: Vec::new(),
    };
    versions.iter().map(release).collect()
}

#[test]
fn the_newest_release_that_does_is_chosen() {
    let releases = named(&["1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1", "odd"]);
    let chosen = |requirement| choose("a", &releases, requirement).map(|r| r.version.as_str());
    assert_eq!(chosen(None).unwrap(), "1.10.0");
    assert_eq!(chosen(Some("~> 1.0")).unwrap(), "1.10.0");
    assert_eq!(chosen(Some("1.9.0")).unwrap(), "1.9.0");
    assert_eq!(chosen(Some("~> 2.0-rc")).unwrap(), "2.0.0-rc.1");
    let error = chosen(Some("~> 2.0")).unwrap_err();
    assert_eq!(error.to_string(), "no release of `a` satisfies `~> 2.0`; the newest is 2.0.0-rc.1");
    let error = chosen(Some("> 1.10.0")).unwrap_err();
    assert!(error.hint().unwrap().contains("2.0.0-rc.1"));
    assert!(matches!(chosen(Some("latest")), Err(HexError::BadRequirement { .. })));
    assert!(choose("a", &[], None).unwrap_err().to_string().ends_with("the newest is none"));
}

#[test]
fn what_a_release_says_is_read() {
    let wire = ReleaseWire {
        version: "1.0.0".into(),
        inner_checksum: vec![1; 32],
        dependencies: vec![DependencyWire {
            package: "ts_chatterbox".into(),
            requirement: "~> 0.1".into(),
            app: Some("chatterbox".into()),
            optional: Some(true),
            repository: None,
        }],
        retired: Some(RetirementWire { reason: 2, message: Some("bad".into()) }),
        outer_checksum: None,
        advisory_indexes: vec![],
        published_at: Some(TimestampWire { seconds: 7 }),
    };
    let document = signed(package("ranch", "test", vec![wire]));
    let registry = serving(document, Vec::new(), Digest::of(b""));
    let world = World::new();
    let release = world.hex().releases(&registry.repository, "ranch").unwrap().remove(0);
    assert_eq!(release.outer, None);
    assert_eq!(release.published, Some(7));
    assert_eq!(release.retired.as_deref(), Some("security: bad"));
    let dependency = &release.dependencies[0];
    assert_eq!((dependency.app.as_str(), dependency.optional), ("chatterbox", true));
}

#[test]
fn advisories_belong_to_the_releases_that_name_them() {
    let advisory = |id: &str| AdvisoryWire {
        id: id.into(),
        summary: "smuggling\nof requests".into(),
        html_url: "https://advisories.test/1".into(),
        severity: Some(3),
        aliases: vec!["CVE-1".into()],
    };
    let (good, mut bad) =
        (release("1.0.0", Digest::of(b""), b""), release("1.1.0", Digest::of(b""), b""));
    bad.advisory_indexes = vec![1];
    let mut wire = PackageWire {
        releases: vec![good, bad],
        name: "ranch".into(),
        repository: "test".into(),
        advisories: vec![advisory("GHSA-0"), advisory("GHSA-1")],
    };
    let registry = serving(signed(wire.encode_to_vec()), Vec::new(), Digest::of(b""));
    let releases = World::new().hex().releases(&registry.repository, "ranch").unwrap();
    assert_eq!(releases[0].advisories, []);
    let [found] = &releases[1].advisories[..] else { panic!("{:?}", releases[1]) };
    assert_eq!((found.id.as_str(), found.severity), ("GHSA-1", Some("high")));
    assert_eq!(found.summary, "smuggling of requests");
    wire.releases[0].advisory_indexes = vec![2];
    let registry = serving(signed(wire.encode_to_vec()), Vec::new(), Digest::of(b""));
    let refused = World::new().hex().releases(&registry.repository, "ranch").unwrap_err();
    assert!(matches!(refused, HexError::Damaged { .. }), "{refused:?}");
}

#[test]
fn without_a_network_the_document_that_was_read_last_answers_if_it_is_still_signed() {
    let (world, registry) = (World::new(), registry());
    let offline = Http::new(Network::Offline, Mirrors::default());
    let away = Hex { http: &offline, ..world.hex() };
    let error = away.releases(&registry.repository, "ranch").unwrap_err();
    assert!(matches!(error, HexError::Http(HttpError::Offline { .. })), "{error:?}");
    let online = world.hex().releases(&registry.repository, "ranch").unwrap();
    assert_eq!(away.releases(&registry.repository, "ranch").unwrap(), online);
    let shelf = world.store.root().join("hex");
    let file = shelf.join(std::ffi::OsString::from_vec(disk::list(&shelf).unwrap().remove(0)));
    disk::write_atomic(&file, &signed(package("ranch", "other", vec![]))).unwrap();
    let error = away.releases(&registry.repository, "ranch").unwrap_err();
    assert!(matches!(error, HexError::WrongName { .. }), "{error:?}");
}

#[test]
fn a_retired_release_is_remarked_on() {
    #[derive(Default)]
    struct Heard(Mutex<String>);
    impl Observer for Heard {
        fn observe(&self, event: &Event<'_>) {
            if let Event::Warned { message } = event {
                self.0.lock().unwrap().push_str(message);
            }
        }
    }
    let (world, heard) = (World::new(), Heard::default());
    let hex = Hex { observer: &heard, ..world.hex() };
    let mut release = named(&["1.0.0"]).remove(0);
    hex.remark("a", &release);
    release.retired = Some("renamed".into());
    hex.remark("a", &release);
    assert_eq!(heard.0.lock().unwrap().as_str(), "`a` 1.0.0 was retired (renamed)");
}

#[test]
fn a_disk_that_fills_up_at_any_moment_leaves_no_half_package() {
    let (world, registry) = (World::new(), registry());
    let package = HexPackage {
        repository: &registry.repository,
        package: "ranch",
        version: "1.8.0",
        outer: Some(registry.outer),
        inner: None,
    };
    let whole = World::new().hex().checkout(&package, None).unwrap().0.digest();
    for changes in 0.. {
        disk::faults::fail_after(changes);
        let result = world.hex().checkout(&package, None);
        disk::faults::clear();
        if result.is_ok() {
            assert!(changes > 5);
            return;
        }
        // The last writes come after the tree has its name: then it is whole.
        if let Some(held) = world.store.tree(whole).unwrap() {
            assert_eq!(crate::tree::scan(held.path(), &[]).unwrap().hash, whole);
        }
    }
}
