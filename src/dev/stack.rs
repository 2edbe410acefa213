//! Stack: everything of the desk that runs in this process, started so that each finds what it needs.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::access::{Access, Guarded};
use super::broker::{self, Broker, Dress, Limits, Listener};
use super::bus::Bus;
use super::certificate::Certificate;
use super::error::DevError;
use super::events::Events;
use super::page::{Page, Parts};
use super::place::Service;
use super::ports::Ports;
use super::streams::{self, Streams};
use super::web::{Exposure, Guard};

/// The standard ports.
const MQTT: u16 = 1883;
const MQTTS: u16 = 8883;
const MQTT_WS: u16 = 8083;
const REDIS: u16 = 6379;
const PAGE: u16 = 18083;
/// How long what happened at the very end may take to be written.
const SINK_MAX: Duration = Duration::from_secs(2);

/// A stack that runs. Call [`Stack::stop`] to end it.
#[derive(Debug)]
pub struct Stack {
    services: Vec<Service>,
    certificate: Certificate,
    page: Page,
    broker: Broker,
    streams: Streams,
    sink: JoinHandle<()>,
    events: Events,
}

/// Where everything will listen.
struct Sockets {
    mqtt: TcpListener,
    mqtts: TcpListener,
    mqtt_ws: TcpListener,
    redis: TcpListener,
    page: TcpListener,
}

impl Sockets {
    /// Opens all before anything is served, so that nothing has to be taken back.
    fn open(ports: &Ports) -> Result<Self, DevError> {
        ports.check()?;
        Ok(Self {
            mqtt: ports.standard_or_stable("mqtt", MQTT)?,
            mqtts: ports.standard_or_stable("mqtts", MQTTS)?,
            mqtt_ws: ports.standard_or_stable("mqtt-ws", MQTT_WS)?,
            redis: ports.standard_or_stable("redis", REDIS)?,
            page: ports.standard_or_stable("page", PAGE)?,
        })
    }
}

impl Stack {
    /// Starts a stack whose state is below `state`, for whom `guard` lets in.
    ///
    /// # Errors
    /// Where no port is free, the state cannot be read, or others than this machine would reach the stack and nothing
    /// was said of them.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        ports: &Ports,
        state: &Path,
        access: Arc<dyn Access>,
        guard: &Guard,
    ) -> Result<Self, DevError> {
        let address = ports.address();
        if !address.is_loopback() && matches!(guard.exposure(), Exposure::Loopback) {
            return Err(DevError::Exposed { address });
        }
        let Sockets { mqtt, mqtts, mqtt_ws, redis, page } = Sockets::open(ports)?;
        let bus = Bus::default();
        let password = guard.secret().map(|secret| secret.reveal().as_bytes());
        let streams = Streams::start(redis, state, password)?;
        let instance = state.file_name().map(|name| name.to_string_lossy().into_owned());
        let sink = streams::sink(bus.clone(), streams.inlet(), instance.unwrap_or_default());
        let sink = tokio::spawn(sink);
        let events = Events::start(&bus, state)?;
        let certificate = Certificate::have(state, address)?;
        let config = broker::tls(&certificate.server, &certificate.key)?;
        let listeners = vec![
            Listener { socket: mqtt, dress: Dress::Bare },
            Listener { socket: mqtts, dress: Dress::Tls(config) },
            Listener { socket: mqtt_ws, dress: Dress::WebSocket(guard.clone()) },
        ];
        let access = match guard.secret() {
            Some(secret) => Guarded::new(access, secret.clone()),
            None => access,
        };
        let limits = Limits::default();
        let broker = broker::serve(listeners, access, bus.clone(), limits, Some(state))?;
        let mut services = of_broker(&broker);
        services.push(Service::new("redis", streams.address(), "redis", ""));
        let (address, handle) = (address_of("page", &page)?, broker.handle());
        services.insert(0, Service::new("page", address, "http", ""));
        let inlet = streams.inlet();
        let parts = Parts { services: services.clone(), broker: handle, streams: inlet, bus };
        let page = Page::start(page, parts, guard)?;
        Ok(Self { services, certificate, page, broker, streams, sink, events })
    }

    /// Returns what clients of the services that speak TLS have to trust.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns what runs, in the order in which it can be used.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// Ends everything, each before what it needs; what was promised is on the disk.
    pub async fn stop(self) {
        // The page holds the bus, too, and would keep the sink waiting.
        self.page.stop().await;
        self.broker.stop().await;
        // The bus goes with the broker's last task: the sink writes what is left, and ends.
        drop(tokio::time::timeout(SINK_MAX, self.sink).await);
        self.streams.stop().await;
        self.events.stop().await;
    }
}

fn of_broker(broker: &Broker) -> Vec<Service> {
    let kinds = [("mqtt", "mqtt", ""), ("mqtts", "mqtts", ""), ("mqtt-ws", "ws", "/mqtt")];
    let served = kinds.iter().zip(broker.addresses());
    served
        .map(|((name, scheme, path), address)| Service::new(name, *address, scheme, path))
        .collect()
}

fn address_of(service: &'static str, socket: &TcpListener) -> Result<SocketAddr, DevError> {
    socket.local_addr().map_err(|source| DevError::Listen { service, source })
}
