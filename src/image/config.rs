//! Config: the image's two JSON documents, byte for byte the same for the same image.
//!
//! Fields stand in a fixed order, maps are sorted, nothing is indented: registries store the exact bytes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Base, Layer};
use crate::digest::Digest;
use crate::manifest::{HealthCheck, Manifest};
use crate::release::{Machine, Release};

pub(super) const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The label for what an image is laid over (OCI image specification, "Annotations").
pub(super) const BASE_NAME: &str = "org.opencontainers.image.base.name";

#[derive(Serialize)]
struct Config<'a> {
    architecture: &'a str,
    config: Run<'a>,
    created: &'a str,
    history: Vec<Made<'a>>,
    os: &'a str,
    rootfs: RootFs,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Run<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cmd: &'a [String],
    entrypoint: &'a [String],
    env: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<&'a str, Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Check>,
    labels: &'a BTreeMap<String, String>,
    stop_signal: &'a str,
    user: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: BTreeMap<&'a str, Empty>,
    working_dir: &'a str,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    interval: u64,
    retries: u32,
    test: Vec<String>,
    timeout: u64,
}

/// What made a layer, or nothing of one.
#[derive(Serialize)]
#[serde(untagged)]
enum Made<'a> {
    Ours(History<'a>),
    Theirs(&'a Value),
}

#[derive(Serialize)]
struct History<'a> {
    comment: String,
    created: &'a str,
    created_by: String,
}

#[derive(Serialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageManifest<'a> {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: &'a BTreeMap<String, String>,
}

/// Names a blob by type, digest and size.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: &'static str,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// Writes the image's configuration.
pub(super) fn config(
    release: &Release,
    manifest: &Manifest,
    (base, layers): (Option<&Base>, &[Layer]),
    created: &str,
) -> Vec<u8> {
    let wish = &manifest.image;
    let labels = all_labels(base, manifest, created);
    let machine = release.facts.machine.image_name();
    let set = |theirs: Option<&Vec<String>>, own: &[String]| -> BTreeMap<String, Empty> {
        let all = theirs.into_iter().flatten().chain(own);
        all.map(|name| (name.clone(), Empty {})).collect()
    };
    let ports = set(base.map(|base| &base.ports), &wish.ports);
    let volumes = set(base.map(|base| &base.volumes), &wish.volumes);
    let theirs = base.iter().flat_map(|base| &base.history).map(Made::Theirs);
    let diff_ids = base.iter().flat_map(|base| &base.layers).map(|layer| layer.diff_id);
    let document = Config {
        architecture: machine,
        config: Run {
            cmd: &release.start.cmd,
            entrypoint: &release.start.entrypoint,
            env: env(base, release, manifest),
            exposed_ports: borrowed(&ports),
            healthcheck: wish.health.as_ref().map(check),
            labels: &labels,
            stop_signal: "SIGTERM",
            user: format!("{}:{}", wish.user.0, wish.user.1),
            volumes: borrowed(&volumes),
            working_dir: &release.start.directory,
        },
        created,
        history: theirs.chain(layers.iter().map(|layer| history(layer, created))).collect(),
        os: "linux",
        rootfs: RootFs {
            diff_ids: diff_ids.chain(layers.iter().map(|layer| layer.diff_id)).collect(),
            r#type: "layers",
        },
        variant: release.facts.machine.variant(),
    };
    serde_json::to_vec(&document).expect("the document has only text keys")
}

/// Writes the configuration of an image that is no release.
pub(super) fn plain(
    run: &super::Plain<'_>,
    layer: &Layer,
    machine: Machine,
    created: &str,
) -> Vec<u8> {
    let document = Config {
        architecture: machine.image_name(),
        config: Run {
            cmd: &[],
            entrypoint: run.entrypoint,
            env: run.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            exposed_ports: BTreeMap::new(),
            healthcheck: None,
            labels: &BTreeMap::new(),
            stop_signal: run.stop_signal,
            user: format!("{}:{}", run.user.0, run.user.1),
            volumes: BTreeMap::new(),
            working_dir: run.directory,
        },
        created,
        history: vec![history(layer, created)],
        os: "linux",
        rootfs: RootFs { diff_ids: vec![layer.diff_id], r#type: "layers" },
        variant: machine.variant(),
    };
    serde_json::to_vec(&document).expect("the document has only text keys")
}

fn borrowed(map: &BTreeMap<String, Empty>) -> BTreeMap<&str, Empty> {
    map.keys().map(|name| (name.as_str(), Empty {})).collect()
}

fn check(health: &HealthCheck) -> Check {
    const NS_A_SECOND: u64 = 1_000_000_000;
    Check {
        interval: health.interval_s.saturating_mul(NS_A_SECOND),
        retries: health.retries,
        test: std::iter::once("CMD".to_owned()).chain(health.command.clone()).collect(),
        timeout: health.timeout_s.saturating_mul(NS_A_SECOND),
    }
}

fn history<'a>(layer: &Layer, created: &'a str) -> Made<'a> {
    Made::Ours(History {
        comment: format!("{} bytes unpacked", layer.tar_bytes),
        created,
        created_by: format!("rebeam layer={}", layer.part.name()),
    })
}

/// Writes the image's manifest.
pub(super) fn manifest(
    config: Descriptor,
    (base, layers): (Option<&Base>, &[Layer]),
    annotations: &BTreeMap<String, String>,
) -> Vec<u8> {
    let theirs = base.iter().flat_map(|base| &base.layers).map(|layer| Descriptor {
        media_type: layer.media_type,
        digest: layer.blob.digest(),
        size: layer.bytes,
    });
    let document = ImageManifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE,
        config,
        layers: theirs.chain(layers.iter().map(descriptor)).collect(),
        annotations,
    };
    serde_json::to_vec(&document).expect("the document has only text keys")
}

/// Names a layer's blob.
pub(super) fn descriptor(layer: &Layer) -> Descriptor {
    Descriptor { media_type: LAYER_TYPE, digest: layer.blob.digest(), size: layer.bytes }
}

/// Returns the variables: the base's, and ours over them. What the base has on its path stays on it, behind ours.
fn env(base: Option<&Base>, release: &Release, manifest: &Manifest) -> Vec<String> {
    let mut own = release.start.env.clone();
    let theirs = base.map(|base| base.env.as_slice()).unwrap_or_default();
    let path = theirs.iter().find(|(name, _)| name == "PATH");
    if let (Some((_, theirs)), None) = (path, manifest.image.env.get("PATH"))
        && let Some(ours) = own.get_mut("PATH")
    {
        let first = ours.split(':').next().unwrap_or_default();
        *ours = format!("{first}:{theirs}");
    }
    let kept = theirs.iter().filter(|(name, _)| !own.contains_key(name));
    kept.chain(&own.clone().into_iter().collect::<Vec<_>>())
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// Returns the labels of the configuration: the base's, and ours over them.
fn all_labels(base: Option<&Base>, manifest: &Manifest, created: &str) -> BTreeMap<String, String> {
    let mut all = base.map(|base| base.labels.clone()).unwrap_or_default();
    all.extend(labels(base, manifest, created));
    all
}

/// Returns the image's own labels, which are its annotations too: the project's own count most.
pub(super) fn labels(
    base: Option<&Base>,
    manifest: &Manifest,
    created: &str,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from(
        [
            ("title", manifest.project.name.as_str()),
            ("version", &manifest.project.version),
            ("created", created),
        ]
        .map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.to_owned())),
    );
    if let Some(base) = base {
        labels.insert(BASE_NAME.into(), base.name.clone());
        labels.insert("org.opencontainers.image.base.digest".into(), base.digest.to_string());
    }
    labels.extend(manifest.image.labels.clone());
    labels
}

/// Writes seconds since 1970 as RFC 3339 in UTC.
pub fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March, so that the day of leap is a year's last (Hinnant, "chrono-compatible
    // low-level date algorithms").
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_a_date() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(rfc3339(1_709_164_800), "2024-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(rfc3339(4_102_444_800), "2100-01-01T00:00:00Z");
    }
}
