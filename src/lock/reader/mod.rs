//! Reader: a lock's text read strictly; every error names the file, the line and the entry.

mod fields;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::limits::LOCK_SOURCES_MAX;
use crate::lock::error::LockError;
use crate::lock::reader::fields::{Fields, Reader, TEXT, is_text};
use crate::lock::{
    BaseLock, Deb, Lock, Pin, PlatformLock, Role, ServiceLock, Source, ToolchainLock, VERSION,
};
use crate::manifest::{Platform, Tool};

const NAME: &str = "an application's name: letters, digits, `_`, `-`, `.` and `@`";
const INSIDE: &str = "a relative path without `..`";
const RELATIVE: &str = "a relative path";
const COMMIT: &str = "a commit in 40 lower-case hex digits";
const KIND: &str = "`git`, `hex`, `url` or `path`";
const PLATFORM: &str = "`linux/amd64`, `linux/arm64` or `linux/arm/v7`";

const PIN_KEYS: [(&str, &[&str]); 4] = [
    ("git", &["url", "commit", "subdir", "hash"]),
    ("hex", &["repository", "package", "version", "outer", "hash"]),
    ("url", &["url", "sha256", "hash"]),
    ("path", &["path"]),
];
const SOURCE_KEYS: [&str; 12] = [
    "app",
    "role",
    "kind",
    "wanted",
    "describe",
    "tool",
    "autopatch",
    "level",
    "parents",
    "deps",
    "profiles",
    "lost",
];
const DEB_KEYS: [&str; 7] =
    ["package", "version", "architecture", "sha256", "size", "path", "suite"];

type Result<T> = std::result::Result<T, LockError>;

/// Reads a lock, whatever image format it was made for.
pub(super) fn read(text: &str, file: &Path) -> Result<Lock> {
    refuse_merge_markers(text, file)?;
    let reader = Reader { file, text };
    let document = DeTable::parse(text).map_err(|error| LockError::Syntax {
        file: file.to_owned(),
        line: reader.line(error.span().map_or(0, |span| span.start)),
        message: error.message().replace('\n', ", "),
    })?;
    let all = Fields::new(&reader, "the lock", &document);
    refuse_newer(&all, file)?;
    all.refuse_unknown(&[
        "version",
        "image_format",
        "project",
        "toolchain",
        "platform",
        "source",
        "base",
        "service",
    ])?;
    let image_format = all.integer("image_format")?;
    let project = all.table("project", "`[project]`", &["name", "epoch"])?;
    let lock = Lock {
        project: project.text("name")?,
        epoch: project.integer("epoch")?,
        image_format: u32::try_from(image_format)
            .map_err(|_| all.unfit("image_format", "a small number"))?,
        toolchain: read_toolchain(&all)?,
        platforms: read_platforms(&all)?,
        base: read_base(&all)?,
        services: read_services(&all)?,
        sources: read_sources(&all)?,
    };
    Ok(lock)
}

fn refuse_merge_markers(text: &str, file: &Path) -> Result<()> {
    const MARKERS: [&str; 4] = ["<<<<<<<", "=======", ">>>>>>>", "|||||||"];
    let is_marker = |line: &str| {
        let rest = MARKERS.iter().find_map(|marker| line.strip_prefix(marker));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\r']))
    };
    match text.lines().position(is_marker) {
        Some(index) => Err(LockError::MergeMarkers { file: file.to_owned(), line: index + 1 }),
        None => Ok(()),
    }
}

/// A newer version may have other keys, so this is looked at before them.
fn refuse_newer(all: &Fields<'_>, file: &Path) -> Result<()> {
    let version = all.integer("version")?;
    if version > i64::from(VERSION) {
        return Err(LockError::Newer { file: file.to_owned(), version });
    }
    if version < 1 {
        return Err(all.unfit("version", "at least 1"));
    }
    Ok(())
}

fn read_toolchain(all: &Fields<'_>) -> Result<ToolchainLock> {
    let keys = ["otp", "suite", "packages", "debs"];
    let toolchain = all.table("toolchain", "`[toolchain]`", &keys)?;
    let debs = read_debs(&toolchain, "debs")?;
    Ok(ToolchainLock {
        otp: toolchain.text("otp")?,
        wished: toolchain.texts("packages", TEXT, is_text)?,
        suite: toolchain.text("suite")?,
        debs,
    })
}

fn read_base(all: &Fields<'_>) -> Result<Option<BaseLock>> {
    if all.value("base").is_none() {
        return Ok(None);
    }
    let base = all.table("base", "`[base]`", &["image", "digest", "manifests"])?;
    let mut manifests = BTreeMap::new();
    for manifest in base.tables("manifests")? {
        let fields = base.entry_of("manifests", manifest, "a manifest of the base".into())?;
        fields.refuse_unknown(&["platform", "digest"])?;
        let platform = Platform::from_name(&fields.text("platform")?)
            .ok_or_else(|| fields.unfit("platform", "a platform like `linux/amd64`"))?;
        manifests.insert(platform, fields.hex_digest("digest")?);
    }
    let (image, digest) = (base.text("image")?, base.hex_digest("digest")?);
    Ok(Some(BaseLock { image, digest, manifests }))
}

fn read_platforms(all: &Fields<'_>) -> Result<Vec<PlatformLock>> {
    let tables = match all.value("platform") {
        Some(_) => all.tables("platform")?,
        None => &[],
    };
    let mut platforms: Vec<PlatformLock> = Vec::new();
    for table in tables {
        let fields = all.entry_of("platform", table, "`[[platform]]`".into())?;
        fields.refuse_unknown(&["name", "debs", "tools"])?;
        let name = fields.fitting("name", PLATFORM, |name| {
            Platform::ALL.iter().any(|platform| platform.name() == name)
        })?;
        let platform = Platform::from_name(&name).expect("the name was looked up");
        if platforms.last().is_some_and(|last| last.platform >= platform) {
            return Err(fields.unfit("name", "each platform once, in order"));
        }
        let (debs, tools) = (read_debs(&fields, "debs")?, read_debs(&fields, "tools")?);
        platforms.push(PlatformLock { platform, debs, tools });
    }
    Ok(platforms)
}

fn read_services(all: &Fields<'_>) -> Result<Vec<ServiceLock>> {
    let tables = match all.value("service") {
        Some(_) => all.tables("service")?,
        None => &[],
    };
    let mut services: Vec<ServiceLock> = Vec::new();
    for table in tables {
        let fields = all.entry_of("service", table, "`[[service]]`".into())?;
        fields.refuse_unknown(&["packages", "suite", "debs"])?;
        let wished = fields.texts("packages", TEXT, is_text)?;
        if services.last().is_some_and(|last| last.wished >= wished) {
            return Err(fields.unfit("packages", "each list once, in order"));
        }
        let debs = read_debs(&fields, "debs")?;
        services.push(ServiceLock { wished, suite: fields.text("suite")?, debs });
    }
    Ok(services)
}

fn read_debs(fields: &Fields<'_>, key: &'static str) -> Result<Vec<Deb>> {
    let mut debs = Vec::new();
    for deb in fields.tables(key)? {
        debs.push(read_deb(fields, key, deb)?);
    }
    debs.sort();
    Ok(debs)
}

fn read_deb(above: &Fields<'_>, key: &'static str, deb: &Spanned<DeValue<'_>>) -> Result<Deb> {
    let mut fields = above.entry_of(key, deb, "a package".into())?;
    fields.refuse_unknown(&DEB_KEYS)?;
    fields.entry = format!("package `{}`", fields.text("package")?);
    let size = fields.integer("size")?;
    Ok(Deb {
        package: fields.text("package")?,
        version: fields.text("version")?,
        architecture: fields.text("architecture")?,
        sha256: fields.hex_digest("sha256")?,
        size: u64::try_from(size).map_err(|_| fields.unfit("size", "a number of bytes"))?,
        path: fields.fitting("path", INSIDE, is_inside)?,
        suite: fields.text("suite")?,
    })
}

fn read_sources(all: &Fields<'_>) -> Result<Vec<Source>> {
    let project = all.table("project", "`[project]`", &["name", "epoch"])?.text("name")?;
    let tables = match all.value("source") {
        Some(_) => all.tables("source")?,
        None => &[],
    };
    if tables.len() > LOCK_SOURCES_MAX {
        return Err(LockError::TooManySources { file: all.reader.file.to_owned() });
    }
    let mut read = Vec::with_capacity(tables.len());
    let mut lines: BTreeMap<(Role, String), usize> = BTreeMap::new();
    for table in tables {
        let fields = all.entry_of("source", table, "a source".into())?;
        let (fields, source) = read_source(fields)?;
        let name = (source.role, source.app.clone());
        if let Some(first_line) = lines.insert(name, fields.line()) {
            let place = fields.place(fields.offset);
            return Err(LockError::Duplicate { place, first_line });
        }
        read.push((fields, source));
    }
    let apps: BTreeSet<&str> = lines.keys().map(|(_, app)| app.as_str()).collect();
    for (fields, source) in &read {
        let is_known = |app: &str| app == project || apps.contains(app);
        fields.refuse_unknown_apps("parents", is_known)?;
        let role = source.role;
        fields.refuse_unknown_apps("deps", |app| lines.contains_key(&(role, app.to_owned())))?;
    }
    let mut sources: Vec<Source> = read.into_iter().map(|(_, source)| source).collect();
    sources.sort_by(|a, b| (a.role, &a.app).cmp(&(b.role, &b.app)));
    Ok(sources)
}

fn read_source(mut fields: Fields<'_>) -> Result<(Fields<'_>, Source)> {
    let app = fields.fitting("app", NAME, is_name)?;
    let role = fields.text("role")?;
    let role =
        Role::from_name(&role).ok_or_else(|| fields.unfit("role", "`dep`, `plugin` or `tool`"))?;
    fields.entry = format!("{} `{app}`", role.name());
    let kind = fields.text("kind")?;
    let (_, pin_keys) = PIN_KEYS
        .iter()
        .find(|(name, _)| *name == kind)
        .ok_or_else(|| fields.unfit("kind", KIND))?;
    fields.refuse_unknown(&[&SOURCE_KEYS, *pin_keys].concat())?;
    let tool = fields.text("tool")?;
    let level = fields.integer("level")?;
    let source = Source {
        app,
        role,
        pin: read_pin(&fields, &kind)?,
        wanted: fields.text("wanted")?,
        describe: fields.optional_text("describe")?,
        untouched: fields.is_denied("autopatch")?,
        tool: Tool::from_name(&tool).ok_or_else(|| fields.unfit("tool", "a build tool's name"))?,
        level: u32::try_from(level).map_err(|_| fields.unfit("level", "a small number"))?,
        parents: fields.texts("parents", TEXT, is_text)?.into_iter().collect(),
        deps: fields.texts("deps", TEXT, is_text)?.into_iter().collect(),
        profiles: fields.optional_texts("profiles")?.into_iter().collect(),
        lost: fields.optional_texts("lost")?,
    };
    Ok((fields, source))
}

fn read_pin(fields: &Fields<'_>, kind: &str) -> Result<Pin> {
    Ok(match kind {
        "git" => Pin::Git {
            url: fields.text("url")?,
            commit: fields.fitting("commit", COMMIT, is_commit)?,
            subdir: match fields.value("subdir") {
                Some(_) => Some(fields.fitting("subdir", INSIDE, is_inside)?),
                None => None,
            },
            tree: fields.sri_digest("hash")?,
        },
        "hex" => Pin::Hex {
            repository: fields.text("repository")?,
            package: fields.text("package")?,
            version: fields.text("version")?,
            outer: fields.hex_digest("outer")?,
            tree: fields.sri_digest("hash")?,
        },
        "url" => Pin::Url {
            url: fields.text("url")?,
            sha256: fields.hex_digest("sha256")?,
            tree: fields.sri_digest("hash")?,
        },
        _ => Pin::Path {
            path: fields
                .fitting("path", RELATIVE, |path| is_text(path) && !path.starts_with('/'))?,
        },
    })
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.@".contains(c);
    text.len() <= 255
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(fits)
}

fn is_inside(text: &str) -> bool {
    is_text(text) && !text.starts_with('/') && text.split('/').all(|part| part != "..")
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
