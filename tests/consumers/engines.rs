//! Engines: Docker, podman and containerd.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::world::{Daemon, NAME, SAYS, TAG, find, rebeam, run, text, told, tried};

/// Starts Docker's daemon with a store below `at`, and returns its address.
fn dockerd(at: &Path) -> (Daemon, String) {
    let (data, exec, pid) = (at.join("data"), at.join("exec"), at.join("pid"));
    let host = format!("unix://{}", text(&at.join("s")));
    let ready = || {
        let mut ping = Command::new(find("docker").unwrap());
        ping.args(["-H", &host, "info"]).output().is_ok_and(|output| output.status.success())
    };
    let arguments = [
        "--data-root",
        text(&data),
        "--exec-root",
        text(&exec),
        "--pidfile",
        text(&pid),
        "-H",
        &host,
        "--storage-driver",
        "vfs",
        "--iptables=false",
        "--bridge=none",
    ];
    (Daemon::start("dockerd", &arguments, &at.join("log"), ready), host)
}

#[test]
fn docker_loads_and_runs_the_image() {
    let Some(world) = tried(&["docker", "dockerd"]) else {
        return;
    };
    let (_daemon, host) = dockerd(&world.store("docker"));
    run("docker", &["-H", &host, "load", "-i", text(&world.archive)]);
    let reference = format!("{NAME}:{TAG}");
    let id = run("docker", &["-H", &host, "image", "inspect", "-f", "{{.Id}}", &reference]);
    assert_eq!(id.trim(), world.image.image_id().to_string());
    let said = run(
        "docker",
        &["-H", &host, "run", "--rm", "--network", "none", "--read-only", &reference],
    );
    assert_eq!(said.trim(), SAYS);
}

#[test]
fn docker_gets_the_image_through_its_socket_and_only_once() {
    let Some(world) = tried(&["docker", "dockerd"]) else {
        return;
    };
    let at = world.store("docker");
    let (_daemon, host) = dockerd(&at);
    let load =
        || told(rebeam(&world, &["image", "load", text(&world.archive)]).env("DOCKER_HOST", &host));
    assert!(!load().contains("nothing to send"));
    let reference = format!("{NAME}:{TAG}");
    let id = || run("docker", &["-H", &host, "image", "inspect", "-f", "{{.Id}}", &reference]);
    assert_eq!(id().trim(), world.image.image_id().to_string());
    assert!(load().contains("nothing to send"));
    // What lost its name gets it again.
    run("docker", &["-H", &host, "tag", &reference, "other:1"]);
    run("docker", &["-H", &host, "rmi", &reference]);
    assert!(load().contains("nothing to send"));
    assert_eq!(id().trim(), world.image.image_id().to_string());
    // A user outside the group is told how to get in.
    for path in [&world.root, &at] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut stranger = rebeam(&world, &["image", "load", text(&world.archive)]);
    let refused = stranger.env("DOCKER_HOST", &host).uid(4242).gid(4242).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{told}");
    assert!(told.contains("does not let this user in"), "{told}");
}

#[test]
fn podman_gets_the_image_through_its_socket_and_only_once() {
    let Some(world) = tried(&["podman"]) else {
        return;
    };
    let at = world.store("podman");
    let (root, runroot, socket) = (at.join("root"), at.join("run"), at.join("s"));
    let host = format!("unix://{}", text(&socket));
    let own = ["--root", text(&root), "--runroot", text(&runroot), "--storage-driver", "vfs"];
    let own = [&own[..], &["--cgroup-manager", "cgroupfs", "--events-backend", "file"]].concat();
    let service = [&own[..], &["system", "service", "--time", "0", &host]].concat();
    let _daemon = Daemon::start("podman", &service, &at.join("log"), || socket.exists());
    let load =
        || told(rebeam(&world, &["image", "load", text(&world.archive)]).env("DOCKER_HOST", &host));
    assert!(!load().contains("nothing to send"));
    let reference = format!("docker.io/{NAME}:{TAG}");
    let id =
        || run("podman", &[&own[..], &["image", "inspect", "-f", "{{.Id}}", &reference]].concat());
    assert_eq!(id().trim(), world.image.image_id().hex());
    assert!(load().contains("nothing to send"));
    run("podman", &[&own[..], &["tag", &reference, "other:1"]].concat());
    run("podman", &[&own[..], &["untag", &reference]].concat());
    assert!(load().contains("nothing to send"));
    assert_eq!(id().trim(), world.image.image_id().hex());
}

#[test]
fn podman_loads_the_image_under_its_name() {
    let Some(world) = tried(&["podman"]) else {
        return;
    };
    let at = world.store("podman");
    let (root, runroot) = (at.join("root"), at.join("run"));
    let podman = |arguments: &[&str]| {
        let own = ["--root", text(&root), "--runroot", text(&runroot), "--storage-driver", "vfs"];
        run(
            "podman",
            &[&own[..], &["--cgroup-manager", "cgroupfs", "--events-backend", "file"], arguments]
                .concat(),
        )
    };
    podman(&["load", "-i", text(&world.archive)]);
    let id = podman(&["image", "inspect", "-f", "{{.Id}}", &format!("docker.io/{NAME}:{TAG}")]);
    assert_eq!(id.trim(), world.image.image_id().hex());
}

#[test]
fn containerd_imports_the_image_with_its_manifest() {
    let Some(world) = tried(&["ctr", "containerd"]) else {
        return;
    };
    let at = world.store("containerd");
    let (root, state, socket) = (at.join("root"), at.join("state"), at.join("s"));
    let ready = || socket.exists();
    let arguments = ["--root", text(&root), "--state", text(&state), "--address", text(&socket)];
    let _daemon = Daemon::start("containerd", &arguments, &at.join("log"), ready);
    // The overlay snapshotter wants a file system that takes overlays; the native one takes any.
    let ctr = |arguments: &[&str]| run("ctr", &[&["--address", text(&socket)], arguments].concat());
    ctr(&["images", "import", "--snapshotter", "native", text(&world.archive)]);
    let listed = ctr(&["images", "ls"]);
    assert!(listed.contains(&format!("docker.io/{NAME}:{TAG}")), "{listed}");
    assert!(listed.contains(&world.image.manifest_digest().to_string()), "{listed}");
}
