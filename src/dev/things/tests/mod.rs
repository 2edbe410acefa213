//! Tests: the services as their clients see them, route by route.

mod defects;
mod devices;
mod flow;
mod routes;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::http::Part;
use super::running::{Opened, Setup, Sockets, Things};
use crate::dev::access::Open;
use crate::dev::broker::{self, Broker, Dress, Limits, Listener, WhenDenied};
use crate::dev::web::Guard;
use crate::dev::{Bus, Happening, Interest, Watch, What};

const PARTS: [(Part, &str); 7] = [
    (Part::Gateway, "gateway"),
    (Part::Users, "users"),
    (Part::Things, "things"),
    (Part::Auth, "auth"),
    (Part::Adapter, "adapter"),
    (Part::Bootstrap, "bootstrap"),
    (Part::Reader, "reader"),
];

/// A stack of things and a broker, in a state of its own.
struct World {
    runtime: Runtime,
    things: Option<Things>,
    broker: Option<Broker>,
    watch: Watch,
    state: TempDir,
    token: String,
}

/// What was answered.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        line.map(str::trim)
    }

    /// The identifier in the `Location`.
    fn id(&self) -> String {
        assert_eq!(self.status, 201, "{self:?}");
        self.header("location").unwrap().rsplit('/').next().unwrap().to_owned()
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self::bare();
        let user = json!({"email": "user@example.com", "password": "secret"});
        assert_eq!(world.ask("POST /users", "", Some(&user)).status, 201);
        let token = world.ask("POST /tokens", "", Some(&user)).json()["token"].take();
        token.as_str().unwrap().clone_into(&mut world.token);
        world
    }

    /// One whose only user is the stack's own.
    fn bare() -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let state = tempfile::tempdir().unwrap();
        let bus = Bus::default();
        let watch = bus.watch(Interest::Rare, 1000);
        let (things, broker) = start(&runtime, state.path(), bus);
        let (things, broker) = (Some(things), Some(broker));
        Self { runtime, things, broker, watch, state, token: String::new() }
    }

    fn address(&self, part: &str) -> SocketAddr {
        let services = self.things.as_ref().unwrap().services();
        services.into_iter().find(|service| service.name == part).unwrap().address
    }

    /// Asks the gateway; `asked` is a method and a path.
    fn ask(&self, asked: &str, token: &str, body: Option<&Value>) -> Reply {
        let text = body.map(Value::to_string);
        let kind = text.as_ref().map(|_| "application/json");
        self.send("gateway", asked, token, (kind, text.unwrap_or_default().as_bytes()))
    }

    /// Asks the gateway as the user.
    fn mine(&self, asked: &str, body: Option<&Value>) -> Reply {
        self.ask(asked, &self.token, body)
    }

    fn send(
        &self,
        part: &str,
        asked: &str,
        token: &str,
        (kind, body): (Option<&str>, &[u8]),
    ) -> Reply {
        let mut stream = TcpStream::connect(self.address(part)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut head = format!("{asked} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        if !token.is_empty() {
            head += &format!("Authorization: {token}\r\n");
        }
        if let Some(kind) = kind {
            head += &format!("Content-Type: {kind}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..at].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head, body: answer[at + 4..].to_vec() }
    }

    fn thing(&self, name: &str) -> (String, String) {
        let id = self.mine("POST /things", Some(&json!({ "name": name }))).id();
        let key = self.mine(&format!("GET /things/{id}"), None).json()["key"].take();
        (id, key.as_str().unwrap().to_owned())
    }

    fn channel(&self, name: &str) -> String {
        self.mine("POST /channels", Some(&json!({ "name": name }))).id()
    }

    fn connect(&self, channel: &str, thing: &str) {
        let asked = format!("PUT /channels/{channel}/things/{thing}");
        assert_eq!(self.mine(&asked, None).status, 200);
    }

    /// What was said since this was asked last, of one stream: the fields by name, without times.
    fn said(&mut self, stream: &str) -> Vec<Value> {
        let mut found: Vec<Arc<Happening>> = Vec::new();
        // A sentence marks the end of what was said.
        let end = What::Operation { stream: "end", fields: vec![] };
        self.things.as_ref().unwrap().view().model.say(end);
        self.runtime.block_on(async {
            loop {
                let happening = self.watch.next().await.unwrap();
                if matches!(&happening.what, What::Operation { stream: "end", .. }) {
                    return;
                }
                found.push(happening);
            }
        });
        let operation = |happening: &Arc<Happening>| match &happening.what {
            What::Operation { stream: on, fields } if *on == stream => {
                let fields = fields.iter().filter(|(name, _)| *name != "timestamp");
                Some(fields.map(|(name, value)| ((*name).to_owned(), json!(value))).collect())
            }
            _ => None,
        };
        found.iter().filter_map(operation).collect()
    }

    fn mqtt(&self) -> Mqtt {
        let address = self.broker.as_ref().unwrap().addresses()[0];
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Mqtt(stream)
    }

    /// Ends the stack and starts it once more with what was kept.
    fn restart(&mut self) {
        let (things, broker) = (self.things.take().unwrap(), self.broker.take().unwrap());
        self.runtime.block_on(async {
            things.stop().await;
            broker.stop().await;
        });
        let bus = Bus::default();
        self.watch = bus.watch(Interest::Rare, 1000);
        let (things, broker) = start(&self.runtime, self.state.path(), bus);
        (self.things, self.broker) = (Some(things), Some(broker));
    }
}

fn start(runtime: &Runtime, state: &std::path::Path, bus: Bus) -> (Things, Broker) {
    let _inside = runtime.enter();
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let sockets = Sockets(PARTS.iter().map(|(part, name)| (*part, *name, bind())).collect());
    let setup = Setup { is_mainflux: true, ..Setup::default() };
    let opened = Opened::open(state, bus.clone(), setup, sockets).unwrap();
    let listener = Listener { socket: bind(), dress: Dress::Bare };
    let access = opened.access(Arc::new(Open::default()));
    let limits = Limits { when_denied: WhenDenied::Close, ..Limits::default() };
    let broker = broker::serve(vec![listener], access, bus, limits, Some(state)).unwrap();
    let things = opened.serve(broker.handle(), &Guard::default()).unwrap();
    (things, broker)
}

impl Drop for World {
    fn drop(&mut self) {
        let (things, broker) = (self.things.take(), self.broker.take());
        self.runtime.block_on(async {
            if let Some(things) = things {
                things.stop().await;
            }
            if let Some(broker) = broker {
                broker.stop().await;
            }
        });
    }
}

/// A client of MQTT 3.1.1.
struct Mqtt(TcpStream);

impl Mqtt {
    fn say(&mut self, first: u8, body: &[u8]) {
        let mut packet = vec![first];
        let mut rest = body.len();
        loop {
            packet.push(u8::try_from(rest & 0x7f).unwrap() | if rest > 0x7f { 0x80 } else { 0 });
            rest >>= 7;
            if rest == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        self.0.write_all(&packet).unwrap();
    }

    /// Hears one packet; none where the connection ended.
    fn hear(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut first = [0; 1];
        self.0.read_exact(&mut first).ok()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let mut byte = [0; 1];
            self.0.read_exact(&mut byte).ok()?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        Some((first[0], body))
    }

    /// Connects with a user name and a key, and returns the code of the answer.
    fn connect(&mut self, id: &str, username: &str, key: &str) -> u8 {
        let mut body = b"\0\x04MQTT\x04\xc2\0\0".to_vec();
        for text in [id, username, key] {
            put(&mut body, text);
        }
        self.say(0x10, &body);
        self.hear().unwrap().1[1]
    }

    /// Publishes at quality 1; tells whether that was acknowledged.
    fn publish(&mut self, topic: &str, payload: &[u8]) -> bool {
        let mut body = Vec::new();
        put(&mut body, topic);
        body.extend([0, 7]);
        body.extend_from_slice(payload);
        self.say(0x32, &body);
        self.hear() == Some((0x40, vec![0, 7]))
    }

    /// Subscribes at quality 2, and returns the code of the answer.
    fn subscribe(&mut self, filter: &str) -> u8 {
        let mut body = vec![0, 9];
        put(&mut body, filter);
        body.push(2);
        self.say(0x82, &body);
        self.hear().unwrap().1[2]
    }
}

fn put(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}
