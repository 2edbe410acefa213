//! MQTT: a load generator on one thread, for any broker: `mqtt PORT SCENARIO`, one line of JSON as the answer.
//!
//! `scripts/bench mqtt` runs it against rebeam and Debian's mosquitto in turn.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a tool for measuring")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, Semaphore, mpsc};

/// How long the receivers wait for more before what is missing counts as lost.
const SILENCE: Duration = Duration::from_secs(3);
const CHUNK_BYTES: usize = 16 << 10;

/// What one run of a scenario is.
#[derive(Clone, Copy)]
struct Load {
    publishers: usize,
    subscribers: usize,
    /// Of each publisher.
    messages: u64,
    bytes: usize,
    qos: u8,
    window: usize,
    /// Of each publisher, a second; 0 is as fast as it goes.
    rate: u64,
}

const ONE: Load =
    Load { publishers: 1, subscribers: 1, messages: 0, bytes: 64, qos: 0, window: 0, rate: 0 };

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [port, scenario, ..] = arguments.as_slice() else {
        println!("usage: mqtt PORT A|B|B2|C|CQ|D|DQ|E|F|G|H|O|S|I [CLIENTS]");
        return;
    };
    let port: u16 = port.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let line = runtime.block_on(async {
        match scenario.as_str() {
            "A" => flow(port, Load { messages: 200_000, ..ONE }).await,
            "B" => flow(port, Load { messages: 50_000, qos: 1, window: 64, ..ONE }).await,
            "B2" => flow(port, Load { messages: 20_000, qos: 2, window: 16, ..ONE }).await,
            "C" => flow(port, Load { publishers: 10, messages: 20_000, ..ONE }).await,
            "CQ" => {
                let load = Load { publishers: 10, messages: 5_000, qos: 1, window: 64, ..ONE };
                flow(port, load).await
            }
            "D" => flow(port, Load { subscribers: 50, messages: 10_000, ..ONE }).await,
            "DQ" => {
                let load = Load { subscribers: 50, messages: 2_000, qos: 1, window: 64, ..ONE };
                flow(port, load).await
            }
            "E" => {
                let load = Load { messages: 20_000, bytes: 256, qos: 1, rate: 2_000, ..ONE };
                flow(port, Load { window: 1_000, ..load }).await
            }
            "F" => stuck(port, 1, Load { messages: 200_000, bytes: 1024, ..ONE }).await,
            "G" => {
                let load = Load { messages: 100_000, bytes: 1024, qos: 1, window: 64, ..ONE };
                stuck(port, 1, load).await
            }
            "H" => absent(port, 100_000).await,
            // As many as an unbounded queue took until its process died of them.
            "O" => absent(port, 411_257).await,
            "S" => {
                let load = Load { messages: 20_000, bytes: 64 << 10, qos: 1, window: 16, ..ONE };
                stuck(port, 50, load).await
            }
            "I" => {
                idle(port, arguments.get(2).map_or(10_000, |count| count.parse().unwrap())).await
            }
            other => format!("{{\"error\": \"no scenario {other}\"}}"),
        }
    });
    println!("{line}");
}

/// Publishers, subscribers that read, and how long it takes until all has arrived.
async fn flow(port: u16, load: Load) -> String {
    let start = Instant::now();
    let (done, mut latencies) = mpsc::unbounded_channel();
    let received = Arc::new(AtomicU64::new(0));
    for number in 0..load.subscribers {
        let (reader, writer) =
            connect(port, &format!("sub{number}"), true).await.unwrap().into_split();
        let writer = Arc::new(Mutex::new(writer));
        let mut reader = Reader::new(reader);
        subscribe(&mut reader, &writer, load.qos).await.unwrap();
        let wanted = load.messages * load.publishers as u64;
        let (done, received) = (done.clone(), Arc::clone(&received));
        tokio::spawn(async move {
            let collected = collect(reader, writer, wanted, start, &received).await;
            drop(done.send(collected));
        });
    }
    drop(done);
    let began = Instant::now();
    let mut publishers = Vec::new();
    for number in 0..load.publishers {
        let stream = connect(port, &format!("pub{number}"), true).await.unwrap();
        publishers.push(tokio::spawn(publish(stream, load, start)));
    }
    for publisher in publishers {
        publisher.await.unwrap().unwrap();
    }
    let accepted_s = began.elapsed().as_secs_f64();
    let (mut all, mut last) = (Vec::new(), began);
    while let Some((mut some, at)) = latencies.recv().await {
        all.append(&mut some);
        last = last.max(at);
    }
    all.sort_unstable();
    let at =
        |part: f64| all.get((all.len() as f64 * part) as usize).copied().unwrap_or(0) as f64 / 1e6;
    let (count, seconds) = (received.load(Ordering::Relaxed), (last - began).as_secs_f64());
    let wanted = load.messages * (load.publishers * load.subscribers) as u64;
    format!(
        "{{\"rate\": {:.0}, \"delivered\": {count}, \"wanted\": {wanted}, \"p50_ms\": {:.3}, \"p99_ms\": {:.3}, \"accepted_s\": {accepted_s:.2}}}",
        count as f64 / seconds,
        at(0.50),
        at(0.99)
    )
}

/// A subscriber that never reads beside a publisher.
async fn stuck(port: u16, subscribers: usize, load: Load) -> String {
    let start = Instant::now();
    let mut held = Vec::new();
    for number in 0..subscribers {
        let (reader, writer) =
            connect(port, &format!("stuck{number}"), true).await.unwrap().into_split();
        let writer = Arc::new(Mutex::new(writer));
        let mut reader = Reader::new(reader);
        subscribe(&mut reader, &writer, load.qos).await.unwrap();
        held.push((reader, writer));
    }
    let stream = connect(port, "pub", true).await.unwrap();
    let began = Instant::now();
    let publishing =
        tokio::time::timeout(Duration::from_secs(60), publish(stream, load, start)).await;
    let is_whole = publishing.is_ok_and(|published| published.is_ok());
    let seconds = began.elapsed().as_secs_f64();
    drop(held);
    format!(
        "{{\"accepted\": {is_whole}, \"rate\": {:.0}, \"accepted_s\": {seconds:.2}}}",
        load.messages as f64 / seconds
    )
}

/// A session whose client is away beside a publisher.
async fn absent(port: u16, messages: u64) -> String {
    let (reader, writer) = connect(port, "away", false).await.unwrap().into_split();
    let writer = Arc::new(Mutex::new(writer));
    subscribe(&mut Reader::new(reader), &writer, 1).await.unwrap();
    writer.lock().await.write_all(&[0xe0, 0]).await.unwrap();
    drop(writer);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let load = Load { messages, bytes: 1024, qos: 1, window: 64, ..ONE };
    let stream = connect(port, "pub", true).await.unwrap();
    let began = Instant::now();
    let is_whole = publish(stream, load, began).await.is_ok();
    let seconds = began.elapsed().as_secs_f64();
    format!(
        "{{\"accepted\": {is_whole}, \"rate\": {:.0}, \"accepted_s\": {seconds:.2}}}",
        messages as f64 / seconds
    )
}

/// Clients that are connected and silent, until a line or the end of standard input comes.
async fn idle(port: u16, count: usize) -> String {
    let began = Instant::now();
    let mut held = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = connect(port, &format!("idle{number}"), true).await.unwrap();
        let topic = format!("idle/{number}");
        let mut body = vec![0, 1];
        put_text(&mut body, topic.as_bytes());
        body.push(0);
        stream.write_all(&packet(0x82, &body)).await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        held.push(stream);
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{{\"connected\": {count}, \"seconds\": {seconds:.2}}}");
    let mut line = String::new();
    drop(tokio::task::spawn_blocking(move || io::stdin().read_line(&mut line)).await);
    drop(held);
    "{}".into()
}

async fn connect(port: u16, id: &str, clean: bool) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut body = Vec::new();
    put_text(&mut body, b"MQTT");
    body.extend([4, if clean { 2 } else { 0 }, 0, 0]);
    put_text(&mut body, id.as_bytes());
    stream.write_all(&packet(0x10, &body)).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    assert_eq!(answer[3], 0, "connection was refused");
    Ok(stream)
}

async fn subscribe(
    reader: &mut Reader,
    writer: &Arc<Mutex<OwnedWriteHalf>>,
    qos: u8,
) -> io::Result<()> {
    let mut body = vec![0, 1];
    put_text(&mut body, b"bench/topic");
    body.push(qos);
    writer.lock().await.write_all(&packet(0x82, &body)).await?;
    reader.next().await.map(drop)
}

/// Publishes a load, with at most its window of open deliveries.
async fn publish(stream: TcpStream, load: Load, start: Instant) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let writer = Arc::new(Mutex::new(writer));
    let window = Arc::new(Semaphore::new(load.window));
    if load.qos > 0 {
        tokio::spawn(follow(Reader::new(reader), Arc::clone(&writer), Arc::clone(&window)));
    } else {
        // Nothing comes back; the half lives until all is written.
        tokio::spawn(async move {
            let mut reader = reader;
            let mut bytes = [0; 64];
            while reader.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
        });
    }
    let mut chunk = Vec::with_capacity(CHUNK_BYTES * 2 + load.bytes);
    let mut payload = vec![b'x'; load.bytes.max(8)];
    for number in 0..load.messages {
        if let Some(nanos) = (number * 1_000_000_000).checked_div(load.rate) {
            let due = start + Duration::from_nanos(nanos);
            tokio::time::sleep_until(due.into()).await;
        }
        if load.qos > 0 {
            match Arc::clone(&window).try_acquire_owned() {
                Ok(permit) => permit.forget(),
                Err(_) => {
                    writer.lock().await.write_all(&chunk).await?;
                    chunk.clear();
                    window.acquire().await.expect("nobody closes it").forget();
                }
            }
        }
        let sent = u64::try_from(start.elapsed().as_nanos()).unwrap();
        payload[..8].copy_from_slice(&sent.to_be_bytes());
        let mut body = Vec::with_capacity(load.bytes + 32);
        put_text(&mut body, b"bench/topic");
        if load.qos > 0 {
            let identifier = u16::try_from(number % 65_535 + 1).unwrap();
            body.extend(identifier.to_be_bytes());
        }
        body.extend_from_slice(&payload);
        put_packet(&mut chunk, 0x30 | load.qos << 1, &body);
        if chunk.len() >= CHUNK_BYTES || load.rate > 0 {
            writer.lock().await.write_all(&chunk).await?;
            chunk.clear();
        }
    }
    writer.lock().await.write_all(&chunk).await?;
    if load.qos > 0 {
        // All permits are back once all is acknowledged.
        let all = u32::try_from(load.window).unwrap();
        drop(window.acquire_many(all).await);
    }
    Ok(())
}

/// A publisher's other half: acknowledgements give room in the window.
async fn follow(mut reader: Reader, writer: Arc<Mutex<OwnedWriteHalf>>, window: Arc<Semaphore>) {
    let mut answers = Vec::new();
    while reader.fill().await {
        while let Some((first, body)) = reader.take() {
            match first >> 4 {
                5 => put_packet(&mut answers, 0x62, &body[..2]),
                4 | 7 => window.add_permits(1),
                _ => {}
            }
        }
        if !answers.is_empty() && writer.lock().await.write_all(&answers).await.is_err() {
            return;
        }
        answers.clear();
    }
}

/// Receives until all came or nothing more does: how long each took in nanoseconds, and when the last came.
async fn collect(
    mut reader: Reader,
    writer: Arc<Mutex<OwnedWriteHalf>>,
    wanted: u64,
    start: Instant,
    received: &AtomicU64,
) -> (Vec<u64>, Instant) {
    let (mut latencies, mut last, mut count) = (Vec::new(), Instant::now(), 0);
    let mut answers = Vec::new();
    while count < wanted {
        match tokio::time::timeout(SILENCE, reader.fill()).await {
            Ok(true) => {}
            _ => break,
        }
        last = Instant::now();
        let now = u64::try_from((last - start).as_nanos()).unwrap();
        while let Some((first, body)) = reader.take() {
            match first >> 4 {
                3 => {
                    let qos = (first >> 1) & 3;
                    let topic = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                    let payload = topic + if qos > 0 { 2 } else { 0 };
                    if qos > 0 {
                        let kind = if qos == 1 { 0x40 } else { 0x50 };
                        put_packet(&mut answers, kind, &body[topic..topic + 2]);
                    }
                    let sent = u64::from_be_bytes(body[payload..payload + 8].try_into().unwrap());
                    latencies.push(now.saturating_sub(sent));
                    count += 1;
                }
                6 => put_packet(&mut answers, 0x70, &body[..2]),
                _ => {}
            }
        }
        if !answers.is_empty() && writer.lock().await.write_all(&answers).await.is_err() {
            break;
        }
        answers.clear();
    }
    received.fetch_add(count, Ordering::Relaxed);
    (latencies, last)
}

/// Splits what comes in into packets.
struct Reader {
    half: OwnedReadHalf,
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    fn new(half: OwnedReadHalf) -> Self {
        Self { half, bytes: Vec::with_capacity(64 << 10), at: 0 }
    }

    async fn fill(&mut self) -> bool {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.reserve(64 << 10);
        self.half.read_buf(&mut self.bytes).await.is_ok_and(|count| count > 0)
    }

    fn take(&mut self) -> Option<(u8, &[u8])> {
        let rest = &self.bytes[self.at..];
        let (mut length, mut head) = (0, 1);
        loop {
            let byte = *rest.get(head)?;
            length |= usize::from(byte & 0x7f) << (7 * (head - 1));
            head += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = rest.get(head..head + length)?;
        self.at += head + length;
        Some((rest[0], body))
    }

    async fn next(&mut self) -> io::Result<u8> {
        loop {
            if let Some((first, _)) = self.take() {
                return Ok(first);
            }
            if !self.fill().await {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn put_text(into: &mut Vec<u8>, text: &[u8]) {
    into.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    into.extend_from_slice(text);
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    put_packet(&mut packet, first, body);
    packet
}

fn put_packet(into: &mut Vec<u8>, first: u8, body: &[u8]) {
    into.push(first);
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap();
        rest >>= 7;
        into.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    into.extend_from_slice(body);
}
