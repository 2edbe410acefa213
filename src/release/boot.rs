//! Boot: the room in which a release has to show that it starts.

use std::collections::BTreeMap;
use std::path::Path;

use super::Release;
use crate::sandbox::{Bounds, Level, Reach, Room};

/// What the node says once its boot script has run to the end.
const MARK: &str = "rebeam_node_has_started";
/// Lines that are told of a failed start.
const LINES_MAX: usize = 20;

/// Whether a release started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootVerdict {
    /// Its boot script ran to the end.
    Started,
    /// It did not; the last lines that it said.
    Failed {
        /// The lines, the last at the end.
        lines: Vec<String>,
    },
}

/// Makes the room in which the release starts from `root`, where exactly the image's files stand.
///
/// The node is started as the image starts it. The emulator takes further arguments from
/// `ERL_ZFLAGS`: after the boot script, print a mark, then stop in order.
pub fn boot_room(
    release: &Release,
    root: &Path,
    user: (u32, u32),
    timeout_s: u64,
    level: Level,
) -> Room {
    let mut env: BTreeMap<String, String> = release.start.env.clone();
    // A node whose applications do not stop in time has started nevertheless.
    let probe = format!(
        "-eval 'erlang:display({MARK}),spawn(fun()->timer:sleep(5000),erlang:halt(0)end),init:stop().'"
    );
    let flags = env.entry("ERL_ZFLAGS".into()).or_default();
    *flags = format!("{flags} {probe}").trim().to_owned();
    let mut argv = release.start.entrypoint.clone();
    argv.extend(release.start.cmd.clone());
    Room {
        root: root.to_owned(),
        mounts: Vec::new(),
        argv,
        env,
        cwd: release.start.directory.clone(),
        user,
        bounds: Bounds {
            wall_s: timeout_s,
            memory_bytes: None,
            processes: 4096,
            file_bytes: 1 << 30,
            cores: 2,
        },
        reach: Reach::Closed,
        level,
    }
}

/// Judges by what the node printed.
pub fn boot_verdict<'a>(lines: impl IntoIterator<Item = &'a str>) -> BootVerdict {
    let mut last: Vec<String> = Vec::new();
    for line in lines {
        let line = line.trim_end();
        if line.trim_matches('\'') == MARK {
            return BootVerdict::Started;
        }
        if last.len() == LINES_MAX {
            last.remove(0);
        }
        last.push(line.to_owned());
    }
    BootVerdict::Failed { lines: last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_says_the_mark_has_started() {
        let lines = [
            "=PROGRESS REPORT=\r\n",
            "rebeam_node_has_started\r\n",
            "more",
        ];
        assert_eq!(boot_verdict(lines), BootVerdict::Started);
    }

    #[test]
    fn a_node_that_dies_is_quoted_at_its_end() {
        let lines: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        let BootVerdict::Failed { lines } = boot_verdict(lines.iter().map(String::as_str)) else {
            panic!("it did not start");
        };
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines.last().unwrap(), "line 99");
    }
}
