//! Compose: the stack as a file of Docker Compose's and the images that it names.
//!
//! What runs in rebeam's own process is one service there, from an image that holds this very program. Real servers and
//! commands run from images of the packages that the lock pins, so that no registry is asked and the versions are those of
//! the desk. Every service has a name instead of the loopback: `postgres`, `elasticsearch`.

mod desk;
mod images;
mod own;
mod probe;
mod service;
mod words;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use thiserror::Error;

pub use images::{desk_image, packages_image};
pub use own::own;

use self::yaml::{Yaml, map, text};
use super::{DevError, Standard};
use crate::disk::DiskError;
use crate::explain::{Blame, Explain};
use crate::image::ImageError;
use crate::manifest::{DevWish, Runs, ServiceWish, StackValue};
use crate::tree::TreeError;

/// Everything that the file is written from.
#[derive(Debug)]
pub struct Export<'a> {
    /// The project's name.
    pub name: &'a str,
    /// The project's directory, as it is named from the file's.
    pub project: &'a str,
    /// `[dev]`.
    pub dev: &'a DevWish,
    /// Every value of the merged files.
    pub values: &'a [StackValue],
    /// The services, the release among them where there is one.
    pub services: &'a BTreeMap<String, ServiceWish>,
    /// What runs in rebeam's own process.
    pub embedded: Vec<Standard>,
    /// Whether things decide where the files do not say so.
    pub things: bool,
    /// The image of the release.
    pub release: Option<ReleaseImage>,
    /// The image with this program.
    pub desk: String,
    /// The images with packages, by those.
    pub packages: BTreeMap<Vec<String>, String>,
}

/// The image of the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseImage {
    /// Its name and tag.
    pub reference: String,
    /// Whether its name names a registry that could have it.
    pub has_registry: bool,
    /// Whether it holds busybox.
    pub has_busybox: bool,
    /// Whether it says itself how it is asked.
    pub has_health: bool,
    /// The directories that it keeps things in.
    pub volumes: Vec<String>,
    /// The user and the group that it runs as.
    pub user: (u32, u32),
    /// What it runs.
    pub command: Vec<String>,
}

/// The stack has no counterpart, or its images cannot be made.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A service runs this machine's programs.
    #[error("`[services.{service}]` runs this machine's programs, which no container has")]
    Machine {
        /// The service.
        service: String,
    },
    /// This program cannot be put into an image.
    #[error("this program cannot be put into an image: {what}")]
    Program {
        /// Why.
        what: String,
    },
    /// The stack refused.
    #[error(transparent)]
    Dev(#[from] DevError),
    /// An image could not be made.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A root cannot be read.
    #[error("the files at `{}` cannot be listed", path.display())]
    Tree {
        /// Where they are.
        path: PathBuf,
        /// Why.
        #[source]
        source: TreeError,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for ExportError {
    fn blame(&self) -> Blame {
        match self {
            Self::Machine { .. } => Blame::User,
            Self::Dev(error) => error.blame(),
            Self::Image(error) => error.blame(),
            Self::Disk(error) => error.blame(),
            Self::Program { .. } | Self::Tree { .. } => Blame::World,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Machine { service } => Some(format!(
                "name the Debian packages that it needs: `packages = [\"…\"]`; or leave it out: `--without {service}`"
            )),
            Self::Dev(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            Self::Program { .. } | Self::Tree { .. } => None,
        }
    }
}

impl Export<'_> {
    /// The name of what runs in rebeam's own process, where a service of the manifest has its own to itself.
    fn alias(&self, name: &str) -> String {
        match self.services.contains_key(name) {
            true => format!("embedded-{name}"),
            false => name.to_owned(),
        }
    }

    /// The name of the service that is rebeam itself.
    fn desk_name(&self) -> &'static str {
        if self.services.contains_key("rebeam") { "rebeam-desk" } else { "rebeam" }
    }

    /// A name that no service has, `wished` if that is free.
    fn free_name(&self, wished: &str) -> String {
        let more = (2_u32..).map(|number| format!("{wished}-{number}"));
        let mut names = std::iter::once(wished.to_owned()).chain(more);
        names.find(|name| !self.services.contains_key(name)).expect("services are bounded")
    }

    fn has_busybox(&self) -> bool {
        self.release.as_ref().is_some_and(|image| image.has_busybox)
    }

    /// A path of the project, as the file names it.
    fn in_project(&self, path: &str) -> String {
        format!("{}/{path}", self.project)
    }
}

/// The file.
#[derive(Debug)]
pub struct Written {
    /// What stands in it.
    pub text: String,
    /// What could not be said in it.
    pub notes: Vec<String>,
}

/// Volumes of the file by their names, and files that stand in it.
#[derive(Debug, Default)]
struct Beside {
    volumes: BTreeSet<String>,
    /// Those that a service sees, by its name and where.
    of_services: BTreeMap<(String, String), String>,
    /// The volume with what has to be trusted.
    authority: String,
    /// Services that do something for others before they start.
    services: Vec<(String, Yaml)>,
    configs: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl Beside {
    /// Names a volume that `service` sees at `inside`; no two have one name.
    fn volume(&mut self, service: &str, inside: &str) -> String {
        let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let slug: String = inside.trim_matches('/').chars().map(letter).collect();
        let first = format!("{service}-{slug}");
        let more = (2_u32..).map(|number| format!("{first}-{number}"));
        let mut names = std::iter::once(first.clone()).chain(more);
        let free = names.find(|name| !self.volumes.contains(name)).unwrap_or(first);
        self.volumes.insert(free.clone());
        free
    }

    /// Returns the name of the volume that `service` sees at `inside`.
    fn named(&self, service: &str, inside: &str) -> String {
        let key = (service.to_owned(), inside.to_owned());
        self.of_services.get(&key).cloned().expect("it was named when the service was written")
    }
}

/// Writes the file.
///
/// # Errors
/// Where a service has no counterpart among containers, or speaks of a variable that nobody sets.
pub fn write(export: &Export<'_>) -> Result<Written, ExportError> {
    let addresses = words::addresses(export);
    let mut beside = Beside::default();
    let mut services =
        vec![(export.desk_name().to_owned(), desk::service(export, &addresses, &mut beside)?)];
    for (name, wish) in export.services {
        let one = service::One { export, name, wish, addresses: &addresses };
        services.push((name.clone(), one.service(&mut beside)?));
        services.append(&mut beside.services);
    }
    let shared = addresses.into_iter().map(|(name, value)| (name, Yaml::Compose(value)));
    let mut document = Vec::new();
    document.extend(project_name(export.name).map(|name| ("name".to_owned(), text(&name))));
    document.push(("x-addresses".into(), Yaml::Anchored("addresses", shared.collect())));
    document.push(("services".into(), Yaml::Map(services)));
    let volumes = beside.volumes.into_iter().map(|name| (name, Yaml::Map(Vec::new())));
    document.push(("volumes".into(), Yaml::Map(volumes.collect())));
    let config = |(name, content)| (name, map([("content", Yaml::Lines(content))]));
    document.push(("configs".into(), Yaml::Map(beside.configs.into_iter().map(config).collect())));
    let text = head(export, &beside.notes) + &Yaml::document(&document);
    Ok(Written { text, notes: beside.notes })
}

/// Compose takes names of small letters alone.
fn project_name(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let is_plain = name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
    is_plain.then_some(name)
}

fn head(export: &Export<'_>, notes: &[String]) -> String {
    let mut head = "\
# The stack that `rebeam dev up` starts, for Docker Compose 2.23.1 or newer; `rebeam dev export compose` writes it.
# Its images:  rebeam dev export compose --load          into the engine of this machine
#              rebeam dev export compose --images DIR    files for `docker load -i`
# Ports are this machine's alone. What rebeam itself serves asks nobody for a password: it has to stay so.
# A variable like MQTT_PORT, from the environment or the file .env, names another port.
"
    .to_owned();
    let servers = export
        .services
        .iter()
        .filter(|(_, wish)| matches!(wish.runs, Runs::Server(crate::manifest::Server::Postgres)));
    for (name, _) in servers {
        let variable = super::services::stem(name);
        head += &format!(
            "# {variable}_PASSWORD, from the environment or the file .env, is the password of {name} from its first start on.\n"
        );
    }
    for note in notes {
        head += &format!("#\n# NOTE: {note}\n");
    }
    head
}
