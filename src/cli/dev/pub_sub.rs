//! `rebeam dev pub` and `rebeam dev sub`.

use std::future::Future;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use tokio::signal::unix::{SignalKind, signal};

use super::exposing::VARIABLE;
use crate::cli::Common;
use crate::dev::broker::codec::is_filter;
use crate::dev::caller::{Arrived, Call, CallError, Caller, Outgoing, Target};
use crate::dev::{DevError, Place, Secret};
use crate::disk;
use crate::explain::Failure;
use crate::limits::TEXT_FILE_BYTES_MAX;
use crate::terminal::{self, Mode};

/// Bytes of a message that are read from standard input.
const PAYLOAD_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Args)]
struct Connecting {
    /// Speak to this broker [default: that of the project's stack]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Trust certificates that this authority signed [default: the stack's own]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Be this client [default: whatever the broker says]
    #[arg(long, value_name = "CLIENT")]
    id: Option<String>,
    /// Be this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Give the password that this variable holds [default: the stack's own]
    #[arg(long, value_name = "VARIABLE")]
    password_env: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rebeam dev pub sensors/1 21.5              a message of quality 1: it ends once the broker has it
  echo 21.5 | rebeam dev pub sensors/1 -     the same from standard input
  rebeam dev pub sensors/1 --retain          no payload: what was kept for the topic is removed")]
pub(super) struct Publish {
    /// Where
    topic: String,
    /// What; `-` reads it from standard input
    payload: Option<String>,
    /// With this quality: 0, 1 or 2; with 0 nobody hears of a denial
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<u8>::new().range(0..=2))]
    qos: u8,
    /// Keep it for later subscribers
    #[arg(long)]
    retain: bool,
    #[command(flatten)]
    connecting: Connecting,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A line for each message: its topic and what it says, control characters and other bytes escaped; with `--json` an object.

  rebeam dev sub 'sensors/#'          until Ctrl-C
  rebeam dev sub -n 1 sensors/1       what comes first, a kept message for one")]
pub(super) struct Subscribe {
    /// To what
    #[arg(required = true)]
    filter: Vec<String>,
    /// With at most this quality: 0, 1 or 2
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<u8>::new().range(0..=2))]
    qos: u8,
    /// End after so many messages
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,
    #[command(flatten)]
    connecting: Connecting,
}

impl Publish {
    pub(super) fn run(self, place: &Place) -> Result<u8, Failure> {
        let is_topic = !self.topic.is_empty() && !self.topic.contains(['+', '#', '\0']);
        if !is_topic || self.topic.len() > usize::from(u16::MAX) {
            return Err(CallError::BadTopic { topic: self.topic, kind: "topic" }.into());
        }
        let payload = match self.payload.as_deref() {
            Some("-") => read_input()?,
            Some(text) => text.as_bytes().to_vec(),
            None => Vec::new(),
        };
        let (target, caller) = self.connecting.find(place)?;
        let message =
            Outgoing { topic: &self.topic, payload: &payload, qos: self.qos, retain: self.retain };
        run(async {
            let mut call = Call::connect(&target, &caller).await?;
            call.publish(&message).await?;
            call.close().await;
            Ok(0)
        })
    }
}

impl Subscribe {
    pub(super) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        let is_bad = |filter: &&String| !is_filter(filter) || filter.len() > usize::from(u16::MAX);
        if let Some(bad) = self.filter.iter().find(is_bad) {
            return Err(CallError::BadTopic { topic: bad.clone(), kind: "filter" }.into());
        }
        let (target, caller) = self.connecting.find(place)?;
        let mode = common.mode();
        run(async {
            let mut interrupt = signal(SignalKind::interrupt()).map_err(DevError::Runtime)?;
            let mut call = Call::connect(&target, &caller).await?;
            call.subscribe(&self.filter, self.qos).await?;
            if mode == Mode::People && std::io::stderr().is_terminal() {
                terminal::talk(&format!(
                    "subscribed to {} at {}",
                    self.filter.join(" "),
                    target.url()
                ));
            }
            let mut left = self.count.unwrap_or(u64::MAX);
            while left > 0 {
                let arrived = tokio::select! {
                    arrived = call.next() => arrived?,
                    _ = interrupt.recv() => break,
                };
                let is_json = mode == Mode::Json;
                let line = if is_json { object(&arrived) } else { line(&arrived) };
                if !terminal::line(&line) {
                    break;
                }
                left -= 1;
            }
            call.close().await;
            Ok(0)
        })
    }
}

impl Connecting {
    /// Finds out whom to call and as who: what is not given is the running stack's.
    fn find(self, place: &Place) -> Result<(Target, Caller), Failure> {
        let running = place.running()?;
        let (is_own, url) = match self.url {
            Some(url) => (false, url),
            None => {
                let running = running.as_ref().ok_or(DevError::NotUp)?;
                let service = running.services.iter().find(|service| service.name == "mqtt");
                (true, service.ok_or(DevError::NotUp)?.url.clone())
            }
        };
        let own = place.directory().join("tls/ca.pem");
        let authority = self.ca.or_else(|| disk::exists(&own).then_some(own));
        let target = Target::parse(&url, authority.as_deref())?;
        let given = self
            .password_env
            .map(|name| std::env::var(&name).map_err(|_| DevError::NoVariable { name }));
        let password = match given.transpose()? {
            Some(password) => Some(password),
            None if is_own => stacks_password(&place.env_file())?,
            None => None,
        };
        let caller = Caller {
            client_id: self.id.unwrap_or_default(),
            username: self.user.or_else(|| target.username.clone()),
            password: password.as_deref().map(Secret::new),
        };
        Ok((target, caller))
    }
}

/// Reads the password that the running stack asks for, if it does.
fn stacks_password(env: &Path) -> Result<Option<String>, Failure> {
    let text = disk::read_text(env, TEXT_FILE_BYTES_MAX)?;
    let value = |line: &str| Some(line.strip_prefix(VARIABLE)?.strip_prefix('=')?.to_owned());
    Ok(text.lines().find_map(value))
}

fn read_input() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let input = std::io::stdin().lock();
    input.take(PAYLOAD_BYTES_MAX).read_to_end(&mut bytes).map_err(DevError::Runtime)?;
    Ok(bytes)
}

fn run(doing: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(DevError::Runtime)?.block_on(doing)
}

/// Lays a message out for a person: a stranger's bytes must not speak to the terminal.
fn line(arrived: &Arrived) -> String {
    let payload = match std::str::from_utf8(&arrived.payload) {
        Ok(text) => text.chars().map(plain).collect(),
        Err(_) => arrived.payload.escape_ascii().to_string(),
    };
    format!("{} {payload}", arrived.topic.chars().map(plain).collect::<String>())
}

fn plain(letter: char) -> String {
    match letter {
        '\t' => letter.into(),
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.into(),
    }
}

fn object(arrived: &Arrived) -> String {
    let Arrived { topic, payload, qos, retain } = arrived;
    let mut object = serde_json::json!({
        "topic": topic, "qos": qos, "retain": retain, "size": payload.len(),
    });
    // Bytes that are no text cannot stand in JSON.
    match std::str::from_utf8(payload) {
        Ok(text) => object["payload"] = text.into(),
        Err(_) => object["payload_base64"] = STANDARD.encode(payload).into(),
    }
    object.to_string()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_strangers_bytes_do_not_speak_to_the_terminal() {
        let of = |payload: &'static [u8]| Arrived {
            topic: "t".into(),
            payload: Bytes::from_static(payload),
            qos: 1,
            retain: false,
        };
        assert_eq!(line(&of(b"21.5 \xc2\xb0C")), "t 21.5 °C");
        assert_eq!(line(&of(b"a\x1b[2Jb\nc")), "t a\\u{1b}[2Jb\\nc");
        assert_eq!(line(&of(b"\xff\x00")), "t \\xff\\x00");
        assert!(object(&of(b"\xff")).contains(r#""payload_base64":"/w==""#));
        assert!(object(&of(b"\x1b")).contains(r#""payload":"\u001b""#));
    }
}
