//! Place: where the stack of one project keeps its state, and who runs it.
//!
//! A lock says whether a stack is up, for the kernel lets go of it however its process ends; a file beside it says
//! who holds the lock and where each service listens.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::error::DevError;
use crate::digest::Digest;
use crate::disk::{self, FileLock, LockMode};
use crate::limits::TEXT_FILE_BYTES_MAX;

/// Digits of the hash that tells projects of one name apart.
const DIGITS: usize = 8;
/// Seconds that a stack may take to end.
const END_S_MAX: u64 = 60;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The directory of one project's stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    directory: PathBuf,
}

/// A service of a stack and where it listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What it is: `mqtt`, `redis`.
    pub name: String,
    /// Where.
    pub address: SocketAddr,
    /// What a program is told: `mqtt://127.0.0.1:1883`.
    pub url: String,
}

impl Service {
    /// Returns the name of the variable by which programs are told of it.
    pub fn variable(&self) -> String {
        format!("{}_URL", self.name.to_uppercase().replace('-', "_"))
    }

    /// A service that is spoken to as `SCHEME://ADDRESS PATH`; where it listens everywhere, by way of the loopback.
    pub fn new(name: &str, address: SocketAddr, scheme: &str, path: &str) -> Self {
        let near = match address {
            SocketAddr::V4(any) if any.ip().is_unspecified() => {
                (Ipv4Addr::LOCALHOST, any.port()).into()
            }
            SocketAddr::V6(any) if any.ip().is_unspecified() => {
                (Ipv6Addr::LOCALHOST, any.port()).into()
            }
            address => address,
        };
        Self { name: name.to_owned(), address, url: format!("{scheme}://{near}{path}") }
    }
}

/// A stack that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its process.
    pub process: u32,
    /// Its services, in the order in which they were started.
    pub services: Vec<Service>,
}

/// A place that is ours until this is dropped.
#[derive(Debug)]
pub struct Taken {
    place: Place,
    _lock: FileLock,
}

impl Place {
    /// The place below `states` for the project at `project`, which is called `name`.
    pub fn new(states: &Path, name: &str, project: &Path) -> Self {
        let digest = Digest::of(project.as_os_str().as_encoded_bytes()).hex();
        Self { directory: states.join(format!("{name}-{}", &digest[..DIGITS])) }
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the file in which packages of services are pinned that no lock names.
    pub fn pins(&self) -> PathBuf {
        self.directory.join("services.lock")
    }

    /// Returns the file that programs read addresses from, as `NAME=value` lines.
    pub fn env_file(&self) -> PathBuf {
        self.directory.join("env")
    }

    /// Returns what the stack that was up last told programs; nothing before the first.
    pub fn variables(&self) -> Result<BTreeMap<String, String>, DevError> {
        let path = self.env_file();
        if !disk::exists(&path) {
            return Ok(BTreeMap::new());
        }
        let text = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Returns the file that a stack in the background writes to.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }

    fn record(&self) -> PathBuf {
        self.directory.join("stack.json")
    }

    /// Takes the place for a stack.
    ///
    /// # Errors
    /// Where a stack of this project is up.
    pub fn take(&self) -> Result<Taken, DevError> {
        disk::create_dir_all(&self.directory)?;
        // Messages, sessions and keys are nobody else's.
        disk::set_mode(&self.directory, 0o700)?;
        let Some(lock) = disk::try_lock(&self.lock(), LockMode::Exclusive)? else {
            let process = self.running()?.map(|running| running.process);
            return Err(DevError::IsUp { process });
        };
        // What a stack that was killed left behind says nothing any more.
        if disk::exists(&self.record()) {
            disk::remove_file(&self.record())?;
        }
        Ok(Taken { place: self.clone(), _lock: lock })
    }

    /// Tells whether some stack holds the place, be it one that is still starting or already ending.
    pub fn is_held(&self) -> Result<bool, DevError> {
        if !disk::exists(&self.lock()) {
            return Ok(false);
        }
        Ok(disk::try_lock(&self.lock(), LockMode::Shared)?.is_none())
    }

    /// Returns the stack that is up and has told where it listens.
    pub fn running(&self) -> Result<Option<Running>, DevError> {
        if !self.is_held()? || !disk::exists(&self.record()) {
            return Ok(None);
        }
        let text = disk::read_text(&self.record(), TEXT_FILE_BYTES_MAX)?;
        Ok(serde_json::from_str(&text).ok())
    }

    /// Tells the stack to end, and waits until it has.
    ///
    /// # Errors
    /// Where it cannot be told, or does not end.
    pub fn end(&self, running: &Running) -> Result<(), DevError> {
        signal(running.process, Signal::TERM)?;
        self.wait_free(running.process)
    }

    /// Ends the stack at once, whatever it does.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn kill(&self, running: &Running) -> Result<(), DevError> {
        // Only a stack that holds the place is that process: the number may be another's by now.
        match self.running()? {
            Some(now) if now == *running => signal(running.process, Signal::KILL),
            _ => Ok(()),
        }
    }

    /// Waits until no stack holds the place; `process` names it in the error.
    pub(super) fn wait_free(&self, process: u32) -> Result<(), DevError> {
        let until = Instant::now() + Duration::from_secs(END_S_MAX);
        while self.is_held()? {
            if Instant::now() > until {
                return Err(DevError::Stubborn { process, seconds: END_S_MAX });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Removes all state.
    ///
    /// # Errors
    /// Where a stack is up.
    pub fn wipe(&self) -> Result<(), DevError> {
        if !disk::exists(&self.directory) {
            return Ok(());
        }
        let taken = self.take()?;
        let pins = self.pins();
        let kept = disk::exists(&pins).then(|| disk::read_text(&pins, TEXT_FILE_BYTES_MAX));
        disk::remove_tree(&self.directory)?;
        drop(taken);
        // Which packages servers are made of is no state of theirs.
        if let Some(kept) = kept {
            disk::create_dir_all(&self.directory)?;
            disk::write_atomic(&pins, kept?.as_bytes())?;
        }
        Ok(())
    }
}

fn signal(process: u32, signal: Signal) -> Result<(), DevError> {
    let refused = |source: std::io::Error| DevError::Signal { process, source };
    let number = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    let number = number.ok_or_else(|| refused(std::io::ErrorKind::InvalidInput.into()))?;
    rustix::process::kill_process(number, signal).map_err(|errno| refused(errno.into()))
}

impl Taken {
    /// Writes down where everything listens: the stack is ready. Programs find `more` variables in the env file,
    /// passwords among them, so that file is its owner's.
    pub fn tell(&self, running: &Running, more: &BTreeMap<String, String>) -> Result<(), DevError> {
        let mut variables: BTreeMap<String, &str> = BTreeMap::new();
        for service in &running.services {
            variables.insert(service.variable(), &service.url);
        }
        for (name, value) in more {
            variables.insert(name.clone(), value);
        }
        let lines = variables.iter().map(|(name, value)| format!("{name}={value}\n"));
        let env: String = lines.collect();
        let path = self.place.env_file();
        let temporary = disk::sibling(&path);
        disk::write_secret(&temporary, env.as_bytes())?;
        disk::rename(&temporary, &path)?;
        let record = serde_json::to_vec(running).expect("a record has only strings and numbers");
        Ok(disk::write_atomic(&self.place.record(), &record)?)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Gone while the lock is still held; what stays after a kill is not believed.
        let _ = disk::remove_file(&self.place.record());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn running() -> Running {
        let address = "127.0.0.1:1883".parse().unwrap();
        let url = "mqtt://127.0.0.1:1883".into();
        Running { process: 7, services: vec![Service { name: "mqtt".into(), address, url }] }
    }

    #[test]
    fn a_stack_is_up_only_while_its_process_holds_the_place() {
        let states = tempfile::tempdir().unwrap();
        let place = Place::new(states.path(), "shop", Path::new("/a/shop"));
        assert_eq!(place.running().unwrap(), None);
        let taken = place.take().unwrap();
        assert_eq!(place.running().unwrap(), None);
        let more = BTreeMap::from([("PASSWORD".to_owned(), "hunter22".to_owned())]);
        taken.tell(&running(), &more).unwrap();
        assert_eq!(place.running().unwrap(), Some(running()));
        let refused = place.take().unwrap_err();
        assert!(matches!(refused, DevError::IsUp { process: Some(7) }), "{refused}");
        drop(taken);
        assert_eq!(place.running().unwrap(), None);
        let env = disk::read_text(&place.env_file(), 100).unwrap();
        assert_eq!(env, "MQTT_URL=mqtt://127.0.0.1:1883\nPASSWORD=hunter22\n");
        let mode = std::fs::metadata(place.env_file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let record = disk::read_text(&place.record(), 1000);
        assert!(record.is_err(), "the record went with the stack");
    }

    #[test]
    fn what_a_killed_stack_left_behind_is_not_believed() {
        let states = tempfile::tempdir().unwrap();
        let place = Place::new(states.path(), "shop", Path::new("/a/shop"));
        let taken = place.take().unwrap();
        taken.tell(&running(), &BTreeMap::new()).unwrap();
        let record = disk::read(&place.record(), 1000).unwrap();
        drop(taken);
        disk::write_atomic(&place.record(), &record).unwrap();
        assert_eq!(place.running().unwrap(), None);
        let taken = place.take().unwrap();
        assert_eq!(place.running().unwrap(), None);
        drop(taken);
    }

    #[test]
    fn projects_of_one_name_have_places_of_their_own() {
        let at = |project: &str| Place::new(Path::new("/s"), "shop", Path::new(project));
        assert_ne!(at("/a/shop"), at("/b/shop"));
        assert_eq!(at("/a/shop"), at("/a/shop"));
    }

    #[test]
    fn state_goes_only_when_nobody_uses_it() {
        let states = tempfile::tempdir().unwrap();
        let place = Place::new(states.path(), "shop", Path::new("/a/shop"));
        let taken = place.take().unwrap();
        assert!(matches!(place.wipe(), Err(DevError::IsUp { .. })));
        drop(taken);
        place.wipe().unwrap();
        assert!(!disk::exists(place.directory()));
    }

    #[test]
    fn what_servers_are_made_of_stays_when_their_state_goes() {
        let states = tempfile::tempdir().unwrap();
        let place = Place::new(states.path(), "shop", Path::new("/a/shop"));
        drop(place.take().unwrap());
        disk::write_atomic(&place.pins(), b"pins").unwrap();
        disk::write_atomic(&place.directory().join("events.sqlite"), b"state").unwrap();
        place.wipe().unwrap();
        assert_eq!(disk::list(place.directory()).unwrap(), [b"services.lock".to_vec()]);
        assert_eq!(disk::read_text(&place.pins(), 100).unwrap(), "pins");
    }
}
