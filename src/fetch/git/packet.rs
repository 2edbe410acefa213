//! Pkt-lines: the frames that git's protocol is made of.

use std::io::{self, Read};

/// Writes one pkt-line.
pub(super) fn line(body: &mut Vec<u8>, text: &str) {
    body.extend(format!("{:04x}{text}", text.len() + 4).bytes());
}

pub(super) enum Packet {
    Data(Vec<u8>),
    Flush,
    Delimiter,
}

/// A stream of pkt-lines: four hex digits of length, then as many bytes less four.
pub(super) struct Packets<R>(pub(super) R);

impl<R: Read> Packets<R> {
    /// Returns the next packet; `None` where the stream ends between two.
    pub(super) fn next(&mut self) -> io::Result<Option<Packet>> {
        let mut head = [0; 4];
        let count = self.fill(&mut head)?;
        if count == 0 {
            return Ok(None);
        }
        let length = (count == 4)
            .then(|| std::str::from_utf8(&head).ok())
            .flatten()
            .and_then(|digits| usize::from_str_radix(digits, 16).ok());
        match length {
            Some(0) => Ok(Some(Packet::Flush)),
            // Length 2 ends a response in version 2; we end at the flush before it.
            Some(1 | 2) => Ok(Some(Packet::Delimiter)),
            Some(length @ 4..) => {
                let mut data = vec![0; length - 4];
                if self.fill(&mut data)? < data.len() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(Some(Packet::Data(data)))
            }
            Some(_) | None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Returns the next packet; the stream's end is a cut.
    pub(super) fn need(&mut self) -> io::Result<Packet> {
        self.next()?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_run_for_ever(bytes: Vec<u8>) {
            let mut packets = Packets(bytes.as_slice());
            let mut count = 0;
            while let Ok(Some(_)) = packets.next() {
                count += 1;
            }
            proptest::prop_assert!(count <= bytes.len() / 4);
        }

        #[test]
        fn lines_read_back(texts in proptest::collection::vec("[a-z ]{0,50}", 0..10)) {
            let mut bytes = Vec::new();
            for text in &texts {
                line(&mut bytes, text);
            }
            let mut packets = Packets(bytes.as_slice());
            for text in &texts {
                let Some(Packet::Data(data)) = packets.next().unwrap() else { panic!() };
                proptest::prop_assert_eq!(&data, text.as_bytes());
            }
        }
    }
}
