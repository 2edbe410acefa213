//! `rebeam dev export`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use clap::{Args, Subcommand};

use super::parts::{Layers, Parts};
use crate::cli::Common;
use crate::dev::compose::{self, Export as Stack, ReleaseImage};
use crate::dev::{self, DevError, Place};
use crate::disk;
use crate::explain::Failure;
use crate::image::{self, Image};
use crate::manifest::Manifest;
use crate::pipeline;
use crate::registry::Sockets;
use crate::store::Store;
use crate::terminal::{self, Reasons, Screen};

/// Digits of an image's identifier that are its tag.
const TAG_DIGITS: usize = 12;

#[derive(Debug, Subcommand)]
pub(super) enum Export {
    /// Write the stack as a file of Docker Compose's
    Compose(Compose),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The file names images that rebeam makes: one with this program, and one for each list of packages that the lock pins.
No registry is asked for them.

  rebeam dev export compose -o compose.yaml --load    and have its images in this machine's engine
  docker compose up --wait                            start it there
  rebeam dev export compose --images images           have them as files, for another machine")]
pub(super) struct Compose {
    /// Write the file here [default: the standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the images that it names into this directory, as files for `docker load -i`
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Hand the images that it names, the release's own among them, to this machine's container engine
    #[arg(long)]
    load: bool,
    /// Leave a service out; may be given again
    #[arg(long, value_name = "SERVICE")]
    without: Vec<String>,
    /// Let things decide who may connect and publish, and serve each of Mainflux's services on its own port
    #[arg(long)]
    things: bool,
    #[command(flatten)]
    layers: Layers,
}

impl Export {
    pub(super) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        match self {
            Self::Compose(verb) => verb.run(common, place),
        }
    }
}

impl Compose {
    fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        let mut parts = Parts::prepare(common, &self.layers, place)?;
        leave_out(&self.without, &mut parts)?;
        let screen = common.screen(Reasons::Summed);
        let store = common.open_store(&screen)?;
        let made = Made::of(&parts, &store, &screen)?;
        let project = match &self.output {
            Some(file) => from_to(&directory_of(file)?, &parts.project),
            None => ".".into(),
        };
        let name = parts.project.file_name().map(|name| name.to_string_lossy().into_owned());
        let manifest = parts.manifest()?;
        let name = manifest.as_ref().map(|one| one.project.name.clone()).or(name);
        let stack = Stack {
            name: &name.unwrap_or_default(),
            project: &project,
            dev: &parts.dev,
            values: &parts.values,
            services: &parts.services,
            embedded: dev::standard(&super::things(&parts.dev, self.things)?),
            things: self.things,
            release: parts
                .image
                .as_deref()
                .map(|file| release(file, manifest.as_ref()))
                .transpose()?,
            desk: made.desk.reference(),
            packages: made.references(),
        };
        let compose::Written { text, notes } = compose::write(&stack)?;
        match &self.output {
            Some(file) => disk::write_atomic(file, text.as_bytes())?,
            None => terminal::raw(text.as_bytes()),
        }
        for note in &notes {
            terminal::talk(note);
        }
        if let Some(directory) = &self.images {
            disk::create_dir_all(directory)?;
            for file in made.write(directory)? {
                terminal::talk(&format!("wrote {}", file.display()));
            }
        }
        if self.load {
            let scratch = store.scratch()?;
            let sockets = Sockets::from_environment(&|name| std::env::var_os(name));
            let files = made.write(scratch.path())?.into_iter().chain(parts.image);
            for file in files {
                pipeline::load(&file, None, &sockets, &screen)?;
            }
        } else if self.images.is_none() {
            terminal::talk("its images: say `--load`, or `--images DIR`");
        }
        Ok(0)
    }
}

fn leave_out(names: &[String], parts: &mut Parts) -> Result<(), DevError> {
    for name in names {
        if parts.services.remove(name).is_none() {
            let known = parts.services.keys().cloned().collect();
            return Err(DevError::NoSuchService { name: name.clone(), known });
        }
        for wish in parts.services.values_mut() {
            wish.depends_on.retain(|other| other != name);
        }
    }
    Ok(())
}

fn release(file: &Path, manifest: Option<&Manifest>) -> Result<ReleaseImage, Failure> {
    let (inspected, layers) = image::entries(file)?;
    let reference = inspected.names.first().cloned().unwrap_or_default();
    let first = reference.split_once('/').map(|(first, _)| first);
    Ok(ReleaseImage {
        has_registry: first.is_some_and(image::is_registry),
        has_busybox: layers.iter().any(|layer| layer.contains_key("usr/bin/busybox")),
        has_health: manifest.is_some_and(|manifest| manifest.image.health.is_some()),
        user: inspected.ids(),
        command: inspected.entrypoint.into_iter().chain(inspected.cmd).collect(),
        volumes: inspected.volumes,
        reference,
    })
}

/// An image that was made for the file.
struct Own {
    name: String,
    image: Image,
}

impl Own {
    fn tag(&self) -> String {
        self.image.image_id().hex()[..TAG_DIGITS].to_owned()
    }

    fn reference(&self) -> String {
        format!("{}:{}", self.name, self.tag())
    }
}

/// The images that were made for the file.
struct Made {
    desk: Own,
    packages: BTreeMap<Vec<String>, Own>,
}

impl Made {
    fn of(parts: &Parts, store: &Store, screen: &Screen) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(DevError::Runtime)?;
        let image = compose::desk_image(&program, store, screen)?;
        let desk = Own { name: "rebeam-desk".into(), image };
        let mut packages = BTreeMap::new();
        for (list, root) in &parts.roots {
            let services = parts.services.values().filter(|wish| wish.runs.packages() == *list);
            let volumes = services.flat_map(|wish| &wish.volumes);
            let kept: BTreeSet<&str> = volumes
                .filter(|shown| shown.project.is_none())
                .map(|shown| shown.inside.as_str())
                .collect();
            let image = compose::packages_image((list, root), &kept, store, screen)?;
            let first = list.first().map_or("packages", String::as_str);
            // A package's name has letters that no image's has.
            let name = format!("rebeam-{}", first.replace(['+', '.'], "-"));
            packages.insert(list.clone(), Own { name, image });
        }
        Ok(Self { desk, packages })
    }

    fn references(&self) -> BTreeMap<Vec<String>, String> {
        let one = |(list, own): (&Vec<String>, &Own)| (list.clone(), own.reference());
        self.packages.iter().map(one).collect()
    }

    /// Writes each as a file into a directory, and returns the files.
    fn write(&self, directory: &Path) -> Result<Vec<PathBuf>, Failure> {
        let mut files = Vec::new();
        for own in std::iter::once(&self.desk).chain(self.packages.values()) {
            let file = directory.join(format!("{}-{}.tar", own.name, own.tag()));
            image::write_archive(&own.image, &own.name, &own.tag(), &file)?;
            files.push(file);
        }
        Ok(files)
    }
}

fn directory_of(file: &Path) -> Result<PathBuf, Failure> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(disk::canonical(parent.unwrap_or(Path::new(".")))?)
}

/// Returns `to` as a path from the directory `from`; both are whole.
fn from_to(from: &Path, to: &Path) -> String {
    let parts = |path: &Path| -> Vec<String> {
        let named = path.components().filter(|part| matches!(part, Component::Normal(_)));
        named.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let (from, to) = (parts(from), parts(to));
    let common = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..", from.len() - common);
    let all: Vec<&str> = up.chain(to[common..].iter().map(String::as_str)).collect();
    match all.first() {
        None => ".".into(),
        Some(&"..") => all.join("/"),
        Some(_) => format!("./{}", all.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_named_from_where_the_file_stands() {
        let said = |from: &str, to: &str| from_to(Path::new(from), Path::new(to));
        assert_eq!(said("/a/shop", "/a/shop"), ".");
        assert_eq!(said("/a/shop/dev/x", "/a/shop"), "../..");
        assert_eq!(said("/a", "/a/shop"), "./shop");
        assert_eq!(said("/b", "/a/shop"), "../a/shop");
    }
}
