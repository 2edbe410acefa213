//! Craft: image files made in a test, hostile ones too.

use crate::digest::Digest;
pub(crate) use crate::fetch::debian::fixture::Part;
use crate::fetch::debian::fixture::tar;

/// Makes an image of one layer with these entries, as `docker save` would write it.
pub(crate) fn image(parts: &[Part<'_>]) -> Vec<u8> {
    let layer = tar(parts);
    image_with(&layer, Digest::of(&layer))
}

/// Makes an image of one layer, of which it says that it has this digest.
pub(crate) fn image_with(layer: &[u8], diff_id: Digest) -> Vec<u8> {
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Entrypoint": ["/bin/a"], "User": "65532:65532" },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created_by": "rebeam layer=app" }],
    })
    .to_string();
    let config_name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let manifest = serde_json::json!([
        { "Config": config_name, "RepoTags": ["a:1"], "Layers": ["layer.tar"] }
    ])
    .to_string();
    tar(&[
        Part::File("manifest.json", 0o644, manifest.as_bytes()),
        Part::File(&config_name, 0o644, config.as_bytes()),
        Part::File("layer.tar", 0o644, layer),
    ])
}
