//! What is about an image is listed once, by the registry or under the tag that takes its place.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;

use super::fake::{Fake, Packed, packed};
use super::*;
use crate::registry::{Paper, Repository, Written, fallback_tag};

const LIST_TYPE: &str = "application/vnd.oci.image.index.v1+json";

fn paper(name: &str) -> Paper {
    Paper {
        name: name.into(),
        media_type: format!("application/{name}+json"),
        bytes: format!(r#"{{"about":"{name}"}}"#).into_bytes(),
        annotations: BTreeMap::from([("of".to_owned(), name.to_owned())]),
    }
}

fn with<T>(
    fake: &Fake,
    work: impl FnOnce(&Repository<'_>) -> Result<T, PushError>,
) -> Result<T, PushError> {
    let person = Person::anonymous();
    let credentials = Credentials { files: vec![], programs: None, ms_max: 1_000 };
    let http = door(&[]);
    let security = Security::Encrypted;
    let door = Door { http: &http, credentials: &credentials, security, observer: &person.heard };
    let reference = Reference::parse(&format!("{}/team/app", fake.host())).unwrap();
    work(&Repository::open(door, &reference))
}

fn attach(fake: &Fake, packed: &Packed, names: &[&str]) -> Result<(), PushError> {
    let papers: Vec<Paper> = names.iter().map(|name| paper(name)).collect();
    with(fake, |repository| repository.attach(&packed.contents, &papers))
}

#[test]
fn a_registry_without_a_list_gets_one_under_the_tag_of_the_digest() {
    let (fake, packed) = (Fake::start(), packed());
    attach(&fake, &packed, &["spdx"]).unwrap();
    attach(&fake, &packed, &["spdx", "slsa"]).unwrap();
    let image = packed.contents.manifest_digest;
    let listed = with(&fake, |repository| repository.about(image)).unwrap();
    let kinds: Vec<_> =
        listed.iter().map(|entry| entry.artifact_type.as_deref().unwrap()).collect();
    assert_eq!(kinds, ["application/spdx+json", "application/slsa+json"]);
    assert_eq!(listed[1].annotations["of"], "slsa");
    assert!(fake.tags().contains(&format!("team/app:{}", fallback_tag(image))));
    let kept = fake.kept.lock().unwrap();
    let manifest = &kept.manifests[&("team/app".to_owned(), listed[0].digest.to_string())];
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    assert_eq!(manifest["subject"]["digest"], image.to_string());
    assert_eq!(manifest["artifactType"], "application/spdx+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
}

#[test]
fn what_is_attached_already_is_not_sent_again() {
    let (fake, packed) = (Fake::start(), packed());
    attach(&fake, &packed, &["spdx", "slsa"]).unwrap();
    let before = fake.asked("PUT").len();
    attach(&fake, &packed, &["spdx", "slsa"]).unwrap();
    assert_eq!(fake.asked("PUT").len(), before);
}

#[test]
fn a_registry_with_a_list_of_its_own_needs_no_tag() {
    let fake = Fake::with(|asked, kept| {
        if asked.path.contains("/referrers/") {
            let listed = kept.manifests.values().map(|bytes| {
                format!(
                    r#"{{"mediaType":"m","digest":"{}","size":1}}"#,
                    crate::digest::Digest::of(bytes)
                )
            });
            let listed = listed.collect::<Vec<_>>().join(",");
            let index = format!(r#"{{"schemaVersion":2,"manifests":[{listed}]}}"#);
            return Some(Reply::ok(index).header("Content-Type", LIST_TYPE));
        }
        if asked.method == "PUT" && asked.path.contains("/manifests/") {
            let name = ("team/app".to_owned(), asked.path.rsplit('/').next().unwrap().to_owned());
            kept.manifests.insert(name, asked.body.clone());
            return Some(Reply::status(201).header("OCI-Subject", "sha256:00"));
        }
        None
    });
    let packed = packed();
    attach(&fake, &packed, &["spdx"]).unwrap();
    attach(&fake, &packed, &["spdx"]).unwrap();
    let puts = fake.asked("PUT").into_iter().filter(|path| path.contains("/manifests/"));
    assert_eq!(puts.count(), 1);
    assert!(!fake.tags().iter().any(|tag| tag.contains("sha256-")));
}

/// A registry that tells its list in pages, each of one line: the n-th says where the next stands.
fn in_pages(next: fn(usize) -> Option<String>) -> Fake {
    Fake::with(move |asked, _| {
        asked.path.contains("/referrers/").then(|| {
            let number = asked.path.rsplit_once("last=").map_or(0, |(_, n)| n.parse().unwrap());
            let digest = Digest::of(&[number as u8]);
            let line = format!(
                r#"{{"mediaType":"m","digest":"{digest}","size":1,"artifactType":"{number}"}}"#
            );
            let index = format!(r#"{{"schemaVersion":2,"manifests":[{line}]}}"#);
            let reply = Reply::ok(index).header("Content-Type", LIST_TYPE);
            match next(number) {
                Some(address) => reply.header("Link", &format!("<{address}>; rel=\"next\"")),
                None => reply,
            }
        })
    })
}

#[test]
fn a_list_is_read_to_its_last_page() {
    let fake = in_pages(|number| {
        (number < 2).then(|| format!("/v2/team/app/referrers/x?last={}", number + 1))
    });
    assert_eq!(kinds(&fake, &packed()), ["0", "1", "2"]);
}

#[test]
fn a_list_that_never_ends_or_goes_on_elsewhere_is_refused() {
    let about = |fake: &Fake| {
        let image = packed().contents.manifest_digest;
        with(fake, |repository| repository.about(image)).unwrap_err().to_string()
    };
    let endless = in_pages(|number| Some(format!("x?last={}", (number + 1) % 200)));
    assert!(about(&endless).contains("more than 100 pages"));
    let elsewhere = in_pages(|_| Some("https://elsewhere.test/v2/team/app/referrers/x".into()));
    assert!(about(&elsewhere).contains("goes on elsewhere"));
}

/// A list with one line that another wrote.
fn of_another() -> Vec<u8> {
    let digest = Digest::of(b"another's document");
    let line = format!(r#"{{"mediaType":"m","digest":"{digest}","size":1,"artifactType":"x"}}"#);
    format!(r#"{{"schemaVersion":2,"manifests":[{line}]}}"#).into_bytes()
}

fn is_list(asked: &Asked) -> bool {
    asked.path.contains("/manifests/sha256-")
}

/// What kinds of documents are listed about an image in the end.
fn kinds(fake: &Fake, packed: &Packed) -> Vec<String> {
    let image = packed.contents.manifest_digest;
    let listed = with(fake, |repository| repository.about(image)).unwrap();
    listed.into_iter().map(|entry| entry.artifact_type.unwrap()).collect()
}

#[test]
fn a_line_that_another_push_wrote_over_is_written_again_beside_the_others() {
    let once = std::sync::atomic::AtomicBool::new(true);
    // The other has read the list before ours was written, and writes right after us.
    let fake = Fake::with(move |asked, kept| {
        let first = asked.method == "PUT" && is_list(asked) && once.swap(false, SeqCst);
        first.then(|| {
            let tag = asked.path.rsplit('/').next().unwrap().to_owned();
            kept.manifests.insert(("team/app".to_owned(), tag), of_another());
            Reply::status(201)
        })
    });
    let packed = packed();
    attach(&fake, &packed, &["spdx", "slsa"]).unwrap();
    assert_eq!(kinds(&fake, &packed), ["x", "application/spdx+json", "application/slsa+json"]);
}

#[test]
fn a_registry_that_knows_versions_is_asked_to_replace_only_the_one_that_was_read() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let fake = Fake::with(move |asked, kept| {
        let place =
            ("team/app".to_owned(), asked.path.rsplit('/').next().unwrap_or_default().to_owned());
        if !is_list(asked) {
            return None;
        }
        let there = kept.manifests.get(&place).cloned();
        let version = there.as_ref().map(|bytes| format!("\"{}\"", Digest::of(bytes).hex()));
        if asked.method != "PUT" {
            let reply = Reply::ok(there?).header("ETag", &version?);
            // Another writes as soon as we have read.
            if first.swap(false, SeqCst) {
                kept.manifests.insert(place, of_another());
            }
            return Some(reply);
        }
        (asked.headers.get("if-match") != version.as_ref()).then(|| Reply::status(412))
    });
    let packed = packed();
    let place = ("team/app".to_owned(), fallback_tag(packed.contents.manifest_digest));
    let empty = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
    fake.kept.lock().unwrap().manifests.insert(place, empty);
    attach(&fake, &packed, &["spdx"]).unwrap();
    assert_eq!(kinds(&fake, &packed), ["x", "application/spdx+json"]);
}

#[test]
fn two_pushes_at_once_leave_the_lines_of_both() {
    let (fake, packed) = (Fake::start(), packed());
    std::thread::scope(|scope| {
        for name in ["spdx", "slsa", "cyclonedx", "other"] {
            let (fake, packed) = (&fake, &packed);
            scope.spawn(move || attach(fake, packed, &[name]).unwrap());
        }
    });
    let mut found = kinds(&fake, &packed);
    found.sort();
    let all = ["cyclonedx", "other", "slsa", "spdx"].map(|name| format!("application/{name}+json"));
    assert_eq!(found, all);
}

#[test]
fn signatures_that_another_wrote_over_are_written_again_and_in_the_end_given_up() {
    let write = |repository: &Repository<'_>| {
        let listed = repository.manifest("x.sig")?;
        let kept = listed.map(|listed| repository.layers(&listed)).transpose()?.unwrap_or_default();
        let ours = Digest::of(&paper("ours").bytes);
        if kept.iter().any(|entry| entry.digest == ours) {
            return Ok(Written::Already);
        }
        repository.put_under("x.sig", kept, &[paper("ours")])?;
        Ok(Written::Now)
    };
    let fake = Fake::start();
    let mut looks = 0;
    with(&fake, |repository| {
        repository.settle("the list of signatures", || {
            looks += 1;
            if looks == 2 {
                // Another had read it before ours was there.
                repository.put_under("x.sig", Vec::new(), &[paper("another's")])?;
            }
            write(repository)
        })
    })
    .unwrap();
    assert_eq!(looks, 3, "the second look finds it gone, the third there");
    let error = with(&fake, |repository| repository.settle("it", || Ok(Written::Now))).unwrap_err();
    assert!(error.to_string().contains("it is replaced again and again"), "{error}");
}

#[test]
fn a_list_that_is_none_is_refused_and_not_replaced() {
    for garbage in ["[]", "{", r#"{"schemaVersion":2,"manifests":[{"digest":"x"}]}"#] {
        let (fake, packed) = (Fake::start(), packed());
        let tag = fallback_tag(packed.contents.manifest_digest);
        let place = ("team/app".to_owned(), tag);
        fake.kept.lock().unwrap().manifests.insert(place.clone(), garbage.into());
        let error = attach(&fake, &packed, &["spdx"]).unwrap_err();
        assert!(error.to_string().contains("list of documents is no index"), "{error}");
        assert_eq!(fake.kept.lock().unwrap().manifests[&place], garbage.as_bytes());
    }
}

#[test]
fn a_document_that_is_another_is_not_believed() {
    let (fake, packed) = (Fake::start(), packed());
    attach(&fake, &packed, &["spdx"]).unwrap();
    let digest = Digest::of(&paper("spdx").bytes);
    let place = ("team/app".to_owned(), digest.to_string());
    fake.kept.lock().unwrap().blobs.insert(place, b"other".to_vec());
    let error = with(&fake, |repository| repository.blob("spdx", digest)).unwrap_err();
    assert!(matches!(error, PushError::WrongDigest { .. }), "{error}");
    let gone = Digest::of(b"gone");
    let error = with(&fake, |repository| repository.blob("spdx", gone)).unwrap_err();
    assert!(error.to_string().contains("does not have it"), "{error}");
    assert!(with(&fake, |repository| repository.manifest("none")).unwrap().is_none());
}

#[test]
fn a_failure_on_the_way_leaves_no_line_in_the_list() {
    let fake = Fake::with(|asked, _| {
        let is_manifest = asked.method == "PUT" && asked.path.contains("/manifests/sha256:");
        is_manifest.then(|| Reply::status(400))
    });
    let packed = packed();
    attach(&fake, &packed, &["spdx"]).unwrap_err();
    assert!(fake.tags().is_empty());
}
