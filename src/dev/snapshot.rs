//! Snapshot: the state of a stack that is down as one file beside it, and back.
//!
//! What is made anew by each start (logs, addresses, laid-out images) is left out. The file is believed only if its bytes
//! are those that were written; it is unpacked beside the state and takes that's place only when all of it is there.

use std::path::{Path, PathBuf};

use super::error::DevError;
use super::place::{Place, Taken};
use crate::digest::Digest;
use crate::disk::{self, Kind, refused};
use crate::limits::TEXT_FILE_BYTES_MAX;

/// What a start makes anew, in the stack's directory.
const PASSING: [&str; 6] = ["control", "env", "lock", "log", "logs", "stack.json"];
/// What a start makes anew, in the directory of a service.
const PASSING_OF_SERVICE: [&str; 2] = ["image", "machine"];
const SERVICES: &str = "services";
const NAME_BYTES_MAX: usize = 64;

/// The snapshots of one stack.
#[derive(Debug)]
pub struct Snapshots {
    place: Place,
    directory: PathBuf,
}

impl Snapshots {
    /// The snapshots of the stack at a place; they outlive its state.
    pub fn of(place: &Place) -> Self {
        let mut name = place.directory().file_name().unwrap_or_default().to_owned();
        name.push(".snapshots");
        Self { place: place.clone(), directory: place.directory().with_file_name(name) }
    }

    /// Returns the names of all snapshots, sorted.
    pub fn names(&self) -> Result<Vec<String>, DevError> {
        if !disk::exists(&self.directory) {
            return Ok(Vec::new());
        }
        let names = disk::list(&self.directory)?.into_iter();
        let names = names.filter_map(|name| String::from_utf8(name).ok());
        Ok(names.filter_map(|name| Some(name.strip_suffix(".tar")?.to_owned())).collect())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.tar"))
    }

    fn digest(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.sha256"))
    }

    fn checked(name: &str) -> Result<(), DevError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.chars().all(plain)
            && !name.starts_with('.');
        match fits {
            true => Ok(()),
            false => Err(DevError::BadSnapshotName { name: name.to_owned() }),
        }
    }

    /// Writes the state into a snapshot of this name and returns its file.
    ///
    /// # Errors
    /// Where the stack is up, the name is taken, or the disk refuses.
    pub fn save(&self, name: &str) -> Result<PathBuf, DevError> {
        Self::checked(name)?;
        let taken = self.place.take()?;
        let file = self.file(name);
        if disk::exists(&file) {
            return Err(DevError::SnapshotExists { name: name.to_owned() });
        }
        disk::create_dir_all(&self.directory)?;
        disk::set_mode(&self.directory, 0o700)?;
        let half = disk::sibling(&file);
        let written = pack(self.place.directory(), &half);
        if written.is_err() {
            // Half a snapshot is none; the first error counts.
            let _ = disk::remove_file(&half);
        }
        written?;
        let digest = disk::digest(&half)?;
        disk::write_atomic(&self.digest(name), digest.hex().as_bytes())?;
        disk::rename(&half, &file)?;
        drop(taken);
        Ok(file)
    }

    /// Puts the state of a snapshot in the place of what is there.
    ///
    /// # Errors
    /// Where the stack is up, there is no such snapshot, or it is not what was written.
    pub fn load(&self, name: &str) -> Result<(), DevError> {
        Self::checked(name)?;
        let file = self.file(name);
        if !disk::exists(&file) {
            let known = self.names()?;
            return Err(DevError::NoSnapshot { name: name.to_owned(), known });
        }
        let damaged = || DevError::SnapshotDamaged { path: file.clone() };
        let promised = disk::read_text(&self.digest(name), TEXT_FILE_BYTES_MAX)?;
        if Digest::from_hex(promised.trim()).ok() != Some(disk::digest(&file)?) {
            return Err(damaged());
        }
        let taken = self.place.take()?;
        let mut beside = self.place.directory().file_name().unwrap_or_default().to_owned();
        beside.push(".loading");
        let beside = self.place.directory().with_file_name(beside);
        if disk::exists(&beside) {
            disk::remove_tree(&beside)?;
        }
        disk::create_dir(&beside)?;
        disk::set_mode(&beside, 0o700)?;
        unpack(&file, &beside)?;
        replace(&taken, self.place.directory(), &beside)?;
        Ok(())
    }
}

fn pack(from: &Path, to: &Path) -> Result<(), DevError> {
    let file = disk::create_new(to, false)?;
    // Passwords stand in it.
    disk::set_mode(to, 0o600)?;
    let written = |source| DevError::from(refused("write", to)(source));
    let mut tar = tar::Builder::new(std::io::BufWriter::new(file));
    tar.follow_symlinks(false);
    for name in entries(from, &PASSING)? {
        if name != SERVICES {
            append(&mut tar, from, &name).map_err(written)?;
            continue;
        }
        for service in entries(&from.join(SERVICES), &[])? {
            let below = format!("{SERVICES}/{service}");
            let is_directory = disk::status(&from.join(&below))?.map(|status| status.kind);
            if is_directory != Some(Kind::Directory) {
                append(&mut tar, from, &below).map_err(written)?;
                continue;
            }
            for part in entries(&from.join(&below), &PASSING_OF_SERVICE)? {
                append(&mut tar, from, &format!("{below}/{part}")).map_err(written)?;
            }
        }
    }
    let file = tar.into_inner().map_err(written)?;
    let file = file.into_inner().map_err(|error| written(error.into_error()))?;
    file.sync_all().map_err(written)
}

fn append(
    tar: &mut tar::Builder<impl std::io::Write>,
    from: &Path,
    name: &str,
) -> std::io::Result<()> {
    let path = from.join(name);
    let is_directory = disk::status(&path).ok().flatten().map(|status| status.kind);
    match is_directory {
        Some(Kind::Directory) => tar.append_dir_all(name, &path),
        Some(_) => tar.append_path_with_name(&path, name),
        None => Ok(()),
    }
}

fn entries(directory: &Path, without: &[&str]) -> Result<Vec<String>, DevError> {
    let names = disk::list(directory)?.into_iter();
    let names = names.filter_map(|name| String::from_utf8(name).ok());
    Ok(names.filter(|name| !without.contains(&name.as_str()) && !name.ends_with(".lock")).collect())
}

fn unpack(file: &Path, at: &Path) -> Result<(), DevError> {
    let mut tar = tar::Archive::new(std::io::BufReader::new(disk::open(file)?));
    tar.set_preserve_permissions(true);
    tar.unpack(at).map_err(|source| DevError::from(refused("unpack", file)(source)))
}

/// Has what lies in `beside` take the place of all state; the lock stays, because it is held.
fn replace(_taken: &Taken, place: &Path, beside: &Path) -> Result<(), DevError> {
    for name in entries(place, &["lock"])? {
        let path = place.join(&name);
        match disk::status(&path)?.map(|status| status.kind) {
            Some(Kind::Directory) => disk::remove_tree(&path)?,
            Some(_) => disk::remove_file(&path)?,
            None => {}
        }
    }
    for name in entries(beside, &[])? {
        disk::rename(&beside.join(&name), &place.join(&name))?;
    }
    Ok(disk::remove_tree(beside)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(states: &Path) -> Place {
        let place = Place::new(states, "shop", Path::new("/a/shop"));
        let below = |name: &str| place.directory().join(name);
        disk::create_dir_all(&below("services/db/data")).unwrap();
        disk::create_dir_all(&below("services/db/machine")).unwrap();
        disk::write_secret(&below("services/db/password"), b"secret").unwrap();
        disk::write_atomic(&below("services/db/data/rows"), b"one").unwrap();
        disk::write_atomic(&below("log"), b"talk").unwrap();
        place
    }

    fn rows(place: &Place) -> String {
        disk::read_text(&place.directory().join("services/db/data/rows"), 100).unwrap()
    }

    #[test]
    fn a_snapshot_brings_the_state_back_as_it_was() {
        let states = tempfile::tempdir().unwrap();
        let place = place(states.path());
        let snapshots = Snapshots::of(&place);
        let file = snapshots.save("first").unwrap();
        let mode = |path: &Path| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode(&file), 0o600);
        let path = place.directory().join("services/db/data/rows");
        disk::write_atomic(&path, b"two").unwrap();
        disk::write_atomic(&place.directory().join("more"), b"").unwrap();
        snapshots.load("first").unwrap();
        assert_eq!(rows(&place), "one");
        assert!(!disk::exists(&place.directory().join("more")));
        assert!(!disk::exists(&place.directory().join("log")), "a log is no state");
        assert!(!disk::exists(&place.directory().join("services/db/machine")));
        assert_eq!(mode(&place.directory().join("services/db/password")), 0o600);
        assert_eq!(snapshots.names().unwrap(), ["first"]);
        assert!(matches!(snapshots.save("first"), Err(DevError::SnapshotExists { .. })));
    }

    #[test]
    fn a_snapshot_that_is_not_what_was_written_changes_nothing() {
        let states = tempfile::tempdir().unwrap();
        let place = place(states.path());
        let snapshots = Snapshots::of(&place);
        let file = snapshots.save("first").unwrap();
        let mut bytes = disk::read(&file, 1 << 20).unwrap();
        bytes[600] ^= 1;
        disk::write_atomic(&file, &bytes).unwrap();
        let error = snapshots.load("first").unwrap_err();
        assert!(matches!(error, DevError::SnapshotDamaged { .. }), "{error}");
        assert_eq!(rows(&place), "one");
        let error = snapshots.load("second").unwrap_err();
        assert_eq!(error.to_string(), "there is no snapshot `second`");
        for name in ["", ".", "../x", "a/b", "a b"] {
            assert!(
                matches!(snapshots.save(name), Err(DevError::BadSnapshotName { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn a_stack_that_is_up_is_neither_saved_nor_replaced() {
        let states = tempfile::tempdir().unwrap();
        let place = place(states.path());
        let snapshots = Snapshots::of(&place);
        snapshots.save("first").unwrap();
        let _up = place.take().unwrap();
        assert!(matches!(snapshots.save("second"), Err(DevError::IsUp { .. })));
        assert!(matches!(snapshots.load("first"), Err(DevError::IsUp { .. })));
    }
}
