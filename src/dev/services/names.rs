//! Names: what services and programs are told of where everything is, and texts that speak of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::kinds;
use super::plan::{Plan, Reserved};
use crate::dev::error::DevError;
use crate::disk;

/// Where each service listens, and its address without any secret.
pub(super) type Places = BTreeMap<String, (SocketAddr, String)>;

/// Returns what programs are told of services before any is started; passwords stand in it.
///
/// # Errors
/// Where a password cannot be kept.
pub fn variables(
    plan: &Plan<'_>,
    reserved: &Reserved,
) -> Result<BTreeMap<String, String>, DevError> {
    let mut variables = BTreeMap::new();
    tell(plan, reserved, &mut variables)?;
    Ok(variables)
}

/// Adds what programs are told of services.
pub(super) fn tell(
    plan: &Plan<'_>,
    reserved: &Reserved,
    variables: &mut BTreeMap<String, String>,
) -> Result<Places, DevError> {
    let state = plan.state();
    disk::create_dir_all(&state)?;
    let mut places = Places::new();
    for (name, wish) in plan.services {
        if let Some((_, port)) = reserved.ports[name].first() {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            let url = kinds::tell(name, wish, address, &state.join(name), variables)?;
            places.insert(name.clone(), (address, url));
        }
    }
    Ok(places)
}

/// Returns what begins the names of a service's variables.
pub fn stem(service: &str) -> String {
    service.to_uppercase().replace('-', "_")
}

/// Returns the variable that has a service's address.
pub fn url_variable(service: &str) -> String {
    format!("{}_URL", stem(service))
}

/// Writes the file of names that all services and the release read.
pub(super) fn hosts<'a>(
    state: &Path,
    names: impl Iterator<Item = &'a String>,
    variables: &BTreeMap<String, String>,
) -> Result<PathBuf, DevError> {
    let embedded = variables.keys().filter_map(|name| name.strip_suffix("_URL"));
    let embedded = embedded.map(|name| name.to_lowercase().replace('_', "-"));
    let names: BTreeSet<String> = names.cloned().chain(embedded).collect();
    let mut text = String::from("127.0.0.1 localhost rebeam\n::1 localhost\n");
    for name in names {
        text += &format!("127.0.0.1 {name}\n");
    }
    let path = state.join("hosts");
    disk::write_atomic(&path, text.as_bytes())?;
    Ok(path)
}

/// Puts values in the place of `${NAME}`; the error is the name that has none.
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        whole.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            whole.push_str("${");
            rest = after;
            continue;
        };
        whole.push_str(variables.get(name).ok_or_else(|| name.to_owned())?);
        rest = behind;
    }
    whole.push_str(rest);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_and_an_unknown_one_is_named() {
        let variables = BTreeMap::from([("A_URL".to_owned(), "redis://x".to_owned())]);
        let said = |text: &str| expand(text, &variables);
        assert_eq!(said("a=${A_URL}/${A_URL}.").unwrap(), "a=redis://x/redis://x.");
        assert_eq!(said("$A_URL $ ${").unwrap(), "$A_URL $ ${");
        assert_eq!(said("${B}").unwrap_err(), "B");
    }
}
