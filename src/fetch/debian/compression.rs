//! Compression: the streams that Debian packs indices and packages with, within bounds of memory.

use std::io::{self, Read};

use liblzma::stream::{CONCATENATED, Stream};

use crate::limits::XZ_MEMORY_BYTES_MAX;

/// Bytes of a zstd window, as a power of two.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Compression {
    /// Reads the end of a file name behind its `.tar`.
    pub(super) fn from_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "" => Self::None,
            ".gz" => Self::Gzip,
            ".xz" => Self::Xz,
            ".zst" => Self::Zstd,
            _ => return None,
        })
    }

    /// Unpacks a stream. One that ends too early is an error when its end is reached.
    pub(super) fn reader<'a>(self, stream: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(stream),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(stream)),
            Self::Xz => {
                let decoder = Stream::new_stream_decoder(XZ_MEMORY_BYTES_MAX, CONCATENATED)?;
                Box::new(liblzma::read::XzDecoder::new_stream(stream, decoder))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(stream)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::debian::fixture::xz;
    use std::io::Write as _;

    fn packed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        match compression {
            Compression::None => bytes.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Xz => xz(bytes),
            Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    #[test]
    fn each_stream_reads_back_and_a_cut_one_is_an_error() {
        let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        for suffix in ["", ".gz", ".xz", ".zst"] {
            let compression = Compression::from_suffix(suffix).unwrap();
            let packed = packed(compression, &bytes);
            let read = |packed: &[u8]| {
                let mut read = Vec::new();
                compression.reader(packed)?.read_to_end(&mut read)?;
                io::Result::Ok(read)
            };
            assert_eq!(read(&packed).unwrap(), bytes, "{suffix}");
            if compression != Compression::None {
                for cut in [packed.len() / 2, packed.len() - 1] {
                    assert!(read(&packed[..cut]).is_err(), "{suffix} cut at {cut}");
                }
            }
        }
        assert_eq!(Compression::from_suffix(".bz2"), None);
    }
}
