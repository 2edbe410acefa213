//! Sandbox: what holds inside a room, shown from inside, with a static busybox as the only program.

mod harness;

use harness::World;
use rebeam::sandbox::Status;

#[test]
fn a_command_runs_and_its_exit_code_is_told() {
    let world = World::new();
    let seen = world.sh("echo hello; exit 7");
    assert_eq!(seen.status(), Status::Exited(7));
    assert_eq!(seen.lines, ["hello"]);
}
