//! Closure: the libraries that the release's programs load, found as the system's loader finds them.
//!
//! Each ELF file of the release says which libraries it needs. They are looked for where the file itself
//! wants them looked for, then in the system's own directories of the toolchain's root, and so
//! on with what those libraries need. A library stands in the image under its soname in the directory of its
//! architecture, which the loader searches without a cache. At the end every symbol version that a file asks
//! for must be defined by the very library that was chosen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::elf::{self, Elf, Machine};
use super::{Lacking, Missing, Package, ReleaseError, at};
use crate::disk;
use crate::limits::FILE_BYTES_MAX;
use crate::tree::{self, Followed, RelPath};

/// Libraries in one closure.
const LIBRARIES_MAX: usize = 2_000;

/// What the release's programs load.
#[derive(Debug, Default)]
pub(super) struct Closure {
    /// Files of the toolchain by their path in the image.
    pub(super) libraries: BTreeMap<RelPath, PathBuf>,
    /// Links by their path in the image.
    pub(super) links: BTreeMap<RelPath, Vec<u8>>,
    /// Packages that the files came with.
    pub(super) packages: BTreeSet<Package>,
    /// The machine of all of it.
    pub(super) machine: Machine,
}

/// Where libraries come from.
pub(super) struct Sources<'a> {
    /// The toolchain's root.
    pub(super) toolchain: &'a Path,
    /// The files of the base; its libraries count before the toolchain's.
    pub(super) base: Option<&'a Path>,
    /// Names the package that a path of the toolchain came with.
    pub(super) owner: &'a dyn Fn(&RelPath) -> Option<Package>,
    /// Names the packages that hold a library.
    pub(super) provider: &'a dyn Fn(&str) -> Vec<String>,
}

/// Finds everything that `programs` (paths in the image, with where they stand) load; the first is the emulator.
pub(super) fn close(
    programs: &[(RelPath, PathBuf)],
    sources: &Sources<'_>,
) -> Result<Closure, ReleaseError> {
    let mut search = Search {
        sources,
        own: programs.iter().cloned().collect(),
        seen: BTreeMap::new(),
        chosen: BTreeMap::new(),
        waiting: programs.iter().cloned().collect(),
        strangers: Vec::new(),
        missing: Vec::new(),
        found: Closure::default(),
        below: None,
    };
    while let Some((path, on_disk)) = search.waiting.pop_front() {
        search.visit(&path, &on_disk)?;
    }
    search.finish()
}

struct Search<'a> {
    sources: &'a Sources<'a>,
    /// The release's own ELF files.
    own: BTreeMap<RelPath, PathBuf>,
    /// What has been read.
    seen: BTreeMap<RelPath, Elf>,
    /// For each file and each soname it needs: the library that was chosen.
    chosen: BTreeMap<(RelPath, String), RelPath>,
    waiting: VecDeque<(RelPath, PathBuf)>,
    strangers: Vec<String>,
    missing: Vec<Missing>,
    found: Closure,
    /// Where the base's own libraries stand, once it is seen to have a loader for our programs.
    below: Option<RelPath>,
}

impl Search<'_> {
    fn visit(&mut self, path: &RelPath, on_disk: &Path) -> Result<(), ReleaseError> {
        if self.seen.contains_key(path) {
            return Ok(());
        }
        let bytes = disk::read(on_disk, FILE_BYTES_MAX)?;
        let elf = elf::parse(&bytes)
            .map_err(|reason| ReleaseError::DamagedElf { file: path.to_string(), reason })?;
        if self.seen.is_empty() {
            self.found.machine = elf.machine;
        }
        let Some(triplet) = self.found.machine.triplet() else {
            return Err(ReleaseError::UnknownMachine { file: path.to_string() });
        };
        if elf.machine != self.found.machine {
            self.strangers.push(path.to_string());
            self.seen.insert(path.clone(), Elf::default());
            return Ok(());
        }
        if let Some(interpreter) = &elf.interpreter {
            self.interpreter(path, interpreter, triplet)?;
        }
        for soname in &elf.needed {
            match self.look_for(path, &elf, soname, triplet)? {
                Some(library) => {
                    self.chosen.insert((path.clone(), soname.clone()), library);
                }
                None => self.missing.push(Missing {
                    library: soname.clone(),
                    wanted_by: path.to_string(),
                    packages: (self.sources.provider)(soname),
                }),
            }
        }
        self.seen.insert(path.clone(), elf);
        Ok(())
    }

    /// Puts the program's loader in, under its soname and under the name the program calls it by.
    fn interpreter(
        &mut self,
        program: &RelPath,
        name: &str,
        triplet: &str,
    ) -> Result<(), ReleaseError> {
        let relative = RelPath::new(name.trim_start_matches('/')).map(|path| merged(&path));
        let Ok(called) = relative else {
            return Err(ReleaseError::DamagedElf {
                file: program.to_string(),
                reason: format!("its loader's name `{name}` is no path"),
            });
        };
        let soname = String::from_utf8_lossy(called.name()).into_owned();
        if self.is_in_base(name, triplet)? {
            return Ok(());
        }
        let place = at(&format!("usr/lib/{triplet}")).join(soname.as_bytes())?;
        let Some(real) = resolve(self.sources.toolchain, &called)? else {
            self.missing.push(Missing {
                library: name.to_owned(),
                wanted_by: program.to_string(),
                packages: (self.sources.provider)(&soname),
            });
            return Ok(());
        };
        if called != place {
            let target = relative_target(&called, &place);
            self.found.links.insert(called, target);
        }
        self.take(place, &real)
    }

    fn look_for(
        &mut self,
        path: &RelPath,
        elf: &Elf,
        soname: &str,
        triplet: &str,
    ) -> Result<Option<RelPath>, ReleaseError> {
        if soname.contains('/') {
            return Ok(None);
        }
        for directory in &elf.search {
            let Some(place) = search_place(path, directory, soname) else {
                continue;
            };
            if self.own.contains_key(&place) {
                return Ok(Some(place));
            }
            if let Some(real) = resolve(self.sources.toolchain, &place)? {
                let place = merged(&place);
                self.take(place.clone(), &real)?;
                return Ok(Some(place));
            }
        }
        if let Some(library) = self.base_library(soname, triplet)? {
            return Ok(Some(library));
        }
        for directory in [format!("usr/lib/{triplet}"), "usr/lib".into(), "usr/lib64".into()] {
            let candidate = at(&directory).join(soname.as_bytes())?;
            if let Some(real) = resolve(self.sources.toolchain, &candidate)? {
                let own = at(&format!("usr/lib/{triplet}"));
                // The base's loader looks beside the base's libraries.
                let place = self.below.as_ref().unwrap_or(&own).join(soname.as_bytes())?;
                self.take(place.clone(), &real)?;
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Tells whether the base has the loader that a program names, and with it a system of its own.
    fn is_in_base(&mut self, name: &str, triplet: &str) -> Result<bool, ReleaseError> {
        let (Some(base), Ok(called)) =
            (self.sources.base, RelPath::new(name.trim_start_matches('/')))
        else {
            return Ok(false);
        };
        if self.below.is_none() && resolve(base, &called)?.is_some() {
            let libc = find(base, "libc.so.6", triplet)?;
            self.below = libc.and_then(|libc| libc.parent());
        }
        Ok(self.below.is_some())
    }

    /// Finds a library of the base, which is read for what it defines and needs and does not come along.
    fn base_library(
        &mut self,
        soname: &str,
        triplet: &str,
    ) -> Result<Option<RelPath>, ReleaseError> {
        let (Some(base), Some(_)) = (self.sources.base, &self.below) else {
            return Ok(None);
        };
        let found = find(base, soname, triplet)?;
        if let Some(real) = &found {
            self.waiting.push_back((real.clone(), real.under(base)));
        }
        Ok(found)
    }

    /// Takes the toolchain's file `real` in at `place`.
    fn take(&mut self, place: RelPath, real: &RelPath) -> Result<(), ReleaseError> {
        if self.found.libraries.contains_key(&place) {
            return Ok(());
        }
        if self.found.libraries.len() >= LIBRARIES_MAX {
            return Err(ReleaseError::DamagedElf {
                file: place.to_string(),
                reason: format!("the release loads more than {LIBRARIES_MAX} libraries"),
            });
        }
        let owner = self.sources.owner;
        self.found.packages.extend(owner(real).or_else(|| owner(&place)));
        let on_disk = real.under(self.sources.toolchain);
        self.found.libraries.insert(place.clone(), on_disk.clone());
        self.waiting.push_back((place, on_disk));
        Ok(())
    }

    fn finish(self) -> Result<Closure, ReleaseError> {
        if !self.strangers.is_empty() {
            return Err(ReleaseError::WrongMachine { files: self.strangers });
        }
        if !self.missing.is_empty() {
            return Err(ReleaseError::NoLibrary { missing: self.missing });
        }
        let lacking = self.lacking();
        if lacking.is_empty() { Ok(self.found) } else { Err(ReleaseError::NoSymbol { lacking }) }
    }

    fn lacking(&self) -> Vec<Lacking> {
        let mut lacking = Vec::new();
        for (path, elf) in &self.seen {
            for (soname, version) in &elf.wants {
                let library = self.chosen.get(&(path.clone(), soname.clone()));
                let Some(library) = library.and_then(|place| self.seen.get(place)) else {
                    continue;
                };
                // The loader takes a library without any versions, and only warns.
                if !library.defines.is_empty() && !library.defines.contains(version) {
                    lacking.push(Lacking {
                        library: soname.clone(),
                        version: version.clone(),
                        wanted_by: path.to_string(),
                    });
                }
            }
        }
        lacking
    }
}

/// Finds a library where the loaders of Debian, Fedora and their kin look.
fn find(root: &Path, soname: &str, triplet: &str) -> Result<Option<RelPath>, ReleaseError> {
    let own = [format!("lib/{triplet}"), format!("usr/lib/{triplet}")];
    let usual = ["lib64", "usr/lib64", "lib", "usr/lib"].map(str::to_owned);
    for directory in own.into_iter().chain(usual) {
        if let Some(real) = resolve(root, &at(&directory).join(soname.as_bytes())?)? {
            return Ok(Some(real));
        }
    }
    Ok(None)
}

/// Returns where a file's own search directory leads for `soname`; `None` where that is no path of an image.
fn search_place(path: &RelPath, directory: &str, soname: &str) -> Option<RelPath> {
    let origin = path.parent().map_or_else(String::new, |parent| parent.to_string());
    let directory = directory
        .replace("${ORIGIN}", &format!("/{origin}"))
        .replace("$ORIGIN", &format!("/{origin}"));
    // A relative directory would be looked up from wherever the node happens to run.
    if !directory.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain([soname]) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    RelPath::new(parts.join("/")).ok()
}

/// Moves a path from `lib`, `lib64`, `bin` and `sbin` below `usr`, where links of those names lead.
pub(super) fn merged(path: &RelPath) -> RelPath {
    let first = path.components().next().expect("a path has a component");
    if [&b"lib"[..], b"lib64", b"bin", b"sbin"].contains(&first) {
        at("usr").join(path.as_bytes()).expect("it grows by four bytes")
    } else {
        path.clone()
    }
}

/// Follows the links of `path` below `root`; `None` where nothing stands.
pub(super) fn resolve(root: &Path, path: &RelPath) -> Result<Option<RelPath>, ReleaseError> {
    Ok(match tree::follow(root, path)? {
        Followed::Stands(place) => place,
        Followed::Missing(_) | Followed::Nowhere => None,
    })
}

/// Returns the relative target by which a link at `from` reaches `to`.
pub(super) fn relative_target(from: &RelPath, to: &RelPath) -> Vec<u8> {
    let from: Vec<_> = from.components().collect();
    let to: Vec<_> = to.components().collect();
    let above = from.len() - 1;
    let shared = from[..above].iter().zip(&to[..to.len() - 1]).take_while(|(a, b)| a == b).count();
    let mut parts = vec![&b".."[..]; above - shared];
    parts.extend(&to[shared..]);
    parts.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_directory_starts_at_the_file_itself() {
        let file = at("app/lib/nif-1/priv/nif.so");
        let place = |directory: &str| {
            search_place(&file, directory, "libx.so.1").map(|path| path.to_string())
        };
        assert_eq!(place("$ORIGIN").unwrap(), "app/lib/nif-1/priv/libx.so.1");
        assert_eq!(place("${ORIGIN}/../lib").unwrap(), "app/lib/nif-1/lib/libx.so.1");
        assert_eq!(place("/opt/x/").unwrap(), "opt/x/libx.so.1");
        assert_eq!(place("relative"), None);
        assert_eq!(place("$ORIGIN/../../../../../../.."), Some("libx.so.1".into()));
    }

    #[test]
    fn a_link_reaches_its_target_relatively() {
        let text = |from, to| String::from_utf8(relative_target(&at(from), &at(to))).unwrap();
        assert_eq!(
            text("usr/lib64/ld.so.2", "usr/lib/x86_64-linux-gnu/ld.so.2"),
            "../lib/x86_64-linux-gnu/ld.so.2"
        );
        assert_eq!(text("usr/bin/sh", "usr/bin/busybox"), "busybox");
        assert_eq!(text("ld.so", "usr/lib/ld.so"), "usr/lib/ld.so");
    }
}
