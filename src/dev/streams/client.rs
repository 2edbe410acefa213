//! Client: what clients say of themselves, and ask of each other.

use bytes::Bytes;

use super::call::{Answer, integer};
use super::engine::Engine;
use super::refusal::Refusal;
use super::reply::Reply;
use super::session::{SessionId, checked_name};
use super::table::{Command, own};

pub(super) const CLIENT: &[Command] = &[
    own("getname", 2, client_name),
    own("id", 2, |_, id, _| Ok(Reply::Integer(id.cast_signed()))),
    own("info", 2, client_info),
    own("kill", -3, client_kill),
    own("list", -2, client_list),
    own("no-evict", 3, |_, _, _| Ok(Reply::OK)),
    own("no-touch", 3, |_, _, _| Ok(Reply::OK)),
    own("setinfo", 4, client_set_info),
    own("setname", 3, client_set_name),
    own("unblock", -3, client_unblock),
];

fn client_name(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    let name = engine.session(id).name.clone();
    Ok(if name.is_empty() { Reply::Null } else { Reply::Bulk(name) })
}

fn client_set_name(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    engine.session(id).name = checked_name(&words[2])?;
    Ok(Reply::OK)
}

fn client_set_info(engine: &mut Engine, id: SessionId, words: &[Bytes]) -> Answer {
    let field = words[2].to_ascii_lowercase();
    if field != b"lib-name" && field != b"lib-ver" {
        let text = [b"ERR Unrecognized option '", &words[2][..], b"'"].concat();
        return Err(Refusal::new(text));
    }
    let is_plain = words[3].iter().all(|byte| (b'!'..=b'~').contains(byte));
    if !is_plain {
        let text = format!(
            "{} cannot contain spaces, newlines or special characters.",
            String::from_utf8_lossy(&field)
        );
        return Err(Refusal::err(&text));
    }
    engine.session(id).library.insert(field.into(), words[3].clone());
    Ok(Reply::OK)
}

fn client_info(engine: &mut Engine, id: SessionId, _: &[Bytes]) -> Answer {
    let now_ms = engine.now_ms;
    Ok(Reply::Verbatim(engine.session(id).line(id, now_ms)))
}

fn client_list(engine: &mut Engine, _: SessionId, _: &[Bytes]) -> Answer {
    let now_ms = engine.now_ms;
    Ok(Reply::Verbatim(engine.sessions().map(|(id, s)| s.line(*id, now_ms)).collect()))
}

fn client_kill(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    let doomed: Vec<SessionId> = match words {
        [_, _, address] => {
            let found = engine.sessions().filter(|(_, s)| s.peer.as_bytes() == address);
            found.map(|(id, _)| *id).collect()
        }
        [_, _, option, number] if option.eq_ignore_ascii_case(b"id") => {
            let number = integer(number)?.cast_unsigned();
            engine.sessions().filter(|(id, _)| **id == number).map(|(id, _)| *id).collect()
        }
        _ => return Err(Refusal::syntax()),
    };
    if doomed.is_empty() && words.len() == 3 {
        return Err(Refusal::err("No such client"));
    }
    for id in &doomed {
        engine.session(*id).is_ending = true;
        engine.mark(*id);
    }
    Ok(if words.len() == 3 { Reply::OK } else { Reply::count(doomed.len()) })
}

fn client_unblock(engine: &mut Engine, _: SessionId, words: &[Bytes]) -> Answer {
    let id = integer(&words[2])?.cast_unsigned();
    let reply = match words.get(3).map(|word| word.to_ascii_lowercase()) {
        None => None,
        Some(word) if word == b"timeout" => None,
        Some(word) if word == b"error" => {
            Some(Reply::Error(Refusal::new("UNBLOCKED client unblocked via CLIENT UNBLOCK")))
        }
        Some(_) => {
            return Err(Refusal::err("CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
        }
    };
    Ok(Reply::flag(engine.unblock(id, reply)))
}
