//! What a push promises, shown against a registry on loopback with the quirks of the real ones.

mod chunks;
mod engine;
mod fake;
mod papers;
mod pull;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::event::Heard;
use crate::explain::{Blame, Explain as _};
use crate::http::Http;
use crate::http::serve::{Asked, Reply, Server, closed_door, door};
use fake::{Fake, Kept, Packed, challenge, packed, packed_of};

struct Person {
    home: tempfile::TempDir,
    heard: Heard,
}

impl Person {
    fn anonymous() -> Self {
        Self { home: tempfile::tempdir().unwrap(), heard: Heard::default() }
    }

    fn logged_in(host: &str, entry: &str) -> Self {
        let person = Self::anonymous();
        let text = format!(r#"{{"auths":{{"{host}":{entry}}}}}"#);
        std::fs::write(person.home.path().join("config.json"), text).unwrap();
        person
    }

    fn push_to(&self, target: &Target, packed: &Packed) -> Result<Pushed, PushError> {
        self.with_door(|door| push(&packed.contents, target, door))
    }

    fn with_door<T>(&self, work: impl FnOnce(Door<'_>) -> T) -> T {
        let credentials = Credentials {
            files: vec![self.home.path().join("config.json")],
            programs: None,
            ms_max: 1_000,
        };
        let http = door(&[]);
        let security = Security::Encrypted;
        work(Door { http: &http, credentials: &credentials, security, observer: &self.heard })
    }

    fn push(&self, fake: &Fake, packed: &Packed) -> Result<Pushed, PushError> {
        self.push_to(&target(fake, &["1.0.0"], None), packed)
    }
}

fn target(fake: &Fake, tags: &[&str], mount_from: Option<&str>) -> Target {
    Target {
        reference: Reference::parse(&format!("{}/team/app", fake.host())).unwrap(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        mount_from: mount_from.map(str::to_owned),
    }
}

const LOGIN: &str = r#"{"username":"ann","password":"secret"}"#;

fn is_blob_put(asked: &Asked) -> bool {
    asked.method == "PUT" && asked.path.contains("/blobs/")
}

fn is_manifest_put(asked: &Asked) -> bool {
    asked.method == "PUT" && asked.path.contains("/manifests/")
}

#[track_caller]
fn fails(fake: &Fake, packed: &Packed) -> PushError {
    let person = Person::anonymous();
    let error = person.push(fake, packed).unwrap_err();
    assert_eq!(person.heard.count("\"pushed\""), 0, "nothing is claimed to be pushed");
    assert!(error.hint().is_some(), "there is a next step after: {error}");
    error
}

#[test]
fn an_image_arrives_whole_and_its_manifest_last() {
    let (fake, packed, person) = (Fake::start(), packed(), Person::anonymous());
    let pushed = person.push_to(&target(&fake, &["1.0.0", "latest"], None), &packed).unwrap();
    assert_eq!(pushed.manifest, packed.contents.manifest_digest);
    let sizes = packed.contents.layers.iter().chain([&packed.contents.config]);
    assert_eq!(pushed.sent_bytes, sizes.map(|blob| blob.bytes).sum::<u64>());
    assert_eq!(fake.tags(), ["team/app:1.0.0", "team/app:latest"].map(String::from).into());
    assert_eq!(fake.kept.lock().unwrap().blobs.len(), 3);
    let puts = fake.server.asked().into_iter().filter(|asked| asked.method == "PUT");
    let puts: Vec<Asked> = puts.collect();
    assert!(puts[2].path.contains(&packed.contents.config.digest.hex()), "layers come first");
    assert!(is_manifest_put(&puts[3]) && is_manifest_put(&puts[4]) && puts.len() == 5);
    assert_eq!(puts[3].headers["content-type"], packed.contents.manifest_type);
    let large = puts.iter().find(|asked| asked.body.len() == 300_000).unwrap();
    assert_eq!(large.headers["content-length"], "300000");
    assert!(!large.headers.contains_key("transfer-encoding"));
    assert_eq!(person.heard.count("\"arrival\":\"sent\""), 3);
    assert!(person.heard.count("push_progress") >= 2);
    assert_eq!(person.heard.count("\"pushed\""), 2);
}

#[test]
fn the_images_of_several_machines_stand_before_the_index_that_names_them() {
    let (fake, person) = (Fake::start(), Person::anonymous());
    let images =
        [packed(), packed_of(&[("system", b"another machine's"), ("app", b"a small layer")])];
    let contents = images.each_ref().map(|packed| packed.contents.clone());
    let index = crate::image::index(&[]);
    let target = target(&fake, &["1.0.0", "latest"], None);
    let push = || person.with_door(|door| push_index(&contents, &index, &target, door).unwrap());
    let pushed = push();
    assert_eq!(pushed.manifest, Digest::of(&index));
    let puts: Vec<Asked> = fake.server.asked().into_iter().filter(is_manifest_put).collect();
    let places: Vec<&str> = puts.iter().map(|put| put.path.rsplit('/').next().unwrap()).collect();
    let [first, second] = [0, 1].map(|number| contents[number].manifest_digest.to_string());
    assert_eq!(places, [&first, &second, "1.0.0", "latest"]);
    assert_eq!(puts[2].headers["content-type"], INDEX_TYPE);
    assert_eq!(puts[2].body, index);
    // A second time one question a tag settles it.
    let before = fake.server.asked().len();
    assert_eq!(push().sent_bytes, 0);
    assert_eq!(fake.server.asked().len(), before + 2);
}

#[test]
fn what_is_there_is_not_sent_again() {
    let (fake, packed, person) = (Fake::start(), packed(), Person::anonymous());
    person.push(&fake, &packed).unwrap();
    let before = fake.server.asked().len();
    assert_eq!(person.push(&fake, &packed).unwrap().sent_bytes, 0);
    assert_eq!(fake.server.asked().len(), before + 1, "one question settles it");
    // One more tag is one manifest more.
    person.push_to(&target(&fake, &["1.0.0", "new"], None), &packed).unwrap();
    assert_eq!(fake.server.asked().len(), before + 4);
    // A changed layer is all that goes over the wire.
    let system = packed.contents.layers[0].bytes;
    let changed = packed_of(&[
        (
            "system",
            &fake
                .kept
                .lock()
                .unwrap()
                .blobs
                .values()
                .find(|blob| blob.len() as u64 == system)
                .unwrap()
                .clone(),
        ),
        ("app", b"another small layer"),
    ]);
    let sent = person.push(&fake, &changed).unwrap().sent_bytes;
    assert_eq!(sent, 19 + changed.contents.config.bytes);
}

#[test]
fn a_push_that_failed_goes_on_where_it_stood() {
    let broken = std::sync::Arc::new(AtomicUsize::new(1));
    let flag = std::sync::Arc::clone(&broken);
    let fake = Fake::with(move |asked, _| {
        let small = is_blob_put(asked) && asked.body.len() == 13;
        (small && flag.load(Ordering::SeqCst) == 1).then(|| Reply::status(500))
    });
    let packed = packed();
    let error = fails(&fake, &packed);
    assert!(
        matches!(&error, PushError::Failing { name, status: 500, .. } if name == "layer app"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("goes on"), "{error}");
    assert!(!error.to_string().contains("state"), "parameters may be secrets: {error}");
    assert!(!fake.server.asked().iter().any(is_manifest_put), "no manifest without its blobs");
    broken.store(0, Ordering::SeqCst);
    let sent = Person::anonymous().push(&fake, &packed).unwrap().sent_bytes;
    assert!(sent < 300_000, "{sent}");
}

#[test]
fn a_failure_in_the_middle_is_tried_again_from_the_start_of_the_blob() {
    for status in [500, 503, 0, 404] {
        let calls = AtomicUsize::new(0);
        let fake = Fake::with(move |asked, _| {
            let first = is_blob_put(asked) && calls.fetch_add(1, Ordering::SeqCst) == 0;
            first.then(|| Reply::status(status))
        });
        let (packed, person) = (packed_of(&[("app", b"a small layer")]), Person::anonymous());
        person.push(&fake, &packed).unwrap();
        assert_eq!(person.heard.count("retrying"), 1, "{status}");
        assert_eq!(fake.tags().len(), 1);
    }
}

#[test]
fn a_registry_that_says_another_digest_is_not_believed() {
    let other = Digest::of(b"other").to_string();
    for manifest in [false, true] {
        let other = other.clone();
        let fake = Fake::with(move |asked, _| {
            let wrong = if manifest { is_manifest_put(asked) } else { is_blob_put(asked) };
            wrong.then(|| Reply::status(201).header("Docker-Content-Digest", &other))
        });
        let error = fails(&fake, &packed());
        assert!(matches!(error, PushError::WrongDigest { .. }), "{error}");
        assert!(error.to_string().contains("theirs: sha256:"), "{error}");
    }
}

#[test]
fn a_registry_that_says_no_digest_is_asked_for_the_manifest() {
    for honest in [true, false] {
        let fake = Fake::with(move |asked, kept: &mut Kept| {
            if is_manifest_put(asked) {
                kept.manifests.insert(("team/app".into(), "1.0.0".into()), asked.body.clone());
                return Some(Reply::status(201));
            }
            let wrong = !honest && asked.method == "GET" && asked.path.contains("/manifests/");
            wrong.then(|| Reply::ok("{}"))
        });
        match honest {
            true => assert!(Person::anonymous().push(&fake, &packed()).is_ok()),
            false => assert!(matches!(fails(&fake, &packed()), PushError::WrongDigest { .. })),
        }
    }
}

#[test]
fn a_blob_of_another_length_is_named() {
    let fake = Fake::with(|asked, _| {
        let head = asked.method == "HEAD" && asked.path.contains("/blobs/");
        head.then(|| Reply::ok("short"))
    });
    let error = fails(&fake, &packed_of(&[("app", b"a small layer")]));
    assert!(matches!(error, PushError::WrongLength { ours: 13, theirs: 5, .. }), "{error}");
}

#[test]
fn a_loop_of_redirects_ends() {
    let fake = Fake::with(|asked, _| {
        (asked.method == "POST").then(|| Reply::status(307).header("Location", &asked.path))
    });
    let error = fails(&fake, &packed());
    assert!(matches!(error, PushError::Redirects { .. }), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains(&format!("`curl -sSIL http://{}/v2/", fake.host())), "{hint}");
    assert_eq!(fake.tags().len(), 0);
}

#[test]
fn a_redirect_keeps_method_and_body() {
    let fake = Fake::with(|asked, _| {
        let moved = is_blob_put(asked) && !asked.path.contains("again=1");
        let path = asked.path.replace("&digest", "&again=1&digest");
        moved.then(|| Reply::status(307).header("Location", &path))
    });
    Person::anonymous().push(&fake, &packed()).unwrap();
    assert_eq!(fake.tags().len(), 1);
}

#[test]
fn who_is_not_logged_in_is_told_how() {
    let fake = Fake::with(|asked, _| {
        asked.path.starts_with("/token").then(|| {
            let mut reply = Reply::status(401);
            reply.body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"who is it?"}]}"#.to_vec();
            reply
        })
    })
    .locked("Bearer good");
    let error = fails(&fake, &packed());
    assert!(matches!(error, PushError::NoLogin { .. }), "{error}");
    assert!(error.to_string().contains("who is it?"), "{error}");
    assert_eq!(error.hint().unwrap(), format!("log in: `docker login {}`", fake.host()));
    assert_eq!(error.blame(), Blame::World);
    // A token that opens nothing, or a registry that wants a password.
    let useless = Fake::with(|asked, _| {
        asked.path.starts_with("/token").then(|| Reply::ok(r#"{"token":"x"}"#))
    });
    let error = fails(&useless.locked("Bearer good"), &packed());
    assert!(matches!(error, PushError::NoLogin { .. }), "{error}");
    let basic =
        Fake::with(|_, _| Some(Reply::status(401).header("WWW-Authenticate", "Basic realm=\"r\"")));
    assert!(matches!(fails(&basic, &packed()), PushError::NoLogin { .. }));
}

#[test]
fn a_login_that_does_not_count_is_named_with_its_place() {
    let fake = Fake::with(|asked, _| asked.path.starts_with("/token").then(|| Reply::status(401)));
    let fake = fake.locked("Bearer good");
    let person = Person::logged_in(&fake.host(), LOGIN);
    let error = person.push(&fake, &packed()).unwrap_err();
    assert!(matches!(&error, PushError::BadLogin { user, .. } if user == "ann"), "{error}");
    assert!(error.to_string().contains("config.json"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn a_login_is_traded_for_a_token_under_either_name() {
    for field in ["token", "access_token"] {
        let body = format!(r#"{{"{field}":"good"}}"#);
        let fake = Fake::with(move |asked, _| {
            let token = asked.path.starts_with("/token?");
            token.then(|| Reply::ok(body.clone()))
        });
        let fake = fake.locked("Bearer good");
        Person::logged_in(&fake.host(), LOGIN).push(&fake, &packed()).unwrap();
        let asked = fake.server.asked();
        let token = asked.iter().find(|asked| asked.path.starts_with("/token")).unwrap();
        assert_eq!(token.headers["authorization"], "Basic YW5uOnNlY3JldA==");
        let scope = "/token?service=fake&scope=repository%3Ateam%2Fapp%3Apull%2Cpush";
        assert_eq!(token.path, scope);
        let elsewhere = asked.iter().filter(|asked| !asked.path.starts_with("/token"));
        let headers = elsewhere.filter_map(|asked| asked.headers.get("authorization"));
        assert!(
            headers.clone().count() > 3 && headers.clone().all(|header| header == "Bearer good")
        );
    }
}

#[test]
fn a_password_is_given_to_a_registry_that_wants_one() {
    let fake = Fake::with(|asked, kept| {
        let known = asked.headers.get("authorization") == kept.key.as_ref();
        (!known).then(|| Reply::status(401).header("WWW-Authenticate", "Basic realm=\"r\""))
    });
    let fake = fake.locked("Basic YW5uOnNlY3JldA==");
    Person::logged_in(&fake.host(), LOGIN).push(&fake, &packed()).unwrap();
}

#[test]
fn an_identity_token_is_traded_by_a_form() {
    let fake = Fake::start().locked("Bearer good");
    let person = Person::logged_in(&fake.host(), r#"{"identitytoken":"i d"}"#);
    person.push(&fake, &packed()).unwrap();
    let asked = fake.server.asked();
    let token = asked.iter().find(|asked| asked.path == "/token").unwrap();
    let form = String::from_utf8(token.body.clone()).unwrap();
    assert!(token.method == "POST" && form.contains("refresh_token=i%20d&"), "{form}");
    assert!(form.contains("scope=repository%3Ateam%2Fapp%3Apull%2Cpush&service=fake"), "{form}");
}

#[test]
fn a_token_that_expires_on_the_way_is_fetched_anew() {
    for method in ["POST", "PUT"] {
        let fake = Fake::with(move |asked, kept| {
            if asked.method == method && asked.path.contains("/blobs/") && kept.tokens == 1 {
                kept.key = Some("Bearer second".into());
            }
            None
        });
        let fake = fake.locked("Bearer first");
        Person::logged_in(&fake.host(), LOGIN).push(&fake, &packed()).unwrap();
        assert_eq!(fake.kept.lock().unwrap().tokens, 2, "{method}");
        assert_eq!(fake.tags().len(), 1);
    }
}

#[test]
fn a_busy_registry_is_waited_for() {
    let calls = AtomicUsize::new(0);
    let fake = Fake::with(move |asked, _| {
        let busy = asked.method == "POST" && calls.fetch_add(1, Ordering::SeqCst) == 0;
        busy.then(|| Reply::status(429).header("Retry-After", "1"))
    });
    let (person, began) = (Person::anonymous(), std::time::Instant::now());
    person.push(&fake, &packed_of(&[("app", b"a small layer")])).unwrap();
    assert!(began.elapsed().as_millis() >= 1_000);
    assert_eq!(person.heard.count("\"delay_ms\":1000"), 1);
}

#[test]
fn a_token_server_in_a_forbidden_place_gets_nothing() {
    let realm = r#"Bearer realm="http://169.254.169.254/token",service="x""#;
    let fake = Fake::with(move |_, _| Some(Reply::status(401).header("WWW-Authenticate", realm)));
    let person = Person::logged_in(&fake.host(), LOGIN);
    let error = person.push(&fake, &packed()).unwrap_err();
    assert!(matches!(error, PushError::BadRealm { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--insecure"), "{error}");
}

#[test]
fn a_token_that_is_none_is_refused() {
    for body in ["", "{}", r#"{"token":""}"#, r#"{"token":"a\nb"}"#, "[]"] {
        let fake =
            Fake::with(move |asked, _| asked.path.starts_with("/token").then(|| Reply::ok(body)));
        let error = fails(&fake.locked("Bearer good"), &packed());
        assert!(matches!(error, PushError::BadAnswer { .. }), "{body}: {error}");
    }
}

#[test]
fn a_blob_that_is_too_large_for_a_registry_is_named_whenever_it_says_so() {
    let large = |asked: &Asked| is_blob_put(asked) && asked.headers["content-length"] == "300000";
    // Neither in one piece nor in smaller ones.
    let piece = |asked: &Asked| (asked.method == "PATCH").then(|| Reply::status(413));
    let refuse = move |asked: &Asked| large(asked).then(|| Reply::status(413));
    let early = Fake::refusing(refuse, move |asked, _| piece(asked));
    let late = Fake::with(move |asked, _| refuse(asked).or_else(|| piece(asked)));
    for (fake, sent) in [(early, 0), (late, 300_000)] {
        let error = fails(&fake, &packed());
        let named = matches!(&error, PushError::TooLarge { name, bytes: 300_000, .. } if name == "layer system");
        assert!(named, "{error}");
        let put = fake.server.asked().into_iter().find(large).unwrap();
        assert_eq!(put.body.len(), sent);
    }
}

#[test]
fn a_mount_that_is_granted_sends_nothing() {
    let fake = Fake::with(|asked, kept| {
        let (_, query) = asked.path.split_once("?mount=sha256%3A")?;
        let (hex, from) = query.split_once("&from=")?;
        let digest = format!("sha256:{hex}");
        let blob = kept.blobs.get(&(from.replace("%2F", "/"), digest.clone()))?.clone();
        kept.blobs.insert(("team/app".into(), digest), blob);
        Some(Reply::status(201))
    });
    let (packed, person) = (packed(), Person::anonymous());
    let first = Target {
        reference: Reference::parse(&format!("{}/team/base", fake.host())).unwrap(),
        ..target(&fake, &["1"], None)
    };
    person.push_to(&first, &packed).unwrap();
    let pushed = person.push_to(&target(&fake, &["1"], Some("team/base")), &packed).unwrap();
    assert_eq!(pushed.sent_bytes, 0);
    assert_eq!(person.heard.count("\"arrival\":\"mounted\""), 3);
}

#[test]
fn a_mount_that_is_refused_in_any_way_falls_back_to_sending() {
    for status in [400, 401, 403, 404, 405, 500, 503] {
        let fake = Fake::with(move |asked, _| {
            asked.path.contains("?mount=").then(|| match status {
                401 => challenge(asked),
                _ => Reply::status(status),
            })
        });
        let person = Person::anonymous();
        let target = target(&fake, &["1"], Some("team/base"));
        assert!(person.push_to(&target, &packed()).unwrap().sent_bytes > 300_000, "{status}");
    }
    // 202 is the answer of a registry that wants the bytes; its session is used.
    let fake = Fake::start();
    let target = target(&fake, &["1"], Some("team/base"));
    Person::anonymous().push_to(&target, &packed()).unwrap();
    let posts = fake.asked("POST");
    assert!(posts.len() == 3 && posts.iter().all(|path| path.contains("?mount=")), "{posts:?}");
}

#[test]
fn a_repository_that_is_unknown_or_closed_is_named_with_the_registrys_words() {
    for (status, code) in [(404, "NAME_UNKNOWN"), (403, "DENIED"), (400, "NAME_INVALID")] {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"not\u001b here"}}]}}"#);
        let fake = Fake::with(move |asked, _| {
            let post = asked.method == "POST";
            post.then(|| Reply { status, body: body.clone().into_bytes(), ..Reply::default() })
        });
        let error = fails(&fake, &packed());
        let right = match status {
            404 => matches!(error, PushError::UnknownRepository { .. }),
            403 => matches!(error, PushError::Denied { .. }),
            _ => matches!(error, PushError::Refused { status: 400, .. }),
        };
        assert!(right && error.to_string().ends_with(": not here"), "{error}");
    }
}

#[test]
fn a_manifest_that_a_registry_refuses_is_not_pushed() {
    for status in [400, 413, 404] {
        let fake =
            Fake::with(move |asked, _| is_manifest_put(asked).then(|| Reply::status(status)));
        assert!(fails(&fake, &packed()).to_string().contains('`'));
        assert_eq!(fake.tags().len(), 0);
    }
}

#[test]
fn a_key_stays_with_its_registry() {
    let storage = Server::start(|_, _| Reply::status(201));
    // Another name of loopback is another host.
    let there = storage.url("/put").replace("127.0.0.1", "localhost");
    for redirect in [false, true] {
        let there = there.clone();
        let fake = Fake::with(move |asked, _| {
            let known = asked.headers.contains_key("authorization");
            let moved = if redirect { is_blob_put(asked) } else { asked.method == "POST" };
            let status = if redirect { 307 } else { 202 };
            (known && moved).then(|| Reply::status(status).header("Location", &there))
        });
        let fake = fake.locked("Bearer good");
        let before = storage.asked().len();
        Person::logged_in(&fake.host(), LOGIN).push(&fake, &packed()).unwrap();
        let asked = storage.asked().split_off(before);
        assert_eq!(asked.len(), 3);
        assert!(asked.iter().all(|asked| !asked.headers.contains_key("authorization")));
    }
}

#[test]
fn an_upload_without_an_address_is_no_registrys() {
    for location in ["", "ftp://a/b", "http://"] {
        let fake = Fake::with(move |asked, _| {
            (asked.method == "POST").then(|| Reply::status(202).header("Location", location))
        });
        let error = fails(&fake, &packed());
        assert!(matches!(error, PushError::BadAnswer { .. }), "{location}: {error}");
    }
}

#[test]
fn a_registry_elsewhere_is_spoken_to_in_the_open_only_on_request() {
    let reference = Reference::parse("r.example/a").unwrap();
    let (http, heard) = (closed_door(), Heard::default());
    let credentials = Credentials { files: vec![], programs: None, ms_max: 1 };
    let session = |security| {
        let door = Door { http: &http, credentials: &credentials, security, observer: &heard };
        Session::new(door, &reference, None)
    };
    let (closed, open) = (session(Security::Encrypted), session(Security::Plain));
    assert_eq!(closed.url("x"), "https://r.example/v2/a/x");
    assert_eq!(open.url("x"), "http://r.example/v2/a/x");
    for url in ["http://r.example/up", "http://127.0.0.1/up"] {
        assert!(matches!(closed.admitted(url), Err(PushError::Downgrade { .. })), "{url}");
        assert!(open.admitted(url).is_ok());
    }
    let target = Target { reference: reference.clone(), tags: vec!["1".into()], mount_from: None };
    let door = Door {
        http: &http,
        credentials: &credentials,
        security: Security::Encrypted,
        observer: &heard,
    };
    let error = push(&packed().contents, &target, door).unwrap_err();
    assert_eq!(error.to_string(), "nothing is pushed to `r.example`: the network is closed");
}

#[test]
fn a_damaged_file_is_found_before_anything_is_sent() {
    let packed = packed();
    let mut bytes = std::fs::read(&packed.path).unwrap();
    let at = bytes.windows(13).position(|part| part == b"a small layer").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&packed.path, &bytes).unwrap();
    let damaged = Contents::read(&packed.path).unwrap().check().unwrap_err();
    assert!(damaged.to_string().contains("is not what was promised"), "{damaged}");
    std::fs::write(&packed.path, &bytes[..at]).unwrap();
    assert!(Contents::read(&packed.path).is_err());
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_in_an_error() {
    let (fake, packed) = (Fake::start(), packed());
    std::fs::File::options().write(true).open(&packed.path).unwrap().set_len(4096).unwrap();
    let error = fails(&fake, &packed);
    assert!(matches!(error, PushError::Unreachable { .. }), "{error}");
}

#[test]
fn a_mount_is_named_with_its_registry_or_without() {
    assert_eq!(mount_source("a/b", "r.example").unwrap(), "a/b");
    assert_eq!(mount_source("r.example/a/b", "r.example").unwrap(), "a/b");
    assert_eq!(mount_source("debian", "docker.io").unwrap(), "library/debian");
    for (from, registry) in
        [("s.example/a", "r.example"), ("A", "r.example"), ("r.example/a:1", "r.example")]
    {
        assert!(mount_source(from, registry).is_err(), "{from}");
    }
}
