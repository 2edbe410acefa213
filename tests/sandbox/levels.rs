//! The levels, ordinary users, and systems that refuse.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Output};

use rebeam::explain::Explain as _;
use rebeam::sandbox::{self, Access, Forbidden, Level, SandboxError, Status};

use crate::harness::{EXECUTABLE, World, am_root, processes_with};

/// Runs tests of this program again in another process.
fn again(prefix: &[&str], arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let (tests, rebeam) = (home.path().join("tests"), home.path().join("rebeam"));
    fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_rebeam"), &rebeam).unwrap();
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]).arg(&tests).args(arguments);
    command.env(EXECUTABLE, &rebeam).env("TMPDIR", home.path()).current_dir(home.path());
    command.output().unwrap()
}

#[test]
fn everything_holds_for_an_ordinary_user_too() {
    if !am_root() {
        return;
    }
    let user = ["setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups"];
    let skip = ["--skip", "levels::", "--test-threads", "2"];
    let output = again(&user, &skip);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_weaker_levels_are_for_root() {
    if am_root() {
        let user = ["setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups"];
        let output = again(&user, &["levels::the_weaker_levels_are_for_root"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    for level in [Level::Root, Level::Chroot] {
        let mut world = World::new();
        world.room.level = level;
        match world.sh("true").result {
            Err(SandboxError::Forbidden { why: Forbidden::NotRoot, level: named, .. }) => {
                assert_eq!(named, level.name());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_level_root_closes_a_room_without_a_user_namespace() {
    if !am_root() {
        return;
    }
    let mut world = World::new();
    world.room.level = Level::Root;
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    fs::create_dir(world.path("build/sub")).unwrap();
    let script = "id -u; cat /proc/self/uid_map; hostname; ls /proc | sed -n '/^[0-9]/p' | wc -l; \
                  sed -n '/^Cap/s/.*0000000000000000/0/p' /proc/self/status; echo made > sub/made";
    let lines = world.sh(script).well();
    assert_eq!(lines[0], "1000");
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["0", "0", "4294967295"]);
    assert_eq!(lines[2..], ["rebeam", "5", "0", "0", "0", "0", "0"]);
    assert_eq!(fs::metadata(world.path("build/sub/made")).unwrap().uid(), 0);
    for attempt in [
        "echo x > /etc/passwd".to_owned(),
        format!("nc -w 2 127.0.0.1 {port} < /dev/null"),
        "chmod 4755 sub/made".into(),
        "mount -t tmpfs none /tmp".into(),
        "mknod /tmp/null c 1 3".into(),
    ] {
        assert_ne!(world.sh(&attempt).status(), Status::Exited(0), "{attempt}");
    }
}

#[test]
fn the_level_chroot_closes_a_room_without_namespaces() {
    if !am_root() {
        return;
    }
    let mut world = World::new();
    world.room.level = Level::Chroot;
    let deps = world.path("deps");
    fs::create_dir(&deps).unwrap();
    fs::write(deps.join("file"), "dep\n").unwrap();
    world.mount(&deps, "/build/deps", Access::ReadOnly);
    fs::write(world.path("build/old"), "old\n").unwrap();
    let script = "id -u; id -G; umask; cat old deps/file; echo made > made; rm old; ls -1 /; \
                  echo x > /tmp/x; echo x > /dev/null";
    let lines = world.sh(script).well();
    let expected = "1000 1000 0022 old dep bin build dev etc tmp usr";
    assert_eq!(lines.join(" "), expected);
    assert_eq!(fs::read_to_string(world.path("build/made")).unwrap(), "made\n");
    assert_eq!(fs::metadata(world.path("build/made")).unwrap().uid(), 0);
    assert!(!world.path("build/old").exists());
    assert!(!world.path("build/deps").exists());
    let left: Vec<_> =
        fs::read_dir(world.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn the_level_chroot_keeps_in_what_it_can() {
    if !am_root() {
        return;
    }
    let mut world = World::new();
    world.room.level = Level::Chroot;
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    for attempt in [
        "echo x > /etc/passwd".to_owned(),
        "chmod 666 /etc/passwd".into(),
        "rm /usr/bin/busybox".into(),
        "touch /x".into(),
        format!("nc -w 2 127.0.0.1 {port} < /dev/null"),
        "echo x > /build/f; chmod 4755 /build/f".into(),
        "mknod /tmp/null c 1 3".into(),
    ] {
        assert_ne!(world.sh(&attempt).status(), Status::Exited(0), "{attempt}");
    }
    assert_eq!(fs::read_to_string(world.room.root.join("etc/passwd")).unwrap().lines().count(), 1);
    let mark = world.mark();
    let seen = world.sh(&format!("(setsid sh -c ': {mark}; sleep 1000' &); echo left; exit 3"));
    assert_eq!(seen.status(), Status::Exited(3));
    assert_eq!(processes_with(&mark), Vec::<String>::new());
    world.room.bounds.wall_s = 1;
    let seen = world.sh(&format!("setsid sh -c ': {mark}; sleep 1000' & sleep 1000; : {mark}"));
    assert_eq!(seen.status(), Status::TimedOut);
    assert_eq!(processes_with(&mark), Vec::<String>::new());
    // What was put in the way of the clearing up leads it nowhere.
    let kept = world.path("kept");
    fs::create_dir(&kept).unwrap();
    fs::create_dir_all(world.path("build/a")).unwrap();
    world.mount(&kept, "/build/a/kept", Access::ReadOnly);
    let home = world.path("");
    world.sh(&format!("mv a b; ln -s {} a; true", home.display()));
    assert!(kept.exists());
}

#[test]
fn the_level_chroot_needs_no_more_than_a_container_leaves_to_its_root() {
    if !am_root() {
        return;
    }
    let left = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,\
                +net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";
    let container = ["setpriv", "--inh-caps", "-all", "--bounding-set", left];
    let output =
        again(&container, &["levels::the_level_chroot_closes", "levels::the_level_chroot_keeps"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("2 passed"), "{text}");
    // And the level above says what is missing.
    let output = again(&container, &["levels::the_level_root_closes"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("root without CAP_SYS_ADMIN"), "{text}");
}

#[test]
fn the_root_of_a_room_may_be_called_root() {
    let mut world = World::new();
    world.room.user = (0, 0);
    assert_eq!(world.sh("id -u; id -g; touch x; stat -c %u x").well(), ["0", "0", "0"]);
    assert_ne!(world.sh("echo x > /etc/passwd").status(), Status::Exited(0));
    assert_ne!(world.sh("mount -t tmpfs none /tmp").status(), Status::Exited(0));
}

#[test]
#[ignore = "runs where user namespaces are forbidden"]
fn inside_no_namespaces() {
    let error = World::new().sh("true").result.unwrap_err();
    println!("error: {error}\nhint: {}", error.hint().unwrap());
    for finding in sandbox::probe() {
        println!("{}: {} ({:?})", finding.name, finding.ok, finding.remedy);
    }
}

#[test]
fn a_limit_of_no_user_namespaces_is_named_with_its_remedy() {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let arguments = ["--ignored", "--exact", "--nocapture", "levels::inside_no_namespaces"];
    let output = again(&["unshare", "-Ur", "sh", "-c", script, "sh"], &arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("`user.max_user_namespaces` is 0"), "{text}");
    assert!(text.contains("hint: sudo sysctl -w user.max_user_namespaces="), "{text}");
    assert!(text.contains("user namespaces: false"), "{text}");
}

#[test]
fn a_filter_that_forbids_namespaces_is_named_with_its_remedy() {
    // A room has just such a filter, so it stands for a container here.
    let mut world = World::new();
    let seen = world.inside("levels::inside_no_namespaces");
    assert!(seen.text().contains("the seccomp profile of the container"), "{}", seen.text());
    assert!(
        seen.text().contains("hint: start the container with `--security-opt"),
        "{}",
        seen.text()
    );
}

#[test]
fn the_probe_finds_nothing_wrong_where_rooms_open() {
    World::new();
    let findings = sandbox::probe();
    let names: Vec<_> = findings.iter().map(|finding| finding.name).collect();
    assert!(names.contains(&"kernel") && names.contains(&"user namespaces"), "{names:?}");
    assert!(findings.iter().all(|finding| finding.ok), "{findings:?}");
}
