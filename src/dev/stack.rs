//! Stack: everything of the desk that runs in this process, started so that each finds what it needs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::access::{Access, Guarded};
use super::broker::{self, Broker, Dress, Limits, Listener};
use super::bus::Bus;
use super::certificate::Certificate;
use super::error::DevError;
use super::place::Service;
use super::ports::Ports;
use super::streams::{self, Streams};
use super::web::{Exposure, Guard};

/// The standard ports.
const MQTT: u16 = 1883;
const MQTTS: u16 = 8883;
const MQTT_WS: u16 = 8083;
const REDIS: u16 = 6379;
/// How long what happened at the very end may take to be written.
const SINK_MAX: Duration = Duration::from_secs(2);

/// A stack that runs. Call [`Stack::stop`] to end it.
#[derive(Debug)]
pub struct Stack {
    services: Vec<Service>,
    certificate: Certificate,
    broker: Broker,
    streams: Streams,
    sink: JoinHandle<()>,
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
        ports.check()?;
        // All ports are had before anything is served, so that nothing has to be taken back.
        let mqtt = ports.standard_or_stable("mqtt", MQTT)?;
        let mqtts = ports.standard_or_stable("mqtts", MQTTS)?;
        let mqtt_ws = ports.standard_or_stable("mqtt-ws", MQTT_WS)?;
        let redis = ports.standard_or_stable("redis", REDIS)?;
        let bus = Bus::default();
        let password = guard.secret().map(|secret| secret.reveal().as_bytes());
        let streams = Streams::start(redis, state, password)?;
        let instance = state.file_name().map(|name| name.to_string_lossy().into_owned());
        let sink = streams::sink(bus.clone(), streams.inlet(), instance.unwrap_or_default());
        let sink = tokio::spawn(sink);
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
        let broker = broker::serve(listeners, access, bus, Limits::default(), Some(state))?;
        let kinds = [("mqtt", "mqtt", ""), ("mqtts", "mqtts", ""), ("mqtt-ws", "ws", "/mqtt")];
        let of_broker = kinds.iter().zip(broker.addresses());
        let mut services: Vec<Service> = of_broker
            .map(|((name, scheme, path), address)| Service::new(name, *address, scheme, path))
            .collect();
        services.push(Service::new("redis", streams.address(), "redis", ""));
        Ok(Self { services, certificate, broker, streams, sink })
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
        self.broker.stop().await;
        // The bus goes with the broker's last task: the sink writes what is left, and ends.
        drop(tokio::time::timeout(SINK_MAX, self.sink).await);
        self.streams.stop().await;
    }
}
