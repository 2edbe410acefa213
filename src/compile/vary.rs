//! Vary: rooms that differ from the recipe's in what no output may depend on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::plan::fixed_environment;
use super::step::Step;
use crate::sandbox::{Access, Guise, Mount, Room};

/// What of a step's room is not as the recipe says.
///
/// The steps' keys do not know of it: who varies must go by no other's memory, and leave none behind (see
/// [`crate::store::Store::apart`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variation {
    /// What the room says of the machine.
    pub guise: Option<Guise>,
    /// User and group inside.
    pub user: Option<(u32, u32)>,
    /// Cores that are seen.
    pub cores: Option<usize>,
    /// Variables that are set, or unset where there is no value.
    pub env: BTreeMap<String, Option<String>>,
    /// The path that stands in the place of `/build`, everywhere in what the step is told.
    pub path: Option<String>,
    /// A library that every program loads, on the host: it makes the clock another.
    pub preload: Option<PathBuf>,
}

/// Where the recipe works.
const PLACE: &[u8] = b"/build";
/// Where rooms see the library that every program loads.
const PRELOAD: &str = "/rebeam-clock.so";

impl Variation {
    /// Returns the step with what it is told of its place in other words.
    pub(super) fn of_step(&self, step: &Step) -> Step {
        let mut step = step.clone();
        for bytes in step.files.values_mut() {
            *bytes = self.placed(bytes);
        }
        step
    }

    /// Returns the room as another.
    pub(super) fn of(&self, room: &Room) -> Room {
        let mut room = room.clone();
        self.apply(&mut room);
        if self.path.is_some() {
            let insides = room.mounts.iter_mut().map(|mount| &mut mount.inside);
            let texts = insides.chain(&mut room.argv).chain(room.env.values_mut());
            for text in texts.chain([&mut room.cwd]) {
                *text = String::from_utf8(self.placed(text.as_bytes()))
                    .expect("text of which a word was replaced by a word is text");
            }
        }
        room
    }

    /// Puts the other path where `/build` stands as a whole name.
    fn placed(&self, bytes: &[u8]) -> Vec<u8> {
        let Some(path) = &self.path else {
            return bytes.to_vec();
        };
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            // A compiler's flags have no space before their path.
            let alone = !out.last().is_some_and(|before| is_name(before) || *before == b'/')
                || out.ends_with(b"-I")
                || out.ends_with(b"-L");
            match rest.strip_prefix(PLACE) {
                Some(behind) if alone && !behind.first().is_some_and(is_name) => {
                    out.extend_from_slice(path.as_bytes());
                    rest = behind;
                }
                _ => {
                    out.push(*first);
                    rest = &rest[1..];
                }
            }
        }
        out
    }

    fn apply(&self, room: &mut Room) {
        if let Some(guise) = &self.guise {
            room.guise = guise.clone();
        }
        room.user = self.user.unwrap_or(room.user);
        room.bounds.cores = self.cores.unwrap_or(room.bounds.cores);
        let recipe = fixed_environment();
        for (name, value) in &self.env {
            // What the project sets for itself is part of the recipe.
            if room.env.get(name) != recipe.get(name) {
                continue;
            }
            match value {
                Some(value) => drop(room.env.insert(name.clone(), value.clone())),
                None => drop(room.env.remove(name)),
            }
        }
        if let Some(library) = &self.preload {
            let (host, inside) = (library.clone(), PRELOAD.to_owned());
            room.mounts.push(Mount { host, inside, access: Access::ReadOnly });
            room.env.insert("LD_PRELOAD".into(), PRELOAD.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_place_takes_that_of_the_whole_name_only() {
        let variation = Variation { path: Some("/some/where".into()), ..Variation::default() };
        for (from, to) in [
            ("/build", "/some/where"),
            ("{dir,\"/build/_build\"}", "{dir,\"/some/where/_build\"}"),
            ("-I/build/include:/build", "-I/some/where/include:/some/where"),
            ("/buildings /x/build build", "/buildings /x/build build"),
        ] {
            assert_eq!(String::from_utf8(variation.placed(from.as_bytes())).unwrap(), to);
        }
    }
}
