//! Ports: the standard one where it is free, else one that stays the same for a project; and who holds a port.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

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
}

impl Ports {
    /// Ports on `address` for the stack of the project at `project`.
    pub fn new(address: IpAddr, project: &Path) -> Self {
        Self { address, project: project.to_owned() }
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
        let listener = TcpListener::bind(SocketAddr::new(self.address, standard));
        listener.or_else(|_| self.stable_one(service).map_err(|_| self.taken(service, standard)))
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
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = disk::read_text(Path::new(table), TEXT_FILE_BYTES_MAX).ok()?;
        text.lines().skip(1).find_map(|line| listening_inode(line, port))
    })?;
    let wanted = format!("socket:[{inode}]").into_bytes();
    let processes = disk::list(Path::new("/proc")).ok()?;
    let numbers = processes.iter().filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok());
    let process: u32 = numbers.into_iter().find(|process: &u32| {
        let open = PathBuf::from(format!("/proc/{process}/fd"));
        let links = disk::list(&open).unwrap_or_default();
        links.iter().any(|link| {
            let path = open.join(String::from_utf8_lossy(link).as_ref());
            disk::read_link(&path).is_ok_and(|target| target == wanted)
        })
    })?;
    let path = PathBuf::from(format!("/proc/{process}/comm"));
    let name = disk::read_text(&path, TEXT_FILE_BYTES_MAX).ok()?;
    Some(format!("{} (process {process})", name.trim()))
}

/// Reads a line of the kernel's table: the inode, if the socket listens on `port`.
fn listening_inode(line: &str, port: u16) -> Option<u64> {
    const LISTENING: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let own = fields.get(1)?.rsplit_once(':')?.1;
    let is_it = u16::from_str_radix(own, 16).ok()? == port && *fields.get(3)? == LISTENING;
    is_it.then(|| fields.get(9)?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::explain::Explain as _;

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
    fn a_port_that_was_asked_for_and_is_taken_names_its_holder() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = ports("/a").exactly("mqtt", port).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("(process {})", std::process::id())), "{text}");
        assert!(error.hint().unwrap().contains("`[services.mqtt]`"));
        // The port of a release is its image's, so nobody could take it out.
        let hint = ports("/a").exactly("release", port).unwrap_err().hint().unwrap();
        assert!(hint.contains("`release = false` under `[dev]`"), "{hint}");
    }
}
