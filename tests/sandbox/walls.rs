//! What is seen and what can be changed from inside.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Command;

use rebeam::sandbox::{Access, Reach, SandboxError, Status};

use crate::harness::World;

#[test]
fn a_command_runs_and_its_exit_code_is_told() {
    let seen = World::new().sh("echo hello; echo there >&2; exit 7");
    assert_eq!(seen.status(), Status::Exited(7));
    assert_eq!(seen.lines, ["hello", "there"]);
    let outcome = seen.result.unwrap();
    assert_eq!(outcome.log_tail, ["hello", "there"]);
    assert_eq!(outcome.notes, Vec::<String>::new());
}

#[test]
fn a_command_that_a_signal_ended_is_told_as_such() {
    let seen = World::new().sh("kill -USR1 $$");
    assert_eq!(seen.status(), Status::Killed { signal: 10 });
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let mut world = World::new();
    for command in ["no-such-command", "/no/such/command", "/etc/passwd"] {
        world.room.argv = vec![command.into()];
        match world.run().result {
            Err(SandboxError::NoCommand { command: named, .. }) => assert_eq!(named, command),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_environment_is_exactly_the_rooms() {
    let mut world = World::new();
    world.room.env.insert("TZ".into(), "UTC".into());
    world.room.env.insert("TEXT".into(), "a = b\nc".into());
    world.room.argv = vec!["env".into()];
    let lines = world.run().well();
    assert_eq!(lines, ["PATH=/usr/bin:/bin", "TEXT=a = b", "c", "TZ=UTC"]);
}

#[test]
fn user_host_name_directory_mask_and_cores_are_as_asked_for() {
    let mut world = World::new();
    world.room.user = (123, 456);
    world.room.bounds.cores = 1;
    let lines = world.sh("id -u; id -g; id -G; hostname; pwd; umask; nproc").well();
    assert_eq!(lines, ["123", "456", "456", "rebeam", "/build", "0022", "1"]);
}

#[test]
fn no_privilege_and_no_way_to_one_is_left() {
    let world = World::new();
    // Not by a shell, which changes signals of its own.
    let mut direct = World::new();
    let wanted = "/^Cap\\|^NoNew\\|^Seccomp:\\|^Sig[BI]/p";
    direct.room.argv = ["sed", "-n", wanted, "/proc/self/status"].map(str::to_owned).to_vec();
    let lines = direct.run().well();
    assert_eq!(lines.len(), 9);
    for line in lines {
        let (name, value) = line.split_once(":\t").unwrap();
        let expected = match name {
            "NoNewPrivs" => "1",
            "Seccomp" => "2",
            _ => "0000000000000000",
        };
        assert_eq!(value, expected, "{name}");
    }
    for attempt in [
        "unshare -U true",
        "unshare -m true",
        "mount -t tmpfs none /tmp",
        "umount /tmp",
        "mknod /tmp/null c 1 3",
        "hostname other",
        "chmod 4755 /build/file",
        "chmod 2755 /build/file",
        "mkdir -m 2755 /build/directory",
    ] {
        let seen = world.sh(&format!("echo > /build/file; {attempt}"));
        assert_ne!(seen.status(), Status::Exited(0), "{attempt}");
    }
}

#[test]
fn only_an_own_loopback_is_there() {
    let world = World::new();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let lines = world.sh("sed 1,2d /proc/net/dev").well();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].trim_start().starts_with("lo:"), "{lines:?}");
    let script = format!("nc -w 2 127.0.0.1 {port} < /dev/null");
    assert_ne!(world.sh(&script).status(), Status::Exited(0));
    assert_ne!(world.sh("nc -w 2 192.0.2.1 80 < /dev/null").status(), Status::Exited(0));
    let own = "nc -l -p 4000 > got & for _ in $(seq 100); do \
        echo word | nc -w 2 127.0.0.1 4000 2> tried && break; sleep 0.1; done; wait; cat got";
    assert_eq!(world.sh(own).well(), ["word"]);
}

#[test]
fn with_the_hosts_network_the_host_is_reached() {
    let mut world = World::new();
    world.room.reach = Reach::Host;
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let greeter = std::thread::spawn(move || host.accept().unwrap().0.write_all(b"hello\n"));
    let seen = world.sh(&format!("nc 127.0.0.1 {port} < /dev/null"));
    assert_eq!(seen.well(), ["hello"]);
    greeter.join().unwrap().unwrap();
    if let Ok(resolver) = fs::read_to_string("/etc/resolv.conf") {
        assert_eq!(world.sh("cat /etc/resolv.conf; cat /etc/passwd").text().lines().count(), {
            resolver.lines().count() + 1
        });
    }
}

const ABSTRACT_NAME: &str = "REBEAM_TEST_ABSTRACT_NAME";

#[test]
#[ignore = "runs inside a room"]
fn inside_connect_to_the_abstract_socket() {
    let name = std::env::var(ABSTRACT_NAME).unwrap();
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let error = UnixStream::connect_addr(&address).unwrap_err();
    println!("refused: {:?}", error.kind());
}

#[test]
fn an_abstract_socket_of_the_host_is_out_of_reach() {
    let mut world = World::new();
    let name = format!("rebeam-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    UnixStream::connect_addr(&address).unwrap();
    world.room.env.insert(ABSTRACT_NAME.into(), name);
    let seen = world.inside("walls::inside_connect_to_the_abstract_socket");
    assert!(seen.text().contains("refused: ConnectionRefused"), "{}", seen.text());
}

#[test]
fn host_processes_are_neither_seen_nor_killed() {
    let world = World::new();
    let mut victim = Command::new("sleep").arg("60").spawn().unwrap();
    let pids = world.sh("cd /proc; for pid in [0-9]*; do echo $pid; done").well();
    assert_eq!(pids, ["1", "2"]);
    let seen = world.sh(&format!("kill -9 {}", victim.id()));
    assert_ne!(seen.status(), Status::Exited(0));
    world.sh("kill -9 -1");
    assert!(victim.try_wait().unwrap().is_none());
    victim.kill().unwrap();
    victim.wait().unwrap();
}

#[test]
fn the_first_process_cannot_be_looked_into() {
    let world = World::new();
    for attempt in
        ["readlink /proc/1/fd/0", "cat /proc/1/mem", "cat /proc/1/environ", "cat /proc/1/maps"]
    {
        let seen = world.sh(attempt);
        assert_ne!(seen.status(), Status::Exited(0), "{attempt}: {}", seen.text());
    }
    world.sh("kill -9 1; true").well();
    assert_eq!(world.sh("ls /proc/self/fd").well(), ["0", "1", "2", "3"]);
}

#[test]
fn nothing_of_the_host_is_there_but_root_and_mounts() {
    let mut world = World::new();
    fs::write(world.path("secret"), "secret").unwrap();
    let here = world.path("secret");
    let lines = world.sh(&format!("ls -1 /; cat {} 2>&1; ls /tmp /dev/shm", here.display())).lines;
    let missing = format!("cat: can't open '{}': No such file or directory", here.display());
    let expected =
        ["bin", "build", "dev", "etc", "proc", "tmp", "usr", &missing, "/dev/shm:", "", "/tmp:"];
    assert_eq!(lines, expected);
    let devices = world.sh("ls -1 /dev | tail -n 99; ls /dev/pts").well();
    assert_eq!(
        devices,
        "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero ptmx"
            .split(' ')
            .collect::<Vec<_>>()
    );
    // A link of the root that points out of it leads nowhere else inside.
    symlink("../../../../../etc", world.room.root.join("out")).unwrap();
    let host = world.path("placed");
    fs::write(&host, "placed").unwrap();
    world.mount(&host, "/out/placed", Access::ReadOnly);
    assert_eq!(world.sh("cat /etc/placed /out/passwd").lines.len(), 1);
}

#[test]
fn the_root_cannot_be_written() {
    let world = World::new();
    for place in ["/file", "/usr/file", "/usr/bin/sh", "/etc/passwd", "/dev/file", "/proc/file"] {
        let seen = world.sh(&format!("echo x > {place}"));
        assert_ne!(seen.status(), Status::Exited(0), "{place}");
    }
    assert_ne!(world.sh("rm /bin").status(), Status::Exited(0));
    assert_ne!(world.sh("mkdir /etc/x").status(), Status::Exited(0));
    world.sh("echo x > /tmp/x; echo x > /dev/shm/x; echo x > /dev/null; cat /tmp/x").well();
    let passwd = fs::read_to_string(world.room.root.join("etc/passwd")).unwrap();
    assert_eq!(passwd.lines().count(), 1);
}

#[test]
fn a_mount_is_written_only_where_it_is_writable() {
    let mut world = World::new();
    let (inputs, out) = (world.path("inputs"), world.path("out"));
    fs::create_dir_all(inputs.join("deep")).unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(inputs.join("deep/file"), "in\n").unwrap();
    world.mount(&inputs, "/deps/inputs", Access::ReadOnly);
    world.mount(&out, "/out", Access::ReadWrite);
    assert_eq!(world.sh("cat /deps/inputs/deep/file; echo made > /out/made").well(), ["in"]);
    assert_eq!(fs::read_to_string(out.join("made")).unwrap(), "made\n");
    let owner = fs::metadata(out.join("made")).unwrap().uid();
    assert_eq!(owner, fs::metadata(&out).unwrap().uid());
    for attempt in ["echo x > /deps/inputs/x", "rm /deps/inputs/deep/file", "touch /deps/x"] {
        assert_ne!(world.sh(attempt).status(), Status::Exited(0), "{attempt}");
    }
}

#[test]
fn a_mount_finds_a_place_wherever_it_is_asked_for() {
    let mut world = World::new();
    let (one, file) = (world.path("one"), world.path("file"));
    fs::create_dir_all(one.join("below")).unwrap();
    fs::write(one.join("name"), "one\n").unwrap();
    fs::write(&file, "file\n").unwrap();
    fs::create_dir_all(world.room.root.join("opt/app/lib")).unwrap();
    fs::write(world.room.root.join("opt/app/kept"), "kept\n").unwrap();
    for place in ["/opt/app/new/deep", "/bin/added", "/etc", "/build/sub/dir", "/tmp/x"] {
        world.mount(&one, place, Access::ReadOnly);
    }
    world.mount(&file, "/opt/app/file", Access::ReadOnly);
    world.mount(&file, "/etc/below/file", Access::ReadOnly);
    let script = "cat /opt/app/new/deep/name /usr/bin/added/name /etc/name /build/sub/dir/name /tmp/x/name /opt/app/file /opt/app/kept; ls /opt/app";
    fs::write(one.join("below/file"), "").unwrap();
    let lines = world.sh(script).well();
    let expected = "one one one one one file kept file kept lib new";
    assert_eq!(lines.join(" "), expected);
    assert_ne!(world.sh("echo x > /opt/app/x").status(), Status::Exited(0));
}

#[test]
fn a_link_among_the_mounts_hosts_is_followed_once_and_a_missing_one_is_named() {
    let mut world = World::new();
    fs::write(world.path("real"), "real\n").unwrap();
    symlink("real", world.path("link")).unwrap();
    let link = world.path("link");
    world.mount(&link, "/link", Access::ReadOnly);
    assert_eq!(world.sh("cat /link").well(), ["real"]);
    let gone = world.path("gone");
    world.mount(&gone, "/gone", Access::ReadOnly);
    let error = world.sh("true").result.unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
}

#[test]
fn attributes_are_not_supported_and_nobody_complains() {
    let world = World::new();
    fs::write(world.path("build/file"), "one\n").unwrap();
    assert_eq!(world.sh("sed -i s/one/two/ file; cp -a file copy; cat copy").well(), ["two"]);
}

#[test]
fn two_rooms_see_the_same() {
    let look = "cat /proc/self/mountinfo | sed 's/^[0-9]* [0-9]* [0-9:]* [^ ]*//'; stat -c '%A %u %g %n' /* /dev/*; env; ulimit -a; uname -a";
    let hide = |lines: Vec<String>| lines.join("\n");
    let world = World::new();
    assert_eq!(hide(world.sh(look).well()), hide(world.sh(look).well()));
}
