//! Bad input and a bad world, as a user meets them: the message names the thing and the next step, and nothing is lost.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::harness::{Ran, World};

const MERGE: &str = "<<<<<<< HEAD\n[].\n=======\n[a].\n>>>>>>> other\n";

/// Gives `words` a hook that runs a script of these lines, and locks that commit.
fn with_hook(script: &str) -> World {
    let world = World::with("hello").with_own_store();
    let hook = "{pre_hooks, [{compile, \"sh hook.sh\"}]}.\n{erl_opts";
    world.commit_with("words", "rebar.config", ("{erl_opts", hook), &[("hook.sh", script)]);
    let commit = world.git("words", &["rev-parse", "main"]);
    world.git("words", &["tag", "-f", "v0.2.0", &commit]);
    world.rebeam(&["update", "words"]).succeeds();
    world
}

fn image(world: &World) -> Vec<u8> {
    fs::read(world.project().join("hello-1.0.0.tar")).unwrap()
}

#[test]
fn a_malformed_rebar_config_is_named_with_its_place() {
    let world = World::with("hello");
    let lock = world.read("rebeam.lock");
    world.write("rebar.config", "{erl_opts, [debug_info]}.\n{deps, [\n");
    for verb in [&["lock"][..], &["build"]] {
        world.rebeam(verb).fails(1, &["`rebar.config` of `hello`", "line 3, column 1", "expected"]);
    }
    world.write("rebar.config", MERGE);
    let says = ["`rebar.config` of `hello`", "line 1", "merge conflict", "hint: settle the merge"];
    world.rebeam(&["lock"]).fails(1, &says);
    assert_eq!(world.read("rebeam.lock"), lock);
}

#[test]
fn a_malformed_rebar_lock_is_named_with_its_place() {
    let world = World::with("hello");
    let lock = world.read("rebeam.lock");
    world.write("rebar.lock", "{\"1.2.0\",[{<<\"a\">>,");
    let says = ["`rebar.lock` cannot be read", "line 1, column 20", "hint: restore it"];
    world.rebeam(&["lock"]).fails(1, &says);
    world.write("rebar.lock", MERGE);
    let says = ["`rebar.lock` cannot be read", "merge conflict", "hint: settle the merge"];
    world.rebeam(&["lock"]).fails(1, &says);
    assert_eq!(world.read("rebeam.lock"), lock);
}

#[test]
fn malformed_toml_is_named_with_its_place() {
    let world = World::with("hello");
    world.edit("rebeam.toml", "version = \"1.0.0\"", "version = ");
    world.rebeam(&["build"]).fails(1, &["rebeam.toml:5:11", "quoted"]);
    let world = World::with("hello");
    world.edit("rebeam.lock", "version = 1\n", "version = [\n");
    let says = ["rebeam.lock:", "is not TOML", "hint: the lock is made by rebeam"];
    world.rebeam(&["build"]).fails(1, &says);
}

#[test]
fn an_unknown_application_is_named_with_the_nearest() {
    let world = World::with("hello");
    world.rebeam(&["update", "wrods"]).fails(1, &["`wrods` is not in the lock", "hint: "]);
    let manifest = world.read("rebeam.toml");
    world.write("rebeam.toml", &format!("{manifest}\n[deps.wrods]\nenv = {{ A = \"b\" }}\n"));
    world
        .rebeam(&["lock"])
        .fails(1, &["`[deps.wrods]`", "nearest is `words`", "hint: correct the name"]);
    world.write("rebeam.toml", &manifest);
    world.edit("rebar.config", "[hello, sasl]", "[hello, sasl, nosuch]");
    world
        .rebeam(&["build"])
        .fails(1, &["step `hello`", "nosuch", "hint: look inside", "whole log: "]);
    world.edit("rebar.config", "adler.git", "adlr.git");
    world.rebeam(&["lock"]).fails(3, &["adlr", "`adler`", "is not a git repository", "[mirrors]"]);
}

#[test]
fn a_cycle_is_refused_and_shown() {
    let world = World::with("hello");
    let lock = world.read("rebeam.lock");
    let back = "{deps, [{tinyhttp, {git, \"https://git.rebeam.test/tinyhttp.git\", {tag, \"1.0.0\"}}}]}.\n{erl_opts";
    let commit = world.commit("words", "rebar.config", "{erl_opts", back);
    world.git("words", &["tag", "-f", "v0.2.0", &commit]);
    let ran = world.rebeam(&["update", "words"]);
    ran.fails(1, &["tinyhttp", "words", "→"]);
    assert_eq!(world.read("rebeam.lock"), lock);
}

#[test]
fn a_project_that_cannot_be_written_is_named_and_builds_elsewhere() {
    let world = World::with("hello").with_own_store();
    let project = world.project();
    let run = |arguments: &[&str]| {
        let mut inner = world.command(arguments);
        let mut outer = Command::new("unshare");
        // The project's own file system is read-only: that holds for root too.
        let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && cd \"$0\" && exec \"$@\"";
        outer.args(["-m", "sh", "-c", script]).arg(&project);
        outer.arg(inner.get_program()).args(inner.get_args()).env_clear();
        for (name, value) in inner.get_envs() {
            outer.env(name, value.unwrap());
        }
        inner.env_clear();
        Ran::of(&outer.current_dir("/").output().unwrap())
    };
    let out = world.path("elsewhere.tar");
    run(&["build", "--output", out.to_str().unwrap()]).succeeds();
    assert!(out.exists());
    let place = format!("`findmnt -T {}`", project.display());
    run(&["build"]).fails(3, &["project/hello-1.0.0.tar`", "Read-only", &place]);
    world.edit("rebar.config", "{branch, \"main\"}", "{tag, \"0.3.0\"}");
    run(&["lock"]).fails(3, &["project/rebeam.lock`", "Read-only", "hint: nothing can be written"]);
    let left: Vec<_> = fs::read_dir(&project)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().to_string_lossy().ends_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_store_of_a_newer_rebeam_is_left_alone() {
    let world = World::with("hello").with_own_store();
    let index = world.path("store/index.sqlite");
    let newer = rusqlite::Connection::open(&index).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let before = fs::read(&index).unwrap();
    for verb in [&["build"][..], &["lock"], &["store", "gc"]] {
        world.rebeam(verb).fails(3, &["format 99", "hint: use that rebeam", "--store"]);
    }
    assert!(fs::read(&index).unwrap() == before);
}

#[test]
fn two_rebeams_on_one_project_at_once_both_succeed_with_the_same_bytes() {
    let world = World::with("hello").with_own_store();
    let start = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    fs::remove_file(world.project().join("rebeam.lock")).unwrap();
    let locks = [start(&["lock"]), start(&["lock"])];
    for child in locks {
        Ran::of(&child.wait_with_output().unwrap()).succeeds();
    }
    let other = world.path("other.tar");
    let builds = [
        start(&["build"]),
        start(&["build", "--output", other.to_str().unwrap()]),
        start(&["build"]),
    ];
    for child in builds {
        Ran::of(&child.wait_with_output().unwrap()).succeeds();
    }
    assert!(image(&world) == fs::read(other).unwrap(), "the images differ");
    world.rebeam(&["store", "verify"]).succeeds();
}

#[test]
fn a_disk_that_fills_up_is_said_and_loses_nothing() {
    let reference = World::with("hello");
    reference.rebeam(&["build"]).succeeds();
    let world = World::with("hello").with_own_store();
    // The store as it is, below a layer of a few kilobytes: each size fills up at another moment.
    let script = r#"
        set -e
        mount -t tmpfs -o size=64m none "$1"
        mkdir "$1/small" "$1/point"
        mount -t tmpfs -o size="$2" none "$1/small"
        mkdir "$1/small/upper" "$1/small/work"
        mount -t overlay overlay -o "lowerdir=$REBEAM_STORE,upperdir=$1/small/upper,workdir=$1/small/work" "$1/point"
        code=0
        "$3" --store "$1/point" build || code=$?
        mount -o remount,size=1g "$1/small"
        "$3" --store "$1/point" build >&2
        exit "$code"
    "#;
    fs::create_dir(world.path("layer")).unwrap();
    let mut filled = 0;
    for size in ["2m", "14m", "30m", "36m", "40m", "44m", "48m", "512m"] {
        let of_rebeam = world.command(&[]);
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", script, "sh"])
            .arg(world.path("layer"))
            .args([size, env!("CARGO_BIN_EXE_rebeam")])
            .current_dir(world.project())
            .env_clear()
            .envs(of_rebeam.get_envs().map(|(name, value)| (name, value.unwrap())));
        drop(fs::remove_file(world.project().join("hello-1.0.0.tar")));
        let ran = Ran::of(&command.output().unwrap());
        if ran.code != 0 {
            filled += 1;
            ran.fails(3, &["the disk is full; `rebeam store gc`"]);
        }
        assert!(image(&world) == image(&reference), "the images differ after {size}");
    }
    assert!((2..8).contains(&filled), "{filled} of 8 disks were too small");
}

#[test]
fn a_package_that_left_the_pool_is_named_with_the_way_out() {
    let world = World::with("hello").with_empty_store();
    fs::create_dir(world.path("pool")).unwrap();
    world.edit("rebeam.toml", "[mirrors]", "[mirrors]\n\"http://ftp.debian.org/\" = \"../pool/\"");
    let says =
        ["has left Debian's pool", "/pool/debian/pool/main/", "hint: `rebeam update toolchain`"];
    world.rebeam(&["build"]).fails(3, &says);
}

#[test]
fn a_tampered_package_never_becomes_held() {
    let world = World::with("hello").with_empty_store();
    let lock = world.read("rebeam.lock");
    // Every package of the lock, with bytes of the right number that are not its own.
    for line in lock.lines().filter(|line| line.contains("path = \"pool/")) {
        let value = |key: &str| {
            let rest = line.split_once(&format!("{key} = ")).unwrap().1;
            rest.split([',', ' ', '}']).next().unwrap().trim_matches('"').to_owned()
        };
        for archive in ["debian", "debian-security"] {
            let path = world.path("pool").join(archive).join(value("path"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = fs::File::create(path).unwrap();
            file.set_len(value("size").parse().unwrap()).unwrap();
        }
    }
    world.edit("rebeam.toml", "[mirrors]", "[mirrors]\n\"http://ftp.debian.org/\" = \"../pool/\"");
    let ran = world.rebeam(&["build"]);
    ran.fails(3, &["is not", "sha256", "hint: "]);
    let held = fs::read_dir(world.path("store/blobs")).unwrap().count();
    assert_eq!(held, 0);
}

/// A registry that answers every call in one way, and counts them.
fn registry(
    answer: &'static str,
    delay: Duration,
) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = calls.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            std::thread::sleep(delay);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, calls)
}

fn with_registry(address: &str) -> World {
    let world = World::with("hello");
    let git = "{adler, {git, \"https://git.rebeam.test/adler.git\", {branch, \"main\"}}}";
    world.edit("rebar.config", git, "{ranch, \"1.8.0\"}");
    let mirror = format!("[mirrors]\n\"https://repo.hex.pm/\" = \"{address}\"");
    world.edit("rebeam.toml", "[mirrors]", &mirror);
    world
}

#[test]
fn a_registry_that_is_down_busy_cut_off_or_wrong_is_named_and_the_lock_stays() {
    let count =
        |calls: &std::sync::atomic::AtomicUsize| calls.load(std::sync::atomic::Ordering::SeqCst);
    let keeps = |address: &str, code: i32, says: &[&str]| {
        let world = with_registry(address);
        let lock = world.read("rebeam.lock");
        world.rebeam(&["lock"]).fails(code, says);
        assert_eq!(world.read("rebeam.lock"), lock);
    };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let says = ["`ranch` could not be fetched", "refused", "hint: `rebeam doctor`", "attempt 4"];
    keeps(&format!("http://{port}/"), 3, &says);

    let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (address, calls) = registry(busy, Duration::ZERO);
    let begun = Instant::now();
    keeps(&address, 3, &["429", "ranch", "again in 1"]);
    assert_eq!(count(&calls), 5);
    assert!(begun.elapsed() >= Duration::from_secs(4), "it did not wait as it was asked to");

    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\nhalf";
    let (address, calls) = registry(cut, Duration::from_millis(300));
    keeps(&address, 3, &["`ranch` could not be fetched", "hint: "]);
    assert_eq!(count(&calls), 5);

    let unsigned = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n\n\0\u{12}\0";
    let (address, _) = registry(unsigned, Duration::ZERO);
    keeps(&address, 3, &["ranch", "not signed", "hint: a mirror"]);
}

#[test]
fn a_build_that_is_killed_at_any_instant_is_taken_up_by_the_next() {
    let reference = World::with("hello");
    reference.rebeam(&["build"]).succeeds();
    let world = World::with("hello").with_own_store();
    let begun = Instant::now();
    let mut killed = 0;
    // Ever later, and at an odd pace, until a build ends before it is killed.
    for round in 0..40u64 {
        let said = fs::File::create(world.path("said")).unwrap();
        let mut child =
            world.command(&["build"]).stdout(Stdio::null()).stderr(said).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 37 % 400 + round * 15));
        let _ = child.kill();
        let status = child.wait().unwrap();
        if status.signal().is_none() {
            let said = fs::read_to_string(world.path("said")).unwrap();
            assert!(status.success(), "after {killed} kills: {status:?}: {said}");
            break;
        }
        killed += 1;
    }
    assert!(killed > 2, "{killed} kills in {:?}", begun.elapsed());
    world.rebeam(&["build"]).succeeds();
    assert!(image(&world) == image(&reference), "the images differ");
    world.rebeam(&["store", "verify"]).succeeds();
    assert!(processes_below(&world.path("store")).is_empty());
}

/// The host's processes whose root or directory lies below `place`.
fn processes_below(place: &Path) -> Vec<String> {
    let place = place.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let mounts = fs::read_to_string(path.join("mountinfo")).unwrap_or_default();
        let is_own = path.ends_with(std::process::id().to_string());
        if !is_own && mounts.contains(&place) {
            let command = fs::read(path.join("cmdline")).unwrap_or_default();
            found.push(String::from_utf8_lossy(&command).replace('\0', " "));
        }
    }
    found
}

#[test]
fn an_interrupt_kills_the_whole_tree_at_once_and_leaves_the_store_whole() {
    let time = format!("1234.{}", std::process::id());
    let script = format!("(sleep {time} & sleep {time} & wait)\n");
    let world = with_hook(&script);
    let mut command = world.command(&["build"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap();
    let sleepers = || {
        let of = |path: std::path::PathBuf| fs::read(path.join("cmdline")).unwrap_or_default();
        let all = fs::read_dir("/proc").unwrap().map(|entry| of(entry.unwrap().path()));
        all.filter(|command| command == format!("sleep\0{time}\0").as_bytes()).count()
    };
    let begun = Instant::now();
    while sleepers() < 2 {
        if let Some(status) = child.try_wait().unwrap() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("{status:?}: {said}");
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the hook never ran");
        std::thread::sleep(Duration::from_millis(20));
    }
    let interrupt = format!("-{}", child.id());
    let sent = Instant::now();
    let kill = format!("kill -INT {interrupt}");
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert!(status.code() == Some(130) || status.signal() == Some(2), "{status:?}");
    while sleepers() > 0 {
        assert!(sent.elapsed() < Duration::from_secs(2), "the tree lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
    world.rebeam(&["store", "verify"]).succeeds();
}

#[test]
fn a_step_that_forks_for_ever_is_stopped() {
    let world = with_hook(
        "f() { f | f & f; }; f 2>/dev/null; while :; do sleep 0.1 & done 2>/dev/null; exit 1\n",
    );
    let mut command = world.command(&["build"]);
    let begun = Instant::now();
    let ran = Ran::of(&command.output().unwrap());
    ran.fails(1, &["step `words`", "whole log: ", "hint: look inside"]);
    assert!(begun.elapsed() < Duration::from_secs(300));
    assert!(processes_below(&world.path("store")).is_empty());
}

#[test]
fn a_step_that_eats_memory_is_stopped() {
    let world = with_hook("exec tail /dev/zero\n");
    world.rebeam(&["build"]).fails(1, &["step `words`", "whole log: ", "hint: look inside"]);
}

#[test]
fn a_step_reaches_nothing_of_the_host() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let canary = Command::new("sleep").arg("4321").spawn();
    let mut canary = canary.unwrap();
    let home = tempfile::tempdir().unwrap();
    let script = format!(
        "echo x > /escape && echo ESCAPED root\n\
         echo x > /usr/escape && echo ESCAPED usr\n\
         echo x > {home}/escape && echo ESCAPED host\n\
         echo x > ../../../../../../escape && echo ESCAPED above\n\
         (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo ESCAPED network\n\
         erl -noinput -eval 'case gen_tcp:connect({{127,0,0,1}}, {port}, [], 2000) of \
            {{ok, _}} -> io:put_chars(\"ESCAPED network~n\"); _ -> ok end, halt(0).'\n\
         kill -0 {pid} 2>/dev/null && echo ESCAPED process; kill -9 {pid} 2>/dev/null\n\
         grep -l 4321 /proc/[0-9]*/cmdline 2>/dev/null && echo ESCAPED sight\n\
         test $(ls -d /proc/[0-9]* | wc -l) -lt 40 || echo ESCAPED processes\n\
         cat /etc/shadow {home}/* 2>/dev/null && echo ESCAPED files\n\
         echo looked; exit 1\n",
        home = home.path().display(),
        pid = canary.id(),
    );
    let world = with_hook(&script);
    let ran = world.rebeam(&["build"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("step `words`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("looked"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("ESCAPED"), "{}", ran.stderr);
    assert!(canary.try_wait().unwrap().is_none(), "a process of the host was killed");
    canary.kill().unwrap();
    canary.wait().unwrap();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    for place in ["/escape", "/usr/escape"] {
        assert!(!Path::new(place).exists(), "{place}");
    }
}

#[test]
fn a_step_that_kills_all_it_sees_kills_only_itself() {
    let mut canary = Command::new("sleep").arg("4322").spawn().unwrap();
    let world = with_hook("kill -9 -1\n");
    let ran = world.rebeam(&["build"]);
    ran.fails(1, &["step `words` was killed by signal 9"]);
    assert!(canary.try_wait().unwrap().is_none(), "a process of the host was killed");
    canary.kill().unwrap();
    canary.wait().unwrap();
}
