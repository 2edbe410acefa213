//! Stack: everything of the desk that runs in this process, started so that each finds what it needs.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::access::{Access, Book, Guarded};
use super::broker::{self, Broker, Dress, Limits, Listener, Overlap, WhenDenied};
use super::bus::Bus;
use super::certificate::Certificate;
use super::error::DevError;
use super::events::{self, Events, Flusher, Forwards};
use super::page::{Page, Parts};
use super::place::Service;
use super::ports::Ports;
use super::services::Supervised;
use super::streams::{self, Streams};
use super::things::{self, Things};
use super::troubles::Troubles;
use super::web::{Exposure, Guard};

/// The standard ports.
const MQTT: u16 = 1883;
const MQTTS: u16 = 8883;
const MQTT_WS: u16 = 8083;
const REDIS: u16 = 6379;
const ELASTICSEARCH: u16 = 9200;
const PAGE: u16 = 18083;
/// The services of the broker, each with its scheme and path.
const OF_BROKER: [(&str, u16, &str, &str); 3] = [
    ("mqtt", MQTT, "mqtt", ""),
    ("mqtts", MQTTS, "mqtts", ""),
    ("mqtt-ws", MQTT_WS, "ws", "/mqtt"),
];
/// How long what happened at the very end may take to be written.
const SINK_MAX: Duration = Duration::from_secs(2);
/// How often it is looked whether everything can be written.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A service of a stack as it is where every port is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standard {
    /// What it is: `mqtt`, `redis`.
    pub name: &'static str,
    /// Its standard port.
    pub port: u16,
    /// How it is spoken to.
    pub scheme: &'static str,
    /// What stands behind its address.
    pub path: &'static str,
}

/// Returns what runs in the process of a stack, things as `setup` says.
pub fn standard(setup: &things::Setup) -> Vec<Standard> {
    let one = |(name, port, scheme, path)| Standard { name, port, scheme, path };
    let mut all = vec![one(("page", PAGE, "http", ""))];
    all.extend(OF_BROKER.map(one));
    all.push(one(("redis", REDIS, "redis", "")));
    all.push(one(("elasticsearch", ELASTICSEARCH, "http", "")));
    all.extend(things::standard(setup).map(|(name, port)| one((name, port, "http", ""))));
    all
}

/// What a stack is to be.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Where it may listen.
    pub ports: &'a Ports,
    /// The directory of its state.
    pub state: &'a Path,
    /// Who is let in over HTTP, and whether others than this machine reach it.
    pub guard: &'a Guard,
    /// Who may connect to the broker, publish and subscribe, where things do not decide.
    pub access: Arc<dyn Access>,
    /// The rules behind that, as the page shows and explains them.
    pub book: Book,
    /// Whether a denied message is answered with nothing and one denied filter denies a whole SUBSCRIBE.
    pub denies_as_emqttd: bool,
    /// Whether a client gets a message once for each of its filters that want it, as emqttd 2 does it.
    pub copies_for_each: bool,
    /// What runs in rooms, known once that is started.
    pub supervised: Supervised,
    /// How things run.
    pub things: things::Setup,
    /// Where events go beside the log.
    pub forwards: Forwards,
}

/// A stack that runs. Call [`Stack::stop`] to end it.
#[derive(Debug)]
pub struct Stack {
    services: Vec<Service>,
    certificate: Certificate,
    page: Page,
    things: Things,
    broker: Broker,
    sink: JoinHandle<()>,
    streams: Streams,
    events: Events,
    troubles: Troubles,
    looking: JoinHandle<()>,
}

/// Where everything will listen.
struct Sockets {
    mqtt: TcpListener,
    mqtts: TcpListener,
    mqtt_ws: TcpListener,
    redis: TcpListener,
    elasticsearch: TcpListener,
    page: TcpListener,
    things: things::Sockets,
}

impl Sockets {
    /// Opens all before anything is served, so that nothing has to be taken back.
    fn open(plan: &Plan<'_>) -> Result<Self, DevError> {
        let ports = plan.ports;
        ports.check()?;
        Ok(Self {
            mqtt: ports.standard_or_stable("mqtt", MQTT)?,
            mqtts: ports.standard_or_stable("mqtts", MQTTS)?,
            mqtt_ws: ports.standard_or_stable("mqtt-ws", MQTT_WS)?,
            redis: ports.standard_or_stable("redis", REDIS)?,
            elasticsearch: ports.standard_or_stable("elasticsearch", ELASTICSEARCH)?,
            page: ports.standard_or_stable("page", PAGE)?,
            things: things::Sockets::take(ports, &plan.things)?,
        })
    }
}

impl Stack {
    /// Starts a stack; every service listens when this returns.
    ///
    /// # Errors
    /// Where no port is free, the state cannot be read, or others than this machine would reach the stack and nothing
    /// was said of them.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(plan: Plan<'_>) -> Result<Self, DevError> {
        let address = plan.ports.address();
        if !address.is_loopback() && matches!(plan.guard.exposure(), Exposure::Loopback) {
            return Err(DevError::Exposed { address });
        }
        let sockets = Sockets::open(&plan)?;
        let limits = limits(&plan);
        let Plan { state, guard, access, book, things, forwards, supervised, .. } = plan;
        let bus = Bus::default();
        let password = guard.secret().map(|secret| secret.reveal().as_bytes());
        let streams = Streams::start(sockets.redis, state, password)?;
        let things = things::Opened::open(state, bus.clone(), things, sockets.things)?;
        let instance = state.file_name().map(|name| name.to_string_lossy().into_owned());
        let (inlet, instance) = (streams.inlet(), instance.unwrap_or_default());
        let named = events::Things::by(things.names());
        let forwards = Forwards { instance: instance.clone(), things: named, ..forwards };
        let sink = tokio::spawn(streams::sink(bus.clone(), inlet, instance, things.names()));
        let events = Events::start(&bus, state, sockets.elasticsearch, guard, &forwards)?;
        let certificate = Certificate::have(state, address)?;
        let listeners = vec![
            Listener { socket: sockets.mqtt, dress: Dress::Bare },
            Listener {
                socket: sockets.mqtts,
                dress: Dress::Tls(broker::tls(&certificate.server, &certificate.key)?),
            },
            Listener { socket: sockets.mqtt_ws, dress: Dress::WebSocket(guard.clone()) },
        ];
        let access = things.access(access);
        let access = match guard.secret() {
            Some(secret) => Guarded::over(access, secret.clone()),
            None => access,
        };
        let broker = broker::serve(listeners, access, bus.clone(), limits, Some(state))?;
        let things = things.serve(broker.handle(), guard)?;
        let mut services =
            vec![Service::new("page", address_of("page", &sockets.page)?, "http", "")];
        services.extend(of_broker(&broker));
        services.push(Service::new("redis", streams.address(), "redis", ""));
        services.push(Service::new("elasticsearch", events.address(), "http", ""));
        services.extend(things.services());
        let (handle, inlet) = (broker.handle(), streams.inlet());
        let troubles = Troubles::default();
        let looking = look(troubles.clone(), &broker, &streams, &events, &things);
        let parts = Parts {
            services: services.clone(),
            troubles: troubles.clone(),
            broker: handle,
            streams: inlet,
            log: events.reader()?,
            things: things.view(),
            book,
            supervised,
            bus,
        };
        let page = Page::start(sockets.page, parts, guard)?;
        Ok(Self {
            services,
            certificate,
            page,
            things,
            broker,
            sink,
            streams,
            events,
            troubles,
            looking: tokio::spawn(looking),
        })
    }

    /// Returns what clients of the services that speak TLS have to trust.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns a way to look at things and channels.
    pub fn things(&self) -> things::View {
        self.things.view()
    }

    /// Returns where it is told what keeps parts of the stack from writing.
    pub fn troubles(&self) -> Troubles {
        self.troubles.clone()
    }

    /// Returns a way to have all events written that happened so far.
    pub fn flusher(&self) -> Flusher {
        self.events.flusher()
    }

    /// Returns what runs, the page first and the rest in the order in which it can be used.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// Ends everything, each before what it needs; what was promised is on the disk.
    pub async fn stop(self) {
        // Who looks holds the broker, and with it the bus.
        self.looking.abort();
        drop(self.looking.await);
        // The page holds the bus, too, and would keep the sink waiting.
        self.page.stop().await;
        self.things.stop().await;
        self.broker.stop().await;
        // The bus goes with the broker's last task: the sink writes what is left, and ends.
        drop(tokio::time::timeout(SINK_MAX, self.sink).await);
        self.streams.stop().await;
        self.events.stop().await;
    }
}

/// Looks again and again what keeps the parts from writing, until it is ended.
fn look(
    troubles: Troubles,
    broker: &Broker,
    streams: &Streams,
    events: &Events,
    things: &Things,
) -> impl Future<Output = ()> + Send + 'static + use<> {
    let (broker, streams) = (broker.handle(), streams.inlet());
    let (events, things) = (events.trouble(), things.view());
    async move {
        loop {
            let server = streams.server(0).await;
            let all = [
                ("mqtt", broker.trouble()),
                ("redis", server.and_then(|server| server.trouble)),
                ("elasticsearch", events()),
                ("things", things.trouble()),
            ];
            let known = all.into_iter().filter_map(|(part, trouble)| Some((part, trouble?)));
            troubles.set(known.collect());
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn limits(plan: &Plan<'_>) -> Limits {
    let mut limits = Limits::default();
    if plan.copies_for_each {
        limits.overlap = Overlap::Each;
    }
    if plan.things.is_mainflux {
        // Mainflux's adapter closes the door on who publishes where it may not.
        limits.when_denied = WhenDenied::Close;
    } else if plan.denies_as_emqttd {
        limits.when_denied = WhenDenied::Silence;
        limits.denies_all_filters = true;
    }
    limits
}

fn of_broker(broker: &Broker) -> Vec<Service> {
    let served = OF_BROKER.iter().zip(broker.addresses());
    served
        .map(|((name, _, scheme, path), address)| Service::new(name, *address, scheme, path))
        .collect()
}

fn address_of(service: &'static str, socket: &TcpListener) -> Result<SocketAddr, DevError> {
    socket.local_addr().map_err(|source| DevError::Listen { service, source })
}
