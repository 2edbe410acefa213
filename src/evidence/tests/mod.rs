//! What a key, a signature and a document promise. The keys beside this file were made with another implementation of
//! the format (PyNaCl and cryptography, for Python); their password is `paß`.

mod bundle;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::explain::Failure;
use crate::image::{HeldApp, HeldPackage, Holdings, Inspected};
use crate::lock::{Deb, IMAGE_FORMAT, Lock, Pin, Role, Source, ToolchainLock};
use crate::manifest::Tool;

const PASSWORD: &[u8] = "paß".as_bytes();
const ONE: [&str; 2] = [include_str!("one.key"), include_str!("one.pub")];
const TWO: [&str; 2] = [include_str!("two.key"), include_str!("two.pub")];

fn private([text, _]: [&str; 2]) -> PrivateKey {
    SealedKey::parse(text, "cosign.key").unwrap().open(PASSWORD, "cosign.key").unwrap()
}

fn public([_, text]: [&str; 2]) -> PublicKey {
    PublicKey::parse(text, "cosign.pub").unwrap()
}

fn message(error: EvidenceError) -> String {
    let failure = Failure::from(error);
    let hint = failure.hint().unwrap_or_default();
    format!("{}; {hint}", failure.messages().join(": "))
}

fn refused_private(text: &str, password: &[u8]) -> String {
    let sealed = SealedKey::parse(text, "cosign.key");
    let opened = sealed.and_then(|sealed| sealed.open(password, "cosign.key"));
    message(opened.err().expect("it is refused"))
}

#[test]
fn a_pair_that_is_made_here_opens_and_signs() {
    let (private_text, public_text) = generate(PASSWORD).unwrap();
    let key = SealedKey::parse(&private_text, "k").unwrap().open(PASSWORD, "k").unwrap();
    let public = PublicKey::parse(&public_text, "k").unwrap();
    assert_eq!(key.public(), public);
    assert!(public.verifies(b"this", &key.sign(b"this").unwrap()));
    assert!(!public.verifies(b"that", &key.sign(b"this").unwrap()));
    assert_ne!(generate(PASSWORD).unwrap().1, public_text);
}

#[test]
fn pairs_that_another_program_made_open_and_sign() {
    for pair in [ONE, TWO] {
        let (key, public) = (private(pair), public(pair));
        assert_eq!(key.public(), public);
        assert!(public.verifies(b"x", &key.sign(b"x").unwrap()));
        assert_eq!(public.to_pem(), pair[1]);
    }
    assert!(!public(TWO).verifies(b"x", &private(ONE).sign(b"x").unwrap()));
}

#[test]
fn a_wrong_password_is_told_from_a_damaged_file() {
    let said = refused_private(ONE[0], b"pass");
    assert!(
        said.contains("the password does not open `cosign.key`; look at COSIGN_PASSWORD"),
        "{said}"
    );
    let text = ONE[0];
    for cut in [0, 10, 40, text.len() / 2, text.len() - 3] {
        let said = refused_private(&text[..cut], PASSWORD);
        assert!(said.contains("`cosign.key` is no private key of cosign's"), "{cut}: {said}");
        assert!(said.contains("rebeam key generate"), "{cut}: {said}");
    }
    let changed = |from: &str, to: &str| {
        let (_, bytes) = pem::read(text).unwrap();
        let json = String::from_utf8(bytes).unwrap();
        assert!(json.contains(from), "{json}");
        refused_private(
            &pem::write("ENCRYPTED COSIGN PRIVATE KEY", json.replace(from, to).as_bytes()),
            PASSWORD,
        )
    };
    assert!(changed("32768", "1073741824").contains("N 1073741824"));
    assert!(changed("\"r\":8", "\"r\":9").contains("r 9"));
    assert!(changed("scrypt", "argon2").contains("`argon2`"));
    assert!(changed("ciphertext", "other").contains("not the JSON"));
    assert!(refused_private(ONE[1], PASSWORD).contains("it is a `PUBLIC KEY`"));
    let plain = pem::write("PRIVATE KEY", b"x");
    assert!(refused_private(&plain, PASSWORD).contains("it is a `PRIVATE KEY`"));
}

#[test]
fn a_public_key_of_another_kind_is_named() {
    let refused = |text: &str| message(PublicKey::parse(text, "cosign.pub").err().unwrap());
    assert!(refused(ONE[0]).contains("`cosign.pub` is a private key"));
    assert!(refused(ONE[0]).contains("rebeam key public cosign.pub"));
    assert!(refused(&ONE[1][..60]).contains("no whole PEM block"));
    assert!(refused(&pem::write("PUBLIC KEY", &[0x30; 91])).contains("no ECDSA key on P-256"));
    assert!(refused(&pem::write("CERTIFICATE", b"x")).contains("it is a `CERTIFICATE`"));
}

#[test]
fn what_is_signed_of_an_image_names_it_by_its_digest() {
    let digest = Digest::of(b"manifest");
    let bytes = payload::write("docker.io/library/hello", digest);
    let expected = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"index.docker.io/library/hello"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
    );
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
    assert_eq!(payload::read(&bytes).unwrap(), digest);
    let with = |from: &str, to: &str| {
        message(payload::read(expected.replace(from, to).as_bytes()).unwrap_err())
    };
    assert!(with("cosign container", "atomic container").contains("its type is `atomic"));
    assert!(with("sha256:", "sha512:").contains("names the digest `sha512:"));
    assert!(with("critical", "optional").contains("not the JSON"));
}

#[test]
fn an_attestation_counts_for_its_key_and_its_type() {
    let image = Digest::of(b"manifest");
    let statement = Form::Spdx.statement(&facts());
    let sealed = seal(&statement, &private(ONE)).unwrap();
    let envelope = Envelope::parse(&sealed).unwrap();
    assert!(envelope.is_signed_by(&public(ONE)) && !envelope.is_signed_by(&public(TWO)));
    assert_eq!(envelope.payload(), statement);
    let read = envelope.statement().unwrap();
    assert_eq!(read.subjects, [image]);
    assert_eq!(read.predicate_type, "https://spdx.dev/Document");
    // The type is signed, too.
    let text = String::from_utf8(sealed).unwrap();
    let other = text.replace("application/vnd.in-toto+json", "application/json");
    let other = Envelope::parse(other.as_bytes()).unwrap();
    assert!(!other.is_signed_by(&public(ONE)));
    assert!(message(other.statement().unwrap_err()).contains("it holds a `application/json`"));
    for broken in
        ["", "{}", "[1]", &text[..text.len() - 1], &text.replace("payload\":\"", "payload\":\"*")]
    {
        let said = message(Envelope::parse(broken.as_bytes()).err().unwrap());
        assert!(said.contains("an attestation is no envelope"), "{said}");
    }
    let wrong = String::from_utf8(statement).unwrap().replace("Statement/v1", "Statement/v9");
    assert!(message(Statement::parse(wrong.as_bytes()).unwrap_err()).contains("Statement/v9"));
}

#[test]
fn what_is_signed_with_a_statement_is_as_the_standard_shows_it() {
    // The example of the DSSE protocol, version 1.0.2.
    assert_eq!(
        envelope::encoding("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
}

fn source(app: &str, pin: Pin, parent: &str, deps: &[&str]) -> Source {
    Source {
        app: app.into(),
        role: Role::Dep,
        pin,
        wanted: "tag 1.0".into(),
        describe: None,
        tool: Tool::Rebar3,
        untouched: false,
        level: u32::from(parent != "shop"),
        parents: BTreeSet::from([parent.to_owned()]),
        deps: deps.iter().map(|dep| (*dep).to_owned()).collect(),
        profiles: BTreeSet::new(),
        lost: vec![],
    }
}

fn lock() -> Lock {
    let tree = Digest::of(b"tree");
    let git = Pin::Git {
        url: "https://github.com/ninenines/cowboy".into(),
        commit: "c".repeat(40),
        subdir: None,
        tree,
    };
    let hex = Pin::Hex {
        repository: "hexpm".into(),
        package: "cowlib".into(),
        version: "2.12.1".into(),
        outer: Digest::of(b"tarball"),
        tree,
    };
    let deb = Deb {
        package: "libssl3".into(),
        version: "3.0.17-1~deb12u3".into(),
        architecture: "amd64".into(),
        sha256: Digest::of(b"deb"),
        size: 3,
        path: "pool/main/o/openssl/libssl3.deb".into(),
        suite: "bookworm".into(),
    };
    Lock {
        services: vec![],
        base: None,
        project: "shop".into(),
        epoch: 1_700_000_000,
        image_format: IMAGE_FORMAT,
        toolchain: ToolchainLock {
            otp: "25".into(),
            wished: vec![],
            suite: "bookworm".into(),
            debs: vec![deb],
        },
        platforms: vec![],
        sources: vec![
            source("cowboy", git, "shop", &["cowlib"]),
            source("cowlib", hex, "cowboy", &[]),
        ],
    }
}

fn held() -> Holdings {
    let inspected = Inspected {
        image_id: Digest::of(b"config"),
        manifest_digest: Some(Digest::of(b"manifest")),
        names: vec![],
        architecture: "amd64".into(),
        created: None,
        entrypoint: vec![],
        cmd: vec![],
        env: vec![],
        user: String::new(),
        directory: String::new(),
        ports: vec![],
        volumes: vec![],
        labels: BTreeMap::from([
            ("org.opencontainers.image.version".into(), "1.2.0".into()),
            ("org.opencontainers.image.revision".into(), "a".repeat(40)),
        ]),
        layers: vec![],
        lock: Some(lock().to_text()),
        provenance: Some(r#"{"image_format":1,"sandbox":"userns"}"#.into()),
    };
    let app = |version: &str, layer: &str| HeldApp { version: version.into(), layer: layer.into() };
    let package = |name: &str, version: &str| HeldPackage {
        name: name.into(),
        version: version.into(),
        architecture: "amd64".into(),
        source: None,
    };
    Holdings {
        inspected,
        packages: vec![
            package("erlang-base", "1:25.2.3+dfsg-1+deb12u4"),
            package("libssl3", "3.0.17-1~deb12u3"),
        ],
        apps: BTreeMap::from([
            ("shop".into(), app("1.2.0", "app")),
            ("cowboy".into(), app("2.10.0", "deps")),
            ("cowlib".into(), app("2.12.1", "deps")),
            ("kernel".into(), app("8.5.3", "otp")),
        ]),
        codename: Some("bookworm".into()),
        release: Some("12".into()),
    }
}

fn facts() -> Facts {
    Facts::of(held(), Path::new("shop.tar")).unwrap()
}

fn json(form: Form) -> Value {
    serde_json::from_slice(&form.document(&facts())).unwrap()
}

#[test]
fn the_same_image_has_the_same_documents() {
    for form in [Form::Spdx, Form::CycloneDx, Form::Provenance] {
        assert_eq!(form.document(&facts()), form.document(&facts()));
    }
    // A change of these changes every document: say so.
    let name = json(Form::CycloneDx)["serialNumber"].as_str().unwrap().to_owned();
    assert_eq!(name, urn(Digest::of(b"manifest"), "cyclonedx"));
    assert_ne!(name, json(Form::Spdx)["documentNamespace"]);
    assert_ne!(name, urn(Digest::of(b"another"), "cyclonedx"));
    let (version, variant) = (&name[23..24], &name[28..29]);
    assert!(name.len() == 45 && version == "8" && "89ab".contains(variant), "{name}");
}

#[test]
fn every_kind_of_component_has_its_name() {
    let document = json(Form::CycloneDx);
    let purls: Vec<&str> = document["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|component| component["purl"].as_str())
        .collect();
    let (commit, outer) = ("c".repeat(40), Digest::of(b"tarball"));
    assert_eq!(
        purls,
        [
            format!("pkg:github/ninenines/cowboy@{commit}"),
            format!("pkg:hex/cowlib@2.12.1?checksum={outer}"),
            "pkg:generic/erlang-otp@25.2.3".into(),
            "pkg:generic/erlang-otp/kernel@8.5.3".into(),
            "pkg:deb/debian/erlang-base@1:25.2.3%2Bdfsg-1%2Bdeb12u4?arch=amd64&distro=bookworm"
                .into(),
            "pkg:deb/debian/libssl3@3.0.17-1~deb12u3?arch=amd64&distro=bookworm".into(),
        ]
    );
    let text = document.to_string();
    assert!(text.contains(r"cpe:2.3:a:erlang:erlang\\/otp:25.2.3:"), "{text}");
    assert!(text.contains(r#"{"dependsOn":["app:cowlib"],"ref":"app:cowboy"}"#), "{text}");
    assert!(text.contains(r#"{"dependsOn":["app:cowboy"],"ref":"app:shop"}"#), "{text}");
    assert_eq!(document["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
}

#[test]
fn a_bill_of_materials_in_spdx_names_what_asks_for_what() {
    let document = json(Form::Spdx);
    let relations: Vec<String> = document["relationships"]
        .as_array()
        .unwrap()
        .iter()
        .map(|relation| {
            let word = |name: &str| relation[name].as_str().unwrap().replace("SPDXRef-", "");
            let words = ["spdxElementId", "relationshipType", "relatedSpdxElement"].map(word);
            words.join(" ")
        })
        .collect();
    for expected in [
        "DOCUMENT DESCRIBES image",
        "image CONTAINS app-shop",
        "app-shop DEPENDS_ON app-cowboy",
        "app-cowboy DEPENDS_ON app-cowlib",
        "system-erlang-otp CONTAINS app-kernel",
        "image CONTAINS deb-libssl3",
    ] {
        assert!(
            relations.iter().any(|relation| relation == expected),
            "{expected}: {relations:#?}"
        );
    }
    let text = document.to_string();
    let place = format!("git+https://github.com/ninenines/cowboy@{}", "c".repeat(40));
    assert!(text.contains(&place), "{text}");
    assert!(text.contains(&Digest::of(b"deb").hex()), "{text}");
}

#[test]
fn provenance_names_the_project_the_lock_and_all_that_is_locked() {
    let document = json(Form::Provenance);
    assert_eq!(document["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(document["subject"][0]["digest"]["sha256"], Digest::of(b"manifest").hex());
    let build = &document["predicate"]["buildDefinition"];
    let lock_digest = Digest::of(lock().to_text().as_bytes()).hex();
    assert_eq!(build["externalParameters"]["lock"]["sha256"], lock_digest);
    assert_eq!(build["internalParameters"]["sandbox"], "userns");
    let dependencies = build["resolvedDependencies"].as_array().unwrap();
    let names: Vec<&str> = dependencies.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["shop", "cowboy", "cowlib", "libssl3"]);
    assert_eq!(dependencies[0]["digest"]["gitCommit"], "a".repeat(40));
    assert_eq!(dependencies[1]["digest"]["gitCommit"], "c".repeat(40));
    assert_eq!(dependencies[3]["digest"]["sha256"], Digest::of(b"deb").hex());
}

#[test]
fn an_image_without_a_lock_is_named() {
    let without = |lock: Option<&str>| {
        let mut held = held();
        held.inspected.lock = lock.map(str::to_owned);
        message(Facts::of(held, Path::new("other.tar")).unwrap_err())
    };
    assert!(without(None).contains("`other.tar` does not hold the lock"));
    assert!(without(Some("version = 99\n")).contains("the lock in `other.tar` cannot be read"));
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
        fuzz::documents(&bytes);
    }

    #[test]
    fn a_block_reads_back_whatever_stands_around_it(bytes: Vec<u8>, before in "[a-z\n]{0,20}") {
        let text = format!("{before}\n{}{before}", pem::write("THING", &bytes));
        prop_assert_eq!(pem::read(&text), Some(("THING".to_owned(), bytes)));
    }

    #[test]
    fn a_document_that_is_nearly_one_is_read_or_refused(at in 0usize..600, byte: u8) {
        let mut sealed = Form::Spdx.statement(&facts());
        let length = sealed.len();
        sealed[at % length] = byte;
        let _ = Statement::parse(&sealed);
        fuzz::documents(&sealed);
        let mut key = ONE[0].as_bytes().to_vec();
        let length = key.len();
        key[at % length] = byte;
        fuzz::documents(&key);
    }
}
