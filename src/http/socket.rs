//! Socket: HTTP to a service of this machine that listens on a socket in the file system.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Agent, Error};

use super::agent::{answer, ask_once, explain, head};
use super::{Answer, Failed, Step};

/// A service behind a socket. The host in a request's address is not looked up.
#[derive(Clone)]
pub struct Socket {
    path: PathBuf,
    agent: Agent,
}

impl Socket {
    /// Names the service at `path`, which may be silent for `silence_ms_max`.
    pub fn new(path: &Path, silence_ms_max: u64) -> Self {
        let silence = Duration::from_millis(silence_ms_max);
        let config = Config::builder()
            .http_status_as_error(false)
            // A variable that names a proxy speaks of the network.
            .proxy(None)
            .timeout_per_read(Some(silence))
            .timeout_per_write(Some(silence))
            .user_agent(concat!("rebeam/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .build();
        let agent = Agent::with_parts(config, At(path.to_owned()), Nowhere);
        Self { path: path.to_owned(), agent }
    }

    /// Returns where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes one attempt at a step.
    pub fn attempt(&self, step: &Step<'_>) -> Result<Answer, Failed> {
        let head = head(step, step.request.url)?;
        match ask_once(&self.agent, &head, &step.sent) {
            Ok(response) => Ok(answer(&step.request, response)),
            Err(error) => Err(explain(&step.request, step.request.url, error)),
        }
    }
}

/// Connects to a path instead of an address.
#[derive(Debug)]
struct At(PathBuf);

impl Connector<()> for At {
    type Out = Pipe;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Pipe>, Error> {
        let stream = UnixStream::connect(&self.0)?;
        let (input, output) =
            (details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Pipe { stream, buffers: LazyBuffers::new(input, output), is_deaf: false }))
    }
}

struct Pipe {
    stream: UnixStream,
    buffers: LazyBuffers,
    /// Whether the other side takes nothing any more.
    is_deaf: bool,
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

impl Transport for Pipe {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = due(timeout.for_write())?;
        self.stream.set_write_timeout(timeout.not_zero().map(|after| *after))?;
        if self.is_deaf {
            return Ok(());
        }
        match self.stream.write_all(&self.buffers.output()[..amount]) {
            // Who stops listening in the middle may have said why, and that still waits to be read.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                self.is_deaf = true;
                Ok(())
            }
            other => other.map_err(late(timeout)),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = due(timeout.for_read())?;
        self.stream.set_read_timeout(timeout.not_zero().map(|after| *after))?;
        let amount = loop {
            match self.stream.read(self.buffers.input_append_buf()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(late(timeout))?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// A connection is used once: to make another costs nothing here.
    fn is_open(&mut self) -> bool {
        false
    }
}

/// Refuses a wait that is over: to a socket, no time at all means for ever.
fn due(timeout: NextTimeout) -> Result<NextTimeout, Error> {
    if timeout.after.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    Ok(timeout)
}

/// A wait that ran out is told by `WouldBlock`.
fn late(timeout: NextTimeout) -> impl Fn(io::Error) -> Error {
    move |error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}

/// Knows one address for every host: nobody connects to it.
#[derive(Debug)]
struct Nowhere;

impl Resolver for Nowhere {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Ok(addresses)
    }
}
