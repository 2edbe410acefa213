//! Fuzz: each reader of this room, given bytes by a fuzzer.

use std::path::Path;
use std::sync::OnceLock;

use super::control::{paragraphs, relations};
use super::index::{self, Index, Universe};
use super::release::{self, Keyring, Trust};
use super::resolve::{self, Wishes};
use super::{Expiry, deb, version};
use crate::disk;

/// A package file: ar, compression and tar.
pub(crate) fn package(file: &Path, root: &Path) {
    disk::create_dir(root).expect("a directory of the fuzzer's own takes files");
    let _ = deb::unpack_file("fuzz", file, root, &Some);
    let _ = deb::papers_of_file("fuzz", file);
}

/// Paragraphs and the relations in them.
pub(crate) fn control(text: &str) {
    for paragraph in paragraphs(text) {
        for field in ["Package", "Depends", "Provides", "SHA256"] {
            let _ = relations(&paragraph.folded(field));
        }
    }
}

/// Two versions, one a line.
pub(crate) fn versions(text: &str) {
    let (left, right) = text.split_once('\n').unwrap_or((text, "1.0-1"));
    let order = version::compare(left, right);
    assert_eq!(order, version::compare(right, left).reverse());
    assert!(version::compare(left, left).is_eq());
}

/// A signed table of contents: its armour and signatures, and its text as if somebody had signed it.
pub(crate) fn in_release(data: &[u8]) {
    static TRUST: OnceLock<Trust> = OnceLock::new();
    let trust =
        TRUST.get_or_init(|| Trust { keyring: Keyring::archive(), expiry: Expiry::CheckedAt(0) });
    let _ = release::read(data, "bookworm", trust);
    let _ = release::read_text(&String::from_utf8_lossy(data), "bookworm", trust.expiry);
}

/// An index, as it comes and as text, and the closure of what it lists first.
pub(crate) fn packages(data: &[u8]) {
    let _ = index::unpack("fuzz", data);
    let text = String::from_utf8_lossy(data).into_owned();
    let first = text.lines().find_map(|line| line.strip_prefix("Package: "));
    let seed = first.unwrap_or("erlang-base").to_owned();
    let suite = "bookworm".to_owned();
    let indices = [Index { suite, text }];
    let universe = Universe::new(&indices, &std::collections::BTreeSet::new());
    let wishes = Wishes { seeds: [seed.as_str()].into(), is_dropped: &|_| false };
    let _ = resolve::closure(&universe, &wishes);
}
