//! What the door promises, shown against a server on loopback.

use std::path::PathBuf;

use crate::disk;
use crate::event::{Heard, Silent};

use super::serve::{Reply, Server, brisk, closed_door, door, serve_socket};
use super::{Call, Failed, Http, HttpError, Method, Mirrors, Network, Request, Sent, Socket, Step};

fn request<'a>(url: &'a str, limit: u64) -> Request<'a> {
    Request { name: "thing", url, limit, headers: &[] }
}

struct Place {
    _directory: tempfile::TempDir,
    file: PathBuf,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    Place { _directory: directory, file }
}

fn body() -> Vec<u8> {
    (0..600_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect()
}

#[test]
fn a_body_is_returned_as_it_is_stored() {
    let server = Server::start(|_, _| Reply::ok("hello").header("Content-Encoding", "gzip"));
    let url = server.url("/a");
    assert_eq!(door(&[]).get(&request(&url, 5), &Silent).unwrap(), b"hello");
    assert_eq!(server.asked()[0].headers["accept-encoding"], "identity");
}

#[test]
fn a_cut_download_is_taken_up_where_it_broke() {
    let server = Server::start(|asked, before| {
        let mut reply = Reply::ranged(asked, &body()).header("ETag", "\"one\"");
        reply.cut_after = (before < 2).then_some(200_000);
        reply
    });
    let (place, heard) = (place(), Heard::default());
    let url = server.url("/a");
    let bytes = door(&[]).download(&request(&url, 1 << 20), &place.file, &heard).unwrap();
    assert_eq!(bytes, 600_000);
    assert_eq!(disk::read(&place.file, 1 << 20).unwrap(), body());
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked[2].headers["range"].starts_with("bytes="));
    assert_eq!(asked[2].headers["if-range"], "\"one\"");
    assert_eq!(heard.count("retrying"), 2);
    assert_eq!(heard.count("fetch_started"), 1);
    assert_eq!(heard.count("\"fetched\""), 1);
    assert!(heard.count("fetch_progress") >= 2);
}

#[test]
fn a_file_that_changed_between_two_attempts_starts_again() {
    let server = Server::start(|asked, before| {
        let mut reply = Reply::ok(body());
        if before == 0 {
            reply.cut_after = Some(100_000);
        } else {
            // A server whose file is another one by now ignores the range because of If-Range.
            assert!(asked.headers.contains_key("range"));
            reply = Reply::ok("new");
        }
        reply
    });
    let place = place();
    let url = server.url("/a");
    let bytes = door(&[]).download(&request(&url, 1 << 20), &place.file, &Silent).unwrap();
    assert_eq!(bytes, 3);
    assert_eq!(disk::read(&place.file, 10).unwrap(), b"new");
}

#[test]
fn a_server_that_always_cuts_is_given_up_and_leaves_no_file() {
    let server = Server::start(|_, _| Reply { cut_after: Some(10), ..Reply::ok(body()) });
    let place = place();
    let url = server.url("/a");
    let error = door(&[]).download(&request(&url, 1 << 20), &place.file, &Silent).unwrap_err();
    assert!(matches!(error, HttpError::Unreachable { .. }), "{error:?}");
    assert_eq!(server.asked().len(), 4);
    assert!(!disk::exists(&place.file));
}

#[test]
fn a_cut_chunked_body_is_not_taken_for_whole() {
    let server = Server::start(|_, before| Reply {
        chunked: true,
        cut_after: (before == 0).then_some(8192),
        ..Reply::ok(body())
    });
    let url = server.url("/a");
    assert_eq!(door(&[]).get(&request(&url, 1 << 20), &Silent).unwrap(), body());
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_silent_server_is_asked_again_and_then_given_up() {
    let server = Server::start(|_, before| Reply {
        silent_ms: if before == 0 { 600 } else { 0 },
        ..Reply::ok("late")
    });
    let url = server.url("/a");
    assert_eq!(door(&[]).get(&request(&url, 10), &Silent).unwrap(), b"late");
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_busy_server_is_asked_again_after_what_it_asks_for() {
    let server = Server::start(|_, before| match before {
        0 => Reply::status(429).header("Retry-After", "1"),
        1 => Reply::status(503).header("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"),
        _ => Reply::ok("now"),
    });
    let url = server.url("/a");
    let began = std::time::Instant::now();
    assert_eq!(door(&[]).get(&request(&url, 10), &Silent).unwrap(), b"now");
    assert!(began.elapsed().as_millis() >= 1000);
}

#[test]
fn a_server_that_asks_for_an_hour_is_not_waited_for() {
    let server = Server::start(|_, _| Reply::status(429).header("Retry-After", "3600"));
    let url = server.url("/a");
    let error = door(&[]).get(&request(&url, 10), &Silent).unwrap_err();
    assert!(matches!(error, HttpError::Status { status: 429, .. }), "{error:?}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_is_gone_is_told_apart_and_asked_for_once() {
    for status in [404, 410] {
        let server = Server::start(move |_, _| Reply::status(status));
        let url = server.url("/a");
        let error = door(&[]).get(&request(&url, 10), &Silent).unwrap_err();
        assert!(error.is_gone(), "{error:?}");
        assert_eq!(server.asked().len(), 1);
    }
    let server = Server::start(|_, _| Reply::status(403));
    let url = server.url("/a");
    let error = door(&[]).get(&request(&url, 10), &Silent).unwrap_err();
    assert!(matches!(error, HttpError::Forbidden { .. }), "{error:?}");
}

#[test]
fn a_redirect_is_followed_and_a_loop_of_them_is_an_error() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/old" => Reply::status(301).header("Location", "/new"),
        "/new" => Reply::ok("here"),
        _ => Reply::status(302).header("Location", "/round"),
    });
    let url = server.url("/old");
    assert_eq!(door(&[]).get(&request(&url, 10), &Silent).unwrap(), b"here");
    let url = server.url("/round");
    let error = door(&[]).get(&request(&url, 10), &Silent).unwrap_err();
    assert!(matches!(error, HttpError::Redirects { .. }), "{error:?}");
}

#[test]
fn a_secret_does_not_follow_a_redirect_to_another_host() {
    let other = Server::start(|_, _| Reply::ok("there"));
    // Another name of loopback is another host.
    let target = other.url("/b").replace("127.0.0.1", "localhost");
    let server = Server::start(move |_, _| Reply::status(302).header("Location", &target));
    let url = server.url("/a");
    let headers = [("Authorization", "secret".to_owned())];
    let request = Request { headers: &headers, ..request(&url, 10) };
    assert_eq!(door(&[]).get(&request, &Silent).unwrap(), b"there");
    assert_eq!(server.asked()[0].headers["authorization"], "secret");
    assert!(!other.asked()[0].headers.contains_key("authorization"));
}

#[test]
fn a_secret_is_not_told_to_a_mirror() {
    let server = Server::start(|_, _| Reply::ok("there"));
    let door = door(&[("https://repo.test/", &server.url("/copy/"))]);
    let headers = [("authorization", "secret".to_owned())];
    let request = Request { headers: &headers, ..request("https://repo.test/a", 10) };
    assert_eq!(door.get(&request, &Silent).unwrap(), b"there");
    assert_eq!(server.asked()[0].path, "/copy/a");
    assert!(!server.asked()[0].headers.contains_key("authorization"));
}

#[test]
fn a_body_beyond_its_limit_is_refused_with_and_without_a_length() {
    for chunked in [false, true] {
        let server = Server::start(move |_, _| Reply { chunked, ..Reply::ok(body()) });
        let url = server.url("/a");
        let place = place();
        let door = door(&[]);
        let got = door.get(&request(&url, 599_999), &Silent).unwrap_err();
        assert!(matches!(got, HttpError::TooLarge { limit: 599_999, .. }), "{got:?}");
        let got = door.download(&request(&url, 599_999), &place.file, &Silent).unwrap_err();
        assert!(matches!(got, HttpError::TooLarge { .. }), "{got:?}");
        assert!(!disk::exists(&place.file));
    }
}

#[test]
fn a_closed_network_names_what_is_missing() {
    let error = closed_door().get(&request("https://a:b@repo.test/x", 1), &Silent).unwrap_err();
    assert!(error.is_offline());
    assert_eq!(
        error.to_string(),
        "`thing` is not here, and the network is closed: `https://repo.test/x`"
    );
}

#[test]
fn nobody_listening_is_an_error_after_the_attempts() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    drop(listener);
    let heard = Heard::default();
    let error = door(&[]).get(&request(&url, 1), &heard).unwrap_err();
    assert!(matches!(error, HttpError::Unreachable { .. }), "{error:?}");
    assert_eq!(heard.count("retrying"), 3);
}

#[test]
fn a_mirror_may_be_a_directory_even_when_the_network_is_closed() {
    let place = place();
    let directory = tempfile::tempdir().unwrap();
    disk::write_atomic(&directory.path().join("a b"), b"kept").unwrap();
    let to = format!("file://{}/", directory.path().display());
    let rules = [("https://repo.test/".to_owned(), to)].into();
    let door = Http::with_pace(Network::Offline, Mirrors::new(rules), brisk());
    let asked = request("https://repo.test/a%20b", 4);
    assert_eq!(door.get(&asked, &Silent).unwrap(), b"kept");
    assert_eq!(door.download(&asked, &place.file, &Silent).unwrap(), 4);
    let missing = door.get(&request("https://repo.test/c", 4), &Silent).unwrap_err();
    assert!(missing.is_gone(), "{missing:?}");
    let large = door.get(&request("https://repo.test/a%20b", 3), &Silent).unwrap_err();
    assert!(matches!(large, HttpError::TooLarge { .. }), "{large:?}");
}

#[test]
fn the_longest_mirror_prefix_wins() {
    let rules = [
        ("https://a/".to_owned(), "https://b/".to_owned()),
        ("https://a/x/".to_owned(), "/srv/x/".to_owned()),
    ];
    let mirrors = Mirrors::new(rules.into());
    assert_eq!(mirrors.rewrite("https://a/x/y"), "/srv/x/y");
    assert_eq!(mirrors.rewrite("https://a/y"), "https://b/y");
    assert_eq!(mirrors.rewrite("https://c/y"), "https://c/y");
}

#[test]
fn an_exchange_hands_every_answer_on_and_sends_its_body_again() {
    let server = Server::start(|asked, before| match before {
        0 => Reply::status(503),
        _ => Reply { status: 404, body: asked.body.clone(), ..Reply::default() },
    });
    let url = server.url("/a");
    let call = Call { method: Method::Post, request: request(&url, 10), body: b"give" };
    let mut answer = door(&[]).exchange(&call, &Silent).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut answer.body, &mut text).unwrap();
    assert_eq!((answer.status, text.as_str()), (404, "give"));
    assert_eq!(answer.url, url);
}

#[test]
fn pauses_double_and_stay_below_their_bound() {
    let pace = super::Pace::default();
    for attempt in 1..40 {
        let whole = (400_u64 << (attempt - 1).min(20)).min(20_000);
        let delay_ms = pace.delay_ms(attempt);
        assert!(delay_ms > whole / 2 - 1 && delay_ms <= whole, "{attempt}: {delay_ms}");
    }
}

struct Numbers(u64);

impl super::Source for Numbers {
    fn open(&self) -> std::io::Result<Box<dyn std::io::Read + '_>> {
        Ok(Box::new(std::io::Read::take(std::io::repeat(7), self.0)))
    }
}

fn put<'a>(url: &'a str, bytes: u64, source: &'a Numbers) -> Step<'a> {
    let sent = Sent::Stream { bytes, source };
    Step { method: Method::Put, request: request(url, 10), sent }
}

#[test]
fn a_stream_is_sent_with_its_exact_length_and_again_from_its_start() {
    let server = Server::start(|_, before| Reply::status(if before == 0 { 0 } else { 201 }));
    let (url, source) = (server.url("/a"), Numbers(1 << 20));
    let door = door(&[]);
    let broken = door.attempt(&put(&url, 1_000_000, &source)).err().unwrap();
    assert!(matches!(broken, Failed::Passing(_)), "{broken:?}");
    assert_eq!(door.attempt(&put(&url, 1_000_000, &source)).unwrap().status, 201);
    for asked in server.asked() {
        assert_eq!(asked.headers["content-length"], "1000000");
        assert_eq!(asked.headers["expect"], "100-continue");
        assert!(asked.body.len() == 1_000_000 && asked.body.iter().all(|byte| *byte == 7));
    }
}

#[test]
fn a_stream_that_is_too_short_is_an_error() {
    let server = Server::start(|_, _| Reply::status(201));
    let (url, source) = (server.url("/a"), Numbers(5));
    let failed = door(&[]).attempt(&put(&url, 6, &source)).err().unwrap();
    let Failed::Passing(super::Passing { error: HttpError::Unreachable { source, .. }, .. }) =
        failed
    else {
        panic!("{failed:?}");
    };
    assert_eq!(source.to_string(), "what is sent ended 1 bytes too early");
}

#[test]
fn a_step_hands_a_redirect_back() {
    let server = Server::start(|_, _| Reply::status(307).header("Location", "/b"));
    let (url, source) = (server.url("/a"), Numbers(5));
    let answer = door(&[]).attempt(&put(&url, 5, &source)).unwrap();
    assert_eq!((answer.status, answer.headers["location"].as_str()), (307, "/b"));
    let failed = closed_door().attempt(&put(&url, 5, &source)).err().unwrap();
    assert!(matches!(failed, Failed::Final(HttpError::Offline { .. })), "{failed:?}");
}

#[test]
fn a_service_behind_a_socket_is_spoken_to_as_one_behind_a_port() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let asked = serve_socket(&path, |asked, _| Reply {
        chunked: true,
        silent_ms: if asked.path == "/late" { 2_000 } else { 0 },
        ..Reply::ok("loaded")
    });
    let (socket, source) = (Socket::new(&path, 500), Numbers(200_000));
    let mut answer = socket.attempt(&put("http://engine/load?quiet=1", 200_000, &source)).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut answer.body, &mut text).unwrap();
    assert_eq!((answer.status, text.as_str()), (200, "loaded"));
    let first = asked.lock().unwrap()[0].clone();
    assert_eq!((first.path.as_str(), first.body.len()), ("/load?quiet=1", 200_000));
    assert_eq!(first.headers["host"], "engine");
    let late = socket.attempt(&put("http://engine/late", 5, &Numbers(5))).err().unwrap();
    assert!(matches!(late, Failed::Passing(_)), "{late:?}");
    let nobody = Socket::new(&directory.path().join("none"), 500);
    let failed = nobody.attempt(&put("http://engine/", 5, &Numbers(5))).err().unwrap();
    assert!(matches!(failed, Failed::Passing(_)), "{failed:?}");
}
