//! Fuzz: what a client sends, as bytes.

use bytes::{Bytes, BytesMut};

use super::call::{Call, Effects};
use super::keyspace::Keyspace;
use super::request::{Reader, Trust};
use super::table::{self, Run};

/// Commands of one run.
const COMMANDS_MAX: usize = 200;

/// Reads commands, and runs those that are about keys; whatever they do, weights must add up.
pub fn requests(data: &[u8]) {
    super::restore::read(data);
    let mut input = BytesMut::from(data);
    let mut reader = Reader::default();
    let mut keys = Keyspace::default();
    for _ in 0..COMMANDS_MAX {
        let Ok(Some(request)) = reader.next(&mut input, Trust::Known) else {
            break;
        };
        run(&mut keys, &request);
    }
    let bytes: usize = keys.keys(0).map(|(_, held)| held.weight()).sum();
    assert_eq!(bytes, keys.bytes, "the weight of all is the sum of each");
}

fn run(keys: &mut Keyspace, request: &[Bytes]) {
    let mut found = table::find(table::COMMANDS, &request[0]);
    if let Some(command) = found
        && let Run::Within(inner) = command.run
    {
        found = request.get(1).and_then(|name| table::find(inner, name));
    }
    let Some(command) = found.filter(|command| command.takes(request.len())) else {
        return;
    };
    if let Run::Keys(run) = command.run {
        let effects = Effects::default();
        let mut call = Call { keys, database: 0, now_ms: 5, arguments: request, luck: 3, effects };
        let mut out = BytesMut::new();
        super::reply::Reply::from(run(&mut call)).write(super::reply::Protocol::Resp3, &mut out);
    }
}
