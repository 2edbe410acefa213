//! Tests of the whole room: files and images held against each other.

use std::process::Command;

use proptest::prelude::*;

use super::content::{Look, compare as contents};
use super::*;
use crate::image::craft::{Part, image};

const LOOK: Look<'_> = Look { depth: 0, traces: &[("elsewhere", "host name")] };

fn cause(name: &str, one: &[u8], other: &[u8]) -> Cause {
    contents(name, one, other, LOOK).cause
}

/// Compiles a module below a directory of this name; `None` where no Erlang is installed.
fn module(directory: &Path, source: &str, options: &str) -> Option<Vec<u8>> {
    disk::create_dir_all(directory).unwrap();
    disk::write_atomic(&directory.join("m.erl"), source.as_bytes()).unwrap();
    let path = directory.join("m.erl");
    let eval = format!(
        "{{ok, m, B}} = compile:file(\"{}\", [binary | {options}]), ok = file:write_file(\"{}\", B), halt().",
        path.display(),
        directory.join("m.beam").display()
    );
    let ran = Command::new("erl").args(["-noshell", "-eval", &eval]).output().ok()?;
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    Some(disk::read(&directory.join("m.beam"), COMPARED_BYTES_MAX).unwrap())
}

/// What `beam_lib:cmp/2` says of two modules.
fn beam_lib_says_same(one: &[u8], other: &[u8]) -> bool {
    let home = tempfile::tempdir().unwrap();
    let [a, b] = ["a.beam", "b.beam"].map(|name| home.path().join(name));
    disk::write_atomic(&a, one).unwrap();
    disk::write_atomic(&b, other).unwrap();
    let eval = format!(
        "case beam_lib:cmp(\"{}\", \"{}\") of ok -> halt(0); _ -> halt(1) end.",
        a.display(),
        b.display()
    );
    Command::new("erl").args(["-noshell", "-eval", &eval]).status().unwrap().success()
}

const SOURCE: &str = "-module(m).\n-vsn(\"1\").\n-export([f/1]).\nf(X) -> {X, <<\"one\">>}.\n";

#[test]
fn verdicts_on_modules_agree_with_beam_lib() {
    let home = tempfile::tempdir().unwrap();
    let build = |place: &str, source: &str, options: &str| {
        module(&home.path().join(place), source, options)
    };
    let Some(plain) = build("a", SOURCE, "[]") else {
        return;
    };
    let get = |place: &str, source: &str, options: &str| build(place, source, options).unwrap();
    let cases = [
        ("the same", plain.clone(), None),
        ("another directory", get("b", SOURCE, "[]"), Some(Cause::Path)),
        ("debug information", get("a", SOURCE, "[debug_info]"), Some(Cause::Debug)),
        ("an option", get("a", SOURCE, "[warn_unused_vars]"), Some(Cause::Options)),
        ("a literal", get("a", &SOURCE.replace("one", "two"), "[]"), Some(Cause::Code)),
        ("the code", get("a", &SOURCE.replace("{X,", "{X, X,"), "[]"), Some(Cause::Code)),
        ("a version", get("a", &SOURCE.replace("\"1\"", "\"2\""), "[]"), Some(Cause::Attributes)),
    ];
    for (what, other, expected) in cases {
        let found = contents("m.beam", &plain, &other, LOOK);
        // beam_lib leaves out how a module was compiled, and nothing else.
        let chunks = |detail: &String| detail.split(':').next().unwrap_or_default().to_owned();
        let only_how = found.details.iter().all(|detail| chunks(detail) == "CInf");
        let same = plain == other || only_how;
        assert_eq!(same, beam_lib_says_same(&plain, &other), "{what}: {:?}", found.details);
        if let Some(expected) = expected {
            assert_eq!(found.cause, expected, "{what}: {:?}", found.details);
        }
    }
}

#[test]
fn debug_information_that_differs_by_directory_is_the_compile_path() {
    let home = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "other/b"].map(|place| home.path().join(place));
    let Some(one) = module(&a, SOURCE, "[debug_info]") else {
        return;
    };
    let other = module(&b, SOURCE, "[debug_info]").unwrap();
    assert_eq!(cause("m.beam", &one, &other), Cause::Path);
    let with_file = SOURCE.replace("<<\"one\">>", "?FILE");
    let one = module(&a, &with_file, "[]").unwrap();
    let other = module(&b, &with_file, "[]").unwrap();
    assert_eq!(cause("m.beam", &one, &other), Cause::PathInside);
}

fn zip(time: (u16, u8, u8), order: [&str; 2], text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let time = zip::DateTime::from_date_and_time(time.0, time.1, time.2, 0, 0, 0).unwrap();
    let options = zip::write::SimpleFileOptions::default().last_modified_time(time);
    for name in order {
        writer.start_file(name, options).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn an_archive_says_what_in_it_differs() {
    let one = zip((2024, 1, 1), ["a.txt", "b.txt"], "x");
    assert_eq!(cause("a.ez", &one, &zip((2025, 1, 1), ["a.txt", "b.txt"], "x")), Cause::Time);
    assert_eq!(cause("a.ez", &one, &zip((2024, 1, 1), ["b.txt", "a.txt"], "x")), Cause::Order);
    let escript = |body: &[u8]| [b"#!/usr/bin/env escript\n", body].concat();
    let other = zip((2024, 1, 1), ["a.txt", "b.txt"], "y");
    let found = contents("tool", &escript(&one), &escript(&other), LOOK);
    assert_eq!((found.noun, found.cause), ("archive", Cause::Text));
    assert_eq!(found.inner.unwrap().len(), 2);
}

#[test]
fn compression_and_its_time_are_told_from_what_is_compressed() {
    use std::io::Write as _;
    let gzip = |level: u32, time: u32, text: &[u8]| {
        let builder = flate2::GzBuilder::new().mtime(time);
        let mut writer = builder.write(Vec::new(), flate2::Compression::new(level));
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    };
    let text = "some words, some words, some more words".repeat(50);
    let one = gzip(9, 0, text.as_bytes());
    assert_eq!(cause("x.gz", &one, &gzip(0, 0, text.as_bytes())), Cause::Compression);
    assert_eq!(cause("x.gz", &one, &gzip(9, 7, text.as_bytes())), Cause::Time);
    assert_eq!(cause("x.gz", &one, &gzip(9, 0, b"other")), Cause::Text);
}

#[test]
fn what_the_room_left_behind_is_named() {
    assert_eq!(cause("x.txt", b"built on rebeam", b"built on elsewhere"), Cause::Room("host name"));
    assert_eq!(cause("COOKIE", b"ABC", b"DEF"), Cause::Cookie);
    assert_eq!(cause("x.app", b"{application, a, []}.", b"{application, b, []}."), Cause::Terms);
    let script = "%% script generated at {2024,1,1} {1,2,3}\n{script, a}.";
    let later = script.replace("2024,1,1", "2025,2,2");
    assert_eq!(cause("a.script", script.as_bytes(), later.as_bytes()), Cause::Time);
    assert_eq!(cause("x", b"\0\xff1", b"\0\xff2"), Cause::Bytes);
}

fn compared(one: &[Part<'_>], other: &[Part<'_>]) -> Comparison {
    let home = tempfile::tempdir().unwrap();
    let [a, b] = ["a.tar", "b.tar"].map(|name| home.path().join(name));
    disk::write_atomic(&a, &image(one)).unwrap();
    disk::write_atomic(&b, &image(other)).unwrap();
    compare(&a, &b).unwrap()
}

#[test]
fn two_images_differ_by_their_entries_and_each_is_named_once() {
    let one = [
        Part::File("app/a.config", 0o644, b"[{port, 80}]."),
        Part::File("app/gone", 0o644, b""),
        Part::File("app/mode", 0o644, b""),
        Part::Link("app/link", "a"),
    ];
    let other = [
        Part::File("app/a.config", 0o644, b"[{port, 81}]."),
        Part::File("app/mode", 0o600, b""),
        Part::Link("app/link", "b"),
    ];
    let comparison = compared(&one, &other);
    let said: Vec<(&str, Cause)> =
        comparison.counting(Weight::Form).map(|one| (one.place.as_str(), one.cause)).collect();
    assert_eq!(
        said,
        [
            ("app/gone", Cause::Presence),
            ("app/link", Cause::Target),
            ("app/mode", Cause::Mode),
            ("app/a.config", Cause::Terms),
        ]
    );
    let says: Vec<String> = comparison.causes(Weight::Form).iter().map(Tally::says).collect();
    assert_eq!(says[0], "1 configuration: terms");
    assert_eq!(compared(&one, &one).counting(Weight::Form).count(), 0);
}

#[test]
fn the_page_escapes_what_strangers_wrote() {
    let one = [Part::File("app/<script>alert(1)</script>", 0o644, b"a")];
    let other = [Part::File("app/<script>alert(1)</script>", 0o644, b"<b>\"&")];
    let page = html(&compared(&one, &other));
    assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    assert!(page.contains("&lt;script&gt;"));
    for elsewhere in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}

/// Whether diffoscope calls two files the same; `None` where it is not installed.
fn diffoscope_says_same(one: &Path, other: &Path) -> Option<bool> {
    let ran = Command::new("diffoscope").args(["--text", "-"]).arg(one).arg(other).output().ok()?;
    match ran.status.code() {
        Some(0) => Some(true),
        Some(1) => Some(false),
        code => panic!("{code:?}: {}", String::from_utf8_lossy(&ran.stderr)),
    }
}

#[test]
fn verdicts_on_files_agree_with_diffoscope() {
    let home = tempfile::tempdir().unwrap();
    let zipped = zip((2024, 1, 1), ["a.txt", "b.txt"], "x");
    let cases: [(&str, Vec<u8>, Vec<u8>); 5] = [
        ("same.txt", b"a\n".into(), b"a\n".into()),
        ("text.txt", b"a\n".into(), b"b\n".into()),
        ("time.zip", zipped.clone(), zip((2025, 1, 1), ["a.txt", "b.txt"], "x")),
        ("order.zip", zipped.clone(), zip((2024, 1, 1), ["b.txt", "a.txt"], "x")),
        ("inside.zip", zipped, zip((2024, 1, 1), ["a.txt", "b.txt"], "y")),
    ];
    for (name, one, other) in cases {
        let [a, b] = ["a", "b"].map(|side| home.path().join(side).join(name));
        for (path, bytes) in [(&a, one), (&b, other)] {
            disk::create_dir_all(path.parent().unwrap()).unwrap();
            disk::write_atomic(path, &bytes).unwrap();
        }
        let Some(same) = diffoscope_says_same(&a, &b) else {
            return;
        };
        let ours = compare(&a, &b).unwrap().counting(Weight::Form).next().is_none();
        assert_eq!(ours, same, "{name}");
    }
}

proptest! {
    #[test]
    fn a_file_never_differs_from_itself_and_no_bytes_make_it_panic(
        one in proptest::collection::vec(any::<u8>(), 0..300),
        other in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        for name in ["m.beam", "start.boot", "sys.config", "x.json", "x"] {
            drop(contents(name, &one, &other, LOOK));
        }
    }

    #[test]
    fn a_damaged_module_is_compared_all_the_same(at in 0_usize..64, byte: u8) {
        let whole = crate::release::tests::craft::module(&[
            (b"AtU8", b"atoms"), (b"Code", b"code!!"), (b"Line", b"12"), (b"LitT", b"\0\0\0\0\0\0\0\x01"),
        ]);
        let mut damaged = whole.clone();
        let at = at % damaged.len();
        damaged[at] = byte;
        drop(contents("m.beam", &whole, &damaged, LOOK));
    }
}
