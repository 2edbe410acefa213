//! Gzip: a stream as gzip members of one mebibyte each, compressed side by side.
//!
//! Members are independent, so the result does not depend on how many threads there are, and memory
//! stays bounded whatever the size. The bytes are part of every digest: libdeflate's version
//! is pinned, and another one is another image format.

use std::io::{self, Read, Write as _};

use libdeflater::{CompressionLvl, Compressor};
use rayon::prelude::*;

use crate::digest::{Digest, Hashing};

/// Bytes of one member before it is compressed.
const MEMBER_BYTES: usize = 1 << 20;
/// Members compressed at once.
const BATCH_MEMBERS: usize = 4;
/// The level at which libdeflate is smaller than zlib's best and several times as fast.
const LEVEL: i32 = 6;

/// Compresses what it reads, while it is read, and hashes what went in.
pub(super) struct Members<R> {
    source: R,
    plain: Hashing<io::Sink>,
    ready: Vec<u8>,
    ready_at: usize,
    ended: bool,
}

impl<R: Read> Members<R> {
    /// Begins to compress `source`.
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            plain: Hashing::new(io::sink()),
            ready: Vec::new(),
            ready_at: 0,
            ended: false,
        }
    }

    /// Ends: the source, and the digest and number of the bytes that went in.
    pub(super) fn finish(self) -> (R, Digest, u64) {
        let (_, digest, bytes) = self.plain.finish();
        (self.source, digest, bytes)
    }

    fn advance(&mut self) -> io::Result<()> {
        let mut batch: Vec<Vec<u8>> = Vec::with_capacity(BATCH_MEMBERS);
        while batch.len() < BATCH_MEMBERS && !self.ended {
            let mut member = Vec::with_capacity(MEMBER_BYTES);
            let limit = MEMBER_BYTES as u64;
            self.source.by_ref().take(limit).read_to_end(&mut member)?;
            self.ended = member.len() < MEMBER_BYTES;
            if !member.is_empty() {
                batch.push(member);
            }
        }
        let plain = &mut self.plain;
        let hash = || batch.iter().try_for_each(|member| plain.write_all(member));
        let compress = || -> Vec<Vec<u8>> {
            let members = batch.par_iter().with_max_len(1);
            members.map(|member| compress(member)).collect()
        };
        let (hashed, compressed) = rayon::join(hash, compress);
        hashed?;
        self.ready = compressed.concat();
        self.ready_at = 0;
        Ok(())
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready_at == self.ready.len() {
            if self.ended {
                return Ok(0);
            }
            self.advance()?;
        }
        let count = buffer.len().min(self.ready.len() - self.ready_at);
        buffer[..count].copy_from_slice(&self.ready[self.ready_at..][..count]);
        self.ready_at += count;
        Ok(count)
    }
}

fn compress(member: &[u8]) -> Vec<u8> {
    let level = CompressionLvl::new(LEVEL).expect("libdeflate knows level 6");
    let mut compressor = Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(member.len())];
    let size = compressor.gzip_compress(member, &mut out).expect("the buffer has the bound's size");
    out.truncate(size);
    out
}

#[cfg(test)]
mod tests {
    use flate2::read::MultiGzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn pack(bytes: &[u8]) -> (Vec<u8>, Digest, u64) {
        let mut members = Members::new(bytes);
        let mut out = Vec::new();
        members.read_to_end(&mut out).unwrap();
        let (_, digest, count) = members.finish();
        (out, digest, count)
    }

    #[test]
    fn a_member_has_neither_time_nor_system() {
        let (out, digest, count) = pack(b"hello");
        assert_eq!(out[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
        assert_eq!((digest, count), (Digest::of(b"hello"), 5));
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_number_of_threads() {
        let bytes: Vec<u8> =
            (0..7_000_003_u32).map(|n| (n.wrapping_mul(n) >> 11) as u8 & 0x3f).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| pack(&bytes))
        };
        let one = with(1);
        assert!(one == with(3));
        let mut back = Vec::new();
        MultiGzDecoder::new(one.0.as_slice()).read_to_end(&mut back).unwrap();
        assert!(back == bytes);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_goes_in_comes_out(size in 0_usize..3_000_000, byte: u8) {
            let bytes = vec![byte; size];
            let (out, digest, _) = pack(&bytes);
            let mut back = Vec::new();
            MultiGzDecoder::new(out.as_slice()).read_to_end(&mut back).unwrap();
            prop_assert!(back == bytes);
            prop_assert_eq!(digest, Digest::of(&bytes));
        }
    }
}
