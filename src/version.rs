//! Version: semantic versions and the requirements that Elixir and rebar3 write.

use std::cmp::Ordering;
use std::fmt;

/// Characters that a requirement may have.
const TEXT_LEN_MAX: usize = 1000;

/// A semantic version. Build metadata is kept but does not order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    pre: Vec<Identifier>,
    build: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    /// Numbers sort before words.
    Number(u64),
    Word(String),
}

impl Version {
    /// Reads a whole version, `1.2.3` with `-pre` and `+build` behind it.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, given) = parse_partial(text)?;
        (given == 3).then_some(version)
    }

    /// Reads the version that a tag names: `2.10.0`, `v2.10`, `release-2.10.0`; `None` where it names none.
    ///
    /// A single number is no version: it may be a year or a build.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let start = tag.find(|character: char| character.is_ascii_digit())?;
        let (prefix, version) = tag.split_at(start);
        let prefix = prefix.strip_suffix(['v', 'V']).unwrap_or(prefix);
        let is_set_off = prefix.is_empty() || prefix.ends_with(['-', '_', '/', '.']);
        let (version, given) = parse_partial(version)?;
        (is_set_off && given >= 2).then_some(version)
    }

    /// Tells whether this is a version before a release.
    pub fn is_pre(&self) -> bool {
        !self.pre.is_empty()
    }

    fn release(numbers: [u64; 3]) -> Self {
        Self { numbers, pre: Vec::new(), build: String::new() }
    }
}

/// Reads a version of one to three numbers, and says how many there were.
fn parse_partial(text: &str) -> Option<(Version, usize)> {
    let text = text.trim();
    if text.len() > TEXT_LEN_MAX {
        return None;
    }
    let (text, build) = text.split_once('+').unwrap_or((text, ""));
    let (numbers, pre) = match text.split_once('-') {
        Some((numbers, pre)) => (numbers, Some(pre)),
        None => (text, None),
    };
    let mut parts = [0; 3];
    let mut given = 0;
    for part in numbers.split('.') {
        *parts.get_mut(given)? = number(part)?;
        given += 1;
    }
    let pre = match pre {
        Some(pre) => pre.split('.').map(identifier).collect::<Option<Vec<_>>>()?,
        None => Vec::new(),
    };
    let version = Version { numbers: parts, pre, build: build.to_owned() };
    Some((version, given))
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn identifier(text: &str) -> Option<Identifier> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if text.is_empty() || !text.bytes().all(plain) {
        return None;
    }
    Some(number(text).map_or_else(|| Identifier::Word(text.to_owned()), Identifier::Number))
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre = match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        };
        // Build metadata comes last so that the order agrees with equality.
        self.numbers.cmp(&other.numbers).then(pre).then_with(|| self.build.cmp(&other.build))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        for (place, identifier) in self.pre.iter().enumerate() {
            f.write_str(if place == 0 { "-" } else { "." })?;
            match identifier {
                Identifier::Number(number) => write!(f, "{number}")?,
                Identifier::Word(word) => f.write_str(word)?,
            }
        }
        if !self.build.is_empty() {
            write!(f, "+{}", self.build)?;
        }
        Ok(())
    }
}

/// Which versions will do: `~> 2.0`, `>= 1.0.0 and < 2.0.0`, `1.2.3`, alternatives joined by `or`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// One of these lists must hold in full.
    any: Vec<Vec<Bound>>,
    allows_pre: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    operator: Operator,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    AtLeast,
    AtMost,
    Above,
    Below,
    /// Below, and no version before that release either: the upper end of `~>`.
    WellBelow,
}

impl Requirement {
    /// Reads a requirement.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_LEN_MAX {
            return None;
        }
        let text = text.replace("||", " or ").replace("&&", " and ");
        let mut any = vec![Vec::new()];
        let mut operand: Vec<&str> = Vec::new();
        for word in text.split_whitespace() {
            if !matches!(word, "or" | "and") {
                operand.push(word);
                continue;
            }
            bounds(&operand.join(" "), any.last_mut()?)?;
            operand.clear();
            if word == "or" {
                any.push(Vec::new());
            }
        }
        bounds(&operand.join(" "), any.last_mut()?)?;
        let allows_pre = any.iter().flatten().any(|bound| bound.version.is_pre());
        Some(Self { any, allows_pre })
    }

    /// Tells whether a version will do. Versions before a release only do if the requirement names one.
    pub fn matches(&self, version: &Version) -> bool {
        (self.allows_pre || !version.is_pre()) && self.holds(version)
    }

    /// Tells whether a version lies in the range, before a release or not.
    pub fn holds(&self, version: &Version) -> bool {
        self.any.iter().any(|all| all.iter().all(|bound| bound.holds(version)))
    }
}

/// Reads one comparison into the bounds that it means.
fn bounds(text: &str, all: &mut Vec<Bound>) -> Option<()> {
    const OPERATORS: [(&str, Operator); 8] = [
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        (">=", Operator::AtLeast),
        ("<=", Operator::AtMost),
        (">", Operator::Above),
        ("<", Operator::Below),
        ("!", Operator::Unequal),
        ("", Operator::Equal),
    ];
    if let Some(rest) = text.strip_prefix("~>") {
        let (version, given) = parse_partial(rest)?;
        let [major, minor, _] = version.numbers;
        let upper = match given {
            3 => [major, minor.checked_add(1)?, 0],
            _ => [major.checked_add(1)?, 0, 0],
        };
        all.push(Bound { operator: Operator::AtLeast, version });
        all.push(Bound { operator: Operator::WellBelow, version: Version::release(upper) });
        return Some(());
    }
    let (rest, operator) = OPERATORS
        .iter()
        .find_map(|(sign, operator)| Some((text.strip_prefix(sign)?, *operator)))?;
    let (version, _) = parse_partial(rest)?;
    all.push(Bound { operator, version });
    Some(())
}

impl Bound {
    fn holds(&self, version: &Version) -> bool {
        let build = (self.version.build.is_empty() || version.build.is_empty())
            || self.version.build == version.build;
        let plain = |version: &Version| Version { build: String::new(), ..version.clone() };
        let order = plain(version).cmp(&plain(&self.version));
        match self.operator {
            Operator::Equal => order.is_eq() && build,
            Operator::Unequal => !(order.is_eq() && build),
            Operator::AtLeast => order.is_ge(),
            Operator::AtMost => order.is_le(),
            Operator::Above => order.is_gt(),
            Operator::Below => order.is_lt(),
            Operator::WellBelow => version.numbers < self.version.numbers,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(requirement: &str, version: &str) -> bool {
        Requirement::parse(requirement).unwrap().matches(&Version::parse(version).unwrap())
    }

    #[test]
    fn versions_sort_as_semver_says() {
        let sorted = [
            "1.0.0-1",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "1.10.0",
            "2.0.0",
        ];
        let versions: Vec<_> = sorted.iter().map(|text| Version::parse(text).unwrap()).collect();
        assert!(versions.is_sorted());
        for (text, version) in sorted.iter().zip(&versions) {
            assert_eq!(version.to_string(), *text);
        }
    }

    #[test]
    fn text_that_is_no_version_is_refused() {
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "a.b.c",
            "1.2.-3",
            "1.2.3-",
            "1.2.3-a..b",
            "v1.2.3",
            "1.2.99999999999999999999",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_arrow_means_up_to_the_next_number() {
        assert!(matches("~> 2.0", "2.0.0") && matches("~> 2.0", "2.99.1"));
        assert!(!matches("~> 2.0", "3.0.0") && !matches("~> 2.0", "1.9.9"));
        assert!(matches("~> 2.1.2", "2.1.9") && !matches("~> 2.1.2", "2.2.0"));
        assert!(!matches("~> 2.1.2", "2.1.1"));
        assert!(matches("~>2", "2.5.0") && !matches("~> 2", "3.0.0"));
        assert!(matches("~> 2.0.0-rc.1", "2.0.0-rc.2") && matches("~> 2.0.0-rc.1", "2.0.5"));
        assert!(!matches("~> 2.0-rc.1", "3.0.0-rc.1"));
    }

    #[test]
    fn comparisons_combine() {
        assert!(matches(">= 1.0.0 and < 2.0.0", "1.5.0"));
        assert!(!matches(">= 1.0.0 and < 2.0.0", "2.0.0"));
        assert!(matches("~> 1.0 or ~> 3.0", "3.1.0") && !matches("~> 1.0 or ~> 3.0", "2.0.0"));
        assert!(matches(">= 1.0.0 && < 2.0.0 || == 4.0.0", "4.0.0"));
        assert!(
            matches("> 1.0.0 and != 1.5.0", "1.6.0") && !matches("> 1.0.0 and != 1.5.0", "1.5.0")
        );
        assert!(matches("<= 1.0.0", "1.0.0") && !matches("< 1.0.0", "1.0.0"));
    }

    #[test]
    fn a_bare_version_is_that_version() {
        assert!(matches("2.9.0", "2.9.0") && !matches("2.9.0", "2.9.1"));
        assert!(matches("== 2.9.0", "2.9.0"));
        assert!(matches("2.9", "2.9.0"));
    }

    #[test]
    fn versions_before_a_release_only_do_when_one_is_named() {
        assert!(!matches(">= 1.0.0", "2.0.0-rc.1"));
        assert!(matches(">= 2.0.0-rc.0", "2.0.0-rc.1"));
        assert!(matches("2.0.0-rc.1", "2.0.0-rc.1"));
    }

    #[test]
    fn text_that_is_no_requirement_is_refused() {
        for text in [
            "",
            "and",
            "~>",
            ">= ",
            "~> 1.0 or",
            "or ~> 1.0",
            ">= 1.0.0 < 2.0.0",
            "=> 1.0",
            "latest",
            "~> 1.0.0.0",
        ] {
            assert_eq!(Requirement::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*", version in "\\PC*") {
            let _ = Version::parse(&version);
            if let (Some(requirement), Some(version)) = (Requirement::parse(&text), Version::parse(&version)) {
                requirement.matches(&version);
            }
        }

        #[test]
        fn text_like_requirements_is_read_without_panic(text in "[~<>=!a-z0-9. |&+-]{0,40}") {
            let _ = Requirement::parse(&text);
        }

        #[test]
        fn a_printed_version_reads_back(a: u64, b: u64, c: u64, pre in "(-[a-z]{1,5}(\\.[0-9]{1,3})?)?") {
            let text = format!("{a}.{b}.{c}{pre}");
            let version = Version::parse(&text).unwrap();
            prop_assert_eq!(Version::parse(&version.to_string()), Some(version));
        }
    }
}
