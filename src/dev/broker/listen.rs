//! Listen: sockets that clients come to.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use super::core::Core;
use super::handshake;
use super::stream::Stream;
use super::websocket;
use crate::dev::error::DevError;
use crate::dev::web::Guard;
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;

/// How a listener's clients speak.
#[derive(Debug, Clone)]
pub enum Dress {
    /// MQTT and nothing around it.
    Bare,
    /// MQTT inside of TLS.
    Tls(Arc<ServerConfig>),
    /// MQTT inside of a WebSocket, for pages that a guard lets in.
    WebSocket(Guard),
    /// The same inside of TLS.
    WebSocketTls(Arc<ServerConfig>, Guard),
}

/// A socket that clients come to, and how they speak there.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: StdListener,
    /// How its clients speak.
    pub dress: Dress,
}

/// How long the listener rests after the kernel refused a connection: it is out of files, for one.
const REST: Duration = Duration::from_millis(50);

/// Reads a certificate with its chain and its key, both PEM, for a listener with TLS.
///
/// # Errors
/// Where a file cannot be read, is no PEM, or the key is not the certificate's.
pub fn tls(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, DevError> {
    let bad = |path: &Path| {
        let path = path.to_owned();
        move |_| DevError::BadCertificate { path }
    };
    let text = disk::read(cert, TEXT_FILE_BYTES_MAX)?;
    let chain =
        CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(bad(cert))?;
    let text = disk::read(key, TEXT_FILE_BYTES_MAX)?;
    let secret = PrivateKeyDer::from_pem_slice(&text).map_err(bad(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, secret));
    Ok(Arc::new(config.map_err(|_| DevError::BadCertificate { path: cert.to_owned() })?))
}

/// Hands a socket to the runtime.
pub(super) fn adopt(socket: StdListener) -> Result<TcpListener, DevError> {
    let refused = |source| DevError::Listen { service: "mqtt", source };
    socket.set_nonblocking(true).map_err(refused)?;
    TcpListener::from_std(socket).map_err(refused)
}

/// Greets everybody who comes, until the broker stops.
pub(super) async fn run(
    core: Arc<Core>,
    listener: TcpListener,
    dress: Dress,
    places: Arc<Semaphore>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = core.stop.cancelled() => return,
        };
        let Ok((socket, peer)) = accepted else {
            tokio::time::sleep(REST).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            core.counters.refused.add(1);
            continue;
        };
        let (core, dress) = (Arc::clone(&core), dress.clone());
        tokio::spawn(async move {
            let timeout = core.limits.connect_timeout;
            // Small packets are not held back; a socket without that option still works.
            drop(socket.set_nodelay(true));
            let dressed = match dress {
                Dress::Bare => Some(Stream::Tcp(socket)),
                dress => {
                    let wrapped = Box::pin(wrap(&core, socket, dress));
                    tokio::time::timeout(timeout, wrapped).await.ok().flatten()
                }
            };
            match dressed {
                Some(stream) => handshake::greet(core, stream, peer).await,
                None => core.counters.refused.add(1),
            }
            drop(place);
        });
    }
}

async fn wrap(core: &Core, socket: TcpStream, dress: Dress) -> Option<Stream> {
    let wrapped: Box<dyn super::stream::Socket> = match dress {
        Dress::Bare => return Some(Stream::Tcp(socket)),
        Dress::Tls(config) => Box::new(TlsAcceptor::from(config).accept(socket).await.ok()?),
        Dress::WebSocket(guard) => Box::new(websocket::accept(socket, &guard, core).await?),
        Dress::WebSocketTls(config, guard) => {
            let socket = TlsAcceptor::from(config).accept(socket).await.ok()?;
            Box::new(websocket::accept(socket, &guard, core).await?)
        }
    };
    Some(Stream::Wrapped(wrapped))
}

/// Returns where a listener listens.
pub(super) fn address(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}
