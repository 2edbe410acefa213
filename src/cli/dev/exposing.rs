//! Exposing: where the stack listens, and what it asks of those who come.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;

use crate::dev::web::{Exposure, Guard};
use crate::dev::{DevError, Secret};
use crate::disk;
use crate::explain::Failure;
use crate::limits::TEXT_FILE_BYTES_MAX;

/// Where a password comes from that may not stand among a process's arguments.
pub(super) const VARIABLE: &str = "REBEAM_DEV_PASSWORD";
const PASSWORD_BYTES_MAX: u64 = 512;
const PASSWORD_BYTES_MIN: usize = 8;

#[derive(Debug, Args)]
pub(super) struct Exposing {
    /// Listen on this address, so that others reach the stack; they have to know a password
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(super) listen: IpAddr,
    /// Ask everybody for the password in this file [default: what REBEAM_DEV_PASSWORD says]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Ask nobody for a password, whoever reaches the address
    #[arg(long, conflicts_with = "password_file")]
    insecure: bool,
    /// Let pages of this origin speak to the stack, too: `http://localhost:3000`
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
}

impl Exposing {
    /// Reads the password from where a person put it.
    pub(super) fn password(&self) -> Result<Option<String>, Failure> {
        let given = match &self.password_file {
            Some(file) => Some(disk::read_text(file, TEXT_FILE_BYTES_MAX)?),
            None => std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()),
        };
        Ok(given.map(check).transpose()?)
    }

    /// Reads the password that the process handed down that started this one.
    pub(super) fn handed_password() -> Result<Option<String>, Failure> {
        let mut given = String::new();
        let input = std::io::stdin().lock();
        input
            .take(PASSWORD_BYTES_MAX + 1)
            .read_to_string(&mut given)
            .map_err(|_| DevError::BadPassword { why: "no text" })?;
        Ok(Some(given).filter(|given| !given.is_empty()).map(check).transpose()?)
    }

    /// Says who is let in.
    pub(super) fn guard(&self, password: Option<&str>) -> Result<Guard, DevError> {
        let exposure = match password {
            Some(password) => Exposure::Password(Secret::new(password)),
            None if self.insecure => Exposure::Insecure,
            None if self.listen.is_loopback() => Exposure::Loopback,
            None => return Err(DevError::Exposed { address: self.listen }),
        };
        let origins = self.allow_origin.iter().map(|origin| origin_of(origin));
        Ok(Guard::new(exposure, origins.collect::<Result<BTreeSet<_>, _>>()?))
    }
}

/// Makes sure that a password can be handed on in files and headers as it is.
fn check(text: String) -> Result<String, DevError> {
    let bad = |why| Err(DevError::BadPassword { why });
    let password = text.trim_end_matches(['\r', '\n']);
    if password.len() < PASSWORD_BYTES_MIN {
        return bad("too short");
    }
    if password.len() as u64 > PASSWORD_BYTES_MAX {
        return bad("too long");
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.~+/=@%:,^".contains(letter);
    if !password.chars().all(is_plain) {
        return bad("of more than letters, digits and `-_.~+/=@%:,^`");
    }
    Ok(password.to_owned())
}

/// Makes sure that an origin is written as browsers write it: it is compared letter by letter.
fn origin_of(text: &str) -> Result<String, DevError> {
    let bad = || DevError::BadOrigin { origin: text.to_owned() };
    let plain = text.trim_end_matches('/').to_ascii_lowercase();
    let host = plain.strip_prefix("http://").or_else(|| plain.strip_prefix("https://"));
    let is_host = |host: &&str| {
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c))
    };
    host.filter(is_host).ok_or_else(bad)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposing(listen: &str, insecure: bool) -> Exposing {
        let listen = listen.parse().unwrap();
        Exposing { listen, password_file: None, insecure, allow_origin: Vec::new() }
    }

    #[test]
    fn an_address_of_others_needs_a_password_or_a_word() {
        let refused = exposing("0.0.0.0", false).guard(None).unwrap_err();
        assert!(matches!(refused, DevError::Exposed { .. }), "{refused}");
        let open = exposing("0.0.0.0", true).guard(None).unwrap();
        assert!(matches!(open.exposure(), Exposure::Insecure));
        // A password that is there is asked for, whatever else is said.
        for insecure in [false, true] {
            let guard = exposing("0.0.0.0", insecure).guard(Some("hunter22")).unwrap();
            assert!(guard.secret().unwrap().is(b"hunter22"));
        }
        let near = exposing("127.0.0.1", false).guard(None).unwrap();
        assert!(matches!(near.exposure(), Exposure::Loopback));
    }

    #[test]
    fn a_password_is_one_line_of_letters_that_need_no_quotes() {
        assert_eq!(check("hunter22\n".into()).unwrap(), "hunter22");
        for bad in ["short", "two words", "a'quote'of", "eight\nlines", "", &"x".repeat(513)] {
            assert!(check(bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_has_a_scheme_and_no_path() {
        assert_eq!(origin_of("http://Localhost:3000/").unwrap(), "http://localhost:3000");
        for bad in ["localhost:3000", "http://", "*", "http://a/b", "http://a b"] {
            assert!(origin_of(bad).is_err(), "{bad}");
        }
    }
}
