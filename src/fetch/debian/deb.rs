//! Deb: a package file (deb(5)): an ar archive that holds a tar of the package's files.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use crate::archive::{self, Links, Rules, SpecialBits};
use crate::disk;
use crate::limits::PACKAGE_BYTES_MAX;
use crate::store::HeldBlob;
use crate::tree::RelPath;

use super::DebianError;
use super::compression::Compression;

/// Bytes at the start of every ar archive.
const MAGIC: &[u8; 8] = b"!<arch>\n";
/// Members that a package may have; it has three.
const MEMBERS_MAX: usize = 64;
/// Bytes of what a package says of itself, unpacked.
const PAPERS_BYTES_MAX: u64 = 64 << 20;
/// Bytes behind a tar's end that are read to see the stream's own end.
const TAIL_BYTES_MAX: u64 = 16 << 20;

/// Unpacks the files of a held package below the existing directory `target`.
///
/// No script of it runs. `keep` says where an entry goes, or `None` for one that is left out.
/// Setuid bits are dropped, and owners are not looked at.
pub fn unpack(
    name: &str,
    deb: &HeldBlob,
    target: &Path,
    keep: &dyn Fn(RelPath) -> Option<RelPath>,
) -> Result<(), DebianError> {
    unpack_file(name, deb.path(), target, keep)
}

/// Unpacks a package's file. See [`unpack`].
pub(super) fn unpack_file(
    name: &str,
    deb: &Path,
    target: &Path,
    keep: &dyn Fn(RelPath) -> Option<RelPath>,
) -> Result<(), DebianError> {
    let mut file = disk::open(deb)?;
    let (compression, size) = find(name, &mut file, "data.tar")?;
    let damaged = |source| DebianError::Damaged { name: name.to_owned(), source };
    let data = Whole { left: size, inner: file };
    let mut stream = compression.reader(data).map_err(damaged)?;
    let rules = Rules {
        bytes_max: PACKAGE_BYTES_MAX,
        links: Links::Anywhere,
        special_bits: SpecialBits::Dropped,
        strip: 0,
    };
    archive::unpack_some(&mut stream, target, &rules, keep)
        .map_err(|source| DebianError::Contents { name: name.to_owned(), source })?;
    // The tar may end before its stream does; a stream without an end was cut.
    io::copy(&mut stream.take(TAIL_BYTES_MAX), &mut io::sink()).map_err(damaged)?;
    Ok(())
}

/// What a package says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Papers {
    /// Its paragraph: name, version and whatever else Debian says of it.
    pub control: String,
    /// The MD5 of each of its files: a line a file, as `md5sum` prints.
    pub md5sums: String,
}

/// Reads what a held package says of itself.
pub fn papers(name: &str, deb: &HeldBlob) -> Result<Papers, DebianError> {
    papers_of_file(name, deb.path())
}

/// Reads what a package's file says of itself. See [`papers`].
pub(super) fn papers_of_file(name: &str, deb: &Path) -> Result<Papers, DebianError> {
    let mut file = disk::open(deb)?;
    let (compression, size) = find(name, &mut file, "control.tar")?;
    let damaged = |source| DebianError::Damaged { name: name.to_owned(), source };
    let mut stream = compression.reader(Whole { left: size, inner: file }).map_err(damaged)?;
    let mut papers = Papers::default();
    let read = archive::each_entry((&mut stream).take(PAPERS_BYTES_MAX), &mut |entry| {
        let path = entry.path_bytes();
        let place = match path.strip_prefix(b"./").unwrap_or(&path) {
            b"control" => &mut papers.control,
            b"md5sums" => &mut papers.md5sums,
            _ => return Ok(()),
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(archive::ArchiveError::Damaged)?;
        *place = String::from_utf8_lossy(&bytes).into_owned();
        Ok(())
    });
    read.map_err(|source| DebianError::Contents { name: name.to_owned(), source })?;
    io::copy(&mut stream.take(TAIL_BYTES_MAX), &mut io::sink()).map_err(damaged)?;
    Ok(papers)
}

/// Goes to the start of a tar in the package and says how it is packed and how long it is.
fn find(name: &str, file: &mut File, wanted: &str) -> Result<(Compression, u64), DebianError> {
    let not_a_deb =
        |what: &str| DebianError::NotADeb { name: name.to_owned(), what: what.to_owned() };
    let damaged = |source| DebianError::Damaged { name: name.to_owned(), source };
    let mut magic = [0; 8];
    let begins = read_or_end(file, &mut magic).map_err(damaged)?;
    if !begins || &magic != MAGIC {
        return Err(not_a_deb("it does not begin as an ar archive"));
    }
    for place in 0..MEMBERS_MAX {
        let mut header = [0; 60];
        if !read_or_end(file, &mut header).map_err(damaged)? {
            return Err(not_a_deb(&format!("it has no {wanted}")));
        }
        let (member, size) = read_header(&header).ok_or_else(|| not_a_deb("a bad ar header"))?;
        if place == 0 && member != "debian-binary" {
            return Err(not_a_deb("its first member is not `debian-binary`"));
        }
        if place == 0 {
            let mut format = [0; 2];
            file.read_exact(&mut format).map_err(damaged)?;
            if &format != b"2." {
                return Err(not_a_deb("its format is not 2"));
            }
            file.seek_relative(-2).map_err(damaged)?;
        }
        if let Some(suffix) = member.strip_prefix(wanted) {
            let compression = Compression::from_suffix(suffix).ok_or_else(|| {
                not_a_deb(&format!("`{member}` is packed in a way that is not known"))
            })?;
            return Ok((compression, size));
        }
        let next = size.checked_add(size % 2).and_then(|size| i64::try_from(size).ok());
        let next = next.ok_or_else(|| not_a_deb("a bad ar header"))?;
        file.seek(SeekFrom::Current(next)).map_err(damaged)?;
    }
    Err(not_a_deb("it has too many members"))
}

/// Fills the buffer, or says that the file ended before it.
fn read_or_end(file: &mut File, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads an ar header: the member's name and its bytes.
fn read_header(header: &[u8; 60]) -> Option<(String, u64)> {
    if &header[58..] != b"`\n" {
        return None;
    }
    let name = std::str::from_utf8(&header[..16]).ok()?.trim_end();
    let name = name.strip_suffix('/').unwrap_or(name);
    let size = std::str::from_utf8(&header[48..58]).ok()?.trim_end();
    let is_number = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
    Some((name.to_owned(), size.parse().ok().filter(|_| is_number)?))
}

/// The next bytes of a file, of which none may be missing.
struct Whole {
    left: u64,
    inner: File,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Failure;
    use crate::fetch::debian::fixture::{Part, ar, deb, tar, xz};
    use crate::store::Store;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt as _;
    use tar::EntryType;

    /// Unpacks a package file; the directory holds `root`, and nothing may appear beside it but the store.
    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<(), String>) {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let store = Store::open(&home.path().join("store")).unwrap();
        let held = store.insert_blob("test", bytes, 1 << 30, None).unwrap();
        let result = unpack("test 1.0", &held, &root, &Some);
        let result = result.map_err(|error| Failure::from(error).messages().join(": "));
        drop(store);
        let mut names: Vec<_> = std::fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["root", "store"]);
        (home, result)
    }

    fn refusal(bytes: &[u8]) -> String {
        unpacked(bytes).1.unwrap_err()
    }

    #[test]
    fn files_links_and_second_names_are_unpacked_and_setuid_bits_dropped() {
        let parts = [
            Part::Directory("./"),
            Part::Directory("./usr/bin/"),
            Part::File("./usr/bin/su", 0o4755, b"su"),
            Part::File("./usr/share/text", 0o2644, b"text"),
            Part::Second("./usr/bin/again", "./usr/bin/su"),
            Part::Link("./etc/out", "/usr/share/text"),
            Part::Link("./etc/up", "../../../somewhere"),
        ];
        let (home, result) = unpacked(&deb(&parts));
        result.unwrap();
        let root = home.path().join("root");
        let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode();
        assert_eq!(mode("usr/bin/su") & 0o7777, 0o755);
        assert_eq!(mode("usr/share/text") & 0o7777, 0o644);
        assert_eq!(std::fs::read(root.join("usr/bin/again")).unwrap(), b"su");
        let target = std::fs::read_link(root.join("etc/out")).unwrap();
        assert_eq!(target.to_str(), Some("/usr/share/text"));
    }

    #[test]
    fn a_package_says_what_it_is() {
        let control = tar(&[
            Part::Directory("./"),
            Part::File("./control", 0o644, b"Package: a\n"),
            Part::File("./md5sums", 0o644, b"0123  usr/bin/a\n"),
            Part::File("./postinst", 0o755, b"#!/bin/sh\n"),
        ]);
        let bytes = ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &xz(&control))]);
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("deb");
        let of = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            papers_of_file("test 1.0", &file)
        };
        let read = of(&bytes).unwrap();
        assert_eq!(
            (read.control.as_str(), read.md5sums.as_str()),
            ("Package: a\n", "0123  usr/bin/a\n")
        );
        for cut in [30, 70, bytes.len() - 20] {
            assert!(of(&bytes[..cut]).unwrap_err().to_string().contains("test 1.0"), "{cut}");
        }
    }

    #[test]
    fn names_that_lead_outside_are_refused() {
        for name in ["../out", "./a/../../out", "/etc/out"] {
            let message = refusal(&deb(&[Part::File(name, 0o644, b"x")]));
            assert!(message.contains("the unsafe name"), "{message}");
        }
        let through = [Part::Link("./a", "/tmp"), Part::File("./a/out", 0o644, b"x")];
        let message = refusal(&deb(&through));
        assert!(message.contains("the unsafe name `a/out`"), "{message}");
    }

    #[test]
    fn devices_and_pipes_are_refused() {
        for (kind, what) in [
            (EntryType::Char, "a device"),
            (EntryType::Block, "a device"),
            (EntryType::Fifo, "a pipe"),
        ] {
            let message = refusal(&deb(&[Part::Odd("./dev/x", kind)]));
            assert!(message.contains(what), "{message}");
        }
    }

    #[test]
    fn a_cut_package_is_damaged_wherever_it_was_cut() {
        let noise: Vec<u8> =
            (0..30_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let whole = deb(&[Part::File("./a", 0o644, &noise)]);
        for cut in [4, 60, 70, 150, 1000, whole.len() / 2, whole.len() - 1] {
            let message = refusal(&whole[..cut]);
            assert!(message.contains("`test 1.0`"), "{cut}: {message}");
        }
    }

    #[test]
    fn a_stream_that_is_cut_behind_the_tars_end_is_damaged() {
        let packed = xz(&tar(&[Part::File("./a", 0o644, b"x")]));
        let file =
            ar(&[("debian-binary", b"2.0\n"), ("data.tar.xz", &packed[..packed.len() - 12])]);
        assert_eq!(refusal(&file), "`test 1.0` is damaged: premature eof");
    }

    #[test]
    fn every_packing_of_debian_is_known_and_others_are_named() {
        let plain = tar(&[Part::File("./a", 0o644, b"x")]);
        let zst = zstd::encode_all(&plain[..], 1).unwrap();
        for (name, bytes) in [("data.tar", &plain), ("data.tar.zst/", &zst)] {
            let file = ar(&[("debian-binary/", b"2.0\n"), ("_note", b"odd"), (name, bytes)]);
            unpacked(&file).1.unwrap();
        }
        let file = ar(&[("debian-binary", b"2.0\n"), ("data.tar.bz2", &plain)]);
        assert_eq!(
            refusal(&file),
            "`test 1.0` is not a Debian package: `data.tar.bz2` is packed in a way that is not known"
        );
    }

    #[test]
    fn what_is_no_package_is_named_as_such() {
        for (bytes, what) in [
            (b"".to_vec(), "does not begin as an ar archive"),
            (b"PK\x03\x04 and more".to_vec(), "does not begin as an ar archive"),
            (ar(&[]), "no data.tar"),
            (ar(&[("debian-binary", b"2.0\n")]), "no data.tar"),
            (ar(&[("data.tar", b"")]), "first member"),
            (ar(&[("debian-binary", b"3.0\n"), ("data.tar", b"")]), "its format"),
        ] {
            let message = refusal(&bytes);
            assert!(message.contains(what), "{message}");
        }
        let mut bad = ar(&[("debian-binary", b"2.0\n")]);
        bad[8 + 48] = b'x';
        assert!(refusal(&bad).contains("a bad ar header"));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        // The header says 10 GB; the stream is zeros without end.
        let mut header = tar::Header::new_gnu();
        header.set_path("bomb").unwrap();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(10 << 30);
        header.set_cksum();
        let rules = Rules {
            bytes_max: 1 << 20,
            links: Links::Anywhere,
            special_bits: SpecialBits::Dropped,
            strip: 0,
        };
        let root = tempfile::tempdir().unwrap();
        let stream = header.as_bytes().chain(io::repeat(0));
        let error = archive::unpack_some(stream, root.path(), &rules, &Some).unwrap_err();
        assert!(error.to_string().contains("more than 1048576 bytes"), "{error}");
        let written = std::fs::metadata(root.path().join("bomb")).unwrap().len();
        assert!(written <= 1 << 20);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_bytes_make_it_panic_or_write_outside(
            at in 0usize..700, byte: u8, cut in 0usize..700,
        ) {
            let parts = [Part::File("./usr/a", 0o755, b"text"), Part::Link("./b", "usr/a")];
            let mut file = ar(&[("debian-binary", b"2.0\n"), ("data.tar", &tar(&parts))]);
            if let Some(place) = file.get_mut(at) { *place = byte; }
            file.truncate(file.len() - cut);
            let _ = unpacked(&file);
        }
    }
}
