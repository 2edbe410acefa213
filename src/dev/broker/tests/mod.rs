mod drops;
mod websocket;

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::dev::access::Open;
use crate::dev::{Interest, What};

/// A client that says and expects bytes.
struct Peer(TcpStream);

impl Peer {
    async fn connect(broker: &Broker, id: &str, flags: u8) -> Self {
        Self::connect_with(broker, id, (4, flags, &[])).await
    }

    /// Connects with a version, flags and properties or whatever follows the identifier.
    async fn connect_with(
        broker: &Broker,
        id: &str,
        (version, flags, more): (u8, u8, &[u8]),
    ) -> Self {
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', version, flags, 0, 0];
        if version == 5 {
            body.extend_from_slice(more);
        }
        put(&mut body, id);
        if version < 5 {
            body.extend_from_slice(more);
        }
        let mut peer = Self(TcpStream::connect(broker.addresses()[0]).await.unwrap());
        peer.say(0x10, &body).await;
        peer
    }

    async fn say(&mut self, first: u8, body: &[u8]) {
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
        self.0.write_all(&packet).await.unwrap();
    }

    async fn hear(&mut self) -> Vec<u8> {
        timeout(Duration::from_secs(5), self.hear_any()).await.expect("something comes")
    }

    async fn hear_any(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 2];
        if self.0.read_exact(&mut packet).await.is_err() {
            return Vec::new();
        }
        assert!(packet[1] < 0x80, "tests use small packets");
        let mut body = vec![0; packet[1].into()];
        self.0.read_exact(&mut body).await.unwrap();
        packet.extend(body);
        packet
    }

    async fn hears_nothing(&mut self) {
        let heard = timeout(Duration::from_millis(200), self.hear_any()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    async fn subscribe(&mut self, filter: &str, qos: u8) {
        let mut body = vec![0, 9];
        put(&mut body, filter);
        body.push(qos);
        self.say(0x82, &body).await;
        assert_eq!(self.hear().await, [0x90, 3, 0, 9, qos]);
    }

    async fn publish(&mut self, topic: &str, qos: u8, payload: &[u8]) {
        let mut body = Vec::new();
        put(&mut body, topic);
        if qos > 0 {
            body.extend([0, 5]);
        }
        body.extend_from_slice(payload);
        self.say(0x30 | qos << 1, &body).await;
    }
}

fn put(into: &mut Vec<u8>, text: &str) {
    into.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    into.extend_from_slice(text.as_bytes());
}

fn start(limits: Limits, state: Option<&Path>) -> (Broker, Bus) {
    start_dressed(limits, state, Dress::Bare)
}

fn start_dressed(limits: Limits, state: Option<&Path>, dress: Dress) -> (Broker, Bus) {
    let bus = Bus::default();
    let socket = StdListener::bind("127.0.0.1:0").unwrap();
    let listeners = vec![Listener { socket, dress }];
    let access = Arc::new(Open { denied: vec!["secret".into()] });
    (serve(listeners, access, bus.clone(), limits, state).unwrap(), bus)
}

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

#[tokio::test]
async fn a_message_of_quality_two_arrives_once_though_it_is_sent_twice() {
    let (broker, _) = start(Limits::default(), None);
    let mut receiver = Peer::connect(&broker, "r", 2).await;
    assert_eq!(receiver.hear().await, CONNACK);
    receiver.subscribe("a/+", 2).await;
    let mut sender = Peer::connect(&broker, "s", 2).await;
    assert_eq!(sender.hear().await, CONNACK);
    sender.publish("a/b", 2, b"x").await;
    assert_eq!(sender.hear().await, [0x50, 2, 0, 5]);
    sender.say(0x3c, b"\0\x03a/b\0\x05x").await;
    assert_eq!(sender.hear().await, [0x50, 2, 0, 5]);
    sender.say(0x62, &[0, 5]).await;
    assert_eq!(sender.hear().await, [0x70, 2, 0, 5]);
    assert_eq!(receiver.hear().await, b"\x34\x08\0\x03a/b\0\x01x");
    receiver.say(0x50, &[0, 1]).await;
    assert_eq!(receiver.hear().await, [0x62, 2, 0, 1]);
    receiver.say(0x70, &[0, 1]).await;
    receiver.hears_nothing().await;
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up_and_its_drops_are_said() {
    let limits = Limits { queue_bytes_max: 1 << 20, ..Limits::default() };
    let (broker, bus) = start(limits, None);
    let mut watch = bus.watch(Interest::Rare, 4096);
    let mut stuck = Peer::connect(&broker, "stuck", 2).await;
    stuck.hear().await;
    stuck.subscribe("t", 0).await;
    let mut other = Peer::connect(&broker, "other", 2).await;
    other.hear().await;
    other.subscribe("u", 1).await;
    let mut sender = Peer::connect(&broker, "sender", 2).await;
    sender.hear().await;
    let payload = vec![b'x'; 32 << 10];
    for _ in 0..1000 {
        sender.publish("t", 0, &payload).await;
    }
    sender.publish("u", 1, b"through").await;
    assert_eq!(sender.hear().await, [0x40, 2, 0, 5]);
    assert_eq!(other.hear().await, b"\x32\x0c\0\x01u\0\x01through");
    let handle = broker.handle();
    assert!(handle.counters().dropped.get() > 100);
    assert!(handle.memory_used() < 4 << 20, "{}", handle.memory_used());
    let dropped = loop {
        if let What::MessageDropped { client, topic, reason, .. } =
            &watch.next().await.unwrap().what
        {
            break (client.id.to_string(), topic.to_string(), *reason);
        }
    };
    assert_eq!(dropped, ("stuck".into(), "t".into(), "queue has too many bytes"));
    broker.stop().await;
}

#[tokio::test]
async fn an_absent_client_gets_the_newest_of_a_full_queue_and_the_budget_holds() {
    let limits = Limits { queue_messages_max: 10, ..Limits::default() };
    let (broker, _) = start(limits, None);
    let mut away = Peer::connect(&broker, "away", 0).await;
    away.hear().await;
    away.subscribe("t", 1).await;
    away.say(0xe0, &[]).await;
    assert_eq!(away.hear().await, b"");
    let mut sender = Peer::connect(&broker, "sender", 2).await;
    sender.hear().await;
    for number in 0..15u8 {
        sender.publish("t", 1, &[number]).await;
        sender.hear().await;
    }
    assert_eq!(broker.handle().counters().dropped.get(), 5);
    let mut back = Peer::connect(&broker, "away", 0).await;
    assert_eq!(back.hear().await, [0x20, 2, 1, 0]);
    for number in 5..15u8 {
        assert_eq!(back.hear().await.last(), Some(&number));
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_will_is_published_when_its_client_is_lost_and_not_when_it_says_goodbye() {
    let (broker, _) = start(Limits::default(), None);
    let mut watcher = Peer::connect(&broker, "w", 2).await;
    watcher.hear().await;
    watcher.subscribe("will", 0).await;
    let will = b"\0\x04will\0\x04gone";
    for says_goodbye in [true, false] {
        let mut client = Peer::connect_with(&broker, "c", (4, 2 | 4, will)).await;
        assert_eq!(client.hear().await, CONNACK);
        if says_goodbye {
            client.say(0xe0, &[]).await;
        }
        drop(client);
    }
    assert_eq!(watcher.hear().await, b"\x30\x0a\0\x04willgone");
    watcher.hears_nothing().await;
    broker.stop().await;
}

#[tokio::test]
async fn a_shared_subscription_gives_each_message_to_one_member_in_turn() {
    let (broker, _) = start(Limits::default(), None);
    let mut members = Vec::new();
    for id in ["one", "two"] {
        let mut member = Peer::connect(&broker, id, 2).await;
        member.hear().await;
        member.subscribe("$share/group/t", 0).await;
        members.push(member);
    }
    let mut sender = Peer::connect(&broker, "sender", 2).await;
    sender.hear().await;
    for _ in 0..4 {
        sender.publish("t", 0, b"x").await;
    }
    for member in &mut members {
        member.hear().await;
        member.hear().await;
        member.hears_nothing().await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_denied_filter_is_refused_alone_and_a_denied_message_goes_nowhere() {
    let (broker, bus) = start(Limits::default(), None);
    let mut watch = bus.watch(Interest::Rare, 64);
    let mut client = Peer::connect(&broker, "c", 2).await;
    client.hear().await;
    client.say(0x82, b"\0\x01\0\x06secret\0\0\x01t\x01").await;
    assert_eq!(client.hear().await, [0x90, 4, 0, 1, 0x80, 1]);
    client.publish("$SYS/x", 1, b"x").await;
    assert_eq!(client.hear().await, [0x40, 2, 0, 5]);
    let mut denied = Vec::new();
    while denied.len() < 2 {
        if let What::AclDenied { action, topic, rule, .. } = &watch.next().await.unwrap().what {
            denied.push(format!("{action} {topic}: {rule}"));
        }
    }
    assert_eq!(
        denied,
        [
            "subscribe secret: the filter is denied to all",
            "publish $SYS/x: `$SYS` is the broker's own"
        ]
    );
    broker.stop().await;
}

#[tokio::test]
async fn a_storm_of_denials_is_said_once_and_then_summed() {
    let (broker, bus) = start(Limits::default(), None);
    let mut watch = bus.watch(Interest::Rare, 64);
    let mut client = Peer::connect(&broker, "c", 2).await;
    client.hear().await;
    for _ in 0..500 {
        client.publish("$SYS/x", 1, b"x").await;
        client.hear().await;
    }
    let (mut events, mut denied) = (0, 0);
    while denied < 500 {
        let next = timeout(Duration::from_secs(10), watch.next()).await.expect("the rest comes");
        if let What::AclDenied { count, .. } = &next.unwrap().what {
            events += 1;
            denied += count;
        }
    }
    assert_eq!(denied, 500);
    assert!(events < 100, "{events}");
    broker.stop().await;
}

#[tokio::test]
async fn sessions_kept_and_queued_messages_are_there_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let (broker, _) = start(Limits::default(), Some(state.path()));
    let mut away = Peer::connect(&broker, "away", 0).await;
    away.hear().await;
    away.subscribe("t/#", 2).await;
    away.say(0xe0, &[]).await;
    away.hear().await;
    let mut sender = Peer::connect(&broker, "sender", 2).await;
    sender.hear().await;
    sender.publish("t/1", 1, b"queued").await;
    assert_eq!(sender.hear().await, [0x40, 2, 0, 5]);
    sender.say(0x33, b"\0\x04kept\0\x06value").await;
    assert_eq!(sender.hear().await, [0x40, 2, 0, 6]);
    broker.stop().await;

    let (broker, _) = start(Limits::default(), Some(state.path()));
    let mut back = Peer::connect(&broker, "away", 0).await;
    assert_eq!(back.hear().await, [0x20, 2, 1, 0]);
    assert_eq!(back.hear().await, b"\x32\x0d\0\x03t/1\0\x01queued");
    back.say(0x40, &[0, 1]).await;
    back.subscribe("kept", 0).await;
    assert_eq!(back.hear().await, b"\x31\x0b\0\x04keptvalue");
    broker.stop().await;
}

#[tokio::test]
async fn an_unfinished_delivery_goes_on_after_a_restart_with_its_number() {
    let state = tempfile::tempdir().unwrap();
    let (broker, _) = start(Limits::default(), Some(state.path()));
    let mut client = Peer::connect(&broker, "c", 0).await;
    client.hear().await;
    client.subscribe("t", 2).await;
    let mut sender = Peer::connect(&broker, "sender", 2).await;
    sender.hear().await;
    sender.publish("t", 2, b"x").await;
    sender.hear().await;
    assert_eq!(client.hear().await, b"\x34\x06\0\x01t\0\x01x");
    broker.stop().await;

    let (broker, _) = start(Limits::default(), Some(state.path()));
    let mut client = Peer::connect(&broker, "c", 0).await;
    assert_eq!(client.hear().await, [0x20, 2, 1, 0]);
    assert_eq!(client.hear().await, b"\x3c\x06\0\x01t\0\x01x");
    client.say(0x50, &[0, 1]).await;
    assert_eq!(client.hear().await, [0x62, 2, 0, 1]);
    broker.stop().await;
}

#[tokio::test]
async fn a_new_connection_takes_the_session_of_the_old_one() {
    let (broker, _) = start(Limits::default(), None);
    let mut old = Peer::connect_with(&broker, "c", (5, 2, &[0])).await;
    old.hear().await;
    let mut new = Peer::connect_with(&broker, "c", (5, 2, &[0])).await;
    assert_eq!(new.hear().await[3], 0);
    assert_eq!(old.hear().await, [0xe0, 1, 0x8e]);
    assert_eq!(old.hear().await, b"");
    broker.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_packet_end_the_connection_and_nothing_else() {
    let (broker, _) = start(Limits::default(), None);
    let mut good = Peer::connect(&broker, "good", 2).await;
    good.hear().await;
    for bad in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x10\xff\xff\xff\xff\x7f", b"\x00\x00"] {
        let mut stream = TcpStream::connect(broker.addresses()[0]).await.unwrap();
        stream.write_all(bad).await.unwrap();
        let mut rest = Vec::new();
        // A reset is an end too.
        drop(timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap());
        assert_eq!(rest, b"");
    }
    good.say(0xc0, &[]).await;
    assert_eq!(good.hear().await, [0xd0, 0]);
    broker.stop().await;
}

#[tokio::test]
async fn who_does_not_say_who_it_is_in_time_is_left_and_holds_nobody_up() {
    let connect_timeout = Duration::from_millis(300);
    let (broker, _) = start(Limits { connect_timeout, ..Limits::default() }, None);
    let mut silent = Vec::new();
    for said in [&b""[..], b"\x10", b"\x10\x0c\0\x04MQ"] {
        let mut stream = TcpStream::connect(broker.addresses()[0]).await.unwrap();
        stream.write_all(said).await.unwrap();
        silent.push(stream);
    }
    let mut good = Peer::connect(&broker, "good", 2).await;
    assert_eq!(good.hear().await, CONNACK);
    for mut stream in silent {
        let mut rest = Vec::new();
        drop(timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.unwrap());
        assert_eq!(rest, b"");
    }
    good.say(0xc0, &[]).await;
    assert_eq!(good.hear().await, [0xd0, 0]);
    broker.stop().await;
}

#[test]
fn the_tables_lead_back() {
    crate::database::assert_steps_lead_back(store::STEPS);
}

#[tokio::test]
async fn what_is_kept_stays_within_the_budget_though_it_is_replaced_by_more() {
    let limits = Limits { budget_bytes: 1 << 20, ..Limits::default() };
    let (broker, _) = start(limits, None);
    let mut sender = Peer::connect(&broker, "sender", 2).await;
    sender.hear().await;
    for bytes in [1, 64 << 10] {
        for number in 0..100 {
            let mut body = Vec::new();
            put(&mut body, &format!("t/{number}"));
            body.extend([0, 5]);
            body.resize(body.len() + bytes, b'x');
            sender.say(0x33, &body).await;
            sender.hear().await;
        }
    }
    let used = broker.handle().memory_used();
    assert!(used < 1 << 20, "{used}");
    assert!(broker.handle().counters().dropped.get() > 0);
    broker.stop().await;
}

#[tokio::test]
async fn places_in_queues_count_for_the_budget_and_are_given_back() {
    let limits = Limits { budget_bytes: 1 << 20, queue_messages_max: 100_000, ..Limits::default() };
    let (broker, _) = start(limits, None);
    for id in 0..20 {
        let mut away = Peer::connect(&broker, &format!("away{id}"), 0).await;
        away.hear().await;
        away.subscribe("t", 1).await;
        away.say(0xe0, &[]).await;
        away.hear().await;
    }
    let mut sender = Peer::connect(&broker, "sender", 2).await;
    sender.hear().await;
    for _ in 0..2000 {
        sender.publish("t", 1, b"x").await;
        sender.hear().await;
    }
    // Twenty queues of 2000 places are 2.5 MB, though each message is there once.
    let waiting: usize = broker.handle().sessions(30).iter().map(|session| session.waiting).sum();
    assert!((1000..20_000).contains(&waiting), "{waiting}");
    assert!(broker.handle().memory_used() < (1 << 20) + (64 << 10));
    for id in 0..20 {
        let mut back = Peer::connect(&broker, &format!("away{id}"), 2).await;
        back.hear().await;
    }
    let used = broker.handle().memory_used();
    assert!(used < 200 << 10, "{used}");
    broker.stop().await;
}

#[tokio::test]
async fn half_packets_of_many_clients_do_not_fill_the_memory() {
    let limits = Limits { reading_bytes: 1 << 20, ..Limits::default() };
    let (broker, _) = start(limits, None);
    let mut halves = Vec::new();
    for id in 0..8 {
        let mut half = Peer::connect(&broker, &format!("half{id}"), 2).await;
        half.hear().await;
        // The head of a packet of 2 MiB, and a quarter of it.
        half.0.write_all(&[0x30, 0x80, 0x80, 0x80, 0x01]).await.unwrap();
        drop(half.0.write_all(&vec![b'x'; 512 << 10]).await);
        halves.push(half);
    }
    let mut ended = 0;
    for half in &mut halves {
        ended += usize::from(timeout(Duration::from_millis(500), half.hear_any()).await.is_ok());
    }
    assert!((4..=6).contains(&ended), "{ended}");
    broker.stop().await;
}

#[tokio::test]
async fn another_user_does_not_get_what_waits_for_a_client() {
    let (broker, _) = start(Limits::default(), None);
    let name = |user: &str| {
        let mut more = Vec::new();
        put(&mut more, user);
        more
    };
    let mut away = Peer::connect_with(&broker, "c", (4, 0x80, &name("ann"))).await;
    away.hear().await;
    away.subscribe("t", 1).await;
    away.say(0xe0, &[]).await;
    away.hear().await;
    let mut sender = Peer::connect(&broker, "sender", 2).await;
    sender.hear().await;
    sender.publish("t", 1, b"for ann").await;
    sender.hear().await;
    let mut other = Peer::connect_with(&broker, "c", (4, 0x80, &name("bob"))).await;
    assert_eq!(other.hear().await, CONNACK);
    other.hears_nothing().await;
    broker.stop().await;
}

#[tokio::test]
async fn filters_cost_and_more_than_they_may_are_refused() {
    let limits = Limits { filters_bytes: 1 << 20, ..Limits::default() };
    let (broker, _) = start(limits, None);
    let mut greedy = Peer::connect(&broker, "greedy", 2).await;
    greedy.hear().await;
    let deep = "a/".repeat(150);
    let mut refused = 0;
    for number in 0..10 {
        let mut body = vec![0, 9];
        put(&mut body, &format!("{number}/{deep}"));
        body.push(0);
        greedy.say(0x82, &body).await;
        refused += usize::from(greedy.hear().await == [0x90, 3, 0, 9, 0x80]);
    }
    assert_eq!(refused, 7);
    let mut modest = Peer::connect(&broker, "modest", 2).await;
    modest.hear().await;
    modest.subscribe("a", 0).await;
    broker.stop().await;
}

#[tokio::test]
async fn a_client_that_comes_and_goes_leaves_no_deadline_behind() {
    let (broker, _) = start(Limits::default(), None);
    for _ in 0..20 {
        // A session that lives for an hour.
        let mut client =
            Peer::connect_with(&broker, "c", (5, 0, &[5, 0x11, 0, 0, 0x0e, 0x10])).await;
        client.hear().await;
        client.say(0xe0, &[]).await;
        client.hear().await;
    }
    assert_eq!(broker.core.deadlines.count(), 1);
    broker.stop().await;
}

#[tokio::test]
async fn a_damaged_database_is_named_with_the_way_out() {
    use crate::explain::Explain as _;
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join("broker.sqlite"), vec![b'x'; 10_000]).unwrap();
    let socket = StdListener::bind("127.0.0.1:0").unwrap();
    let listeners = vec![Listener { socket, dress: Dress::Bare }];
    let access = Arc::new(Open::default());
    let refused = serve(listeners, access, Bus::default(), Limits::default(), Some(state.path()));
    let error = refused.unwrap_err();
    assert!(error.to_string().contains("broker.sqlite` is damaged"), "{error}");
    assert!(error.hint().unwrap().contains("rebeam dev down --volumes"));
}
