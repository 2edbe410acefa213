use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{ImportError, RebarEntry, RebarLock, RebarPin, rebar_lock_text};
use crate::digest::Digest;
use crate::explain::Explain as _;
use crate::lock::{Lock, Pin, Role, Source};
use crate::manifest::{FILE_NAME, Manifest};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const SUM: &str = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";

/// Written by rebar3 3.19 for two git dependencies, one of them below the other.
const BARE: &str = r#"[{<<"b">>,
  {git,"https://git.example/b",
       {ref,"d41fd0a28ae6812005cabfb1e0f6605690b802f4"}},
  0},
 {<<"c">>,
  {git_subdir,"https://git.example/c",
              {ref,"66505a2c347c6ff96ae27b859d0458db1651a99c"},
              "apps/c"},
  1}].
"#;

fn versioned(version: &str, attributes: &str) -> String {
    format!(
        "{{\"{version}\",\n[{{<<\"hpack\">>,{{pkg,<<\"hpack_erl\">>,<<\"0.3.0\">>}},0}}]}}.\n\
         [\n{attributes}].\n"
    )
}

fn hash(key: &str) -> String {
    format!("{{{key},[\n {{<<\"hpack\">>, <<\"{SUM}\">>}}]}}")
}

fn source(app: &str, level: u32, pin: Pin) -> Source {
    Source {
        level,
        parents: BTreeSet::from(["top".to_owned()]),
        ..Source::of(app, Role::Dep, pin, "tag 1")
    }
}

fn git(url: &str, subdir: Option<&str>) -> Pin {
    Pin::Git {
        url: url.into(),
        commit: COMMIT.into(),
        subdir: subdir.map(str::to_owned),
        tree: Digest::of(b"tree"),
    }
}

fn hex(package: &str, version: &str) -> Pin {
    Pin::Hex {
        repository: "hexpm".into(),
        package: package.into(),
        version: version.into(),
        outer: Digest::of(b""),
        tree: Digest::of(b"tree"),
    }
}

fn lock(sources: Vec<Source>) -> Lock {
    Lock::of(sources)
}

#[test]
fn the_bare_list_of_the_first_versions_is_read() {
    let lock = RebarLock::parse(BARE).unwrap();
    assert_eq!(lock.entries.len(), 2);
    assert_eq!(
        lock.entries["c"],
        RebarEntry {
            pin: RebarPin::Git {
                url: "https://git.example/c".into(),
                commit: "66505a2c347c6ff96ae27b859d0458db1651a99c".into(),
                subdir: Some("apps/c".into()),
            },
            level: 1,
        }
    );
}

#[test]
fn versioned_locks_bring_their_checksums() {
    let sum = Digest::of(b"");
    let both = format!("{},\n{}", hash("pkg_hash"), hash("pkg_hash_ext"));
    for (version, attributes, outer, inner) in [
        ("1.1.0", hash("pkg_hash"), None, Some(sum)),
        ("1.2.0", both.clone(), Some(sum), Some(sum)),
        ("9.9.9", both, Some(sum), Some(sum)),
        ("1.2.0", String::new(), None, None),
    ] {
        let lock = RebarLock::parse(&versioned(version, &attributes)).unwrap();
        assert_eq!(
            lock.entries["hpack"].pin,
            RebarPin::Hex { package: "hpack_erl".into(), version: "0.3.0".into(), outer, inner },
            "{version}"
        );
    }
}

#[test]
fn an_empty_file_pins_nothing() {
    assert_eq!(RebarLock::parse("").unwrap(), RebarLock::default());
    assert_eq!(RebarLock::parse("[].\n").unwrap(), RebarLock::default());
}

#[test]
fn what_is_no_lock_is_refused_with_what_was_found() {
    for (text, message) in [
        ("ok.", "`rebar.lock` is no lock of rebar3: it begins with `ok`"),
        ("[{a,b}].", "`rebar.lock` holds `{a,b}`, which is no entry that rebar3 writes"),
        (
            "[{<<\"a\">>,{git,\"u\",{tag,\"1\"}},0}].",
            "`rebar.lock` holds `{<<\"a\">>,{git,\"u\",{tag,\"1\"}},0}`, which is no entry that rebar3 writes",
        ),
        (
            "[{<<\"a\">>,{git,\"u\",{ref,\"1\"}},-1}].",
            "`rebar.lock` holds `{<<\"a\">>,{git,\"u\",{ref,\"1\"}},-1}`, which is no entry that rebar3 writes",
        ),
        (
            "[{<<\"a\">>,{git,\"u\",{ref,\"1\"}},0},{<<\"a\">>,{git,\"u\",{ref,\"1\"}},0}].",
            "`rebar.lock` holds `a` twice",
        ),
        ("[{<<\"a\">>", "`rebar.lock` cannot be read"),
    ] {
        let error = RebarLock::parse(text).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(error.hint().is_some() || matches!(error, ImportError::Malformed { .. }));
    }
    let bad = versioned("1.2.0", &hash("pkg_hash_ext").replace(SUM, "DEADBEEF"));
    assert_eq!(
        RebarLock::parse(&bad).unwrap_err().to_string(),
        "`rebar.lock` has `<<\"DEADBEEF\">>` in place of a checksum of `hpack`"
    );
}

#[test]
fn merge_markers_have_their_own_message() {
    let text = BARE.replacen("[{", "<<<<<<< HEAD\n[{", 1);
    let error = RebarLock::parse(&text).unwrap_err();
    let ImportError::Malformed { source } = &error else {
        panic!("{error}");
    };
    assert!(source.to_string().contains("merge conflict"), "{source}");
    assert!(error.hint().unwrap().contains("git diff"));
}

fn manifest(deps: &str) -> Manifest {
    let text =
        format!("[project]\nname = \"shop\"\nversion = \"1\"\n[toolchain]\notp = \"25\"\n{deps}");
    Manifest::parse(&text, std::path::Path::new(FILE_NAME)).unwrap()
}

#[test]
fn what_the_manifest_takes_from_elsewhere_is_no_disagreement() {
    let theirs = "[{<<\"h\">>,{pkg,<<\"h\">>,<<\"1.0.0\">>},0},{<<\"i\">>,{pkg,<<\"i\">>,<<\"1.0.0\">>},0}].";
    let theirs = RebarLock::parse(theirs).unwrap();
    let ours = lock(vec![
        source("h", 0, git("https://git.example/h", None)),
        source("i", 0, git("https://git.example/i", None)),
    ]);
    let stated =
        manifest("[deps.h]\nsource = \"git+https://git.example/h#tag=1\"\n[deps.i]\nvsn = \"1\"");
    let apps: Vec<_> = theirs.verify_against(&ours, &stated).into_iter().map(|it| it.app).collect();
    assert_eq!(apps, ["i"]);
}

#[test]
fn locks_that_agree_say_nothing_against_each_other() {
    let ours = lock(vec![
        source("a", 0, git("https://git.example/a", None)),
        source("hpack", 1, hex("hpack_erl", "0.3.0")),
    ]);
    let theirs = RebarLock::parse(&rebar_lock_text(&ours)).unwrap();
    assert_eq!(theirs.verify_against(&ours, &manifest("")), []);
}

#[test]
fn each_difference_is_named_with_both_sides() {
    let theirs = RebarLock::parse(&format!(
        "[{{<<\"a\">>,{{git,\"git://git.example/a.git\",{{ref,\"{}\"}}}},0}},
          {{<<\"b\">>,{{git,\"https://elsewhere.example/b\",{{ref,\"{COMMIT}\"}}}},0}},
          {{<<\"h\">>,{{pkg,<<\"h\">>,<<\"1.0.0\">>}},0}},
          {{<<\"only\">>,{{pkg,<<\"only\">>,<<\"1.0.0\">>}},0}}].",
        "f".repeat(40)
    ))
    .unwrap();
    let mut plugin = source("pc", 0, git("https://git.example/pc", None));
    plugin.role = Role::Plugin;
    let mut prod = source("prod_only", 0, git("https://git.example/prod", None));
    prod.profiles.insert("prod".into());
    let ours = lock(vec![
        source("a", 0, git("https://git.example/a", None)),
        source("b", 0, git("https://git.example/b", None)),
        source("h", 0, hex("h", "1.0.1")),
        source("new", 0, hex("new", "2.0.0")),
        prod,
        plugin,
    ]);
    let said: Vec<String> =
        theirs.verify_against(&ours, &manifest("")).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            format!("commit of `a`: rebar.lock has {}, rebeam.lock has {COMMIT}", "f".repeat(40))
                .as_str(),
            "url of `b`: rebar.lock has https://elsewhere.example/b, \
             rebeam.lock has https://git.example/b",
            "version of `h`: rebar.lock has 1.0.0, rebeam.lock has 1.0.1",
            "entry of `new`: rebar.lock has nothing, rebeam.lock has new 2.0.0",
            "entry of `only`: rebar.lock has only 1.0.0, rebeam.lock has nothing",
        ]
    );
}

#[test]
fn another_tarball_of_the_same_version_is_a_disagreement() {
    let text = versioned("1.2.0", &hash("pkg_hash_ext").replace(SUM, &"A".repeat(64)));
    let theirs = RebarLock::parse(&text).unwrap();
    let ours = lock(vec![source("hpack", 0, hex("hpack_erl", "0.3.0"))]);
    assert_eq!(theirs.verify_against(&ours, &manifest(""))[0].field, "checksum");
}

#[test]
fn the_text_is_laid_out_as_rebar3_does() {
    let short = lock(vec![source("a", 0, git("u", None))]);
    assert_eq!(
        rebar_lock_text(&short),
        format!("[{{<<\"a\">>,{{git,\"u\",{{ref,\"{COMMIT}\"}}}},0}}].\n")
    );
    let middle = lock(vec![source("a", 0, git("https://a.io/a", None))]);
    assert_eq!(
        rebar_lock_text(&middle),
        format!("[{{<<\"a\">>,\n  {{git,\"https://a.io/a\",{{ref,\"{COMMIT}\"}}}},\n  0}}].\n")
    );
    let long = lock(vec![
        source("cowboy", 0, git("https://git.example/cowboy", None)),
        source("x", 1, git("https://git.example/x", Some("apps/x"))),
        source("a", 0, hex("a", "1.0.0")),
    ]);
    let expected = r#"{"1.2.0",
[{<<"a">>,{pkg,<<"a">>,<<"1.0.0">>},0},
 {<<"cowboy">>,
  {git,"https://git.example/cowboy",
       {ref,"0123456789abcdef0123456789abcdef01234567"}},
  0},
 {<<"x">>,
  {git_subdir,"https://git.example/x",
              {ref,"0123456789abcdef0123456789abcdef01234567"},
              "apps/x"},
  1}]}.
[
{pkg_hash_ext,[
 {<<"a">>, <<"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855">>}]}
].
"#;
    assert_eq!(rebar_lock_text(&long), expected);
    assert_eq!(rebar_lock_text(&lock(vec![])), "[].\n");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]{}<>\",.a-c0-2 \\n]{0,60}") {
        let _ = RebarLock::parse(&text);
    }
}
