//! A closure of real sources, fifteen of them, three with native code: locked, built, started.
//!
//! The sources are Debian's own upstream tarballs, pinned by SHA-256 and fetched from wherever this host gets its
//! packages. Debian's pool drops what was superseded, so a file that is gone skips the test with a line that names
//! it; `REBEAM_CLOSURE=required` makes it an error.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rebeam::digest::Digest;
use rebeam::event::Silent;
use rebeam::fetch::debian::base_address;
use rebeam::http::{Http, Mirrors, Network, Request};

use super::harness::{World, built_alike};

/// Repository, tag, source package, the version in the file's name, SHA-256.
const PINS: [[&str; 5]; 15] = [
    [
        "p1_utils",
        "1.0.26",
        "erlang-p1-utils",
        "1.0.26",
        "d0c963b29914bf53d87cf3f1889f89fe777fecebcf1667989c2165beb786494b",
    ],
    [
        "cache_tab",
        "1.0.31",
        "erlang-p1-cache-tab",
        "1.0.31",
        "3e5245c2f6a1e0d18a3fb0001dfadb5221a06a8c81033dcd4fed50dc69a45550",
    ],
    [
        "mqtree",
        "1.0.17",
        "erlang-p1-mqtree",
        "1.0.17",
        "2054083900865b136e1aac88d4fe2105732cbc11abae3170a9613a1208490187",
    ],
    [
        "stringprep",
        "1.0.30",
        "erlang-p1-stringprep",
        "1.0.30",
        "0e3a2c1d1897be2057f85cf7029a51a74a4df32a81687e8104ad741058b7a4a7",
    ],
    [
        "jiffy",
        "1.1.2",
        "erlang-jiffy",
        "1.1.2",
        "f43bafc1ae5c9c1a7843a4c6b2d0b7ef57188e567381bf734035ef9701a7458f",
    ],
    [
        "p1_oauth2",
        "0.6.14",
        "erlang-p1-oauth2",
        "0.6.14",
        "753f218e97288b39b6535fc1e23d1b5307ef37329b5f87c92e0371053a27ae7d",
    ],
    [
        "p1_mysql",
        "1.0.25",
        "erlang-p1-mysql",
        "1.0.25",
        "7f681cd596bc9e72ab5486d07bd7b1a751e871b22cacf50930ecdb6b568fc59a",
    ],
    [
        "goldrush",
        "0.2.0",
        "erlang-goldrush",
        "0.2.0",
        "74621753efbb420e293292d383db7cf84abfe18dff3adc4b8c825aeed9a75d45",
    ],
    [
        "lager",
        "3.9.2",
        "erlang-lager",
        "3.9.2",
        "d35670b63d64196ac05bde66e08279730bd6561f18ec5df5f3795769b9071731",
    ],
    [
        "getopt",
        "1.0.2",
        "erlang-getopt",
        "1.0.2",
        "ab1860aae379ec64cd01714b1b34f8638e1d25057f3ba3992a9b4f028019db1a",
    ],
    [
        "bbmustache",
        "1.12.2",
        "erlang-bbmustache",
        "1.12.2",
        "1e375c12b9f1e4acc90d9e32e920a2465c7ef29ff0b0ba9d4d7d7cf4274d3c0a",
    ],
    [
        "poolboy",
        "1.5.2",
        "erlang-poolboy",
        "1.5.2+dfsg",
        "8206358aeadedc4c8a2894fbabab7d8f6256a467765bcce919705858526ff0d5",
    ],
    [
        "base64url",
        "1.0.1",
        "erlang-base64url",
        "1.0.1",
        "1020576a0c1ebebb6069cc7dbafe12e1a66375993cebb4a44286015facd05e83",
    ],
    [
        "unicode_util_compat",
        "0.7.0",
        "erlang-unicode-util-compat",
        "0.7.0",
        "c6d7e119e94b93aa13cd0f434481cf6143d4518961b6497dcf2fb8e96f45eb19",
    ],
    [
        "idna",
        "6.1.1",
        "erlang-idna",
        "6.1.1",
        "565b8fe4f288f772568d16123ebe86949a9667ec02d9b6e24d785098ecea4adf",
    ],
];
const TARBALL_BYTES_MAX: u64 = 16 << 20;

/// Returns the tarball out of the cache, which is filled from the archive.
fn tarball(package: &str, version: &str, sha256: &str) -> Result<PathBuf, String> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/closure-cache");
    fs::create_dir_all(&cache).unwrap();
    let name = format!("{package}_{version}.orig.tar.gz");
    let path = cache.join(&name);
    if !path.exists() {
        let http = Http::new(Network::Open, Mirrors::default());
        let base = base_address(&http).map_err(|error| error.to_string())?;
        let request = Request {
            name: &name,
            url: &format!("{base}/pool/main/{}/{package}/{name}", &package[..1]),
            limit: TARBALL_BYTES_MAX,
            headers: &[],
        };
        let part = cache.join(format!(".{name}.{}", std::process::id()));
        drop(fs::remove_file(&part));
        http.download(&request, &part, &Silent).map_err(|error| error.to_string())?;
        fs::rename(&part, &path).unwrap();
    }
    let found = Digest::of(&fs::read(&path).unwrap()).hex();
    assert_eq!(found, sha256, "{name} is not the pinned one");
    Ok(path)
}

/// Makes a bare repository of a tarball: one commit with a fixed author and date, tagged.
fn repository(world: &World, name: &str, tag: &str, tarball: &Path) {
    let work = world.path("unpacked").join(name);
    fs::create_dir_all(&work).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&work);
        for (variable, value) in [
            ("NAME", "fixture"),
            ("EMAIL", "fixture@rebeam.test"),
            ("DATE", "2024-06-01T10:00:00Z"),
        ] {
            command.env(format!("GIT_AUTHOR_{variable}"), value);
            command.env(format!("GIT_COMMITTER_{variable}"), value);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    };
    let (file, bare) = (tarball.to_str().unwrap(), world.path("git"));
    run("tar", &["-xzf", file, "--strip-components=1", "--no-same-owner"]);
    run("git", &["-c", "init.defaultBranch=main", "init", "-q"]);
    run("git", &["add", "-Af"]);
    run("git", &["-c", "commit.gpgSign=false", "commit", "-qm", tag]);
    run("git", &["-c", "tag.gpgSign=false", "tag", tag]);
    let bare = bare.join(format!("{name}.git"));
    run("git", &["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
}

/// Makes the project with all its repositories; `None` where a source is not to be had any more.
fn project() -> Option<World> {
    let world = World::with("closure");
    for [name, tag, package, version, sha256] in PINS {
        match tarball(package, version, sha256) {
            Ok(tarball) => repository(&world, name, tag, &tarball),
            Err(why) => {
                assert!(
                    std::env::var_os("REBEAM_CLOSURE").is_none_or(|word| word != "required"),
                    "{package} {version}: {why}"
                );
                // Not by a macro, whose output a passing test keeps for itself.
                let line =
                    format!("skipped: the archive does not give {package} {version}: {why}\n");
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                return None;
            }
        }
    }
    Some(world)
}

#[test]
fn a_closure_of_real_sources_boots_and_gives_the_same_bytes_twice() {
    let (Some(one), Some(two)) = (project(), project()) else {
        return;
    };
    let [one, two] = built_alike([one, two], "closure-1.0.0.tar");
    let lock = one.read("rebeam.lock");
    assert_eq!(lock.matches("[[source]]").count(), PINS.len() + 1, "{lock}");
    assert_eq!(lock, two.read("rebeam.lock"));
}
