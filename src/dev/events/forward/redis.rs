//! Redis: events as entries of a stream in a real Redis or Valkey.
//!
//! What Mainflux's services wrote goes to Mainflux's streams as well, field by field as they wrote it.
//!
//! A batch is one transaction that also writes down how far it reaches, so that what is sent again after a cut is
//! seen to be there. The key for that bears the log's own identifier: several stacks may share a Redis.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Credentials, Outcome, Parcel, Receiver, Trouble};

/// The stream, as the embedded one is called.
const STREAM: &str = "rebeam.events";
/// Entries that it keeps at most.
const LENGTH: &str = "1000000";
/// Mainflux's streams, what each keeps at most, and whether its entries have a time.
const OPERATIONS: [(&str, bool); 2] = [("mainflux.things", false), ("mainflux.bootstrap", true)];
const OPERATIONS_LENGTH: &str = "1000";
const MQTT: &str = "mainflux.mqtt";
const CONNECT_MAX: Duration = Duration::from_secs(5);
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Bytes of one text of an answer, and items of one list.
const TEXT_BYTES_MAX: usize = 1 << 20;
const ITEMS_MAX: usize = 4096;

pub(super) struct Stream {
    address: (String, u16, u16),
    credentials: Credentials,
    /// Where it is written down how far all arrived.
    mark: String,
    /// What the stack calls itself.
    instance: String,
    connection: Option<Connection>,
}

struct Connection {
    stream: BufReader<TcpStream>,
    /// The last event that is there.
    arrived: i64,
}

/// An answer; only what matters of it.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Text(String),
    Nothing,
    List(Vec<Self>),
    Error(String),
}

impl Stream {
    pub(super) fn new(
        address: (String, u16, u16),
        credentials: Credentials,
        log: &str,
        instance: &str,
    ) -> Self {
        let (mark, instance) = (format!("{STREAM}:{log}"), instance.to_owned());
        Self { address, credentials, mark, instance, connection: None }
    }

    fn connect(&self) -> Result<Connection, Trouble> {
        let (host, port, database) = &self.address;
        let mut addresses = (host.as_str(), *port).to_socket_addrs().map_err(Trouble::new)?;
        let address = addresses.next().ok_or_else(|| Trouble::new("its name has no address"))?;
        let stream = TcpStream::connect_timeout(&address, CONNECT_MAX).map_err(Trouble::new)?;
        stream.set_read_timeout(Some(SILENCE_MAX)).map_err(Trouble::new)?;
        stream.set_write_timeout(Some(SILENCE_MAX)).map_err(Trouble::new)?;
        let mut connection = Connection { stream: BufReader::new(stream), arrived: 0 };
        if let Some(password) = &self.credentials.redis_password {
            let user = self.credentials.redis_user.as_deref();
            let words: Vec<&str> =
                ["AUTH"].into_iter().chain(user).chain([password.reveal()]).collect();
            // Redis says what was wrong and not what was sent.
            connection.ask(&words)?;
        }
        if *database > 0 {
            connection.ask(&["SELECT", &database.to_string()])?;
        }
        let kind = connection.ask(&["TYPE", STREAM])?;
        if !matches!(&kind, Reply::Text(kind) if kind == "stream" || kind == "none") {
            return Err(Trouble::new(format!("`{STREAM}` is there and is no stream")));
        }
        if let Reply::Text(arrived) = connection.ask(&["GET", &self.mark])? {
            connection.arrived = arrived.parse().unwrap_or(0);
        }
        Ok(connection)
    }
}

impl Receiver for Stream {
    fn send(&mut self, parcels: &[Parcel]) -> Result<Outcome, Trouble> {
        // Taken out: a connection on which something went wrong is not used again.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        connection.send(parcels, &self.mark, &self.instance)?;
        self.connection = Some(connection);
        Ok(Outcome::default())
    }
}

impl Connection {
    fn send(&mut self, parcels: &[Parcel], mark: &str, instance: &str) -> Result<(), Trouble> {
        let new: Vec<&Parcel> = parcels.iter().filter(|parcel| parcel.id > self.arrived).collect();
        let Some(last) = new.last().map(|parcel| parcel.id) else { return Ok(()) };
        let mut request = Vec::new();
        write(&mut request, &["MULTI"]);
        let commands: Vec<_> = new.iter().flat_map(|parcel| commands(parcel, instance)).collect();
        for command in &commands {
            write(&mut request, command);
        }
        write(&mut request, &["SET", mark, &last.to_string()]);
        write(&mut request, &["EXEC"]);
        self.stream.get_mut().write_all(&request).map_err(Trouble::new)?;
        let answers = commands.len() + 3;
        let mut refused = None;
        for number in 1..=answers {
            match self.read(0)? {
                Reply::Error(error) => refused = refused.or(Some(error)),
                Reply::List(results) if number == answers => {
                    let error = results.into_iter().find_map(|result| match result {
                        Reply::Error(error) => Some(error),
                        _ => None,
                    });
                    refused = refused.or(error);
                }
                Reply::Nothing if number == answers => {
                    refused = refused.or(Some("EXEC did nothing".into()))
                }
                _ => {}
            }
        }
        if let Some(error) = refused {
            return Err(Trouble::new(error));
        }
        self.arrived = last;
        Ok(())
    }

    fn ask(&mut self, words: &[&str]) -> Result<Reply, Trouble> {
        let mut request = Vec::new();
        write(&mut request, words);
        self.stream.get_mut().write_all(&request).map_err(Trouble::new)?;
        match self.read(0)? {
            Reply::Error(error) => Err(Trouble::new(error)),
            reply => Ok(reply),
        }
    }

    fn read(&mut self, depth: usize) -> Result<Reply, Trouble> {
        let wrong = || Trouble::new("its answer is none of Redis");
        let mut line = String::new();
        let limit = TEXT_BYTES_MAX as u64;
        self.stream.by_ref().take(limit).read_line(&mut line).map_err(Trouble::new)?;
        let line =
            line.strip_suffix("\r\n").ok_or_else(|| Trouble::new("it ended the connection"))?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(wrong)?;
        let length = || rest.parse::<i64>().map_err(|_| wrong());
        match kind {
            "+" | ":" => Ok(Reply::Text(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.chars().take(200).collect())),
            "$" | "*" if length()? < 0 => Ok(Reply::Nothing),
            "$" => {
                let length =
                    usize::try_from(length()?).ok().filter(|length| *length <= TEXT_BYTES_MAX);
                let mut text = vec![0; length.ok_or_else(wrong)? + 2];
                self.stream.read_exact(&mut text).map_err(Trouble::new)?;
                text.truncate(text.len() - 2);
                Ok(Reply::Text(String::from_utf8_lossy(&text).into_owned()))
            }
            "*" if depth < 2 => {
                let length = usize::try_from(length()?).ok().filter(|length| *length <= ITEMS_MAX);
                (0..length.ok_or_else(wrong)?)
                    .map(|_| self.read(depth + 1))
                    .collect::<Result<_, _>>()
                    .map(Reply::List)
            }
            _ => Err(wrong()),
        }
    }
}

/// Words an event as the commands that add it.
fn commands(parcel: &Parcel, instance: &str) -> Vec<Vec<String>> {
    let document: Map<String, Value> = serde_json::from_str(&parcel.source).unwrap_or_default();
    let mut commands = vec![add(STREAM, Some(LENGTH), fields(&document, &[]))];
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    if let Some((stream, is_timed)) =
        OPERATIONS.into_iter().find(|(stream, _)| text("stream") == Some(stream))
    {
        let mut fields = fields(&document, &["event", "stream", "timestamp"]);
        if is_timed {
            fields.push(("timestamp".into(), (parcel.at_ms / 1000).to_string()));
        }
        commands.push(add(stream, Some(OPERATIONS_LENGTH), fields));
    }
    let is_let_in = document.get("connack") == Some(&Value::from(0));
    let event = match &*parcel.kind {
        "client_connected" if is_let_in => "connect",
        "client_disconnected" if text("reason") != Some("refused") => "disconnect",
        _ => return commands,
    };
    let thing = text("thing_id").or(text("username")).or(text("client_id")).unwrap_or_default();
    let seconds = (parcel.at_ms / 1000).to_string();
    let named = [("thing_id", thing), ("timestamp", &seconds), ("event_type", event)];
    let all = named.into_iter().chain([("instance", instance)]);
    let fields = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    commands.push(add(MQTT, None, fields));
    commands
}

fn fields(document: &Map<String, Value>, but: &[&str]) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        value => Some(value.to_string()),
    };
    let wanted = document.iter().filter(|(name, _)| !but.contains(&name.as_str()));
    wanted.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

fn add(stream: &str, length: Option<&str>, fields: Vec<(String, String)>) -> Vec<String> {
    let capped = length.map(|length| ["MAXLEN", "~", length]);
    let words = ["XADD", stream].into_iter().chain(capped.into_iter().flatten()).chain(["*"]);
    let fields = fields.into_iter().flat_map(|(name, value)| [name, value]);
    words.map(str::to_owned).chain(fields).collect()
}

fn write(request: &mut Vec<u8>, words: &[impl AsRef<str>]) {
    request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        request.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}
