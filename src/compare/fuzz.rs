//! Fuzz: the comparison of two files, given bytes by a fuzzer.

use super::content::{Look, compare};

/// Two files of every kind that has a reader: the first half of the bytes, and the second.
pub(crate) fn contents(data: &[u8]) {
    let (one, other) = data.split_at(data.len() / 2);
    let look = Look { depth: 0, traces: &[("elsewhere", "host name")] };
    for name in ["m.beam", "start.boot", "sys.config", "x.json", "x"] {
        drop(compare(name, one, other, look));
        drop(compare(name, data, one, look));
    }
}
