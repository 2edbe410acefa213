//! Sys: the broker's own numbers, published below `$SYS/broker`.

use std::sync::Arc;

use bytes::Bytes;

use super::core::{Core, now_ms};
use crate::dev::happening::Message;

/// Publishes the numbers until the broker stops.
pub(super) async fn run(core: Arc<Core>) {
    if core.limits.sys_interval.is_zero() {
        return;
    }
    loop {
        publish(&core);
        tokio::select! {
            () = tokio::time::sleep(core.limits.sys_interval) => {}
            () = core.stop.cancelled() => return,
        }
    }
}

fn publish(core: &Core) {
    let counters = &core.counters;
    let (sessions, subscriptions) = {
        let tree = core.tree.read().expect("nothing panics while it holds the tree");
        (core.sessions().len(), tree.count())
    };
    let kept = core.retained.read().expect("nothing panics while it holds these").len();
    let rows: [(&str, String); 18] = [
        ("version", format!("rebeam {}", env!("CARGO_PKG_VERSION"))),
        ("uptime", format!("{} seconds", core.started.elapsed().as_secs())),
        ("clients/connected", counters.connected.get().to_string()),
        ("clients/total", sessions.to_string()),
        ("connections/accepted", counters.connections.get().to_string()),
        ("connections/refused", counters.refused.get().to_string()),
        ("connections/faults", counters.faults.get().to_string()),
        ("messages/received", counters.received.get().to_string()),
        ("messages/sent", counters.sent.get().to_string()),
        ("messages/dropped", counters.dropped.get().to_string()),
        ("messages/denied", counters.denied.get().to_string()),
        ("bytes/received", counters.bytes_received.get().to_string()),
        ("bytes/sent", counters.bytes_sent.get().to_string()),
        ("subscriptions/count", subscriptions.to_string()),
        ("retained messages/count", kept.to_string()),
        ("store", core.store.as_ref().and_then(|store| store.trouble()).unwrap_or("ok".into())),
        ("memory/used", core.budget.used().to_string()),
        ("memory/budget", core.limits.budget_bytes.to_string()),
    ];
    for (name, value) in rows {
        let message = Message {
            id: core.number(),
            topic: format!("$SYS/broker/{name}").into(),
            payload: Bytes::from(value),
            qos: 0,
            retain: true,
            dup: false,
            from: None,
            at_ms: now_ms(),
        };
        core.publish_parcel(&core.parcel(message, Bytes::new(), None), None);
    }
}
