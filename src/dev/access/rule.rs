//! Rule: one sentence about who may do what, and whether it speaks of a question.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::topic::Pattern;

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send a message to a topic.
    Publish,
    /// Have messages of a filter.
    Subscribe,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) client: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) address: IpAddr,
}

/// Whom a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whom {
    /// Everybody.
    All,
    /// A user by name; also who has none where it says all.
    User(String),
    /// A client by its identifier.
    Client(String),
    /// Whoever comes from there.
    Network(Network),
    /// For whom each of these is.
    And(Vec<Self>),
    /// For whom one of these is.
    Or(Vec<Self>),
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u8,
}

/// Which actions a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Subscribe,
    Publish,
    Both,
    /// A word that is no action: the rule never matches.
    Nothing,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allows: bool,
    pub(super) whom: Whom,
    pub(super) reach: Reach,
    /// None for a rule about every topic there is.
    pub(super) topics: Option<Vec<Pattern>>,
    /// What it is called: `row 3 of mqtt_acl`.
    pub(super) name: Arc<str>,
}

/// Why a rule does not speak of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    Action,
    Whom,
    Topic,
}

impl Action {
    /// Returns the word that emqttd has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

impl Rule {
    /// Tells whether the rule speaks of a question, or why it does not.
    pub(super) fn speaks(
        &self,
        asker: &Asker<'_>,
        action: Action,
        topic: &str,
    ) -> Result<(), Miss> {
        if !self.reach.has(action) {
            return Err(Miss::Action);
        }
        if !self.whom.is(asker) {
            return Err(Miss::Whom);
        }
        let matches = |pattern: &Pattern| pattern.matches(topic, asker.user, asker.client);
        match &self.topics {
            Some(topics) if !topics.iter().any(matches) => Err(Miss::Topic),
            _ => Ok(()),
        }
    }

    /// Tells whether this rule, asked first, leaves nothing for `other` to decide.
    pub(super) fn shadows(&self, other: &Self) -> bool {
        let Some(own) = &self.topics else { return true };
        let Some(topics) = &other.topics else { return false };
        let covered = |topic: &Pattern| own.iter().any(|pattern| pattern.covers(topic));
        self.reach.covers(other.reach)
            && self.whom.covers(&other.whom)
            && topics.iter().all(covered)
    }
}

impl Reach {
    fn has(self, action: Action) -> bool {
        match self {
            Self::Both => true,
            Self::Nothing => false,
            Self::Subscribe => action == Action::Subscribe,
            Self::Publish => action == Action::Publish,
        }
    }

    fn covers(self, other: Self) -> bool {
        self == Self::Both || self == other
    }

    /// Returns the word that emqttd has for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Both => "pubsub",
            Self::Nothing => "nothing",
        }
    }
}

impl Whom {
    fn is(&self, asker: &Asker<'_>) -> bool {
        match self {
            Self::All => true,
            Self::User(name) => asker.user == Some(name),
            Self::Client(id) => asker.client == id,
            Self::Network(network) => network.contains(asker.address),
            Self::And(all) => all.iter().all(|whom| whom.is(asker)),
            Self::Or(any) => any.iter().any(|whom| whom.is(asker)),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Network(own), Self::Network(network)) => own.covers(*network),
            (own, Self::Or(any)) => any.iter().all(|whom| own.covers(whom)),
            (Self::And(all), other) => all.iter().all(|whom| whom.covers(other)),
            (Self::Or(any), other) => any.iter().any(|whom| whom.covers(other)),
            (own, Self::And(all)) => all.iter().any(|whom| own.covers(whom)),
            (own, other) => own == other,
        }
    }

    /// Says why it is not for who asks.
    pub(super) fn why_not(&self, asker: &Asker<'_>) -> Option<String> {
        if self.is(asker) {
            return None;
        }
        let is = |kind: &str, wanted: &dyn fmt::Display, found: &dyn fmt::Display| {
            Some(format!("it is for {kind} `{wanted}`, and this one is `{found}`"))
        };
        match self {
            Self::All => None,
            Self::User(name) => match asker.user {
                Some(user) => is("user", name, &user),
                None => Some(format!("it is for user `{name}`, and this client gave no name")),
            },
            Self::Client(id) => is("client", id, &asker.client),
            Self::Network(network) => is("address", network, &asker.address),
            Self::And(all) => all.iter().find_map(|whom| whom.why_not(asker)),
            Self::Or(_) => Some(format!("it is for {self}, and this client is none of those")),
        }
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        self.covers(Self { address, bits: width(address) })
    }

    fn covers(self, other: Self) -> bool {
        let head = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
            IpAddr::V6(address) => u128::from(address),
        };
        // A shift by the whole width is none in Rust, and zero bits match all.
        let differs = (head(self.address) ^ head(other.address))
            .checked_shr(128 - u32::from(self.bits))
            .unwrap_or(0);
        self.address.is_ipv4() == other.address.is_ipv4() && self.bits <= other.bits && differs == 0
    }

    /// Returns an address that lies in it.
    pub(super) fn some_address(self) -> IpAddr {
        self.address
    }

    /// Tells whether it is one address and no more.
    pub(super) fn is_one(self) -> bool {
        self.bits == width(self.address)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(drop)?;
        let bits = bits.map_or(Ok(width(address)), str::parse).map_err(drop)?;
        (bits <= width(address)).then_some(Self { address, bits }).ok_or(())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_one() {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.bits),
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |parts: &[Self], word: &str| {
            parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(word)
        };
        match self {
            Self::All => f.write_str("all"),
            Self::User(name) => write!(f, "user {name}"),
            Self::Client(id) => write!(f, "client {id}"),
            Self::Network(network) => write!(f, "address {network}"),
            Self::And(parts) if parts.is_empty() => f.write_str("all"),
            Self::And(parts) => f.write_str(&joined(parts, " and ")),
            Self::Or(parts) if parts.is_empty() => f.write_str("nobody"),
            Self::Or(parts) => write!(f, "({})", joined(parts, " or ")),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.allows { "allow" } else { "deny" };
        write!(f, "{verb} {}", self.whom)?;
        let Some(topics) = &self.topics else { return Ok(()) };
        let topics: Vec<_> = topics.iter().map(Pattern::to_row).collect();
        write!(f, " {} {}", self.reach.name(), topics.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(address: &str) -> Asker<'static> {
        Asker { client: "c", user: Some("u"), address: address.parse().unwrap() }
    }

    fn network(text: &str) -> Whom {
        Whom::Network(text.parse().unwrap())
    }

    #[test]
    fn addresses_lie_in_ranges_whatever_their_last_bits() {
        for (range, inside) in [
            ("127.0.0.1", "127.0.0.1"),
            ("10.1.2.3/8", "10.200.0.1"),
            ("0.0.0.0/0", "1.2.3.4"),
            ("::1/128", "::1"),
            ("fe80::/10", "fe80::1"),
        ] {
            assert!(network(range).is(&asker(inside)), "{range}");
        }
        for (range, outside) in
            [("127.0.0.1", "127.0.0.2"), ("10.0.0.0/8", "11.0.0.1"), ("::/0", "1.2.3.4")]
        {
            assert!(!network(range).is(&asker(outside)), "{range}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0.0/", "host", "::1/129"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn whom_covers_whom() {
        let user = || Whom::User("u".into());
        let both = Whom::And(vec![user(), network("10.0.0.0/8")]);
        assert!(user().covers(&both) && network("10.0.0.0/7").covers(&both));
        assert!(!both.covers(&user()) && Whom::All.covers(&both));
        assert!(Whom::And(vec![]).covers(&Whom::All));
    }
}
