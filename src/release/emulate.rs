//! Emulate: the room in which a release for another machine is started on this one.
//!
//! The kernel does not run the release's programs, and a release starts further ones itself; so, in the copy that the
//! boot check starts, each program stands beside its name, under which a small script hands it to the emulator.

use std::path::Path;

use super::{Content, Release, ReleaseError, elf};
use crate::disk;
use crate::limits::FILE_BYTES_MAX;
use crate::sandbox::{Access, Mount, Room};

/// Where emulator and shell are seen, out of the way of the image's files.
const PLACE: &str = "/.rebeam";
/// What is put behind the name of a program.
const SUFFIX: &str = ".foreign";

/// Prepares the laid-out release at `root`, and its room, for being run by `program`; `shell` is a static busybox.
///
/// JIT compilers that map their code twice, once to write and once to run, are not seen through by an emulator: the
/// node is told to map it once.
pub fn emulate(
    release: &Release,
    root: &Path,
    room: &mut Room,
    (program, shell): (&Path, &Path),
) -> Result<(), ReleaseError> {
    for component in &release.components {
        for (path, node) in &component.entries {
            let is_file = matches!(node.content, Content::File { .. });
            // The C library names a loader, too.
            let is_library = path.name().windows(3).any(|part| part == b".so");
            if node.mode & 0o100 == 0 || !is_file || is_library {
                continue;
            }
            let on_disk = path.under(root);
            let bytes = disk::read(&on_disk, FILE_BYTES_MAX)?;
            let is_program = elf::is_elf(&bytes) && elf::is_program(&bytes);
            if !is_program {
                continue;
            }
            let own = format!("/{path}{SUFFIX}");
            disk::rename(&on_disk, &root.join(own.trim_start_matches('/')))?;
            let script = format!("#!{PLACE}/sh\nexec {PLACE}/emulator -0 \"$0\" '{own}' \"$@\"\n");
            let mut file = disk::create_new(&on_disk, true)?;
            disk::write_all(&mut file, &on_disk, script.as_bytes())?;
        }
    }
    for (host, name) in [(program, "emulator"), (shell, "sh")] {
        let inside = format!("{PLACE}/{name}");
        room.mounts.push(Mount { host: host.to_owned(), inside, access: Access::ReadOnly });
    }
    Ok(())
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::release::tests::World;
    use crate::release::{boot_room, lay_out};
    use crate::sandbox::Level;

    #[test]
    fn each_program_hands_itself_to_the_emulator_and_libraries_stay() {
        let world = World::new();
        let release = world.assemble().unwrap();
        let root = tempfile::tempdir().unwrap();
        lay_out(&release, root.path()).unwrap();
        let mut room = boot_room(&release, root.path(), (1, 1), 1, Level::default());
        let mounts = room.mounts.len();
        let (program, shell) = (Path::new("/store/qemu"), Path::new("/store/busybox"));
        emulate(&release, root.path(), &mut room, (program, shell)).unwrap();
        let emulator = root.path().join("app/erts-13.1/bin/beam.smp");
        let text = disk::read_text(&emulator, 1 << 10).unwrap();
        assert!(text.starts_with("#!/.rebeam/sh\nexec /.rebeam/emulator -0 \"$0\" '/app/erts-13.1/bin/beam.smp.foreign'"), "{text}");
        let own = disk::read(&emulator.with_extension("smp.foreign"), 1 << 20).unwrap();
        assert!(elf::is_elf(&own));
        let inside: Vec<&str> =
            room.mounts[mounts..].iter().map(|mount| mount.inside.as_str()).collect();
        assert_eq!(inside, ["/.rebeam/emulator", "/.rebeam/sh"]);
        let foreign = release.components.iter().flat_map(|part| part.entries.keys());
        let is_moved =
            |path: &&crate::tree::RelPath| root.path().join(format!("{path}{SUFFIX}")).exists();
        let moved: Vec<String> = foreign.filter(is_moved).map(ToString::to_string).collect();
        assert!(moved.iter().all(|path| !path.contains(".so")), "{moved:?}");
    }
}
