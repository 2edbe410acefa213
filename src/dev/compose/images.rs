//! Images: this program, and the packages of services, as images that an engine loads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::service::{DATA, SEED};
use super::{ExportError, desk};
use crate::disk;
use crate::event::Observer;
use crate::image::{self, Image, Plain};
use crate::limits::{FILE_BYTES_MAX, TEXT_FILE_BYTES_MAX};
use crate::manifest::Server;
use crate::release::{Component, Content, Machine, Node, Part, parse_elf};
use crate::store::Store;
use crate::tree::{self, Entry, RelPath};

/// The user of every container: most people's first on their own machine, so that files of the project are theirs.
const USER: (u32, u32) = (1000, 1000);
/// Where libraries of a program stand that has some.
const LIBRARIES: &str = "usr/lib/rebeam";
const SERVE: &str = "usr/lib/rebeam/serve";
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nrebeam:x:1000:1000:rebeam:/tmp:/bin/sh\n";
const GROUP: &str = "root:x:0:\nrebeam:x:1000:\n";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What starts each server: it is made and filled once, where nobody reaches it, and then served.
const POSTGRES: &str = include_str!("postgres.sh");
const REDIS: &str = include_str!("redis.sh");
const MOSQUITTO: &str = include_str!("mosquitto.sh");

/// Makes the image of this program, whose file is `program`.
///
/// # Errors
/// Where it cannot be read, or an image not be made.
pub fn desk_image(
    program: &Path,
    store: &Store,
    observer: &dyn Observer,
) -> Result<Image, ExportError> {
    let elf = parse_elf(&disk::read(program, FILE_BYTES_MAX)?)
        .map_err(|what| ExportError::Program { what })?;
    let mut files = Files::default();
    files.directory("tmp", 0o1777, (0, 0));
    // A volume begins as the directory that it is laid over.
    for place in [desk::STATE, desk::PROJECT, desk::AUTHORITY] {
        files.directory(place, 0o777, USER);
    }
    files.text("etc/passwd", PASSWD, 0o644);
    files.text("etc/group", GROUP, 0o644);
    files.file(desk::PROGRAM, program, 0o755)?;
    if let Some(loader) = &elf.interpreter {
        files.file(loader, &disk::canonical(Path::new(loader))?, 0o755)?;
        for library in loaded()? {
            files.file(&format!("{LIBRARIES}/{}", asked_as(&library)), &library, 0o755)?;
        }
    }
    let libraries = format!("/{LIBRARIES}");
    let mut env = vec![("HOME", "/tmp"), ("PATH", "/bin"), ("REBEAM_STATE", desk::STATE)];
    if elf.interpreter.is_some() {
        env.push(("LD_LIBRARY_PATH", &libraries));
    }
    let run = Plain {
        entrypoint: &[desk::PROGRAM.to_owned()],
        env: &env,
        user: USER,
        directory: desk::PROJECT,
        stop_signal: "SIGTERM",
    };
    Ok(image::plain(&files.component(), elf.machine, &run, store, observer)?)
}

/// The libraries that this very process has loaded. The program as it is handed out has none.
fn loaded() -> Result<BTreeSet<PathBuf>, ExportError> {
    let maps = disk::read_text(Path::new("/proc/self/maps"), TEXT_FILE_BYTES_MAX)?;
    let paths = maps.lines().filter_map(|line| line.split_once('/').map(|(_, rest)| rest));
    Ok(paths.filter(|path| path.contains(".so")).map(|path| Path::new("/").join(path)).collect())
}

/// The name by which programs ask for a library: `libz.so.1` of `libz.so.1.2.13`.
fn asked_as(library: &Path) -> String {
    let name = library.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    match name.split_once(".so.") {
        Some((stem, version)) => {
            format!("{stem}.so.{}", version.split('.').next().unwrap_or(version))
        }
        None => name,
    }
}

/// Makes the image of the packages at `root`; `kept` are directories that services keep things in.
///
/// # Errors
/// Where the root cannot be read, or an image not be made.
pub fn packages_image(
    (packages, root): (&[String], &Path),
    kept: &BTreeSet<&str>,
    store: &Store,
    observer: &dyn Observer,
) -> Result<Image, ExportError> {
    let mut files = Files::default();
    files.tree(root)?;
    files.directory("tmp", 0o1777, (0, 0));
    for place in kept {
        files.directory(place, 0o777, USER);
    }
    files.text("etc/passwd", PASSWD, 0o644);
    files.text("etc/group", GROUP, 0o644);
    let server = Server::ALL.into_iter().find(|server| [server.package()] == packages);
    let mut entrypoint = Vec::new();
    if let Some(server) = server {
        let script = match server {
            Server::Postgres => POSTGRES,
            Server::Redis => REDIS,
            Server::Mosquitto => MOSQUITTO,
        };
        files.directory(DATA, 0o700, USER);
        files.directory(SEED, 0o755, (0, 0));
        files.text(SERVE, script, 0o755);
        entrypoint.push(format!("/{SERVE}"));
    }
    let run = Plain {
        entrypoint: &entrypoint,
        env: &[("HOME", "/tmp"), ("LANG", "C.UTF-8"), ("PATH", PATH), ("TZ", "UTC")],
        user: USER,
        directory: "/",
        // PostgreSQL ends its clients' sessions then, in place of waiting for them.
        stop_signal: if server == Some(Server::Postgres) { "SIGINT" } else { "SIGTERM" },
    };
    let machine = machine(root)?;
    Ok(image::plain(&files.component(), machine, &run, store, observer)?)
}

/// The machine whose shell stands at `root`.
fn machine(root: &Path) -> Result<Machine, ExportError> {
    let shell = disk::read(&root.join("usr/bin/dash"), FILE_BYTES_MAX)?;
    let elf = parse_elf(&shell).map_err(|what| ExportError::Program { what })?;
    Ok(elf.machine)
}

/// The files of an image in the making.
#[derive(Default)]
struct Files(BTreeMap<RelPath, Node>);

fn at(inside: &str) -> RelPath {
    RelPath::new(inside.trim_start_matches('/')).expect("the image's own paths are plain")
}

impl Files {
    fn put(&mut self, path: RelPath, mode: u32, (uid, gid): (u32, u32), content: Content) {
        let mut parent = path.parent();
        while let Some(directory) = parent {
            parent = directory.parent();
            let content = Content::Directory;
            self.0.entry(directory).or_insert(Node { mode: 0o755, uid: 0, gid: 0, content });
        }
        self.0.insert(path, Node { mode, uid, gid, content });
    }

    fn directory(&mut self, inside: &str, mode: u32, owner: (u32, u32)) {
        self.put(at(inside), mode, owner, Content::Directory);
    }

    fn text(&mut self, inside: &str, text: &str, mode: u32) {
        self.put(at(inside), mode, (0, 0), Content::Bytes(text.as_bytes().to_vec()));
    }

    fn file(&mut self, inside: &str, path: &Path, mode: u32) -> Result<(), ExportError> {
        let size = disk::status(path)?.map_or(0, |status| status.size);
        let digest = disk::digest(path)?;
        let content = Content::File { path: path.to_owned(), size, digest };
        self.put(at(inside), mode, (0, 0), content);
        Ok(())
    }

    fn tree(&mut self, root: &Path) -> Result<(), ExportError> {
        let wrong = |source| ExportError::Tree { path: root.to_owned(), source };
        let scanned = tree::scan(root, &[]).map_err(wrong)?;
        for (path, entry) in scanned.tree.entries() {
            let (mode, content) = match entry {
                Entry::Directory => (0o755, Content::Directory),
                Entry::Symlink { target } => (0o777, Content::Symlink(target.clone())),
                Entry::File { executable, size, digest } => {
                    let content =
                        Content::File { path: path.under(root), size: *size, digest: *digest };
                    (if *executable { 0o755 } else { 0o644 }, content)
                }
            };
            self.put(path.clone(), mode, (0, 0), content);
        }
        Ok(())
    }

    fn component(self) -> Component {
        Component { part: Part::System, entries: self.0 }
    }
}
