//! Challenge: how a registry wants to be told who asks, and where its tokens are made.

use super::PushError;
use super::reference::{is_loopback, literal, split_port};
use super::url::Url;

/// One way to say who asks, out of a `WWW-Authenticate` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a token that is fetched elsewhere.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// With name and password in each request.
    Basic,
}

impl Challenge {
    /// Reads the first challenge that we can answer; tokens count more than passwords.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let all = read(header);
        let bearer = all.iter().find(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if let Some((_, parameters)) = bearer {
            let get = |wanted: &str| {
                let found = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
            };
            if let Some(realm) = get("realm") {
                return Some(Self::Bearer { realm, service: get("service"), scope: get("scope") });
            }
        }
        all.iter().any(|(scheme, _)| scheme.eq_ignore_ascii_case("basic")).then_some(Self::Basic)
    }
}

type Parameters = Vec<(String, String)>;

/// Reads `Scheme name="value", name=value, Scheme …` (RFC 9110, section 11.6.1).
fn read(header: &str) -> Vec<(String, Parameters)> {
    let mut all: Vec<(String, Parameters)> = Vec::new();
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c == ',' || c.is_whitespace());
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let after = behind.trim_start();
        if let (Some(value), Some((_, parameters))) = (after.strip_prefix('='), all.last_mut()) {
            let (value, behind) = read_value(value.trim_start());
            parameters.push((word.to_owned(), value));
            rest = behind;
        } else {
            if !word.is_empty() {
                all.push((word.to_owned(), Vec::new()));
            }
            // An equals sign before any scheme belongs to nothing.
            rest = after.strip_prefix('=').unwrap_or(after);
        }
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
    }
    all
}

/// Reads a value in quotes or without.
fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match (c, escaped) {
            ('\\', false) => escaped = true,
            ('"', false) => return (value, &quoted[at + 1..]),
            _ => {
                escaped = false;
                value.push(c);
            }
        }
    }
    (value, "")
}

/// Returns the scopes to ask a token for: what is newly demanded first, as some registries read only the first.
pub(super) fn scopes(demanded: Option<&str>, wanted: &[String]) -> Vec<String> {
    let demanded = demanded.unwrap_or_default().split_whitespace().map(str::to_owned);
    let covered = |scope: &String| wanted.iter().any(|own| covers(own, scope));
    let mut scopes: Vec<String> = demanded.filter(|scope| !covered(scope)).collect();
    scopes.extend(wanted.iter().cloned());
    scopes
}

/// Tells whether `own` allows all that `scope` does: the same resource, and at least its actions.
fn covers(own: &str, scope: &str) -> bool {
    let (Some((own_place, own_may)), Some((place, may))) =
        (own.rsplit_once(':'), scope.rsplit_once(':'))
    else {
        return false;
    };
    own_place == place && may.split(',').all(|action| own_may.split(',').any(|own| own == action))
}

/// Refuses a place for tokens that should not get credentials.
///
/// A registry may name any address here, and what is sent there are names and passwords; so it must be encrypted, and
/// must be no address inside the network of who pushes, unless the registry itself is there.
pub(super) fn check_realm(
    realm: &str,
    registry: &Url<'_>,
    insecure: bool,
) -> Result<(), PushError> {
    let bad = |what| PushError::BadRealm {
        host: registry.authority.to_owned(),
        realm: realm.to_owned(),
        what,
    };
    let url = Url::parse(realm).ok_or_else(|| bad("that is no address"))?;
    if url.authority.contains('@') {
        return Err(bad("an address with a name and password in it is not asked"));
    }
    let both_local = is_loopback(registry.authority) && is_loopback(url.authority);
    if url.scheme != "https" && !insecure && !both_local {
        return Err(bad("credentials are not sent without encryption"));
    }
    let (host, _) = split_port(url.authority);
    if host.eq_ignore_ascii_case(split_port(registry.authority).0) || both_local {
        return Ok(());
    }
    match literal(url.authority) {
        Some(ip) if is_inner(ip) => Err(bad("that is an address inside this network")),
        None if looks_numeric(host) => Err(bad("that is an address in disguise")),
        None if is_loopback(host) => Err(bad("that is this machine")),
        _ => Ok(()),
    }
}

/// Tells whether an address is of no public network.
fn is_inner(ip: std::net::IpAddr) -> bool {
    use std::net::IpAddr;
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && (ip.octets()[1] & 0xc0) == 64;
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || shared
        }
        IpAddr::V6(ip) => {
            let mapped = ip.to_ipv4_mapped().is_some_and(|ip| is_inner(IpAddr::V4(ip)));
            let first = ip.segments()[0];
            let local = (first & 0xfe00) == 0xfc00 || (first & 0xffc0) == 0xfe80;
            mapped || local || ip.is_loopback() || ip.is_unspecified()
        }
    }
}

/// Tells whether C libraries take a name for an address: `2130706433`, `0x7f.1`.
fn looks_numeric(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or(host);
    last.bytes().all(|byte| byte.is_ascii_digit()) || last.to_ascii_lowercase().starts_with("0x")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (service, scope) = (owned(service), owned(scope));
        Some(Challenge::Bearer { realm: realm.into(), service, scope })
    }

    #[test]
    fn a_challenge_is_read_in_all_its_spellings() {
        let realm = "https://auth.example/token";
        let header =
            format!(r#"Bearer realm="{realm}",service="r.example",scope="repository:a:pull,push""#);
        let expected = bearer(realm, Some("r.example"), Some("repository:a:pull,push"));
        assert_eq!(Challenge::parse(&header), expected);
        let header = format!(r#"Basic realm="x", bearer REALM={realm} , service = "a \"b\"""#);
        assert_eq!(Challenge::parse(&header), bearer(realm, Some("a \"b\""), None));
        assert_eq!(Challenge::parse(r#"Basic realm="r""#), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("basic"), Some(Challenge::Basic));
        for header in
            ["", "Bearer", "Negotiate", "=", "==,=", "Bearer realm=\"", "a=b", "\"", "é=é"]
        {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
    }

    #[test]
    fn what_is_newly_demanded_comes_first_and_nothing_twice() {
        let own = ["repository:a:pull,push".to_owned()];
        assert_eq!(scopes(None, &own), own);
        assert_eq!(scopes(Some("repository:a:pull"), &own), own);
        assert_eq!(scopes(Some("repository:a:push,pull"), &own), own);
        let more = scopes(Some("repository:a:delete repository:b:pull"), &own);
        assert_eq!(more, ["repository:a:delete", "repository:b:pull", "repository:a:pull,push"]);
    }

    #[test]
    fn credentials_go_to_no_place_inside_or_in_the_open() {
        let check = |realm: &str, registry: &str, insecure| {
            check_realm(realm, &Url::parse(registry).unwrap(), insecure).is_ok()
        };
        let there = "https://r.example";
        for realm in ["https://auth.example/token", "https://r.example/token", "https://8.8.8.8/t"]
        {
            assert!(check(realm, there, false), "{realm}");
        }
        for realm in [
            "http://auth.example/token",
            "https://10.0.0.1/t",
            "https://169.254.169.254/t",
            "https://127.0.0.1/t",
            "https://[::1]/t",
            "https://[fe80::1]/t",
            "https://[::ffff:10.0.0.1]/t",
            "https://localhost/t",
            "https://2130706433/t",
            "https://0x7f.1/t",
            "https://u:p@auth.example/t",
            "ftp://auth.example/t",
            "auth.example/t",
            "",
            "https://",
            "https://100.64.0.1/t",
        ] {
            assert!(!check(realm, there, false), "{realm}");
        }
        assert!(check("https://10.0.0.1:8443/t", "https://10.0.0.1:5000", false), "its own host");
        assert!(
            check("http://127.0.0.1:1/t", "http://localhost:5000", false),
            "both are this machine"
        );
        assert!(!check("http://auth.example/t", "http://localhost:5000", false));
        assert!(check("http://auth.example/t", "http://r.example", true));
        assert!(!check("http://169.254.169.254/t", "http://r.example", true));
    }
}
