//! Credentials: what `docker login` and `podman login` left behind, read where they left it.
//!
//! A registry's entry under `credHelpers` counts most, then `credsStore`, then `auths`, file by file. The first two
//! name a program `docker-credential-NAME`, which is asked with the registry on its standard input. It is a
//! stranger: it gets a bounded time, its answer a bounded length, and what it leaves running is stopped with it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::PushError;
use super::error::said;
use crate::disk;
use crate::limits::{ANSWER_BYTES_MAX, CREDENTIALS_MS_MAX, TEXT_FILE_BYTES_MAX};

/// The name under which Docker keeps the login of its own registry.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// Where credentials are looked for.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Configuration files, the most important first. One that is missing holds nothing.
    pub files: Vec<PathBuf>,
    /// Where programs are looked for; `None` for where this process looks.
    pub programs: Option<OsString>,
    /// How long a program may take.
    pub ms_max: u64,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// A name and a password.
    Login { user: String, secret: String, from: String },
    /// A token with which tokens are fetched.
    Identity { token: String, from: String },
    /// A token for the registry itself.
    Token { token: String, from: String },
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    auths: Option<BTreeMap<String, Auth>>,
    #[serde(rename = "credHelpers")]
    programs: Option<BTreeMap<String, String>>,
    #[serde(rename = "credsStore")]
    program: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    username: String,
    secret: String,
}

impl Credentials {
    /// Reads from the environment where Docker and podman keep their logins.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let docker = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")));
        let podman = set("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json"));
        let files = [docker.map(|directory| directory.join("config.json")), podman];
        Self {
            files: files.into_iter().flatten().collect(),
            programs: None,
            ms_max: CREDENTIALS_MS_MAX,
        }
    }

    /// Returns who asks at a registry, if anybody ever logged in there.
    pub(super) fn find(&self, registry: &str) -> Result<Option<Credential>, PushError> {
        for path in &self.files {
            if let Some(found) = self.find_in(path, registry)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_in(&self, path: &Path, registry: &str) -> Result<Option<Credential>, PushError> {
        let text = match disk::read_text(path, TEXT_FILE_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(bad(path, &error)),
        };
        let logins = logins_in(&text, registry).map_err(|error| bad(path, &error))?;
        for name in &logins.programs {
            if let Some(found) = self.ask(path, name, key_of(registry))? {
                return Ok(Some(found));
            }
        }
        logins.auth.map_or(Ok(None), |auth| read_auth(path, auth))
    }

    /// Asks the program that keeps credentials.
    fn ask(&self, path: &Path, name: &str, key: &str) -> Result<Option<Credential>, PushError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !name.chars().all(plain) {
            let what = format!("`{name}` is no name of a program that keeps credentials");
            return Err(PushError::Config { path: path.to_owned(), what });
        }
        let program = format!("docker-credential-{name}");
        let mut command = Command::new(&program);
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        if let Some(programs) = &self.programs {
            command.env("PATH", programs);
        }
        let host = || key.to_owned();
        let started = command.spawn();
        let child = started.map_err(|source| PushError::NoProgram {
            path: path.to_owned(),
            program: program.clone(),
            host: host(),
            source,
        })?;
        let failed = |says: String| PushError::ProgramFailed {
            program: program.clone(),
            host: host(),
            says,
        };
        let ended = Running { child, key }.wait(Duration::from_millis(self.ms_max));
        let Some(ended) = ended.map_err(|error| failed(error.to_string()))? else {
            return Err(PushError::ProgramHangs { program, host: host(), ms: self.ms_max });
        };
        let text = |bytes: &[u8]| said(&String::from_utf8_lossy(bytes));
        if !ended.succeeded {
            let says = text(&[&ended.stdout[..], &ended.stderr[..]].concat());
            // These are the words of the protocol for one who never logged in.
            return match says.contains("credentials not found") {
                true => Ok(None),
                false => Err(failed(says)),
            };
        }
        let given: Given = serde_json::from_slice(&ended.stdout)
            .map_err(|_| failed("its answer is not the JSON of a login".into()))?;
        Ok(Some(login(given.username, given.secret, format!("`{program}`"))))
    }
}

/// What a configuration says about one registry.
pub(super) struct Logins {
    /// Programs to ask, in their order.
    programs: Vec<String>,
    auth: Option<Auth>,
}

/// Reads a configuration's text.
pub(super) fn logins_in(text: &str, registry: &str) -> Result<Logins, serde_json::Error> {
    let config: Config = serde_json::from_str(text)?;
    let same = |key: &str| host_of(key) == host_of(key_of(registry));
    let mut special = config.programs.unwrap_or_default().into_iter().filter(|(key, _)| same(key));
    let special = special.next().map(|(_, name)| name);
    let programs = special.into_iter().chain(config.program);
    let auth = config.auths.unwrap_or_default().into_iter().find(|(key, _)| same(key));
    Ok(Logins {
        programs: programs.filter(|name| !name.is_empty()).collect(),
        auth: auth.map(|(_, auth)| auth),
    })
}

fn bad(path: &Path, error: &dyn std::fmt::Display) -> PushError {
    PushError::Config { path: path.to_owned(), what: error.to_string() }
}

/// Returns the key under which a registry's login is kept.
fn key_of(registry: &str) -> &str {
    if registry == "docker.io" { DOCKER_KEY } else { registry }
}

/// Returns the host of a key, which may be a host or an address.
fn host_of(key: &str) -> String {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest).to_ascii_lowercase();
    match host.as_str() {
        "docker.io" | "registry-1.docker.io" => "index.docker.io".into(),
        _ => host,
    }
}

fn read_auth(path: &Path, auth: Auth) -> Result<Option<Credential>, PushError> {
    let from = format!("`{}`", path.display());
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    if let Some(token) = filled(auth.registrytoken) {
        return Ok(Some(Credential::Token { token, from }));
    }
    if let Some(token) = filled(auth.identitytoken) {
        return Ok(Some(Credential::Identity { token, from }));
    }
    if let (Some(user), Some(secret)) = (filled(auth.username), filled(auth.password)) {
        return Ok(Some(login(user, secret, from)));
    }
    let Some(text) = filled(auth.auth) else {
        return Ok(None);
    };
    let decoded = STANDARD.decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let Some((user, secret)) = pair else {
        let what = "an `auth` in it is not the base64 of `user:password`".to_owned();
        return Err(PushError::Config { path: path.to_owned(), what });
    };
    Ok(Some(login(user.to_owned(), secret.trim_end_matches('\0').to_owned(), from)))
}

fn login(user: String, secret: String, from: String) -> Credential {
    match user.as_str() {
        "<token>" => Credential::Identity { token: secret, from },
        _ => Credential::Login { user, secret, from },
    }
}

/// A program that was started, and what it is told.
struct Running<'a> {
    child: Child,
    key: &'a str,
}

/// How a program ended.
struct Ended {
    succeeded: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Running<'_> {
    /// Waits for the end, at most so long. `None` where it had to be stopped.
    fn wait(mut self, limit: Duration) -> io::Result<Option<Ended>> {
        let began = Instant::now();
        if let Some(mut stdin) = self.child.stdin.take() {
            // One that does not read its input may still know the answer.
            let _ = writeln!(stdin, "{}", self.key);
        }
        let stdout = reading(self.child.stdout.take());
        let stderr = reading(self.child.stderr.take());
        let mut status = None;
        while began.elapsed() < limit {
            status = status.or(self.child.try_wait()?);
            // What it started may hold its output open; then its end is theirs.
            if status.is_some() && stdout.is_finished() && stderr.is_finished() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.stop();
        let whole = stdout.is_finished() && stderr.is_finished();
        let Some(status) = status.filter(|_| whole) else {
            self.child.wait()?;
            return Ok(None);
        };
        let collect = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
        let (stdout, stderr) = (collect(stdout), collect(stderr));
        Ok(Some(Ended { succeeded: status.success(), stdout, stderr }))
    }

    /// Stops it with all that it started.
    fn stop(&self) {
        let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Reads as much as an answer may have; what is longer meets a closed door.
fn reading(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            let _ = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        }
        bytes
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Home {
        directory: tempfile::TempDir,
    }

    impl Home {
        fn new(config: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("config.json"), config).unwrap();
            Self { directory }
        }

        fn program(self, name: &str, script: &str) -> Self {
            let path = self.directory.path().join(format!("docker-credential-{name}"));
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            self
        }

        fn find(&self, registry: &str) -> Result<Option<Credential>, PushError> {
            let own = self.directory.path().display();
            let credentials = Credentials {
                files: vec![self.directory.path().join("config.json")],
                programs: Some(format!("{own}:/usr/bin:/bin").into()),
                ms_max: 2_000,
            };
            credentials.find(registry)
        }

        fn user(&self, registry: &str) -> Option<(String, String)> {
            match self.find(registry).unwrap()? {
                Credential::Login { user, secret, .. } => Some((user, secret)),
                other => panic!("{other:?}"),
            }
        }
    }

    fn pair(user: &str, secret: &str) -> Option<(String, String)> {
        Some((user.into(), secret.into()))
    }

    #[test]
    fn a_login_is_found_under_each_spelling_of_its_registry() {
        let auth = STANDARD.encode("ann:p:w");
        for key in ["r.example:5000", "https://r.example:5000", "http://r.example:5000/v2/"] {
            let home = Home::new(&format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#));
            assert_eq!(home.user("r.example:5000"), pair("ann", "p:w"), "{key}");
            assert_eq!(home.user("r.example"), None, "another port is another registry");
        }
        for key in ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"] {
            let home = Home::new(&format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#));
            assert_eq!(home.user("docker.io"), pair("ann", "p:w"), "{key}");
        }
    }

    #[test]
    fn tokens_in_the_place_of_a_password_are_told_apart() {
        let home = Home::new(
            r#"{"auths":{"a.example":{"auth":"PHRva2VuPjo=","identitytoken":"i"},"b.example":{"registrytoken":"r"},
                "c.example":{"username":"u","password":"p"},"d.example":{}}}"#,
        );
        let found = |registry| home.find(registry).unwrap();
        assert!(
            matches!(found("a.example"), Some(Credential::Identity { token, .. }) if token == "i")
        );
        assert!(
            matches!(found("b.example"), Some(Credential::Token { token, .. }) if token == "r")
        );
        assert_eq!(home.user("c.example"), pair("u", "p"));
        assert_eq!(found("d.example"), None);
    }

    #[test]
    fn a_program_is_asked_with_the_registry_on_its_input() {
        let says =
            r#"read key; echo "{\"ServerURL\":\"x\",\"Username\":\"$key\",\"Secret\":\"$1\"}""#;
        let home = Home::new(
            r#"{"credHelpers":{"r.example":"one"},"credsStore":"two","auths":{"r.example":{}}}"#,
        )
        .program("one", says)
        .program("two", "echo credentials not found in native keychain; exit 1");
        assert_eq!(home.user("r.example"), pair("r.example", "get"));
        assert_eq!(home.user("other.example"), None);
        let hub = Home::new(r#"{"credsStore":"one"}"#).program("one", says);
        assert_eq!(hub.user("docker.io"), pair(DOCKER_KEY, "get"));
        let token = Home::new(r#"{"credsStore":"one"}"#)
            .program("one", r#"echo '{"Username":"<token>","Secret":"s"}'"#);
        let found = token.find("r.example").unwrap();
        assert!(matches!(found, Some(Credential::Identity { token, .. }) if token == "s"));
    }

    #[test]
    fn a_program_that_is_missing_fails_lies_or_hangs_is_named() {
        let config = r#"{"credsStore":"one"}"#;
        let missing = Home::new(config).find("r.example").unwrap_err();
        assert!(matches!(missing, PushError::NoProgram { .. }), "{missing}");
        assert!(missing.to_string().contains("docker-credential-one"), "{missing}");
        let failing = Home::new(config).program("one", "echo the keychain is locked >&2; exit 1");
        let error = failing.find("r.example").unwrap_err();
        assert!(error.to_string().contains("the keychain is locked"), "{error}");
        let lying = Home::new(config).program("one", "echo hello");
        let error = lying.find("r.example").unwrap_err();
        assert!(matches!(error, PushError::ProgramFailed { .. }), "{error}");
        let hanging = Home::new(config).program("one", "sleep 600");
        let began = Instant::now();
        let error = hanging.find("r.example").unwrap_err();
        assert!(matches!(error, PushError::ProgramHangs { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_talks_without_end_is_not_listened_to_without_end() {
        let home = Home::new(r#"{"credsStore":"one"}"#)
            .program("one", "while :; do echo yyyyyyyyyyy; done");
        let error = home.find("r.example").unwrap_err();
        assert!(matches!(error, PushError::ProgramFailed { .. }), "{error}");
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_named_and_a_missing_one_is_empty() {
        for text in ["{", r#"{"auths":{"r.example":{"auth":"%%"}}}"#, r#"{"credsStore":"../x"}"#] {
            let error = Home::new(text).find("r.example").unwrap_err();
            assert!(matches!(error, PushError::Config { .. }), "{text}: {error}");
        }
        let nowhere =
            Credentials { files: vec!["/nonexistent/a".into()], programs: None, ms_max: 1 };
        assert_eq!(nowhere.find("r.example").unwrap(), None);
    }

    #[test]
    fn the_environment_says_where_logins_are() {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/ann".into()),
            "XDG_RUNTIME_DIR" => Some("/run/user/1".into()),
            _ => None,
        };
        let files = Credentials::from_environment(&variable).files;
        let expected = ["/home/ann/.docker/config.json", "/run/user/1/containers/auth.json"];
        assert_eq!(files, expected.map(PathBuf::from));
        let files = Credentials::from_environment(&|name| {
            (name == "DOCKER_CONFIG").then(|| "/elsewhere".into())
        });
        assert_eq!(files.files, [PathBuf::from("/elsewhere/config.json")]);
    }
}
