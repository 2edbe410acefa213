//! Format: reads a `rebeam.toml` that has been checked into a [`Manifest`].

use std::path::{Component, Path, PathBuf};

use super::error::ManifestError;
use super::form::{self, Form};
use super::rebar::WishSource;
use super::section::{CHECKED, Section};
use super::source;
use super::together::Absent;
use super::{
    BOOT_TIMEOUT_S, Build, DepOverride, FILE_NAME, HealthCheck, HexWish, ImageWish, LockWish,
    Manifest, Patch, Platform, Project, ReleaseWish, Replaced, Shell, Tool, ToolchainWish, USER,
};
use super::{check, content, dev, idle, services, stack};
use crate::disk;
use crate::limits::TEXT_FILE_BYTES_MAX;

/// Where rebar3 looks for sources that take the place of what is asked for.
const CHECKOUTS: &str = "_checkouts";

const HEALTH_INTERVAL_S: u64 = 30;
const HEALTH_TIMEOUT_S: u64 = 5;
const HEALTH_RETRIES: u32 = 3;

impl Manifest {
    /// Reads the manifest of the project in `dir`.
    pub fn read(dir: &Path) -> Result<Self, ManifestError> {
        let path = dir.join(FILE_NAME);
        if !disk::exists(&path) {
            return Err(ManifestError::Missing { path });
        }
        let text = disk::read_text(&path, TEXT_FILE_BYTES_MAX)?;
        let root = disk::canonical(dir)?;
        let mut manifest = build(&text, &path.display().to_string(), &root)?;
        manifest.take_checkouts(dir)?;
        Ok(manifest)
    }

    /// Takes each directory below `_checkouts` as the source of the dependency or plugin that it is
    /// named after, as rebar3 does, where the manifest itself gives none.
    fn take_checkouts(&mut self, dir: &Path) -> Result<(), ManifestError> {
        let place = dir.join(CHECKOUTS);
        let names = if disk::exists(&place) { disk::list(&place)? } else { vec![] };
        for name in names {
            let Some(name) = String::from_utf8(name).ok().filter(|name| Form::App.fits(name))
            else {
                continue;
            };
            let path = format!("{CHECKOUTS}/{name}");
            let dep = self.deps.entry(name).or_default();
            dep.source.get_or_insert(WishSource::Path { path });
        }
        Ok(())
    }

    /// Reads a manifest's text. `path` is its file: it stands in errors, and mirrors that begin
    /// with `./` or `../` are relative to its directory.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ManifestError> {
        let root = path.parent().unwrap_or(Path::new("/"));
        build(text, &path.display().to_string(), root)
    }
}

fn build(text: &str, file: &str, root: &Path) -> Result<Manifest, ManifestError> {
    let document = check::read(text, file)?;
    let top = Section(Some(document.as_table()));
    let dev = dev::read(&top.section("dev"));
    let services = match dev.profile {
        Some(profile) => stack::of_profile(profile, text, file)?,
        None => services::read(&top, file, Absent::MayComeByProfile)?,
    };
    let project = project(&top.section("project"));
    let image = image(&top.section("image"), &project.name);
    let mirrors = top.texts_by_name("mirrors").into_iter();
    let build = tools(&top.section("build"));
    idle::check(&document, text, file, build.tool)?;
    Ok(Manifest {
        content: content::digest(text),
        toolchain: toolchain(&top.section("toolchain"), build.tool),
        build,
        lock: lock(&top.section("lock")),
        deps: top.sections("deps", dep),
        tools: top.texts_by_name("tools").into_iter().map(tool_source).collect(),
        hex: top.sections("hex", |section| HexWish {
            url: section.text("url").map(|url| mirror(url, root)),
            public_key: section.text("public-key"),
            auth_key_env: section.text("auth-key-env"),
        }),
        release: release(&top.section("release")),
        mirrors: mirrors.map(|(prefix, place)| (prefix, mirror(place, root))).collect(),
        dev,
        services,
        image,
        project,
    })
}

fn project(section: &Section<'_>) -> Project {
    Project {
        name: section.text("name").expect(CHECKED),
        version: section.text("version").expect(CHECKED),
    }
}

fn toolchain(section: &Section<'_>, tool: Tool) -> ToolchainWish {
    let mut packages = section.sorted_texts("packages");
    if let Some(package) = tool.package().filter(|package| !packages.iter().any(|p| p == package)) {
        packages.push(package.to_owned());
        packages.sort();
    }
    ToolchainWish { otp: section.text("otp").expect(CHECKED), packages }
}

fn tool(section: &Section<'_>) -> Option<Tool> {
    let name = section.text("tool")?;
    Some(Tool::from_name(&name).expect(CHECKED))
}

fn tools(section: &Section<'_>) -> Build {
    Build {
        tool: tool(section).unwrap_or(Tool::Rebar3),
        profile: section.text("profile").unwrap_or_else(|| "prod".to_owned()),
        env: section.texts_by_name("env"),
        configure: section.commands("configure"),
        dir: section.text("dir"),
        steps: section.commands("steps"),
        output: section.text("output"),
    }
}

fn lock(section: &Section<'_>) -> LockWish {
    let age = section.text("minimum-age");
    LockWish {
        minimum_age_s: age.map_or(0, |age| form::age(&age).expect(CHECKED)),
        vendor: section.text("vendor"),
    }
}

fn dep(section: &Section<'_>) -> DepOverride {
    DepOverride {
        use_source: section.text("use"),
        source: section.text("source").map(|text| source::read(&text).expect(CHECKED)),
        env: section.texts_by_name("env"),
        patches: section.list("patches", patch),
        files: section.list("files", replaced),
        vsn: section.text("vsn"),
        ignore_plugins: section.sorted_texts("ignore-plugins"),
        tool: tool(section),
        needs: section.sorted_texts("needs"),
        at: section.text("at"),
        steps: section.commands("steps"),
    }
}

fn tool_source((name, text): (String, String)) -> (String, WishSource) {
    (name, source::read(&text).expect(CHECKED))
}

fn patch(section: &Section<'_>) -> Patch {
    let sha256 = section.text("sha256").expect(CHECKED);
    Patch {
        file: section.text("file").expect(CHECKED),
        sha256: form::sha256(&sha256).expect(CHECKED),
    }
}

fn replaced(section: &Section<'_>) -> Replaced {
    let Patch { file, sha256 } = patch(section);
    Replaced { path: section.text("path").expect(CHECKED), file, sha256 }
}

fn release(section: &Section<'_>) -> ReleaseWish {
    ReleaseWish {
        name: section.text("name"),
        keep_debug_info: section.flag("keep-debug-info").unwrap_or(false),
        boot_timeout_s: section.number("boot-timeout").or(Some(BOOT_TIMEOUT_S)),
        smoke: section.texts("smoke").unwrap_or_default(),
        smoke_eval: section.text("smoke-eval"),
    }
}

fn image(section: &Section<'_>, project: &str) -> ImageWish {
    debug_assert!(Form::ImageName.fits(project), "a project's name is an image's");
    let user = section.text("user");
    let shell = section.text("shell");
    let mut ports = section.texts("ports").unwrap_or_default();
    for port in &mut ports {
        let (number, protocol) = form::port(port).expect(CHECKED);
        *port = format!("{number}/{protocol}");
    }
    ports.sort_unstable();
    ports.dedup();
    let platforms = section.texts("platforms").unwrap_or_default();
    let mut platforms: Vec<Platform> =
        platforms.iter().map(|name| Platform::from_name(name).expect(CHECKED)).collect();
    platforms.sort_unstable();
    platforms.dedup();
    ImageWish {
        base: section.text("base"),
        name: section.text("name").unwrap_or_else(|| project.to_owned()),
        platforms,
        ports,
        env: section.texts_by_name("env"),
        user: user.map_or(USER, |user| form::user(&user).expect(CHECKED)),
        volumes: section.sorted_texts("volumes"),
        labels: section.texts_by_name("labels"),
        health: section.get("health").map(|_| health(&section.section("health"))),
        entrypoint: section.texts("entrypoint"),
        cmd: section.texts("cmd").unwrap_or_default(),
        shell: shell.map(|shell| Shell::from_name(&shell).expect(CHECKED)),
        epmd: section.flag("epmd"),
        tzdata: section.flag("tzdata").unwrap_or(false),
        ca_certificates: section.flag("ca-certificates"),
    }
}

fn health(section: &Section<'_>) -> HealthCheck {
    let retries = section.number("retries");
    HealthCheck {
        command: section.texts("command").expect(CHECKED),
        interval_s: section.number("interval").unwrap_or(HEALTH_INTERVAL_S),
        timeout_s: section.number("timeout").unwrap_or(HEALTH_TIMEOUT_S),
        retries: retries.map_or(HEALTH_RETRIES, |retries| u32::try_from(retries).expect(CHECKED)),
    }
}

/// Returns a mirror's address: a path relative to the manifest becomes a `file://` address.
fn mirror(place: String, root: &Path) -> String {
    if !place.starts_with("./") && !place.starts_with("../") {
        return place;
    }
    let mut path = PathBuf::from("/");
    for part in root.join(&place).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                path.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let end = if place.ends_with('/') { "/" } else { "" };
    format!("file://{}{end}", path.display())
}
