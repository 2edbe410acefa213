//! What bundles promise: one lock, one file; and nothing held of one that is not whole and true.

use std::path::{Path, PathBuf};

use super::{BundleError, Contents, Documents, export, import, vendor};
use crate::digest::Digest;
use crate::disk;
use crate::fetch::Sources;
use crate::lock::{BaseLock, Deb, Lock, Pin, Role, Source};
use crate::manifest::Platform;
use crate::store::{HeldBlob, HeldTree, Store};

struct World {
    directory: tempfile::TempDir,
    store: Store,
    lock: Lock,
    tree: HeldTree,
    blob: HeldBlob,
}

fn write(path: &Path, bytes: &[u8], executable: bool) {
    disk::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = disk::create_new(path, executable).unwrap();
    disk::write_all(&mut file, path, bytes).unwrap();
}

/// A store with a tree of all kinds of entries and a blob, and a lock that names both.
fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let scratch = store.scratch().unwrap();
    let root = scratch.path().join("tree");
    let long = format!("deep/{}/{}", "d".repeat(90), "f".repeat(120));
    write(&root.join("src/a.erl"), b"-module(a).\n", false);
    write(&root.join("bin/run"), b"#!/bin/sh\n", true);
    write(&root.join(&long), &[7; 70_000], false);
    disk::create_dir_all(&root.join("empty")).unwrap();
    disk::symlink(b"../src/./a.erl", &root.join("bin/a")).unwrap();
    disk::symlink(b"/etc/hostname", &root.join("out")).unwrap();
    disk::symlink("../".repeat(60).as_bytes(), &root.join("far")).unwrap();
    let tree = store.insert_tree("a", &root, None).unwrap();
    let blob = store.insert_blob("deb", &[3; 3000][..], 3000, None).unwrap();
    let lock = lock(tree.digest(), blob.digest());
    World { directory, store, lock, tree, blob }
}

fn lock(tree: Digest, blob: Digest) -> Lock {
    let source = Source {
        parents: ["top".to_owned()].into(),
        ..Source::of(
            "a",
            Role::Dep,
            Pin::Git {
                url: "https://git.example/a".into(),
                commit: "1".repeat(40),
                subdir: None,
                tree,
            },
            "tag 1",
        )
    };
    let deb = Deb {
        package: "libc6".into(),
        version: "2.36-9".into(),
        architecture: "amd64".into(),
        sha256: blob,
        size: 3000,
        path: "pool/main/g/glibc/libc6.deb".into(),
        suite: "bookworm".into(),
    };
    let mut lock = Lock { epoch: 1, ..Lock::of(vec![source]) };
    lock.toolchain.debs = vec![deb];
    lock
}

impl World {
    fn contents(&self) -> Contents {
        Contents {
            lock: self.lock.clone(),
            trees: vec![self.tree.clone()],
            blobs: vec![self.blob.clone()],
            documents: Documents::from([(("hexpm".into(), "a".into()), b"signed".to_vec())]),
        }
    }

    fn bundle(&self) -> PathBuf {
        let path = self.directory.path().join("x.bundle");
        export(&self.contents(), &self.store, &path).unwrap();
        path
    }

    /// Tries to take a bundle of these bytes into an empty store; tells what happened and what is held then.
    fn taken(&self, bytes: &[u8]) -> (Result<(), BundleError>, bool) {
        let place = tempfile::tempdir_in(self.directory.path()).unwrap();
        let store = Store::open(&place.path().join("store")).unwrap();
        let path = place.path().join("bundle");
        disk::write_atomic(&path, bytes).unwrap();
        let result = import(&path, &store, &|_| Ok(())).map(drop);
        let held = store.tree(self.tree.digest()).unwrap().is_some()
            || store.blob(self.blob.digest()).unwrap().is_some();
        (result, held)
    }
}

#[test]
fn one_lock_makes_one_file_and_all_of_it_arrives() {
    let world = world();
    let path = world.bundle();
    let bytes = disk::read(&path, 1 << 30).unwrap();
    let (digest, size) = export(&world.contents(), &world.store, &path).unwrap();
    assert_eq!((digest, size), (Digest::of(&bytes), bytes.len() as u64));
    let other = Store::open(&world.directory.path().join("other")).unwrap();
    let imported = import(&path, &other, &|_| Ok(())).unwrap();
    assert_eq!((imported.trees, imported.blobs), (1, 1));
    assert_eq!(imported.lock, world.lock);
    assert_eq!(imported.documents, world.contents().documents);
    assert!(other.tree(world.tree.digest()).unwrap().is_some());
    assert!(other.blob(world.blob.digest()).unwrap().is_some());
    let again = world.directory.path().join("again.bundle");
    let contents = Contents {
        trees: vec![other.tree(world.tree.digest()).unwrap().unwrap()],
        blobs: vec![other.blob(world.blob.digest()).unwrap().unwrap()],
        ..world.contents()
    };
    assert_eq!(export(&contents, &other, &again).unwrap().0, digest);
}

#[test]
fn a_bundle_that_was_cut_off_anywhere_is_refused_and_nothing_is_held() {
    let world = world();
    let bytes = disk::read(&world.bundle(), 1 << 30).unwrap();
    // The last two blocks are zeros and mean nothing more.
    let whole = bytes.len() - 1024;
    let cuts = (0..whole).step_by(512 * 7).chain((0..whole).step_by(4001)).chain([whole - 1]);
    for length in cuts {
        let (result, held) = world.taken(&bytes[..length]);
        let error = result.expect_err(&format!("{length} of {} bytes", bytes.len()));
        assert!(!held, "{length}: {error}");
    }
}

#[test]
fn a_bundle_in_which_a_bit_was_turned_is_refused_or_means_the_same() {
    let world = world();
    let bytes = disk::read(&world.bundle(), 1 << 30).unwrap();
    let mut refused = 0;
    for at in (0..bytes.len()).step_by(1009) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let (result, held) = world.taken(&bytes);
        refused += usize::from(result.is_err());
        assert_eq!(result.is_ok(), held, "{at}: {result:?}");
    }
    assert!(refused > 60, "{refused}");
}

/// A tar of these members, with the mark and the lock before them.
fn crafted(world: &World, more: &dyn Fn(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in
        [("rebeam-bundle", b"1\n".to_vec()), ("rebeam.lock", world.lock.to_text().into_bytes())]
    {
        file(&mut builder, name, &bytes);
    }
    more(&mut builder);
    builder.into_inner().unwrap()
}

fn file(builder: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    builder.append(&header, bytes).unwrap();
}

fn link(builder: &mut tar::Builder<Vec<u8>>, name: &str, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_size(0);
    builder.append_link(&mut header, name, target).unwrap();
}

#[test]
fn what_the_lock_does_not_name_and_what_leads_outside_is_refused() {
    let world = world();
    let outside = world.tree.path().to_str().unwrap().to_owned();
    let blobs = world.blob.path().parent().unwrap().to_str().unwrap().to_owned();
    let tree = format!("trees/{}", world.tree.digest().hex());
    let said = |more: &dyn Fn(&mut tar::Builder<Vec<u8>>)| {
        let (result, held) = world.taken(&crafted(&world, more));
        assert!(!held);
        let error = result.unwrap_err();
        std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)
    };
    assert!(said(&|tar| file(tar, "../x", b"x")).contains("unsafe name"));
    assert!(said(&|tar| file(tar, "/etc/x", b"x")).contains("unsafe name"));
    assert!(said(&|tar| file(tar, "more", b"x")).contains("holds `more`"));
    assert!(said(&|tar| file(tar, "trees/x", b"x")).contains("holds `trees/x`"));
    // A link to the very thing is no copy of it.
    assert!(said(&|tar| link(tar, &tree, &outside)).contains("holds `trees/"));
    assert!(said(&|tar| link(tar, "blobs", &blobs)).contains("lacks `trees/"));
    assert!(
        said(&|tar| {
            link(tar, "trees", "/tmp");
            file(tar, "trees/x", b"x");
        })
        .contains("unsafe name")
    );
    let other = format!("blobs/{}", Digest::of(b"other").hex());
    assert!(said(&|tar| file(tar, &other, b"other")).contains("lacks `trees/"));
    assert!(said(&|_| {}).contains("lacks `trees/"));
    assert!(
        said(&|tar| file(tar, &format!("{tree}/x"), b"x")).contains("is not what its name says")
    );
}

/// A world whose lock names a base, with the manifest of it that `said` makes of configuration and layer.
fn over_a_base(said: impl Fn(Digest, Digest) -> String) -> (World, Vec<HeldBlob>) {
    let mut world = world();
    let keep = |bytes: &[u8]| world.store.insert_blob("base", bytes, 3000, None).unwrap();
    let (config, layer, index) = (keep(b"{}"), keep(b"a layer"), keep(b"an index"));
    let manifest = keep(said(config.digest(), layer.digest()).as_bytes());
    let manifests = [(Platform::Arm64, manifest.digest())].into();
    let (image, digest) = ("r.example/base:1".to_owned(), index.digest());
    world.lock.base = Some(BaseLock { image, digest, manifests });
    (world, vec![config, layer, index, manifest])
}

fn manifest(config: Digest, layer: Digest) -> String {
    format!(r#"{{"config":{{"digest":"{config}"}},"layers":[{{"digest":"{layer}","size":7}}]}}"#)
}

#[test]
fn the_base_comes_along_whole_or_nothing_is_taken() {
    let (world, base) = over_a_base(manifest);
    let place = world.directory.path().join("x.bundle");
    let with = |blobs: &[HeldBlob]| {
        let blobs = blobs.iter().chain([&world.blob]).cloned().collect();
        export(&Contents { blobs, ..world.contents() }, &world.store, &place).unwrap();
        disk::read(&place, 1 << 30).unwrap()
    };
    for lacking in 0..base.len() {
        let mut blobs = base.clone();
        let digest = blobs.remove(lacking).digest();
        let (result, held) = world.taken(&with(&blobs));
        let error = result.unwrap_err().to_string();
        assert!(error.contains(&format!("lacks `blobs/{}`", digest.hex())), "{error}");
        assert!(!held);
    }
    with(&base);
    let other = Store::open(&world.directory.path().join("other")).unwrap();
    let imported = import(&place, &other, &|_| Ok(())).unwrap();
    assert_eq!((imported.trees, imported.blobs), (1, 1), "packages are counted alone");
    for blob in &base {
        assert!(other.blob(blob.digest()).unwrap().is_some());
        assert!(imported.needed.contains(&blob.digest()));
    }
}

#[test]
fn a_base_s_manifest_that_is_none_is_refused() {
    for said in ["[]", "{}", r#"{"config":{"digest":"x"},"layers":[]}"#] {
        let (world, base) = over_a_base(|_, _| said.to_owned());
        let place = world.directory.path().join("x.bundle");
        let blobs = base.into_iter().chain([world.blob.clone()]).collect();
        export(&Contents { blobs, ..world.contents() }, &world.store, &place).unwrap();
        let (result, held) = world.taken(&disk::read(&place, 1 << 30).unwrap());
        assert!(matches!(result, Err(BundleError::NoManifest { .. })), "{result:?}");
        assert!(!held);
    }
}

#[test]
fn another_file_and_a_newer_format_are_named_as_such() {
    let world = world();
    for bytes in [&b""[..], b"PK", &[0; 4096]] {
        let error = world.taken(bytes).0.unwrap_err();
        assert!(matches!(error, BundleError::NotABundle { .. }), "{error:?}");
    }
    let mut builder = tar::Builder::new(Vec::new());
    file(&mut builder, "rebeam-bundle", b"2\n");
    let error = world.taken(&builder.into_inner().unwrap()).0.unwrap_err();
    assert!(matches!(error, BundleError::Newer { .. }), "{error:?}");
}

#[test]
fn a_document_that_is_not_believed_keeps_everything_out() {
    let world = world();
    let other = Store::open(&world.directory.path().join("other")).unwrap();
    let path = world.bundle();
    let refused = || BundleError::NotABundle { path: path.clone() };
    import(&path, &other, &|_| Err(refused())).unwrap_err();
    assert!(other.blob(world.blob.digest()).unwrap().is_none());
}

#[test]
fn vendored_sources_are_checked_and_replace_only_what_was_made_before() {
    let world = world();
    let directory = world.directory.path().join("vendor");
    let sources = Sources { trees: [((Role::Dep, "a".to_owned()), world.tree.clone())].into() };
    let vendored = || vendor(&world.lock, &sources, &world.store, &directory);
    assert_eq!(vendored().unwrap().sources, 1);
    let hash = || crate::tree::scan(&directory.join("deps/a"), &[]).unwrap().hash;
    assert_eq!(hash(), world.tree.digest());
    write(&directory.join("deps/a/more"), b"", false);
    vendored().unwrap();
    assert_eq!(hash(), world.tree.digest());
    disk::remove_file(&directory.join(".rebeam-vendor")).unwrap();
    assert!(matches!(vendored(), Err(BundleError::Occupied { .. })));
    assert_eq!(hash(), world.tree.digest());
}
