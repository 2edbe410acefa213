//! What a pull promises: nothing is held that was not proved, and what broke off goes on.

use std::io::Read as _;

use super::*;
use crate::http::serve::closed_door;
use crate::store::Store;
use serde_json::json;

/// A person with a store of their own.
struct Puller {
    person: Person,
    store: Store,
    _directory: tempfile::TempDir,
}

impl Puller {
    fn new(person: Person) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        Self { person, store, _directory: directory }
    }

    fn anonymous() -> Self {
        Self::new(Person::anonymous())
    }

    fn pull_by(&self, text: &str, http: &Http) -> Result<Pulled, PullError> {
        let files = vec![self.person.home.path().join("config.json")];
        let credentials = Credentials { files, programs: None, ms_max: 1_000 };
        let (security, observer) = (Security::Encrypted, &self.person.heard);
        let door = Door { http, credentials: &credentials, security, observer };
        pull(&Origin::parse(text).unwrap(), &Platform::of("amd64"), &self.store, door)
    }

    fn pull(&self, fake: &Fake, what: &str) -> Result<Pulled, PullError> {
        self.pull_by(&format!("{}/team/app{what}", fake.host()), &door(&[]))
    }
}

/// Puts an image there as a push does.
fn there(fake: &Fake) -> Packed {
    let (packed, mut kept) = (packed(), fake.kept.lock().unwrap());
    let contents = &packed.contents;
    for blob in contents.layers.iter().chain([&contents.config]) {
        let mut bytes = Vec::new();
        contents.open(blob).unwrap().read_to_end(&mut bytes).unwrap();
        kept.blobs.insert(("team/app".into(), blob.digest.to_string()), bytes);
    }
    kept.manifests.insert(("team/app".into(), "1.0.0".into()), contents.manifest.clone());
    drop(kept);
    packed
}

fn put(fake: &Fake, tag: &str, document: &serde_json::Value) -> Digest {
    let (bytes, mut kept) = (document.to_string().into_bytes(), fake.kept.lock().unwrap());
    let digest = Digest::of(&bytes);
    for name in [tag.to_owned(), digest.to_string()] {
        kept.manifests.insert(("team/app".into(), name), bytes.clone());
    }
    digest
}

fn is_blob_get(asked: &Asked) -> bool {
    asked.method == "GET" && asked.path.contains("/blobs/")
}

fn large(kept: &Kept) -> Vec<u8> {
    kept.blobs.values().max_by_key(|blob| blob.len()).unwrap().clone()
}

#[track_caller]
fn refuses(fake: &Fake, what: &str) -> PullError {
    let puller = Puller::anonymous();
    let error = puller.pull(fake, what).unwrap_err();
    assert_eq!(puller.person.heard.count("\"pulled\""), 0, "nothing is claimed to be pulled");
    assert!(error.hint().is_some(), "there is a next step after: {error}");
    error
}

#[test]
fn a_loop_of_redirects_ends_with_a_next_step() {
    let manifests = |asked: &Asked| asked.path.contains("/manifests/");
    for at in [manifests, is_blob_get] {
        let fake = Fake::with(move |asked, _| {
            at(asked).then(|| Reply::status(307).header("Location", &asked.path))
        });
        there(&fake);
        let error = refuses(&fake, ":1.0.0");
        assert!(error.to_string().contains("redirects without end"), "{error}");
        assert!(error.hint().unwrap().contains("curl -sSIL"), "{error}");
    }
}

#[test]
fn an_image_is_the_same_here_as_there() {
    let fake = Fake::start();
    let packed = there(&fake);
    let puller = Puller::anonymous();
    let pulled = puller.pull(&fake, ":1.0.0").unwrap();
    assert_eq!(pulled.manifest.digest(), packed.contents.manifest_digest);
    assert_eq!(pulled.config.digest(), packed.contents.image_id());
    let digests =
        |layers: &[PulledLayer]| layers.iter().map(|l| l.blob.digest()).collect::<Vec<_>>();
    let theirs: Vec<_> = packed.contents.layers.iter().map(|layer| layer.digest).collect();
    assert_eq!(digests(&pulled.layers), theirs);
    assert!(pulled.received_bytes > 300_000);
    assert_eq!(puller.person.heard.count("\"pulled\""), 1);
    assert!(puller.person.heard.count("fetch_progress") >= 1);
    // The directory is what every reader of images takes.
    let laid_out = pulled.lay_out(&puller.store).unwrap();
    let read = Contents::read(laid_out.path()).unwrap();
    read.check().unwrap();
    assert_eq!(read.manifest, packed.contents.manifest);
    assert_eq!(read.layers.len(), 2);
    // What is here is not fetched again, and by digest nobody is asked.
    let before = fake.server.asked().len();
    assert_eq!(puller.pull(&fake, ":1.0.0").unwrap().received_bytes, 0);
    assert_eq!(fake.server.asked().len(), before + 1);
    let by_digest = format!("{}/team/app@{}", fake.host(), packed.contents.manifest_digest);
    assert_eq!(puller.pull_by(&by_digest, &closed_door()).unwrap().received_bytes, 0);
    let by_tag = format!("{}/team/app:1.0.0", fake.host());
    let error = puller.pull_by(&by_tag, &closed_door()).unwrap_err();
    assert_eq!(error.to_string(), format!("`{by_tag}` is not here, and the network is closed"));
}

#[test]
fn a_pull_asks_for_no_more_than_to_read() {
    let fake = Fake::start().locked("Bearer good");
    there(&fake);
    let puller = Puller::new(Person::logged_in(&fake.host(), LOGIN));
    puller.pull(&fake, ":1.0.0").unwrap();
    let asked = fake.server.asked();
    let token = asked.iter().find(|asked| asked.path.starts_with("/token")).unwrap();
    assert!(token.path.ends_with("&scope=repository%3Ateam%2Fapp%3Apull"), "{}", token.path);
    // A login is needed only where a registry wants one; who has none is told.
    let fake = Fake::with(|asked, _| asked.path.starts_with("/token").then(|| Reply::status(401)));
    let fake = fake.locked("Bearer good");
    let error = refuses(&fake, ":1.0.0");
    assert!(matches!(error, PullError::NoLogin { .. }), "{error}");
    assert_eq!(error.hint().unwrap(), format!("log in: `docker login {}`", fake.host()));
    let puller = Puller::new(Person::logged_in(&fake.host(), LOGIN));
    let error = puller.pull(&fake, ":1.0.0").unwrap_err();
    assert!(matches!(&error, PullError::Way(PushError::BadLogin { .. })), "{error}");
}

#[test]
fn a_token_that_expires_between_blobs_is_fetched_anew() {
    let fake = Fake::with(|asked, kept| {
        if is_blob_get(asked) && kept.tokens == 1 {
            kept.key = Some("Bearer second".into());
        }
        None
    });
    let fake = fake.locked("Bearer first");
    there(&fake);
    Puller::new(Person::logged_in(&fake.host(), LOGIN)).pull(&fake, ":1.0.0").unwrap();
    assert_eq!(fake.kept.lock().unwrap().tokens, 2);
}

#[test]
fn an_index_is_entered_by_platform() {
    let fake = Fake::start();
    let packed = there(&fake);
    let (amd64, bytes) = (packed.contents.manifest_digest, packed.contents.manifest.len());
    fake.kept
        .lock()
        .unwrap()
        .manifests
        .insert(("team/app".into(), amd64.to_string()), packed.contents.manifest.clone());
    let entry = |digest: Digest, os: &str, architecture: &str, variant: Option<&str>| {
        json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": bytes,
                "platform": { "os": os, "architecture": architecture, "variant": variant } })
    };
    let nowhere = Digest::of(b"nowhere");
    let index = |entries: &[serde_json::Value]| json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries });
    let others = [
        entry(nowhere, "unknown", "unknown", None),
        entry(nowhere, "windows", "amd64", None),
        entry(nowhere, "linux", "arm64", Some("v8")),
        entry(nowhere, "linux", "amd64", Some("v3")),
    ];
    let with_ours = [&others[..], &[entry(amd64, "linux", "amd64", None)]].concat();
    let top = put(&fake, "many", &index(&with_ours));
    let pulled = Puller::anonymous().pull(&fake, ":many").unwrap();
    assert_eq!(pulled.resolved, Resolved { top, manifest: amd64 });
    put(&fake, "few", &index(&others[..3]));
    let error = refuses(&fake, ":few");
    let says = "is not made for linux/amd64, but for windows/amd64, linux/arm64/v8";
    assert!(error.to_string().ends_with(says), "{error}");
    // An index that promises another length than its manifest has.
    let mut short = entry(amd64, "linux", "amd64", None);
    short["size"] = json!(1);
    put(&fake, "short", &index(&[short]));
    assert!(matches!(refuses(&fake, ":short"), PullError::WrongLength { promised: 1, .. }));
    let mut inner = entry(top, "linux", "amd64", None);
    inner["size"] = json!(index(&with_ours).to_string().len());
    put(&fake, "nested", &index(&[inner]));
    assert!(refuses(&fake, ":nested").to_string().ends_with("its index names an index"));
}

#[test]
fn a_registry_that_gives_other_bytes_is_not_believed() {
    for change in ["other", "longer", "shorter", "announced"] {
        let fake = Fake::with(move |asked, kept| {
            let mut blob = large(kept);
            let wanted = is_blob_get(asked) && asked.path.ends_with(&Digest::of(&blob).hex());
            let length = blob.len();
            match change {
                "other" => blob[1] ^= 1,
                "longer" => blob.push(0),
                _ => blob.truncate(length - 1),
            }
            let reply = || Reply { chunked: change != "announced", ..Reply::ok(blob) };
            (wanted && length == 300_000).then(reply)
        });
        there(&fake);
        let puller = Puller::anonymous();
        let error = puller.pull(&fake, ":1.0.0").unwrap_err();
        let right = match change {
            "other" => matches!(error, PullError::WrongDigest { .. }),
            "longer" => matches!(error, PullError::WrongLength { received: 300_001, .. }),
            "announced" => matches!(error, PullError::WrongLength { received: 299_999, .. }),
            // It breaks off again and again, at the same place.
            _ => matches!(error, PullError::Way(PushError::Unreachable { .. })),
        };
        assert!(right, "{change}: {error}");
        let lacking = puller.store.blob(Digest::of(&large(&fake.kept.lock().unwrap()))).unwrap();
        assert_eq!(lacking, None, "{change}");
    }
}

#[test]
fn a_manifest_that_is_not_what_was_asked_for_is_refused() {
    let fake = Fake::start();
    let packed = there(&fake);
    let promised = packed.contents.manifest_digest;
    let key = ("team/app".to_owned(), promised.to_string());
    fake.kept.lock().unwrap().manifests.insert(key, b"{}".to_vec());
    let error = refuses(&fake, &format!("@{promised}"));
    assert!(matches!(error, PullError::WrongDigest { .. }), "{error}");
    // Under a tag the registry's own word beside it counts.
    let liar = Fake::with(|asked, kept| {
        let tagged = asked.method == "GET" && asked.path.ends_with("/manifests/1.0.0");
        let manifest = kept.manifests.values().next()?.clone();
        let other = Digest::of(b"other").to_string();
        tagged.then(|| Reply::ok(manifest).header("Docker-Content-Digest", &other))
    });
    there(&liar);
    assert!(matches!(refuses(&liar, ":1.0.0"), PullError::WrongDigest { .. }));
    let huge = Fake::with(|asked, _| {
        asked.path.contains("/manifests/").then(|| Reply::ok(vec![b' '; (4 << 20) + 1]))
    });
    let error = refuses(&huge, ":1.0.0");
    assert!(matches!(error, PullError::TooLarge { limit: 4_194_304, .. }), "{error}");
}

#[test]
fn what_is_no_image_is_named() {
    let fake = Fake::start();
    let descriptor = json!({ "digest": Digest::of(b""), "size": 1_u64 << 40 });
    let both = json!({ "manifests": [], "config": descriptor, "layers": [] });
    for (tag, document, says) in [
        ("old", json!({ "schemaVersion": 1, "fsLayers": [] }), "schema 1"),
        ("both", both, "neither an index nor the manifest"),
        ("none", json!([]), "is no image: "),
        ("large", json!({ "config": descriptor, "layers": [] }), "its configuration has"),
        (
            "many",
            json!({ "manifests": vec![json!({ "digest": Digest::of(b""), "size": 1 }); 1_001] }),
            "more than 1000",
        ),
    ] {
        put(&fake, tag, &document);
        let error = refuses(&fake, &format!(":{tag}"));
        assert!(matches!(error, PullError::NoImage { .. }), "{tag}: {error}");
        assert!(error.to_string().contains(says), "{tag}: {error}");
    }
    let error = refuses(&fake, ":absent");
    assert!(error.to_string().ends_with("has no `team/app:absent`"), "{error}");
}

#[test]
fn a_blob_that_breaks_off_goes_on_where_it_broke() {
    for ranges in [true, false] {
        let calls = AtomicUsize::new(0);
        let fake = Fake::with(move |asked, kept| {
            let whole = large(kept);
            if !is_blob_get(asked) || !asked.path.ends_with(&Digest::of(&whole).hex()) {
                return None;
            }
            let reply = if ranges { Reply::ranged(asked, &whole) } else { Reply::ok(whole) };
            let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            Some(Reply { cut_after: first.then_some(200_000), ..reply })
        });
        there(&fake);
        let puller = Puller::anonymous();
        puller.pull(&fake, ":1.0.0").unwrap();
        assert_eq!(puller.person.heard.count("retrying"), 1);
        let asked = fake.server.asked();
        let again =
            asked.iter().filter(|asked| is_blob_get(asked) && asked.headers.contains_key("range"));
        let again: Vec<_> = again.collect();
        // What the door had read of the break is not asked for again, up to its buffer.
        let from = again[0].headers["range"].trim_start_matches("bytes=").trim_end_matches('-');
        assert!(again.len() == 1 && from.parse::<u64>().unwrap() > 100_000, "{from}");
    }
}

#[test]
fn a_range_that_was_not_asked_for_is_no_registrys() {
    let fake = Fake::with(|asked, kept| {
        let whole = large(kept);
        if !is_blob_get(asked) || !asked.path.ends_with(&Digest::of(&whole).hex()) {
            return None;
        }
        Some(match asked.headers.get("range") {
            None => Reply { cut_after: Some(200_000), ..Reply::ok(whole) },
            Some(_) => Reply { status: 206, ..Reply::ok(whole) }
                .header("Content-Range", "bytes 7-9/300000"),
        })
    });
    there(&fake);
    let error = refuses(&fake, ":1.0.0");
    assert!(matches!(error, PullError::Way(PushError::BadAnswer { .. })), "{error}");
}

#[test]
fn a_registry_that_fails_is_asked_again_and_then_named() {
    for (status, tries) in [(500, 4), (503, 4), (429, 4), (404, 1), (403, 1)] {
        let fake = Fake::with(move |asked, _| is_blob_get(asked).then(|| Reply::status(status)));
        there(&fake);
        let error = refuses(&fake, ":1.0.0");
        let right = match status {
            404 => matches!(error, PullError::NoBlob { .. }),
            403 => matches!(error, PullError::Denied { .. }),
            _ => matches!(error, PullError::Way(PushError::Failing { .. })),
        };
        assert!(right, "{status}: {error}");
        let asked = fake.server.asked();
        let first = asked.iter().find(|asked| is_blob_get(asked)).unwrap().path.clone();
        let count = asked.iter().filter(|asked| asked.path == first && is_blob_get(asked)).count();
        assert!(count <= tries, "{status}: {count}");
    }
    let fake = Fake::with(|asked, _| {
        let elsewhere = || Reply::status(307).header("Location", &asked.path);
        is_blob_get(asked).then(elsewhere)
    });
    there(&fake);
    let error = refuses(&fake, ":1.0.0");
    assert!(matches!(error, PullError::Way(PushError::Redirects { .. })), "{error}");
}

#[test]
fn a_key_does_not_follow_a_blob_to_its_storage() {
    let blobs =
        std::sync::Arc::new(Mutex::new(std::collections::BTreeMap::<String, Vec<u8>>::new()));
    let own = std::sync::Arc::clone(&blobs);
    let storage =
        Server::start(move |asked, _| Reply::ok(own.lock().unwrap()[&asked.path].clone()));
    // Another name of loopback is another host.
    let elsewhere = storage.url("").replace("127.0.0.1", "localhost");
    let fake = Fake::with(move |asked, kept| {
        let known = asked.headers.contains_key("authorization") && is_blob_get(asked);
        known.then(|| {
            let (_, digest) = asked.path.rsplit_once('/').unwrap();
            let blob = kept.blobs[&("team/app".to_owned(), digest.to_owned())].clone();
            blobs.lock().unwrap().insert(format!("/{digest}"), blob);
            Reply::status(307).header("Location", &format!("{elsewhere}/{digest}"))
        })
    });
    let fake = fake.locked("Bearer good");
    there(&fake);
    let puller = Puller::new(Person::logged_in(&fake.host(), LOGIN));
    puller.pull(&fake, ":1.0.0").unwrap();
    let asked = storage.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|asked| !asked.headers.contains_key("authorization")));
}
