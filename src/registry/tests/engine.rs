//! An engine behind a socket.

use std::io::{Read as _, Write as _};

use super::*;
use crate::http::serve::serve_socket;

struct Docker {
    _directory: tempfile::TempDir,
    socket: std::path::PathBuf,
    asked: std::sync::Arc<Mutex<Vec<Asked>>>,
}

impl Docker {
    fn with(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let asked = serve_socket(&socket, answer);
        Self { _directory: directory, socket, asked }
    }

    fn load(&self, packed: &Packed) -> Result<Loaded, EngineError> {
        load(&packed.contents, &self.socket, &Heard::default())
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }
}

/// Has the image under this id and these names once it was loaded `before`, and takes it.
fn keeper(
    id: Digest,
    tags: &'static str,
    before: bool,
) -> impl Fn(&Asked, usize) -> Reply + Send + Sync {
    let loaded = std::sync::atomic::AtomicBool::new(before);
    move |asked, _| match asked.path.as_str() {
        "/images/load?quiet=1" => {
            loaded.store(true, Ordering::SeqCst);
            Reply::ok("{\"stream\":\"Loaded image: team/app:1.0.0\\n\"}\n")
        }
        path if path == format!("/images/{id}/json") && loaded.load(Ordering::SeqCst) => {
            Reply::ok(format!(r#"{{"Id":"{id}","RepoTags":{tags}}}"#))
        }
        path if path.contains("/tag?") => Reply::status(201),
        _ => Reply {
            status: 404,
            body: br#"{"message":"No such image"}"#.to_vec(),
            ..Reply::default()
        },
    }
}

#[test]
fn an_engine_that_lacks_the_image_gets_the_whole_file() {
    let packed = packed();
    let docker = Docker::with(keeper(packed.contents.image_id(), r#"["team/app:1.0.0"]"#, false));
    assert_eq!(docker.load(&packed).unwrap().sent_bytes, packed.contents.file_bytes);
    let asked = docker.asked.lock().unwrap();
    let sent = asked.iter().find(|asked| asked.method == "POST").unwrap();
    assert_eq!(sent.body, std::fs::read(&packed.path).unwrap());
    assert_eq!(sent.headers["content-type"], "application/x-tar");
}

#[test]
fn an_engine_that_has_the_image_is_sent_nothing() {
    let packed = packed();
    // Docker names it by its configuration, or by its manifest where containerd keeps it; podman in full.
    for id in [packed.contents.image_id(), packed.contents.manifest_digest] {
        let docker = Docker::with(keeper(id, r#"["docker.io/team/app:1.0.0"]"#, true));
        assert_eq!(docker.load(&packed).unwrap().sent_bytes, 0);
        assert!(docker.asked().iter().all(|asked| asked.starts_with("GET ")));
    }
    let docker = Docker::with(keeper(packed.contents.image_id(), "null", true));
    docker.load(&packed).unwrap();
    let tagged =
        format!("POST /images/{}/tag?repo=team%2Fapp&tag=1.0.0", packed.contents.image_id());
    assert_eq!(docker.asked().last(), Some(&tagged));
}

#[test]
fn an_engine_that_refuses_or_lies_is_not_believed() {
    let packed = packed();
    let refusing = |status, body: &'static str| {
        let docker = Docker::with(move |asked, _| match asked.method.as_str() {
            "POST" => Reply { status, ..Reply::ok(body) },
            _ => Reply::status(404),
        });
        docker.load(&packed).unwrap_err()
    };
    let told =
        refusing(200, "{\"stream\":\"…\"}\r\n{\"errorDetail\":{},\"error\":\"no space left\"}\r\n");
    assert!(told.to_string().ends_with("refuses the image: no space left"), "{told}");
    let told = refusing(500, r#"{"message":"invalid tar header"}"#);
    assert!(told.to_string().ends_with("invalid tar header"), "{told}");
    let told = refusing(503, "");
    assert!(told.to_string().ends_with("status 503"), "{told}");
    let told = refusing(200, "{\"stream\":\"Loaded image\"}");
    assert!(matches!(told, EngineError::Lost { .. }), "{told}");
}

#[test]
fn nobody_behind_a_socket_is_told_from_a_closed_one() {
    let packed = packed();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let error = load(&packed.contents, &socket, &Heard::default()).unwrap_err();
    assert!(error.is_silent() && error.hint().unwrap().contains("start docker"), "{error}");
    let denied = EngineError::Denied { socket };
    assert!(denied.hint().unwrap().contains("usermod -aG docker"));
}

#[test]
fn the_environment_says_where_engines_listen() {
    let sockets = |pairs: &'static [(&str, &str)]| {
        Sockets::from_environment(&|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
        })
    };
    assert_eq!(sockets(&[("DOCKER_HOST", "unix:///a/b")]), Sockets::Named("/a/b".into()));
    assert_eq!(sockets(&[("DOCKER_HOST", "tcp://c:2375")]), Sockets::Elsewhere);
    let Sockets::Usual(usual) = sockets(&[("XDG_RUNTIME_DIR", "/run/user/7")]) else { panic!() };
    assert_eq!(usual[0], std::path::Path::new("/var/run/docker.sock"));
    assert!(usual.contains(&"/run/user/7/podman/podman.sock".into()));
}

#[test]
fn an_engine_that_gives_up_in_the_middle_is_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let engine = std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap();
            if head[..count].starts_with(b"GET ") {
                stream.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").unwrap();
                continue;
            }
            // It reads a part of the file, says what is the matter, and hangs up on the rest.
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 50_000]).unwrap();
            let says = r#"{"message":"write /var/lib: no space left on device"}"#;
            write!(
                stream,
                "HTTP/1.1 500 Oh\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{says}",
                says.len()
            )
            .unwrap();
            return;
        }
    });
    let packed = packed_of(&[("system", &vec![7; 4_000_000])]);
    let error = load(&packed.contents, &socket, &Heard::default()).unwrap_err();
    engine.join().unwrap();
    assert!(
        error.to_string().ends_with("refuses the image: write /var/lib: no space left on device"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("docker system df"), "{error}");
}
