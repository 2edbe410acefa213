//! Target: the broker that is called, and how.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::{CallError, Socket};
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// The user's name, if the address has one.
    pub username: Option<String>,
    authority: Option<PathBuf>,
    is_tls: bool,
}

impl Target {
    /// Reads `mqtt://[USER@]HOST[:PORT]` or `mqtts://…`, whose certificate `authority` has signed.
    ///
    /// # Errors
    /// Where it is neither, or has a password in it.
    pub fn parse(url: &str, authority: Option<&Path>) -> Result<Self, CallError> {
        let bad = || CallError::BadUrl { url: url.to_owned() };
        let (is_tls, rest) = match url.split_once("://").ok_or_else(bad)? {
            ("mqtt" | "tcp", rest) => (false, rest),
            ("mqtts" | "ssl" | "tls", rest) => (true, rest),
            _ => return Err(bad()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (username, place) = match rest.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(CallError::PasswordInUrl),
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, rest),
        };
        let standard = if is_tls { 8883 } else { 1883 };
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = port.map_or(Ok(standard), |port| port.parse().map_err(|_| bad()))?;
        if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
            return Err(bad());
        }
        let (url, host) = (url.to_owned(), host.to_owned());
        Ok(Self { url, host, port, username, authority: authority.map(Path::to_owned), is_tls })
    }

    /// Returns the address.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(super) async fn open(&self) -> Result<Box<dyn Socket>, CallError> {
        let config = self.is_tls.then(|| self.trust()).transpose()?;
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await;
        let socket =
            socket.map_err(|source| CallError::Unreachable { url: self.url.clone(), source })?;
        // Small packets are not held back; a socket without that option still works.
        drop(socket.set_nodelay(true));
        let Some((config, authority)) = config else { return Ok(Box::new(socket)) };
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| CallError::BadUrl { url: self.url.clone() })?;
        let wrapped = TlsConnector::from(config).connect(name, socket).await;
        Ok(Box::new(wrapped.map_err(|source| CallError::Untrusted {
            url: self.url.clone(),
            authority: authority.to_owned(),
            source,
        })?))
    }

    fn trust(&self) -> Result<(Arc<ClientConfig>, &Path), CallError> {
        let url = || self.url.clone();
        let authority =
            self.authority.as_deref().ok_or_else(|| CallError::NoAuthority { url: url() })?;
        let text = disk::read(authority, TEXT_FILE_BYTES_MAX)?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| CallError::Untrusted {
                url: url(),
                authority: authority.to_owned(),
                source: std::io::Error::other(error),
            })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok((Arc::new(config), authority))
    }
}
