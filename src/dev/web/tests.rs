use std::io::{Read as _, Write as _};
use std::net::TcpStream as StdStream;

use axum::routing::{get, post};

use super::*;

fn start() -> Web {
    let router = Router::new()
        .route("/", get(async || "here"))
        .route("/length", post(async |body: bytes::Bytes| body.len().to_string()))
        .route("/never", get(async || std::future::pending::<()>().await));
    let socket = StdListener::bind("127.0.0.1:0").unwrap();
    Web::serve("test", socket, router).unwrap()
}

/// Sends `text` and reads until the other side ends.
async fn say(address: SocketAddr, text: &'static str) -> String {
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = StdStream::connect(address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    answer.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_answers_and_ends_in_time() {
    let web = start();
    let address = web.address();
    let here = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(say(address, here).await.ends_with("\r\n\r\nhere"));
    let waiting = tokio::spawn(say(address, "GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::timeout(PATIENCE * 2, web.stop()).await.unwrap();
    drop(waiting.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let web = start();
    let large = "POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n";
    assert!(say(web.address(), large).await.starts_with("HTTP/1.1 413 "));
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_drop_by_drop_is_cut_off_and_holds_nobody_up() {
    let web = start();
    let address = web.address();
    let dripping = tokio::task::spawn_blocking(move || {
        let mut stream = StdStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n").unwrap();
        // A reset is an end, too.
        let limit = Duration::from_secs(WEB_HEAD_S_MAX * 6);
        let begun = std::time::Instant::now();
        while begun.elapsed() < limit && stream.write_all(b"X-A: b\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
        begun.elapsed() < limit
    });
    let here = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(say(address, here).await.ends_with("\r\n\r\nhere"));
    assert!(dripping.await.unwrap());
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_gets_a_reason_and_no_answer() {
    let web = start();
    let foreign = "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.example\r\nConnection: close\r\n\r\n";
    let answer = say(web.address(), foreign).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.ends_with(r#"{"error":"a page of another site may not ask here"}"#), "{answer}");
    web.stop().await;
}
