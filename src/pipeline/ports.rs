//! Ports: what a started image listens on, seen under another number.
//!
//! `rebeam run` gives the image the host's own network, which needs no privilege and no bridge: a port is the host's own
//! already. Where it is to be seen under another number or address, connections are passed on from there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use thiserror::Error;

use crate::explain::{Blame, Explain};
use crate::limits::FORWARDED_MAX;

/// A port of the image, and where it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// The address at which it is seen.
    pub address: IpAddr,
    /// The number under which it is seen.
    pub outside: u16,
    /// The number on which the image listens.
    pub inside: u16,
}

/// A port cannot be had.
#[derive(Debug, Error)]
pub enum PortFailure {
    /// The words name no port.
    #[error("`{text}` is no `[[ADDRESS:]OUTSIDE:]INSIDE`, with numbers from 1 to 65535")]
    Unreadable {
        /// What was said.
        text: String,
    },
    /// Another protocol than TCP.
    #[error("`{text}` is a UDP port, and only TCP ports can be passed on")]
    Udp {
        /// What was said.
        text: String,
    },
    /// Somebody listens there.
    #[error("port {port} of this machine cannot be listened on")]
    Taken {
        /// The port.
        port: u16,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl Explain for PortFailure {
    fn blame(&self) -> Blame {
        match self {
            Self::Unreadable { .. } | Self::Udp { .. } => Blame::Usage,
            Self::Taken { .. } => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => {
                "`-p 8081:8080` shows the image's port 8080 as 8081 of this machine".into()
            }
            Self::Udp { .. } => {
                "the image has this machine's network: its UDP ports are open without a word".into()
            }
            Self::Taken { port, .. } => format!(
                "`ss -ltnp 'sport = :{port}'` says who has it; the image's own port may be set by a variable: `-e PORT=…`"
            ),
        })
    }
}

impl FromStr for Port {
    type Err = PortFailure;

    fn from_str(text: &str) -> Result<Self, PortFailure> {
        let unreadable = || PortFailure::Unreadable { text: text.to_owned() };
        let plain = match text.rsplit_once('/') {
            Some((_, "udp")) => return Err(PortFailure::Udp { text: text.to_owned() }),
            Some((plain, "tcp")) => plain,
            Some(_) => return Err(unreadable()),
            None => text,
        };
        let number =
            |text: &str| text.parse().ok().filter(|number| *number != 0).ok_or_else(unreadable);
        // The numbers stand last, for an address may hold colons itself.
        let mut parts = plain.rsplitn(3, ':');
        let inside = number(parts.next().unwrap_or_default())?;
        let outside = parts.next().map(&number).transpose()?.unwrap_or(inside);
        let address = match parts.next() {
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Some(text) => text.trim_matches(['[', ']']).parse().map_err(|_| unreadable())?,
        };
        Ok(Self { address, outside, inside })
    }
}

/// Passes connections on to the image's ports, for as long as this process lives.
///
/// Each port must be free: otherwise a connection would reach whoever has it.
pub(super) fn open(ports: &[Port]) -> Result<(), PortFailure> {
    let connections = Arc::new(AtomicUsize::new(0));
    for port in ports {
        let taken = |port: u16| move |source| PortFailure::Taken { port, source };
        drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port.inside)).map_err(taken(port.inside))?);
        if port.inside == port.outside {
            continue;
        }
        let listener =
            TcpListener::bind((port.address, port.outside)).map_err(taken(port.outside))?;
        let (connections, inside) = (Arc::clone(&connections), port.inside);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if connections.fetch_add(1, Ordering::Relaxed) >= FORWARDED_MAX {
                    connections.fetch_sub(1, Ordering::Relaxed);
                    continue;
                }
                let connections = Arc::clone(&connections);
                std::thread::spawn(move || {
                    // A connection that breaks ends; who made it sees that.
                    drop(pass_on(&stream, inside));
                    connections.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
    }
    Ok(())
}

/// Copies both ways until both sides are done.
fn pass_on(outer: &TcpStream, inside: u16) -> io::Result<()> {
    let inner = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, inside)))?;
    std::thread::scope(|scope| {
        let copy = |mut from: &TcpStream, mut to: &TcpStream| {
            let copied = io::copy(&mut from, &mut to);
            drop(to.shutdown(Shutdown::Write));
            copied
        };
        let inner = &inner;
        scope.spawn(move || copy(outer, inner));
        copy(inner, outer).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn ports_are_said_as_docker_users_say_them() {
        let port = |text: &str| {
            let Port { address, outside, inside } = text.parse().unwrap();
            (address.to_string(), outside, inside)
        };
        assert_eq!(port("8080"), ("0.0.0.0".into(), 8080, 8080));
        assert_eq!(port("81:8080/tcp"), ("0.0.0.0".into(), 81, 8080));
        assert_eq!(port("127.0.0.1:81:8080"), ("127.0.0.1".into(), 81, 8080));
        assert_eq!(port("[::1]:81:8080"), ("::1".into(), 81, 8080));
        for text in ["", "x", "0", "70000", "1:2:3:4x", "8080/sctp", "8080/udp", "a:1:2"] {
            assert!(text.parse::<Port>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_connection_is_passed_on_both_ways() {
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        let inside = service.local_addr().unwrap().port();
        let outer = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(outer.local_addr().unwrap()).unwrap();
        let (stream, _) = outer.accept().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut connection, _) = service.accept().unwrap();
            let mut asked = [0; 4];
            connection.read_exact(&mut asked).unwrap();
            connection.write_all(&asked).unwrap();
        });
        let passing = std::thread::spawn(move || pass_on(&stream, inside));
        client.write_all(b"ping").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ping");
        answering.join().unwrap();
        passing.join().unwrap().unwrap();
    }

    #[test]
    fn a_port_that_somebody_has_is_refused_by_its_number() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = taken.local_addr().unwrap().port();
        let port: Port = format!("{number}").parse().unwrap();
        let said = open(&[port]).unwrap_err().to_string();
        assert_eq!(said, format!("port {number} of this machine cannot be listened on"));
    }
}
