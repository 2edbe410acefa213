//! Drops: whatever is sent arrives, waits, or is a drop that is counted and said.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const SENT: u64 = 2000;
const PAYLOAD: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(60);

/// A packet of quality 0 on a topic of one letter.
const PACKET: usize = 1 + 3 + 2 + 1 + PAYLOAD;

/// Reads whatever comes from now on, and counts its bytes.
fn reads(peer: Peer) -> Arc<AtomicUsize> {
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    tokio::spawn(async move {
        let (mut stream, mut bytes) = (peer.0, vec![0; 1 << 16]);
        while let Ok(more @ 1..) = stream.read(&mut bytes).await {
            count.fetch_add(more, Ordering::Relaxed);
        }
    });
    read
}

/// Waits until so many messages came, and sees that it stays at that.
async fn came(read: &AtomicUsize, messages: u64) {
    let bytes = usize::try_from(messages).unwrap() * PACKET;
    let all = timeout(PATIENCE, async {
        while read.load(Ordering::Relaxed) < bytes {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(all.await.is_ok(), "{} of {bytes} bytes came", read.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(read.load(Ordering::Relaxed), bytes);
}

fn dropped(broker: &Broker, client: &str) -> u64 {
    let sessions = broker.handle().sessions(usize::MAX);
    sessions.into_iter().find(|session| &*session.client_id == client).unwrap().dropped
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_arrives_waits_or_is_a_drop_that_is_counted_and_said() {
    let limits = Limits {
        queue_bytes_max: 1 << 20,
        queue_messages_max: 100,
        sys_interval: Duration::from_millis(100),
        // Who does not read is left alone for as long as the machine takes.
        write_timeout: Duration::from_secs(600),
        ..Limits::default()
    };
    let (broker, bus) = start(limits, None);
    let mut watch = bus.watch(Interest::Rare, 1 << 16);
    // One reads, one does not, one is not there, and one does not acknowledge.
    let mut reader = Peer::connect(&broker, "reader", 2).await;
    let mut stuck = Peer::connect(&broker, "stuck", 2).await;
    for peer in [&mut reader, &mut stuck] {
        assert_eq!(peer.hear().await, CONNACK);
        peer.subscribe("t", 0).await;
    }
    let read = reads(reader);
    let mut away = Peer::connect(&broker, "away", 0).await;
    assert_eq!(away.hear().await, CONNACK);
    away.subscribe("q", 1).await;
    away.say(0xe0, &[]).await;
    assert_eq!(away.hear().await, b"");
    let mut silent = Peer::connect(&broker, "silent", 2).await;
    assert_eq!(silent.hear().await, CONNACK);
    silent.subscribe("q", 1).await;

    let mut sender = Peer::connect(&broker, "sender", 2).await;
    assert_eq!(sender.hear().await, CONNACK);
    let payload = vec![b'x'; PAYLOAD];
    for _ in 0..SENT {
        sender.publish("t", 0, &payload).await;
    }
    for _ in 0..SENT {
        sender.publish("q", 1, b"x").await;
        assert_eq!(sender.hear().await, [0x40, 2, 0, 5]);
    }

    let handle = broker.handle();
    let each = ["reader", "stuck", "away", "silent"].map(|client| dropped(&broker, client));
    let sum: u64 = each.iter().sum();
    assert_eq!(handle.counters().dropped.get(), sum);
    assert!(each[1] > 100 && each[2] == SENT - 100, "{each:?}");
    assert!(handle.memory_used() < 8 << 20, "{}", handle.memory_used());
    came(&read, SENT - each[0]).await;
    came(&reads(stuck), SENT - each[1]).await;
    for session in handle.sessions(usize::MAX) {
        let kept = (session.waiting + session.open) as u64;
        match &*session.client_id {
            "away" | "silent" => assert_eq!(kept + session.dropped, SENT, "{session:?}"),
            _ => assert_eq!(kept, 0, "{session:?}"),
        }
    }

    let mut said = 0;
    while said < sum {
        let happening = timeout(PATIENCE, watch.next()).await.expect("all drops are said");
        if let What::MessageDropped { count, .. } = &happening.unwrap().what {
            said += count;
        }
    }
    assert_eq!(said, sum);
    let mut counts = Peer::connect(&broker, "counts", 2).await;
    assert_eq!(counts.hear().await, CONNACK);
    counts.subscribe("$SYS/broker/messages/dropped", 0).await;
    let shown = timeout(PATIENCE, async {
        while !counts.hear().await.ends_with(format!("dropped{sum}").as_bytes()) {}
    });
    assert!(shown.await.is_ok(), "`$SYS` never said {sum}");
    broker.stop().await;
}
