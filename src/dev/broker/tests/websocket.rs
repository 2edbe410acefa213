//! What waits inside of a WebSocket.

use super::*;
use crate::dev::web::Guard;

const UPGRADE: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

async fn upgraded(broker: &Broker) -> TcpStream {
    let mut socket = TcpStream::connect(broker.addresses()[0]).await.unwrap();
    socket.write_all(UPGRADE).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", answer.escape_ascii());
    socket
}

#[tokio::test]
async fn half_messages_of_many_clients_do_not_fill_the_memory() {
    let limits = Limits { reading_bytes: 1 << 20, ..Limits::default() };
    let (broker, _) = start_dressed(limits, None, Dress::WebSocket(Guard::default()));
    let mut halves = Vec::new();
    for _ in 0..8 {
        let mut half = upgraded(&broker).await;
        // The head of a binary frame of 2 MiB, masked with zeros, and a quarter of it.
        half.write_all(&[0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0]).await.unwrap();
        drop(half.write_all(&vec![b'x'; 512 << 10]).await);
        halves.push(half);
    }
    let mut ended = 0;
    for half in &mut halves {
        let end = timeout(Duration::from_millis(500), half.read_u8()).await;
        ended += usize::from(end.is_ok_and(|read| read.is_err()));
    }
    assert!((4..=6).contains(&ended), "{ended}");
    drop(halves);
    // What they held is given back.
    for _ in 0..3 {
        let mut whole = upgraded(&broker).await;
        let frame = b"\x82\x8e\0\0\0\0\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0";
        whole.write_all(frame).await.unwrap();
        let mut answer = [0; 6];
        let heard = timeout(Duration::from_secs(5), whole.read_exact(&mut answer)).await;
        heard.expect("it is answered").unwrap();
        assert_eq!(answer, *b"\x82\x04\x20\x02\0\0");
    }
    broker.stop().await;
}
