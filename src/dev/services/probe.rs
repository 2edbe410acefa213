//! Probe: asks a service whether it is ready.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::unit::{Ready, Unit};
use crate::sandbox::{self, Room, Status, Stop};

/// What is said of a service that ended while it was asked.
pub(super) const ENDED: &str = "ended before it was ready";
/// How long one question may take.
const ASK_MAX: Duration = Duration::from_secs(2);
/// How long it is waited between two questions; a command costs more than a connection.
const BETWEEN: Duration = Duration::from_millis(15);
const BETWEEN_COMMANDS: Duration = Duration::from_millis(250);
/// Bytes of an answer that are read: its first line stands in them.
const HEAD_BYTES: usize = 64;

/// Whether a text was seen in the output.
#[derive(Debug, Default)]
pub(super) struct Heard(AtomicBool);

impl Heard {
    pub(super) fn mark(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Waits until the service is ready. The error says why it is not.
pub(super) fn wait(
    unit: &Unit,
    room: &Room,
    heard: &Heard,
    is_over: &AtomicBool,
) -> Result<(), String> {
    let until = Instant::now() + unit.patience;
    loop {
        let answer = match &unit.ready {
            Ready::AtOnce => Ok(()),
            Ready::Tcp(address) => connect(*address).map(drop).map_err(|error| error.to_string()),
            Ready::Http { address, host, path } => page(*address, host, path),
            Ready::Log(_) if heard.is() => Ok(()),
            Ready::Log(text) => Err(format!("no line of its output holds `{text}`")),
            Ready::Exec(command) => exec(room, command),
        };
        // Who answers on the port of a service that is gone is somebody else.
        if is_over.load(Ordering::Acquire) {
            return Err(ENDED.into());
        }
        let Err(why) = answer else {
            return Ok(());
        };
        if Instant::now() > until {
            let (seconds, asked) = (unit.patience.as_secs(), asked(&unit.ready));
            return Err(format!("was not ready within {seconds} s: {asked}{why}"));
        }
        let is_command = matches!(unit.ready, Ready::Exec(_));
        std::thread::sleep(if is_command { BETWEEN_COMMANDS } else { BETWEEN });
    }
}

fn asked(ready: &Ready) -> String {
    match ready {
        Ready::Tcp(address) => format!("{address}: "),
        Ready::Http { address, path, .. } => format!("http://{address}{path}: "),
        Ready::Exec(command) => format!("`{}` ", command.join(" ")),
        Ready::AtOnce | Ready::Log(_) => String::new(),
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ASK_MAX)?;
    stream.set_read_timeout(Some(ASK_MAX))?;
    stream.set_write_timeout(Some(ASK_MAX))?;
    Ok(stream)
}

fn page(address: SocketAddr, host: &str, path: &str) -> Result<(), String> {
    let answer = || -> io::Result<String> {
        let mut stream = connect(address)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: rebeam\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        stream.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        Ok(String::from_utf8_lossy(&head).into_owned())
    };
    let head = answer().map_err(|error| error.to_string())?;
    let mut words = head.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    match words.next().and_then(|word| word.parse::<u16>().ok()).filter(|_| is_http) {
        Some(status) if status < 400 => Ok(()),
        Some(status) => Err(format!("answered with status {status}")),
        None => Err("answered with something that is not HTTP".into()),
    }
}

fn exec(room: &Room, command: &[String]) -> Result<(), String> {
    let mut room = room.clone();
    command.clone_into(&mut room.argv);
    room.bounds.wall_s = ASK_MAX.as_secs();
    let mut last = String::new();
    let status = sandbox::watch(&room, &Stop::default(), &mut |line| line.clone_into(&mut last));
    match status.map_err(|error| error.to_string())? {
        Status::Exited(0) => Ok(()),
        Status::Exited(code) => Err(format!("ended with exit code {code}: {last}")),
        Status::Killed { .. } | Status::TimedOut => Err("took too long".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            drop(stream.read(&mut asked));
            drop(stream.write_all(answer.as_bytes()));
        });
        address
    }

    #[test]
    fn a_page_counts_only_with_a_status_below_400() {
        let asked = |answer| page(answering(answer), "app", "/health");
        assert_eq!(asked("HTTP/1.1 204 No Content\r\n\r\n"), Ok(()));
        assert_eq!(asked("HTTP/1.0 302 Found\r\n\r\n"), Ok(()));
        assert_eq!(asked("HTTP/1.1 503 Busy\r\n\r\n").unwrap_err(), "answered with status 503");
        assert!(asked("+PONG\r\n").unwrap_err().contains("not HTTP"));
        assert!(asked("").unwrap_err().contains("not HTTP"));
    }
}
