//! Stream: a client's socket, bare, inside of TLS or inside of a WebSocket.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::outbox::Outbox;

/// A socket that carries MQTT.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A client's socket.
pub(super) enum Stream {
    Tcp(TcpStream),
    Wrapped(Box<dyn Socket>),
}

/// What happened at a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// Bytes came in.
    In(usize),
    /// All of the outbox went out.
    Out,
    /// The peer closed its side.
    End,
}

/// Bytes that one read takes at most.
const READ_BYTES: usize = 64 << 10;

thread_local! {
    /// Where reads land first: connections that are idle hold no buffer of their own.
    static LANDING: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

impl Stream {
    /// Writes what the outbox has, and reads if `reads`, whichever can be done first.
    pub(super) async fn exchange(
        &mut self,
        outbox: &mut Outbox,
        inbox: &mut BytesMut,
        reads: bool,
        written: &mut u64,
    ) -> io::Result<Moved> {
        std::future::poll_fn(|context| self.poll_exchange(context, outbox, (inbox, reads), written))
            .await
    }

    fn poll_exchange(
        &mut self,
        context: &mut Context<'_>,
        outbox: &mut Outbox,
        (inbox, reads): (&mut BytesMut, bool),
        written: &mut u64,
    ) -> Poll<io::Result<Moved>> {
        let had = !outbox.is_empty();
        let mut is_stuck = false;
        while !outbox.is_empty() && !is_stuck {
            match self.poll_write(context, outbox.next()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    outbox.advance(count);
                    *written += count as u64;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => is_stuck = true,
            }
        }
        if let Self::Wrapped(socket) = self
            && let Poll::Ready(Err(error)) = Pin::new(socket).poll_flush(context)
        {
            return Poll::Ready(Err(error));
        }
        if reads && let Poll::Ready(count) = self.poll_read(context, inbox) {
            return Poll::Ready(count.map(|count| match count {
                0 => Moved::End,
                count => Moved::In(count),
            }));
        }
        if had && outbox.is_empty() { Poll::Ready(Ok(Moved::Out)) } else { Poll::Pending }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Wrapped(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        inbox: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        LANDING.with_borrow_mut(|landing| {
            let mut buffer = ReadBuf::new(landing);
            ready!(match self {
                Self::Tcp(socket) => Pin::new(socket).poll_read(context, &mut buffer),
                Self::Wrapped(socket) => Pin::new(socket).poll_read(context, &mut buffer),
            })?;
            inbox.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// Ends the connection in an orderly way, as far as that is possible at once.
    pub(super) async fn close(&mut self) {
        use tokio::io::AsyncWriteExt as _;
        // The peer may be gone already.
        drop(match self {
            Self::Tcp(socket) => socket.shutdown().await,
            Self::Wrapped(socket) => socket.shutdown().await,
        });
    }
}
