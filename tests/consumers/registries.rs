//! Registries: pushes, pulls and caches through one that is real.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rebeam::cache::{self, Cache, Caches, Way};
use rebeam::event::Silent;
use rebeam::http::{Http, Mirrors, Network};
use rebeam::image::{self};
use rebeam::registry::{self, Credentials, Door, Origin, Platform, Security};
use rebeam::store::{BuildKey, Record, Store};

use super::world::{Daemon, NAME, TAG, World, find, missing, rebeam, run, text, told, tried};

/// Starts a registry with its data below `at`, and returns its port.
pub(crate) fn registry(at: &Path, more: &str) -> (Daemon, u16) {
    registry_by(at, "", more)
}

/// The same, which also listens as `http` says.
fn registry_by(at: &Path, http: &str, more: &str) -> (Daemon, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = at.join("config.yml");
    let settings = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
         http: {{addr: \"127.0.0.1:{port}\", relativeurls: true{http}}}\n{more}",
        text(&at.join("data")),
    );
    fs::write(&config, settings).unwrap();
    let ready = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    let arguments = ["serve", text(&config)];
    (Daemon::start("docker-registry", &arguments, &at.join("log"), ready), port)
}

#[test]
fn a_registry_that_knows_its_people_lets_only_them_push() {
    if find("docker-registry").is_none() {
        missing("docker-registry");
        return;
    }
    let Some(world) = World::new() else {
        return;
    };
    let at = world.store("registry");
    let people = at.join("people");
    // The password is `secret`.
    let ann = "ann:$2b$05$FpJnCt.V/e8SCN7XT1skB.WG17bD/lP5NH.gGAwdoS1cyPiLTXf9G\n";
    fs::write(&people, ann).unwrap();
    let more = format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", text(&people));
    let (_daemon, port) = registry(&at, &more);
    let place = format!("localhost:{port}/{NAME}");
    let push = || rebeam(&world, &["push", &place, "--file", text(&world.archive)]);
    let login = |password: &str| {
        let auths = format!(
            r#"{{"auths":{{"localhost:{port}":{{"username":"ann","password":"{password}"}}}}}}"#
        );
        fs::create_dir_all(world.root.join(".docker")).unwrap();
        fs::write(world.root.join(".docker/config.json"), auths).unwrap();
    };
    let refused = |says: &str| {
        let output = push().output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains(says), "{told}");
        assert!(told.contains(&format!("docker login localhost:{port}")), "{told}");
    };
    refused("without a login");
    login("wrong");
    refused("does not accept the login of `ann`");
    login("secret");
    assert!(told(&mut push()).contains("Pushed"));
}

#[test]
fn a_registry_has_the_very_image_that_was_pushed() {
    if find("docker-registry").is_none() {
        missing("docker-registry");
        return;
    }
    let Some(world) = tried(&["skopeo"]) else {
        return;
    };
    let at = world.store("registry");
    let (_daemon, port) = registry(&at, "");
    let place = format!("localhost:{port}/{NAME}");
    let file = ["--file", text(&world.archive)];
    let push = |more: &[&str]| told(&mut rebeam(&world, &[&["push"], more, &file].concat()));
    let said = push(&[&place, "--tag", "latest", "--tag", TAG]);
    let manifest = world.image.manifest_digest().to_string();
    assert!(said.contains(&format!("{place}:latest@{manifest}")), "{said}");
    assert!(push(&[&place]).contains("nothing to send"));
    let inspected = |place: &str, tag: &str| -> serde_json::Value {
        let at = format!("docker://{place}:{tag}");
        serde_json::from_str(&run("skopeo", &["inspect", "--tls-verify=false", &at])).unwrap()
    };
    let layers: Vec<String> =
        world.image.layers.iter().map(|layer| layer.blob.digest().to_string()).collect();
    for tag in ["latest", TAG] {
        let there = inspected(&place, tag);
        assert_eq!(there["Digest"], manifest.as_str());
        assert_eq!(there["Layers"], serde_json::json!(layers));
    }
    // Another repository takes the blobs from the first.
    let other = format!("localhost:{port}/other");
    assert!(push(&[&other, "--mount-from", NAME]).contains("nothing to send"));
    assert_eq!(inspected(&other, TAG)["Digest"], manifest.as_str());
    // What a registry gives back is the file that was pushed.
    let policy = at.join("policy.json");
    fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let (from, back) = (format!("docker://{other}:{TAG}"), at.join("back"));
    let to = format!("dir:{}", text(&back));
    run("skopeo", &["--policy", text(&policy), "copy", "--src-tls-verify=false", &from, &to]);
    for layer in &world.image.layers {
        assert!(back.join(layer.blob.digest().hex()).exists());
    }
    // So does rebeam, which then reads the image as it reads the file.
    let pull = |what: &str, network| {
        let store = Store::open(&at.join("pulled")).unwrap();
        let http = Http::new(network, Mirrors::default());
        let credentials = Credentials { files: vec![], programs: None, ms_max: 1_000 };
        let door = Door {
            http: &http,
            credentials: &credentials,
            security: Security::Encrypted,
            observer: &Silent,
        };
        let origin = Origin::parse(what).unwrap();
        let pulled = registry::pull(&origin, &Platform::of_this_machine(), &store, door).unwrap();
        let there = image::inspect(pulled.lay_out(&store).unwrap().path()).unwrap();
        assert_eq!(there.manifest_digest, Some(world.image.manifest_digest()));
        assert_eq!(there.image_id, world.image.image_id());
        pulled.received_bytes
    };
    assert!(pull(&format!("{other}:{TAG}"), Network::Open) > 0);
    assert_eq!(pull(&format!("{other}@{manifest}"), Network::Offline), 0);
}

#[test]
fn a_registry_hands_results_from_one_store_to_another() {
    if find("docker-registry").is_none() {
        missing("docker-registry");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("registry");
    fs::create_dir(&at).unwrap();
    let (_daemon, port) = registry(&at, "");
    let cache = |place: &str| {
        let http = Http::new(Network::Open, Mirrors::default());
        let credentials = Credentials { files: vec![], programs: None, ms_max: 1_000 };
        let place = cache::Place::parse(place).unwrap();
        Cache::new(place, Way { http, credentials, security: Security::Encrypted })
    };
    let place = format!("localhost:{port}/team/cache");
    let [one, two] = ["one", "two"].map(|name| Store::open(&directory.path().join(name)).unwrap());
    let mut keys = Vec::new();
    for step in 0..12 {
        let scratch = one.scratch().unwrap();
        fs::write(scratch.path().join("made"), vec![step; 40_000]).unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::rename(scratch.path().join("made"), tree.join("made")).unwrap();
        let tree = one.insert_tree("made", &tree, None).unwrap();
        let key = BuildKey::of(&format!("step {step}"));
        let outputs = vec![("output".to_owned(), tree.digest())];
        one.remember(key, &Record { inputs: format!("step {step}\n"), outputs }).unwrap();
        keys.push(key);
    }
    cache(&place).fill(keys.clone(), &one, &Silent).unwrap();
    two.look_also(std::sync::Arc::new(Caches(vec![cache(&place)])));
    for key in keys {
        let brought = two.recall_shared(key, &Silent).unwrap();
        assert_eq!(brought, one.recall(key).unwrap());
        assert!(brought.is_some());
    }
    assert_eq!(two.recall_shared(BuildKey::of("nothing"), &Silent).unwrap(), None);
}

#[test]
fn a_registry_behind_tls_and_a_login_is_spoken_to_on_this_machine_too() {
    let Some(world) = tried(&["docker-registry"]) else {
        return;
    };
    let at = world.store("registry");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let (trusted, closed) = (at.join("trusted.pem"), at.join("key.pem"));
    fs::write(&trusted, certificate.pem()).unwrap();
    fs::write(&closed, key.serialize_pem()).unwrap();
    let people = at.join("people");
    // The password is `secret`.
    let ann = "ann:$2b$05$FpJnCt.V/e8SCN7XT1skB.WG17bD/lP5NH.gGAwdoS1cyPiLTXf9G\n";
    fs::write(&people, ann).unwrap();
    let tls = format!(", tls: {{certificate: {}, key: {}}}", text(&trusted), text(&closed));
    let people = format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", text(&people));
    let (_daemon, port) = registry_by(&at, &tls, &people);
    let place = format!("localhost:{port}/{NAME}:{TAG}");
    let auths =
        format!(r#"{{"auths":{{"localhost:{port}":{{"username":"ann","password":"secret"}}}}}}"#);
    fs::create_dir_all(world.root.join(".docker")).unwrap();
    fs::write(world.root.join(".docker/config.json"), auths).unwrap();
    let push = || rebeam(&world, &["push", &place, "--file", text(&world.archive)]);
    let output = push().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("is not trusted, so nothing was sent"), "{said}");
    assert!(said.contains("SSL_CERT_FILE"), "{said}");
    let with_trust = |mut command: Command| told(command.env("SSL_CERT_FILE", &trusted));
    assert!(with_trust(push()).contains("Attached SPDX, SLSA provenance"));
    assert!(with_trust(push()).contains("nothing to send"));
    let inspected = rebeam(&world, &["image", "inspect", &place]);
    assert!(with_trust(inspected).contains("Pulled"));
}

#[test]
fn a_push_that_is_killed_names_nothing_and_the_next_one_finishes_it() {
    let Some(world) = tried(&["docker-registry"]) else {
        return;
    };
    let at = world.store("registry");
    let (_daemon, port) = registry(&at, "");
    let narrow = Narrow::before(port, 300_000);
    let place = |port| format!("localhost:{port}/{NAME}:{TAG}");
    let slow = place(narrow.port);
    let mut push = rebeam(&world, &["push", &slow, "--file", text(&world.archive)]);
    let mut child = push.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    narrow.wait();
    child.kill().unwrap();
    child.wait().unwrap();
    let tags = at.join("data/docker/registry/v2/repositories").join(NAME).join("_manifests/tags");
    assert!(!tags.exists());
    let said = told(&mut rebeam(&world, &["push", &place(port), "--file", text(&world.archive)]));
    assert!(said.contains(&world.image.manifest_digest().to_string()), "{said}");
    let back = format!("docker://{}", place(port));
    let inspected = run("skopeo", &["inspect", "--tls-verify=false", &back]);
    assert!(inspected.contains(&world.image.manifest_digest().to_string()), "{inspected}");
}

/// A way to a server that takes so many bytes and no more.
struct Narrow {
    port: u16,
    full: std::sync::mpsc::Receiver<()>,
}

impl Narrow {
    fn before(port: u16, bytes: usize) -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let (tell, full) = std::sync::mpsc::channel();
        let passed = std::sync::Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (mut from, mut to) = (client, server);
                let (tell, passed) = (tell.clone(), passed.clone());
                std::thread::spawn(move || {
                    let mut buffer = [0; 16 << 10];
                    loop {
                        let count = std::io::Read::read(&mut from, &mut buffer).unwrap_or(0);
                        if count == 0 {
                            return;
                        }
                        // What is too much is held back, and the connection stands until the client is gone.
                        if passed.fetch_add(count, Ordering::SeqCst) > bytes {
                            let _ = tell.send(());
                        } else if std::io::Write::write_all(&mut to, &buffer[..count]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port: own, full }
    }

    fn wait(&self) {
        self.full.recv_timeout(Duration::from_secs(60)).expect("more is sent than passes");
    }
}
