//! Gather: parts a built release into components, with what it loads from the toolchain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::closure::{self, Closure, Sources};
use super::spec::{self, Spec};
use super::wanted::{self, Keep, OTP, Wanted};
use super::{
    Component, Content, Facts, HOME, Inputs, LOCK_PATH, Node, PROVENANCE_PATH, Package, Part,
    Release, ReleaseError, at, elf, head, packages, start, system,
};
use crate::disk;
use crate::manifest::Shell;
use crate::tree::{self, Entry, RelPath, Tree};

/// `erl` for a release that was made without ERTS: the toolchain's own names the directory that it was installed in.
const ERL: &str = "#!/bin/sh
BINDIR=$(cd \"$(dirname \"$0\")\" && pwd)
ROOTDIR=${BINDIR%/*/bin}
EMU=beam
PROGNAME=erl
export BINDIR ROOTDIR EMU PROGNAME
exec \"$BINDIR/erlexec\" \"$@\"
";

/// Says which files the image of a built release holds, and how it starts.
pub fn assemble(inputs: &Inputs<'_>) -> Result<Release, ReleaseError> {
    let spec = spec::read(inputs.release, inputs.listing, &inputs.manifest.project.version)?;
    let start = start::start(&spec, &inputs.manifest.image)?;
    let mut gathering = Gathering {
        inputs,
        spec: &spec,
        wanted: Wanted::new(inputs, &spec)?,
        parts: BTreeMap::new(),
        apps: BTreeMap::new(),
        packages: BTreeSet::new(),
    };
    gathering.note_apps();
    gathering.release()?;
    gathering.otp()?;
    gathering.system()?;
    let closure = gathering.closure()?;
    gathering.libraries(&closure)?;
    gathering.papers();
    gathering.packages(&closure)?;
    let file_name = |path: &RelPath| String::from_utf8_lossy(path.name()).into_owned();
    let facts = Facts {
        name: spec.name.clone(),
        version: spec.version.clone(),
        erts: spec.erts.clone(),
        machine: closure.machine,
        apps: gathering.apps,
        packages: gathering.packages,
        libraries: closure.libraries.keys().map(file_name).collect(),
    };
    Ok(Release { components: with_parents(gathering.parts), start, facts })
}

struct Gathering<'a> {
    inputs: &'a Inputs<'a>,
    spec: &'a Spec,
    wanted: Wanted<'a>,
    parts: BTreeMap<Part, BTreeMap<RelPath, Node>>,
    apps: BTreeMap<String, (String, Part)>,
    packages: BTreeSet<Package>,
}

impl Gathering<'_> {
    fn put(&mut self, part: Part, path: RelPath, node: Node) {
        self.parts.entry(part).or_default().insert(path, node);
    }

    /// Takes the release's own files.
    fn release(&mut self) -> Result<(), ReleaseError> {
        let listing = self.inputs.listing;
        for (path, entry) in listing.entries() {
            let Some((part, keep)) = self.wanted.place_of(path, entry) else {
                continue;
            };
            let place = at(HOME).join(path.as_bytes())?;
            match entry {
                Entry::Directory if keep == Keep::OwnDirectory => {
                    let own = system::own_directory(self.inputs.manifest.image.user, 0o755);
                    self.put(part, place, own);
                }
                // Directories are made above what they hold.
                Entry::Directory => {}
                Entry::Symlink { target } => {
                    check_link(path, target)?;
                    self.put(part, place, Node::link(target.clone()));
                }
                Entry::File { .. } => {
                    let foreign = self
                        .inputs
                        .natives
                        .and_then(|(root, natives)| Some((root, natives.get(path)?)));
                    let (root, entry) = foreign.unwrap_or((self.inputs.release, entry));
                    let node = self.file(&path.under(root), path, entry);
                    self.put(part, place, node);
                }
            }
        }
        Ok(())
    }

    fn file(&self, on_disk: &Path, path: &RelPath, entry: &Entry) -> Node {
        let Entry::File { executable, size, digest } = entry else {
            unreachable!("only files come here");
        };
        let lean = path.name().ends_with(b".beam") && !self.inputs.manifest.release.keep_debug_info;
        let content = if lean {
            Content::Beam { path: on_disk.to_owned(), digest: *digest }
        } else {
            Content::File { path: on_disk.to_owned(), size: *size, digest: *digest }
        };
        let mode = if *executable { 0o755 } else { 0o644 };
        Node { mode, ..Node::text("") }.with(content)
    }

    fn note_apps(&mut self) {
        for (name, version) in &self.spec.apps {
            let part = self.wanted.part_of(format!("{name}-{version}").as_bytes());
            self.apps.insert(name.clone(), (version.clone(), part));
        }
    }

    /// Takes from the toolchain what the release was made without, and names the packages of all of OTP's.
    fn otp(&mut self) -> Result<(), ReleaseError> {
        let spec = self.spec;
        for (name, version) in &spec.apps {
            let directory = at("lib").join(format!("{name}-{version}").as_bytes())?;
            let is_own = self.inputs.listing.get(&directory).is_some();
            let is_otp = disk::exists(&self.inputs.in_otp(&directory)?);
            if is_otp {
                let resource = directory.join(format!("ebin/{name}.app").as_bytes())?;
                self.packages.extend(self.inputs.otp_owner(&resource)?);
            }
            match (is_own, is_otp) {
                (true, _) => {}
                (false, true) => self.otp_tree(&directory, &|rest| wanted::is_for_users(rest))?,
                (false, false) => {
                    return Err(ReleaseError::NoApp {
                        app: name.clone(),
                        version: version.clone(),
                    });
                }
            }
        }
        self.erts()
    }

    fn erts(&mut self) -> Result<(), ReleaseError> {
        let bin = at(&format!("erts-{}", self.spec.erts)).join(b"bin")?;
        let emulator = bin.join(b"beam.smp")?;
        self.packages.extend(self.inputs.otp_owner(&emulator)?);
        if self.inputs.listing.get(&emulator).is_some() {
            return Ok(());
        }
        if !disk::exists(&self.inputs.in_otp(&emulator)?) {
            return Err(ReleaseError::NoErts { version: self.spec.erts.clone() });
        }
        let mut tools = disk::list(&self.inputs.in_otp(&bin)?)?;
        tools.retain(|tool| self.wanted.wants_tool(tool));
        let is_wanted = |rest: &[&[u8]]| matches!(rest, [tool] if tools.iter().any(|t| t == tool));
        self.otp_tree(&bin, &is_wanted)?;
        if self.wanted.wants_tool(b"erl") {
            let place = at(HOME).join(bin.join(b"erl")?.as_bytes())?;
            let script = Node { mode: 0o755, ..Node::text(ERL) };
            self.put(Part::Otp, place, script);
        }
        Ok(())
    }

    /// Takes the wanted files of a directory of OTP's home in the toolchain.
    fn otp_tree(
        &mut self,
        directory: &RelPath,
        wanted: &dyn Fn(&[&[u8]]) -> bool,
    ) -> Result<(), ReleaseError> {
        let root = self.inputs.in_otp(directory)?;
        let listing: Tree = tree::scan(&root, &[])?.tree;
        for (path, entry) in listing.entries() {
            let parts: Vec<&[u8]> = path.components().collect();
            if !wanted(&parts) {
                continue;
            }
            let node = match entry {
                Entry::Directory => None,
                Entry::Symlink { .. } => self.linked(&directory.join(path.as_bytes())?)?,
                Entry::File { .. } => Some(self.file(&path.under(&root), path, entry)),
            };
            if let Some(node) = node {
                let place = at(HOME).join(directory.as_bytes())?.join(path.as_bytes())?;
                self.put(Part::Otp, place, node);
            }
        }
        Ok(())
    }

    /// Packages link to files of others; the image gets the file itself. An OTP from source links within itself.
    fn linked(&self, link: &RelPath) -> Result<Option<Node>, ReleaseError> {
        let (root, link) = match self.inputs.otp {
            Some(otp) => (otp, link.clone()),
            None => (self.inputs.toolchain, at(OTP).join(link.as_bytes())?),
        };
        let Some(real) = closure::resolve(root, &link)? else {
            return Ok(None);
        };
        let real = real.under(root);
        match disk::status(&real)?.map(|status| status.kind) {
            Some(disk::Kind::File { executable }) => Ok(Some(system::file(&real, executable)?)),
            _ => Ok(None),
        }
    }

    /// Finds what the ELF files gathered so far load.
    fn closure(&self) -> Result<Closure, ReleaseError> {
        let emulator = at(HOME).join(format!("erts-{}/bin/beam.smp", self.spec.erts).as_bytes())?;
        let mut programs: Vec<(RelPath, PathBuf)> = Vec::new();
        for (path, node) in self.parts.values().flatten() {
            let Content::File { path: on_disk, .. } = &node.content else {
                continue;
            };
            let may_be =
                node.mode & 0o100 != 0 || path.name().windows(3).any(|part| part == b".so");
            if may_be && elf::is_elf(&head(on_disk)?) {
                programs.push((path.clone(), on_disk.clone()));
            }
        }
        // The emulator says which machine it is; all others are held against it.
        programs.sort_by_key(|(path, _)| (*path != emulator, path.clone()));
        let sources = Sources {
            toolchain: self.inputs.toolchain,
            owner: self.inputs.owner,
            provider: self.inputs.provider,
        };
        closure::close(&programs, &sources)
    }

    /// Takes the system's files that do not depend on what the release loads.
    fn system(&mut self) -> Result<(), ReleaseError> {
        let image = &self.inputs.manifest.image;
        let mut entries = system::base(image);
        let tls = self.apps.contains_key("ssl");
        let shell = start::shell(self.spec, image);
        entries.extend(system::wished(image, self.inputs.toolchain, shell, tls)?);
        // os_mon looks at the disks by a command, and takes the node down where it is not there.
        if shell == Shell::Busybox && self.apps.contains_key("os_mon") {
            entries.insert(at("usr/bin/df"), Node::link("busybox"));
        }
        self.parts.entry(Part::System).or_default().extend(entries);
        Ok(())
    }

    /// Takes the libraries that were found.
    fn libraries(&mut self, closure: &Closure) -> Result<(), ReleaseError> {
        let old = old_name_services(closure, self.inputs.toolchain)?;
        for (path, on_disk) in closure.libraries.iter().chain(&old) {
            self.put(Part::System, path.clone(), system::file(on_disk, true)?);
        }
        for (path, target) in &closure.links {
            if path.as_bytes().starts_with(b"usr/lib64/") {
                self.put(Part::System, at("lib64"), Node::link("usr/lib64"));
            }
            self.put(Part::System, path.clone(), Node::link(target.clone()));
        }
        Ok(())
    }

    /// Says which packages all of it is from.
    fn packages(&mut self, closure: &Closure) -> Result<(), ReleaseError> {
        let release = packages::system_release(self.inputs)?;
        self.parts.entry(Part::System).or_default().extend(release);
        self.packages.extend(closure.packages.iter().cloned());
        self.packages.extend(packages::owners(&self.parts, self.inputs)?);
        let status = packages::status(&self.packages, &self.parts, self.inputs)?;
        self.parts.entry(Part::System).or_default().extend(status);
        Ok(())
    }

    /// Lays the lock and the provenance beside the configuration.
    fn papers(&mut self) {
        self.put(Part::Config, at(LOCK_PATH), Node::text(self.inputs.lock_text));
        self.put(Part::Config, at(PROVENANCE_PATH), Node::text(self.inputs.provenance));
    }
}

fn check_link(path: &RelPath, target: &[u8]) -> Result<(), ReleaseError> {
    let mut depth = path.components().count() - 1;
    let mut inside = !target.starts_with(b"/");
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => inside = false,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    if inside {
        return Ok(());
    }
    Err(ReleaseError::LinkOutside {
        path: path.to_string(),
        target: String::from_utf8_lossy(target).into_owned(),
    })
}

/// The name services of a C library that does not have them inside, as those before 2.34.
fn old_name_services(
    closure: &Closure,
    toolchain: &Path,
) -> Result<BTreeMap<RelPath, PathBuf>, ReleaseError> {
    let mut services = BTreeMap::new();
    let Some(libc) = closure.libraries.keys().find(|path| path.name() == b"libc.so.6") else {
        return Ok(services);
    };
    let bytes = disk::read(&closure.libraries[libc], crate::limits::FILE_BYTES_MAX)?;
    let modern = elf::parse(&bytes).is_ok_and(|elf| elf.defines.contains("GLIBC_2.34"));
    if !modern {
        let directory = libc.parent().expect("a library stands in a directory");
        for name in ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"] {
            let place = directory.join(name.as_bytes())?;
            if let Some(real) = closure::resolve(toolchain, &place)? {
                services.insert(place, real.under(toolchain));
            }
        }
    }
    Ok(services)
}

/// Makes every directory on the way to an entry, with the same owner and mode in each part.
///
/// A layer that names a directory replaces what the layers below said of it.
fn with_parents(parts: BTreeMap<Part, BTreeMap<RelPath, Node>>) -> Vec<Component> {
    let named: BTreeMap<RelPath, Node> = parts
        .values()
        .flatten()
        .filter(|(_, node)| node.content == Content::Directory)
        .map(|(path, node)| (path.clone(), node.clone()))
        .collect();
    let mut components = Vec::new();
    for (part, mut entries) in parts {
        let paths: Vec<RelPath> = entries.keys().cloned().collect();
        for path in paths {
            let mut above = path.parent();
            while let Some(directory) = above {
                above = directory.parent();
                let node = named.get(&directory).cloned().unwrap_or_else(Node::directory);
                entries.entry(directory).or_insert(node);
            }
        }
        if !entries.is_empty() {
            components.push(Component { part, entries });
        }
    }
    components
}
