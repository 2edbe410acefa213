//! `rebeam dev acl`.

use std::future::Future;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::parts::Layers;
use crate::cli::Common;
use crate::dev::access::{
    AccessError, Action, Book, Explained, Finding, Level, Listed, NewRow, Question, postgres_schema,
};
use crate::dev::{DevError, Place};
use crate::disk;
use crate::explain::Failure;
use crate::terminal::{self, Mode};

/// Bytes of a password that is read.
const PASSWORD_BYTES_MAX: u64 = 512;

#[derive(Debug, Args)]
#[command(after_help = "\
Which rules decide is said by `[dev.access]` of rebeam.toml: rows as emqttd 2.3 has them, in the embedded database or in
PostgreSQL, or its acl.conf. What is changed counts within two seconds, whether the stack is up or down.

  rebeam dev acl add allow --user alice --publish 'sensors/%u/#'
  rebeam dev acl explain --client c1 --user alice --topic sensors/bob/1
  rebeam dev acl lint")]
pub(super) struct Acl {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the rules
    Ls,
    /// Add a row
    Add(Add),
    /// Remove a row by its number
    Rm {
        /// The number that `ls` says
        row: i64,
    },
    /// Give a user a password, of which only the hash is kept
    Passwd {
        /// The user's name
        user: String,
        /// Deny nothing to this user
        #[arg(long)]
        superuser: bool,
        /// Read the password from standard input
        #[arg(long)]
        stdin: bool,
    },
    /// Find rules that never decide, and settings that do other than they seem to
    Lint,
    /// Say which rule decides, and why those before it did not
    Explain(Explain),
    /// Print SQL that makes the tables and their first rows in PostgreSQL
    Schema,
}

#[derive(Debug, Args)]
struct Add {
    /// Whether such a thing is allowed
    verb: Allow,
    /// The filter; `eq a/#` compares texts, the levels `%u` and `%c` stand for the user's name and the client's identifier
    topic: String,
    /// For this user; with nobody named, for everybody
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// For this client identifier
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// For this address or range: `10.0.0.0/8`
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// About publishing; without this and `--subscribe`, about both
    #[arg(long)]
    publish: bool,
    /// About subscribing
    #[arg(long)]
    subscribe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Allow {
    Allow,
    Deny,
}

#[derive(Debug, Args)]
struct Explain {
    /// The client identifier
    #[arg(long, value_name = "ID")]
    client: String,
    /// The user's name
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Where the client comes from
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// The topic, or the filter
    #[arg(long)]
    topic: String,
    /// What is to be done with it
    #[arg(long, value_enum, default_value = "publish")]
    action: Do,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Do {
    Publish,
    Subscribe,
}

impl Acl {
    pub(super) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        if let Verb::Schema = self.verb {
            terminal::data(postgres_schema().trim_end());
            return Ok(0);
        }
        let project = disk::canonical(&common.project)?;
        let layers = Layers::of(place)?;
        let dev = layers.read(&project)?.dev;
        let settings = super::settings(&dev.access, &project, &place.variables()?)?;
        if common.mode() == Mode::People && super::things(&dev, layers.things)?.is_mainflux {
            terminal::talk("things decide here, and no rule is asked: `rebeam dev thing ls`");
        }
        let book = || -> Result<Book, Failure> {
            disk::create_dir_all(place.directory())?;
            Ok(Book::open(&settings, place.directory())?)
        };
        let changes = matches!(self.verb, Verb::Add(_) | Verb::Rm { .. } | Verb::Passwd { .. });
        if settings.is_open() && common.mode() == Mode::People && !changes {
            terminal::talk("access is open: `[dev.access]` in rebeam.toml says which rules decide");
        }
        match self.verb {
            Verb::Ls => ls(common, &wait(book()?.rules())?),
            Verb::Add(add) => {
                let book = book()?;
                let known = wait(book.lint())?;
                let added = wait(book.add(&add.row()))?;
                say(common, &added, || line(&added).join("  "));
                warn(common, &book, &known)?;
            }
            Verb::Rm { row } => {
                let removed = wait(book()?.remove(row))?;
                say(common, &removed, || line(&removed).join("  "));
            }
            Verb::Passwd { user, superuser, stdin } => {
                let password = password(&user, stdin)?;
                wait(book()?.set_user(&user, &password, superuser))?;
            }
            Verb::Lint => return Ok(lint(common, &wait(book()?.lint())?)),
            Verb::Explain(explain) => {
                let explained = wait(book()?.explain(&explain.question()))?;
                say(common, &explained, || told(&explained));
            }
            Verb::Schema => {}
        }
        Ok(0)
    }
}

/// Waits for an answer of the rules.
fn wait<T>(answer: impl Future<Output = Result<T, AccessError>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(DevError::Runtime)?;
    let answer = runtime.block_on(answer);
    // A question that hangs is not waited for.
    runtime.shutdown_background();
    Ok(answer?)
}

fn say(common: &Common, value: &impl Serialize, text: impl FnOnce() -> String) {
    match common.mode() {
        Mode::Json => terminal::data(&serde_json::json!(value).to_string()),
        Mode::People => terminal::data(&text()),
        Mode::Quiet => {}
    }
}

fn ls(common: &Common, rules: &[Listed]) {
    match common.mode() {
        Mode::Json => terminal::data(&serde_json::json!(rules).to_string()),
        _ if rules.is_empty() => {}
        _ => terminal::data(&terminal::table(&rules.iter().map(line).collect::<Vec<_>>())),
    }
}

fn line(rule: &Listed) -> Vec<String> {
    let verb = rule.allows.map_or("broken", |allows| if allows { "allow" } else { "deny" });
    let topics = match &rule.broken {
        Some(why) => why.clone(),
        None if rule.topics.is_empty() => "every topic".to_owned(),
        None => rule.topics.join(", "),
    };
    let words = [&rule.rule, verb, &rule.whom, &rule.action, &topics];
    words.map(str::to_owned).to_vec()
}

/// Says at once where a new row will not do what it is there for.
fn warn(common: &Common, book: &Book, known: &[Finding]) -> Result<(), Failure> {
    if common.mode() == Mode::People {
        let found = wait(book.lint())?;
        for finding in found.iter().filter(|finding| !known.contains(finding)) {
            terminal::talk(&text(finding));
        }
    }
    Ok(())
}

fn lint(common: &Common, found: &[Finding]) -> u8 {
    match common.mode() {
        Mode::Json => terminal::data(&serde_json::json!(found).to_string()),
        _ => found.iter().for_each(|finding| terminal::data(&text(finding))),
    }
    u8::from(found.iter().any(|finding| finding.level == Level::Error))
}

fn text(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    format!("{level}: {}: {}", finding.place, finding.problem)
}

fn told(explained: &Explained) -> String {
    let verdict = if explained.allowed { "allowed" } else { "denied" };
    let mut lines = vec![format!("{verdict} by {}", explained.decided_by)];
    let connects = if explained.connects { "connects" } else { "does not connect" };
    lines.push(format!("  {connects}: {}", explained.connecting));
    for step in &explained.steps {
        let word = if step.decides { "decides" } else { "passes" };
        lines.push(format!("  {word}: {}: {}; {}", step.rule, step.says, step.why));
    }
    for row in &explained.not_selected {
        lines.push(format!("  not asked: {row}; the acl query does not select it here"));
    }
    lines.join("\n")
}

/// Takes a password from where nobody else sees it.
fn password(user: &str, stdin: bool) -> Result<Vec<u8>, Failure> {
    let none = || AccessError::Useless { why: "no password was given".to_owned() };
    if !stdin {
        return Ok(terminal::ask_secret(&format!("password of {user}: ")).ok_or_else(none)?);
    }
    let mut password = Vec::new();
    let read = std::io::stdin().lock().take(PASSWORD_BYTES_MAX).read_to_end(&mut password);
    read.map_err(DevError::Runtime)?;
    while password.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        password.pop();
    }
    Ok(Some(password).filter(|password| !password.is_empty()).ok_or_else(none)?)
}

impl Add {
    fn row(self) -> NewRow {
        let about_both = !self.publish && !self.subscribe;
        NewRow {
            allows: self.verb == Allow::Allow,
            user: self.user,
            client: self.client,
            address: self.address,
            publish: self.publish || about_both,
            subscribe: self.subscribe || about_both,
            topic: self.topic,
        }
    }
}

impl Explain {
    fn question(self) -> Question {
        Question {
            client: self.client,
            user: self.user,
            address: self.address,
            topic: self.topic,
            action: match self.action {
                Do::Publish => Action::Publish,
                Do::Subscribe => Action::Subscribe,
            },
        }
    }
}
