//! Connection: the sockets around the one writer: who reads is read from, and who stalls is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::engine::Engine;
use super::outlet::Outlet;
use super::request::{Reader, Request, Trust};
use super::session::SessionId;
use crate::limits::{STREAMS_ALL_INPUT_BYTES_MAX, STREAMS_REQUEST_S_MAX, STREAMS_STALL_S_MAX};

/// Messages to the writer that may wait.
pub(super) const MESSAGES_MAX: usize = 1024;
/// Messages that are done in one go, and written down in one transaction.
const MESSAGES_AT_ONCE: usize = 256;
/// Commands, and their bytes, that a client hands over in one go.
const REQUESTS_AT_ONCE: usize = 1024;
const REQUESTS_BYTES: usize = 1 << 20;
/// Bytes that are read ahead of a client that waits.
const AHEAD_BYTES: usize = 64 << 10;
/// How long a command may take from its first byte to its last.
const HALF_MAX: Duration = Duration::from_secs(STREAMS_REQUEST_S_MAX);

/// What the writer is told.
pub(super) enum Message {
    Opened {
        id: SessionId,
        outlet: Arc<Outlet>,
        peer: String,
    },
    Requests {
        id: SessionId,
        requests: Vec<Request>,
    },
    /// What came is no command.
    Broken {
        id: SessionId,
        text: String,
    },
    /// What had been answered was read.
    Drained {
        id: SessionId,
    },
    Closed {
        id: SessionId,
    },
    /// Commands of our own.
    Inject {
        requests: Vec<Request>,
    },
    /// Somebody wants to see something.
    Look {
        look: Box<dyn FnOnce(&Engine) + Send>,
    },
    Stop,
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Runs the writer until it is told to stop.
pub(super) async fn write(mut engine: Engine, mut messages: mpsc::Receiver<Message>) {
    let mut batch = Vec::new();
    loop {
        let now = now_ms();
        let ahead = match engine.next_tick() {
            _ if engine.has_more() => Duration::ZERO,
            Some(at_ms) => Duration::from_millis(at_ms.saturating_sub(now)),
            None => Duration::from_secs(3600),
        };
        tokio::select! {
            biased;
            count = messages.recv_many(&mut batch, MESSAGES_AT_ONCE) => {
                if count == 0 {
                    return;
                }
            }
            () = tokio::time::sleep(ahead) => {}
        }
        // Time never runs backwards here, whatever the machine's clock does.
        engine.now_ms = engine.now_ms.max(now_ms());
        engine.tick();
        let mut is_over = false;
        for message in batch.drain(..) {
            match message {
                Message::Opened { id, outlet, peer } => engine.open(id, outlet, peer),
                Message::Requests { id, requests } => engine.requests(id, requests),
                Message::Broken { id, text } => engine.broken(id, &text),
                Message::Drained { id } => engine.drained(id),
                Message::Closed { id } => engine.close(id),
                Message::Inject { requests } => engine.inject(requests),
                Message::Look { look } => look(&engine),
                Message::Stop => is_over = true,
            }
        }
        engine.finish();
        if is_over {
            return;
        }
    }
}

/// Lets clients in.
pub(super) async fn listen(listener: TcpListener, writer: mpsc::Sender<Message>) {
    let (all, halves) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut next: SessionId = 1;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: some client will leave.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let half = Half { all: Arc::clone(&halves), bytes: 0 };
        tokio::spawn(client(stream, next, (Arc::clone(&all), half), writer.clone()));
        next += 1;
    }
}

/// What the part of a command costs that has come so far, of one client and of all.
#[derive(Debug)]
struct Half {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Half {
    /// Notes how much has come; `false` where all clients together leave no room for more of it.
    fn is(&mut self, bytes: usize) -> bool {
        // What any client may have lying about is not counted.
        let bytes = if bytes > AHEAD_BYTES { bytes } else { 0 };
        let is_more = bytes > self.bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed);
        let all = self.all.fetch_sub(self.bytes, Ordering::Relaxed) - self.bytes;
        self.bytes = bytes;
        !is_more || all <= STREAMS_ALL_INPUT_BYTES_MAX
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

async fn client(
    stream: TcpStream,
    id: SessionId,
    (all, mut half): (Arc<AtomicUsize>, Half),
    writer: mpsc::Sender<Message>,
) {
    let peer = stream.peer_addr().map_or_else(|_| "?".into(), |peer| peer.to_string());
    let outlet = Arc::new(Outlet::new(all, false));
    let opened = Message::Opened { id, outlet: Arc::clone(&outlet), peer };
    if writer.send(opened).await.is_err() {
        return;
    }
    let (read, write) = stream.into_split();
    let sending = tokio::spawn(send(write, id, Arc::clone(&outlet), writer.clone()));
    // How much a client may say before it gave a password depends on whether there is one: the writer knows.
    tokio::select! {
        () = outlet.done.notified() => {}
        () = writer.closed() => return,
    }
    if !outlet.is_ending() {
        receive(read, (id, &mut half), &outlet, &writer).await;
    }
    let _ = writer.send(Message::Closed { id }).await;
    let _ = sending.await;
}

/// Reads commands and hands them over, some at a time.
async fn receive(
    mut socket: OwnedReadHalf,
    (id, half): (SessionId, &mut Half),
    outlet: &Outlet,
    writer: &mpsc::Sender<Message>,
) {
    let mut reader = Reader::default();
    let mut input = BytesMut::new();
    let mut half_since = None;
    loop {
        let mut requests = Vec::new();
        let mut bytes = 0;
        let mut broken = None;
        while requests.len() < REQUESTS_AT_ONCE && bytes < REQUESTS_BYTES {
            let trust = if outlet.is_known() { Trust::Known } else { Trust::Stranger };
            match reader.next(&mut input, trust) {
                Ok(Some(request)) => {
                    bytes += request.iter().map(bytes::Bytes::len).sum::<usize>();
                    requests.push(request);
                    if trust == Trust::Stranger {
                        // The next may be the first that is trusted.
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    broken = Some(error.0);
                    break;
                }
            }
        }
        if broken.is_none() && !half.is(input.len() + reader.waiting_bytes()) {
            broken = Some("Protocol error: too many half commands wait".into());
        }
        let is_half = requests.is_empty() && (reader.has_begun() || !input.is_empty());
        half_since = is_half.then(|| half_since.unwrap_or_else(Instant::now));
        if !requests.is_empty() {
            if writer.send(Message::Requests { id, requests }).await.is_err()
                || !until_done(&mut socket, &mut input, outlet).await
            {
                return;
            }
        } else if broken.is_none() {
            match more(&mut socket, &mut input, outlet, half_since.map(|since| since + HALF_MAX))
                .await
            {
                More::Came => {}
                More::Gone => return,
                More::Late => broken = Some("Protocol error: the command took too long".into()),
            }
        }
        if let Some(text) = broken {
            let _ = writer.send(Message::Broken { id, text }).await;
            // The client is to read why before it sees the end.
            outlet.done.notified().await;
            return;
        }
        if outlet.is_ending() {
            return;
        }
    }
}

/// Waits until the commands that were handed over are run; `false` once the client is gone.
async fn until_done(socket: &mut OwnedReadHalf, input: &mut BytesMut, outlet: &Outlet) -> bool {
    loop {
        let has_room = input.len() < AHEAD_BYTES;
        tokio::select! {
            biased;
            () = outlet.done.notified() => return true,
            read = socket.read_buf(input), if has_room => {
                if !matches!(read, Ok(count) if count > 0) {
                    return false;
                }
            }
        }
    }
}

/// What became of reading more.
#[derive(Debug, PartialEq, Eq)]
enum More {
    Came,
    Gone,
    /// A command that had begun was not whole in time.
    Late,
}

/// Reads more, of a command that has begun until `end`.
async fn more(
    socket: &mut OwnedReadHalf,
    input: &mut BytesMut,
    outlet: &Outlet,
    end: Option<Instant>,
) -> More {
    input.reserve(AHEAD_BYTES / 4);
    let late = async {
        match end {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = outlet.done.notified() => More::Came,
        () = late => More::Late,
        read = socket.read_buf(input) => match read {
            Ok(count) if count > 0 => More::Came,
            _ => More::Gone,
        },
    }
}

/// Writes what waits for the client, as long as it reads.
async fn send(
    mut socket: OwnedWriteHalf,
    id: SessionId,
    outlet: Arc<Outlet>,
    writer: mpsc::Sender<Message>,
) {
    loop {
        let mut bytes = outlet.take();
        if bytes.is_empty() {
            if outlet.is_ending() {
                let _ = socket.shutdown().await;
                return;
            }
            outlet.filled.notified().await;
            continue;
        }
        while bytes.has_remaining() {
            let stall = Duration::from_secs(STREAMS_STALL_S_MAX);
            let Ok(Ok(count)) = tokio::time::timeout(stall, socket.write(&bytes)).await else {
                // Who does not read for so long is not waited for.
                let _ = writer.send(Message::Closed { id }).await;
                return;
            };
            bytes.advance(count);
            if outlet.sent(count) && writer.send(Message::Drained { id }).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_comes_drop_by_drop_has_its_time_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut near, _write) = listener.accept().await.unwrap().0.into_split();
        let (outlet, mut input) = (Outlet::new(Arc::default(), false), BytesMut::new());
        far.write_all(b"*1").await.unwrap();
        assert_eq!(more(&mut near, &mut input, &outlet, None).await, More::Came);
        let end = Instant::now() + Duration::from_millis(50);
        assert_eq!(more(&mut near, &mut input, &outlet, Some(end)).await, More::Late);
        // Whoever has not begun may be silent for as long as it likes.
        let silent = more(&mut near, &mut input, &outlet, None);
        assert!(tokio::time::timeout(Duration::from_millis(50), silent).await.is_err());
        drop(far);
        assert_eq!(more(&mut near, &mut input, &outlet, None).await, More::Gone);
    }

    #[test]
    fn half_commands_of_many_clients_are_bounded_together_and_forgotten_with_their_client() {
        let all = Arc::new(AtomicUsize::new(0));
        let half = || Half { all: Arc::clone(&all), bytes: 0 };
        let (mut one, mut other, mut small) = (half(), half(), half());
        assert!(one.is(STREAMS_ALL_INPUT_BYTES_MAX - 1000));
        assert!(!other.is(AHEAD_BYTES + 1));
        assert!(small.is(AHEAD_BYTES));
        // Who has less than before is let go on.
        assert!(one.is(STREAMS_ALL_INPUT_BYTES_MAX - 2000));
        drop(one);
        assert!(other.is(AHEAD_BYTES + 2));
        drop((other, small));
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
