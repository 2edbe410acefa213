//! Web: HTTP for the services of the desk, with one door and one set of bounds for all of them.
//!
//! A service is an axum router. The door closes on slow heads and bodies and on who does not read, counts connections,
//! and refuses what a page of another site sends (see [`guard`]).

mod guard;
mod patient;
mod refusal;

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::patient::Patient;
use super::error::DevError;
use crate::limits::{
    WEB_BODY_BYTES_MAX, WEB_CONNECTIONS_MAX, WEB_HEAD_BYTES_MAX, WEB_HEAD_S_MAX, WEB_STALL_S_MAX,
};

pub use guard::{Exposure, Guard};
pub use refusal::Refusal;

/// How long the listener rests after the kernel refused a connection: it is out of files, for one.
const REST: Duration = Duration::from_millis(50);
/// How long what is being answered may take once the service ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// A service that listens. Call [`Web::stop`] to end it.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    stop: CancellationToken,
    listening: JoinSet<()>,
}

impl Web {
    /// Serves `router` on `socket`, which only this machine reaches, under the name `service`.
    ///
    /// # Errors
    /// Where the kernel refuses the socket, or others than this machine would reach it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve(
        service: &'static str,
        socket: StdListener,
        router: Router,
    ) -> Result<Self, DevError> {
        Self::guarded(service, socket, router, &Guard::default())
    }

    /// Serves `router` on `socket` to whom `guard` lets in.
    ///
    /// # Errors
    /// Where the kernel refuses the socket, or others than this machine would reach it and nothing was said of them.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn guarded(
        service: &'static str,
        socket: StdListener,
        router: Router,
        guard: &Guard,
    ) -> Result<Self, DevError> {
        let refused = |source| DevError::Listen { service, source };
        socket.set_nonblocking(true).map_err(refused)?;
        let listener = TcpListener::from_std(socket).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        if !address.ip().is_loopback() && matches!(guard.exposure(), Exposure::Loopback) {
            return Err(DevError::Exposed { address: address.ip() });
        }
        let stop = CancellationToken::new();
        let router = router
            .layer(DefaultBodyLimit::max(WEB_BODY_BYTES_MAX))
            .layer(middleware::from_fn_with_state(guard.clone(), guard::admit))
            .layer(axum::Extension(Stopping(stop.clone())));
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, router, stop.clone()));
        Ok(Self { address, stop, listening })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets what is being answered finish, and ends.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.listening.join_next().await.is_some() {}
    }
}

/// Says when the service ends: a handler whose answer has no end (server-sent events) has to listen to it.
#[derive(Debug, Clone)]
pub struct Stopping(pub CancellationToken);

async fn listen(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(WEB_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(REST).await;
            continue;
        };
        // Who finds no place is told so by the connection's end.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            converse(socket, router, stop).await;
            drop(place);
        });
    }
    let all = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(PATIENCE, all).await);
}

/// Answers the requests of one connection until it ends.
async fn converse(socket: TcpStream, router: Router, stop: CancellationToken) {
    drop(socket.set_nodelay(true));
    let socket = Patient::new(socket, Duration::from_secs(WEB_STALL_S_MAX));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(WEB_HEAD_S_MAX))
        .max_buf_size(WEB_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

#[cfg(test)]
mod tests;
