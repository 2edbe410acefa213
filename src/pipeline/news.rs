//! News: what the origins of the locked sources have today, and what registries warn of. Fetches no source and
//! writes no lock.

use super::{Desk, LockFailure};
use crate::each::each;
use crate::event::Event;
use crate::explain::Failure;
use crate::fetch::hex::Advisory;
use crate::fetch::{News, Standing};
use crate::limits::DOWNLOADS_MAX;
use crate::lock::{self, Lock, Pin, Role, Source};

/// A locked source beside what its origin has today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The application.
    pub app: String,
    /// Why it is locked.
    pub role: Role,
    /// What was wished for, in the lock's words.
    pub wanted: String,
    /// What is locked, in a word: a tag, a version, a short commit.
    pub locked: String,
    /// What its origin has; `None` for tarballs and directories, which have no versions.
    pub news: Option<News>,
    /// Why its origin could not be asked, if it could not.
    pub problem: Option<String>,
}

impl Outlook {
    /// Tells whether `rebeam update` would take something else.
    pub fn is_behind(&self) -> bool {
        self.news.as_ref().is_some_and(|news| news.current.as_ref() != Some(&self.locked))
    }
}

/// Asks the origin of each locked source what it has today.
///
/// An origin that cannot be asked is a warning, as long as any other answers.
pub fn outdated(desk: &Desk<'_>) -> Result<Vec<Outlook>, Failure> {
    let lock = read(desk)?;
    let doors = desk.doors();
    let asked = each(&lock.sources, width(desk), |source| Ok::<_, Failure>(doors.news(source)))?;
    let mut outlooks = Vec::new();
    let mut first_error = None;
    let mut answers = 0;
    for (source, answer) in lock.sources.iter().zip(asked) {
        let mut outlook = Outlook {
            app: source.app.clone(),
            role: source.role,
            wanted: source.wanted.clone(),
            locked: lock::version(source),
            news: None,
            problem: None,
        };
        match answer {
            Ok(news) => {
                answers += usize::from(news.is_some());
                outlook.news = news;
            }
            Err(error) => {
                desk.observer.observe(&Event::Warned { message: &error.to_string() });
                outlook.problem = Some(error.to_string());
                first_error.get_or_insert(error);
            }
        }
        outlooks.push(outlook);
    }
    match first_error {
        Some(error) if answers == 0 => Err(error.into()),
        _ => Ok(outlooks),
    }
}

/// What an audit found about one locked release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The application.
    pub app: String,
    /// Why it is locked.
    pub role: Role,
    /// Repository and package: `hexpm/cowlib`.
    pub package: String,
    /// The locked version.
    pub version: String,
    /// What is the matter.
    pub matter: Matter,
}

/// What can be the matter with a locked release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matter {
    /// Its publisher retired it, for this reason.
    Retired(String),
    /// There is a security advisory about it.
    Advisory(Advisory),
    /// The registry no longer has it.
    Gone,
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Releases that a registry was asked about.
    pub checked: usize,
    /// What was found, in the lock's order.
    pub findings: Vec<Finding>,
    /// Applications that no registry speaks for: git, tarballs, directories.
    pub unspoken: Vec<String>,
    /// Debian packages of the toolchain, for which Hex's registries do not speak either.
    pub packages: usize,
}

/// Looks up retirements and advisories of every locked release in the signed registries.
pub fn audit(desk: &Desk<'_>) -> Result<Audit, Failure> {
    let lock = read(desk)?;
    let doors = desk.doors();
    let standings = each(&lock.sources, width(desk), |source| doors.standing(source))?;
    let mut audit = Audit {
        checked: 0,
        findings: Vec::new(),
        unspoken: Vec::new(),
        packages: lock.toolchain.debs.len(),
    };
    for (source, standing) in lock.sources.iter().zip(standings) {
        match standing {
            Some(standing) => {
                audit.checked += 1;
                audit.findings.extend(findings(source, standing));
            }
            None => audit.unspoken.push(source.app.clone()),
        }
    }
    audit.unspoken.sort();
    audit.unspoken.dedup();
    Ok(audit)
}

fn findings(source: &Source, standing: Standing) -> Vec<Finding> {
    let version = match &source.pin {
        Pin::Hex { version, .. } => version.clone(),
        _ => lock::version(source),
    };
    let finding = |matter| Finding {
        app: source.app.clone(),
        role: source.role,
        package: source.pin.address(),
        version: version.clone(),
        matter,
    };
    let gone = (!standing.is_there).then_some(Matter::Gone);
    let retired = standing.retired.map(Matter::Retired);
    let advisories = standing.advisories.into_iter().map(Matter::Advisory);
    gone.into_iter().chain(retired).chain(advisories).map(finding).collect()
}

fn read(desk: &Desk<'_>) -> Result<Lock, Failure> {
    let lock = Lock::read_previous(desk.root)?;
    Ok(lock.ok_or_else(|| LockFailure::Missing { path: desk.root.to_owned() })?)
}

/// Origins are asked more at once than there are cores: most of the time is waiting.
fn width(desk: &Desk<'_>) -> usize {
    desk.jobs.max(DOWNLOADS_MAX)
}
