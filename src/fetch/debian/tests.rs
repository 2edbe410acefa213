//! Tests of the way from a signed index to a package file, with an archive and a key of our own.

use std::path::{Path, PathBuf};

use pgp::composed::{CleartextSignedMessage, Deserializable as _, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails as _, Password, Timestamp};

use super::fixture::xz;
use super::release::{Keyring, Trust};
use super::{Architecture, DebianError, Expiry, PRIMARY, available, fetch, index, resolve};
use crate::digest::Digest;
use crate::disk;
use crate::event::{Observer, Silent};
use crate::explain::Explain as _;
use crate::http::serve::{Reply, Server};
use crate::http::{Http, Mirrors, Network};
use crate::lock::Deb;
use crate::store::Store;

/// Two keys that sign nothing but these tests.
const ONE: &str = "
lFgEawId8hYJKwYBBAHaRw8BAQdAVbFLaAF8MtuEJKNZ3hR638Ig+Heq2t4Fh25U
CipTuJUAAP4oLPht9vY3Riup+S4bI6LG1xXpO8CAl7kloqYJ0Yq4gxFttAh0ZXN0
IG9uZYiPBBMWCAA4FiEEWr32pPI5Slk5QQbb5HvBMx54WV8FAmsCHfICGwMFCwkI
BwIGFQoJCAsCBBYCAwECHgECF4AACgkQ5HvBMx54WV+wzwEA0ie5bLPJK1LwTEIU
LaFETMY7AdwlUKiw/ZYqIZDx2lYA9A6WG5WD30cW+uk77ey26ds/p+Poe+0QgW5+
UnftzwA=
=y3Hz";
const TWO: &str = "
lFgEawId8hYJKwYBBAHaRw8BAQdAQZLFhyxVtROK+1jHxUElQvNvl+UyFPnYOYpt
Op++aPEAAQDr+/Jf7KSvVatYNY3Xs/nhUD0I2F9Rff4DQhhd0SQEtRD1tAh0ZXN0
IHR3b4iQBBMWCAA4FiEEFzZnWzaKM2kvPNyfVurjlrT/YXcFAmsCHfICGwMFCwkI
BwIGFQoJCAsCBBYCAwECHgECF4AACgkQVurjlrT/YXegvgEAq4cRxjyLEwvnjTVH
a0FKGlQRxG7PPSudC+bWxpKWDegBAIi2vHRBKtA8KWM1oBDqBsPmvZJYUECx1O8Y
oTQCKi0I
=eNPA";

fn key(body: &str) -> SignedSecretKey {
    let armor = |side: &str| format!("-----{side} PGP PRIVATE KEY BLOCK-----");
    let text = format!("{}\n{body}\n{}\n", armor("BEGIN"), armor("END"));
    SignedSecretKey::from_string(&text).unwrap().0
}

fn sign(text: &str, body: &str) -> Vec<u8> {
    let key = key(body).primary_key;
    let mut config =
        SignatureConfig::v4(SignatureType::Text, key.algorithm(), HashAlgorithm::Sha512);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(
            1_795_000_000,
        )))
        .unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap(),
    ];
    let message = CleartextSignedMessage::new(text, config, &key, &Password::empty()).unwrap();
    message.to_armored_bytes(Default::default()).unwrap()
}

fn trust() -> Trust {
    Trust {
        keyring: Keyring::of(key(ONE).to_public_key()),
        expiry: Expiry::CheckedAt(1_795_000_000),
    }
}

/// An archive in a directory, which stands in for the primary.
struct Archive {
    root: tempfile::TempDir,
}

const INDEX: &str = "\
Package: one
Version: 1.0
Architecture: amd64
Filename: pool/one.deb
Size: 5
SHA256: 0000000000000000000000000000000000000000000000000000000000000000
";

impl Archive {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        disk::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// Puts the index of `test` in, and a release file that `sign`s for it.
    fn with_index(self, packed: &[u8], promised: &[u8], sign: impl Fn(&str) -> Vec<u8>) -> Self {
        let text = format!(
            "Origin: Test\nCodename: test\nValid-Until: Sat, 01 Jan 2028 00:00:00 UTC\n\
             Acquire-By-Hash: yes\nSHA256:\n {} {} main/binary-amd64/Packages.xz\n",
            Digest::of(promised).hex(),
            promised.len()
        );
        let by_hash =
            format!("dists/test/main/binary-amd64/by-hash/SHA256/{}", Digest::of(promised).hex());
        disk::write_atomic(&self.path(&by_hash), packed).unwrap();
        disk::write_atomic(&self.path("dists/test/InRelease"), &sign(&text)).unwrap();
        self
    }

    fn http(&self) -> Http {
        let rule = (PRIMARY.to_owned(), self.root.path().display().to_string());
        Http::new(Network::Open, Mirrors::new([rule].into()))
    }

    fn index(&self, trust: &Trust) -> Result<index::Index, DebianError> {
        index::fetch("test", "amd64", trust, (&self.http(), &Silent))
    }
}

fn good(text: &str) -> Vec<u8> {
    sign(text, ONE)
}

#[test]
fn a_signed_index_is_believed() {
    let packed = xz(INDEX.as_bytes());
    let archive = Archive::new().with_index(&packed, &packed, good);
    let index = archive.index(&trust()).unwrap();
    assert_eq!(index.text, INDEX);
}

#[test]
fn a_release_file_by_another_key_is_refused() {
    let packed = xz(INDEX.as_bytes());
    let other = |text: &str| sign(text, TWO);
    let archive = Archive::new().with_index(&packed, &packed, other);
    let error = archive.index(&trust()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the release file of `test` is signed by no key of Debian's archive, \
         but by 1736675B368A33692F3CDC9F56EAE396B4FF6177"
    );
    assert!(error.hint().unwrap().contains("Debian's own archive"));
}

#[test]
fn a_changed_release_file_is_refused() {
    let packed = xz(INDEX.as_bytes());
    let changed = |text: &str| {
        let signed = String::from_utf8(good(text)).unwrap();
        signed.replace("Origin: Test", "Origin: Tast").into_bytes()
    };
    let archive = Archive::new().with_index(&packed, &packed, changed);
    let error = archive.index(&trust()).unwrap_err();
    assert!(matches!(error, DebianError::BadSignature { .. }), "{error}");
}

#[test]
fn a_release_file_without_a_signature_is_refused() {
    let packed = xz(INDEX.as_bytes());
    for unsigned in [
        |text: &str| text.as_bytes().to_vec(),
        |_: &str| Vec::new(),
        |text: &str| good(text)[..300].to_vec(),
    ] {
        let archive = Archive::new().with_index(&packed, &packed, unsigned);
        let error = archive.index(&trust()).unwrap_err();
        assert!(matches!(error, DebianError::NotSigned { .. }), "{error}");
    }
}

#[test]
fn text_around_the_signed_text_does_not_count() {
    let packed = xz(INDEX.as_bytes());
    let around =
        |text: &str| [b"Codename: test\n\n", &good(text)[..], b"Codename: test\n"].concat();
    let archive = Archive::new().with_index(&packed, &packed, around);
    assert!(archive.index(&trust()).is_err());
}

#[test]
fn a_release_file_past_its_time_is_refused_unless_its_age_is_ignored_by_name() {
    let packed = xz(INDEX.as_bytes());
    let archive = Archive::new().with_index(&packed, &packed, good);
    let mut late = Trust { expiry: Expiry::CheckedAt(1_900_000_000), ..trust() };
    let error = archive.index(&late).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the release file of `test` was valid until Sat, 01 Jan 2028 00:00:00 UTC"
    );
    late.expiry = Expiry::Ignored;
    archive.index(&late).unwrap();
}

#[test]
fn a_release_file_of_another_suite_is_refused() {
    let packed = xz(INDEX.as_bytes());
    let renamed = |text: &str| good(&text.replace("Codename: test", "Codename: tost"));
    let archive = Archive::new().with_index(&packed, &packed, renamed);
    let error = archive.index(&trust()).unwrap_err();
    assert_eq!(error.to_string(), "the mirror gives `tost` for the suite `test`");
}

#[test]
fn an_index_that_is_not_the_promised_one_is_refused() {
    let packed = xz(INDEX.as_bytes());
    let mut other = packed.clone();
    *other.last_mut().unwrap() ^= 1;
    let archive = Archive::new().with_index(&other, &packed, good);
    let error = archive.index(&trust()).unwrap_err();
    assert!(matches!(error, DebianError::Mismatch { .. }), "{error}");
}

#[test]
fn a_cut_index_is_an_error_even_if_it_was_promised_so() {
    let packed = xz(INDEX.as_bytes());
    let cut = &packed[..packed.len() - 8];
    let archive = Archive::new().with_index(cut, cut, good);
    let error = archive.index(&trust()).unwrap_err();
    assert_eq!(error.to_string(), "`test Packages` is damaged");
}

#[test]
fn a_suite_without_the_machine_is_an_error() {
    let packed = xz(INDEX.as_bytes());
    let archive = Archive::new().with_index(&packed, &packed, good);
    let error = index::fetch("test", "arm64", &trust(), (&archive.http(), &Silent)).unwrap_err();
    assert!(matches!(error, DebianError::NoIndex { .. }), "{error}");
}

fn locked(bytes: &[u8]) -> Deb {
    Deb {
        package: "libssl3".into(),
        version: "3.0.9-1".into(),
        architecture: "amd64".into(),
        sha256: Digest::of(bytes),
        size: bytes.len() as u64,
        path: "pool/libssl3.deb".into(),
        suite: "bookworm".into(),
    }
}

fn store(at: &Path) -> Store {
    Store::open(&at.join("store")).unwrap()
}

#[test]
fn a_package_that_left_the_pool_is_named_with_the_way_out() {
    let archive = Archive::new();
    let store = store(archive.root.path());
    let error = fetch(&locked(b"deb"), &store, &archive.http(), &Silent).unwrap_err();
    assert_eq!(error.to_string(), "`libssl3` 3.0.9-1 has left Debian's pool");
    let hint = error.hint().unwrap();
    assert!(hint.contains("`rebeam update toolchain`"), "{hint}");
    assert!(hint.contains("`[mirrors]`"), "{hint}");
}

#[test]
fn a_package_that_is_not_the_locked_one_never_becomes_held() {
    let archive = Archive::new();
    let store = store(archive.root.path());
    disk::write_atomic(&archive.path("pool/libssl3.deb"), b"bed").unwrap();
    let deb = locked(b"deb");
    let error = fetch(&deb, &store, &archive.http(), &Silent).unwrap_err();
    assert!(matches!(error, DebianError::Store(_)), "{error}");
    assert!(store.blob(deb.sha256).unwrap().is_none());
}

#[test]
fn a_held_package_is_not_asked_for() {
    let archive = Archive::new();
    let store = store(archive.root.path());
    disk::write_atomic(&archive.path("pool/libssl3.deb"), b"deb").unwrap();
    let deb = locked(b"deb");
    fetch(&deb, &store, &archive.http(), &Silent).unwrap();
    let offline = Http::new(Network::Offline, Mirrors::default());
    fetch(&deb, &store, &offline, &Silent).unwrap();
}

#[test]
fn what_the_index_names_and_the_pool_lacks_is_not_pinned() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/pool/new.deb" => Reply::status(404),
        "/pool/odd.deb" => Reply::status(403),
        _ => Reply::status(200),
    });
    let rule = (PRIMARY.to_owned(), server.url(""));
    let http = Http::new(Network::Open, Mirrors::new([rule].into()));
    let paragraph = |name: &str, version: &str, path: &str, more: &str| {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nFilename: pool/{path}.deb\nSize: 1\n\
             SHA256: {}\n{more}\n",
            "0".repeat(64)
        )
    };
    let index = index::Index {
        suite: "test".into(),
        text: [
            paragraph("base", "1", "old", "Source: thing (1-1)\n"),
            paragraph("base", "2", "new", "Source: thing (2-1)\n"),
            paragraph("tool", "1", "tool", "Source: thing (1-1)\nDepends: base\n"),
            paragraph("tool", "2", "tool", "Source: thing (2-1)\nDepends: base (= 2)\n"),
            paragraph("odd", "1", "odd", ""),
        ]
        .concat(),
    };
    let wishes = resolve::Wishes { seeds: ["tool", "odd"].into(), is_dropped: &|_| false };
    let debs = available(&[index], &wishes, &[], (&http, &Silent)).unwrap();
    let chosen: Vec<String> =
        debs.iter().map(|deb| format!("{} {}", deb.package, deb.version)).collect();
    // A source's packages are of one version: with the new base, the new tool goes too.
    assert_eq!(chosen, ["base 1", "odd 1", "tool 1"]);
}

#[test]
fn an_otp_that_no_suite_has_is_named_with_those_there_are() {
    let http = Http::new(Network::Offline, Mirrors::default());
    let web = (&http, &Silent as &dyn Observer);
    let error = resolve("22", &[], Architecture::Amd64, Expiry::Ignored, web).unwrap_err();
    assert_eq!(error.to_string(), "no Debian suite with OTP 22 is known; there are 23, 25, 27, 29");
}
