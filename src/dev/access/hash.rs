//! Hash: how passwords are kept, in emqttd's words: `sha256`, `salt,md5`, `pbkdf2,sha256,20000,32`.

use std::str::FromStr;

use md4::Md4;
use md5::Md5;
use pbkdf2::hmac::EagerHash;
use ring::rand::{SecureRandom as _, SystemRandom};
use ripemd::Ripemd160;
use sha1::Sha1;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use super::cell::Cell;
use super::error::AccessError;

/// How passwords are kept where nobody says; what rebeam writes by itself is kept so.
pub(super) const DEFAULT: &str = "pbkdf2,sha256,20000,32";
/// A step of bcrypt more takes twice the time: this one takes a second.
const BCRYPT_COST_MAX: u32 = 14;
/// The cost of what rebeam writes.
const BCRYPT_COST: u32 = 10;
const ROUNDS_MAX: u32 = 1_000_000;
const KEY_BYTES_MAX: usize = 512;
const SALT_BYTES: usize = 16;

/// How passwords are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordHash(Scheme);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bare(Function),
    SaltFirst(Function),
    SaltLast(Function),
    /// With the salt in the hash itself. emqttd 2.3 takes the word and then refuses everybody.
    Bcrypt,
    /// With the salt in a column, too.
    SaltBcrypt,
    Pbkdf2 {
        function: Function,
        rounds: u32,
        bytes: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Plain,
    Md4,
    Md5,
    Ripemd160,
    Sha,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// A password as it is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) hash: String,
    pub(super) salt: Option<String>,
}

impl Default for PasswordHash {
    fn default() -> Self {
        DEFAULT.parse().expect("our own words are known")
    }
}

impl FromStr for PasswordHash {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let scheme = match parts.as_slice() {
            ["bcrypt"] => Some(Scheme::Bcrypt),
            ["salt", "bcrypt"] => Some(Scheme::SaltBcrypt),
            [name] => Function::in_row(name).map(Scheme::Bare),
            ["salt", name] => Function::in_row(name).map(Scheme::SaltFirst),
            [name, "salt"] => Function::in_row(name).map(Scheme::SaltLast),
            ["pbkdf2", name, rounds, bytes] => pbkdf2(name, rounds, bytes),
            _ => None,
        };
        scheme.map(Self).ok_or_else(|| AccessError::UnknownHash { text: text.to_owned() })
    }
}

fn pbkdf2(name: &str, rounds: &str, bytes: &str) -> Option<Scheme> {
    let function = match name {
        "md4" => Function::Md4,
        "ripemd160" => Function::Ripemd160,
        "sha224" => Function::Sha224,
        "sha384" => Function::Sha384,
        "sha512" => Function::Sha512,
        name => Function::in_row(name).filter(|function| *function != Function::Plain)?,
    };
    let rounds = rounds.parse().ok().filter(|rounds| (1..=ROUNDS_MAX).contains(rounds))?;
    let bytes = bytes.parse().ok().filter(|bytes| (1..=KEY_BYTES_MAX).contains(bytes))?;
    Some(Scheme::Pbkdf2 { function, rounds, bytes })
}

impl Function {
    fn in_row(name: &str) -> Option<Self> {
        Some(match name {
            "plain" => Self::Plain,
            "md5" => Self::Md5,
            "sha" => Self::Sha,
            "sha256" => Self::Sha256,
            _ => return None,
        })
    }

    fn of(self, parts: [&[u8]; 2]) -> Vec<u8> {
        let bytes = parts.concat();
        match self {
            Self::Plain => bytes,
            Self::Md4 => hex(&Md4::digest(&bytes)),
            Self::Ripemd160 => hex(&Ripemd160::digest(&bytes)),
            Self::Md5 => hex(&Md5::digest(&bytes)),
            Self::Sha => hex(&Sha1::digest(&bytes)),
            Self::Sha224 => hex(&Sha224::digest(&bytes)),
            Self::Sha256 => hex(&Sha256::digest(&bytes)),
            Self::Sha384 => hex(&Sha384::digest(&bytes)),
            Self::Sha512 => hex(&Sha512::digest(&bytes)),
        }
    }

    fn derive(self, password: &[u8], salt: &[u8], rounds: u32, bytes: usize) -> Vec<u8> {
        fn with<D: EagerHash>(password: &[u8], salt: &[u8], rounds: u32, key: &mut [u8]) {
            pbkdf2::pbkdf2_hmac::<D>(password, salt, rounds, key);
        }
        let mut key = vec![0; bytes];
        let derive = match self {
            Self::Plain | Self::Sha256 => with::<Sha256>,
            Self::Md4 => with::<Md4>,
            Self::Md5 => with::<Md5>,
            Self::Ripemd160 => with::<Ripemd160>,
            Self::Sha => with::<Sha1>,
            Self::Sha224 => with::<Sha224>,
            Self::Sha384 => with::<Sha384>,
            Self::Sha512 => with::<Sha512>,
        };
        derive(password, salt, rounds, &mut key);
        hex(&key)
    }

    /// Returns how many characters a hash has.
    fn digits(self) -> Option<usize> {
        match self {
            Self::Plain => None,
            _ => Some(self.of([b"", b""]).len()),
        }
    }
}

impl PasswordHash {
    /// Returns how many columns the auth query has to have: `password`, or `password, salt`.
    pub(super) fn columns(self) -> usize {
        match self.0 {
            Scheme::Bare(_) | Scheme::Bcrypt => 1,
            _ => 2,
        }
    }

    /// Tells whether emqttd 2.3 refuses everybody with it.
    pub(super) fn is_only_ours(self) -> bool {
        self.0 == Scheme::Bcrypt
    }

    /// Tells whether passwords can be read in the table.
    pub(super) fn is_plain(self) -> bool {
        matches!(
            self.0,
            Scheme::Bare(Function::Plain)
                | Scheme::SaltFirst(Function::Plain)
                | Scheme::SaltLast(Function::Plain)
        )
    }

    /// Compares a password with what a row keeps; it takes its time.
    ///
    /// # Errors
    /// Says why no password can be right.
    pub(super) fn verify(self, row: &[Cell], password: &[u8]) -> Result<bool, String> {
        if row.len() != self.columns() {
            let (found, wanted) = (row.len(), self.columns());
            return Err(format!(
                "the auth query gives {found} columns, and the hash needs {wanted}"
            ));
        }
        let Some(kept) = row[0].text() else { return Ok(false) };
        if let Some(why) = self.misfit(&kept) {
            return Err(why);
        }
        let salt = match row.get(1) {
            None => String::new(),
            Some(salt) => salt.text().ok_or("the row's salt is NULL")?.into_owned(),
        };
        let found = match self.0 {
            Scheme::Bare(function) => function.of([password, b""]),
            Scheme::SaltFirst(function) => function.of([salt.as_bytes(), password]),
            Scheme::SaltLast(function) => function.of([password, salt.as_bytes()]),
            Scheme::Pbkdf2 { function, rounds, bytes } => {
                function.derive(password, salt.as_bytes(), rounds, bytes)
            }
            Scheme::Bcrypt => return Ok(bcrypt::verify(password, &kept).unwrap_or(false)),
            Scheme::SaltBcrypt => {
                let is_of_salt = !salt.is_empty() && kept.starts_with(&salt);
                return Ok(is_of_salt && bcrypt::verify(password, &kept).unwrap_or(false));
            }
        };
        Ok(is_same(&found, kept.as_bytes()))
    }

    /// Says why what is kept is the hash of no password at all.
    pub(super) fn misfit(self, kept: &str) -> Option<String> {
        let digits = match self.0 {
            Scheme::Bcrypt | Scheme::SaltBcrypt => {
                let mut parts = kept.split('$').skip(2);
                let cost: Option<u32> = parts.next().and_then(|cost| cost.parse().ok());
                return match cost {
                    Some(cost) if cost > BCRYPT_COST_MAX => Some(format!(
                        "its bcrypt cost is {cost}, and the most is {BCRYPT_COST_MAX}"
                    )),
                    Some(_) if kept.len() == 60 => None,
                    _ => Some("the row's password is no bcrypt hash".to_owned()),
                };
            }
            Scheme::Pbkdf2 { bytes, .. } => Some(bytes * 2),
            Scheme::Bare(function) | Scheme::SaltFirst(function) | Scheme::SaltLast(function) => {
                function.digits()
            }
        }?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = kept.len() == digits && kept.bytes().all(is_digit);
        (!fits).then(|| format!("the row's password is not {digits} digits of lower-case hex"))
    }

    /// Makes of a password what a row keeps.
    pub(super) fn keep(self, password: &[u8]) -> Kept {
        let salt = random_salt();
        let with =
            |hash: Vec<u8>, salt| Kept { hash: String::from_utf8_lossy(&hash).into_owned(), salt };
        match self.0 {
            Scheme::Bare(function) => with(function.of([password, b""]), None),
            Scheme::SaltFirst(function) => {
                with(function.of([salt.as_bytes(), password]), Some(salt))
            }
            Scheme::SaltLast(function) => {
                with(function.of([password, salt.as_bytes()]), Some(salt))
            }
            Scheme::Pbkdf2 { function, rounds, bytes } => {
                with(function.derive(password, salt.as_bytes(), rounds, bytes), Some(salt))
            }
            Scheme::Bcrypt | Scheme::SaltBcrypt => {
                let parts = bcrypt::hash_with_result(password, BCRYPT_COST)
                    .expect("the cost is in range and the kernel gives random bytes");
                let hash = parts.format_for_version(bcrypt::Version::TwoA);
                // The version, the cost and 22 characters of salt.
                let salt = hash[..29].to_owned();
                Kept { hash, salt: Some(salt).filter(|_| self.columns() == 2) }
            }
        }
    }
}

fn random_salt() -> String {
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).expect("the kernel gives random bytes");
    String::from_utf8(hex(&salt)).expect("hex is text")
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// Compares without telling by its time how much is the same.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differs = one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other));
    one.len() == other.len() && differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(hash: &str, row: &[&str], password: &str) -> Result<bool, String> {
        let row: Vec<_> = row.iter().map(|text| Cell::Text((*text).to_owned())).collect();
        hash.parse::<PasswordHash>().unwrap().verify(&row, password.as_bytes())
    }

    #[test]
    fn emqttds_own_vectors_are_right() {
        const BCRYPT: &str = "$2a$12$sSS8Eg.ovVzaHzi1nUHYK.HbUIOdlQI0iS22Q5rd5z.JVVYH6sfm6";
        const SHA256: &str = "5d5b09f6dcb2d53a5fffc60c4ac0d55fabdf556069d6631545f42aa6e3500f2e";
        for (hash, row, password) in [
            ("plain", &["plain"][..], "plain"),
            ("md5", &["1bc29b36f623ba82aaf6724fd3b16718"], "md5"),
            ("sha", &["d8f4590320e1343a915b6394170650a8f35d6926"], "sha"),
            ("sha256", &[SHA256], "sha256"),
            (
                "pbkdf2,sha,1,16",
                &["cdedb5281bb2f801565a1122b2563515", "ATHENA.MIT.EDUraeburn"],
                "password",
            ),
            // What OpenSSL's own PBKDF2 says; emqttd's has these two functions, too.
            (
                "pbkdf2,ripemd160,1200,20",
                &["f5a35d8b33237e53a98c73cd084164bdf50aea0c", "ATHENA.MIT.EDUraeburn"],
                "password",
            ),
            (
                "pbkdf2,md4,1200,20",
                &["c8c220b677a2275016d1b8ca2ca1326987177aa2", "ATHENA.MIT.EDUraeburn"],
                "password",
            ),
            ("salt,bcrypt", &[BCRYPT, "$2a$12$sSS8Eg.ovVzaHzi1nUHYK."], "foo"),
            ("bcrypt", &[BCRYPT], "foo"),
        ] {
            assert_eq!(verify(hash, row, password), Ok(true), "{hash}");
            assert_eq!(verify(hash, row, "another"), Ok(false), "{hash}");
        }
    }

    #[test]
    fn the_salt_stands_where_the_words_say() {
        // The MD5 of `saltpw`, and of `pwsalt`.
        let (before, after) =
            ("963e2232fa95666443f1ee9ffcdceda0", "55e70b9971d050fe8f7455eb551189cf");
        assert_eq!(verify("salt,md5", &[before, "salt"], "pw"), Ok(true));
        assert_eq!(verify("salt,md5", &[after, "salt"], "pw"), Ok(false));
        assert_eq!(verify("md5,salt", &[after, "salt"], "pw"), Ok(true));
        assert_eq!(verify("plain,salt", &["pwsalt", "salt"], "pw"), Ok(true));
    }

    #[test]
    fn what_is_kept_is_known_again_and_cannot_be_read() {
        for text in [
            "md5",
            "sha",
            "sha256",
            "salt,md5",
            "sha256,salt",
            "bcrypt",
            "salt,bcrypt",
            "pbkdf2,sha512,10,20",
            "pbkdf2,md5,1,8",
        ] {
            let hash: PasswordHash = text.parse().unwrap();
            let kept = hash.keep(b"hunter2");
            assert!(!kept.hash.contains("hunter2"), "{text}");
            let mut row = vec![Cell::Text(kept.hash)];
            row.extend(kept.salt.map(Cell::Text));
            assert_eq!(hash.verify(&row, b"hunter2"), Ok(true), "{text}");
            assert_eq!(hash.verify(&row, b"hunter3"), Ok(false), "{text}");
        }
    }

    #[test]
    fn words_that_are_no_hash_are_refused() {
        for text in [
            "plain;",
            "",
            "sha1",
            "bcrypt,salt",
            "salt,sha512",
            "pbkdf2,sha256,0,20",
            "md4",
            "salt,ripemd160",
            "pbkdf2,plain,1,16",
            "pbkdf2,sha256,20",
        ] {
            let error = text.parse::<PasswordHash>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn rows_that_no_password_fits_say_why() {
        for (hash, row, why) in [
            ("md5", &["secret"][..], "not 32 digits"),
            ("salt,md5", &["1bc29b36f623ba82aaf6724fd3b16718"], "1 columns, and the hash needs 2"),
            ("sha256", &["1bc29b36f623ba82aaf6724fd3b16718"], "not 64 digits"),
            (
                "bcrypt",
                &["$2a$31$sSS8Eg.ovVzaHzi1nUHYK.HbUIOdlQI0iS22Q5rd5z.JVVYH6sfm6"],
                "cost is 31",
            ),
        ] {
            let error = verify(hash, row, "secret").unwrap_err();
            assert!(error.contains(why), "{hash}: {error}");
        }
        let row = [Cell::Text("1bc29b36f623ba82aaf6724fd3b16718".into()), Cell::Null];
        let hash: PasswordHash = "md5,salt".parse().unwrap();
        assert_eq!(hash.verify(&row, b"x"), Err("the row's salt is NULL".to_owned()));
    }
}
