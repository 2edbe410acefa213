//! Contents: which packages hold a header, library, module or program, as the suite's index of files says.
//!
//! That index has hundreds of megabytes and is asked only after a build has failed for want of
//! something. What may be asked of it is kept in the store as a small table of its own.

use std::io::{BufRead as _, BufReader, Read as _};

use super::compression::Compression;
use super::{Architecture, DebianError, Lack, index, release, usual};
use crate::digest::Digest;
use crate::event::Observer;
use crate::http::Http;
use crate::limits::{CONTENTS_BYTES_MAX, INDEX_BYTES_MAX};
use crate::store::{BuildKey, HeldBlob, Record, Store};

/// The version of the table's form.
const TABLE: u32 = 2;
/// Packages that one answer names.
const HOLDERS_MAX: usize = 3;
/// Bytes of a line of the index.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A file of the suite that would be it, and the packages that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The packages, any of which would do.
    pub packages: Vec<String>,
    /// The file, where an index was read.
    pub path: Option<String>,
}

/// Which suite is asked, and on whose word.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The suite's code name.
    pub suite: &'a str,
    /// The machine.
    pub architecture: Architecture,
    /// What an index past its date is worth.
    pub expiry: super::Expiry,
}

/// Says which package has it without reading an index: only what is asked for most is known so.
pub fn usual_holder(lack: &Lack) -> Option<Holder> {
    let package = usual::package(lack)?;
    Some(Holder { packages: vec![package.into()], path: None })
}

/// Says which package of the suite has it; the index is fetched once and kept as a table.
pub fn holder(
    lack: &Lack,
    asked: Asked<'_>,
    store: &Store,
    web: (&Http, &dyn Observer),
) -> Result<Option<Holder>, DebianError> {
    let table = table(asked, store, web)?;
    let stream = crate::disk::open(table.path())?;
    let damaged = |source| DebianError::Damaged { name: "the table of files".into(), source };
    let mut text = String::new();
    let reader = Compression::Zstd.reader(stream).map_err(damaged)?;
    reader.take(INDEX_BYTES_MAX).read_to_string(&mut text).map_err(damaged)?;
    Ok(best(lack, &text))
}

/// Returns the table out of the store, or makes it of the suite's index.
fn table(
    asked: Asked<'_>,
    store: &Store,
    web: (&Http, &dyn Observer),
) -> Result<HeldBlob, DebianError> {
    let Asked { suite, architecture, expiry } = asked;
    let key = BuildKey::of(&format!("files {TABLE}\n{suite} {}\n", architecture.name()));
    if let Some(record) = store.recall(key)?
        && let Some((_, digest)) = record.outputs.first()
        && let Some(held) = store.blob(*digest)?
    {
        return Ok(held);
    }
    let trust = release::Trust { keyring: release::Keyring::archive(), expiry };
    let name = format!("{suite} Contents");
    let mut text = String::new();
    // What is the same for every architecture stands in an index of its own, in the suites that have one.
    for part in [architecture.name(), "all"] {
        let file = format!("main/Contents-{part}.gz");
        let packed = match index::fetch_file(suite, &file, &trust, web) {
            Err(DebianError::NoIndex { .. }) if part == "all" => continue,
            packed => packed?,
        };
        let damaged = |source| DebianError::Damaged { name: name.clone(), source };
        text.push_str(&sift(&packed).map_err(damaged)?);
    }
    let table = zstd::encode_all(text.as_bytes(), 3).expect("memory takes any bytes");
    let size = table.len() as u64;
    let held = store.insert_blob(&name, table.as_slice(), size, Some(Digest::of(&table)))?;
    let record = Record { inputs: String::new(), outputs: vec![("table".into(), held.digest())] };
    store.remember(key, &record)?;
    Ok(held)
}

/// Takes the lines of an index that somebody could ask for, with plain package names.
fn sift(packed: &[u8]) -> std::io::Result<String> {
    let mut lines = BufReader::new(Compression::Gzip.reader(packed)?.take(CONTENTS_BYTES_MAX));
    let mut table = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(table);
        }
        let Some((path, packages)) = std::str::from_utf8(&line).ok().and_then(split) else {
            continue;
        };
        if !is_asked_for(path) {
            continue;
        }
        table.push_str(path);
        for package in packages.split(',') {
            table.push(' ');
            table.push_str(package.rsplit('/').next().unwrap_or(package));
        }
        table.push('\n');
    }
}

/// `usr/include/expat.h    libdevel/libexpat1-dev`: a path may hold spaces, a list of packages does not.
fn split(line: &str) -> Option<(&str, &str)> {
    let (path, packages) = line.trim_end().rsplit_once(char::is_whitespace)?;
    Some((path.trim_end(), packages)).filter(|(path, _)| !path.contains(' '))
}

fn is_asked_for(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("usr/") else {
        return path.starts_with("bin/") || path.starts_with("sbin/");
    };
    let name = rest.rsplit('/').next().unwrap_or(rest);
    let is_library = name.starts_with("lib") && (name.ends_with(".so") || name.ends_with(".a"));
    rest.starts_with("include/")
        || rest.starts_with("bin/")
        || rest.starts_with("sbin/")
        || (rest.starts_with("lib/") && is_library && rest.split('/').count() <= 3)
        || name.ends_with(".pc") && rest.contains("/pkgconfig/")
}

/// Picks the file that is most likely meant: the one that needs the fewest directories on the way.
fn best(lack: &Lack, table: &str) -> Option<Holder> {
    let ends: Vec<String> = match lack {
        Lack::Header(name) => vec![format!("/{name}")],
        Lack::Library(name) => vec![format!("/lib{name}.so"), format!("/lib{name}.a")],
        Lack::Module(name) => vec![format!("/pkgconfig/{name}.pc")],
        Lack::Program(name) => vec![format!("bin/{name}")],
    };
    let is_there = |path: &str| match lack {
        Lack::Header(_) => path.starts_with("usr/include/"),
        Lack::Program(_) => {
            path.split('/').rev().nth(1).is_some_and(|place| place.ends_with("bin"))
        }
        _ => true,
    };
    let entries = table.lines().filter_map(|line| line.split_once(' '));
    let fits = |path: &str| ends.iter().any(|end| path.ends_with(end.as_str())) && is_there(path);
    // The directory of a machine is on every search path, so it does not count.
    let way = |path: &str| {
        let parts = path.split('/').filter(|part| !part.ends_with("-linux-gnu"));
        (parts.count(), path.len())
    };
    let (path, packages) =
        entries.filter(|(path, _)| fits(path)).min_by_key(|(path, _)| (way(path), *path))?;
    let mut packages: Vec<String> = packages.split(' ').map(str::to_owned).collect();
    packages.sort();
    packages.truncate(HOLDERS_MAX);
    Some(Holder { packages, path: Some(format!("/{path}")) })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const INDEX: &str = "\
bin/busybox                                             utils/busybox,shells/busybox-static
usr/bin/autoreconf                                      devel/autoconf
usr/include/expat.h                                     libdevel/libexpat1-dev
usr/include/other/deep/expat.h                          libdevel/other-dev
usr/include/x86_64-linux-gnu/curl/curl.h                libdevel/libcurl4-nss-dev,libdevel/libcurl4-openssl-dev
usr/lib/x86_64-linux-gnu/libexpat.so                    libdevel/libexpat1-dev
usr/lib/x86_64-linux-gnu/libexpat.so.1.8.10             libs/libexpat1
usr/lib/x86_64-linux-gnu/pkgconfig/libxml-2.0.pc        libdevel/libxml2-dev
usr/share/doc/a file with spaces                        doc/odd
usr/share/man/man1/expat.h                              doc/odd
";

    fn table() -> String {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        packed.write_all(INDEX.as_bytes()).unwrap();
        sift(&packed.finish().unwrap()).unwrap()
    }

    #[test]
    fn the_index_names_the_package_of_what_is_lacking() {
        let table = table();
        for (lack, package, path) in [
            (Lack::Header("expat.h".into()), "libexpat1-dev", "/usr/include/expat.h"),
            (
                Lack::Library("expat".into()),
                "libexpat1-dev",
                "/usr/lib/x86_64-linux-gnu/libexpat.so",
            ),
            (
                Lack::Module("libxml-2.0".into()),
                "libxml2-dev",
                "/usr/lib/x86_64-linux-gnu/pkgconfig/libxml-2.0.pc",
            ),
            (Lack::Program("autoreconf".into()), "autoconf", "/usr/bin/autoreconf"),
        ] {
            let holder = best(&lack, &table).unwrap();
            assert_eq!(
                (holder.packages, holder.path.as_deref()),
                (vec![package.to_owned()], Some(path))
            );
        }
        let curl = best(&Lack::Header("curl/curl.h".into()), &table).unwrap();
        assert_eq!(curl.packages, ["libcurl4-nss-dev", "libcurl4-openssl-dev"]);
        assert_eq!(best(&Lack::Header("pat.h".into()), &table), None);
    }

    #[test]
    fn what_nobody_asks_for_is_not_kept() {
        let table = table();
        assert!(!table.contains("odd") && !table.contains("libexpat1\n"), "{table}");
    }
}
