//! Fuzz: every reader of strangers' bytes, as a function of bytes alone.
//!
//! `tests/fuzz.rs` runs each over its seeds and their mutations, `fuzz/` hands each to libFuzzer. A reader may
//! refuse anything; it must not panic, run for ever, or write anywhere but below the directory it was given.
//! No part of what `rebeam` does for a user stands here.

use std::path::Path;

use crate::archive::{self, Links, Rules, SpecialBits};
use crate::dev::{access, broker, events, streams, things};
use crate::digest::Digest;
use crate::disk;
use crate::evidence::fuzz as readers;
use crate::fetch::{debian, fuzz as fetch, git, hex};
use crate::lock::{Lock, MixLock, RebarLock, git_url, read_nix};
use crate::manifest::{Manifest, Packages, edit_packages, mix::MixFacts, rebar::RebarFacts};
use crate::terms::{self, Term};
use crate::version::{Requirement, Version};
use crate::{cache, compile, image, registry, release};

/// A reader, given bytes.
pub type Target = fn(&[u8]);

/// Every reader by its name, sorted; `fuzz/fuzz_targets` has a file for each.
pub const TARGETS: &[(&str, Target)] = &[
    ("acl", acl),
    ("beam", beam),
    ("cached", cached),
    ("compare", compare),
    ("control", control),
    ("deb", deb),
    ("debian_version", debian_version),
    ("elasticsearch", elasticsearch),
    ("elf", elf),
    ("evidence", evidence),
    ("external_term", external_term),
    ("git_packets", git_packets),
    ("git_server", git_server),
    ("git_submodules", git_submodules),
    ("git_url", git_url),
    ("hex_document", hex_document),
    ("hex_tarball", hex_tarball),
    ("image", image),
    ("in_release", in_release),
    ("kept_room", kept_room),
    ("lock", lock),
    ("manifest", manifest),
    ("mix_facts", mix_facts),
    ("mix_lock", mix_lock),
    ("mqtt", mqtt),
    ("nix", nix),
    ("packages", packages),
    ("rebar_config", rebar_config),
    ("rebar_lock", rebar_lock),
    ("registry", registry),
    ("requirement", requirement),
    ("senml", senml),
    ("streams", streams),
    ("tar", tar),
    ("tarball", tarball),
    ("terms", terms),
    ("zone", zone),
];

/// Bytes that a tar of the fuzzer's may unpack to.
const UNPACKED_BYTES_MAX: u64 = 1 << 20;

/// Rules of access: a file of them, topics, queries.
pub fn acl(data: &[u8]) {
    access::fuzz::rules(data);
}

/// What a cache says of a result.
pub fn cached(data: &[u8]) {
    cache::fuzz::manifest(&text(data));
}

/// A module's file.
pub fn beam(data: &[u8]) {
    release::fuzz::module(data);
}

/// Two files that are compared.
pub fn compare(data: &[u8]) {
    crate::compare::fuzz::contents(data);
}

/// A term as an emulator writes it to a file.
pub fn external_term(data: &[u8]) {
    if let Ok(term) = terms::parse_external(data) {
        drop(term.to_string());
    }
}

/// A program or library.
pub fn elf(data: &[u8]) {
    release::fuzz::program(data);
}

/// A time zone's file.
pub fn zone(data: &[u8]) {
    release::fuzz::zone(data);
}

/// Keys, envelopes and signed documents of cosign's.
pub fn evidence(data: &[u8]) {
    readers::documents(data);
}

/// Debian's paragraphs and relations.
pub fn control(data: &[u8]) {
    debian::fuzz::control(&text(data));
}

/// A Debian package file.
pub fn deb(data: &[u8]) {
    inside(data, debian::fuzz::package);
}

/// Two Debian versions.
pub fn debian_version(data: &[u8]) {
    debian::fuzz::versions(&text(data));
}

/// A suite's signed table of contents.
pub fn in_release(data: &[u8]) {
    debian::fuzz::in_release(data);
}

/// A suite's index.
pub fn packages(data: &[u8]) {
    debian::fuzz::packages(data);
}

/// Frames of git's protocol.
pub fn git_packets(data: &[u8]) {
    git::fuzz::packets(data);
}

/// What a git server says.
pub fn git_server(data: &[u8]) {
    git::fuzz::server(data);
}

/// A repository's list of submodules.
pub fn git_submodules(data: &[u8]) {
    git::fuzz::submodules(&text(data));
}

/// A repository's address, as the lock and as the fetch know it.
pub fn git_url(data: &[u8]) {
    let text = text(data);
    let normal = git_url::normalise(&text);
    let _ = git_url::same(&text, &normal);
    git::fuzz::address(&text);
}

/// A hex registry's signed document.
pub fn hex_document(data: &[u8]) {
    hex::fuzz::document(data);
}

/// A hex package's tarball.
pub fn hex_tarball(data: &[u8]) {
    inside(data, hex::fuzz::package);
}

/// An image file.
pub fn image(data: &[u8]) {
    inside(data, image::fuzz::archive);
}

/// The room of a failed step, as the store keeps it.
pub fn kept_room(data: &[u8]) {
    let _ = compile::read_room(data, Path::new("/failed"));
}

/// `rebeam.lock`; what was read is written and read back the same.
pub fn lock(data: &[u8]) {
    let path = Path::new("rebeam.lock");
    if let Ok(lock) = Lock::parse(&text(data), path) {
        let again = Lock::parse(&lock.to_text(), path).expect("what we write can be read");
        assert_eq!(again.to_text(), lock.to_text());
    }
}

/// `rebeam.toml`.
pub fn manifest(data: &[u8]) {
    let text = text(data);
    let file = Path::new("/project/rebeam.toml");
    let names = ["libexpat1-dev".to_owned()];
    let is_read = Manifest::parse(&text, file).is_ok();
    for change in [Packages::Add(&names), Packages::Remove(&names)] {
        // What was a manifest stays one.
        if let (true, Ok(edited)) = (is_read, edit_packages(&text, file, change)) {
            Manifest::parse(&edited, file).expect("one package more or less is no error");
        }
    }
}

/// A Nix expression, and the digests in it.
pub fn nix(data: &[u8]) {
    let _ = read_nix(&text(data));
    let _ = Digest::from_nix(&text(data));
}

/// What a `mix.exs` is evaluated to.
pub fn mix_facts(data: &[u8]) {
    let terms = terms::parse_all(&text(data)).unwrap_or_default();
    if let Ok(facts) = MixFacts::from_terms(&terms) {
        let _ = facts.deps_in("prod").count();
    }
}

/// `mix.lock`.
pub fn mix_lock(data: &[u8]) {
    let text = text(data);
    let _ = terms::parse_elixir(&text);
    let _ = MixLock::parse(&text);
}

/// `rebar.config`, and what it asks for.
pub fn rebar_config(data: &[u8]) {
    if let Ok(facts) = RebarFacts::read(&text(data), "rebar.config") {
        let _ = facts.profile("prod");
        let _ = facts.deps_of("fuzz", &facts);
    }
}

/// `rebar.lock`, alone and as what a dependency brings.
pub fn rebar_lock(data: &[u8]) {
    let text = text(data);
    let _ = RebarLock::parse(&text);
    let terms = terms::parse_all(&text).unwrap_or_default();
    let empty = RebarFacts::read("", "rebar.config").expect("an empty file asks for nothing");
    let _ = empty.with_lock(&terms);
}

/// What registries, container engines and the configuration of their logins say.
pub fn registry(data: &[u8]) {
    registry::fuzz::texts(&text(data));
}

/// A requirement, and versions behind it, one a line.
pub fn requirement(data: &[u8]) {
    let text = text(data);
    let mut lines = text.lines();
    let requirement = lines.next().and_then(Requirement::parse);
    for version in lines.filter_map(Version::parse).take(100) {
        let again = Version::parse(&version.to_string()).expect("what we write can be read");
        assert!(again.cmp(&version).is_eq());
        let _ = requirement.as_ref().map(|wanted| wanted.matches(&version));
    }
}

/// What a client of Elasticsearch sends.
pub fn elasticsearch(data: &[u8]) {
    events::fuzz::elasticsearch(data);
}

/// What a thing sends: a pack of SenML, and where to.
pub fn senml(data: &[u8]) {
    things::fuzz::messages(data);
}

/// What a client of the streams sends.
pub fn streams(data: &[u8]) {
    streams::fuzz::requests(data);
}

/// A plain tar, as a source and as a part of a system.
pub fn tar(data: &[u8]) {
    for (links, special_bits) in
        [(Links::Inside, SpecialBits::Refused), (Links::Anywhere, SpecialBits::Dropped)]
    {
        let rules = Rules { bytes_max: UNPACKED_BYTES_MAX, links, special_bits, strip: 0 };
        below(&|inside| {
            let _ = archive::unpack(data, inside, &rules, &|path| path);
        });
    }
}

/// A source's tarball, in any compression.
pub fn tarball(data: &[u8]) {
    inside(data, fetch::tarball);
}

/// What an MQTT client sends.
pub fn mqtt(data: &[u8]) {
    broker::fuzz::packets(data);
}

/// Erlang terms; what was read is printed and read back the same.
pub fn terms(data: &[u8]) {
    let Ok(terms) = terms::parse_all(&text(data)) else {
        return;
    };
    for term in terms {
        let again: Term = term.to_string().parse().expect("what we print can be read");
        assert_eq!(again, term);
    }
}

/// Files are read as text, so bytes that are none do not reach a reader of text.
fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// Gives a file of these bytes to a reader, and the place of a directory that it may make.
fn inside(data: &[u8], read: fn(&Path, &Path)) {
    below(&|inside| {
        let file = inside.join("input");
        let written = disk::create_new(&file, false)
            .and_then(|mut open| disk::write_all(&mut open, &file, data));
        written.expect("the fuzzer may write files");
        read(&file, &inside.join("root"));
    });
}

/// Gives a directory of its own to a reader that writes, and looks whether it wrote beside it.
fn below(read: &dyn Fn(&Path)) {
    let outer = tempfile::tempdir().expect("the fuzzer may make directories");
    let inside = outer.path().join("inside");
    disk::create_dir(&inside).expect("the fuzzer may make directories");
    read(&inside);
    let found = disk::list(outer.path()).expect("the directory is still there");
    assert_eq!(found, [b"inside"], "something was written outside");
}
