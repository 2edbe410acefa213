//! Words: where everything is among containers, and texts of the manifest that speak of it.

use std::collections::BTreeMap;

use super::yaml::plain;
use super::{Export, ExportError, desk};
use crate::dev::DevError;
use crate::dev::services::{Cluster, encoded, stem};
use crate::manifest::{Runs, Server, ServiceWish};

/// The password of a server where nobody says another one: only this machine reaches what the file publishes.
const PASSWORD: &str = "rebeam";

/// Variables and their values as Compose reads them: `$$` is a dollar, `${NAME}` one of its own variables.
pub(super) type Variables = BTreeMap<String, String>;

/// What stands for the password of a service in the file.
pub(super) fn password(service: &str) -> String {
    format!("${{{}_PASSWORD:-{PASSWORD}}}", stem(service))
}

/// Returns the variables by which programs are told of everything.
pub(super) fn addresses(export: &Export<'_>) -> Variables {
    let mut variables = Variables::new();
    for one in &export.embedded {
        let alias = export.alias(one.name);
        let url = format!("{}://{alias}:{}{}", one.scheme, one.port, one.path);
        variables.insert(format!("{}_URL", stem(&alias)), url);
    }
    variables.insert("MQTTS_CA".into(), desk::AUTHORITY_FILE.into());
    for (name, wish) in export.services {
        let Some(port) = ports(wish).first().copied() else { continue };
        let mut put = |end: &str, value: String| {
            variables.insert(format!("{}_{end}", stem(name)), value);
        };
        put("HOST", name.clone());
        put("PORT", port.to_string());
        let scheme = match &wish.runs {
            Runs::Server(Server::Postgres) => {
                let Cluster { user, database, password: own, .. } = Cluster::of(wish);
                let (who, what) = (encoded(&user), encoded(&database));
                let secret = own.as_deref().map_or_else(|| password(name), encoded);
                put("URL", format!("postgres://{who}:{secret}@{name}:{port}/{what}"));
                put("PASSWORD", own.map_or_else(|| password(name), |own| own.replace('$', "$$")));
                put("USER", user.replace('$', "$$"));
                put("DATABASE", database.replace('$', "$$"));
                continue;
            }
            Runs::Server(Server::Redis) => "redis",
            Runs::Server(Server::Mosquitto) => "mqtt",
            Runs::Command { .. } | Runs::Release => "http",
        };
        put("URL", format!("{scheme}://{name}:{port}"));
    }
    variables
}

/// The ports that a service listens on, the one that it is known by first. Among containers each has its wish.
pub(super) fn ports(wish: &ServiceWish) -> Vec<u16> {
    match &wish.runs {
        Runs::Server(server) if wish.ports.is_empty() => vec![server.port()],
        _ => wish.ports.clone(),
    }
}

/// The variables with which the texts of one service are read.
pub(super) fn of_service(addresses: &Variables, wish: &ServiceWish) -> Variables {
    let mut own = addresses.clone();
    let ports = ports(wish);
    own.extend(ports.first().map(|port| ("PORT".to_owned(), port.to_string())));
    own.extend(ports.iter().map(|port| (format!("PORT_{port}"), port.to_string())));
    own
}

/// Puts values in the place of `${NAME}`, as Compose reads them; everything else means what it says.
pub(super) fn expand(
    text: &str,
    variables: &Variables,
    table: &str,
) -> Result<String, ExportError> {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        whole.push_str(&plain(before));
        let Some((name, behind)) = after.split_once('}') else {
            whole.push_str("$${");
            rest = after;
            continue;
        };
        let value = variables.get(name).ok_or_else(|| DevError::UnknownVariable {
            table: table.to_owned(),
            variable: name.to_owned(),
            known: variables.keys().cloned().collect(),
        })?;
        whole.push_str(value);
        rest = behind;
    }
    whole.push_str(&plain(rest));
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compose_would_put_in_by_itself_means_what_it_says() {
        let known =
            Variables::from([("DB_URL".to_owned(), format!("pg://x:{}@db", password("db")))]);
        let said = |text: &str| expand(text, &known, "dev");
        assert_eq!(
            said("$HOME ${DB_URL} $").unwrap(),
            "$$HOME pg://x:${DB_PASSWORD:-rebeam}@db $$"
        );
        assert_eq!(said("${").unwrap(), "$${");
        assert!(said("${HOME}").unwrap_err().to_string().contains("${HOME}"));
    }
}
