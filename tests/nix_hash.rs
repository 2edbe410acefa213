//! The content hash of any tree is the figure that Nix itself prints.
//!
//! Runs where `nix-hash` is (package nix-bin); with `REBEAM_NIX=required` it must be there.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use proptest::prelude::*;
use rebeam::tree;

/// One file or link of a generated tree.
#[derive(Debug, Clone)]
enum Made {
    File { bytes: Vec<u8>, mode: u32 },
    Link(String),
    Directory,
}

fn nix_hash(path: &Path) -> Option<String> {
    let mut nix = Command::new("nix-hash");
    // Plain hashing asks no store and no daemon, but reads its settings from below a home.
    nix.env("HOME", path.parent().unwrap()).args(["--type", "sha256"]).arg(path);
    let output = match nix.output() {
        Ok(output) => output,
        Err(error) => {
            let required = env::var("REBEAM_NIX").is_ok_and(|value| value == "required");
            assert!(!required, "REBEAM_NIX=required, and `nix-hash` does not run: {error}");
            println!("skipped: no `nix-hash` here (package nix-bin)");
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn made() -> impl Strategy<Value = Made> {
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        4 => (bytes, prop::sample::select(vec![0o644, 0o755, 0o600, 0o700, 0o444, 0o645]))
            .prop_map(|(bytes, mode)| Made::File { bytes, mode }),
        1 => "[a-z./]{1,20}".prop_map(Made::Link),
        1 => Just(Made::Directory),
    ]
}

/// Lays a tree out; where a path needs a directory and there is a file, it is left out.
fn lay_out(root: &Path, entries: &BTreeMap<String, Made>) {
    for (path, made) in entries {
        let at = root.join(path);
        if fs::create_dir_all(at.parent().unwrap()).is_err() || fs::symlink_metadata(&at).is_ok() {
            continue;
        }
        match made {
            Made::File { bytes, mode } => {
                fs::write(&at, bytes).unwrap();
                fs::set_permissions(&at, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Made::Link(target) => symlink(target, &at).unwrap(),
            Made::Directory => fs::create_dir(&at).unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_content_hash_of_any_tree_is_the_one_that_nix_prints(
        entries in prop::collection::btree_map("[A-Ca-c.]?[a-c_é -]{1,2}[x-z](/[ab-]{1,2}[c-e+]){0,3}", made(), 0..14)
    ) {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("tree");
        fs::create_dir(&home).unwrap();
        lay_out(&home, &entries);
        let ours = tree::scan(&home, &[]).unwrap().hash.hex();
        if let Some(theirs) = nix_hash(&home) {
            prop_assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn names_sort_by_bytes_and_bytes_are_padded_as_in_nix() {
    let root = tempfile::tempdir().unwrap();
    let names = ["a", "a.b", "a-b", "B", "_", "~", "é", "a b", "0", "10", "9"];
    for (size, name) in names.iter().enumerate() {
        fs::write(root.path().join(name), vec![b'x'; size]).unwrap();
    }
    for (size, name) in names.iter().enumerate() {
        let below = root.path().join("dir").join(name);
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join(name), vec![b'y'; 4094 + size]).unwrap();
    }
    let ours = tree::scan(root.path(), &[]).unwrap().hash.hex();
    if let Some(theirs) = nix_hash(root.path()) {
        assert_eq!(ours, theirs);
    }
}
