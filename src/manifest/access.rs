//! Access: who may use the broker on one's desk, as `[dev.access]` says it.

use super::form::Form;
use super::keys::{Key, Kind, key};
use super::section::{CHECKED, Section};

/// `[dev.access]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessWish {
    /// What decides.
    pub provider: AccessProvider,
    /// The address of a PostgreSQL database; the embedded one where none is named.
    pub url: Option<String>,
    /// The variable of the environment that holds that address.
    pub url_env: Option<String>,
    /// emqttd's `acl.conf`, relative to the manifest.
    pub file: Option<String>,
    /// emqttd's auth query.
    pub auth_query: Option<String>,
    /// emqttd's super query.
    pub super_query: Option<String>,
    /// emqttd's acl query.
    pub acl_query: Option<String>,
    /// How passwords are kept, in emqttd's words.
    pub password_hash: Option<String>,
    /// Whether that is allowed of which no rule speaks.
    pub nomatch_allows: bool,
    /// Who is let in without being known.
    pub anonymous: Anonymous,
    /// Whether a denied message is answered with nothing and one denied filter denies a whole SUBSCRIBE, as emqttd 2
    /// does.
    pub denies_as_emqttd: bool,
}

/// What decides who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessProvider {
    /// Nothing: everybody may do everything.
    #[default]
    Open,
    /// Rows of a database, as emqttd has them.
    Sql,
    /// emqttd's `acl.conf`.
    Conf,
}

/// Who is let in without being known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Anonymous {
    /// Nobody.
    #[default]
    Deny,
    /// Who gives no name.
    Allow,
    /// Who gives a name that no row has, whatever the password, and not who gives none: as emqttd 2.3 does it with
    /// `allow_anonymous`.
    Emqttd,
}

impl AccessProvider {
    /// Every provider.
    pub const ALL: [Self; 3] = [Self::Open, Self::Sql, Self::Conf];

    /// Returns its name as files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sql => "sql",
            Self::Conf => "acl.conf",
        }
    }
}

impl Anonymous {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Deny, Self::Allow, Self::Emqttd];

    /// Returns its name as files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
            Self::Emqttd => "emqttd",
        }
    }
}

/// What is decided where no rule speaks.
pub(super) const NOMATCH: [&str; 2] = ["deny", "allow"];

/// How a denial is told.
pub(super) const DENIED: [&str; 2] = ["told", "silent"];

/// The keys of `[dev.access]`.
pub(super) const ACCESS: &[Key] = &[
    key(
        "provider",
        Kind::Text(Form::AccessProvider),
        "What decides: `open` lets everybody do everything, `sql` asks rows as emqttd's PostgreSQL plugin does, `acl.conf` a file.",
    ),
    key(
        "url",
        Kind::Text(Form::Address),
        "The PostgreSQL database with the rows, `postgres://user:password@127.0.0.1/mqtt`, or `${NAME_URL}` for the service of that name, which begins with emqttd's tables unless it has seed files; the embedded one by default.",
    ),
    key(
        "url-env",
        Kind::Text(Form::Variable),
        "The variable of the environment that holds that address.",
    ),
    key(
        "file",
        Kind::Text(Form::Inside),
        "emqttd's acl.conf in the project: the rules, or those that are asked after the rows.",
    ),
    key(
        "auth-query",
        Kind::Text(Form::Any),
        "SQL that gives the password, and its salt, of who connects; `'%u'`, `'%c'` and `'%a'` stand for user, client and address. Empty for none.",
    ),
    key(
        "super-query",
        Kind::Text(Form::Any),
        "SQL that gives true for whom nothing is denied. Empty for none.",
    ),
    key(
        "acl-query",
        Kind::Text(Form::Any),
        "SQL that gives allow, ipaddr, username, clientid, access and topic; the last row is asked first, by default the one that was added last. Empty for none.",
    ),
    key(
        "password-hash",
        Kind::Text(Form::Any),
        "How passwords are kept, in emqttd's words: `sha256`, `salt,md5`, `salt,bcrypt`; `pbkdf2,sha256,20000,32` by default.",
    ),
    key(
        "nomatch",
        Kind::Text(Form::Nomatch),
        "What is decided where no rule speaks; deny by default.",
    ),
    key(
        "anonymous",
        Kind::Text(Form::Anonymous),
        "Who is let in unknown: `deny` nobody, `allow` who gives no name, `emqttd` who gives a name that no row has, as emqttd does with allow_anonymous; deny by default.",
    ),
    key(
        "denied",
        Kind::Text(Form::Denied),
        "How a denial is told: `told` as MQTT has it, `silent` as emqttd 2 does it, which answers a denied message with nothing and denies a whole SUBSCRIBE for one filter; told by default.",
    ),
];

pub(super) fn read(section: &Section<'_>) -> AccessWish {
    let provider = section.text("provider").map_or(AccessProvider::Open, |name| {
        AccessProvider::ALL.into_iter().find(|provider| provider.name() == name).expect(CHECKED)
    });
    let anonymous = section.text("anonymous").map_or(Anonymous::Deny, |name| {
        Anonymous::ALL.into_iter().find(|choice| choice.name() == name).expect(CHECKED)
    });
    AccessWish {
        provider,
        url: section.text("url"),
        url_env: section.text("url-env"),
        file: section.text("file"),
        auth_query: section.text("auth-query"),
        super_query: section.text("super-query"),
        acl_query: section.text("acl-query"),
        password_hash: section.text("password-hash"),
        nomatch_allows: section.text("nomatch").as_deref() == Some("allow"),
        anonymous,
        denies_as_emqttd: section.text("denied").as_deref() == Some("silent"),
    }
}
