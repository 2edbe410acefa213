//! Wanted: which files of a release its image holds, and in which part.

use std::collections::BTreeMap;

use super::spec::Spec;
use super::start;
use super::{Inputs, Part, ReleaseError, at, head};
use crate::disk;
use crate::manifest::Shell;
use crate::tree::{Entry, RelPath};

/// OTP's home in the toolchain.
pub(super) const OTP: &str = "usr/lib/erlang";
/// Elixir's own applications in the toolchain.
const ELIXIR: &str = "usr/lib/elixir/lib";
/// Directories of an application that only a developer reads.
const DEVELOPER: [&[u8]; 9] =
    [b"src", b"include", b"doc", b"docs", b"examples", b"c_src", b"test", b"man", b"emacs"];
/// What a packer puts behind the name of what it packed for browsers.
const PACKED: [&[u8]; 3] = [b".gz", b".br", b".zst"];
/// Scripts and style sheets, which may have a source map beside them.
const MAPPED: [&[u8]; 4] = [b".js", b".mjs", b".cjs", b".css"];
/// Scripts that only Windows runs.
const FOREIGN_SCRIPTS: [&[u8]; 3] = [b".cmd", b".bat", b".ps1"];
/// Boot files that only the release's own script starts from.
const SCRIPT_BOOTS: [&[u8]; 2] = [b"start_clean.boot", b"no_dot_erlang.boot"];

/// What becomes of an entry that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// It is laid out as it is.
    AsItIs,
    /// It is a directory that the node writes to.
    OwnDirectory,
}

/// What decides which files are wanted.
pub(super) struct Wanted<'a> {
    inputs: &'a Inputs<'a>,
    spec: &'a Spec,
    erts: Vec<u8>,
    has_shell: bool,
    /// The part of each application's directory below `lib`.
    parts: BTreeMap<Vec<u8>, Part>,
}

impl<'a> Wanted<'a> {
    /// Looks at the applications once.
    pub(super) fn new(inputs: &'a Inputs<'a>, spec: &'a Spec) -> Result<Self, ReleaseError> {
        let mut wanted = Self {
            inputs,
            spec,
            erts: format!("erts-{}", spec.erts).into_bytes(),
            has_shell: start::shell(spec, &inputs.manifest.image) == Shell::Busybox,
            parts: BTreeMap::new(),
        };
        let lib = at("lib");
        let in_release = inputs
            .listing
            .entries()
            .filter(|(path, _)| path.parent().as_ref() == Some(&lib))
            .map(|(path, _)| path.name().to_vec());
        let in_spec =
            spec.apps.iter().map(|(name, version)| format!("{name}-{version}").into_bytes());
        for directory in in_release.chain(in_spec) {
            let part = wanted.look_at(&directory)?;
            wanted.parts.insert(directory, part);
        }
        Ok(wanted)
    }

    fn look_at(&self, directory: &[u8]) -> Result<Part, ReleaseError> {
        // The version begins behind the dash: names themselves have none.
        let name = directory.split(|byte| *byte == b'-').next();
        let name = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
        if self.inputs.dep_apps.contains(&name) {
            return Ok(Part::Deps);
        }
        let in_otp = self.inputs.in_otp(&at("lib").join(directory)?)?;
        let in_elixir = at(ELIXIR).join(name.as_bytes())?.under(self.inputs.toolchain);
        Ok(if disk::exists(&in_otp) || disk::exists(&in_elixir) { Part::Otp } else { Part::App })
    }

    /// Returns the part of an application's directory.
    pub(super) fn part_of(&self, directory: &[u8]) -> Part {
        self.parts.get(directory).copied().unwrap_or(Part::App)
    }

    /// Says to which part an entry of the release belongs; `None` if the image does without.
    pub(super) fn place_of(&self, path: &RelPath, entry: &Entry) -> Option<(Part, Keep)> {
        let parts: Vec<&[u8]> = path.components().collect();
        if self.is_source_map(path) {
            return None;
        }
        match parts.as_slice() {
            [b"lib", app, rest @ ..] => {
                let wanted = rest.is_empty() || is_for_users(rest);
                wanted.then(|| (self.part_of(app), Keep::AsItIs))
            }
            [first, b"bin", tool] if *first == self.erts => {
                self.wants_tool(tool).then_some((Part::Otp, Keep::AsItIs))
            }
            [first, ..] if first.starts_with(b"erts-") => None,
            [b"releases", .., name] => {
                let left = *name == b"COOKIE"
                    || name.ends_with(b".script")
                    || self.is_idle(name)
                    || self.spec.of_mix && !self.has_shell && self.is_script(path, entry);
                (!left).then_some((Part::Config, Keep::AsItIs))
            }
            [b"bin", name] => {
                let left = self.is_idle(name) || !self.has_shell && self.is_script(path, entry);
                (!left).then_some((Part::App, Keep::AsItIs))
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
        if is_empty { Keep::OwnDirectory } else { Keep::AsItIs }
    }

    /// Tells whether a tool of ERTS is in the image.
    pub(super) fn wants_tool(&self, tool: &[u8]) -> bool {
        match tool {
            b"beam.smp" | b"erlexec" | b"erl_child_setup" | b"inet_gethost" => true,
            // A script may name the node itself.
            b"epmd" => self.spec.is_distributed() || self.has_shell,
            b"heart" => self.spec.asks_for(&["-heart"]),
            // What the release's own script calls, and `remote_console`.
            b"erl" | b"dyn_erl" | b"escript" | b"erl_call" => self.has_shell,
            _ => false,
        }
    }

    fn is_idle(&self, name: &[u8]) -> bool {
        !self.has_shell && SCRIPT_BOOTS.contains(&name)
            || FOREIGN_SCRIPTS.iter().any(|kind| name.ends_with(kind))
    }

    /// Tells whether a file says from which sources the script or style sheet beside it was made. Only a browser's
    /// debugger asks for it: it is debug information, and goes with the modules'.
    fn is_source_map(&self, path: &RelPath) -> bool {
        if self.inputs.manifest.release.keep_debug_info {
            return false;
        }
        let whole = path.as_bytes();
        let plain = PACKED.iter().find_map(|kind| whole.strip_suffix(*kind)).unwrap_or(whole);
        let Some(mapped) = plain.strip_suffix(b".map") else {
            return false;
        };
        MAPPED.iter().any(|kind| mapped.ends_with(kind))
            && RelPath::new(mapped).is_ok_and(|path| self.inputs.listing.get(&path).is_some())
    }

    fn is_script(&self, path: &RelPath, entry: &Entry) -> bool {
        let is_file = matches!(entry, Entry::File { .. });
        let begins =
            || head(&path.under(self.inputs.release)).is_ok_and(|head| head.starts_with(b"#!"));
        is_file && begins()
    }
}

/// Tells whether an entry of an application is read by more than its developers.
pub(super) fn is_for_users(rest: &[&[u8]]) -> bool {
    let name = rest.last().expect("an application's entry has a name");
    let developers = rest.len() > 1 && DEVELOPER.contains(&rest[0])
        || name.ends_with(b".hrl")
        || *name == b"otp_test_engine.so";
    !developers
}
