//! `rebeam image`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Common;
use super::pull::From;
use super::size::{self, Depth};
use crate::explain::Failure;
use crate::image::{self, Inspected};
use crate::lock::{Lock, Pin, Source};
use crate::pipeline;
use crate::registry::Sockets;
use crate::terminal::{self, Mode, Reasons};

#[derive(Debug, Args)]
pub(super) struct Image {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what an image holds, down to the commit of every application
    Inspect {
        /// A file, or an image of a registry [default: NAME-VERSION.tar of the project]
        #[arg(value_name = "FILE|REF")]
        image: Option<String>,
        #[command(flatten)]
        from: From,
    },
    /// Say where every byte of an image file is: layer, application, file
    Size {
        /// The file [default: NAME-VERSION.tar of the project]
        file: Option<PathBuf>,
        /// List the largest files of each part, too
        #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "10")]
        files: Option<usize>,
        /// Draw it into this file, too, for a browser
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// Load an image file into docker or podman, unless it has the image already
    Load {
        /// The file [default: NAME-VERSION.tar of the project]
        file: Option<PathBuf>,
        /// Use this engine's command, instead of the socket of docker or podman
        #[arg(long, value_name = "COMMAND")]
        engine: Option<String>,
    },
}

impl Image {
    pub(super) fn run(self, common: &Common) -> Result<u8, Failure> {
        match self.verb {
            Verb::Inspect { image, from } => {
                from.with_image(common, image, |path| inspect(common, path))
            }
            Verb::Size { file, files, svg } => {
                let depth = files.map_or(Depth::Parts, Depth::Files);
                size::run(common, &common.image_file(file)?, depth, svg.as_deref())
            }
            Verb::Load { file, engine } => {
                let sockets = Sockets::from_environment(&|name| std::env::var_os(name));
                let (file, screen) = (common.image_file(file)?, common.screen(Reasons::Summed));
                pipeline::load(&file, engine.as_deref(), &sockets, &screen)?;
                Ok(0)
            }
        }
    }
}

fn inspect(common: &Common, file: &Path) -> Result<u8, Failure> {
    let inspected = image::inspect(file)?;
    let lock = match &inspected.lock {
        Some(text) => Some(Lock::parse(text, Path::new("the lock inside the image"))?),
        None => None,
    };
    let sources = lock.iter().flat_map(|lock| &lock.sources).collect::<Vec<_>>();
    match common.mode() {
        Mode::Json => terminal::data(&as_json(&inspected, &sources).to_string()),
        _ => terminal::data(&as_text(&inspected, &sources)),
    }
    Ok(0)
}

/// What a pin is, in words: where it is from and which version.
fn origin(pin: &Pin) -> (String, String) {
    match pin {
        Pin::Git { url, commit, .. } => (url.clone(), commit.clone()),
        Pin::Hex { repository, package, version, .. } => {
            (format!("{repository}/{package}"), version.clone())
        }
        Pin::Url { url, sha256, .. } => (url.clone(), sha256.hex()),
        Pin::Path { path } => (path.clone(), String::new()),
    }
}

fn as_json(image: &Inspected, sources: &[&Source]) -> Value {
    let layer = |layer: &image::InspectedLayer| {
        json!({ "made_by": layer.made_by, "digest": layer.digest, "bytes": layer.bytes,
                "diff_id": layer.diff_id, "unpacked_bytes": layer.tar_bytes })
    };
    let source = |source: &&Source| {
        let (url, version) = origin(&source.pin);
        let hash = source.pin.tree().map(|tree| tree.sri());
        json!({ "app": source.app, "role": source.role.name(), "from": url, "version": version,
                "wanted": source.wanted, "hash": hash })
    };
    json!({
        "image_id": image.image_id, "manifest": image.manifest_digest, "names": image.names,
        "architecture": image.architecture, "created": image.created, "entrypoint": image.entrypoint,
        "cmd": image.cmd, "env": image.env, "user": image.user, "ports": image.ports, "volumes": image.volumes,
        "labels": image.labels, "layers": image.layers.iter().map(layer).collect::<Vec<_>>(),
        "sources": sources.iter().map(source).collect::<Vec<_>>(),
        "provenance": image.provenance.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()),
    })
}

fn as_text(image: &Inspected, sources: &[&Source]) -> String {
    let field = |name: &str, value: &str| format!("{name:<12} {value}");
    let manifest = image.manifest_digest.map_or_else(|| "none".into(), |digest| digest.to_string());
    let mut lines = vec![
        field("image", &image.names.join(", ")),
        field("id", &image.image_id.to_string()),
        field("manifest", &manifest),
        field("created", image.created.as_deref().unwrap_or("unknown")),
        field("platform", &format!("linux/{}", image.architecture)),
        field(
            "entry point",
            &image.entrypoint.iter().chain(&image.cmd).cloned().collect::<Vec<_>>().join(" "),
        ),
        field("user", &image.user),
        field("ports", &image.ports.join(" ")),
    ];
    if let Some(provenance) = &image.provenance {
        lines.push(field("made", provenance.trim()));
    }
    let layers = image.layers.iter().map(|layer| {
        let sizes = [terminal::bytes(layer.bytes), terminal::bytes(layer.tar_bytes)];
        vec![layer.made_by.clone(), sizes[0].clone(), sizes[1].clone(), layer.diff_id.to_string()]
    });
    lines.push(format!(
        "\n{}",
        terminal::table(&with_head(["layer", "packed", "unpacked", "diff id"], layers))
    ));
    let rows = sources.iter().map(|source| {
        let (url, version) = origin(&source.pin);
        vec![source.app.clone(), source.role.name().to_owned(), version, source.wanted.clone(), url]
    });
    if !sources.is_empty() {
        let head = ["app", "role", "commit or version", "wanted", "from"];
        lines.push(format!("\n{}", terminal::table(&with_head(head, rows))));
    }
    lines.join("\n")
}

fn with_head<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = Vec<String>>,
) -> Vec<Vec<String>> {
    [head.map(str::to_owned).to_vec()].into_iter().chain(rows).collect()
}
