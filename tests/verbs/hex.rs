//! Hex packages through the whole command, from a registry that the test signs.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use rebeam::digest::Digest;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA512, RsaKeyPair};

use super::harness::World;

const PRIVATE_KEY: &str = include_str!("../../fixtures/hex/private.pem");
pub(crate) const PUBLIC_KEY: &str = include_str!("../../fixtures/hex/public.pem");

/// A package of the registry: its name differs from its application's.
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    pub(crate) app: &'a str,
    pub(crate) source: &'a str,
    /// Package and application that it asks for.
    pub(crate) needs: Option<(&'a str, &'a str)>,
}

/// A field of a protocol buffer that is bytes, a text or a message.
pub(crate) fn field(number: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut out = vec![number << 3 | 2];
    out.extend(varint(bytes.len() as u64));
    out.extend_from_slice(bytes);
    out
}

/// A field of a protocol buffer that is a number.
pub(crate) fn number(number: u8, value: u64) -> Vec<u8> {
    [vec![number << 3], varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
    out
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn signed(payload: &[u8]) -> Vec<u8> {
    let body: String = PRIVATE_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let key = RsaKeyPair::from_pkcs8(&der).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), payload, &mut signature).unwrap();
    gzip(&[field(1, payload), field(2, signature)].concat())
}

/// Makes the tarball of a package; returns its inner checksum with it.
pub(crate) fn packed(metadata: Vec<u8>, contents: Vec<u8>) -> (Digest, Vec<u8>) {
    let inner = Digest::of(&[b"3", &metadata[..], &contents].concat());
    let tarball = tar(&[
        ("VERSION".into(), b"3".to_vec()),
        ("CHECKSUM".into(), inner.hex().to_uppercase().into_bytes()),
        ("metadata.config".into(), metadata),
        ("contents.tar.gz".into(), contents),
    ]);
    (inner, tarball)
}

/// Publishes a package at version 1.0.0 in the directory that is the registry.
pub(crate) fn publish(registry: &Path, package: &Package<'_>) {
    let Package { name, app, source, needs } = package;
    let applications = needs.map_or(String::new(), |(_, app)| format!(", {app}"));
    let about = format!(
        "{{application, {app}, [{{description, \"Published\"}}, {{vsn, \"1.0.0\"}}, {{registered, []}}, {{applications, [kernel, stdlib{applications}]}}]}}.\n"
    );
    let contents = gzip(&tar(&[
        (format!("src/{app}.app.src"), about.into_bytes()),
        (format!("src/{app}.erl"), source.as_bytes().to_vec()),
    ]));
    let metadata =
        format!("{{<<\"name\">>,<<\"{name}\">>}}.\n{{<<\"app\">>,<<\"{app}\">>}}.\n").into_bytes();
    let (inner, tarball) = packed(metadata, contents);
    let dependency = needs.map(|(package, app)| {
        let parts = [field(1, package), field(2, "~> 1.0"), field(4, app)];
        field(3, parts.concat())
    });
    let release = [
        field(1, "1.0.0"),
        field(2, inner.as_bytes()),
        dependency.unwrap_or_default(),
        field(5, Digest::of(&tarball).as_bytes()),
    ];
    for directory in ["packages", "releases", "tarballs"] {
        fs::create_dir_all(registry.join(directory)).unwrap();
    }
    fs::write(registry.join("releases").join(name), release.concat()).unwrap();
    fs::write(registry.join(format!("tarballs/{name}-1.0.0.tar")), tarball).unwrap();
    declare(registry, name, &[&[]], &[]);
}

/// Says what the registry knows of a package: version 1.0.0 as it was published, with these fields behind it,
/// once for each list of fields; and the package's advisories.
///
/// A later field of one number wins, so that a copy may have another version.
pub(crate) fn declare(
    registry: &Path,
    name: &str,
    releases: &[&[Vec<u8>]],
    advisories: &[Vec<u8>],
) {
    let published = fs::read(registry.join("releases").join(name)).unwrap();
    // Whom the registry says that it is stands beside it, where it is not `acme`.
    let repository = fs::read_to_string(registry.join("repository"));
    let repository = repository.unwrap_or_else(|_| "acme".into());
    let mut document = [field(2, name), field(3, repository)].concat();
    for more in releases {
        document.extend(field(1, [published.clone(), more.concat()].concat()));
    }
    for advisory in advisories {
        document.extend(field(4, advisory));
    }
    fs::write(registry.join("packages").join(name), signed(&document)).unwrap();
}

/// The project `hello` with a dependency on two packages of the repository `acme`.
pub(crate) fn project() -> World {
    let world = World::with("hello").with_own_store();
    publish(
        &world.path("hex"),
        &Package {
            name: "acme_greeting",
            app: "greeting",
            source: "-module(greeting).\n-export([text/0]).\ntext() -> [tongue:word(), \" there\"].\n",
            needs: Some(("acme_tongue", "tongue")),
        },
    );
    publish(
        &world.path("hex"),
        &Package {
            name: "acme_tongue",
            app: "tongue",
            source: "-module(tongue).\n-export([word/0]).\nword() -> \"hi\".\n",
            needs: None,
        },
    );
    world.write("keys/acme.pem", PUBLIC_KEY);
    world.edit(
        "rebeam.toml",
        "[mirrors]",
        "[hex.acme]\nurl = \"../hex\"\npublic-key = \"keys/acme.pem\"\n\n[mirrors]",
    );
    world.edit(
        "rebar.config",
        "{deps, [\n",
        "{deps, [\n    {greeting, \"~> 1.0\", {pkg, acme_greeting}},\n",
    );
    world.edit("rebar.config", "[hello, sasl]", "[hello, sasl, greeting]");
    world
}

#[test]
fn packages_of_an_own_repository_are_locked_and_then_built_without_it() {
    let world = project();
    world.rebeam(&["lock"]).succeeds();
    let lock = world.read("rebeam.lock");
    for line in [
        "app = \"greeting\"",
        "package = \"acme_greeting\"",
        "app = \"tongue\"",
        "package = \"acme_tongue\"",
        "repository = \"acme\"",
    ] {
        assert!(lock.contains(line), "{line} is missing in:\n{lock}");
    }
    let other = project().with_own_store();
    other.rebeam(&["lock"]).succeeds();
    fs::remove_dir_all(world.path("hex")).unwrap();
    let built = world.rebeam(&["build", "--offline", "--locked"]).succeeds();
    assert!(built.stderr.contains("Booted"), "{}", built.stderr);
    other.rebeam(&["build", "--locked", "--jobs", "1"]).succeeds();
    let image = |world: &World| fs::read(world.project().join("hello-1.0.0.tar")).unwrap();
    assert!(image(&world) == image(&other), "the images differ");
}

#[test]
fn a_registry_that_another_key_signed_is_refused() {
    let world = project();
    let document = world.path("hex/packages/acme_greeting");
    let mut bytes = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(fs::File::open(&document).unwrap());
    std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
    let version = bytes.windows(5).position(|window| window == b"1.0.0").unwrap();
    bytes[version] = b'2';
    fs::write(&document, bytes).unwrap();
    world.rebeam(&["lock"]).fails(3, &["acme_greeting", "acme"]);
    assert!(!world.read("rebeam.lock").contains("greeting"));
}
