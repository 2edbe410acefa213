//! Handshake: CONNECT is read, judged and answered; then the connection is served.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};

use super::budget::Hold;
use super::codec::{self, ConnAck, Connect, Fault, Packet, Reason, Told, Version};
use super::connection::Connection;
use super::core::{Core, now_ms};
use super::outbox::Outbox;
use super::registry::{Arrival, Attached};
use super::session::Will;
use super::stream::{Moved, Stream};
use crate::dev::access::{Admission, Attempt, Denial, Who};
use crate::dev::happening::{Client, Message, What};

/// Bytes that a CONNECT may have: a will, a name and a password of full length, and properties.
const CONNECT_BYTES_MAX: usize = 512 << 10;

/// Bytes of a packet's first part that are not counted.
pub(super) const SMALL_BYTES: usize = 4 << 10;

/// A CONNECT that was refused: what the client is told, if anything.
struct Refusal {
    version: Version,
    code: Option<u8>,
    why: Option<Arc<str>>,
}

/// Serves whoever is at the other end of a socket.
pub(super) async fn greet(core: Arc<Core>, mut stream: Stream, peer: SocketAddr) {
    let mut inbox = BytesMut::new();
    // The handshake's own state is large and short-lived: it goes to the heap and is gone before the rest.
    let greeting = Box::pin(async {
        let frame = first_frame(&core, &mut stream, &mut inbox).await?;
        Some(
            introduce(&core, &inbox[..frame.0 + frame.1], frame, peer)
                .await
                .map(|all| (all, frame)),
        )
    });
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(core.limits.connect_timeout, greeting) => greeted,
        () = core.stop.cancelled() => return,
    };
    match greeted {
        Ok(Some(Ok(((connection, end), (head, body))))) => {
            inbox.advance(head + body);
            connection.serve(stream, inbox, end).await;
        }
        Ok(Some(Err(refusal))) => {
            core.counters.refused.add(1);
            refusal.tell(&mut stream).await;
        }
        Ok(None) | Err(_) => core.counters.refused.add(1),
    }
}

impl Refusal {
    fn silent() -> Self {
        Self { version: Version::V311, code: None, why: None }
    }

    /// Puts a reason into the words of the client's version.
    fn new(version: Version, reason: Reason) -> Self {
        let code = match (version, reason) {
            (Version::V5, reason) => reason.code(),
            (_, Reason::UnsupportedVersion) => 1,
            (_, Reason::BadClientId) => 2,
            (_, Reason::BadCredentials) => 4,
            (_, Reason::NotAuthorized) => 5,
            _ => 3,
        };
        Self { version, code: Some(code), why: None }
    }

    async fn tell(self, stream: &mut Stream) {
        let Some(code) = self.code else { return };
        let mut outbox = Outbox::default();
        let why = self.why.as_deref();
        let answer = ConnAck { session_present: false, code, told: None, why };
        codec::connack(outbox.packets(), self.version, &answer);
        let say = async {
            let mut written = 0;
            stream.exchange(&mut outbox, &mut BytesMut::new(), false, &mut written).await?;
            stream.close().await;
            std::io::Result::Ok(())
        };
        drop(tokio::time::timeout(Duration::from_secs(1), say).await);
    }
}

/// Reads until a whole packet is there: the length of its head and that of its body.
async fn first_frame(
    core: &Core,
    stream: &mut Stream,
    inbox: &mut BytesMut,
) -> Option<(usize, usize)> {
    let most = CONNECT_BYTES_MAX.min(core.limits.packet_bytes_max);
    let (mut outbox, mut hold) = (Outbox::default(), Hold::new(&core.reading, 0));
    loop {
        // Whoever does not begin with CONNECT does not speak MQTT.
        if inbox.first().is_some_and(|first| *first != 0x10) {
            return None;
        }
        match codec::frame(inbox, most) {
            Ok(Some((head, body))) if inbox.len() >= head + body => return Some((head, body)),
            Ok(_) => {}
            Err(_) => return None,
        }
        if inbox.len() > SMALL_BYTES {
            if core.reading.is_spent() {
                return None;
            }
            hold.resize(inbox.len());
        }
        let mut written = 0;
        match stream.exchange(&mut outbox, inbox, true, &mut written).await {
            Ok(Moved::In(_)) => {}
            _ => return None,
        }
    }
}

type Greeted = (Connection, tokio::sync::oneshot::Receiver<Reason>);

async fn introduce(
    core: &Arc<Core>,
    packet: &[u8],
    (head, _): (usize, usize),
    peer: SocketAddr,
) -> Result<Greeted, Refusal> {
    let connect = match codec::read(Version::V5, packet[0], &packet[head..]) {
        Ok(Packet::Connect(connect)) => connect,
        Err(Fault { reason: Reason::UnsupportedVersion, .. }) => {
            // MQTT after 5 will know the reason codes of 5; older ones know return code 1.
            let level = packet.get(head + 6).copied().unwrap_or(0);
            let is_newer = packet[head..].starts_with(b"\0\x04MQTT") && level > 5;
            let version = if is_newer { Version::V5 } else { Version::V311 };
            return Err(Refusal::new(version, Reason::UnsupportedVersion));
        }
        _ => return Err(Refusal::silent()),
    };
    let client = name(core, &connect, peer)?;
    let (who, client) = match admit(core, &connect, client, peer).await {
        Ok(admitted) => admitted,
        Err((client, reason, rule)) => {
            let mut refusal = Refusal::new(connect.version, reason);
            refusal.why = rule.filter(|_| is_told_why(core, &connect));
            say_connected(core, &connect, &client, refusal.code.unwrap_or(3));
            core.say(What::ClientDisconnected { client, reason: "refused".into() });
            return Err(refusal);
        }
    };
    welcome(core, &connect, who, client)
}

/// Finds out by what name a client goes.
fn name(core: &Core, connect: &Connect<'_>, peer: SocketAddr) -> Result<Client, Refusal> {
    let refuse = |reason| Refusal::new(connect.version, reason);
    if connect.properties.authentication_method.is_some() {
        return Err(refuse(Reason::BadAuthMethod));
    }
    let given = connect.client_id;
    let may_be_empty = match connect.version {
        Version::V31 => false,
        Version::V311 => connect.clean,
        Version::V5 => true,
    };
    if (given.is_empty() && !may_be_empty) || given.len() > core.limits.client_id_bytes_max {
        return Err(refuse(Reason::BadClientId));
    }
    Ok(Client {
        id: given.into(),
        username: connect.username.map(Into::into),
        address: peer.ip().to_string().into(),
        port: peer.port(),
    })
}

type Denied = (Arc<Client>, Reason, Option<Arc<str>>);

/// Asks whether the client may connect, and whether it may leave its will.
async fn admit(
    core: &Core,
    connect: &Connect<'_>,
    mut client: Client,
    peer: SocketAddr,
) -> Result<(Who, Arc<Client>), Denied> {
    let (client_id, username) = (connect.client_id, connect.username);
    let attempt = Attempt { client_id, username, password: connect.password, peer };
    let (is_superuser, identity) = match core.access.connect(&attempt).await {
        Admission::Allowed { is_superuser, identity } => (is_superuser, identity),
        Admission::Denied { code, rule } => {
            let client = Arc::new(client);
            core.say_denied(&client, "connect", &"".into(), &rule);
            let reason = match code {
                Denial::BadCredentials => Reason::BadCredentials,
                Denial::NotAuthorized => Reason::NotAuthorized,
                Denial::Unavailable => Reason::ServerUnavailable,
            };
            return Err((client, reason, Some(rule)));
        }
    };
    if client.id.is_empty() {
        client.id = identity.clone().unwrap_or_else(|| format!("auto-{:x}", core.number()).into());
    }
    let client = Arc::new(client);
    let who = Who {
        client_id: Arc::clone(&client.id),
        username: client.username.clone(),
        peer,
        is_superuser,
        identity,
    };
    if let Some(will) = &connect.will
        && !is_superuser
    {
        let verdict = core.access.publish(&who, will.topic).await;
        if !verdict.is_allowed {
            core.say_denied(&client, "publish", &will.topic.into(), &verdict.rule);
            return Err((client, Reason::NotAuthorized, Some(verdict.rule)));
        }
    }
    Ok((who, client))
}

/// Gives the client its session and answers it.
fn welcome(
    core: &Arc<Core>,
    connect: &Connect<'_>,
    who: Who,
    client: Arc<Client>,
) -> Result<Greeted, Refusal> {
    let limits = &core.limits;
    let asked_s = match connect.version {
        Version::V5 => connect.properties.session_expiry_s.unwrap_or(0),
        _ if connect.clean => 0,
        _ => u32::MAX,
    };
    let expiry_s = asked_s.min(limits.session_expiry_max_s);
    let arrival = Arrival {
        client: Arc::clone(&client),
        version: connect.version,
        clean: connect.clean,
        expiry_s,
        will: will(core, connect, &client, who.identity.clone()),
    };
    let Some(attached) = core.attach(arrival) else {
        return Err(Refusal::new(connect.version, Reason::QuotaExceeded));
    };
    core.counters.connected.add(1);
    core.counters.connections.add(1);
    say_connected(core, connect, &client, 0);
    if !attached.was_present {
        core.say(What::SessionCreated { client: Arc::clone(&client) });
    }
    let keep_alive_s = keep_alive(core, connect);
    let assigned = Arc::clone(&client.id);
    let told = Told {
        assigned_client_id: connect.client_id.is_empty().then_some(&*assigned),
        session_expiry_s: (expiry_s != asked_s).then_some(expiry_s),
        keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
        receive_maximum: limits.receive_maximum,
        topic_alias_maximum: limits.topic_alias_maximum,
        packet_bytes_max: u32::try_from(limits.packet_bytes_max).ok(),
    };
    let session_present = attached.was_present;
    let (mut connection, end) = connection(core, connect, who, (client, attached));
    let answer = ConnAck { session_present, code: 0, told: Some(told), why: None };
    connection.keep_alive = Duration::from_millis(u64::from(keep_alive_s) * 1500);
    codec::connack(connection.outbox.packets(), connect.version, &answer);
    if connection.outbox.len() > connection.packet_bytes_max {
        // The client takes no packet of that size: it may not even be told.
        core.counters.connected.take_away(1);
        core.detach(&connection.session, connection.owner, super::registry::Leave::Lost, None);
        core.say(What::ClientDisconnected {
            client: connection.client,
            reason: "takes no packet as large as the answer".into(),
        });
        return Err(Refusal::silent());
    }
    connection.resend();
    Ok((connection, end))
}

fn connection(
    core: &Arc<Core>,
    connect: &Connect<'_>,
    who: Who,
    (client, attached): (Arc<Client>, Attached),
) -> Greeted {
    let properties = &connect.properties;
    let limits = &core.limits;
    let session_expires = attached.session.lock().is_durable();
    let connection = Connection {
        core: Arc::clone(core),
        session_expires,
        session: attached.session,
        owner: attached.owner,
        client,
        who,
        version: connect.version,
        keep_alive: Duration::ZERO,
        window: properties.receive_maximum.unwrap_or(u16::MAX).min(limits.inflight_max),
        packet_bytes_max: properties
            .maximum_packet_size
            .map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        is_told_why: is_told_why(core, connect),
        outbox: Outbox::default(),
        promises: VecDeque::new(),
        open_qos1: 0,
        topics: Vec::new(),
        aliases: HashMap::new(),
        aliases_max: properties.topic_alias_maximum.unwrap_or(0).min(limits.topic_alias_maximum),
        routes: HashMap::new(),
        pressed: None,
        hold: Hold::new(&core.budget, 0),
        reading: Hold::new(&core.reading, 0),
        kept: VecDeque::new(),
        route_targets: 0,
        committed: core.store.as_ref().map(super::store::Store::committed),
    };
    (connection, attached.end)
}

/// Tells whether a client hears which rule denies what it wants: if it can, does not mind, and takes such packets.
fn is_told_why(core: &Core, connect: &Connect<'_>) -> bool {
    let properties = &connect.properties;
    let most = properties.maximum_packet_size.map_or(u64::MAX, u64::from);
    connect.version == Version::V5
        && core.limits.tells_why_denied
        && !properties.wants_no_problem_information
        && most > codec::WHY_PACKET_BYTES
}

/// How many seconds may pass without a sign of life; before MQTT 5 the server cannot say another number.
fn keep_alive(core: &Core, connect: &Connect<'_>) -> u16 {
    let most = core.limits.keep_alive_max_s;
    let asked = connect.keep_alive_s;
    if connect.version == Version::V5 && most > 0 && (asked == 0 || asked > most) {
        most
    } else {
        asked
    }
}

fn will(
    core: &Core,
    connect: &Connect<'_>,
    client: &Arc<Client>,
    identity: Option<Arc<str>>,
) -> Option<Will> {
    let will = connect.will.as_ref()?;
    let message = Message {
        id: core.number(),
        topic: will.topic.into(),
        payload: Bytes::copy_from_slice(will.payload),
        qos: will.qos,
        retain: will.retain,
        dup: false,
        from: Some(Arc::clone(client)),
        at_ms: now_ms(),
    };
    let properties = &will.properties;
    let parcel = core.parcel(message, properties.shared(), properties.message_expiry_s);
    Some(Will { parcel, delay_s: properties.will_delay_s.unwrap_or(0), identity })
}

fn say_connected(core: &Core, connect: &Connect<'_>, client: &Arc<Client>, connack: u8) {
    core.say(What::ClientConnected {
        client: Arc::clone(client),
        connack,
        clean_session: connect.clean,
        keepalive_s: connect.keep_alive_s,
        protocol: connect.version as u8,
        will_topic: connect.will.as_ref().map(|will| will.topic.into()),
    });
}
