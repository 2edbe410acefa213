use std::collections::BTreeSet;
use std::path::Path;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::{
    Deb, IMAGE_FORMAT, Lock, LockError, Pin, PlatformLock, Role, ServiceLock, Source, ToolchainLock,
};
use crate::digest::Digest;
use crate::disk;
use crate::explain::Explain as _;
use crate::manifest::Platform;

const FILE: &str = "rebeam.lock";

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn source(app: &str, pin: Pin, parents: &[&str], deps: &[&str]) -> Source {
    Source { parents: set(parents), deps: set(deps), ..Source::of(app, Role::Dep, pin, "tag 1.0") }
}

fn git(app: &str) -> Pin {
    Pin::Git {
        url: format!("https://git.example/{app}"),
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        subdir: None,
        tree: Digest::of(app.as_bytes()),
    }
}

/// A lock that has one of everything.
fn sample() -> Lock {
    let mut cowboy = source("cowboy", git("cowboy"), &["hello"], &["cowlib", "hpack"]);
    cowboy.describe = Some("1.0-2-g0123456".into());
    cowboy.lost = vec!["https://git.example/cowboy tag 0.9 (by old)".into()];
    let hpack = Pin::Hex {
        repository: "hexpm".into(),
        package: "hpack_erl".into(),
        version: "0.3.0".into(),
        outer: Digest::of(b"outer"),
        tree: Digest::of(b"hpack"),
    };
    let mut hpack = source("hpack", hpack, &["cowboy"], &[]);
    hpack.level = 1;
    hpack.profiles = set(&["prod"]);
    let tarball = Pin::Url {
        url: "https://files.example/cowlib.tar.gz".into(),
        sha256: Digest::of(b"tarball"),
        tree: Digest::of(b"cowlib"),
    };
    let mut plugin = source("pc", git("pc"), &["cowboy", "hello"], &[]);
    plugin.role = Role::Plugin;
    let path = Pin::Path { path: "../common/local".into() };
    Lock {
        project: "hello".into(),
        epoch: 1_700_000_000,
        image_format: IMAGE_FORMAT,
        platforms: vec![],
        base: None,
        services: vec![],
        toolchain: ToolchainLock {
            otp: "25".into(),
            wished: vec!["libexpat1-dev".into()],
            suite: "bookworm".into(),
            debs: vec![Deb {
                package: "erlang-base".into(),
                version: "1:25.2.3+dfsg-1".into(),
                architecture: "amd64".into(),
                sha256: Digest::of(b"deb"),
                size: 9_654_321,
                path: "pool/main/e/erlang/erlang-base_25.2.3+dfsg-1_amd64.deb".into(),
                suite: "bookworm".into(),
            }],
        },
        sources: vec![
            cowboy,
            source("cowlib", tarball, &["cowboy"], &[]),
            hpack,
            source("local", path, &["hello"], &[]),
            plugin,
        ],
    }
}

fn parse(text: &str) -> Result<Lock, LockError> {
    Lock::parse(text, Path::new(FILE))
}

/// Reads the sample's text after a change and returns what is said against it.
fn refusal(from: &str, to: &str) -> LockError {
    let text = sample().to_text();
    assert!(text.contains(from), "the sample does not hold `{from}`");
    parse(&text.replacen(from, to, 1)).expect_err("the change should be refused")
}

#[test]
fn the_text_is_made_for_reading_a_diff() {
    insta::assert_snapshot!(sample().to_text());
}

#[test]
fn a_lock_reads_back_as_it_was_written() {
    assert_eq!(parse(&sample().to_text()).unwrap(), sample());
}

#[test]
fn other_machines_have_tables_of_their_own_and_none_where_none_is_asked_for() {
    assert!(!sample().to_text().contains("platform"));
    let mut lock = sample();
    let foreign = |architecture: &str| {
        let deb = lock.toolchain.debs[0].clone();
        Deb {
            architecture: architecture.into(),
            sha256: Digest::of(architecture.as_bytes()),
            ..deb
        }
    };
    let (arm64, armhf) = (foreign("arm64"), foreign("armhf"));
    let of = |platform, deb: &Deb| PlatformLock {
        platform,
        debs: vec![deb.clone()],
        tools: lock.toolchain.debs.clone(),
    };
    let platforms = vec![of(Platform::Arm64, &arm64), of(Platform::Armhf, &armhf)];
    lock.platforms = platforms;
    let text = lock.to_text();
    assert_eq!(parse(&text).unwrap(), lock);
    assert_eq!(lock.debs().count(), 3 * lock.toolchain.debs.len() + 2);
    lock.services = vec![ServiceLock {
        wished: vec!["postgresql".into()],
        suite: "bookworm".into(),
        debs: vec![arm64.clone()],
    }];
    assert_eq!(parse(&lock.to_text()).unwrap(), lock);
    // An image knows of its own machine alone, and not of what runs beside it on one's desk.
    assert_eq!(lock.of_platform(Platform::Amd64), sample());
    assert_eq!(lock.of_platform(Platform::Armhf).platforms, [lock.platforms[1].clone()]);
    for (from, to, message) in [
        ("\"linux/arm64\"", "\"linux/mips\"", "`name` of `[[platform]]` must be `linux/amd64`"),
        ("\"linux/arm64\"", "\"linux/arm/v7\"", "must be each platform once, in order"),
        ("name = \"linux/arm64\"\n", "", "`[[platform]]` lacks `name`"),
        ("tools = [", "tooIs = [", "did you mean `tools`?"),
    ] {
        let error = parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn order_in_memory_does_not_change_the_bytes() {
    let mut lock = sample();
    lock.sources.reverse();
    lock.toolchain.debs.reverse();
    assert_eq!(lock.to_text(), sample().to_text());
}

#[test]
fn what_is_wrong_is_named_with_file_line_and_entry() {
    for (from, to, message) in [
        (
            "describe =",
            "descirbe =",
            "`rebeam.lock:28`: `descirbe` is not a key of dep `cowboy`; did you mean `describe`?",
        ),
        (
            "[toolchain]\n",
            "[toolchain]\nzzz = 1\n",
            "`rebeam.lock:13`: `zzz` is not a key of `[toolchain]`",
        ),
        ("wanted = \"tag 1.0\"\n", "", "`rebeam.lock:20`: dep `cowboy` lacks `wanted`"),
        (
            "commit = \"0123",
            "commit = \"zzzz",
            "`rebeam.lock:25`: `commit` of dep `cowboy` must be a commit in 40 lower-case hex digits",
        ),
        (
            "hash = \"sha256-",
            "hash = \"sha257-",
            "`rebeam.lock:26`: `hash` of dep `cowboy` must be a SHA-256 as `sha256-` and base64",
        ),
        (
            "kind = \"git\"",
            "kind = \"hg\"",
            "`rebeam.lock:23`: `kind` of dep `cowboy` must be `git`, `hex`, `url` or `path`",
        ),
        (
            "app = \"cowlib\"",
            "app = \"../cowlib\"",
            "`rebeam.lock:38`: `app` of a source must be an application's name: letters, digits, \
             `_`, `-`, `.` and `@`",
        ),
        (
            "path = \"pool/",
            "path = \"pool/../../",
            "`rebeam.lock:17`: `path` of package `erlang-base` must be a relative path without `..`",
        ),
        (
            "deps = [\"cowlib\", ",
            "deps = [\"cowlibb\", ",
            "`rebeam.lock:32`: `deps` of dep `cowboy` names `cowlibb`, which is not in the lock",
        ),
        (
            "parents = [\"hello\"]",
            "parents = [\"nobody\"]",
            "`rebeam.lock:31`: `parents` of dep `cowboy` names `nobody`, which is not in the lock",
        ),
        (
            "app = \"local\"",
            "app = \"cowboy\"",
            "`rebeam.lock:66`: dep `cowboy` is locked already at line 20",
        ),
        (
            "epoch = 1",
            "epoch = 0x1",
            "`rebeam.lock:10`: `epoch` of `[project]` must be a whole number",
        ),
    ] {
        let error = refusal(from, to);
        assert_eq!(error.to_string(), message);
        assert!(error.hint().is_some());
    }
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    let error = refusal("[toolchain]", "[toolchain");
    assert!(error.to_string().starts_with("`rebeam.lock:12` is not TOML: "), "{error}");
    assert!(parse("").is_err());
}

#[test]
fn merge_markers_have_their_own_message() {
    let error = refusal("version = 1\n", "<<<<<<< HEAD\nversion = 1\n=======\n");
    assert_eq!(error.to_string(), "`rebeam.lock:5` holds the markers of an unfinished merge");
    assert_eq!(
        error.hint().unwrap(),
        "take one side whole, such as `git checkout --theirs rebeam.lock`, then run `rebeam lock`"
    );
}

#[test]
fn a_newer_lock_is_said_to_be_newer_whatever_else_it_holds() {
    let error = refusal("version = 1\n", "version = 2\nnovelty = true\n");
    assert_eq!(
        error.to_string(),
        "`rebeam.lock` was made by a newer rebeam: its version is 2, this rebeam knows 1"
    );
}

#[test]
fn a_lock_for_another_image_format_is_refused_but_its_pins_can_be_kept() {
    let error = refusal("image_format = 1", "image_format = 0");
    assert_eq!(
        error.to_string(),
        "`rebeam.lock` was made for image format 0; this rebeam makes format 1"
    );
    assert!(error.hint().unwrap().starts_with("run `rebeam lock`"));

    let directory = tempfile::tempdir().unwrap();
    let mut older = sample();
    older.image_format = 0;
    older.write(directory.path()).unwrap();
    assert!(Lock::read(directory.path()).is_err());
    assert_eq!(Lock::read_previous(directory.path()).unwrap(), Some(older));
}

#[test]
fn an_equal_lock_is_not_rewritten() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(Lock::read(directory.path()).unwrap(), None);
    assert!(sample().write(directory.path()).unwrap());
    disk::faults::fail_after(0);
    let again = sample().write(directory.path());
    disk::faults::clear();
    assert!(!again.unwrap(), "nothing on disk was to change");
    assert_eq!(Lock::read(directory.path()).unwrap(), Some(sample()));
    let mut moved = sample();
    moved.epoch += 1;
    assert!(moved.write(directory.path()).unwrap());
}

#[test]
fn a_full_disk_leaves_the_old_lock() {
    let directory = tempfile::tempdir().unwrap();
    sample().write(directory.path()).unwrap();
    let mut moved = sample();
    moved.epoch += 1;
    for changes in 0.. {
        disk::faults::fail_after(changes);
        let written = moved.write(directory.path());
        disk::faults::clear();
        if written.is_ok() {
            break;
        }
        assert_eq!(Lock::read(directory.path()).unwrap(), Some(sample()));
    }
    assert_eq!(Lock::read(directory.path()).unwrap(), Some(moved));
}

fn any_text() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,12}"
}

fn any_digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn any_pin() -> impl Strategy<Value = Pin> {
    let git = (any_text(), "[0-9a-f]{40}", proptest::option::of("[a-z/]{1,5}x"), any_digest());
    let git = git.prop_map(|(url, commit, subdir, tree)| Pin::Git {
        url,
        commit,
        subdir: subdir.map(|subdir| format!("x{subdir}")),
        tree,
    });
    let hex = (any_text(), any_text(), any_text(), any_digest(), any_digest());
    let hex = hex.prop_map(|(repository, package, version, outer, tree)| Pin::Hex {
        repository,
        package,
        version,
        outer,
        tree,
    });
    let url = (any_text(), any_digest(), any_digest());
    let url = url.prop_map(|(url, sha256, tree)| Pin::Url { url, sha256, tree });
    let path = "[a-z.][a-z./]{0,9}".prop_map(|path| Pin::Path { path });
    prop_oneof![git, hex, url, path]
}

fn any_source() -> impl Strategy<Value = Source> {
    let words = (any_text(), proptest::option::of(any_text()), vec(any_text(), 0..3));
    let rest = (any::<u32>(), btree_set("[a-z]{1,4}", 0..3), any::<bool>());
    (any_pin(), words, rest).prop_map(
        |(pin, (wanted, describe, lost), (level, profiles, untouched))| {
            let mut source = source("", pin, &[], &[]);
            source.wanted = wanted;
            source.describe = describe;
            source.lost = lost;
            source.level = level;
            source.untouched = untouched;
            source.profiles = profiles;
            source
        },
    )
}

fn any_deb() -> impl Strategy<Value = Deb> {
    let texts = (any_text(), any_text(), any_text(), any_text());
    (texts, any_digest(), 0..=u64::MAX >> 1, "[a-z+][a-z0-9+./]{0,3}[a-z]").prop_filter_map(
        "the path must not lead out",
        |((package, version, architecture, suite), sha256, size, path)| {
            let deb = Deb { package, version, architecture, sha256, size, path, suite };
            (!deb.path.contains("..")).then_some(deb)
        },
    )
}

fn any_lock() -> impl Strategy<Value = Lock> {
    let role = prop_oneof![Just(Role::Dep), Just(Role::Plugin), Just(Role::Tool)];
    let sources = btree_map((role, "[a-z][a-z0-9_]{0,5}"), any_source(), 0..6);
    let links = vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..8);
    let toolchain = (any_text(), vec(any_text(), 0..3), any_text(), vec(any_deb(), 0..3));
    (any_text(), any::<i64>(), toolchain, sources, links).prop_map(
        |(project, epoch, (otp, wished, suite, mut debs), sources, links)| {
            let named = sources.into_iter().map(|((role, app), source)| Source {
                app,
                role,
                parents: BTreeSet::from([project.clone()]),
                ..source
            });
            let mut sources: Vec<Source> = named.collect();
            for (one, other) in &links {
                if sources.is_empty() {
                    break;
                }
                let (one, other) = (one.index(sources.len()), other.index(sources.len()));
                let (parent, child) = (sources[one].clone(), sources[other].clone());
                sources[other].parents.insert(parent.app);
                if parent.role == child.role {
                    sources[one].deps.insert(child.app);
                }
            }
            debs.sort();
            Lock {
                project,
                epoch,
                image_format: IMAGE_FORMAT,
                toolchain: ToolchainLock { otp, wished, suite, debs },
                platforms: vec![],
                base: None,
                services: vec![],
                sources,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_lock_reads_back_as_it_was_written(lock in any_lock()) {
        let text = lock.to_text();
        let read = parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&read, &lock);
        prop_assert_eq!(read.to_text(), text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_damaged_lock_makes_the_reader_panic(
        place in any::<prop::sample::Index>(),
        length in 0usize..40,
        patch in "[\\PC\\n]{0,6}",
    ) {
        let text: Vec<char> = sample().to_text().chars().collect();
        let start = place.index(text.len());
        let end = (start + length).min(text.len());
        let damaged: String =
            text[..start].iter().copied().chain(patch.chars()).chain(text[end..].iter().copied()).collect();
        if let Err(error) = parse(&damaged) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
