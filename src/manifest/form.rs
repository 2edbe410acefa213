//! Form: what a text in the manifest may be, as a check, in words, and for editors.

use super::access::{DENIED, NOMATCH};
use super::events::DAILY;
use super::{
    AccessProvider, Anonymous, OTP_PRESETS, Platform, Profile, Restart, Server, Shell, Tool, source,
};
use crate::digest::Digest;

const IMAGE_NAME_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

/// What a text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Anything without NUL.
    Any,
    /// One component of an image's name.
    Name,
    /// A repository, perhaps with its registry, without a tag.
    ImageName,
    /// What a tag may be.
    Version,
    /// A preset.
    Otp,
    /// A build tool.
    Tool,
    /// A shell for the image.
    Shell,
    /// A platform that images are made for.
    Platform,
    /// An Erlang application, release, profile or plugin.
    App,
    /// A hex repository: `acme`, `hexpm:acme`.
    Repository,
    /// A Debian package.
    Package,
    /// An environment variable.
    Variable,
    /// `8080`, `8080/tcp`, `53/udp`.
    Port,
    /// `65532` or `65532:65532`.
    User,
    /// An absolute path in the image.
    Absolute,
    /// A path inside the project.
    Inside,
    /// SHA-256 in one of its spellings.
    Sha256,
    /// An address, the beginning of one, or a name: no white space.
    Address,
    /// Where something comes from.
    Source,
    /// A key of a label.
    Label,
    /// `12h`, `7d`, `2w`, `1mo`.
    Age,
    /// A service's name, which is a host's name too.
    Service,
    /// A real server that Debian has.
    Server,
    /// What decides about access.
    AccessProvider,
    /// Who is let in unknown.
    Anonymous,
    /// What is decided where no rule speaks.
    Nomatch,
    /// How a denial is told.
    Denied,
    /// What becomes of a service that ended.
    Restart,
    /// A stack that is known by name.
    Profile,
    /// `/data`, or `conf:/etc/app`.
    Volume,
    /// `http://127.0.0.1:8080/health`, or `/health`.
    Page,
    /// A server that gets events: `http://search:9200`, `redis://queue:6379/1`.
    Forward,
    /// The index that events go to.
    EventIndex,
}

impl Form {
    /// Tells whether a text has this form.
    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Self::Any => !text.contains('\0'),
            Self::Name => is_component(text),
            Self::ImageName => is_image_name(text),
            Self::Version => is_tag(text),
            Self::Otp
            | Self::Tool
            | Self::Shell
            | Self::Platform
            | Self::Server
            | Self::Restart
            | Self::Profile
            | Self::AccessProvider
            | Self::Anonymous
            | Self::Nomatch
            | Self::Denied
            | Self::EventIndex => self.choices().contains(&text),
            Self::Forward => is_forward(text),
            Self::Service => is_host(text),
            Self::Volume => volume(text).is_some(),
            Self::Page => is_page(text),
            Self::App => is_app(text),
            Self::Package => is_package(text),
            Self::Variable => is_variable(text),
            Self::Repository => text.split(':').count() <= 2 && text.split(':').all(is_app),
            Self::Port => port(text).is_some(),
            Self::User => user(text).is_some(),
            Self::Absolute => text.strip_prefix('/').is_some_and(is_path),
            Self::Inside => is_path(text),
            Self::Sha256 => sha256(text).is_some(),
            Self::Address => !text.is_empty() && !text.contains(blank),
            Self::Source => source::read(text).is_some(),
            Self::Age => age(text).is_some(),
            Self::Label => !text.is_empty() && !text.contains(char::is_control),
        }
    }

    /// Says in words what a text must be.
    pub(super) fn expected(self) -> String {
        let plain = match self {
            Self::Any => "a string without NUL",
            Self::Name => {
                "a name of lower-case letters and digits, parted by `.`, `_`, `__` or dashes"
            }
            Self::ImageName => {
                "a repository like `shop` or `registry.example/team/shop`, without a tag"
            }
            Self::Version => {
                "a version that can be a tag: letters, digits, `.`, `_` and `-`, at most 128"
            }
            Self::Otp
            | Self::Tool
            | Self::Shell
            | Self::Platform
            | Self::Server
            | Self::Restart
            | Self::Profile
            | Self::AccessProvider
            | Self::Anonymous
            | Self::Nomatch
            | Self::Denied
            | Self::EventIndex => return self.one_of(),
            Self::Forward => {
                "an address like `http://search:9200` or `redis://queue:6379`, without a user or password"
            }
            Self::Service => {
                "a name that a host can have: lower-case letters, digits and `-`, at most 63"
            }
            Self::Volume => {
                "an absolute path like `/data`, or one of the project and where it is seen, like `conf:/etc/app`"
            }
            Self::Page => {
                "a path like `/health`, or an address like `http://127.0.0.1:8080/health`"
            }
            Self::App => "an Erlang name like `cowboy`",
            Self::Repository => "the name of a hex repository like `acme` or `hexpm:acme`",
            Self::Package => "the name of a Debian package like `libsnappy-dev`",
            Self::Variable => "the name of a variable: letters, digits and `_`, no digit first",
            Self::Port => "a port like `8080` or `53/udp`",
            Self::User => "a user id like `65532`, or user and group like `65532:65532`",
            Self::Absolute => "an absolute path like `/data`, without `.` and `..`",
            Self::Inside => "a path inside the project, without `.` and `..`",
            Self::Sha256 => "a SHA-256: 64 hex digits, or `sha256-` and base64",
            Self::Address => "an address without blanks",
            Self::Source => {
                "a source like `git+https://host/x.git#tag=1.0`, `https://host/x.tar.gz#sha256=…`, `./libs/x` or `hex:x@~> 1.0`"
            }
            Self::Label => "the name of a label",
            Self::Age => "a time like `12h`, `7d`, `2w` or `1mo`",
        };
        plain.to_owned()
    }

    fn one_of(self) -> String {
        let choices = self.choices();
        let quoted: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
        match quoted.as_slice() {
            [only] => only.clone(),
            _ => format!("one of {}", quoted.join(", ")),
        }
    }

    /// Returns the texts that are allowed, where they are few.
    pub(super) fn choices(self) -> Vec<&'static str> {
        match self {
            Self::Otp => OTP_PRESETS.to_vec(),
            Self::Tool => Tool::ALL.map(Tool::name).to_vec(),
            Self::Shell => vec![Shell::None.name(), Shell::Busybox.name()],
            Self::Platform => Platform::ALL.map(Platform::name).to_vec(),
            Self::Server => Server::ALL.map(Server::name).to_vec(),
            Self::Restart => Restart::ALL.map(Restart::name).to_vec(),
            Self::AccessProvider => AccessProvider::ALL.map(AccessProvider::name).to_vec(),
            Self::Anonymous => Anonymous::ALL.map(Anonymous::name).to_vec(),
            Self::Nomatch => NOMATCH.to_vec(),
            Self::Denied => DENIED.to_vec(),
            Self::Profile => Profile::ALL.map(Profile::name).to_vec(),
            Self::EventIndex => vec!["mqtt", DAILY],
            _ => Vec::new(),
        }
    }

    /// Tells whether a bare number is as good as a text.
    pub(super) fn takes_numbers(self) -> bool {
        matches!(self, Self::Port | Self::User)
    }

    /// Returns a regular expression for editors; it may allow a little more than [`Form::fits`].
    pub(super) fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Name => Some("^[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*$"),
            Self::Version => Some("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"),
            Self::App => Some("^[A-Za-z0-9_][A-Za-z0-9_@+.-]*$"),
            Self::Repository => {
                Some("^[A-Za-z0-9_][A-Za-z0-9_@+.-]*(:[A-Za-z0-9_][A-Za-z0-9_@+.-]*)?$")
            }
            Self::Package => Some("^[a-z0-9][a-z0-9+.-]+$"),
            Self::Variable => Some("^[A-Za-z_][A-Za-z0-9_]*$"),
            Self::Port => Some("^[0-9]{1,5}(/(tcp|udp|sctp))?$"),
            Self::User => Some("^[0-9]{1,10}(:[0-9]{1,10})?$"),
            Self::Absolute => Some("^/[^/]+(/[^/]+)*$"),
            Self::Inside => Some("^[^/]+(/[^/]+)*$"),
            Self::Address => Some("^\\S+$"),
            Self::Age => Some("^[0-9]{1,4}(h|d|w|mo)$"),
            Self::Service => Some("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"),
            Self::Volume => Some("^([^:/]+(/[^:/]+)*:)?/[^/]+(/[^/]+)*$"),
            Self::Page => Some("^(/\\S*|http://\\S+)$"),
            _ => None,
        }
    }
}

fn blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// Checks the address of a server for events. Who we are there is of the environment and never in a file.
fn is_forward(text: &str) -> bool {
    if text.contains(|c: char| blank(c) || "@?#".contains(c)) {
        return false;
    }
    let web = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    if let Some(rest) = web {
        return !rest.is_empty() && !rest.starts_with(['/', ':']);
    }
    let Some(rest) = text.trim_end_matches('/').strip_prefix("redis://") else { return false };
    let (server, database) = rest.split_once('/').unwrap_or((rest, "0"));
    let host = match server.rsplit_once(':').filter(|_| !server.ends_with(']')) {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        Some(_) => "",
        None => server,
    };
    !host.trim_matches(['[', ']']).is_empty() && database.parse::<u16>().is_ok()
}

/// Checks one component of a repository's name (OCI distribution specification, "Pull").
fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let parted = |separator: &str| {
        matches!(separator, "" | "." | "_" | "__") || separator.chars().all(|c| c == '-')
    };
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.len() <= IMAGE_NAME_BYTES_MAX
        && text.split(alphanumeric).all(parted)
}

fn is_image_name(text: &str) -> bool {
    let registry = |name: &str| {
        let (host, port) = name.split_once(':').unwrap_or((name, "5000"));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok()
    };
    let parts: Vec<_> = text.split('/').collect();
    let repository = match parts.as_slice() {
        [first, rest @ ..] if !rest.is_empty() && registry(first) => rest,
        all => all,
    };
    text.len() <= IMAGE_NAME_BYTES_MAX && repository.iter().all(|part| is_component(part))
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(word)
        && text.len() <= TAG_BYTES_MAX
        && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_app(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '+' | '.' | '-');
    (1..=128).contains(&text.len())
        && text.chars().all(plain)
        && !text.starts_with(['.', '-', '@', '+'])
}

fn is_package(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let plain = |c: char| alphanumeric(c) || matches!(c, '+' | '.' | '-');
    (2..=128).contains(&text.len()) && text.starts_with(alphanumeric) && text.chars().all(plain)
}

fn is_variable(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(word) && !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit())
}

fn is_path(text: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    text.split('/').all(plain)
}

fn is_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(plain)
}

fn is_page(text: &str) -> bool {
    let begins =
        text.starts_with('/') || text.strip_prefix("http://").is_some_and(|rest| !rest.is_empty());
    begins && !text.contains(blank)
}

/// Reads a volume: what of the project is seen, if it is not a place of the service's own, and where.
pub(super) fn volume(text: &str) -> Option<(Option<&str>, &str)> {
    let (project, inside) = match text.split_once(':') {
        Some((project, inside)) => (Some(project), inside),
        None => (None, text),
    };
    let fits = project.is_none_or(is_path) && Form::Absolute.fits(inside);
    fits.then_some((project, inside))
}

/// Reads a port and its protocol.
pub(super) fn port(text: &str) -> Option<(u16, &str)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let known = matches!(protocol, "tcp" | "udp" | "sctp");
    let number = digits(number)?.parse().ok().filter(|number| *number != 0);
    number.filter(|_| known).map(|number| (number, protocol))
}

/// Reads a user and its group; the group is the user's where it is left out.
pub(super) fn user(text: &str) -> Option<(u32, u32)> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    Some((digits(user)?.parse().ok()?, digits(group)?.parse().ok()?))
}

fn digits(text: &str) -> Option<&str> {
    text.chars().all(|c| c.is_ascii_digit()).then_some(text)
}

/// Reads a SHA-256 in one of its spellings.
pub(super) fn sha256(text: &str) -> Option<Digest> {
    text.parse().or_else(|_| Digest::from_hex(text)).ok()
}

/// Reads an age, in seconds; a month has 30 days.
pub(super) fn age(text: &str) -> Option<u64> {
    const HOUR_S: u64 = 60 * 60;
    let units =
        [("h", HOUR_S), ("d", 24 * HOUR_S), ("w", 7 * 24 * HOUR_S), ("mo", 30 * 24 * HOUR_S)];
    let (count, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let count = digits(count).filter(|count| (1..=4).contains(&count.len()))?;
    Some(count.parse::<u64>().ok()? * unit)
}
