//! Boot: the room in which a release has to show that it starts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use super::{Content, Release};
use crate::sandbox::{Access, Bounds, Guise, Level, Mount, Reach, Reply, Room, Status};

/// What the node says once its boot script has run to the end, and what the release's own check asks for is done.
const MARK: &str = "rebeam_node_has_started";
/// What it says before the release's own check.
const CHECK_MARK: &str = "rebeam_node_is_checked";
/// What it says where that fails.
const FAILED_MARK: &str = "rebeam_check_has_failed";
/// The variable that holds the expression of the check.
const EXPRESSION: &str = "REBEAM_SMOKE_EVAL";
/// The variable that holds the command of the check, and what separates its arguments there.
const COMMAND: &str = "REBEAM_SMOKE";
const SEPARATOR: &str = "\x1e";
/// How often, 20 ms apart, the node is looked at for applications that are neither there nor starting.
const LOOKS_MAX: u32 = 250;
/// Lines that are told of a failed start.
const LINES_MAX: usize = 20;

/// Whether a release started and stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootVerdict {
    /// Its boot script ran to the end, and it stopped when it was asked to.
    Started,
    /// It did not start; the last lines that it said.
    Failed {
        /// `it ended with exit code 127`.
        how: String,
        /// The lines, the last at the end.
        lines: Vec<String>,
    },
    /// It started, and then did not stop in order.
    DidNotStop {
        /// `took longer than 30 s`, `ended with exit code 1`.
        how: String,
    },
    /// It started, and its own check failed.
    CheckFailed {
        /// What was the matter with it, if more than its words tell.
        how: Option<String>,
        /// What it said, the last at the end.
        lines: Vec<String>,
    },
}

/// Hears what a starting node says.
#[derive(Debug, Default)]
pub struct BootWatch {
    started: bool,
    checks: bool,
    failed: bool,
    last: VecDeque<String>,
}

impl BootWatch {
    /// Takes a line; the answer asks the node to stop once it has started.
    pub fn hear(&mut self, line: &str) -> Reply {
        let line = line.trim_end();
        // A logger that was in the middle of a line may stand before it.
        if line.ends_with(MARK) {
            (self.started, self.checks) = (true, false);
            return Reply::Terminate;
        }
        if line.ends_with(CHECK_MARK) {
            self.checks = true;
            self.last.clear();
            return Reply::Continue;
        }
        if line.ends_with(FAILED_MARK) {
            self.failed = true;
            return Reply::Terminate;
        }
        // What the node says while it stops tells nothing of the check.
        if self.failed {
            return Reply::Continue;
        }
        if self.last.len() == LINES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
        Reply::Continue
    }

    /// Judges by what was heard and how the node ended.
    pub fn verdict(self, status: Status) -> BootVerdict {
        if self.failed {
            return BootVerdict::CheckFailed { how: None, lines: self.last.into() };
        }
        let how = match status {
            Status::Exited(0) if self.started => return BootVerdict::Started,
            Status::Exited(code) => format!("it ended with exit code {code}"),
            Status::Killed { signal } => format!("it was killed by signal {signal}"),
            Status::TimedOut => "it went on until the time for the check was over".into(),
        };
        match self.started {
            true => BootVerdict::DidNotStop { how },
            false if self.checks => {
                BootVerdict::CheckFailed { how: Some(how), lines: self.last.into() }
            }
            false => BootVerdict::Failed { how, lines: self.last.into() },
        }
    }
}

/// What the node evaluates: the boot script only sets the applications' start going, so it waits until none is starting
/// any more and all are there that the boot script holds for permanent. One that fails ends the node, though perhaps
/// not at once; one that is still away while the node lives on was stopped in order by another. The mark goes through
/// the node's own output, so that a logger's lines do not get in between; the numbers spell `.boot` and `~w~n`. Then
/// comes the release's own check, where there is one.
fn probe() -> String {
    let permanent = "case init:get_argument(boot) of error -> []; {ok,Boots} -> \
        case erl_prim_loader:get_file(lists:last(lists:append(Boots))++[46,98,111,111,116]) of \
        error -> []; {ok,Boot,_} -> {script,_,Script}=binary_to_term(Boot), \
        [App||{apply,{application,start_boot,[App,permanent]}}<-Script] end end";
    format!(
        "(fun Wait(All,Left) -> Info=application:info(), Starting=proplists:get_value(starting,Info), \
         Started=[element(1,App)||App<-proplists:get_value(started,Info)], \
         case Starting++(All--Started) of Away when Away=:=[]; Starting=:=[],Left=:=0 -> \
         {check}; _ -> timer:sleep(20),Wait(All,case Starting of [] -> Left-1; _ -> {LOOKS_MAX} end) end end)\
         ({permanent},{LOOKS_MAX}).",
        check = check(),
    )
}

/// The release's own check, evaluated in the node: an expression, and a command whose output is the node's. Both stand in
/// variables, since flags of the emulator cannot hold every sign.
fn check() -> String {
    let name = |name: &str| format!("{:?}", name.as_bytes());
    let (expression, command) = (name(EXPRESSION), name(COMMAND));
    let say = |mark: &str| format!("io:fwrite(user,[126,119,126,110],[{mark}])");
    let (begins, passed, failed) = (say(CHECK_MARK), say(MARK), say(FAILED_MARK));
    let evaluate = "{ok,Tokens,_}=erl_scan:string(Text),{ok,Parsed}=erl_parse:parse_exprs(Tokens),\
         {value,Value,_}=erl_eval:exprs(Parsed,[]),Value=:=false andalso error(it_is_false)";
    let execute = "[Name|Arguments]=string:split(Line,[30],all),\
         File=case os:find_executable(Name) of false -> error({there_is_no,list_to_atom(Name)}); Found -> Found end,\
         Port=open_port({spawn_executable,File},\
         [{args,Arguments},exit_status,stderr_to_stdout,hide,{line,4096}]),\
         (fun Hear() -> receive {Port,{data,{_,Said}}} -> io:fwrite(user,[126,115,126,110],[Said]),Hear(); \
         {Port,{exit_status,0}} -> ok; {Port,{exit_status,Code}} -> error({exit_code,Code}) end end)()";
    format!(
        "case {{os:getenv({expression}),os:getenv({command})}} of {{false,false}} -> {passed}; {{Text,Line}} -> {begins},\
         try Text=:=false orelse begin {evaluate} end,Line=:=false orelse begin {execute} end of _ -> {passed} \
         catch _:Why -> io:fwrite(user,[126,112,126,110],[Why]),{failed} end end"
    )
}

/// Lets a release be checked by what it says itself once it has started: an expression that the node evaluates, and a
/// command.
pub fn check_in(room: &mut Room, expression: Option<&str>, command: &[String]) {
    let text = expression.map(|text| format!("{}.", text.trim().trim_end_matches('.')));
    room.env.extend(text.map(|text| (EXPRESSION.to_owned(), text)));
    if !command.is_empty() {
        room.env.insert(COMMAND.into(), command.join(SEPARATOR));
    }
}

/// Makes the room in which the release starts from `root`, where exactly the image's files stand.
///
/// The node is started as the image starts it. The emulator takes further arguments from
/// `ERL_ZFLAGS`: after the boot script it prints a mark, and then it is asked to stop as a container's runtime asks.
pub fn boot_room(
    release: &Release,
    root: &Path,
    user: (u32, u32),
    timeout_s: u64,
    level: Level,
) -> Room {
    let mut env: BTreeMap<String, String> = release.start.env.clone();
    let probe = format!("-eval '{}'", probe());
    let flags = env.entry("ERL_ZFLAGS".into()).or_default();
    *flags = format!("{flags} {probe}").trim().to_owned();
    let mut argv = release.start.entrypoint.clone();
    argv.extend(release.start.cmd.clone());
    let mounts = writable_mounts(root, release.writable(user.0));
    Room {
        root: root.to_owned(),
        mounts,
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
        guise: Guise::default(),
    }
}

impl Release {
    /// Returns the directories that a container's user may write to, without those inside another.
    ///
    /// To root a container's whole file system is open, so the directories at the top are.
    fn writable(&self, user: u32) -> BTreeSet<String> {
        let mut writable = BTreeSet::new();
        for (path, node) in self.components.iter().flat_map(|part| &part.entries) {
            let path = path.to_string();
            let own = node.uid == user && (user != 0 || !path.contains('/'));
            if own && node.content == Content::Directory {
                writable.insert(format!("/{path}"));
            }
        }
        writable
    }
}

/// Makes mounts of those directories below `root` that a container's user may write to: a room's root is
/// read-only, a container's is not.
pub fn writable_mounts(root: &Path, writable: BTreeSet<String>) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for inside in writable {
        // These are the room's own already, and open to everyone.
        let common = ["/tmp", "/dev", "/proc"].contains(&inside.as_str());
        let within = |mount: &Mount| inside.starts_with(&format!("{}/", mount.inside));
        if common || mounts.iter().any(within) {
            continue;
        }
        mounts.push(Mount {
            host: root.join(inside.trim_start_matches('/')),
            inside,
            access: Access::ReadWrite,
        });
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_writable_directory_is_mounted_with_it() {
        let inside = ["/app/log", "/app/log/old", "/app/logs", "/tmp"].map(str::to_owned);
        let mounts = writable_mounts(Path::new("/root"), inside.into());
        let seen: Vec<&str> = mounts.iter().map(|mount| mount.inside.as_str()).collect();
        assert_eq!(seen, ["/app/log", "/app/logs"]);
        assert_eq!(mounts[0].host, Path::new("/root/app/log"));
    }

    #[test]
    fn a_node_that_says_the_mark_is_asked_to_stop() {
        let mut watch = BootWatch::default();
        assert_eq!(watch.hear("=PROGRESS REPORT=\r\n"), Reply::Continue);
        assert_eq!(watch.hear("rebeam_node_has_started\r\n"), Reply::Terminate);
        assert_eq!(watch.verdict(Status::Exited(0)), BootVerdict::Started);
    }

    #[test]
    fn a_node_that_does_not_stop_has_not_passed() {
        let mut watch = BootWatch::default();
        watch.hear(MARK);
        assert!(matches!(watch.verdict(Status::TimedOut), BootVerdict::DidNotStop { .. }));
    }

    #[test]
    fn a_node_that_dies_is_quoted_at_its_end() {
        let mut watch = BootWatch::default();
        for number in 0..100 {
            watch.hear(&format!("line {number}"));
        }
        let BootVerdict::Failed { how, lines } = watch.verdict(Status::Exited(0)) else {
            panic!("it did not start");
        };
        assert_eq!(how, "it ended with exit code 0");
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines.last().unwrap(), "line 99");
    }

    #[test]
    fn a_check_of_the_releases_own_decides_and_is_quoted_alone() {
        let mut watch = BootWatch::default();
        for line in ["starting", CHECK_MARK, "wget: cannot connect", "{exit_code,1}"] {
            assert_eq!(watch.hear(line), Reply::Continue);
        }
        assert_eq!(watch.hear(FAILED_MARK), Reply::Terminate);
        watch.hear("stopping");
        let lines = ["wget: cannot connect", "{exit_code,1}"].map(str::to_owned).to_vec();
        let failed = BootVerdict::CheckFailed { how: None, lines };
        assert_eq!(watch.verdict(Status::Exited(0)), failed);
        let mut watch = BootWatch::default();
        watch.hear(CHECK_MARK);
        let BootVerdict::CheckFailed { how, lines } = watch.verdict(Status::TimedOut) else {
            panic!("it went on");
        };
        assert!(how.unwrap().contains("until the time") && lines.is_empty());
        let mut watch = BootWatch::default();
        watch.hear(CHECK_MARK);
        assert_eq!(watch.hear(MARK), Reply::Terminate);
        assert_eq!(watch.verdict(Status::Exited(0)), BootVerdict::Started);
    }
}
