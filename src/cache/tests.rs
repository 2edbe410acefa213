//! What a shared result is proved to be, and what happens where it is not.

use std::fs;
use std::sync::Arc;

use super::*;
use crate::digest::Digest;
use crate::event::Silent;
use crate::http::serve::closed_door;

/// Keeps the warnings.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Warned { message } => self.0.lock().unwrap().push((*message).to_owned()),
            Event::CacheFilled { sent, present, .. } => {
                self.0.lock().unwrap().push(format!("sent {sent}, present {present}"));
            }
            _ => {}
        }
    }
}

struct World {
    directory: tempfile::TempDir,
    heard: Heard,
}

impl World {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), heard: Heard::default() }
    }

    fn store(&self, name: &str) -> Store {
        Store::open(&self.directory.path().join(name)).unwrap()
    }

    fn place(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn cache_at(place: Place) -> Cache {
        let credentials = Credentials { files: vec![], programs: None, ms_max: 1 };
        Cache::new(place, Way { http: closed_door(), credentials, security: Security::Encrypted })
    }

    fn cache(&self) -> Cache {
        Self::cache_at(Place::Directory(self.place()))
    }

    /// Makes a tree in the store and remembers it as what a step made.
    fn result(&self, store: &Store, step: &str) -> (BuildKey, Record) {
        let scratch = store.scratch().unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir_all(tree.join("ebin/empty")).unwrap();
        fs::write(tree.join("ebin/a.beam"), format!("made by {step}")).unwrap();
        fs::write(tree.join("run"), "#!/bin/sh\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(tree.join("run"), executable).unwrap();
        std::os::unix::fs::symlink("../x".repeat(60), tree.join("link")).unwrap();
        let tree = store.insert_tree(step, &tree, None).unwrap();
        let inputs = format!("recipe 1\nstep {step}\n");
        let key = BuildKey::of(&inputs);
        let record = Record { inputs, outputs: vec![("output".into(), tree.digest())] };
        store.remember(key, &record).unwrap();
        (key, record)
    }

    fn bring(&self, store: &Store, cache: Cache, key: BuildKey) -> Option<Record> {
        Caches(vec![cache]).bring(key, store, &self.heard)
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.0.lock().unwrap())
    }

    fn index(&self) -> String {
        fs::read_to_string(self.place().join("index.json")).unwrap()
    }

    /// Replaces a blob of the cache by what `change` makes of it, under the digest of that, all the way up.
    fn forge(&self, key: BuildKey, change: impl Fn(&str) -> String) {
        let blobs = self.place().join("blobs/sha256");
        let index: serde_json::Value = serde_json::from_str(&self.index()).unwrap();
        let tag = entry::tag(key);
        let find = |entry: &&serde_json::Value| entry.to_string().contains(&tag);
        let old = index["manifests"].as_array().unwrap().iter().find(find).unwrap();
        let old = old["digest"].as_str().unwrap().to_owned();
        let manifest = fs::read_to_string(blobs.join(old.trim_start_matches("sha256:"))).unwrap();
        let changed = change(&manifest);
        assert_ne!(manifest, changed);
        let digest = Digest::of(changed.as_bytes());
        fs::write(blobs.join(digest.hex()), changed).unwrap();
        let index = self.index().replace(&old, &digest.to_string());
        fs::write(self.place().join("index.json"), index).unwrap();
    }
}

#[test]
fn a_result_is_the_same_on_another_machine() {
    let world = World::new();
    let one = world.store("one");
    let (key, record) = world.result(&one, "cowlib");
    let lost = BuildKey::of("nothing made this");
    world.cache().fill([key, lost], &one, &world.heard).unwrap();
    assert_eq!(world.heard(), ["sent 1, present 0"]);
    // Beside a project's sources it is none of them: neither to a build nor to git.
    assert!(world.place().join(crate::project::CACHE_MARK).exists());
    assert_eq!(fs::read_to_string(world.place().join(".gitignore")).unwrap(), "*\n");
    let before = world.index();
    world.cache().fill([key], &one, &world.heard).unwrap();
    assert_eq!((world.heard(), world.index()), (vec!["sent 0, present 1".to_owned()], before));
    let two = world.store("two");
    assert_eq!(two.recall(key).unwrap(), None);
    two.look_also(Arc::new(Caches(vec![world.cache()])));
    assert_eq!(two.recall_shared(key, &Silent).unwrap(), Some(record.clone()));
    // From now on it is here, and nobody is asked.
    fs::remove_dir_all(world.place()).unwrap();
    assert_eq!(two.recall_shared(key, &Silent).unwrap(), Some(record));
    assert_eq!(two.recall_shared(lost, &Silent).unwrap(), None);
    assert_eq!(two.asked(), std::collections::BTreeSet::from([key, lost]));
    assert!(world.heard().is_empty());
}

#[test]
fn a_blob_comes_as_it_is_and_a_layer_with_its_words_proved() {
    let world = World::new();
    let one = world.store("one");
    let tar = b"a plain tar".as_slice();
    let packed = {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, tar).unwrap();
        packed.finish().unwrap()
    };
    let blob = one.insert_blob("layer", packed.as_slice(), 1 << 20, None).unwrap();
    let keep = |name: String, key: &str| {
        let record = Record { inputs: String::new(), outputs: vec![(name, blob.digest())] };
        one.remember(BuildKey::of(key), &record).unwrap();
        world.cache().fill([BuildKey::of(key)], &one, &Silent).unwrap();
    };
    keep(format!("tar {} {} 3", Digest::of(tar), tar.len()), "true");
    keep(format!("tar {} {} 3", Digest::of(b"other"), tar.len()), "another tar");
    keep(format!("tar {} 4 3", Digest::of(tar)), "longer");
    for (key, comes) in [("another tar", false), ("longer", false), ("true", true)] {
        // Each in a store of its own: a blob that is held is not looked at again.
        let two = world.store(key);
        let found = world.bring(&two, world.cache(), BuildKey::of(key));
        assert_eq!((found.is_some(), world.heard().len()), (comes, usize::from(!comes)), "{key}");
    }
}

#[test]
fn a_result_that_is_not_what_it_says_is_not_used() {
    let check = |says: &str, forge: &dyn Fn(&World, BuildKey, BuildKey)| {
        let world = World::new();
        let one = world.store("one");
        let ((key, _), (other, _)) = (world.result(&one, "cowlib"), world.result(&one, "ranch"));
        world.cache().fill([key, other], &one, &Silent).unwrap();
        forge(&world, key, other);
        let two = world.store("two");
        assert_eq!(world.bring(&two, world.cache(), key), None, "{says}");
        let heard = world.heard();
        assert!(heard.len() == 1 && heard[0].contains(says), "{heard:?}");
        assert_eq!(two.recall(key).unwrap(), None);
    };
    check("it is of another key", &|world, key, other| {
        let (key, other) = (entry::tag(key), entry::tag(other));
        let index = world.index().replace(&key, "x").replace(&other, &key).replace('x', "y");
        fs::write(world.place().join("index.json"), index).unwrap();
    });
    let content = |manifest: &str| {
        let at = manifest.find("dev.rebeam.content\":\"sha256:").unwrap() + 28;
        manifest[at..at + 64].to_owned()
    };
    check("than it says", &|world, key, _| {
        world.forge(key, |text| text.replace(&content(text), &Digest::of(b"").hex()));
    });
    check("has an output of the type", &|world, key, _| {
        world.forge(key, |text| text.replace("tree.v1.tar+zstd", "tree.v2"));
    });
    check("lacks its name or its hash", &|world, key, _| {
        world.forge(key, |text| text.replace("dev.rebeam.content", "else"));
    });
    check("it is no result of a step", &|world, key, _| {
        world.forge(key, |text| text.replace("inputs.v1", "inputs.v0"));
    });
    check("lacks the blob", &|world, _, _| {
        for blob in fs::read_dir(world.place().join("blobs/sha256")).unwrap() {
            let path = blob.unwrap().path();
            // The manifests stay.
            if !fs::read(&path).unwrap().starts_with(b"{") {
                fs::remove_file(path).unwrap();
            }
        }
    });
    check("is not what was promised", &|world, _, _| {
        for blob in fs::read_dir(world.place().join("blobs/sha256")).unwrap() {
            let path = blob.unwrap().path();
            if fs::read(&path).unwrap().starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
                fs::write(path, "short").unwrap();
            }
        }
    });
    check("cannot be read", &|world, _, _| {
        fs::write(world.place().join("index.json"), "[").unwrap();
    });
}

#[test]
fn a_cache_that_cannot_be_reached_is_told_of_once() {
    let world = World::new();
    let (store, key) = (world.store("one"), BuildKey::of("a"));
    let place = Place::parse("r.example/cache").unwrap();
    let caches = Caches(vec![World::cache_at(place.clone()), world.cache()]);
    for _ in 0..3 {
        assert_eq!(caches.bring(key, &store, &world.heard), None);
    }
    let heard = world.heard();
    assert!(heard.len() == 1, "{heard:?}");
    assert!(heard[0].starts_with("the cache is not used: `r.example/cache`"), "{heard:?}");
    // Who asks for it to be filled hears it as an error.
    let (key, _) = world.result(&store, "cowlib");
    let error = World::cache_at(place).fill([key], &store, &Silent).unwrap_err();
    assert!(error.to_string().contains("the network is closed"), "{error}");
}

#[test]
fn a_place_is_a_repository_or_a_directory() {
    let directory = |text: &str| Place::Directory(PathBuf::from(text));
    for text in ["cache", "./cache", "/var/cache/x", "../a/b"] {
        assert_eq!(Place::parse(text).unwrap(), directory(text));
    }
    assert_eq!(Place::parse("src").unwrap(), directory("src"));
    let repository = Place::parse("r.example:5000/team/cache").unwrap();
    assert_eq!(repository.to_string(), "r.example:5000/team/cache");
    for text in ["", "r.example/A", "r.example/a:1"] {
        assert!(Place::parse(text).is_err(), "{text}");
    }
}
