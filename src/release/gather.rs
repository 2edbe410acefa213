//! Gather: parts a built release into components, with what it loads from the toolchain.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::closure::{self, Closure, Sources};
use super::spec::{self, Spec};
use super::{
    Component, Content, Facts, HOME, Inputs, LOCK_PATH, Node, PROVENANCE_PATH, Part, Release,
    ReleaseError, at, elf, start, system,
};
use crate::disk;
use crate::manifest::Shell;
use crate::tree::{self, Entry, RelPath, Tree};

/// OTP's home in the toolchain.
const OTP: &str = "usr/lib/erlang";
/// Directories of an application that only a developer reads.
const DEVELOPER: [&[u8]; 9] = [
    b"src",
    b"include",
    b"doc",
    b"docs",
    b"examples",
    b"c_src",
    b"test",
    b"man",
    b"emacs",
];
/// Files beside the version's own in `bin` that only the release's script reads.
const SCRIPT_BOOTS: [&[u8]; 2] = [b"start_clean.boot", b"no_dot_erlang.boot"];

/// Says which files the image of a built release holds, and how it starts.
pub fn assemble(inputs: &Inputs<'_>) -> Result<Release, ReleaseError> {
    let spec = spec::read(inputs.release, inputs.listing)?;
    let start = start::start(&spec, &inputs.manifest.image)?;
    let mut gathering = Gathering {
        inputs,
        spec: &spec,
        parts: BTreeMap::new(),
        apps: BTreeMap::new(),
        otp_dirs: BTreeSet::new(),
    };
    gathering.release()?;
    gathering.toolchain()?;
    let closure = gathering.closure()?;
    gathering.system(&closure)?;
    gathering.papers();
    let facts = Facts {
        name: spec.name.clone(),
        version: spec.version.clone(),
        erts: spec.erts.clone(),
        machine: closure.machine,
        apps: gathering.apps,
        packages: closure
            .packages
            .iter()
            .cloned()
            .chain(gathering_packages(inputs, &gathering.otp_dirs))
            .collect(),
        libraries: closure
            .libraries
            .keys()
            .map(|path| String::from_utf8_lossy(path.name()).into_owned())
            .collect(),
    };
    Ok(Release {
        components: with_parents(gathering.parts),
        start,
        facts,
    })
}

/// Names the packages that OTP's applications and ERTS came with.
fn gathering_packages(inputs: &Inputs<'_>, directories: &BTreeSet<RelPath>) -> Vec<super::Package> {
    directories.iter().filter_map(inputs.owner).collect()
}

struct Gathering<'a> {
    inputs: &'a Inputs<'a>,
    spec: &'a Spec,
    parts: BTreeMap<Part, BTreeMap<RelPath, Node>>,
    apps: BTreeMap<String, (String, Part)>,
    /// Files of the toolchain that stand for the packages of what the release took from OTP.
    otp_dirs: BTreeSet<RelPath>,
}

impl Gathering<'_> {
    fn put(&mut self, part: Part, path: RelPath, node: Node) {
        self.parts.entry(part).or_default().insert(path, node);
    }

    /// Takes the release's own files.
    fn release(&mut self) -> Result<(), ReleaseError> {
        let listing = self.inputs.listing;
        for (path, entry) in listing.entries() {
            let Some((part, keep)) = self.place_of(path, entry) else {
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
                    let node = self.file(&path.under(self.inputs.release), path, entry);
                    self.put(part, place, node);
                }
            }
        }
        self.note_apps();
        Ok(())
    }

    /// Says to which part a file of the release belongs; `None` if the image does without.
    fn place_of(&self, path: &RelPath, entry: &Entry) -> Option<(Part, Keep)> {
        let parts: Vec<&[u8]> = path.components().collect();
        let own_erts = format!("erts-{}", self.spec.erts);
        match parts.as_slice() {
            [b"lib", app, rest @ ..] => {
                // An application that is itself a link is looked at as one; see `check_link`.
                let wanted = rest.is_empty() || wanted_of_app(rest);
                wanted.then(|| (self.part_of(app), Keep::File))
            }
            [first, b"bin", tool] if *first == own_erts.as_bytes() => {
                self.wants_tool(tool).then_some((Part::Otp, Keep::File))
            }
            [first, ..] if first.starts_with(b"erts-") => None,
            [b"releases", .., name] => {
                let left = *name == b"COOKIE" || name.ends_with(b".script");
                (!left).then_some((Part::Config, Keep::File))
            }
            [b"bin", name] => {
                let script = self.inputs.manifest.image.shell == Shell::Busybox;
                let keep = script || !(SCRIPT_BOOTS.contains(name) || self.is_script(path, entry));
                keep.then_some((Part::App, Keep::File))
            }
            [b"etc", ..] => Some((Part::Config, self.kept_as(path, entry))),
            _ => Some((Part::App, self.kept_as(path, entry))),
        }
    }

    /// A directory that an overlay made and left empty is one that the node writes to.
    fn kept_as(&self, path: &RelPath, entry: &Entry) -> Keep {
        let below = |other: &RelPath| other.parent().as_ref() == Some(path);
        let is_empty = *entry == Entry::Directory
            && !self.inputs.listing.entries().any(|(other, _)| below(other));
        if is_empty {
            Keep::OwnDirectory
        } else {
            Keep::File
        }
    }

    fn part_of(&self, directory: &[u8]) -> Part {
        let name = app_name(directory);
        if self.inputs.dep_apps.contains(&name) {
            return Part::Deps;
        }
        let in_otp = at(OTP).join(&[b"lib/", directory].concat());
        if in_otp.is_ok_and(|path| disk::exists(&path.under(self.inputs.toolchain))) {
            Part::Otp
        } else {
            Part::App
        }
    }

    fn wants_tool(&self, tool: &[u8]) -> bool {
        let distributed = self.spec.is_distributed();
        let shell = self.inputs.manifest.image.shell == Shell::Busybox;
        match tool {
            b"beam.smp" | b"erlexec" | b"erl_child_setup" | b"inet_gethost" => true,
            b"epmd" => distributed,
            b"heart" => self.spec.asks_for(&["-heart"]),
            // What the release's own script calls, and `remote_console`.
            b"erl" | b"dyn_erl" | b"escript" | b"erl_call" => shell,
            _ => false,
        }
    }

    fn is_script(&self, path: &RelPath, entry: &Entry) -> bool {
        let Entry::File { .. } = entry else {
            return false;
        };
        head(&path.under(self.inputs.release)).is_ok_and(|head| head.starts_with(b"#!"))
            || path.name().ends_with(b".ps1")
            || path.name().ends_with(b".cmd")
    }

    fn file(&self, on_disk: &Path, path: &RelPath, entry: &Entry) -> Node {
        let Entry::File {
            executable,
            size,
            digest,
        } = entry
        else {
            unreachable!("only files come here");
        };
        let lean = path.name().ends_with(b".beam") && !self.inputs.manifest.release.keep_debug_info;
        let content = if lean {
            Content::Beam {
                path: on_disk.to_owned(),
                digest: *digest,
            }
        } else {
            Content::File {
                path: on_disk.to_owned(),
                size: *size,
                digest: *digest,
            }
        };
        let mode = if *executable { 0o755 } else { 0o644 };
        Node {
            mode,
            ..Node::text("")
        }
        .with(content)
    }

    fn note_apps(&mut self) {
        for (name, version) in &self.spec.apps {
            let part = self.part_of(format!("{name}-{version}").as_bytes());
            self.apps.insert(name.clone(), (version.clone(), part));
        }
    }

    /// Takes from the toolchain what the release was made without.
    fn toolchain(&mut self) -> Result<(), ReleaseError> {
        let spec = self.spec;
        for (name, version) in &spec.apps {
            let directory = at("lib").join(format!("{name}-{version}").as_bytes())?;
            let own = self.inputs.listing.get(&directory).is_some();
            let in_otp = at(OTP).join(directory.as_bytes())?;
            if disk::exists(&in_otp.under(self.inputs.toolchain)) {
                self.otp_dirs
                    .insert(in_otp.join(format!("ebin/{name}.app").as_bytes())?);
            } else if !own {
                return Err(ReleaseError::NoApp {
                    app: name.clone(),
                    version: version.clone(),
                });
            }
            if !own {
                self.otp_tree(&directory, &|rest| wanted_of_app(rest))?;
            }
        }
        let bin = at(&format!("erts-{}", spec.erts)).join(b"bin")?;
        self.otp_dirs
            .insert(at(OTP).join(bin.as_bytes())?.join(b"beam.smp")?);
        if self.inputs.listing.get(&bin.join(b"beam.smp")?).is_none() {
            let emulator = at(OTP).join(bin.as_bytes())?.join(b"beam.smp")?;
            if !disk::exists(&emulator.under(self.inputs.toolchain)) {
                return Err(ReleaseError::NoErts {
                    version: spec.erts.clone(),
                });
            }
            let tools: BTreeSet<Vec<u8>> = disk::list(
                &emulator
                    .parent()
                    .expect("it has directories")
                    .under(self.inputs.toolchain),
            )?
            .into_iter()
            .filter(|tool| self.wants_tool(tool))
            .collect();
            self.otp_tree(
                &bin,
                &|rest| matches!(rest, [tool] if tools.contains(*tool)),
            )?;
        }
        Ok(())
    }

    /// Takes the wanted files of a directory of OTP's home in the toolchain.
    fn otp_tree(
        &mut self,
        directory: &RelPath,
        wanted: &dyn Fn(&[&[u8]]) -> bool,
    ) -> Result<(), ReleaseError> {
        let in_otp = at(OTP).join(directory.as_bytes())?;
        let root = in_otp.under(self.inputs.toolchain);
        let listing: Tree = tree::scan(&root, &[])?.tree;
        for (path, entry) in listing.entries() {
            let parts: Vec<&[u8]> = path.components().collect();
            if !wanted(&parts) {
                continue;
            }
            let place = at(HOME).join(directory.as_bytes())?.join(path.as_bytes())?;
            match entry {
                Entry::Directory => {}
                // Packages link to files of others; the image gets the file itself.
                Entry::Symlink { .. } => {
                    let link = in_otp.join(path.as_bytes())?;
                    if let Some(real) = closure::resolve(self.inputs.toolchain, &link)? {
                        let real = real.under(self.inputs.toolchain);
                        if let Some(disk::Kind::File { executable }) =
                            disk::status(&real)?.map(|s| s.kind)
                        {
                            self.put(Part::Otp, place, system::file(&real, executable)?);
                        }
                    }
                }
                Entry::File { .. } => {
                    let node = self.file(&path.under(&root), path, entry);
                    self.put(Part::Otp, place, node);
                }
            }
        }
        Ok(())
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

    fn system(&mut self, closure: &Closure) -> Result<(), ReleaseError> {
        let image = &self.inputs.manifest.image;
        let toolchain = self.inputs.toolchain;
        let mut entries = system::base(image);
        entries.extend(system::wished(
            image,
            toolchain,
            self.apps.contains_key("ssl"),
        )?);
        for (path, on_disk) in closure
            .libraries
            .iter()
            .chain(&old_name_services(closure, toolchain)?)
        {
            entries.insert(path.clone(), system::file(on_disk, true)?);
        }
        for (path, target) in &closure.links {
            if path.as_bytes().starts_with(b"usr/lib64/") {
                entries.insert(at("lib64"), Node::link("usr/lib64"));
            }
            entries.insert(path.clone(), Node::link(target.clone()));
        }
        self.parts.entry(Part::System).or_default().extend(entries);
        Ok(())
    }

    /// Lays the lock and the provenance beside the configuration.
    fn papers(&mut self) {
        self.put(
            Part::Config,
            at(LOCK_PATH),
            Node::text(self.inputs.lock_text),
        );
        self.put(
            Part::Config,
            at(PROVENANCE_PATH),
            Node::text(self.inputs.provenance),
        );
    }
}

/// What becomes of an entry that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// It is laid out as it is.
    File,
    /// It is a directory that the node writes to.
    OwnDirectory,
}

fn wanted_of_app(rest: &[&[u8]]) -> bool {
    let name = rest.last().expect("an application's entry has a name");
    let developers = rest.len() > 1 && DEVELOPER.contains(&rest[0])
        || name.ends_with(b".hrl")
        || *name == b"otp_test_engine.so";
    !developers
}

fn app_name(directory: &[u8]) -> String {
    let text = String::from_utf8_lossy(directory);
    // The version begins at the last dash before a digit; names themselves have no dashes.
    text.split('-').next().unwrap_or_default().to_owned()
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

fn head(path: &Path) -> Result<Vec<u8>, ReleaseError> {
    let mut head = Vec::new();
    disk::open(path)?
        .take(elf::HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(disk::refused("read", path))?;
    Ok(head)
}

/// The name services of a C library that does not have them inside, as those before 2.34.
fn old_name_services(
    closure: &Closure,
    toolchain: &Path,
) -> Result<BTreeMap<RelPath, PathBuf>, ReleaseError> {
    let mut services = BTreeMap::new();
    let Some(libc) = closure
        .libraries
        .keys()
        .find(|path| path.name() == b"libc.so.6")
    else {
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
                let node = named
                    .get(&directory)
                    .cloned()
                    .unwrap_or_else(Node::directory);
                entries.entry(directory).or_insert(node);
            }
        }
        if !entries.is_empty() {
            components.push(Component { part, entries });
        }
    }
    components
}
