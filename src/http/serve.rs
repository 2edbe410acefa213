//! A small server on loopback for tests: one thread a connection, one request a connection.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Http, Mirrors, Network, Pace};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What is answered. A status of 0 hangs up without a word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Closes the connection after so many bytes of the body.
    pub(crate) cut_after: Option<usize>,
    /// Is silent for so long before it answers.
    pub(crate) silent_ms: u64,
    /// Says no `Content-Length`, and sends chunks.
    pub(crate) chunked: bool,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Answers the rest that a `Range` asks for, as a good server does.
    pub(crate) fn ranged(asked: &Asked, whole: &[u8]) -> Self {
        let from: Option<usize> = (|| {
            let range = asked.headers.get("range")?.strip_prefix("bytes=")?;
            range.strip_suffix('-')?.parse().ok()
        })();
        match from {
            Some(from) if from < whole.len() => {
                let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
                let mut reply = Self::ok(&whole[from..]).header("Content-Range", &range);
                reply.status = 206;
                reply
            }
            _ => Self::ok(whole),
        }
    }
}

/// A server that lives as long as the test.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server; `answer` gets each request and how many came before it.
    pub(crate) fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_asked_first(|_| None, answer)
    }

    /// Starts a server that may refuse a body before it is sent, where the client asks for that.
    pub(crate) fn start_asked_first(
        refuse: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static,
        answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (seen, ended) = (Arc::clone(&asked), Arc::clone(&over));
        let manners = Arc::new((refuse, answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (seen, manners) = (Arc::clone(&seen), Arc::clone(&manners));
                std::thread::spawn(move || serve(&stream, &seen, &manners.0, &manners.1));
            }
        });
        Self { address, asked, over }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test thread panics here").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// A server behind a socket in the file system, for as long as the test process lives.
pub(crate) fn serve_socket(
    path: &Path,
    answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
) -> Arc<Mutex<Vec<Asked>>> {
    let listener = UnixListener::bind(path).expect("a test's directory takes a socket");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(&stream, &seen, &|_| None, &answer);
        }
    });
    asked
}

fn serve<S: Read + Write + Copy>(
    stream: S,
    seen: &Mutex<Vec<Asked>>,
    refuse: &dyn Fn(&Asked) -> Option<Reply>,
    answer: &dyn Fn(&Asked, usize) -> Reply,
) {
    let mut reader = BufReader::new(stream);
    let Some(mut asked) = read_head(&mut reader) else { return };
    let refused = match asked.headers.contains_key("expect") {
        true => refuse(&asked),
        false => None,
    };
    if refused.is_none() && read_body(&mut reader, stream, &mut asked).is_none() {
        return;
    }
    let mut all = seen.lock().expect("no test thread panics here");
    let before = all.len();
    all.push(asked.clone());
    drop(all);
    let reply = refused.unwrap_or_else(|| answer(&asked, before));
    if reply.status != 0 {
        let _ = write(stream, &asked, &reply);
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Asked { method, path, headers, body: Vec::new() })
}

fn read_body(reader: &mut impl Read, mut stream: impl Write, asked: &mut Asked) -> Option<()> {
    if asked.headers.contains_key("expect") {
        write!(stream, "HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let length = asked.headers.get("content-length").map_or(0, |text| text.parse().unwrap_or(0));
    asked.body = vec![0; length];
    reader.read_exact(&mut asked.body).ok()
}

fn write(mut stream: impl Write, asked: &Asked, reply: &Reply) -> std::io::Result<()> {
    std::thread::sleep(Duration::from_millis(reply.silent_ms));
    write!(stream, "HTTP/1.1 {} Because\r\nConnection: close\r\n", reply.status)?;
    for (name, value) in &reply.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    let sent = &reply.body[..reply.cut_after.unwrap_or(reply.body.len()).min(reply.body.len())];
    if asked.method == "HEAD" {
        return write!(stream, "Content-Length: {}\r\n\r\n", reply.body.len());
    }
    if reply.chunked {
        write!(stream, "Transfer-Encoding: chunked\r\n\r\n")?;
        for chunk in sent.chunks(4096) {
            write!(stream, "{:x}\r\n", chunk.len())?;
            stream.write_all(chunk)?;
            write!(stream, "\r\n")?;
        }
        return if reply.cut_after.is_none() { write!(stream, "0\r\n\r\n") } else { Ok(()) };
    }
    write!(stream, "Content-Length: {}\r\n\r\n", reply.body.len())?;
    stream.write_all(sent)
}

/// A patience for tests.
pub(crate) fn brisk() -> Pace {
    Pace {
        attempts_max: 4,
        delay_ms: 1,
        delay_ms_max: 4,
        retry_after_ms_max: 2_000,
        connect_ms_max: 2_000,
        silence_ms_max: 300,
    }
}

/// A door for tests, with mirrors.
pub(crate) fn door(mirrors: &[(&str, &str)]) -> Http {
    let rules = mirrors.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
    Http::with_pace(Network::Open, Mirrors::new(rules.collect()), brisk())
}

/// A door for tests that nobody may pass.
pub(crate) fn closed_door() -> Http {
    Http::with_pace(Network::Offline, Mirrors::default(), brisk())
}
