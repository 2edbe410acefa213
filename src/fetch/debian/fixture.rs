//! Package files made in a test.

use std::io::Read as _;

use tar::{EntryType, Header};

/// One entry of a package.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    Directory(&'a str),
    /// Path, mode and bytes.
    File(&'a str, u32, &'a [u8]),
    /// Path and target.
    Link(&'a str, &'a str),
    /// Path and the path whose second name it is.
    Second(&'a str, &'a str),
    /// Path and kind.
    Odd(&'a str, EntryType),
}

/// Packs bytes as xz.
pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = liblzma::read::XzEncoder::new(bytes, 1);
    encoder.read_to_end(&mut packed).expect("memory takes any bytes");
    packed
}

/// Makes a tar. Names are written as they are, hostile ones too.
pub(crate) fn tar(parts: &[Part<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for part in parts {
        let (path, kind, mode, bytes, target) = match *part {
            Part::Directory(path) => (path, EntryType::Directory, 0o755, &b""[..], ""),
            Part::File(path, mode, bytes) => (path, EntryType::Regular, mode, bytes, ""),
            Part::Link(path, target) => (path, EntryType::Symlink, 0o777, &b""[..], target),
            Part::Second(path, target) => (path, EntryType::Link, 0o644, &b""[..], target),
            Part::Odd(path, kind) => (path, kind, 0o644, &b""[..], ""),
        };
        let mut header = Header::new_gnu();
        let raw = header.as_gnu_mut().expect("it was made so");
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        raw.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append(&header, bytes).expect("memory takes any bytes");
    }
    builder.into_inner().expect("memory takes any bytes")
}

/// Makes an ar archive.
pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let header =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", bytes.len());
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

/// Makes a package of these files.
pub(crate) fn deb(parts: &[Part<'_>]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", &xz(&tar(&[]))),
        ("data.tar.xz", &xz(&tar(parts))),
    ])
}
