//! What is remembered of an image file, and when it is read again.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::disk::faults::times_opened;
use crate::lock::{IMAGE_FORMAT, Lock, ToolchainLock};
use crate::release::LOCK_PATH;

fn lock() -> Lock {
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
            debs: vec![],
        },
        platforms: vec![],
        sources: vec![],
    }
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Writes an image of one layer, which holds a lock.
fn image(room: &Path) -> PathBuf {
    let member = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let named = |bytes: &[u8]| json!({ "digest": Digest::of(bytes), "size": bytes.len() });
    let layer = tar(&[(LOCK_PATH, lock().to_text().as_bytes())]);
    let config = json!({
        "architecture": "amd64", "os": "linux", "history": [{ "created_by": "rebeam layer=config" }],
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] },
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2, "config": named(config.as_bytes()), "layers": [named(&layer)],
    })
    .to_string();
    let index =
        json!({ "schemaVersion": 2, "manifests": [named(manifest.as_bytes())] }).to_string();
    let docker = json!([{
        "Config": member(config.as_bytes()), "RepoTags": ["shop:1"], "Layers": [member(&layer)],
    }])
    .to_string();
    let path = room.join("shop.tar");
    let file = tar(&[
        ("index.json", index.as_bytes()),
        ("manifest.json", docker.as_bytes()),
        (&member(manifest.as_bytes()), manifest.as_bytes()),
        (&member(config.as_bytes()), config.as_bytes()),
        (&member(&layer), &layer),
    ]);
    std::fs::write(&path, file).unwrap();
    path
}

#[test]
fn a_file_that_stands_as_it_was_left_is_read_once_for_all_its_pushes() {
    let room = tempfile::tempdir().unwrap();
    let path = image(room.path());
    let store = Store::open(&room.path().join("store")).unwrap();
    let contents = Contents::read(&path).unwrap();
    let opened_by = |backing: Backing<'_>| {
        let before = times_opened(&path);
        let evidence = backing.prepare(&contents).unwrap();
        (times_opened(&path) - before, evidence.documents)
    };
    let all = [Form::Spdx, Form::CycloneDx, Form::Provenance];
    for forms in [&all[..], &all[1..2], &[]] {
        let with = |memory| Backing { forms, key: None, memory };
        let (read, first) = opened_by(with(Some(&store)));
        assert!(read > 0, "{forms:?}");
        assert_eq!(opened_by(with(Some(&store))), (0, first.clone()), "{forms:?}");
        // Without a memory it is read each time, and says the same.
        let (again, second) = opened_by(with(None));
        assert!(again > 0 && second == first, "{forms:?}");
        for form in forms {
            assert_eq!(first.document(*form), second.document(*form));
        }
    }
    // A store that lost a document has it written again.
    let everything = Backing { forms: &all, key: None, memory: Some(&store) };
    let bill = first_blob(&store, &everything, &contents);
    std::fs::remove_file(bill).unwrap();
    assert!(opened_by(everything).0 > 0);
    assert_eq!(opened_by(everything).0, 0);
}

fn first_blob(store: &Store, backing: &Backing<'_>, contents: &Contents) -> PathBuf {
    let record = store.recall(backing.memory_key(contents).unwrap()).unwrap().unwrap();
    store.blob(record.outputs[0].1).unwrap().unwrap().path().to_owned()
}

#[test]
fn a_file_that_was_changed_is_read_and_refused_whatever_is_remembered() {
    let room = tempfile::tempdir().unwrap();
    let path = image(room.path());
    let store = Store::open(&room.path().join("store")).unwrap();
    let contents = Contents::read(&path).unwrap();
    let backing = Backing { forms: &[Form::Spdx], key: None, memory: Some(&store) };
    backing.prepare(&contents).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|part| part == b"bookworm").unwrap();
    bytes[at] = b'B';
    std::fs::write(&path, bytes).unwrap();
    let refused = backing.prepare(&contents).err().unwrap().to_string();
    assert!(refused.contains("is not what was promised"), "{refused}");
}
