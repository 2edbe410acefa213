//! Check: what an image asks of who runs it, and whether it can keep its own promises.
//!
//! Ports, variables, volumes and the user are its contract with the outside; the libraries that its programs and NIFs
//! load must be inside, with every symbol version that is asked of them. Of the host it needs a kernel and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::entries::{EntryKind, LayerEntry, each_file, entries};
use super::{ImageError, Inspected};
use crate::release::{self, Elf, HOME, Machine};

/// A program or library of an image, and what it loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// Where it stands.
    pub path: String,
    /// Whether it is the project's or a dependency's: a NIF, a driver or a port program.
    pub is_own: bool,
    /// Libraries that it loads.
    pub needs: Vec<String>,
    /// The newest glibc of which it needs something.
    pub glibc: Option<String>,
}

/// What an image asks for and what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// What it says of itself.
    pub image: Inspected,
    /// Its programs and libraries.
    pub natives: Vec<Native>,
    /// The newest glibc of which anything needs something.
    pub glibc_needed: Option<String>,
    /// The glibc in it.
    pub glibc_inside: Option<String>,
    /// The oldest Linux that everything in it starts on.
    pub kernel: Option<[u32; 3]>,
    /// What does not hold.
    pub problems: Vec<String>,
    /// What holds only under conditions.
    pub notes: Vec<String>,
}

/// Looks at the image at `path` for what it needs and what it lacks.
pub fn contract(path: &Path) -> Result<Contract, ImageError> {
    let (image, layers) = entries(path)?;
    let mut files: BTreeMap<String, (String, LayerEntry)> = BTreeMap::new();
    for (layer, made) in layers.into_iter().zip(&image.layers) {
        let name = made.made_by.strip_prefix("rebeam layer=").unwrap_or_default();
        files.extend(layer.into_iter().map(|(path, entry)| (path, (name.to_owned(), entry))));
    }
    let mut elves: BTreeMap<String, Elf> = BTreeMap::new();
    let may_be = |_: usize, path: &str| {
        let executable = files.get(path).is_some_and(|(_, entry)| entry.mode & 0o111 != 0);
        executable || path.rsplit('/').next().is_some_and(|name| name.contains(".so"))
    };
    let mut problems = Vec::new();
    each_file(path, &may_be, &mut |_, path, bytes| {
        if release::is_elf(&bytes) {
            match release::parse_elf(&bytes) {
                Ok(elf) => drop(elves.insert(path.to_owned(), elf)),
                Err(why) => problems.push(format!("`/{path}` cannot be read: {why}")),
            }
        }
    })?;
    let look = Look { image: &image, files: &files, elves: &elves };
    problems.extend(look.libraries());
    problems.extend(look.start());
    problems.extend(look.volumes());
    let natives = look.natives();
    let versions = |elf: &Elf| -> Vec<String> {
        elf.wants.iter().map(|(_, version)| version.clone()).collect()
    };
    let glibc_needed = newest(elves.values().flat_map(versions));
    let libc = elves.iter().find(|(path, _)| path.ends_with("/libc.so.6"));
    let glibc_inside = libc.and_then(|(_, elf)| newest(elf.defines.iter().cloned()));
    let kernel = elves.values().filter_map(|elf| elf.kernel).max();
    let notes = look.notes();
    Ok(Contract { natives, glibc_needed, glibc_inside, kernel, problems, notes, image })
}

/// Returns the newest of some symbol versions that are glibc's, as `2.34`.
fn newest(versions: impl Iterator<Item = String>) -> Option<String> {
    let key =
        |text: &str| -> Vec<u32> { text.split('.').filter_map(|part| part.parse().ok()).collect() };
    let glibc = versions.filter_map(|version| {
        let number = version.strip_prefix("GLIBC_")?.to_owned();
        number.starts_with(|c: char| c.is_ascii_digit()).then_some(number)
    });
    glibc.max_by_key(|number| key(number))
}

struct Look<'a> {
    image: &'a Inspected,
    files: &'a BTreeMap<String, (String, LayerEntry)>,
    elves: &'a BTreeMap<String, Elf>,
}

impl Look<'_> {
    /// Every library is inside, for this machine, and defines what is asked of it.
    fn libraries(&self) -> Vec<String> {
        let by_name = self.by_name();
        let mut problems = BTreeSet::new();
        for (path, elf) in self.elves {
            let machine = elf.machine.image_name();
            if elf.machine != Machine::Other && machine != self.image.architecture {
                problems.insert(format!(
                    "`/{path}` is for {machine}, and the image for {}",
                    self.image.architecture
                ));
            }
            for library in &elf.needed {
                if !by_name.contains_key(library.as_str()) {
                    problems
                        .insert(format!("`/{path}` loads `{library}`, which is not in the image"));
                }
            }
            for (library, version) in &elf.wants {
                let held = by_name.get(library.as_str()).and_then(|at| self.elves.get(*at));
                if held.is_some_and(|held| !held.defines.contains(version)) {
                    problems.insert(format!("`/{path}` needs {version} of `{library}`, which the one in the image does not have"));
                }
            }
            if let Some(loader) = &elf.interpreter
                && self.resolve(loader).is_none()
            {
                problems.insert(format!(
                    "`/{path}` is started by `{loader}`, which is not in the image"
                ));
            }
        }
        problems.into_iter().collect()
    }

    /// The libraries by the names under which they are looked for, links included.
    fn by_name(&self) -> BTreeMap<&str, &str> {
        let mut names = BTreeMap::new();
        for (path, (_, entry)) in self.files {
            let name = path.rsplit('/').next().unwrap_or(path);
            if self.elves.contains_key(path) {
                names.insert(name, path.as_str());
            }
            if let EntryKind::Symlink(target) | EntryKind::Second(target) = &entry.kind {
                let file = target.rsplit('/').next().unwrap_or(target);
                let held = self.elves.keys().find(|held| held.rsplit('/').next() == Some(file));
                if let Some(held) = held {
                    names.entry(name).or_insert(held);
                }
            }
        }
        names
    }

    /// Follows links to where a path stands in the image.
    fn resolve(&self, path: &str) -> Option<&LayerEntry> {
        let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => drop(at.pop()),
                _ => at.push(part),
            }
            let Some((_, entry)) = self.files.get(&at.join("/")) else {
                continue;
            };
            if let EntryKind::Symlink(target) = &entry.kind {
                links += 1;
                if links > 40 {
                    return None;
                }
                at.pop();
                if target.starts_with('/') {
                    at.clear();
                }
                left.extend(target.split('/').rev().map(str::to_owned));
            }
        }
        self.files.get(&at.join("/")).map(|(_, entry)| entry)
    }

    /// What is started is there and may be executed, and so is the directory that it starts in.
    fn start(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let command = self.image.entrypoint.iter().chain(&self.image.cmd).next();
        match command {
            None => problems.push("it names no command to start".into()),
            Some(command) if command.starts_with('/') => match self.resolve(command) {
                None => problems.push(format!("it starts `{command}`, which is not in the image")),
                Some(entry) if entry.mode & 0o111 == 0 => {
                    problems.push(format!("it starts `{command}`, which may not be executed"));
                }
                Some(_) => {}
            },
            Some(_) => {}
        }
        let directory = &self.image.directory;
        if !directory.is_empty() && directory != "/" && self.resolve(directory).is_none() {
            problems.push(format!("it starts in `{directory}`, which is not in the image"));
        }
        problems
    }

    /// A volume that the user cannot write to is of little use.
    fn volumes(&self) -> Vec<String> {
        let user = self.user();
        let mut problems = Vec::new();
        for volume in &self.image.volumes {
            match self.resolve(volume) {
                Some(entry) if entry.kind != EntryKind::Directory => {
                    problems.push(format!("the volume `{volume}` is no directory"));
                }
                Some(entry) if user != 0 && entry.uid != user && entry.mode & 0o002 == 0 => {
                    problems.push(format!(
                        "the volume `{volume}` belongs to user {}, and the image runs as {user}",
                        entry.uid
                    ));
                }
                Some(_) => {}
                None => problems.push(format!(
                    "the volume `{volume}` is not in the image, so whoever mounts it owns it"
                )),
            }
        }
        problems
    }

    fn user(&self) -> u64 {
        let user = self.image.user.split(':').next().unwrap_or_default();
        user.parse().unwrap_or_default()
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.user() == 0 {
            notes.push("it runs as root".to_owned());
        }
        for port in &self.image.ports {
            let number = port.split('/').next().and_then(|number| number.parse::<u32>().ok());
            if self.user() != 0 && number.is_some_and(|number| number < 1024) {
                notes.push(format!(
                    "port {port} is below 1024: not every runtime lets user {} listen there",
                    self.user()
                ));
            }
        }
        notes
    }

    fn natives(&self) -> Vec<Native> {
        let native = |(path, elf): (&String, &Elf)| {
            let layer = self.files.get(path).map_or("", |(layer, _)| layer.as_str());
            Native {
                path: path.clone(),
                is_own: path.starts_with(HOME) && matches!(layer, "deps" | "app"),
                needs: elf.needed.clone(),
                glibc: newest(elf.wants.iter().map(|(_, version)| version.clone())),
            }
        };
        self.elves.iter().map(native).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk;
    use crate::image::craft::{Part, image};
    use crate::release::tests::craft::{AARCH64, Craft, X86_64, craft};

    fn problems(parts: &[Part<'_>]) -> Vec<String> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("image.tar");
        disk::write_atomic(&path, &image(parts)).unwrap();
        contract(&path).unwrap().problems
    }

    #[test]
    fn a_library_that_is_not_inside_and_a_version_it_lacks_are_named() {
        let nif = craft(&Craft {
            machine: X86_64,
            needed: &["libz.so.1", "libc.so.6"],
            wants: &[("libc.so.6", "GLIBC_2.38")],
            ..Craft::default()
        });
        let libc = craft(&Craft { machine: X86_64, defines: &["GLIBC_2.36"], ..Craft::default() });
        let other = craft(&Craft { machine: AARCH64, ..Craft::default() });
        let parts = [
            Part::File("bin/a", 0o755, b"#!"),
            Part::File("app/lib/a-1/priv/a.so", 0o644, &nif),
            Part::File("app/lib/a-1/priv/b.so", 0o644, &other),
            Part::File("lib/libc-2.36.so", 0o755, &libc),
            Part::Link("lib/libc.so.6", "libc-2.36.so"),
        ];
        assert_eq!(
            problems(&parts),
            [
                "`/app/lib/a-1/priv/a.so` loads `libz.so.1`, which is not in the image",
                "`/app/lib/a-1/priv/a.so` needs GLIBC_2.38 of `libc.so.6`, which the one in the image does not have",
                "`/app/lib/a-1/priv/b.so` is for arm64, and the image for amd64",
            ]
        );
    }

    #[test]
    fn what_is_started_must_be_there_and_executable() {
        assert_eq!(problems(&[]), ["it starts `/bin/a`, which is not in the image"]);
        let parts = [Part::File("usr/bin/a", 0o644, b"#!"), Part::Link("bin", "usr/bin")];
        assert_eq!(problems(&parts), ["it starts `/bin/a`, which may not be executed"]);
        let parts = [Part::File("usr/bin/a", 0o755, b"#!"), Part::Link("bin", "usr/bin")];
        assert_eq!(problems(&parts), Vec::<String>::new());
        let circle = [Part::Link("bin", "usr"), Part::Link("usr", "bin")];
        assert_eq!(problems(&circle), ["it starts `/bin/a`, which is not in the image"]);
    }
}
