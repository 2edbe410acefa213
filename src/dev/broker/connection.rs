//! Connection: one task for each client, that reads, writes and waits for whatever comes first.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, Sleep, sleep_until};

use super::budget::Hold;
use super::codec::{self, Fault, Reason, Step, Version};
use super::core::Core;
use super::handshake::SMALL_BYTES;
use super::incoming::Route;
use super::outbox::Outbox;
use super::registry::Leave;
use super::session::{Options, Session};
use super::stream::{Moved, Stream};
use crate::dev::access::Who;
use crate::dev::happening::{Client, What};

/// Acknowledgements that may wait for the store before the client has to.
const PROMISES_MAX: usize = 2000;
/// Bytes that may wait to be written before nothing more is read: answers to a client that does not read them.
const UNREAD_BYTES_MAX: usize = 256 << 10;
/// How often an idle connection is looked at.
const IDLE: Duration = Duration::from_secs(60);
/// How often one is looked at whose client does not read.
const STUCK: Duration = Duration::from_secs(2);

/// How long the end of a connection may take.
const LAST: Duration = Duration::from_secs(1);

/// An answer that is sent once the store has what it promises.
#[derive(Debug)]
pub(super) enum Promise {
    Ack(Step, u16, Reason),
    /// A message goes nowhere, because of a rule.
    Denied(Step, u16, Arc<str>),
    /// A code for each filter, the rule that denied one, and the filters whose kept messages come with it.
    Subscribed(u16, Vec<u8>, Option<Arc<str>>, Vec<(Arc<str>, Options)>),
    Unsubscribed(u16, Vec<u8>),
    Pong,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The client said goodbye.
    Goodbye { with_will: bool, expiry_s: Option<u32> },
    /// The client is gone.
    Lost(&'static str),
    /// It broke the protocol or a bound.
    Fault(Fault),
    /// The broker ends it.
    Ended(Reason),
}

/// A client that was let in.
pub(super) struct Connection {
    pub(super) core: Arc<Core>,
    pub(super) session: Arc<Session>,
    pub(super) owner: u64,
    pub(super) client: Arc<Client>,
    pub(super) who: Who,
    pub(super) version: Version,
    pub(super) keep_alive: Duration,
    pub(super) window: u16,
    pub(super) packet_bytes_max: usize,
    /// Whether the client is told which rule denied something.
    pub(super) is_told_why: bool,
    pub(super) session_expires: bool,
    pub(super) outbox: Outbox,
    pub(super) promises: VecDeque<(u64, Promise)>,
    /// Open deliveries of quality 1 from the client among the promises.
    pub(super) open_qos1: usize,
    pub(super) topics: Vec<Option<Arc<str>>>,
    pub(super) aliases: HashMap<Arc<str>, u16>,
    pub(super) aliases_max: u16,
    pub(super) routes: HashMap<Arc<str>, Route>,
    /// A client that got more from this one than it could take so far.
    pub(super) pressed: Option<Arc<Session>>,
    /// Receivers in all routes.
    pub(super) route_targets: usize,
    pub(super) hold: Hold,
    /// What the part of a packet costs that has come so far.
    pub(super) reading: Hold,
    /// Filters whose kept messages the client still gets.
    pub(super) kept: VecDeque<(Arc<str>, Options)>,
    pub(super) committed: Option<watch::Receiver<u64>>,
}

impl Connection {
    /// Serves the client until it leaves, is lost or has to go.
    pub(super) async fn serve(
        mut self,
        mut stream: Stream,
        mut inbox: BytesMut,
        mut end: oneshot::Receiver<Reason>,
    ) {
        let ending = self.run(&mut stream, &mut inbox, &mut end).await;
        let (leave, expiry_s, reason, told) = match ending {
            Ending::Goodbye { with_will: true, expiry_s } => {
                (Leave::Lost, expiry_s, "disconnected with its will", None)
            }
            Ending::Goodbye { expiry_s, .. } => (Leave::Goodbye, expiry_s, "normal", None),
            Ending::Lost(why) => (Leave::Lost, None, why, None),
            Ending::Fault(fault) => {
                self.core.counters.faults.add(1);
                (Leave::Lost, None, fault.why, Some(fault.reason))
            }
            Ending::Ended(reason) => (Leave::Lost, None, words(reason), Some(reason)),
        };
        if let Some(reason) = told {
            codec::disconnect(self.outbox.packets(), self.version, reason);
        }
        self.core.counters.connected.take_away(1);
        self.core.detach(&self.session, self.owner, leave, expiry_s);
        let client = Arc::clone(&self.client);
        self.core.say(What::ClientDisconnected { client, reason: reason.into() });
        let last = last_word(&mut stream, &mut self.outbox, told.is_some());
        drop(tokio::time::timeout(LAST, last).await);
    }

    async fn run(
        &mut self,
        stream: &mut Stream,
        inbox: &mut BytesMut,
        end: &mut oneshot::Receiver<Reason>,
    ) -> Ending {
        let core = Arc::clone(&self.core);
        let session = Arc::clone(&self.session);
        let mut clock = Clock::new(self.keep_alive);
        let mut written = 0;
        let mut committed = self.committed.take();
        let mut moved = Moved::In(inbox.len());
        loop {
            if let Moved::In(count) = moved {
                core.counters.bytes_received.add(count as u64);
                clock.seen();
                let had = inbox.len();
                if let Err(ending) = self.take(inbox).await {
                    return ending;
                }
                clock.half(inbox.len() < had, !inbox.is_empty());
                if let Err(fault) = self.hold_rest(inbox.len()) {
                    return fault.into();
                }
                if let Some(pressed) = self.pressed.take() {
                    give_way(&pressed, &core.limits).await;
                }
            }
            self.settle(committed.as_ref().map_or(u64::MAX, |seen| *seen.borrow()));
            // One filter at a time: looking through all that is kept takes long, and others wait for this thread.
            if let Some((filter, options)) = self.kept.pop_front() {
                core.give_retained(&session, &filter, options);
            }
            if !self.fill() {
                return Ending::Ended(Reason::SessionTakenOver);
            }
            clock.arm(self.outbox.len());
            let is_behind = self.is_behind();
            let reads = !is_behind && self.outbox.len() < UNREAD_BYTES_MAX && self.kept.is_empty();
            let waits = is_behind || !self.promises.is_empty();
            moved = tokio::select! {
                result = stream.exchange(&mut self.outbox, inbox, reads, &mut written) => match result {
                    Ok(Moved::End) => return Ending::Lost("closed by the client"),
                    Ok(moved) => moved,
                    Err(_) => return Ending::Lost("connection broke"),
                },
                () = session.wake.notified() => Moved::Out,
                () = next_commit(&mut committed), if waits => Moved::Out,
                () = tokio::task::yield_now(), if !self.kept.is_empty() => Moved::Out,
                () = &mut clock.sleep => match clock.ring(self.outbox.len(), &core.limits) {
                    Some(ending) => return ending,
                    None => {
                        self.shrink(inbox);
                        Moved::Out
                    }
                },
                reason = &mut *end => return Ending::Ended(reason.unwrap_or(Reason::SessionTakenOver)),
                () = core.stop.cancelled() => return Ending::Ended(Reason::ServerShuttingDown),
            };
            if written > 0 {
                core.counters.bytes_sent.add(std::mem::take(&mut written));
            }
        }
    }

    /// Counts what has come of a packet that is not whole.
    fn hold_rest(&mut self, came: usize) -> Result<(), Fault> {
        let bytes = if came > SMALL_BYTES { came } else { 0 };
        if bytes > self.reading.bytes() && self.core.reading.is_spent() {
            return Err(Fault::new(Reason::QuotaExceeded, "too many half packets wait"));
        }
        self.reading.resize(bytes);
        Ok(())
    }

    /// Tells whether the store has to catch up before this client may go on.
    fn is_behind(&self) -> bool {
        self.promises.len() > PROMISES_MAX
            || self.core.store.as_ref().is_some_and(super::store::Store::is_behind)
    }

    /// Sends the answers whose promises hold now, in their order.
    fn settle(&mut self, committed: u64) {
        while self.promises.front().is_some_and(|(number, _)| *number <= committed) {
            let Some((_, promise)) = self.promises.pop_front() else { return };
            let (version, packets) = (self.version, self.outbox.packets());
            match promise {
                Promise::Ack(step, identifier, reason) => {
                    if step == Step::Ack {
                        self.open_qos1 = self.open_qos1.saturating_sub(1);
                    }
                    codec::ack(packets, version, step, identifier, reason);
                }
                Promise::Denied(step, identifier, rule) => {
                    if step == Step::Ack {
                        self.open_qos1 = self.open_qos1.saturating_sub(1);
                    }
                    codec::ack_because(packets, step, identifier, Reason::NotAuthorized, &rule);
                }
                Promise::Subscribed(identifier, codes, rule, kept) => {
                    codec::suback(packets, version, identifier, &codes, rule.as_deref());
                    self.kept.extend(kept);
                }
                Promise::Unsubscribed(identifier, codes) => {
                    codec::unsuback(packets, version, identifier, &codes);
                }
                Promise::Pong => codec::pong(packets),
            }
        }
    }

    fn shrink(&mut self, inbox: &mut BytesMut) {
        self.outbox.shrink();
        self.routes = HashMap::new();
        self.route_targets = 0;
        self.hold.resize(self.outbox.capacity());
        if inbox.is_empty() {
            *inbox = BytesMut::new();
        }
    }
}

/// Lets a client catch up that reads, but not as fast as this one speaks.
///
/// That is done as long as what waits would be read within a moment at the pace that is seen; a client that does not
/// read, or far too slowly, gets no time, and what has no place in its queue is dropped.
async fn give_way(session: &Session, limits: &super::limits::Limits) {
    const STEPS: u32 = 50;
    const STEP: Duration = Duration::from_millis(2);
    /// Steps in which half of what waits has to be read at the pace of the last one.
    const MOMENT: u64 = 50;
    for _ in 0..STEPS {
        let before = {
            let state = session.lock();
            if state.stuck_at == Some(state.popped()) {
                return;
            }
            state.popped()
        };
        tokio::task::yield_now().await;
        if !session.lock().is_behind(limits) {
            return;
        }
        tokio::time::sleep(STEP).await;
        let mut state = session.lock();
        if !state.is_behind(limits) {
            return;
        }
        let read = state.popped() - before;
        if read == 0 {
            state.stuck_at = Some(before);
        }
        if read * MOMENT < state.waiting() as u64 / 2 {
            return;
        }
    }
}

/// Writes what is left and closes.
///
/// A socket that is closed while bytes wait to be read takes what was written last away from the peer. So a client
/// that is told why it has to go may speak on into the void until it has read that.
async fn last_word(stream: &mut Stream, outbox: &mut Outbox, is_told: bool) -> std::io::Result<()> {
    let (mut void, mut written) = (BytesMut::new(), 0);
    while !outbox.is_empty() {
        stream.exchange(outbox, &mut void, false, &mut written).await?;
    }
    stream.close().await;
    while is_told && stream.exchange(outbox, &mut void, true, &mut written).await? != Moved::End {
        void.clear();
    }
    Ok(())
}

async fn next_commit(committed: &mut Option<watch::Receiver<u64>>) {
    let Some(seen) = committed else { return std::future::pending().await };
    if seen.changed().await.is_err() {
        // The writer lives as long as the broker; without it nothing more is promised.
        std::future::pending().await
    }
}

fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::SessionTakenOver => "taken over by a new connection",
        Reason::ServerShuttingDown => "broker stops",
        Reason::QuotaExceeded => "queue is full",
        Reason::AdministrativeAction => "ended by a person",
        _ => "ended by the broker",
    }
}

/// Watches over signs of life in both directions.
struct Clock {
    sleep: Pin<Box<Sleep>>,
    keep_alive: Duration,
    seen: Instant,
    /// Since when nothing could be written, and how much waited.
    stuck: Option<(Instant, usize)>,
    /// Since when part of a packet waits for the rest.
    half: Option<Instant>,
}

impl Clock {
    fn new(keep_alive: Duration) -> Self {
        let seen = Instant::now();
        let first = if keep_alive.is_zero() { IDLE } else { keep_alive.min(IDLE) };
        Self {
            sleep: Box::pin(sleep_until(seen + first)),
            keep_alive,
            seen,
            stuck: None,
            half: None,
        }
    }

    fn seen(&mut self) {
        self.seen = Instant::now();
    }

    /// Notes whether packets were taken out, and whether part of another waits for the rest.
    fn half(&mut self, was_taken: bool, is_half: bool) {
        let since = self.half.filter(|_| !was_taken).unwrap_or(self.seen);
        self.half = is_half.then_some(since);
    }

    /// Makes sure that somebody looks soon while bytes wait to be written.
    fn arm(&mut self, waiting: usize) {
        if waiting == 0 {
            self.stuck = None;
            return;
        }
        if self.stuck.is_none() {
            let now = Instant::now();
            self.stuck = Some((now, waiting));
            if self.sleep.deadline() > now + STUCK {
                self.sleep.as_mut().reset(now + STUCK);
            }
        }
    }

    /// Time passed: tells whether it was too much.
    fn ring(&mut self, waiting: usize, limits: &super::limits::Limits) -> Option<Ending> {
        let now = Instant::now();
        if !self.keep_alive.is_zero() && now >= self.seen + self.keep_alive {
            let fault = Fault::new(Reason::KeepAliveTimeout, "no sign of life");
            return Some(Ending::Fault(fault));
        }
        if let Some((since, before)) = self.stuck {
            if waiting < before {
                self.stuck = Some((now, waiting));
            } else if now >= since + limits.write_timeout {
                return Some(Ending::Lost("takes nothing that is sent"));
            }
        }
        if self.half.is_some_and(|since| now >= since + limits.packet_timeout) {
            return Some(Ending::Fault(Fault::new(Reason::Unspecified, "packet takes too long")));
        }
        let mut next = now + if self.stuck.is_some() { STUCK } else { IDLE };
        if !self.keep_alive.is_zero() {
            next = next.min(self.seen + self.keep_alive);
        }
        self.sleep.as_mut().reset(next);
        None
    }
}
