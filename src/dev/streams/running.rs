//! Running: the server, as the stack holds it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::connection::{self, MESSAGES_MAX, Message};
use super::engine::Engine;
use super::journal::Journal;
use super::password::Password;
use crate::dev::DevError;

/// The file that all keys are kept in.
const FILE: &str = "streams.sqlite";

/// A running server. Call [`Streams::stop`] to end it.
#[derive(Debug)]
pub struct Streams {
    address: SocketAddr,
    writer: mpsc::Sender<Message>,
    thread: Option<std::thread::JoinHandle<()>>,
    listening: JoinHandle<()>,
}

/// The way in for the stack's own commands.
#[derive(Debug, Clone)]
pub struct Inlet(mpsc::Sender<Message>);

impl Streams {
    /// Serves `listener` with the keys that are kept in the directory `state`; clients have to know `password`,
    /// or else the one that was set before.
    ///
    /// # Errors
    /// Where the keys cannot be read, or the socket cannot be served.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        listener: TcpListener,
        state: &Path,
        password: Option<&[u8]>,
    ) -> Result<Self, DevError> {
        let refused = |source| DevError::Listen { service: "streams", source };
        let (mut journal, keys, mut known) = Journal::open(&state.join(FILE))?;
        if let Some(password) = password {
            known = Some(Password::new(password));
            journal.set_password(known.as_ref());
        }
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(refused)?;
        let (writer, messages) = mpsc::channel(MESSAGES_MAX);
        let engine = Engine::new(keys, journal, known, connection::now_ms());
        // A thread of its own: what it writes to the disk holds up nobody else.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(DevError::Runtime)?;
        let thread = std::thread::Builder::new().name("streams".into());
        let thread = thread.spawn(move || runtime.block_on(connection::write(engine, messages)));
        let thread = Some(thread.map_err(DevError::Runtime)?);
        let listening = tokio::spawn(connection::listen(listener, writer.clone()));
        Ok(Self { address, writer, thread, listening })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the way in for the stack's own commands.
    pub fn inlet(&self) -> Inlet {
        Inlet(self.writer.clone())
    }

    /// Ends it: no more clients, and all that was done is on the disk.
    pub async fn stop(mut self) {
        self.listening.abort();
        let _ = self.writer.send(Message::Stop).await;
        let thread = self.thread.take();
        let _ =
            tokio::task::spawn_blocking(move || thread.map(std::thread::JoinHandle::join)).await;
    }
}

impl Inlet {
    /// Runs commands in the first database; `false` once the server is gone.
    pub async fn run(&self, requests: Vec<Vec<Bytes>>) -> bool {
        let requests: Vec<_> = requests.into_iter().filter(|words| !words.is_empty()).collect();
        self.send(Message::Inject { requests }).await.is_some()
    }

    /// Tells the writer something; `None` once it is gone.
    pub(super) async fn send(&self, message: Message) -> Option<()> {
        self.0.send(message).await.ok()
    }
}
