use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::*;
use crate::dev::access::{Guarded, Open};
use crate::dev::broker::{Broker, Dress, Limits, Listener};
use crate::dev::{Bus, Secret, broker};

fn start(secret: Option<&str>) -> (Broker, Target) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = Arc::new(Open { denied: vec!["secret".into()] });
    let access = match secret {
        Some(secret) => Guarded::over(open, Secret::new(secret)),
        None => open,
    };
    let listeners = vec![Listener { socket, dress: Dress::Bare }];
    let broker = broker::serve(listeners, access, Bus::default(), Limits::default(), None).unwrap();
    let target = target(broker.addresses()[0]);
    (broker, target)
}

fn target(address: SocketAddr) -> Target {
    Target::parse(&format!("mqtt://{address}"), None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_arrives_in_every_quality() {
    let (broker, target) = start(None);
    let mut listener = Call::connect(&target, &Caller::default()).await.unwrap();
    listener.subscribe(&["a/#".into(), "b".into()], 2).await.unwrap();
    let mut speaker = Call::connect(&target, &Caller::default()).await.unwrap();
    for qos in 0..3 {
        let message = Outgoing { topic: "a/ö", payload: b"\xff\0x", qos, retain: false };
        speaker.publish(&message).await.unwrap();
        let arrived = listener.next().await.unwrap();
        assert_eq!((&*arrived.topic, &arrived.payload[..]), ("a/ö", &b"\xff\0x"[..]));
        assert_eq!(arrived.qos, qos);
    }
    speaker.close().await;
    listener.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_says_which_rule_it_was() {
    let (broker, target) = start(Some("hunter22"));
    let refused = Call::connect(&target, &Caller::default()).await.err().unwrap().to_string();
    assert!(refused.contains("user name or password is wrong (the stack's password)"), "{refused}");
    let password = Some(Secret::new("hunter22"));
    let caller = Caller { password, ..Caller::default() };
    let mut call = Call::connect(&target, &caller).await.unwrap();
    let denied = call.subscribe(&["t".into(), "secret".into()], 1).await.unwrap_err().to_string();
    let wanted = "to subscribe to `secret` is denied: not authorized (the filter is denied to all)";
    assert_eq!(denied, wanted);
    for qos in 1..3 {
        let message = Outgoing { topic: "$SYS/x", payload: b"", qos, retain: false };
        let denied = call.publish(&message).await.unwrap_err().to_string();
        let wanted =
            "to publish to `$SYS/x` is denied: not authorized (`$SYS` is the broker's own)";
        assert_eq!(denied, wanted);
    }
    broker.stop().await;
}

#[test]
fn an_address_is_read_and_a_password_in_it_is_refused() {
    let port = |url: &str| Target::parse(url, None).map(|target| (target.host, target.port)).ok();
    assert_eq!(port("mqtt://h"), Some(("h".into(), 1883)));
    assert_eq!(port("mqtts://u@h/"), Some(("h".into(), 8883)));
    assert_eq!(port("mqtt://[::1]:7"), Some(("::1".into(), 7)));
    for bad in ["h:1883", "http://h", "mqtt://", "mqtt://h:x", "mqtt://h/topic", "mqtt://h:70000"] {
        assert_eq!(port(bad), None, "{bad}");
    }
    let refused = Target::parse("mqtt://u:p@h", None);
    assert!(matches!(refused, Err(CallError::PasswordInUrl)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_speak_mqtt_is_named_so_and_who_is_not_there_too() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let web = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Closed only once the other side is.
        drop(socket.read_to_end(&mut Vec::new()).await);
    });
    let error = Call::connect(&target(address), &Caller::default()).await.err().unwrap();
    assert!(matches!(error, CallError::NoMqtt(_)), "{error}");
    web.await.unwrap();
    let error = Call::connect(&target(address), &Caller::default()).await.err().unwrap();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
}
