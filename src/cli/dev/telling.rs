//! Telling: what runs and where, as `up` and `ps` say it.

use std::collections::BTreeMap;

use crate::cli::Common;
use crate::dev::Place;
use crate::dev::services::Standing;
use crate::terminal::{self, Mode};

/// Says that the stack is ready, and where everything is.
pub(super) fn tell(common: &Common, place: &Place, standings: &[Standing]) {
    match common.mode() {
        Mode::Json => terminal::data(&serde_json::json!(standings).to_string()),
        Mode::Quiet => {}
        Mode::People => {
            terminal::data(&table(standings));
            given_up(standings).iter().for_each(|line| terminal::talk(line));
            terminal::talk(&format!("addresses for programs: {}", place.env_file().display()));
            let authority = place.directory().join("tls/ca.pem");
            terminal::talk(&format!("certificates are signed by: {}", authority.display()));
        }
    }
}

/// Says of each who has standard ports what is used instead of these.
fn given_up(standings: &[Standing]) -> Vec<String> {
    let mut by_holder = BTreeMap::<_, Vec<_>>::new();
    for one in standings {
        if let (Some(given_up), Some(address)) = (&one.instead_of, one.address) {
            let uses = format!("{} uses {}", one.name, address.port());
            by_holder.entry(&given_up.holder).or_default().push((given_up.port, uses));
        }
    }
    let line = |(holder, all): (&Option<String>, Vec<(u16, String)>)| {
        let ports: Vec<String> = all.iter().map(|(port, _)| port.to_string()).collect();
        let uses: Vec<&str> = all.iter().map(|(_, uses)| uses.as_str()).collect();
        let verb = if ports.len() == 1 { "is" } else { "are" };
        let holder = holder.as_deref().unwrap_or("a process that is not to be seen from here");
        format!("{} {verb} held by {holder}: {}", ports.join(", "), uses.join(", "))
    };
    by_holder.into_iter().map(line).collect()
}

/// Lays services out, a line each.
pub(super) fn table(standings: &[Standing]) -> String {
    let row = |one: &Standing| {
        let restarts = match one.restarts {
            0 => String::new(),
            1 => ", restarted once".into(),
            count => format!(", restarted {count} times"),
        };
        let why = one.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let state = format!("{}{restarts}{why}", one.state.name());
        let others = one.others.iter().map(|port| format!(", {port}"));
        let places = one.url.iter().cloned().chain(others).collect::<String>();
        vec![one.name.clone(), places, state]
    };
    terminal::table(&standings.iter().map(row).collect::<Vec<_>>())
}
