//! Engine: an image file into a container engine of this machine, through its socket.
//!
//! An engine that has the image is sent nothing: it is asked by the image's id first. That is the digest of the
//! configuration, or of the manifest where an engine keeps images as containerd does (Docker 29). Docker and podman
//! answer the same calls (Docker Engine API, "Images").

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::error::said;
use super::session::body;
use super::url::encoded;
use super::watched::Watched;
use crate::digest::Digest;
use crate::event::{Event, Observer};
use crate::explain::{Blame, Explain};
use crate::http::{
    Answer, Failed, HttpError, Method, Passing, Request, Sent, Socket, Source, Step,
};
use crate::image::{Contents, ImageError};
use crate::limits::{ANSWER_BYTES_MAX, ENGINE_SILENCE_MS_MAX};

/// The name under which progress is told.
const NAME: &str = "image";

/// Where the engines of this machine may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sockets {
    /// The environment names one.
    Named(PathBuf),
    /// The usual places, the first that is there counts.
    Usual(Vec<PathBuf>),
    /// The environment names an engine elsewhere, which only its own command reaches.
    Elsewhere,
}

impl Sockets {
    /// Reads from the environment where engines listen.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(host) = set("DOCKER_HOST") {
            let path = host.to_str().and_then(|host| host.strip_prefix("unix://"));
            return path.map_or(Self::Elsewhere, |path| Self::Named(PathBuf::from(path)));
        }
        let own = set("XDG_RUNTIME_DIR").map(PathBuf::from);
        let below = |name: &str| own.as_ref().map(|own| own.join(name));
        let usual = [
            Some(PathBuf::from("/var/run/docker.sock")),
            below("docker.sock"),
            below("podman/podman.sock"),
            Some(PathBuf::from("/run/podman/podman.sock")),
        ];
        Self::Usual(usual.into_iter().flatten().collect())
    }
}

/// An engine did not take the image.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The socket is not for this user.
    #[error("`{}` does not let this user in", socket.display())]
    Denied {
        /// The socket.
        socket: PathBuf,
    },
    /// Nobody answers at the socket, or the answer broke off.
    #[error("no engine answers at `{}`", socket.display())]
    Silent {
        /// The socket.
        socket: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The engine refuses.
    #[error("the engine at `{}` refuses the image: {says}", socket.display())]
    Refused {
        /// The socket.
        socket: PathBuf,
        /// Its words.
        says: String,
    },
    /// The engine said yes and does not have the image.
    #[error("the engine at `{}` took the image and does not have {image_id}", socket.display())]
    Lost {
        /// The socket.
        socket: PathBuf,
        /// The image.
        image_id: Digest,
    },
    /// The image file refused.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The call could not be made.
    #[error(transparent)]
    Http(HttpError),
}

impl Explain for EngineError {
    fn blame(&self) -> Blame {
        match self {
            Self::Image(error) => error.blame(),
            Self::Http(error) => error.blame(),
            _ => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Denied { socket } if socket.to_string_lossy().contains("docker") => Some(
                "join its group and log in again: `sudo usermod -aG docker $USER`; `rebeam run` needs no engine"
                    .into(),
            ),
            Self::Denied { socket } => {
                Some(format!("look at its owner and mode: `ls -l {}`", socket.display()))
            }
            Self::Silent { socket, .. } => Some(match is_podmans(socket) {
                true => "start it: `systemctl --user start podman.socket`".into(),
                false => "start it: `sudo systemctl start docker`; DOCKER_HOST names another".into(),
            }),
            Self::Refused { socket, .. } => Some(match is_podmans(socket) {
                true => "those are its own words; `podman info` and `podman system df` tell how it is".into(),
                false => "those are its own words; its log says more: `journalctl -u docker`, and `docker system df` what room it has".into(),
            }),
            Self::Lost { socket, .. } => {
                let engine = if is_podmans(socket) { "podman" } else { "docker" };
                Some(format!("hand the file to its own command: `rebeam image load --engine {engine}`"))
            }
            Self::Image(error) => error.hint(),
            Self::Http(error) => error.hint(),
        }
    }
}

fn is_podmans(socket: &Path) -> bool {
    socket.to_string_lossy().contains("podman")
}

impl EngineError {
    /// Tells whether nobody answered, so that another engine may be asked.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }
}

/// What an engine has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The names of the image.
    pub names: Vec<String>,
    /// Bytes that were sent.
    pub sent_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Known {
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

/// A line of an engine's answer, or its refusal.
#[derive(Deserialize)]
struct Line {
    error: Option<String>,
    message: Option<String>,
}

/// Brings an image into the engine at `socket` under the names that its file bears; sends nothing that is there.
pub fn load(
    contents: &Contents,
    socket: &Path,
    observer: &dyn Observer,
) -> Result<Loaded, EngineError> {
    let engine = Engine { socket: Socket::new(socket, ENGINE_SILENCE_MS_MAX), contents, observer };
    let mut sent_bytes = 0;
    let known = match engine.find()? {
        Some(known) => known,
        None => {
            contents.check()?;
            engine.send()?;
            sent_bytes = contents.file_bytes;
            let lost =
                EngineError::Lost { socket: socket.to_owned(), image_id: contents.image_id() };
            engine.find()?.ok_or(lost)?
        }
    };
    for name in &contents.names {
        if !known.1.iter().any(|tag| familiar(tag) == familiar(name)) {
            engine.tag(known.0, name)?;
        }
    }
    let names = contents.names.clone();
    observer.observe(&Event::Loaded {
        engine: &socket.to_string_lossy(),
        image_id: contents.image_id(),
        names: &names,
        sent_bytes,
    });
    Ok(Loaded { names, sent_bytes })
}

struct Engine<'a> {
    socket: Socket,
    contents: &'a Contents,
    observer: &'a dyn Observer,
}

impl Engine<'_> {
    /// Returns the id under which the engine has the image, and its names, if it has it.
    fn find(&self) -> Result<Option<(Digest, Vec<String>)>, EngineError> {
        for id in [self.contents.image_id(), self.contents.manifest_digest] {
            let mut answer =
                self.call(Method::Get, &format!("/images/{id}/json"), Sent::Nothing)?;
            let said = body(&mut answer);
            match answer.status {
                200 => {
                    let known: Option<Known> = serde_json::from_slice(&said).ok();
                    let known = known.ok_or_else(|| self.refused(answer.status, &said))?;
                    return Ok(Some((id, known.repo_tags.unwrap_or_default())));
                }
                404 => {}
                status => return Err(self.refused(status, &said)),
            }
        }
        Ok(None)
    }

    fn send(&self) -> Result<(), EngineError> {
        let sent = Sent::Stream { bytes: self.contents.file_bytes, source: self };
        let mut answer = self.call(Method::Post, "/images/load?quiet=1", sent)?;
        let said = body(&mut answer);
        // Once the engine has begun to read, a failure is told in the body of a 200.
        match answer.status {
            200 if refusal(&said).is_none() => Ok(()),
            status => Err(self.refused(status, &said)),
        }
    }

    fn tag(&self, id: Digest, name: &str) -> Result<(), EngineError> {
        let slash = name.rfind('/').map_or(0, |slash| slash + 1);
        let colon = name[slash..].rfind(':').map(|colon| slash + colon);
        let (repository, tag) =
            colon.map_or((name, "latest"), |colon| (&name[..colon], &name[colon + 1..]));
        let path = format!("/images/{id}/tag?repo={}&tag={}", encoded(repository), encoded(tag));
        let mut answer = self.call(Method::Post, &path, Sent::Bytes(&[]))?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(self.refused(status, &body(&mut answer))),
        }
    }

    fn call(&self, method: Method, path: &str, sent: Sent<'_>) -> Result<Answer, EngineError> {
        let url = format!("http://engine{path}");
        let headers = [("content-type", "application/x-tar".to_owned())];
        let headers = if matches!(sent, Sent::Stream { .. }) { &headers[..] } else { &[] };
        let request = Request { name: NAME, url: &url, limit: ANSWER_BYTES_MAX, headers };
        let failed = match self.socket.attempt(&Step { method, request, sent }) {
            Ok(answer) => return Ok(answer),
            Err(Failed::Final(error) | Failed::Passing(Passing { error, .. })) => error,
        };
        let socket = self.socket.path().to_owned();
        Err(match failed {
            HttpError::Unreachable { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                EngineError::Denied { socket }
            }
            HttpError::Unreachable { source, .. } => EngineError::Silent { socket, source },
            other => EngineError::Http(other),
        })
    }

    fn refused(&self, status: u16, body: &[u8]) -> EngineError {
        let says = refusal(body).unwrap_or_else(|| format!("status {status}"));
        EngineError::Refused { socket: self.socket.path().to_owned(), says }
    }
}

impl Source for Engine<'_> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.contents.file_bytes;
        self.observer.observe(&Event::PushStarted { name: NAME, bytes });
        Ok(Box::new(Watched::new(self.contents.open_file()?, NAME, self.observer)))
    }
}

/// Returns what an answer says against the image: one JSON object, or one a line.
pub(super) fn refusal(body: &[u8]) -> Option<String> {
    let lines = serde_json::Deserializer::from_slice(body).into_iter::<Line>();
    let words = lines.map_while(Result::ok).find_map(|line| line.error.or(line.message));
    words.map(|words| said(&words))
}

/// Returns a name as Docker shows it: without the registry and directory that are meant anyway.
fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}
