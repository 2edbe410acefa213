//! Chunks: a blob in pieces, for a registry, or a proxy before it, that does not take it in one.
//!
//! One piece is what every registry knows and some know alone, so pieces are the second way (OCI distribution
//! specification, "Pushing a blob in chunks"). The registry may say how small a piece may be; one that it finds too large is
//! halved. A piece that breaks off is taken up where the registry says it stands.

use std::io::{self, Read};

use super::session::{Ask, Reach, Session, Trouble};
use super::upload::{raw_location, same_digest};
use super::url::with_parameter;
use super::watched::Watched;
use crate::event::Event;
use crate::http::{Answer, Method, Sent, Source};
use crate::image::{Blob, Contents};
use crate::limits::{CHUNK_BYTES, CHUNK_BYTES_MIN, UPLOAD_RESUMES_MAX};

/// A blob that goes in pieces.
pub(super) struct Chunked<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) contents: &'a Contents,
    pub(super) blob: &'a Blob,
}

/// How far an upload is.
struct Upload {
    location: String,
    sent: u64,
    /// Bytes of the next piece, and the least that the registry takes.
    chunk: u64,
    least: u64,
}

/// A piece on its way.
struct Piece<'a> {
    all: &'a Chunked<'a>,
    from: u64,
}

impl Source for Piece<'_> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let Chunked { session, contents, blob } = self.all;
        let inner = contents.open_from(blob, self.from)?;
        Ok(Box::new(Watched::new(inner, &blob.name, session.door.observer).from(self.from)))
    }
}

impl Chunked<'_> {
    /// Sends all pieces; `false` where the registry does not take this way at all.
    pub(super) fn send(&self) -> Result<bool, Trouble> {
        let Blob { name, bytes, digest, .. } = self.blob;
        let mut begun = self.call(Method::Post, &self.session.url("blobs/uploads/"), &[], None)?;
        if begun.status != 202 {
            return Err(self.session.refused(name, *bytes, &mut begun).into());
        }
        let least = begun.headers.get("oci-chunk-min-length");
        let least = least.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let location = raw_location(self.session, name, &begun)?;
        let mut upload = Upload { location, sent: 0, chunk: CHUNK_BYTES.max(least), least };
        self.session.door.observer.observe(&Event::PushStarted { name, bytes: *bytes });
        let mut resumes = 0;
        while upload.sent < *bytes {
            match self.piece(&mut upload) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(Trouble::Passing(passing)) if resumes < UPLOAD_RESUMES_MAX => {
                    resumes += 1;
                    // A status that cannot be had means that the upload is forgotten: it begins anew.
                    if !self.resume(&mut upload)? {
                        return Err(Trouble::Passing(passing));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let url = with_parameter(&upload.location, "digest", &digest.to_string());
        let mut answer = self.call(Method::Put, &url, &[], None)?;
        match answer.status {
            200 | 201 | 204 => same_digest(self.session, name, *digest, &answer)?,
            _ => return Err(self.session.refused(name, *bytes, &mut answer).into()),
        }
        Ok(true)
    }

    /// Sends the next piece; `false` where the registry takes none.
    fn piece(&self, upload: &mut Upload) -> Result<bool, Trouble> {
        let Blob { name, bytes, .. } = self.blob;
        let length = upload.chunk.min(bytes - upload.sent);
        let range = format!("{}-{}", upload.sent, upload.sent + length - 1);
        let headers =
            [("content-type", "application/octet-stream".to_owned()), ("content-range", range)];
        let piece = Piece { all: self, from: upload.sent };
        let sent = Sent::Stream { bytes: length, source: &piece };
        let mut answer = self.call(Method::Patch, &upload.location, &headers, Some(sent))?;
        match answer.status {
            // What a registry says that it has may lag behind (Amazon's does), so its success alone counts.
            200..=204 => {
                upload.sent += length;
                upload.location = raw_location(self.session, name, &answer)?;
                Ok(true)
            }
            413 if length / 2 >= upload.least.max(CHUNK_BYTES_MIN) => {
                upload.chunk = length / 2;
                Ok(true)
            }
            // A piece that is not where the registry stands.
            416 => match self.resume(upload)? {
                true => Ok(true),
                false => Err(self.session.refused(name, *bytes, &mut answer).into()),
            },
            400 | 404 | 405 | 413 if upload.sent == 0 => Ok(false),
            _ => Err(self.session.refused(name, *bytes, &mut answer).into()),
        }
    }

    /// Asks how far the upload is; `false` where the registry does not know it any longer.
    fn resume(&self, upload: &mut Upload) -> Result<bool, Trouble> {
        let answer = self.call(Method::Get, &upload.location, &[], Some(Sent::Nothing))?;
        if !matches!(answer.status, 200 | 204) {
            return Ok(false);
        }
        let range = answer.headers.get("range").and_then(|range| range.split_once('-'));
        let last = range.and_then(|(_, last)| last.trim().parse::<u64>().ok());
        // Nothing yet is said as `0-0`, which one byte would be, too: that byte is sent again and refused, or is not.
        let sent = last.map_or(0, |last| if last == 0 { 0 } else { last + 1 });
        if sent > self.blob.bytes || (sent == upload.sent && answer.status == 200) {
            return Ok(false);
        }
        upload.sent = sent;
        if answer.headers.contains_key("location") {
            upload.location = raw_location(self.session, &self.blob.name, &answer)?;
        }
        Ok(true)
    }

    fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, String)],
        sent: Option<Sent<'_>>,
    ) -> Result<Answer, Trouble> {
        let (name, sent) = (&self.blob.name, sent.unwrap_or(Sent::Bytes(&[])));
        self.session.call(&Ask { method, name, url, headers, sent, reach: Reach::Own })
    }
}
