//! Git's smart protocol over HTTP, as far as a fetch needs it.
//!
//! Own code and not libgit2's transport: TLS, retries, limits and mirrors are then those of the HTTP
//! door, errors keep their cause, and version 2 lets a client want any commit by its id and list
//! only branches and tags. A server that speaks the older version 0 is understood as well.
//! Facts: gitprotocol-v2, gitprotocol-pack and gitprotocol-http of the git project.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use git2::Oid;

use crate::event::{Event, Observer, Silent};
use crate::http::{Answer, Call, Http, HttpError, Method, Mirrors, Network, Request};
use crate::limits::{GIT_FETCH_BYTES_MAX, INDEX_BYTES_MAX};

use super::packet::{Packet, Packets, line};
use super::{GitError, Listing, Named};

/// A server that answered in git's protocol.
pub(super) struct Server<'a> {
    http: &'a Http,
    observer: &'a dyn Observer,
    named: &'a Named,
    url: String,
    headers: Vec<(&'static str, String)>,
    speaks: Speaks,
}

enum Speaks {
    /// Version 2, with what `fetch` can do.
    Two { shallow: bool },
    /// Version 0: it told its references at once.
    Zero { listing: Listing, abilities: BTreeSet<String> },
}

/// How much history is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The commit's files alone.
    Tree,
    /// Everything that leads to it.
    History,
}

/// Why an attempt ended early.
enum Stop {
    /// The connection broke: worth another attempt.
    Cut(io::Error),
    Failed(GitError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Cut(error)
    }
}

impl From<GitError> for Stop {
    fn from(error: GitError) -> Self {
        Self::Failed(error)
    }
}

impl From<HttpError> for Stop {
    fn from(error: HttpError) -> Self {
        Self::Failed(error.into())
    }
}

impl<'a> Server<'a> {
    /// Asks the first of `urls` that answers in git's protocol.
    pub(super) fn connect(
        http: &'a Http,
        observer: &'a dyn Observer,
        named: &'a Named,
        urls: &[String],
        secret: Option<&str>,
    ) -> Result<Self, GitError> {
        let mut headers = vec![("Git-Protocol", "version=2".to_owned())];
        if let Some(secret) = secret {
            use base64::Engine as _;
            let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
            headers.push(("Authorization", format!("Basic {encoded}")));
        }
        let mut first_error = None;
        for url in urls {
            let mut server = Self {
                http,
                observer,
                named,
                url: url.clone(),
                headers: headers.clone(),
                speaks: Speaks::Two { shallow: false },
            };
            match server.greet() {
                Ok(()) => return Ok(server),
                Err(error @ GitError::NotGit { .. }) => first_error = first_error.or(Some(error)),
                Err(GitError::Http(error)) if error.is_gone() => {
                    first_error = first_error.or(Some(error.into()));
                }
                Err(error) => return Err(error),
            }
        }
        Err(first_error.unwrap_or_else(|| named.not_git()))
    }

    /// Reads what the server says of itself.
    fn greet(&mut self) -> Result<(), GitError> {
        let url = format!("{}/info/refs?service=git-upload-pack", self.url);
        let headers = self.headers.clone();
        let request =
            Request { name: &self.named.app, url: &url, limit: INDEX_BYTES_MAX, headers: &headers };
        let call = Call { method: Method::Get, request, body: &[] };
        let (speaks, moved) = self.persist(&request, || {
            let answer = self.http.exchange(&call, self.observer)?;
            let answer = self.accept(&request, answer, "advertisement")?;
            let moved = answer.url != self.http.mirrors().rewrite(&url);
            let moved = moved.then(|| answer.url.clone());
            Ok((self.read_greeting(answer)?, moved))
        })?;
        self.speaks = speaks;
        // A forge redirects a renamed owner; what follows goes there directly.
        let base = moved.as_deref().and_then(|url| url.split("/info/refs").next());
        if let Some(base) = base {
            self.url = base.to_owned();
        }
        Ok(())
    }

    fn accept(
        &self,
        request: &Request<'_>,
        answer: Answer,
        what: &str,
    ) -> Result<Answer, GitError> {
        if answer.status != 200 {
            return Err(HttpError::status(request, answer.status).into());
        }
        let expected = format!("application/x-git-upload-pack-{what}");
        match answer.headers.get("content-type") {
            Some(found) if *found == expected => Ok(answer),
            _ => Err(self.named.not_git()),
        }
    }

    fn read_greeting(&self, answer: Answer) -> Result<Speaks, Stop> {
        let mut packets = Packets(answer.body);
        let mut lines = Vec::new();
        while let Some(packet) = packets.next()? {
            if let Packet::Data(line) = packet
                && !line.starts_with(b"# service=")
            {
                lines.push(self.text(&line)?);
            }
        }
        if lines.first().is_some_and(|line| line == "version 2") {
            let fetch = lines.iter().find_map(|line| line.strip_prefix("fetch="));
            let shallow = fetch.is_some_and(|can| can.split(' ').any(|word| word == "shallow"));
            return Ok(Speaks::Two { shallow });
        }
        let abilities: BTreeSet<String> = lines
            .first()
            .and_then(|line| line.split_once('\0'))
            .map(|(_, abilities)| abilities.split(' ').map(str::to_owned).collect())
            .unwrap_or_default();
        let head = abilities.iter().find_map(|word| word.strip_prefix("symref=HEAD:refs/heads/"));
        let mut listing = Listing { head_branch: head.map(str::to_owned), ..Listing::default() };
        for line in &lines {
            let line = line.split('\0').next().unwrap_or_default();
            let (id, name) = line.split_once(' ').ok_or_else(|| self.protocol(line))?;
            if name != "capabilities^{}" {
                listing.add(name, self.id(id)?, None);
            }
        }
        Ok(Speaks::Zero { listing, abilities })
    }

    /// Returns the server's branches and tags.
    pub(super) fn list(&self) -> Result<Listing, GitError> {
        if let Speaks::Zero { listing, .. } = &self.speaks {
            return Ok(listing.clone());
        }
        let mut body = Vec::new();
        line(&mut body, "command=ls-refs\n");
        body.extend(b"0001");
        for argument in ["peel\n", "symrefs\n", "ref-prefix HEAD\n"] {
            line(&mut body, argument);
        }
        line(&mut body, "ref-prefix refs/heads/\n");
        line(&mut body, "ref-prefix refs/tags/\n");
        body.extend(b"0000");
        self.post(&body, INDEX_BYTES_MAX, |answer| {
            let mut listing = Listing::default();
            let mut packets = Packets(answer.body);
            loop {
                match packets.need()? {
                    Packet::Data(line) => self.listed(&line, &mut listing)?,
                    Packet::Flush => return Ok(listing),
                    Packet::Delimiter => {}
                }
            }
        })
    }

    /// Reads one line of `ls-refs`: `id name[ symref-target:name][ peeled:id]`.
    fn listed(&self, line: &[u8], listing: &mut Listing) -> Result<(), GitError> {
        let line = self.text(line)?;
        self.refuse_error(&line)?;
        let mut words = line.split(' ');
        let (Some(id), Some(name)) = (words.next(), words.next()) else {
            return Err(self.protocol(&line));
        };
        if id == "unborn" {
            return Ok(());
        }
        let mut peeled = None;
        for word in words {
            if let Some(id) = word.strip_prefix("peeled:") {
                peeled = Some(self.id(id)?);
            }
            if let (Some(target), "HEAD") = (word.strip_prefix("symref-target:refs/heads/"), name) {
                listing.head_branch = Some(target.to_owned());
            }
        }
        listing.add(name, self.id(id)?, peeled);
        Ok(())
    }

    /// Writes the pack of `wants` into a sink that `sink` makes, anew for each attempt.
    ///
    /// `haves` are commits that we hold with everything that leads to them.
    pub(super) fn fetch<W: Write>(
        &self,
        wants: &BTreeSet<Oid>,
        haves: &[Oid],
        depth: Depth,
        sink: impl Fn() -> Result<W, GitError>,
    ) -> Result<W, GitError> {
        let name = self.named.app.as_str();
        let body = self.fetch_body(wants, haves, depth);
        let observer = self.observer;
        observer.observe(&Event::FetchStarted { name, bytes: None });
        let (sink, bytes) = self.post(&body, GIT_FETCH_BYTES_MAX, |answer| {
            let mut sink = sink()?;
            let bytes = self.read_pack(Packets(answer.body), &mut sink)?;
            Ok((sink, bytes))
        })?;
        observer.observe(&Event::Fetched { name, bytes });
        Ok(sink)
    }

    fn fetch_body(&self, wants: &BTreeSet<Oid>, haves: &[Oid], depth: Depth) -> Vec<u8> {
        let mut body = Vec::new();
        let shallow = match &self.speaks {
            Speaks::Two { shallow } => {
                line(&mut body, "command=fetch\n");
                body.extend(b"0001");
                for argument in ["no-progress\n", "include-tag\n", "ofs-delta\n"] {
                    line(&mut body, argument);
                }
                for want in wants {
                    line(&mut body, &format!("want {want}\n"));
                }
                *shallow
            }
            Speaks::Zero { abilities, .. } => {
                let ours = ["side-band-64k", "ofs-delta", "include-tag", "no-progress", "shallow"];
                let asked: Vec<&str> =
                    ours.into_iter().filter(|word| abilities.contains(*word)).collect();
                let mut asked = format!(" {}", asked.join(" "));
                for want in wants {
                    line(&mut body, &format!("want {want}{asked}\n"));
                    asked.clear();
                }
                abilities.contains("shallow")
            }
        };
        if depth == Depth::Tree && shallow {
            line(&mut body, "deepen 1\n");
        }
        if matches!(self.speaks, Speaks::Zero { .. }) {
            body.extend(b"0000");
        }
        for have in haves {
            line(&mut body, &format!("have {have}\n"));
        }
        line(&mut body, "done\n");
        if matches!(self.speaks, Speaks::Two { .. }) {
            body.extend(b"0000");
        }
        body
    }

    /// Skips what stands before the pack, and writes the pack out of its side band.
    fn read_pack(
        &self,
        mut packets: Packets<impl Read>,
        sink: &mut impl Write,
    ) -> Result<u64, Stop> {
        let two = matches!(self.speaks, Speaks::Two { .. });
        let (mut begun, mut bytes, mut told) = (false, 0, 0);
        loop {
            let data = match packets.need()? {
                Packet::Data(data) => data,
                Packet::Flush if begun => return Ok(bytes),
                Packet::Flush | Packet::Delimiter => continue,
            };
            if two && !begun {
                begun = data == b"packfile\n";
                self.refuse_error(&String::from_utf8_lossy(&data))?;
                continue;
            }
            match data.split_first() {
                Some((1, pack)) => {
                    begun = true;
                    bytes += pack.len() as u64;
                    sink.write_all(pack).map_err(|error| self.unwritten(error))?;
                }
                Some((2, _)) => {}
                Some((3, message)) => return Err(self.refused(message).into()),
                _ => self.refuse_error(&String::from_utf8_lossy(&data))?,
            }
            if bytes > told + (256 << 10) {
                told = bytes;
                let name = self.named.app.as_str();
                self.observer.observe(&Event::FetchProgress { name, bytes });
            }
        }
    }

    fn post<T>(
        &self,
        body: &[u8],
        limit: u64,
        read: impl Fn(Answer) -> Result<T, Stop>,
    ) -> Result<T, GitError> {
        let url = format!("{}/git-upload-pack", self.url);
        let mut headers = self.headers.clone();
        if matches!(self.speaks, Speaks::Zero { .. }) {
            headers.retain(|(name, _)| *name != "Git-Protocol");
        }
        headers.push(("Content-Type", "application/x-git-upload-pack-request".into()));
        headers.push(("Accept", "application/x-git-upload-pack-result".into()));
        let request = Request { name: &self.named.app, url: &url, limit, headers: &headers };
        let call = Call { method: Method::Post, request, body };
        self.persist(&request, || {
            let answer = self.http.exchange(&call, self.observer)?;
            read(self.accept(&request, answer, "result")?)
        })
    }

    /// Makes attempts until the connection holds.
    fn persist<T>(
        &self,
        request: &Request<'_>,
        mut attempt: impl FnMut() -> Result<T, Stop>,
    ) -> Result<T, GitError> {
        let mut count = 1;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Cut(error)) => {
                    let error = HttpError::cut(request, error);
                    self.http.pause(request.name, count, error.into(), self.observer)?;
                }
            }
            count += 1;
        }
    }

    fn text(&self, line: &[u8]) -> Result<String, GitError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let text = String::from_utf8_lossy(line).into_owned();
        self.refuse_error(&text)?;
        Ok(text)
    }

    fn id(&self, text: &str) -> Result<Oid, GitError> {
        let id = (text.len() == 40).then(|| Oid::from_str(text).ok()).flatten();
        id.ok_or_else(|| self.protocol(text))
    }

    fn refuse_error(&self, line: &str) -> Result<(), GitError> {
        match line.strip_prefix("ERR ") {
            Some(message) => Err(self.refused(message.as_bytes())),
            None => Ok(()),
        }
    }

    fn refused(&self, message: &[u8]) -> GitError {
        GitError::Refused {
            app: self.named.app.clone(),
            url: self.named.url.clone(),
            message: shorten(&String::from_utf8_lossy(message)),
        }
    }

    fn protocol(&self, line: &str) -> GitError {
        GitError::Protocol { url: self.named.url.clone(), line: shorten(line) }
    }

    fn unwritten(&self, error: io::Error) -> GitError {
        self.named.damaged(git2::Error::from_str(&error.to_string()))
    }
}

/// Reads bytes as each of a server's answers; for fuzzing.
pub(super) fn hear(data: &[u8]) {
    let http = Http::new(Network::Offline, Mirrors::default());
    let named = Named { app: "fuzz".into(), url: "https://git.test/fuzz".into() };
    let mut server = Server {
        http: &http,
        observer: &Silent,
        named: &named,
        url: named.url.clone(),
        headers: Vec::new(),
        speaks: Speaks::Two { shallow: false },
    };
    let mut packets = Packets(data);
    let mut listing = Listing::default();
    while let Ok(Some(packet)) = packets.next() {
        if let Packet::Data(line) = packet {
            let _ = server.listed(&line, &mut listing);
        }
    }
    let _ = server.read_pack(Packets(data), &mut io::sink());
    let answer = Answer {
        status: 200,
        url: named.url.clone(),
        headers: std::collections::BTreeMap::new(),
        body: Box::new(io::Cursor::new(data.to_vec())),
    };
    if let Ok(speaks) = server.read_greeting(answer) {
        server.speaks = speaks;
        let _ = server.read_pack(Packets(data), &mut io::sink());
    }
}

fn shorten(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(200).collect()
}
