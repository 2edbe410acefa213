//! Fuzz: every reader of strangers' bytes over its seeds and over what can be made of them, for a second each.
//!
//! `REBEAM_FUZZ_ONLY=mqtt REBEAM_FUZZ_S=600 cargo test --test fuzz no_bytes` gives one of them ten minutes.
//!
//! The mutations are the same in every run, as far as a second reaches. A find of `cargo fuzz` is kept by laying
//! its bytes among the seeds.

#![allow(clippy::unwrap_used, reason = "this is a test from end to end")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rebeam::fuzz::{TARGETS, Target};

/// How long each reader is given mutations, unless `REBEAM_FUZZ_S` says how many seconds.
const TIME: Duration = Duration::from_secs(1);
/// How long a reader may take for one input on a busy machine.
const HANG: Duration = Duration::from_secs(60);
/// Bytes that a mutation may grow to.
const BYTES_MAX: usize = 64 << 10;
/// A place outside that the seeds of archives try to write to.
const ESCAPE: &str = "/tmp/rebeam-fuzz-escape";

/// SplitMix64: the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where there is none.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    /// A piece of the bytes: where it begins and ends.
    fn piece(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.below(bytes.len());
        (start, start + self.below(bytes.len() - start + 1).min(512))
    }
}

/// Changes some bytes of one seed, with pieces of another.
fn mutate(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        match numbers.below(7) {
            0 if !bytes.is_empty() => {
                let at = numbers.below(bytes.len());
                bytes[at] ^= 1 << numbers.below(8);
            }
            1 if !bytes.is_empty() => {
                let odd = [0, 1, b'\n', b' ', b'"', b'9', 0x7f, 0x80, 0xff];
                let at = numbers.below(bytes.len());
                bytes[at] = odd[numbers.below(odd.len())];
            }
            2 => bytes.truncate(at),
            3 => {
                let (start, end) = numbers.piece(&bytes);
                bytes.drain(start..end);
            }
            4 => {
                let (start, end) = numbers.piece(other);
                bytes.splice(at..at, other[start..end].iter().copied());
            }
            5 => {
                let (start, end) = numbers.piece(&bytes);
                let piece = bytes[start..end].repeat(numbers.below(40) + 1);
                bytes.splice(at..at, piece);
            }
            _ => {
                let end = (at + numbers.below(8)).min(bytes.len());
                let noise: Vec<u8> = (at..end).map(|_| numbers.next().to_le_bytes()[0]).collect();
                bytes.splice(at..end, noise);
            }
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(Path::new("fuzz/seeds").join(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "`{name}` has no seeds");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs a reader on inputs until the time is over; says before each input what it is.
fn read(target: Target, seeds: &[Vec<u8>], said: &mpsc::Sender<Vec<u8>>) -> usize {
    let mut count = 0;
    let mut numbers = Numbers(1);
    let begun = Instant::now();
    let mut read = |bytes: Vec<u8>| {
        said.send(bytes.clone()).unwrap();
        target(&bytes);
        count += 1;
    };
    seeds.iter().cloned().for_each(&mut read);
    read(Vec::new());
    let time = std::env::var("REBEAM_FUZZ_S").map_or(TIME, |seconds| {
        Duration::from_secs(seconds.parse().expect("REBEAM_FUZZ_S is a number"))
    });
    while begun.elapsed() < time {
        let (one, other) = (numbers.below(seeds.len()), numbers.below(seeds.len()));
        read(mutate(&seeds[one], &seeds[other], &mut numbers));
    }
    count
}

#[test]
fn no_bytes_make_a_reader_panic_or_hang_or_write_outside() {
    let only = std::env::var("REBEAM_FUZZ_ONLY").unwrap_or_default();
    for (name, target) in TARGETS.iter().filter(|(name, _)| only.is_empty() || *name == only) {
        let seeds = seeds(name);
        let (said, heard) = mpsc::channel();
        let reader = std::thread::spawn(move || read(*target, &seeds, &said));
        let mut last = Vec::new();
        loop {
            match heard.recv_timeout(HANG) {
                Ok(bytes) => last = bytes,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("`{name}` takes for ever for {}", last.escape_ascii())
                }
            }
        }
        let count = reader.join();
        assert!(count.is_ok(), "`{name}` panics at {}", last.escape_ascii());
        println!("{name}: {} inputs", count.unwrap());
        assert!(!Path::new(ESCAPE).exists(), "`{name}` wrote outside");
    }
}

#[test]
fn the_fuzzers_lock_knows_all_that_rebeam_needs() {
    let read = |path: &str| fs::read_to_string(path).unwrap().parse::<toml::Table>().unwrap();
    let (manifest, lock) = (read("Cargo.toml"), read("fuzz/Cargo.lock"));
    let packages = lock["package"].as_array().unwrap();
    let ours = packages.iter().find(|package| package["name"].as_str() == Some("rebeam")).unwrap();
    let known: BTreeSet<&str> = ours["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|name| name.as_str()?.split(' ').next())
        .collect();
    for name in manifest["dependencies"].as_table().unwrap().keys() {
        assert!(known.contains(&**name), "`cargo metadata` in fuzz/ adds `{name}` to its lock");
    }
}

#[test]
fn every_reader_has_a_file_for_the_fuzzer_and_every_file_a_reader() {
    let in_table: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let names = |directory: &str| -> BTreeSet<String> {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("fuzz/fuzz_targets"), in_table);
    assert_eq!(names("fuzz/seeds"), in_table);
    let manifest = fs::read_to_string("fuzz/Cargo.toml").unwrap();
    for name in in_table {
        let call = format!("rebeam::fuzz::{name}(data)");
        let file = fs::read_to_string(format!("fuzz/fuzz_targets/{name}.rs")).unwrap();
        assert!(file.contains(&call), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
