//! Plans as data, on a host that does not exist.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::place::{Host, Look};
use super::plan::{Action, Outgoing, Plan, Talk, plan};
use super::{Access, Bounds, Guise, Level, Mount, Reach, Room, SandboxError};

/// A host as a table of paths; the directories above each are there too.
struct Table(BTreeMap<PathBuf, Look>);

impl Table {
    fn new(files: &[&str], links: &[(&str, &str)]) -> Self {
        let mut table = BTreeMap::new();
        let entries = files.iter().map(|path| (*path, Look::File));
        let links = links.iter().map(|(path, to)| (*path, Look::Link((*to).to_owned())));
        for (path, look) in entries.chain(links) {
            let path = Path::new(path);
            for above in path.ancestors().skip(1) {
                table.insert(above.to_owned(), Look::Directory);
            }
            table.insert(path.to_owned(), look);
        }
        Self(table)
    }
}

impl Host for Table {
    fn look(&self, path: &Path) -> Result<Look, SandboxError> {
        Ok(self.0.get(path).cloned().unwrap_or(Look::Missing))
    }

    fn names(&self, path: &Path) -> Result<Vec<String>, SandboxError> {
        let below = self.0.keys().filter(|entry| entry.parent() == Some(path));
        let name = |entry: &PathBuf| entry.file_name().unwrap().to_str().unwrap().to_owned();
        Ok(below.map(name).collect())
    }
}

fn host() -> Table {
    let files = [
        "/root/usr/bin/sh",
        "/root/etc/passwd",
        "/root/opt/app/kept",
        "/store/build/file",
        "/store/deps/file",
        "/store/one",
        "/sys/x",
        "/mnt/x",
        "/etc/resolv.conf",
    ];
    Table::new(&files, &[("/root/bin", "usr/bin"), ("/root/out", "/../../../etc")])
}

fn room(mounts: &[(&str, &str, Access)]) -> Room {
    let mount = |(host, inside, access): &(&str, &str, Access)| Mount {
        host: host.into(),
        inside: (*inside).into(),
        access: *access,
    };
    Room {
        root: "/root".into(),
        mounts: mounts.iter().map(mount).collect(),
        argv: vec!["sh".into()],
        env: BTreeMap::new(),
        cwd: "/".into(),
        user: (1000, 1000),
        bounds: Bounds { wall_s: 1, memory_bytes: None, processes: 10, file_bytes: 10, cores: 1 },
        reach: Reach::Closed,
        level: Level::Userns,
        guise: Guise::default(),
    }
}

fn planned(room: &Room) -> Result<Plan, SandboxError> {
    plan(room, Talk::Log, "/store/.room", &host())
}

fn shown(plan: &Plan) -> Vec<(&str, &str, bool)> {
    plan.actions
        .iter()
        .filter_map(|action| match action {
            Action::Bind { from, at, writable } => Some((from.as_str(), at.as_str(), *writable)),
            _ => None,
        })
        .collect()
}

const BUILD: (&str, &str, Access) = ("/store/build", "/build", Access::ReadWrite);

#[test]
fn the_root_is_shown_read_only_and_only_the_writable_mount_is_writable() {
    let plan = planned(&room(&[BUILD, ("/store/deps", "/deps/a", Access::ReadOnly)])).unwrap();
    let expected = [
        ("/root/etc", "/sys/etc", false),
        ("/root/opt", "/sys/opt", false),
        ("/root/usr", "/sys/usr", false),
        ("/store/build", "/sys/build", true),
        ("/store/deps", "/sys/deps/a", false),
    ];
    assert_eq!(shown(&plan), expected);
    let link = Action::Link { at: "/sys/bin".into(), target: "usr/bin".into() };
    assert!(plan.actions.contains(&link));
}

#[test]
fn privileges_fall_after_all_that_needs_them_and_the_filter_is_last() {
    for level in [Level::Userns, Level::Root, Level::Chroot] {
        let mut room = room(&[BUILD]);
        room.level = level;
        let plan = planned(&room).unwrap();
        let outgoing = if level == Level::Chroot { Outgoing::Refused } else { Outgoing::Free };
        let end = [Action::DropCapabilities, Action::Filter { outgoing }];
        assert!(plan.actions.ends_with(&end), "{level:?}");
        let place = |wanted: fn(&Action) -> bool| plan.actions.iter().position(wanted).unwrap();
        let drop = place(|action| matches!(action, Action::EmptyBounds));
        let root = place(|a| matches!(a, Action::ChangeRoot { .. } | Action::Chroot { .. }));
        assert!(root < drop, "{level:?}");
        let become_user = plan.actions.iter().any(|a| matches!(a, Action::Become { .. }));
        assert_eq!(become_user, level != Level::Userns);
        assert_eq!(plan.namespaces.user, level == Level::Userns);
    }
}

#[test]
fn the_network_is_closed_unless_the_hosts_is_asked_for() {
    let mut room = room(&[]);
    let plan = planned(&room).unwrap();
    assert!(plan.namespaces.network && plan.actions.contains(&Action::Loopback));
    room.reach = Reach::Host;
    let plan = planned(&room).unwrap();
    assert!(!plan.namespaces.network && !plan.actions.contains(&Action::Loopback));
    assert!(shown(&plan).contains(&("/etc/resolv.conf", "/sys/etc/resolv.conf", false)));
}

#[test]
fn a_directory_is_taken_apart_only_where_a_mount_lacks_a_place() {
    let plan = planned(&room(&[("/store/one", "/opt/app/new", Access::ReadOnly)])).unwrap();
    let expected = [
        ("/root/etc", "/sys/etc", false),
        ("/root/opt/app/kept", "/sys/opt/app/kept", false),
        ("/root/usr", "/sys/usr", false),
        ("/store/one", "/sys/opt/app/new", false),
    ];
    assert_eq!(shown(&plan), expected);
    let plan = planned(&room(&[("/store/one", "/opt/app/kept", Access::ReadOnly)])).unwrap();
    assert!(shown(&plan).contains(&("/root/opt", "/sys/opt", false)));
}

#[test]
fn links_of_the_root_do_not_lead_a_mount_out_of_it() {
    let plan = planned(&room(&[
        ("/store/deps", "/bin/deps", Access::ReadOnly),
        ("/store/one", "/out/one", Access::ReadOnly),
    ]));
    let plan = plan.unwrap();
    assert!(shown(&plan).contains(&("/store/deps", "/sys/usr/bin/deps", false)));
    assert!(shown(&plan).contains(&("/store/one", "/sys/etc/one", false)));
}

#[test]
fn the_base_hides_nothing_that_the_room_needs() {
    let table = Table::new(&["/sys/root/usr/sh", "/mnt/deps/file", "/srv/x"], &[]);
    let mut room = room(&[("/mnt/deps", "/deps", Access::ReadOnly)]);
    room.root = "/sys/root".into();
    let plan = plan(&room, Talk::Log, "/spare", &table).unwrap();
    assert!(shown(&plan).contains(&("/sys/root/usr", "/srv/usr", false)));
}

#[test]
fn rooms_that_cannot_be_are_refused_with_the_name_of_what_is_wrong() {
    type Spoil = fn(&mut Room);
    let spoil: [(&str, Spoil); 9] = [
        ("no command", |room| room.argv.clear()),
        ("zero byte", |room| room.argv.push("a\0b".into())),
        ("`A=B`", |room| drop(room.env.insert("A=B".into(), String::new()))),
        ("`build`", |room| room.cwd = "build".into()),
        ("`/a/../b`", |room| room.mounts[0].inside = "/a/../b".into()),
        ("whole root", |room| room.mounts[0].inside = "//".into()),
        ("`/nothing`", |room| room.mounts[0].host = "/nothing".into()),
        ("`/gone` is not a directory", |room| room.root = "/gone".into()),
        ("`/build` is mounted twice", |room| room.mounts.push(room.mounts[0].clone())),
    ];
    for (expected, spoil) in spoil {
        let mut room = room(&[BUILD]);
        spoil(&mut room);
        match planned(&room) {
            Err(SandboxError::BadRoom { reason }) => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn the_chroot_moves_what_is_writable_and_links_the_rest() {
    let mut room = room(&[BUILD, ("/store/deps", "/build/deps", Access::ReadOnly)]);
    room.level = Level::Chroot;
    let plan = planned(&room).unwrap();
    assert!(shown(&plan).is_empty());
    let moved = Action::MoveIn { from: "/store/build".into(), at: "/store/.room/build".into() };
    assert!(plan.actions.contains(&moved));
    room.mounts[1].access = Access::ReadWrite;
    assert!(matches!(planned(&room), Err(SandboxError::BadRoom { .. })));
}

#[test]
fn a_plan_reads_back_as_it_was_written() {
    let plan = planned(&room(&[BUILD])).unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    assert!(!text.contains('\n'));
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

proptest! {
    /// Wherever mounts are asked for, each has a place that was made before, and none is outside.
    #[test]
    fn every_mount_has_a_place(
        insides in prop::collection::btree_set("(/(bin|opt|app|new|etc|usr|tmp|a)){1,4}", 1..5),
    ) {
        let mounts: Vec<_> = insides
            .iter()
            .map(|inside| ("/store/deps", inside.as_str(), Access::ReadOnly))
            .collect();
        let plan = match planned(&room(&mounts)) {
            Ok(plan) => plan,
            // Two names of one place.
            Err(error) => {
                prop_assert!(error.to_string().contains("mounted twice"), "{error}");
                return Ok(());
            }
        };
        let mut places: Vec<&str> = Vec::new();
        for action in &plan.actions {
            match action {
                Action::Directory { at } | Action::File { at } | Action::Place { at, .. } => places.push(at),
                Action::Bind { at, .. } => {
                    prop_assert!(at.starts_with("/sys/") && !at.contains(".."));
                    prop_assert!(places.contains(&at.as_str()), "{at} in {:?}", plan.actions);
                }
                _ => {}
            }
        }
        for mount in &mounts {
            let count = shown(&plan).iter().filter(|(from, ..)| *from == "/store/deps").count();
            prop_assert_eq!(count, mounts.len(), "{:?}", mount);
        }
    }
}
