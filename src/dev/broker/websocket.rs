//! WebSocket: MQTT in binary frames, as a stream of bytes.
//!
//! The library puts a message together before it gives it away, and copies a frame before it sends it. What waits in
//! either place is counted where the same bytes are counted that come without a WebSocket, from the first byte on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::budget::{Budget, Hold};
use super::core::Core;
use super::handshake::SMALL_BYTES;
use crate::dev::web::{Guard, Refusal};

/// Bytes that one frame takes out at most.
const FRAME_BYTES: usize = 64 << 10;
const PROTOCOL: &str = "sec-websocket-protocol";

/// Bytes of a control frame beside what it carries: a client masks all that it sends.
const CONTROL_BYTES: usize = 6;

/// The bytes inside of a WebSocket.
pub(super) struct Inside<S> {
    socket: WebSocketStream<Counted<S>>,
    rest: Bytes,
    /// A frame that waits to be sent.
    sending: Hold,
}

/// The bytes of a WebSocket, counted until the message is whole that they belong to.
struct Counted<S> {
    socket: S,
    /// What came of a message that is not whole.
    came: usize,
    held: Hold,
    reading: Arc<Budget>,
}

impl<S> Counted<S> {
    /// Holds what came, unless that is little; tells whether it may.
    fn hold(&mut self, came: usize) -> bool {
        let bytes = if came > SMALL_BYTES { came } else { 0 };
        let may = bytes <= self.held.bytes() || !self.reading.is_spent();
        self.came = came;
        self.held.resize(bytes);
        may
    }
}

/// Answers the upgrade, whatever its path; `None` where it is none, or comes from a page of another site.
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    guard: &Guard,
    core: &Core,
) -> Option<Inside<S>> {
    let packet_bytes_max = core.limits.packet_bytes_max;
    let held = Hold::new(&core.reading, 0);
    let socket = Counted { socket, came: 0, held, reading: Arc::clone(&core.reading) };
    let config = WebSocketConfig::default()
        .max_message_size(Some(packet_bytes_max + 16))
        .max_frame_size(Some(packet_bytes_max + 16))
        .write_buffer_size(0)
        .read_buffer_size(4 << 10);
    // The password is MQTT's to ask: a page's script cannot send any header with an upgrade.
    #[allow(clippy::result_large_err, reason = "the library's own signature")]
    let answer = |request: &Request, response: Response| match guard.check_site(request.headers()) {
        Ok(()) => choose(request, response),
        Err(Refusal { status, error }) => Err(refuse(status, error)),
    };
    let accepted = tokio_tungstenite::accept_hdr_async_with_config(socket, answer, Some(config));
    let mut socket = accepted.await.ok()?;
    socket.get_mut().hold(0);
    Some(Inside { socket, rest: Bytes::new(), sending: Hold::new(&core.budget, 0) })
}

/// Chooses the subprotocol: the first that is MQTT's.
#[allow(
    clippy::result_large_err,
    clippy::unnecessary_wraps,
    reason = "the library's own signature"
)]
fn choose(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let asked = request.headers().get_all(PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut asked = asked.flat_map(|value| value.split(',')).map(str::trim).peekable();
    if asked.peek().is_none() {
        // Some old clients ask for none and speak MQTT.
        return Ok(response);
    }
    match asked.find(|protocol| matches!(*protocol, "mqtt" | "mqttv3.1")) {
        Some(protocol) => {
            if let Ok(value) = HeaderValue::from_str(protocol) {
                response.headers_mut().insert(PROTOCOL, value);
            }
            Ok(response)
        }
        None => Err(refuse(StatusCode::BAD_REQUEST, "ask for the subprotocol `mqtt`".into())),
    }
}

fn refuse(status: StatusCode, error: String) -> ErrorResponse {
    let mut refusal = ErrorResponse::new(Some(error));
    *refusal.status_mut() = status;
    refusal
}

fn broken(error: tokio_tungstenite::tungstenite::Error) -> io::Error {
    io::Error::other(error)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Inside<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => {
                    // It stays counted until the last of it is taken out.
                    self.socket.get_mut().hold(bytes.len());
                    self.rest = bytes;
                }
                Some(Ok(Message::Text(_))) => {
                    let why = "text frames carry no MQTT";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(control)) => {
                    // It may stand between the frames of a message, which are not here yet.
                    let counted = self.socket.get_mut();
                    let came = counted.came.saturating_sub(control.len() + CONTROL_BYTES);
                    counted.hold(came);
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let count = buffer.remaining().min(self.rest.len());
        buffer.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        if self.rest.is_empty() {
            self.rest = Bytes::new();
            self.socket.get_mut().hold(0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Inside<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(broken)?;
        let count = bytes.len().min(FRAME_BYTES);
        let frame = Message::Binary(Bytes::copy_from_slice(&bytes[..count]));
        self.sending.resize(count);
        Pin::new(&mut self.socket).start_send(frame).map_err(broken)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(context)).map_err(broken)?;
        self.sending.resize(0);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context).map_err(broken)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let had = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        let came = self.came + buffer.filled().len() - had;
        Poll::Ready(if self.hold(came) {
            Ok(())
        } else {
            Err(io::Error::other("too many half packets wait"))
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
