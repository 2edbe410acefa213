//! Outside: what of this machine a started room sees: ports, volumes, variables, as docker's users say them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use thiserror::Error;

use crate::disk;
use crate::explain::{Blame, Explain, Failure};
use crate::sandbox::{Access, Mount};

/// Volumes and variables.
#[derive(Debug, Args)]
pub(super) struct Outside {
    /// Set a variable of the environment, or hand this machine's on: NAME=VALUE or NAME
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = variable)]
    env: Vec<(String, Option<String>)>,
    /// Show a file or directory of this machine inside: PATH:INSIDE, or PATH:INSIDE:ro to be read only
    #[arg(long, value_name = "PATH:INSIDE[:ro]")]
    volume: Vec<String>,
}

fn variable(text: &str) -> Result<(String, Option<String>), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    match name {
        "" => Err(format!("`{text}` is not NAME or NAME=VALUE")),
        name => Ok((name.to_owned(), value)),
    }
}

/// A volume cannot be shown.
#[derive(Debug, Error)]
pub(super) enum VolumeError {
    #[error("`{text}` is not PATH:INSIDE or PATH:INSIDE:ro, with an absolute path inside")]
    Unreadable { text: String },
    #[error("the volume `{path}` is not there")]
    Missing { path: String },
    #[error("`{name}` would be a named volume, which an engine keeps; here a volume is a path")]
    Named { name: String },
}

impl Explain for VolumeError {
    fn blame(&self) -> Blame {
        Blame::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => {
                "`--volume ./data:/var/lib/app` shows `./data` inside".into()
            }
            Self::Missing { path } => format!("make it: `mkdir -p {path}`"),
            Self::Named { name } => format!("write `./{name}`, or another path with a slash in it"),
        })
    }
}

impl Outside {
    /// Returns the variables; of those without a value, this machine's own.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let value = |(name, value): &(String, Option<String>)| {
            let value = value.clone().or_else(|| std::env::var(name).ok())?;
            Some((name.clone(), value))
        };
        self.env.iter().filter_map(value).collect()
    }

    /// Returns the volumes as mounts.
    pub(super) fn mounts(&self) -> Result<Vec<Mount>, Failure> {
        self.volume.iter().map(|text| mount(text)).collect()
    }
}

fn mount(text: &str) -> Result<Mount, Failure> {
    let unreadable = || VolumeError::Unreadable { text: text.to_owned() };
    let (rest, access) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, Access::ReadOnly),
        None => (text.strip_suffix(":rw").unwrap_or(text), Access::ReadWrite),
    };
    let (outside, inside) = rest.rsplit_once(':').ok_or_else(unreadable)?;
    let inside = inside.trim_end_matches('/');
    if !inside.starts_with('/') || outside.is_empty() {
        return Err(unreadable().into());
    }
    if !outside.contains('/') && ![".", ".."].contains(&outside) {
        return Err(VolumeError::Named { name: outside.to_owned() }.into());
    }
    if !disk::exists(&PathBuf::from(outside)) {
        return Err(VolumeError::Missing { path: outside.to_owned() }.into());
    }
    let host = disk::canonical(&PathBuf::from(outside))?;
    Ok(Mount { host, inside: inside.to_owned(), access })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_said_as_docker_users_say_them() {
        let there = tempfile::tempdir().unwrap();
        let path = disk::canonical(there.path()).unwrap().display().to_string();
        let shown = |text: String| mount(&text).map(|mount| (mount.inside, mount.access));
        assert_eq!(shown(format!("{path}:/data")).unwrap(), ("/data".into(), Access::ReadWrite));
        assert_eq!(shown(format!("{path}:/data/:ro")).unwrap(), ("/data".into(), Access::ReadOnly));
        for text in [":/data", "/tmp", "/tmp:data", "data:/data", "/not/there:/data"] {
            assert!(shown(text.to_owned()).is_err(), "{text}");
        }
    }
}
