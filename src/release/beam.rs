//! Beam: a module's file without what only a developer reads.
//!
//! A module is an IFF file: `FOR1`, a length, `BEAM`, then chunks of a four-letter name, a length, and
//! bytes padded to four. What the loader does not need is named here and dropped; a chunk that a
//! newer OTP adds is kept, because it may matter. `Line` stays, so that stack traces keep
//! their line numbers. The result is written plainly: a layer compresses it better than gzip in gzip does.

use std::io::Read as _;

use flate2::read::GzDecoder;
use thiserror::Error;

/// Chunks that the loader does not need: debug information, abstract code, documentation, local
/// functions, Elixir's type checks, the debugger's map, and how it was compiled.
const DROPPED: [&[u8; 4]; 7] = [b"Dbgi", b"Abst", b"Docs", b"LocT", b"ExCk", b"DbgB", b"CInf"];
/// Bytes of one module after inflating.
const BEAM_BYTES_MAX: u64 = 256 << 20;

/// A module's file is damaged.
#[derive(Debug, Error)]
pub enum BeamError {
    /// It does not begin as a module does.
    #[error("it does not begin like a module")]
    NoBeam,
    /// A chunk or the file is shorter than it says.
    #[error("it is cut off: the chunk `{chunk}` is longer than the file")]
    Cut {
        /// The chunk's name.
        chunk: String,
    },
    /// It holds no code.
    #[error("it holds no code")]
    NoCode,
    /// It is compressed and cannot be inflated.
    #[error("it is compressed and cannot be inflated")]
    Inflate(#[source] std::io::Error),
    /// It is larger than a module may be.
    #[error("it is larger than the {BEAM_BYTES_MAX} bytes a module may have")]
    TooLarge,
}

/// Returns the module without the chunks that the loader does not need.
pub(super) fn strip(bytes: &[u8]) -> Result<Vec<u8>, BeamError> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return strip_plain(&inflate(bytes)?);
    }
    strip_plain(bytes)
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, BeamError> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes)
        .take(BEAM_BYTES_MAX + 1)
        .read_to_end(&mut plain)
        .map_err(BeamError::Inflate)?;
    if plain.len() as u64 > BEAM_BYTES_MAX {
        return Err(BeamError::TooLarge);
    }
    Ok(plain)
}

/// A chunk of a module: its name, and its bytes.
pub type Chunk = ([u8; 4], Vec<u8>);

/// Returns a module's chunks in their order, inflated where the file is compressed.
pub fn chunks(bytes: &[u8]) -> Result<Vec<Chunk>, BeamError> {
    let inflated;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        inflated = inflate(bytes)?;
        &inflated
    } else {
        bytes
    };
    let mut rest = body(bytes)?.1;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let (name, size, padded) = chunk(rest)?;
        chunks.push((*name, rest[8..8 + size].to_vec()));
        rest = &rest[padded.min(rest.len())..];
    }
    Ok(chunks)
}

/// Returns a module's head and its chunks, without what stands behind them.
fn body(bytes: &[u8]) -> Result<(&[u8; 12], &[u8]), BeamError> {
    let (head, body) = bytes.split_first_chunk::<12>().ok_or(BeamError::NoBeam)?;
    if &head[..4] != b"FOR1" || &head[8..] != b"BEAM" {
        return Err(BeamError::NoBeam);
    }
    // The length counts `BEAM` and the chunks; what stands behind them is not part of the module.
    let promised = length(&head[4..8]).saturating_sub(4);
    Ok((head, body.get(..promised).ok_or_else(|| cut(b"BEAM"))?))
}

fn strip_plain(bytes: &[u8]) -> Result<Vec<u8>, BeamError> {
    let (head, mut rest) = body(bytes)?;
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend_from_slice(head);
    let mut has_code = false;
    while !rest.is_empty() {
        let (name, size, padded) = chunk(rest)?;
        if !DROPPED.contains(&name) {
            has_code |= name == b"Code";
            kept.extend_from_slice(&rest[..8 + size]);
            kept.resize(kept.len().next_multiple_of(4), 0);
        }
        rest = &rest[padded.min(rest.len())..];
    }
    if !has_code {
        return Err(BeamError::NoCode);
    }
    let size = u32::try_from(kept.len() - 8).map_err(|_| BeamError::TooLarge)?;
    kept[4..8].copy_from_slice(&size.to_be_bytes());
    Ok(kept)
}

/// Reads a chunk's head: its name, its bytes, and its bytes with head and padding.
fn chunk(rest: &[u8]) -> Result<(&[u8; 4], usize, usize), BeamError> {
    let (head, body) = rest.split_first_chunk::<8>().ok_or_else(|| cut(rest))?;
    let name = head.first_chunk::<4>().expect("a head has eight bytes");
    let size = length(&head[4..]);
    if body.len() < size {
        return Err(cut(name));
    }
    Ok((name, size, 8 + size.next_multiple_of(4)))
}

fn length(bytes: &[u8]) -> usize {
    let bytes = bytes.try_into().expect("a length has four bytes");
    usize::try_from(u32::from_be_bytes(bytes)).expect("a usize has at least 32 bits")
}

fn cut(name: &[u8]) -> BeamError {
    BeamError::Cut {
        chunk: name.iter().take(4).map(|byte| byte.escape_ascii().to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::release::tests::craft::module;

    #[test]
    fn debug_information_goes_and_code_and_lines_stay() {
        let whole = module(&[
            (b"AtU8", b"atoms"),
            (b"Code", b"code!!"),
            (b"Dbgi", b"a long story"),
            (b"Line", b"12"),
            (b"Docs", b"prose"),
            (b"New1", b"unknown"),
        ]);
        let lean = module(&[
            (b"AtU8", b"atoms"),
            (b"Code", b"code!!"),
            (b"Line", b"12"),
            (b"New1", b"unknown"),
        ]);
        assert_eq!(strip(&whole).unwrap(), lean);
        assert_eq!(strip(&lean).unwrap(), lean);
    }

    #[test]
    fn a_compressed_module_comes_out_plain() {
        let plain = module(&[(b"Code", b"code")]);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&plain).unwrap();
        assert_eq!(strip(&packed.finish().unwrap()).unwrap(), plain);
    }

    #[test]
    fn what_is_no_module_is_refused() {
        let good = module(&[(b"Code", b"code"), (b"Line", b"line")]);
        for end in 0..good.len() {
            assert!(strip(&good[..end]).is_err(), "{end}");
        }
        assert!(matches!(strip(b"#!/bin/sh\nexit 0\n"), Err(BeamError::NoBeam)));
        assert!(matches!(strip(&module(&[(b"Line", b"")])), Err(BeamError::NoCode)));
        assert!(matches!(strip(b"\x1f\x8bjunk"), Err(BeamError::Inflate(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = strip(&bytes);
            let _ = strip(&[b"FOR1\0\0\0\x40BEAM", bytes.as_slice()].concat());
        }
    }
}
