//! Ports: the standard one where it is free, else one that stays the same for a project; and who holds a port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::error::DevError;
use crate::digest::Digest;
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;

/// Ports that projects get by themselves lie above this one and below Linux's own choice for clients.
const STABLE_FIRST: u16 = 20_000;
const STABLE_COUNT: u16 = 12_000;
/// Places that are tried for one service before giving up.
const TRIES_MAX: u16 = 50;

/// Opens ports for the stack of one project.
#[derive(Debug, Clone)]
pub struct Ports {
    address: IpAddr,
    project: PathBuf,
    taken: Arc<Mutex<Took>>,
}

/// Which ports a stack has.
#[derive(Debug, Default)]
struct Took {
    /// Those that are standard ones.
    standard: BTreeSet<u16>,
    /// Those that are not, each with the standard one that somebody else had.
    instead: BTreeMap<u16, u16>,
}

/// A standard port that somebody else had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Its number.
    pub port: u16,
    /// Who had it, where that can be seen.
    pub holder: Option<String>,
}

impl Ports {
    /// Ports on `address` for the stack of the project at `project`.
    pub fn new(address: IpAddr, project: &Path) -> Self {
        Self { address, project: project.to_owned(), taken: Arc::default() }
    }

    /// Returns the address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Makes sure that the address is this machine's.
    ///
    /// # Errors
    /// Where it is not.
    pub fn check(&self) -> Result<(), DevError> {
        let probe = TcpListener::bind(SocketAddr::new(self.address, 0));
        probe.map(drop).map_err(|_| DevError::NoAddress { address: self.address })
    }

    /// Listens for `service` on `standard`, or on a port that is the same each time for this project and service.
    ///
    /// # Errors
    /// Where none of the tried ports is free.
    pub fn standard_or_stable(
        &self,
        service: &str,
        standard: u16,
    ) -> Result<TcpListener, DevError> {
        if let Ok(listener) = TcpListener::bind(SocketAddr::new(self.address, standard)) {
            self.took().standard.insert(standard);
            return Ok(listener);
        }
        let listener = self.stable_one(service).map_err(|_| self.taken(service, standard))?;
        if let Ok(address) = listener.local_addr() {
            let mut took = self.took();
            // One of this very stack is no stranger: a real server goes before ours.
            if !took.standard.contains(&standard) {
                took.instead.insert(address.port(), standard);
            }
        }
        Ok(listener)
    }

    fn took(&self) -> MutexGuard<'_, Took> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the standard ports that others had, each under the number that was taken instead.
    pub fn given_up(&self) -> BTreeMap<u16, GivenUp> {
        let instead = self.took().instead.clone();
        let holders = holders(&instead.values().copied().collect());
        let given_up = |(port, standard): (u16, u16)| {
            (port, GivenUp { port: standard, holder: holders.get(&standard).cloned() })
        };
        instead.into_iter().map(given_up).collect()
    }

    /// Listens for `service` on a port that is the same each time for this project and service.
    ///
    /// # Errors
    /// Where none of the tried ports is free.
    pub fn stable_one(&self, service: &str) -> Result<TcpListener, DevError> {
        let mut ports = (0..TRIES_MAX).map(|attempt| self.stable(service, attempt));
        let free =
            ports.find_map(|port| TcpListener::bind(SocketAddr::new(self.address, port)).ok());
        free.ok_or_else(|| self.taken(service, self.stable(service, 0)))
    }

    /// Listens for `service` on exactly `port`: a person asked for it.
    ///
    /// # Errors
    /// Where something else has it; the error says what.
    pub fn exactly(&self, service: &str, port: u16) -> Result<TcpListener, DevError> {
        TcpListener::bind(SocketAddr::new(self.address, port))
            .map_err(|_| self.taken(service, port))
    }

    fn stable(&self, service: &str, attempt: u16) -> u16 {
        let name = format!("{}\0{service}\0{attempt}", self.project.display());
        let digest = Digest::of(name.as_bytes());
        let bytes = digest.as_bytes();
        STABLE_FIRST + u16::from_be_bytes([bytes[0], bytes[1]]) % STABLE_COUNT
    }

    fn taken(&self, service: &str, port: u16) -> DevError {
        DevError::PortTaken { service: service.to_owned(), port, holder: holder(port) }
    }
}

/// Finds who listens on a TCP port of this machine: `mosquitto (process 4711)`.
///
/// The kernel lists sockets by inode in `/proc/net/tcp`; a process that has it open links to `socket:[INODE]`.
pub fn holder(port: u16) -> Option<String> {
    holders(&BTreeSet::from([port])).remove(&port)
}

/// Finds who listens on each of some ports.
fn holders(ports: &BTreeSet<u16>) -> BTreeMap<u16, String> {
    let mut sockets = BTreeMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter(|_| !ports.is_empty()) {
        let text = disk::read_text(Path::new(table), TEXT_FILE_BYTES_MAX).unwrap_or_default();
        let listening = text.lines().skip(1).filter_map(listening);
        for (port, inode) in listening.filter(|(port, _)| ports.contains(port)) {
            sockets.insert(format!("socket:[{inode}]").into_bytes(), port);
        }
    }
    let mut holders = BTreeMap::new();
    let processes = disk::list(Path::new("/proc")).unwrap_or_default();
    for process in processes.iter().filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok())
    {
        let found = found(process, &sockets);
        if found.is_empty() {
            continue;
        }
        let path = PathBuf::from(format!("/proc/{process}/comm"));
        let name = disk::read_text(&path, TEXT_FILE_BYTES_MAX).unwrap_or_default();
        for port in found {
            holders.entry(port).or_insert_with(|| format!("{} (process {process})", name.trim()));
        }
        if holders.len() == ports.len() {
            break;
        }
    }
    holders
}

/// Returns which of these sockets a process has open.
fn found(process: u32, sockets: &BTreeMap<Vec<u8>, u16>) -> Vec<u16> {
    if sockets.is_empty() {
        return Vec::new();
    }
    let open = PathBuf::from(format!("/proc/{process}/fd"));
    let links = disk::list(&open).unwrap_or_default();
    let path = |link: &Vec<u8>| open.join(String::from_utf8_lossy(link).as_ref());
    let targets = links.iter().filter_map(|link| disk::read_link(&path(link)).ok());
    targets.filter_map(|target| sockets.get(&target).copied()).collect()
}

/// Reads a line of the kernel's table: the port and the inode, if the socket listens.
fn listening(line: &str) -> Option<(u16, u64)> {
    const LISTENING: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let own = fields.get(1)?.rsplit_once(':')?.1;
    let port = u16::from_str_radix(own, 16).ok()?;
    (*fields.get(3)? == LISTENING).then(|| Some((port, fields.get(9)?.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ports(project: &str) -> Ports {
        Ports::new(Ipv4Addr::LOCALHOST.into(), Path::new(project))
    }

    #[test]
    fn a_taken_standard_port_gives_way_to_one_that_is_the_same_each_time() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let standard = taken.local_addr().unwrap().port();
        let first = ports("/a").standard_or_stable("mqtt", standard).unwrap();
        let port = first.local_addr().unwrap().port();
        drop(first);
        let again = ports("/a").standard_or_stable("mqtt", standard).unwrap();
        assert_eq!(again.local_addr().unwrap().port(), port);
        let other = ports("/b").standard_or_stable("mqtt", standard).unwrap();
        assert_ne!(other.local_addr().unwrap().port(), port);
    }

    #[test]
    fn a_standard_port_that_was_given_up_names_its_holder_unless_it_is_the_stacks_own() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let standard = taken.local_addr().unwrap().port();
        let stack = ports("/given-up");
        let instead = stack.standard_or_stable("mqtt", standard).unwrap();
        let own = (Ipv4Addr::LOCALHOST, 0);
        let own = TcpListener::bind(own).unwrap().local_addr().unwrap().port();
        let _real = stack.standard_or_stable("redis 6379", own).unwrap();
        let _embedded = stack.standard_or_stable("redis", own).unwrap();
        let given_up = stack.given_up();
        assert_eq!(given_up.len(), 1, "{given_up:?}");
        let one = &given_up[&instead.local_addr().unwrap().port()];
        let holder = one.holder.as_ref().unwrap();
        assert_eq!(one.port, standard);
        assert!(holder.ends_with(&format!("(process {})", std::process::id())), "{holder}");
    }

    #[test]
    fn a_port_that_was_asked_for_and_is_taken_names_its_holder() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = ports("/a").exactly("mqtt", port).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("(process {})", std::process::id())), "{text}");
    }
}
