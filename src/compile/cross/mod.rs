//! Cross: the native code of a build, compiled once more for another machine.
//!
//! Modules are compiled once, by the toolchain's own OTP. Where a step's output holds programs or shared objects, the same
//! step is done again from its sources in the cross root, with the environment by which build tools know a cross compiler;
//! of that output nothing counts but the native files, which stand where their twins stood. Each must have been made, and
//! for the right machine: a build that goes past the cross compilers is refused here, not by the container that crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use super::plan::{Plan, fixed_environment};
use super::run::{Compiled, Workshop, attend};
use super::step::{Content, Input, Step, StepKind};
use super::{CompileError, strip};
use crate::disk;
use crate::fetch::debian::Architecture;
use crate::store::{BuildKey, HeldTree, Store};
use crate::toolchain::{CMAKE_FILE, PLAIN_NAMES};
use crate::tree::{Entry, RelPath, Tree};

/// Bytes of an ELF file's head that name its machine.
const HEAD_BYTES: u64 = 20;
/// Where the stripped files stand below `/build`.
const OUTPUT: &str = "natives";

/// Copies each native file to its place in the release, and strips it.
const COLLECT: &str = r#"set -e
mkdir natives
while IFS='	' read -r from to; do
    mkdir -p "$(dirname "natives/$to")"
    cp "$from" "natives/$to"
    if test -n "$STRIP"; then
        "$STRIP" --strip-unneeded -o /tmp/stripped "natives/$to"
        cat /tmp/stripped > "natives/$to"
    fi
done < places
"#;

/// A native file of a release, and the step that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// Its path in the release.
    pub path: RelPath,
    /// The application that it belongs to, or the release's own name.
    pub app: String,
    /// The step.
    step: usize,
    /// Its path in that step's output.
    from: RelPath,
}

/// A native file that no cross compiler made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The application that it belongs to.
    pub app: String,
    /// Its path in the application, or in the release.
    pub path: String,
    /// `is made for this machine all the same`, `was not made`.
    pub why: &'static str,
}

/// What native code is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrossWish {
    /// The machine.
    pub machine: Architecture,
    /// Whether it keeps what debuggers read.
    pub keep_debug_info: bool,
}

/// The native code of a release for another machine.
#[derive(Debug, Clone)]
pub struct Crossed {
    /// The files, by their paths in the release.
    pub natives: HeldTree,
    /// What else was kept on the way.
    pub outputs: Vec<HeldTree>,
    /// The steps' keys.
    pub keys: Vec<BuildKey>,
    /// Steps that ran.
    pub built: usize,
}

/// Lists the native files of a built release, without those below a directory that `is_foreign` says another machine
/// brings its own of: OTP's.
pub fn natives(
    plan: &Plan,
    compiled: &Compiled,
    store: &Store,
    is_foreign: &dyn Fn(&RelPath) -> bool,
) -> Result<Vec<Native>, CompileError> {
    let release = plan.steps.len() - 1;
    let mut natives = Vec::new();
    for (path, entry) in store.listing(&compiled.release)?.entries() {
        if is_foreign(path) || !may_be_native(path, entry) {
            continue;
        }
        if machine_of(&path.under(compiled.release.path()))?.is_none() {
            continue;
        }
        let parts: Vec<String> =
            path.components().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        let made = match parts.as_slice() {
            [lib, app, rest @ ..] if lib == "lib" => {
                let app = app.split('-').next().unwrap_or_default();
                let step = plan
                    .steps
                    .iter()
                    .position(|step| step.kind == StepKind::Dep && step.name == app);
                match step {
                    Some(step) => twin(store, &compiled.outputs[step], &rest.join("/"))?
                        .map(|from| (app.to_owned(), step, from)),
                    None => Some((app.to_owned(), release, path.clone())),
                }
            }
            _ => None,
        };
        let own = || (plan.steps[release].name.clone(), release, path.clone());
        let (app, step, from) = made.unwrap_or_else(own);
        natives.push(Native { path: path.clone(), app, step, from });
    }
    Ok(natives)
}

/// Finds a file of a release in the output of the step that made its application: at its own path, or by its name, if
/// only one bears it.
fn twin(store: &Store, output: &HeldTree, path: &str) -> Result<Option<RelPath>, CompileError> {
    let Ok(path) = RelPath::new(path) else { return Ok(None) };
    let listing = store.listing(output)?;
    if matches!(listing.get(&path), Some(Entry::File { .. })) {
        return Ok(Some(path));
    }
    let named = |(other, entry): &(&RelPath, &Entry)| {
        other.name() == path.name() && matches!(entry, Entry::File { .. })
    };
    let mut named = listing.entries().filter(named).map(|(other, _)| other);
    Ok(match (named.next(), named.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => None,
    })
}

fn may_be_native(path: &RelPath, entry: &Entry) -> bool {
    let is_library = path.name().windows(3).any(|part| part == b".so");
    matches!(entry, Entry::File { executable, .. } if *executable || is_library)
}

/// Returns class and machine of an ELF file; nothing for other files.
fn machine_of(path: &Path) -> Result<Option<(u8, u16)>, CompileError> {
    let mut head = Vec::new();
    let file = disk::open(path)?;
    file.take(HEAD_BYTES).read_to_end(&mut head).map_err(disk::refused("read", path))?;
    Ok(match head.as_slice() {
        [0x7f, b'E', b'L', b'F', class, .., low, high] if head.len() as u64 == HEAD_BYTES => {
            Some((*class, u16::from_le_bytes([*low, *high])))
        }
        _ => None,
    })
}

/// ELF's class and number of a machine.
fn elf_machine(machine: Architecture) -> (u8, u16) {
    match machine {
        Architecture::Amd64 => (2, 62),
        Architecture::Arm64 => (2, 183),
        Architecture::Armhf => (1, 40),
    }
}

/// Compiles the native files for another machine. The workshop's toolchain is the cross root.
pub fn cross(
    plan: &Plan,
    compiled: &Compiled,
    natives: &[Native],
    wish: CrossWish,
    workshop: &Workshop<'_>,
) -> Result<Crossed, CompileError> {
    let CrossWish { machine, keep_debug_info } = wish;
    let outputs: Vec<Option<HeldTree>> = compiled.outputs.iter().cloned().map(Some).collect();
    let steps: BTreeSet<usize> = natives.iter().map(|native| native.step).collect();
    let mut crossed = BTreeMap::new();
    let (mut keys, mut built) = (Vec::new(), 0);
    for index in steps {
        let step = step_for(&plan.steps[index], machine);
        let (output, key, ran) = attend(&step, &outputs, workshop)?;
        crossed.insert(index, output);
        keys.push(key);
        built += usize::from(ran);
    }
    let refused = refused(natives, &crossed, machine)?;
    if !refused.is_empty() {
        return Err(CompileError::NotCrossed { machine: machine.name(), refused });
    }
    let strip =
        if keep_debug_info { String::new() } else { format!("{}-strip", machine.triplet()) };
    let numbers: BTreeMap<usize, usize> =
        crossed.keys().enumerate().map(|(number, step)| (*step, number)).collect();
    let outputs: Vec<Option<HeldTree>> = crossed.into_values().map(Some).collect();
    let step =
        collecting(natives, &numbers, &plan.steps[plan.steps.len() - 1].name, strip, machine);
    let (held, key, ran) = attend(&step, &outputs, workshop)?;
    keys.push(key);
    let outputs = outputs.into_iter().flatten().collect();
    Ok(Crossed { natives: held, outputs, keys, built: built + usize::from(ran) })
}

/// The same step in the cross root.
fn step_for(step: &Step, machine: Architecture) -> Step {
    let mut crossed = strip::unstripped(step.clone());
    crossed.name = format!("{} for {}", step.name, machine.name());
    crossed.env.extend(environment(machine));
    // Many a build calls `cc` or `gcc` by its name.
    let path = step.env.get("PATH").map_or("/usr/bin:/bin", String::as_str);
    crossed.env.insert("PATH".into(), format!("{PLAIN_NAMES}:{path}"));
    crossed
}

/// The variables by which builds know a cross compiler: make's and autoconf's, those of rebar and its port compiler, and
/// those that cross builds of Elixir projects agreed on.
fn environment(machine: Architecture) -> BTreeMap<String, String> {
    let triplet = machine.triplet();
    let tool = |name: &str| format!("{triplet}-{name}");
    let own = Architecture::own().triplet();
    let pairs = [
        ("CC", tool("gcc")),
        ("CXX", tool("g++")),
        ("CPP", tool("gcc -E")),
        ("LD", tool("ld")),
        ("AR", tool("ar")),
        ("AS", tool("as")),
        ("NM", tool("nm")),
        ("RANLIB", tool("ranlib")),
        ("STRIP", tool("strip")),
        ("OBJCOPY", tool("objcopy")),
        ("OBJDUMP", tool("objdump")),
        ("READELF", tool("readelf")),
        ("CC_FOR_BUILD", "/usr/bin/gcc".into()),
        ("CXX_FOR_BUILD", "/usr/bin/g++".into()),
        ("HOSTCC", "/usr/bin/gcc".into()),
        ("CROSS_COMPILE", tool("")),
        ("CROSSCOMPILE", triplet.into()),
        ("REBAR_TARGET_ARCH", triplet.into()),
        // A `configure` takes these for its `--host` and `--build`.
        ("host_alias", triplet.into()),
        ("build_alias", own.into()),
        ("PKG_CONFIG_LIBDIR", format!("/usr/lib/{triplet}/pkgconfig:/usr/share/pkgconfig")),
        ("CMAKE_TOOLCHAIN_FILE", CMAKE_FILE.into()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Lists the files that were not made, or not for the machine.
fn refused(
    natives: &[Native],
    crossed: &BTreeMap<usize, HeldTree>,
    machine: Architecture,
) -> Result<Vec<Refused>, CompileError> {
    let mut refused = Vec::new();
    for native in natives {
        let file = native.from.under(crossed[&native.step].path());
        let found = match disk::status(&file)?.map(|status| status.kind) {
            Some(disk::Kind::File { .. }) => machine_of(&file)?,
            _ => None,
        };
        let why = match found {
            Some(found) if found == elf_machine(machine) => continue,
            Some(_) => "was made for another machine all the same",
            None => "was not made",
        };
        let (app, path) = (native.app.clone(), native.path.to_string());
        refused.push(Refused { app, path, why });
    }
    Ok(refused)
}

/// The step that lays the native files out as the release has them.
fn collecting(
    natives: &[Native],
    numbers: &BTreeMap<usize, usize>,
    release: &str,
    strip: String,
    machine: Architecture,
) -> Step {
    let input = |number: &usize| Input {
        at: format!("/build/cross/{number}"),
        content: Content::Output(*number),
        label: format!("native code for {}", machine.name()),
    };
    let place = |native: &Native| {
        format!("cross/{}/{}\t{}\n", numbers[&native.step], native.from, native.path)
    };
    let places: String = natives.iter().map(place).collect();
    let mut env = fixed_environment();
    env.insert("STRIP".into(), strip);
    Step {
        name: format!("native code of {release} for {}", machine.name()),
        kind: StepKind::Dep,
        inputs: numbers.values().map(input).collect(),
        files: BTreeMap::from([("places".into(), places.into_bytes())]),
        patches: vec![],
        stamp: None,
        argv: ["sh", "-c", COLLECT].map(str::to_owned).into(),
        env,
        output: OUTPUT.into(),
    }
}

/// Returns a release's listing without what another machine brings its own of.
pub fn without(listing: &Tree, is_foreign: &dyn Fn(&RelPath) -> bool) -> Tree {
    let kept = listing.entries().filter(|(path, _)| !is_foreign(path));
    let kept = kept.map(|(path, entry)| (path.clone(), entry.clone())).collect();
    Tree::from_sorted(kept).expect("a part of a sorted listing is sorted")
}

#[cfg(test)]
mod tests;
