//! What the room promises: the same bytes for the same release, each layer made once, strangers' files survived.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::event::Silent;
use crate::manifest::HealthCheck;
use crate::release::tests::{World, manifest};
use crate::release::{Component, Content, Facts, Machine, Node, Start, at};

fn lock() -> Lock {
    Lock { project: "shop".into(), epoch: 1_700_000_000, ..Lock::of(vec![]) }
}

/// A release that stands on no disk.
fn small() -> Release {
    let text = |path: &str, text: &str| (at(path), Node::text(text));
    let directory = |path: &str| (at(path), Node::directory());
    let system = [
        directory("etc"),
        text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        (at("lib"), Node::link("usr/lib")),
        (at("tmp"), Node { mode: 0o1777, ..Node::directory() }),
    ];
    let app = [
        directory("app"),
        directory("app/log"),
        (
            at("app/run"),
            Node { mode: 0o755, ..Node::text("#!run\n".repeat(1000)) }.owned_by((65532, 65532)),
        ),
    ];
    let part = |part, entries: Vec<_>| Component { part, entries: entries.into_iter().collect() };
    Release {
        components: vec![part(Part::System, system.to_vec()), part(Part::App, app.to_vec())],
        start: Start {
            entrypoint: vec!["/app/run".into()],
            cmd: vec!["now".into()],
            env: BTreeMap::from([
                ("LANG".into(), "C.UTF-8".into()),
                ("HOME".into(), "/tmp".into()),
            ]),
            directory: "/app".into(),
        },
        facts: Facts {
            name: "shop".into(),
            version: "1.2.0".into(),
            erts: "13.1".into(),
            machine: Machine::X86_64,
            apps: BTreeMap::new(),
            packages: Default::default(),
            libraries: Default::default(),
        },
    }
}

struct Bench {
    directory: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    fn image(&self, release: &Release) -> Image {
        assemble(release, &lock(), &manifest(), &self.store, &Silent).unwrap()
    }

    fn archive(&self, release: &Release) -> PathBuf {
        let path = self.directory.path().join("image.tar");
        write_archive(&self.image(release), "team/shop", "1.2.0", &path).unwrap();
        path
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(match event {
            Event::LayerReused { name, .. } => format!("reused {name}"),
            Event::LayerMade { name, .. } => format!("made {name}"),
            other => format!("{other:?}"),
        });
    }
}

/// A change of these figures is a change for every user: it needs another `IMAGE_FORMAT`.
#[test]
fn format_1_has_these_very_digests() {
    let bench = Bench::new();
    let image = bench.image(&small());
    let path = bench.archive(&small());
    let archive = Digest::of(&std::fs::read(path).unwrap());
    let blobs: Vec<_> =
        image.layers.iter().map(|layer| (layer.diff_id, layer.blob.digest())).collect();
    insta::assert_snapshot!(format!(
        "{blobs:#?}\nimage id {}\nmanifest {}\narchive  {archive}",
        image.image_id(),
        image.manifest_digest()
    ));
}

#[test]
fn the_documents_say_what_was_wished_for() {
    let bench = Bench::new();
    let mut wishes = manifest();
    wishes.image.health = Some(HealthCheck {
        command: vec!["/app/check".into()],
        interval_s: 30,
        timeout_s: 5,
        retries: 3,
    });
    let image = assemble(&small(), &lock(), &wishes, &bench.store, &Silent).unwrap();
    let read = |blob: &HeldBlob| String::from_utf8(std::fs::read(blob.path()).unwrap()).unwrap();
    insta::assert_snapshot!(format!("{}\n{}", read(&image.config), read(&image.manifest)));
}

#[test]
fn an_unchanged_layer_is_not_made_again() {
    let bench = Bench::new();
    let world = World::new();
    let heard = Heard::default();
    let build = || {
        let release = world.assemble().unwrap();
        assemble(&release, &lock(), &world.manifest, &bench.store, &heard).unwrap()
    };
    let first = build();
    let second = build();
    assert_eq!(first.manifest, second.manifest);
    world.release("lib/shop-1.2.0/priv/page.html", b"another page");
    let third = build();
    assert_ne!(first.image_id(), third.image_id());
    let parts = Part::ALL.map(Part::name);
    let lines: Vec<_> = [
        parts.map(|name| format!("made {name}")),
        parts.map(|name| format!("reused {name}")),
        parts.map(|name| format!("{} {name}", if name == "app" { "made" } else { "reused" })),
    ]
    .concat();
    assert_eq!(*heard.0.lock().unwrap(), lines);
}

#[test]
fn a_layer_that_left_the_store_is_made_again() {
    let bench = Bench::new();
    let first = bench.image(&small());
    std::fs::remove_file(first.layers[0].blob.path()).unwrap();
    let second = bench.image(&small());
    assert!(!second.layers[0].reused && second.layers[1].reused);
    assert_eq!(first.layers[0].blob, second.layers[0].blob);
}

#[test]
fn another_time_gives_another_image() {
    let bench = Bench::new();
    let later = Lock { epoch: 1_700_000_001, ..lock() };
    let image = assemble(&small(), &later, &manifest(), &bench.store, &Silent).unwrap();
    assert_ne!(bench.image(&small()).layers[0].diff_id, image.layers[0].diff_id);
}

#[test]
fn what_cannot_be_dated_or_made_is_refused() {
    let bench = Bench::new();
    let refused =
        |lock: Lock| assemble(&small(), &lock, &manifest(), &bench.store, &Silent).unwrap_err();
    assert!(matches!(refused(Lock { epoch: -1, ..lock() }), ImageError::Epoch { .. }));
    assert!(matches!(refused(Lock { epoch: i64::MAX, ..lock() }), ImageError::Epoch { .. }));
    let error = refused(Lock { image_format: 99, ..lock() });
    assert_eq!(
        error.to_string(),
        format!("the lock asks for image format 99, and this rebeam makes format {IMAGE_FORMAT}")
    );
    let mut release = small();
    release.components[1].entries.insert(at("app/.wh.lib"), Node::text(""));
    let error = assemble(&release, &lock(), &manifest(), &bench.store, &Silent).unwrap_err();
    assert!(matches!(error, ImageError::Whiteout { .. }));
}

#[test]
fn a_module_that_cannot_be_stripped_is_named() {
    let bench = Bench::new();
    let world = World::new();
    world.release("lib/shop-1.2.0/ebin/shop.beam", b"no module");
    let release = world.assemble().unwrap();
    let error = assemble(&release, &lock(), &world.manifest, &bench.store, &Silent).unwrap_err();
    assert!(error.to_string().contains("shop.beam"), "{error}");
    assert!(matches!(error, ImageError::Release(ReleaseError::DamagedBeam { .. })));
}

#[test]
fn an_image_reads_back_from_its_file() {
    let bench = Bench::new();
    let world = World::new();
    let release = world.assemble().unwrap();
    let image = bench.image(&release);
    let path = bench.archive(&release);
    let read = inspect(&path).unwrap();
    assert_eq!(read.image_id, image.image_id());
    assert_eq!(read.manifest_digest, Some(image.manifest_digest()));
    assert_eq!(read.names, ["team/shop:1.2.0"]);
    assert_eq!(read.architecture, "amd64");
    assert_eq!(read.created.as_deref(), Some("2023-11-14T22:13:20Z"));
    assert_eq!(read.entrypoint, release.start.entrypoint);
    assert_eq!(read.user, "65532:65532");
    assert_eq!(read.ports, ["8080/tcp"]);
    assert_eq!(read.volumes, ["/var/lib/shop"]);
    assert_eq!(read.labels["team"], "sales");
    assert_eq!(read.lock.as_deref(), Some("version = 1\n"));
    assert_eq!(read.provenance.as_deref(), Some("{}\n"));
    let parts: Vec<_> = read.layers.iter().map(|layer| layer.made_by.as_str()).collect();
    assert_eq!(parts, Part::ALL.map(|part| format!("rebeam layer={}", part.name())));
    for (read, made) in read.layers.iter().zip(&image.layers) {
        assert_eq!(
            (read.digest, read.bytes, read.diff_id, read.tar_bytes),
            (made.blob.digest(), made.bytes, made.diff_id, made.tar_bytes)
        );
    }
}

#[test]
fn the_file_s_documents_come_first() {
    let bench = Bench::new();
    let path = bench.archive(&small());
    let mut archive = ::tar::Archive::new(std::fs::File::open(path).unwrap());
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names[..3], ["oci-layout", "index.json", "manifest.json"]);
    assert!(names[3..].iter().all(|name| name.starts_with("blobs/sha256/")));
}

#[test]
fn an_old_docker_archive_is_read_too() {
    let bench = Bench::new();
    let layer = {
        let mut builder = ::tar::Builder::new(Vec::new());
        let mut header = ::tar::Header::new_ustar();
        header.set_size(2);
        header.set_mode(0o644);
        builder.append_data(&mut header, "file", &b"hi"[..]).unwrap();
        builder.into_inner().unwrap()
    };
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        Digest::of(&layer)
    );
    let name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let manifest = format!(r#"[{{"Config":"{name}","RepoTags":null,"Layers":["a/layer.tar"]}}]"#);
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, bytes) in [
        (name.as_str(), config.as_bytes()),
        ("a/layer.tar", &layer),
        ("manifest.json", manifest.as_bytes()),
    ] {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
    }
    let path = bench.directory.path().join("old.tar");
    std::fs::write(&path, builder.into_inner().unwrap()).unwrap();
    let read = inspect(&path).unwrap();
    assert_eq!(read.manifest_digest, None);
    assert_eq!(read.lock, None);
    assert_eq!(read.layers[0].tar_bytes, layer.len() as u64);
}

/// Writes a changed copy of a good file and returns what is said of it.
fn said_of(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let bench = Bench::new();
    let path = bench.archive(&small());
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    let error = inspect(&path).unwrap_err();
    error.to_string().replace(path.to_str().unwrap(), "FILE")
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let at = bytes.windows(old.len()).position(|part| part == old).unwrap();
    bytes[at..at + new.len()].copy_from_slice(new);
}

#[test]
fn a_file_that_is_no_image_is_refused_with_its_reason() {
    assert_eq!(
        said_of(|bytes| bytes.clear()),
        "`FILE` is no image file: it holds no `manifest.json`"
    );
    assert_eq!(
        said_of(|bytes| *bytes = b"text".repeat(1000)),
        "`FILE` is no image file: it is no tar"
    );
    let cut = said_of(|bytes| bytes.truncate(bytes.len() - 1600));
    assert!(cut.starts_with("`FILE` is no image file: it breaks off behind `blobs/"), "{cut}");
    let cut = said_of(|bytes| bytes.truncate(bytes.len() - 1400));
    assert!(cut.starts_with("`FILE` is cut off: `blobs/sha256/"), "{cut}");
    let json = said_of(|bytes| replace(bytes, br#"[{"Config""#, br#"[("Config""#));
    assert!(json.contains("`manifest.json` cannot be read"), "{json}");
    let config = said_of(|bytes| replace(bytes, b"\"amd64\",\"config\"", b"\"amd65\",\"config\""));
    assert!(config.contains("is not what was promised"), "{config}");
    let gone = said_of(|bytes| replace(bytes, b"\"Layers\":[\"blobs", b"\"Layers\":[\"blabs"));
    assert!(gone.starts_with("`FILE` is no image file: it holds no `blabs/sha256/"), "{gone}");
}

#[test]
fn a_flipped_bit_anywhere_in_a_layer_is_found() {
    for from_end in [1024 + 360, 1024 + 400, 1024 + 505] {
        let said = said_of(|bytes| {
            let at = bytes.len() - from_end;
            bytes[at] ^= 1;
        });
        assert!(said.contains("not what was promised") || said.contains("is damaged"), "{said}");
    }
}

#[test]
fn half_an_image_file_is_never_seen() {
    let bench = Bench::new();
    let image = bench.image(&small());
    let path = bench.directory.path().join("image.tar");
    std::fs::write(&path, "the old image").unwrap();
    for changes in 0.. {
        crate::disk::faults::fail_after(changes);
        let written = write_archive(&image, "shop", "1", &path);
        crate::disk::faults::clear();
        if written.is_ok() {
            assert!(changes > 5);
            break;
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"the old image");
        // What was begun may be left where the disk refuses even to remove it; it bears a hidden name.
        for entry in std::fs::read_dir(bench.directory.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "store" || name == "image.tar" || name.starts_with('.'), "{name}");
        }
    }
    assert!(inspect(&path).is_ok());
}

fn nodes() -> impl Strategy<Value = BTreeMap<crate::tree::RelPath, Node>> {
    let name = "[a-zäß0-9._ -]{1,60}";
    let content = prop_oneof![
        Just(Content::Directory),
        name.prop_map(|target| Content::Symlink(target.into())),
        proptest::collection::vec(any::<u8>(), 0..1500).prop_map(Content::Bytes),
    ];
    let node = (content, 0_u32..0o10000, any::<u32>(), any::<u32>())
        .prop_map(|(content, mode, uid, gid)| Node { mode, uid, gid, content });
    let path = proptest::collection::vec(name, 1..6)
        .prop_filter_map("it is no path", |parts| crate::tree::RelPath::new(parts.join("/")).ok());
    proptest::collection::btree_map(path, node, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_entries_read_back_from_their_tar(entries in nodes()) {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        super::tar::TarStream::new(entries.iter(), 7).read_to_end(&mut bytes).unwrap();
        prop_assert_eq!(bytes.len() % 512, 0);
        let mut archive = ::tar::Archive::new(bytes.as_slice());
        let mut seen = 0;
        for (entry, (path, node)) in archive.entries().unwrap().zip(&entries) {
            let mut entry = entry.unwrap();
            let mut body = Vec::new();
            entry.read_to_end(&mut body).unwrap();
            let name = entry.path_bytes().into_owned();
            prop_assert_eq!(name.strip_suffix(b"/").unwrap_or(&name), path.as_bytes());
            prop_assert_eq!(entry.header().mode().unwrap(), node.mode);
            prop_assert_eq!(entry.header().uid().unwrap(), u64::from(node.uid));
            if let Content::Bytes(bytes) = &node.content {
                prop_assert_eq!(&body, bytes);
            }
            if let Content::Symlink(target) = &node.content {
                let read = entry.link_name_bytes().unwrap().into_owned();
                prop_assert_eq!(&read, target);
            }
            seen += 1;
        }
        prop_assert_eq!(seen, entries.len());
    }

    #[test]
    fn no_change_of_a_file_makes_inspect_panic(changes in proptest::collection::vec((0_usize..8000, any::<u8>()), 1..20)) {
        let bench = Bench::new();
        let path = bench.archive(&small());
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[at % length] = byte;
        }
        std::fs::write(&path, bytes).unwrap();
        let _ = inspect(&path);
    }
}

#[test]
fn the_parts_of_an_image_add_up_to_its_layers() {
    let bench = Bench::new();
    let archive = bench.archive(&small());
    let sizes = sizes(&archive).unwrap();
    let inspected = inspect(&archive).unwrap();
    assert_eq!(sizes.layers.len(), inspected.layers.len());
    for (size, layer) in sizes.layers.iter().zip(&inspected.layers) {
        assert_eq!((size.packed_bytes, size.tar_bytes), (layer.bytes, layer.tar_bytes));
        assert_eq!(size.parts.iter().map(|part| part.bytes).sum::<u64>(), layer.tar_bytes);
        assert!(size.parts.is_sorted_by(|one, other| one.bytes >= other.bytes));
    }
    let names: Vec<&str> = sizes.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["system", "app"]);
    let run = &sizes.layers[1].parts.iter().find(|part| part.name == "run").unwrap().files;
    assert_eq!(run[0], FileSize { path: "app/run".into(), bytes: 6000 });
}

#[test]
fn the_contents_of_an_image_are_its_manifests_blobs() {
    let bench = Bench::new();
    let image = bench.image(&small());
    let contents = Contents::read(&bench.archive(&small())).unwrap();
    contents.check().unwrap();
    assert!(contents.ours);
    assert_eq!(contents.names, ["team/shop:1.2.0"]);
    assert_eq!(contents.manifest_digest, image.manifest_digest());
    assert_eq!(Digest::of(&contents.manifest), image.manifest_digest());
    assert_eq!(
        (contents.image_id(), contents.config.bytes),
        (image.image_id(), image.config_bytes)
    );
    let expected: Vec<_> =
        image.layers.iter().map(|layer| (layer.blob.digest(), layer.bytes)).collect();
    let found: Vec<_> = contents.layers.iter().map(|blob| (blob.digest, blob.bytes)).collect();
    assert_eq!(found, expected);
    assert_eq!(contents.layers[1].name, "layer app");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut contents.open(&contents.layers[1]).unwrap(), &mut bytes)
        .unwrap();
    assert_eq!(Digest::of(&bytes), contents.layers[1].digest);
}
