//! Certificate: what the stack shows to clients that speak TLS, signed by an authority that is made for it alone.
//!
//! The authority's key is thrown away once it has signed: whoever trusts its certificate trusts this one server and
//! nothing that anybody could sign later. So a new name or a new year means a new authority, under the same path.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use super::error::DevError;
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long it counts; some systems take none that counts longer.
const LIFE: Duration = Duration::from_secs(820 * 24 * 3600);
/// How long before its end it is made anew.
const RENEWED_BEFORE: Duration = Duration::from_secs(60 * 24 * 3600);

/// A certificate and its key, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The authority's certificate: what clients have to trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub server: PathBuf,
    /// The server's key, which only its owner may read.
    pub key: PathBuf,
}

impl Certificate {
    /// Takes the certificate from below `state`, or makes one for this machine and `address`.
    ///
    /// # Errors
    /// Where it cannot be made or written.
    pub fn have(state: &Path, address: IpAddr) -> Result<Self, DevError> {
        let directory = state.join("tls");
        let certificate = Self::inside(&directory);
        let names = names(address);
        let record = directory.join("names");
        let now = SystemTime::now();
        if disk::exists(&certificate.key) && disk::exists(&record) {
            let text = disk::read_text(&record, TEXT_FILE_BYTES_MAX)?;
            let mut lines = text.lines();
            let ends_s = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
            let ends = UNIX_EPOCH + Duration::from_secs(ends_s);
            if ends > now + RENEWED_BEFORE && lines.eq(names.iter().map(String::as_str)) {
                return Ok(certificate);
            }
        }
        let (authority, server, key) = make(&names, now).map_err(DevError::Certificate)?;
        // Written beside and put in place as one, so that key and certificate belong together.
        let fresh = disk::sibling(&directory);
        disk::create_dir_all(&fresh)?;
        let written = Self::inside(&fresh);
        disk::write_secret(&written.key, key.as_bytes())?;
        disk::write_atomic(&written.server, server.as_bytes())?;
        disk::write_atomic(&written.authority, authority.as_bytes())?;
        let ends_s = (now + LIFE).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let text = format!("{ends_s}\n{}\n", names.join("\n"));
        disk::write_atomic(&fresh.join("names"), text.as_bytes())?;
        if disk::exists(&directory) {
            disk::remove_tree(&directory)?;
        }
        disk::rename(&fresh, &directory)?;
        Ok(certificate)
    }

    fn inside(directory: &Path) -> Self {
        Self {
            authority: directory.join("ca.pem"),
            server: directory.join("server.pem"),
            key: directory.join("server.key"),
        }
    }
}

/// The names that clients on this machine, services of the stack and others reach it by.
fn names(address: IpAddr) -> Vec<String> {
    let mut names: Vec<String> =
        ["localhost", "mqtt", "mqtts", "127.0.0.1", "::1"].map(Into::into).into();
    if !address.is_loopback() {
        let host = disk::read_text(Path::new("/proc/sys/kernel/hostname"), TEXT_FILE_BYTES_MAX);
        names.extend(host.ok().map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()));
        if !address.is_unspecified() {
            names.push(address.to_string());
        }
    }
    names
}

/// Makes an authority and a certificate that it signs: both, and the key, as PEM.
fn make(names: &[String], now: SystemTime) -> Result<(String, String, String), rcgen::Error> {
    let called = |name: &str| {
        let mut called = DistinguishedName::new();
        called.push(DnType::CommonName, name);
        called
    };
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name = called("rebeam dev authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // A clock that is a little behind must not make it invalid.
    (authority.not_before, authority.not_after) = ((now - DAY).into(), (now + LIFE).into());
    let authority_key = KeyPair::generate()?;
    let authority_text = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let mut server = CertificateParams::new(names.to_vec())?;
    server.distinguished_name = called("rebeam dev");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    (server.not_before, server.not_after) = ((now - DAY).into(), (now + LIFE).into());
    let key = KeyPair::generate()?;
    let server_text = server.signed_by(&key, &issuer)?.pem();
    Ok((authority_text, server_text, key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::dev::broker;

    #[test]
    fn it_is_made_once_and_anew_for_another_address_and_its_key_is_the_owners() {
        let state = tempfile::tempdir().unwrap();
        let first = Certificate::have(state.path(), Ipv4Addr::LOCALHOST.into()).unwrap();
        let text = disk::read_text(&first.authority, 10_000).unwrap();
        let mode = std::fs::metadata(&first.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        broker::tls(&first.server, &first.key).unwrap();
        assert_eq!(Certificate::have(state.path(), Ipv4Addr::LOCALHOST.into()).unwrap(), first);
        assert_eq!(disk::read_text(&first.authority, 10_000).unwrap(), text);
        Certificate::have(state.path(), Ipv4Addr::UNSPECIFIED.into()).unwrap();
        assert_ne!(disk::read_text(&first.authority, 10_000).unwrap(), text);
        broker::tls(&first.server, &first.key).unwrap();
    }
}
