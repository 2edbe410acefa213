//! Control: how other processes ask the stack that is up, over a socket in its directory that only its owner may use.
//!
//! A request is one line of JSON, and so is its answer. A socket's path may have 108 bytes and a directory's more, so both
//! sides name the socket by way of the open directory.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::access::Access;
use super::error::DevError;
use super::events::Flusher;
use super::place::Place;
use super::ports::GivenUp;
use super::services::{Services, Standing, State};
use super::troubles::Troubles;
use crate::disk;
use crate::explain::Explain as _;

const NAME: &str = "control";
/// Bytes of a request or an answer.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// How long the other side may take for its line.
const LINE_MAX: Duration = Duration::from_secs(10);
/// How long a restarted service is waited for.
const RESTART_MAX: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
enum Request {
    Status,
    Flush,
    Restart { service: String },
    Stop,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Answer {
    #[serde(default)]
    services: Vec<Standing>,
    #[serde(default)]
    refused: Option<Refusal>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Refusal {
    problem: String,
    hint: Option<String>,
}

/// What can be asked about.
#[derive(Debug)]
pub struct Told {
    /// What runs in this process.
    pub embedded: Vec<Standing>,
    /// What runs in rooms.
    pub services: Arc<Services>,
    /// Standard ports that others had, each under the one that is used instead.
    pub given_up: BTreeMap<u16, GivenUp>,
    /// Who decides what clients of the broker may do.
    pub rules: Arc<dyn Access>,
    /// Told when the stack is to end.
    pub end: Arc<Notify>,
    /// What keeps what runs in this process from writing.
    pub troubles: Troubles,
    /// What has events written; none where there are none.
    pub flusher: Option<Flusher>,
}

impl Told {
    /// Returns everything that runs and how it is.
    pub fn standing(&self) -> Vec<Standing> {
        let troubled = |one: &Standing| {
            if let Some(why) = self.troubles.of(&one.name) {
                let why = Some(format!("it cannot write to its disk: {why}"));
                return Standing { state: State::Troubled, why, ..one.clone() };
            }
            // It listens all the same, and lets nobody in.
            let asks = is_broker(one).then(|| self.rules.trouble()).flatten();
            let why = asks.map(|why| format!("nobody is let in, as {why}"));
            Standing { why, ..one.clone() }
        };
        let mut all: Vec<Standing> =
            self.embedded.iter().map(troubled).chain(self.services.standing()).collect();
        for one in &mut all {
            one.instead_of = one.address.and_then(|at| self.given_up.get(&at.port()).cloned());
        }
        all
    }

    fn answer(&self, request: &Request) -> Answer {
        let services = match request {
            Request::Status => self.standing(),
            Request::Flush => {
                if let Some(flusher) = &self.flusher {
                    flusher.flush();
                }
                Vec::new()
            }
            Request::Stop => {
                self.end.notify_one();
                Vec::new()
            }
            Request::Restart { service }
                if self.embedded.iter().any(|one| one.name == *service) =>
            {
                let problem =
                    format!("`{service}` is a part of rebeam, and is not restarted alone");
                let hint =
                    Some("all of the stack: `rebeam dev down`, `rebeam dev up -d`".to_owned());
                return Answer { refused: Some(Refusal { problem, hint }), ..Answer::default() };
            }
            Request::Restart { service } => match self.services.restart(service) {
                Ok(()) => self.standing(),
                Err(error) => return Answer::of(&error),
            },
        };
        Answer { services, refused: None }
    }
}

/// Tells whether this is MQTT of this process, whose name another service may have taken.
fn is_broker(one: &Standing) -> bool {
    ["mqtt", "embedded-mqtt"].contains(&one.name.as_str())
}

impl Answer {
    fn of(error: &DevError) -> Self {
        let refused = Some(Refusal { problem: error.to_string(), hint: error.hint() });
        Self { refused, ..Self::default() }
    }
}

/// A socket that is answered for as long as this process lives.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
}

impl Control {
    /// Opens the socket of a place that is ours and answers on it from now on.
    ///
    /// # Errors
    /// Where the socket cannot be made.
    pub fn open(place: &Place, told: Arc<Told>) -> Result<Self, DevError> {
        let path = place.directory().join(NAME);
        if disk::exists(&path) {
            disk::remove_file(&path)?;
        }
        // Others may not even reach for it before its mode is set.
        disk::set_mode(place.directory(), 0o700)?;
        let listener = by_directory(place, |path| UnixListener::bind(path))?;
        disk::set_mode(&path, 0o600)?;
        let answering = std::thread::Builder::new().name("control".into());
        let answering = answering.spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who breaks off has no need of an answer. One after another: an answer takes no time, and who is
                // slow to ask is cut off.
                drop(serve(&stream, &told));
            }
        });
        answering.map_err(DevError::Runtime)?;
        Ok(Self { path })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // What is left is replaced by the next stack.
        let _ = disk::remove_file(&self.path);
    }
}

fn serve(stream: &UnixStream, told: &Told) -> io::Result<()> {
    let line = read_line(stream)?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => told.answer(&request),
        Err(error) => {
            let problem = format!("the request is not understood: {error}");
            Answer { refused: Some(Refusal { problem, hint: None }), ..Answer::default() }
        }
    };
    write_line(stream, &answer)
}

fn read_line(stream: &UnixStream) -> io::Result<String> {
    stream.set_read_timeout(Some(LINE_MAX))?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(line)
}

fn write_line(mut stream: &UnixStream, value: &impl Serialize) -> io::Result<()> {
    stream.set_write_timeout(Some(LINE_MAX))?;
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn by_directory<T>(place: &Place, work: impl FnOnce(&str) -> io::Result<T>) -> Result<T, DevError> {
    let directory = disk::open(place.directory())?;
    let path = format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd());
    work(&path).map_err(DevError::Silent)
}

fn ask(place: &Place, request: &Request) -> Result<Vec<Standing>, DevError> {
    let stream = by_directory(place, |path| UnixStream::connect(path))?;
    let line = write_line(&stream, request).and_then(|()| read_line(&stream));
    let answer: Answer = serde_json::from_str(&line.map_err(DevError::Silent)?)
        .map_err(|error| DevError::Silent(error.into()))?;
    match answer.refused {
        Some(Refusal { problem, hint }) => Err(DevError::Refused { problem, hint }),
        None => Ok(answer.services),
    }
}

/// Asks the stack that is up what runs and how it is.
///
/// # Errors
/// Where it does not answer.
pub fn status(place: &Place) -> Result<Vec<Standing>, DevError> {
    match ask(place, &Request::Status) {
        // A stack that has only begun has nothing to tell of, and no socket, or one that nobody listens on so far.
        Err(DevError::Silent(error))
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]
                .contains(&error.kind()) =>
        {
            Ok(Vec::new())
        }
        answer => answer,
    }
}

/// Has a stack that is up write the events that happened so far, so that who reads the log now sees them.
///
/// # Errors
/// Where it does not answer.
pub fn flush(place: &Place) -> Result<(), DevError> {
    ask(place, &Request::Flush).map(drop)
}

/// Has a service end and start again, and waits until it is ready.
///
/// # Errors
/// Where there is no such service, or it does not get ready.
pub fn restart(place: &Place, service: &str) -> Result<(), DevError> {
    let find = |standings: Vec<Standing>| standings.into_iter().find(|one| one.name == service);
    let before = find(status(place)?).map_or(0, |one| one.restarts);
    ask(place, &Request::Restart { service: service.to_owned() })?;
    let until = Instant::now() + RESTART_MAX;
    loop {
        let now = find(status(place)?).filter(|one| one.restarts > before);
        match now.as_ref().map(|one| one.state) {
            Some(State::Ready | State::Done) => return Ok(()),
            Some(State::Failed | State::Stopped) => {
                let why = now.and_then(|one| one.why).unwrap_or_else(|| "ended".into());
                let hint = Some(format!("look at what it said: `rebeam dev logs {service}`"));
                return Err(DevError::Refused { problem: format!("`{service}` {why}"), hint });
            }
            _ if Instant::now() > until => {
                let seconds = RESTART_MAX.as_secs();
                let problem = format!("`{service}` was not ready again within {seconds} s");
                let hint = Some(format!("look at what it said: `rebeam dev logs {service}`"));
                return Err(DevError::Refused { problem, hint });
            }
            _ => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

/// Tells a stack that may still be starting to end, and waits until it has.
///
/// # Errors
/// Where it cannot be told, or does not end.
pub fn stop(place: &Place) -> Result<(), DevError> {
    let until = Instant::now() + LINE_MAX;
    while place.is_held()? {
        match ask(place, &Request::Stop) {
            Ok(_) => return place.wait_free(0),
            // One that has only begun cannot hear yet.
            Err(_) if Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::dev::access::Open;
    use crate::dev::services::Logs;

    fn told(place: &Place) -> Arc<Told> {
        let logs = Logs::of(place.directory());
        let embedded = Standing {
            name: "mqtt".into(),
            state: State::Ready,
            address: None,
            url: Some("mqtt://127.0.0.1:1883".into()),
            others: Vec::new(),
            instead_of: None,
            restarts: 0,
            why: None,
        };
        let services = Arc::new(Services::start(Vec::new(), &logs).unwrap());
        let (end, troubles) = (Arc::default(), Troubles::default());
        let rules = Arc::new(Open::default());
        let (embedded, given_up) = (vec![embedded], BTreeMap::new());
        Arc::new(Told { embedded, services, given_up, rules, end, troubles, flusher: None })
    }

    #[test]
    fn a_stack_answers_its_owner_alone_however_long_its_path_is() {
        let states = tempfile::tempdir().unwrap();
        let deep = states.path().join("x".repeat(120));
        let place = Place::new(&deep, "shop", std::path::Path::new("/a/shop"));
        let _taken = place.take().unwrap();
        let control = Control::open(&place, told(&place)).unwrap();
        let standings = status(&place).unwrap();
        assert_eq!((standings.len(), standings[0].name.as_str()), (1, "mqtt"));
        let mode = std::fs::metadata(place.directory().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = restart(&place, "mqtt").unwrap_err();
        assert_eq!(refused.to_string(), "`mqtt` is a part of rebeam, and is not restarted alone");
        let refused = restart(&place, "nobody").unwrap_err();
        assert_eq!(refused.to_string(), "there is no service `nobody`");
        drop(control);
        assert_eq!(status(&place).unwrap(), []);
    }

    #[test]
    fn a_request_that_makes_no_sense_is_refused_with_a_line() {
        let states = tempfile::tempdir().unwrap();
        let place = Place::new(states.path(), "shop", std::path::Path::new("/a/shop"));
        let _taken = place.take().unwrap();
        let _control = Control::open(&place, told(&place)).unwrap();
        for text in ["{}\n", "{\"do\":\"fly\"}\n", "\u{0}\n", "\n"] {
            let stream = by_directory(&place, |path| UnixStream::connect(path)).unwrap();
            (&stream).write_all(text.as_bytes()).unwrap();
            let line = read_line(&stream).unwrap();
            assert!(line.contains("the request is not understood"), "{text}: {line}");
        }
    }
}
