//! What opening a room costs, beside bubblewrap doing the same.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::World;

const ROUNDS: usize = 200;

/// The least and the median time of an action.
fn measure(action: impl Fn()) -> (Duration, Duration) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            action();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times[0], times[ROUNDS / 2])
}

#[test]
#[ignore = "measures; run it alone, on a quiet machine, in a release build"]
fn a_room_opens_no_slower_than_bubblewraps() {
    let mut world = World::new();
    world.room.argv = vec!["/usr/bin/true".into()];
    let root = world.room.root.to_str().unwrap().to_owned();
    let build = world.path("build").to_str().unwrap().to_owned();
    let script = format!(
        "--unshare-all --die-with-parent --new-session --clearenv --uid 1000 --gid 1000 --hostname rebeam \
         --ro-bind {root}/usr /usr --ro-bind {root}/etc /etc --symlink usr/bin /bin --tmpfs /tmp --dev /dev \
         --proc /proc --bind {build} /build --chdir /build /usr/bin/true"
    );
    let arguments: Vec<&str> = script.split_whitespace().collect();
    let ours = measure(|| drop(world.run().well()));
    let theirs = measure(|| {
        let mut bubblewrap = Command::new("bwrap");
        assert!(bubblewrap.args(&arguments).output().unwrap().status.success());
    });
    println!("rebeam: least {:?}, median {:?}", ours.0, ours.1);
    println!("bwrap:  least {:?}, median {:?}", theirs.0, theirs.1);
    assert!(ours.0 <= theirs.0.mul_f64(1.1), "slower than bubblewrap");
}
