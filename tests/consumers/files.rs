//! Files: skopeo and umoci, which run nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rebeam::release::{self};

use super::world::{TAG, lock, run, run_uid, text, tried};

#[test]
fn skopeo_reads_both_halves_of_the_file() {
    let Some(world) = tried(&["skopeo"]) else {
        return;
    };
    let at = world.store("skopeo");
    let policy = at.join("policy.json");
    fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    for transport in ["docker-archive", "oci-archive"] {
        let from = format!("{transport}:{}", text(&world.archive));
        let to = at.join(transport);
        run("skopeo", &["--policy", text(&policy), "copy", &from, &format!("dir:{}", text(&to))]);
        assert!(to.join(world.image.image_id().hex()).exists(), "{transport}");
    }
}

#[test]
fn umoci_unpacks_the_very_files() {
    let Some(world) = tried(&["umoci", "tar"]) else {
        return;
    };
    let at = world.store("umoci");
    let (layout, bundle) = (at.join("layout"), at.join("bundle"));
    fs::create_dir(&layout).unwrap();
    run("tar", &["-xf", text(&world.archive), "-C", text(&layout)]);
    let image = format!("{}:{TAG}", text(&layout));
    let rootless: &[&str] = match run_uid().as_str() {
        "0" => &[],
        _ => &["--rootless"],
    };
    run("umoci", &[&["unpack"], rootless, &["--image", &image, text(&bundle)]].concat());
    let root = bundle.join("rootfs");
    let lock = fs::read_to_string(root.join(release::LOCK_PATH)).unwrap();
    assert_eq!(lock, self::lock().to_text());
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("tmp"), 0o1777);
    assert_eq!(mode("app/erts-13.0/bin/beam.smp"), 0o755);
}
