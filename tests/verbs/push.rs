//! `rebeam push`, `rebeam build --push`, `rebeam image load`: what is refused before anything is sent.

use std::fs;

use super::harness::{Ran, World};

const FILE: &str = "image.tar";

/// A tar of files, by name and text.
fn tar(world: &World, files: &[(&str, &[u8])]) {
    let file = fs::File::create(world.project().join(FILE)).unwrap();
    let mut tar = tar::Builder::new(file);
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.finish().unwrap();
}

/// An image of one layer, by the history of its making, with the layer's bytes as given.
fn image(world: &World, made_by: &str, layer: &[u8]) {
    let digest = |bytes: &[u8]| rebeam::digest::Digest::of(bytes);
    let promised = b"the layer";
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","history":[{{"created_by":"{made_by}"}}],
        "rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        digest(promised)
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"{}","size":{}}},"layers":[{{"digest":"{}","size":9}}]}}"#,
        digest(config.as_bytes()),
        config.len(),
        digest(promised),
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"digest":"{}","size":{}}}]}}"#,
        digest(manifest.as_bytes()),
        manifest.len(),
    );
    let member = |bytes: &[u8]| format!("blobs/sha256/{}", digest(bytes).hex());
    let docker = format!(
        r#"[{{"Config":"{}","RepoTags":["hello:1"],"Layers":["{}"]}}]"#,
        member(config.as_bytes()),
        member(promised),
    );
    tar(
        world,
        &[
            ("index.json", index.as_bytes()),
            ("manifest.json", docker.as_bytes()),
            (&member(manifest.as_bytes()), manifest.as_bytes()),
            (&member(config.as_bytes()), config.as_bytes()),
            (&member(promised), layer),
        ],
    );
}

fn push(world: &World, arguments: &[&str]) -> Ran {
    world.rebeam(&[&["push", "--file", FILE], arguments].concat())
}

#[test]
fn a_file_that_is_no_sound_image_of_ours_is_refused_before_anything_is_sent() {
    let world = World::with("hello");
    // Nobody listens at port 1: whatever were sent would end in another error.
    let place = "localhost:1/a";
    image(&world, "rebeam layer=app", b"the LAYER");
    push(&world, &[place]).fails(1, &["is not what was promised", "rebeam build"]);
    image(&world, "rebeam layer=app", b"short");
    push(&world, &[place]).fails(1, &["has 5 bytes, and its manifest says 9"]);
    image(&world, "COPY . /app", b"the layer");
    push(&world, &[place]).fails(1, &["rebeam did not make", "skopeo copy oci-archive:"]);
    tar(&world, &[("manifest.json", b"[]")]);
    push(&world, &[place]).fails(1, &["is no image file", "index.json", "skopeo copy"]);
    fs::write(world.project().join(FILE), "no tar").unwrap();
    push(&world, &[place]).fails(1, &["is no image file"]);
    world.rebeam(&["push", place]).fails(1, &["there is no image at", "rebeam build"]);
}

#[test]
fn a_place_that_is_none_is_a_usage_error_before_the_build() {
    let world = World::with("hello");
    image(&world, "rebeam layer=app", b"the layer");
    for reference in ["localhost:1/A", "localhost:1/a:b:c", "https://localhost/a", "a b", "-/a"] {
        push(&world, &["--", reference]).fails(2, &["names no place in a registry"]);
        let build = format!("--push={reference}");
        world.rebeam(&["build", &build]).fails(2, &["names no place in a registry"]);
    }
    push(&world, &[]).fails(2, &["says no registry", "rebeam push REGISTRY/hello"]);
    world.rebeam(&["build", "--push"]).fails(2, &["says no registry"]);
    world.rebeam(&["build", "--tag", "x"]).fails(2, &["go with `--push`"]);
    push(&world, &["localhost:1/a", "--mount-from", "other.example/a"])
        .fails(2, &["within one registry"]);
    assert!(!world.project().join("hello-1.0.0.tar").exists());
}

#[test]
fn a_closed_network_is_named() {
    let world = World::with("hello");
    image(&world, "rebeam layer=app", b"the layer");
    // The image of this test has no lock inside, so nothing is known to put beside it.
    push(&world, &["r.example/a", "--offline", "--sbom", "none", "--no-provenance"])
        .fails(3, &["nothing is pushed to `r.example`"]);
}

#[test]
fn an_engine_that_is_named_and_not_there_is_told() {
    let world = World::with("hello");
    image(&world, "rebeam layer=app", b"the layer");
    let mut command = world.command(&["image", "load", FILE]);
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let ran = Ran::of(&command.output().unwrap());
    ran.fails(3, &["no engine answers at `/nonexistent/docker.sock`", "start docker"]);
}
