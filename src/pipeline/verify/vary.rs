//! Vary: what of a room is another for the second build, and how.
//!
//! The kernel gives a room no clock of its own that shows the time of day, so a small library does it: every
//! program of the room loads it before the C library and asks it for the time. The toolchain's own compiler makes it.
//! What is linked statically or asks the kernel directly sees the true time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::compile::{self, Variation};
use crate::disk;
use crate::explain::Failure;
use crate::pipeline::Desk;
use crate::sandbox::{self, Access, Mount, Reply, Status};
use crate::toolchain::Toolchain;

/// Something of a room that differs between the two builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vary {
    /// The host's name.
    Host,
    /// The user's and the group's number.
    User,
    /// The bits that a new file does not get.
    Umask,
    /// The time zone.
    Zone,
    /// The language and its rules; the encoding stays UTF-8.
    Locale,
    /// The cores that are seen, and with them what is done at once.
    Cores,
    /// The time of day.
    Clock,
    /// The directory in which everything is built.
    Path,
}

impl Vary {
    /// Everything.
    pub const ALL: [Self; 8] = [
        Self::Host,
        Self::User,
        Self::Umask,
        Self::Zone,
        Self::Locale,
        Self::Cores,
        Self::Clock,
        Self::Path,
    ];
    /// What varies unless other things are named: everything but the directory, which is part of the recipe.
    pub const USUAL: [Self; 7] =
        [Self::Host, Self::User, Self::Umask, Self::Zone, Self::Locale, Self::Cores, Self::Clock];

    /// Returns its name, as it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::User => "user",
            Self::Umask => "umask",
            Self::Zone => "zone",
            Self::Locale => "locale",
            Self::Cores => "cores",
            Self::Clock => "clock",
            Self::Path => "path",
        }
    }

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vary| vary.name() == name)
    }
}

const HOST: &str = "elsewhere";
const USER: (u32, u32) = (4711, 4712);
const UMASK: u32 = 0o077;
const ZONE: &str = "<+1245>-12:45";
const LANGUAGE: &str = "de_AT.UTF-8";
const PLACE: &str = "/srv/another/place";
/// A year, a month and some hours, so that every field of a date is another.
const CLOCK_S: u32 = 34_567_890;

/// The library: the kernel's time, and a year.
const CLOCK_SOURCE: &str = "\
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
  int failed = syscall(SYS_clock_gettime, id, now);
  if (!failed && (id == 0 || id == 5 || id == 11)) now->tv_sec += SHIFT;
  return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec exact;
  int failed = clock_gettime(0, &exact);
  if (failed || !now) return failed;
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *seconds) {
  struct timespec now;
  if (clock_gettime(0, &now)) return -1;
  if (seconds) *seconds = now.tv_sec;
  return now.tv_sec;
}
";

/// Returns the rooms' variation, and what varies in words.
pub(super) fn variation(
    wanted: &[Vary],
    toolchain: &Toolchain,
    scratch: &Path,
    desk: &Desk<'_>,
) -> Result<(Variation, Vec<String>), Failure> {
    let mut variation = Variation::default();
    let mut words = vec![format!("the store's directory: {}", scratch.display())];
    for vary in wanted {
        words.push(match vary {
            Vary::Host => {
                variation.guise.get_or_insert_default().host_name = HOST.into();
                format!("host name: {HOST}")
            }
            Vary::User => {
                variation.user = Some(USER);
                format!("user and group: {}:{}", USER.0, USER.1)
            }
            Vary::Umask => {
                variation.guise.get_or_insert_default().umask = UMASK;
                format!("umask: {UMASK:03o}")
            }
            Vary::Zone => {
                variation.env.insert("TZ".into(), Some(ZONE.into()));
                "time zone: UTC+12:45".into()
            }
            Vary::Locale => {
                variation.env.extend(locale());
                format!("locale: {LANGUAGE}, where the toolchain has it; the encoding is UTF-8")
            }
            Vary::Cores => {
                variation.cores = Some(1);
                variation.env.insert("ERL_FLAGS".into(), Some("+S 1:1".into()));
                "cores and schedulers: 1".into()
            }
            Vary::Clock => {
                variation.preload = clock(toolchain, scratch, desk)?;
                match &variation.preload {
                    Some(_) => format!("clock: {CLOCK_S} s later"),
                    None => "clock: only by the time that has passed, for the toolchain has no C compiler".into(),
                }
            }
            Vary::Path => {
                variation.path = Some(PLACE.into());
                format!("build directory: {PLACE}")
            }
        });
    }
    Ok((variation, words))
}

fn locale() -> BTreeMap<String, Option<String>> {
    let set = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    BTreeMap::from([
        ("LC_ALL".to_owned(), None),
        set("LANG", LANGUAGE),
        set("LANGUAGE", "de_AT:tr"),
        // Without it nothing that is not ASCII could be read: that is no habit of a user, but another encoding.
        set("LC_CTYPE", "C.UTF-8"),
    ])
}

/// Makes the library that shows another time; `None` where the toolchain has no compiler.
fn clock(
    toolchain: &Toolchain,
    scratch: &Path,
    desk: &Desk<'_>,
) -> Result<Option<PathBuf>, Failure> {
    if !disk::exists(&toolchain.root.path().join("usr/bin/cc")) {
        return Ok(None);
    }
    let work = scratch.join("clock");
    disk::create_dir(&work)?;
    disk::write_atomic(&work.join("clock.c"), CLOCK_SOURCE.as_bytes())?;
    let shift = format!("-DSHIFT={CLOCK_S}");
    let argv = ["cc", "-shared", "-fPIC", "-O1", &shift, "-o", "clock.so", "clock.c"];
    let argv = argv.map(str::to_owned).to_vec();
    let mounts =
        vec![Mount { host: work.clone(), inside: "/build".into(), access: Access::ReadWrite }];
    let room = compile::room(toolchain.root.path(), mounts, argv, desk.level);
    let outcome = sandbox::run(&room, &scratch.join("clock.log"), &mut |_| Reply::Continue)?;
    let library = work.join("clock.so");
    Ok((outcome.status == Status::Exited(0) && disk::exists(&library)).then_some(library))
}

/// What a rebuilt file may hold of the variation, with what it is called.
pub(super) const TRACES: [(&str, &str); 4] =
    [(HOST, "host name"), (PLACE, "build directory"), (ZONE, "time zone"), (LANGUAGE, "locale")];
