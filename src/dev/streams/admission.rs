//! Admission: which command a request names, and whether its client may run it now.

use bytes::Bytes;

use super::engine::Engine;
use super::refusal::Refusal;
use super::reply::{Protocol, Reply};
use super::request::Request;
use super::session::SessionId;
use super::table::{self, Command, Nature, Run};
use crate::limits::{STREAMS_QUEUED_MAX, STREAMS_REQUEST_BYTES_MAX, STREAMS_STATE_BYTES_MAX};

impl Engine {
    /// Tells whether a client may run a command now.
    pub(super) fn admits(
        &self,
        id: SessionId,
        command: &Command,
        full: &str,
        request: &Request,
    ) -> Result<(), Refusal> {
        let session = &self.sessions[&id];
        if !command.takes(request.len()) {
            return Err(Refusal::arity(full));
        }
        if !session.is_known && !matches!(command.name, "auth" | "hello" | "quit" | "reset") {
            return Err(Refusal::new("NOAUTH Authentication required."));
        }
        let is_for_listeners = matches!(
            command.name,
            "ping" | "subscribe" | "psubscribe" | "unsubscribe" | "punsubscribe" | "quit" | "reset"
        );
        if session.listens() && session.protocol == Protocol::Resp2 && !is_for_listeners {
            return Err(Refusal::err(&format!(
                "Can't execute '{full}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
                 in this context"
            )));
        }
        if command.nature == Nature::Grows && self.keys.bytes > STREAMS_STATE_BYTES_MAX {
            return Err(Refusal::new("OOM command not allowed when used memory > 'maxmemory'."));
        }
        self.is_disk_full(command)
    }

    pub(super) fn is_disk_full(&self, command: &Command) -> Result<(), Refusal> {
        match &self.stuck {
            Some(reason) if matches!(command.nature, Nature::Writes | Nature::Grows) => {
                Err(Refusal::new(format!("MISCONF Errors writing to the AOF file: {reason}")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn queue(&mut self, id: SessionId, request: Request) -> Reply {
        let transaction = self.session(id).transaction.as_mut().expect("the caller saw it");
        transaction.bytes += request.iter().map(Bytes::len).sum::<usize>();
        if transaction.requests.len() >= STREAMS_QUEUED_MAX
            || transaction.bytes > STREAMS_REQUEST_BYTES_MAX
        {
            transaction.is_broken = true;
            return Reply::Error(Refusal::err("too many commands wait for EXEC"));
        }
        transaction.requests.push(request);
        Reply::Simple("QUEUED")
    }
}

pub(super) fn is_about_transactions(name: &str) -> bool {
    matches!(name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

/// Finds the command that a request names, and its full name.
pub(super) fn find(request: &Request) -> Result<(&'static Command, String), Refusal> {
    let Some(command) = table::find(table::COMMANDS, &request[0]) else {
        let mut shown = Vec::new();
        for word in &request[1..] {
            if shown.len() >= 128 {
                break;
            }
            let room = 128 - shown.len();
            shown.push(b'\'');
            shown.extend_from_slice(&word[..word.len().min(room)]);
            shown.extend_from_slice(b"' ");
        }
        let name = &request[0][..request[0].len().min(128)];
        let pieces: [&[u8]; 4] =
            [b"ERR unknown command '", name, b"', with args beginning with: ", &shown];
        return Err(Refusal::new(pieces.concat()));
    };
    let Run::Within(inner) = command.run else {
        return Ok((command, command.name.to_owned()));
    };
    let Some(second) = request.get(1) else {
        return Err(Refusal::arity(command.name));
    };
    let Some(found) = table::find(inner, second) else {
        let shown = &second[..second.len().min(128)];
        let upper = request[0].to_ascii_uppercase();
        let pieces: [&[u8]; 5] =
            [b"ERR unknown subcommand '", shown, b"'. Try ", &upper, b" HELP."];
        return Err(Refusal::new(pieces.concat()));
    };
    Ok((found, format!("{}|{}", command.name, found.name)))
}
