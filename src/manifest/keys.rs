//! Keys: the one table of what a `rebeam.toml` may hold. The strict check walks it, and the schema
//! for editors is made from it, so the two cannot drift apart.

use super::dev::DEV;
use super::form::Form;
use super::services::SERVICE;

/// A key of a table.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) about: &'static str,
    /// A line that would do, for keys that must be there.
    pub(super) required: Option<&'static str>,
}

/// What stands behind a key.
#[derive(Debug)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number in a range.
    Number(i64, i64),
    /// A text.
    Text(Form),
    /// A list of texts.
    Texts(Form),
    /// A list of texts that is not empty.
    Command,
    /// A list of such lists.
    Commands,
    /// Texts by free names.
    TextMap(Form, Form),
    /// A table with known keys.
    Table(&'static [Key]),
    /// Tables with known keys by free names.
    TableMap(Form, &'static [Key]),
    /// A list of tables with known keys.
    Tables(&'static [Key]),
}

pub(super) const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, about, required: None }
}

pub(super) const fn required(
    name: &'static str,
    kind: Kind,
    about: &'static str,
    example: &'static str,
) -> Key {
    Key { name, kind, about, required: Some(example) }
}

pub(super) const SECONDS: Kind = Kind::Number(1, 3600);
pub(super) const ENV: Kind = Kind::TextMap(Form::Variable, Form::Any);

const DEV_ABOUT: &str = "How `rebeam dev up` runs the stack on one's desk.";
const SERVICES_ABOUT: &str = "What runs beside the release on one's desk, by name; the name is a host's name for the others.";

/// The top of a file that changes what the manifest says of the stack.
pub(super) const STACK: &[Key] = &[
    key("dev", Kind::Table(DEV), DEV_ABOUT),
    key("services", Kind::TableMap(Form::Service, SERVICE), SERVICES_ABOUT),
];

/// The top of the file.
pub(super) const TOP: &[Key] = &[
    required(
        "project",
        Kind::Table(PROJECT),
        "What is built.",
        "[project]` with `name` and `version",
    ),
    required(
        "toolchain",
        Kind::Table(TOOLCHAIN),
        "What it is built with.",
        "[toolchain]` with `otp = \"27\"",
    ),
    key("build", Kind::Table(BUILD), "How it is built."),
    key("lock", Kind::Table(LOCK), "What is pinned, and when."),
    key(
        "deps",
        Kind::TableMap(Form::App, DEP),
        "What is done otherwise for one dependency, by application name.",
    ),
    key(
        "tools",
        Kind::TextMap(Form::App, Form::Source),
        "Build tools that are locked and built from source, by name, each as `source` of a dependency.",
    ),
    key("release", Kind::Table(RELEASE), "What of the release matters."),
    key("image", Kind::Table(IMAGE), "What the image says of itself."),
    key("dev", Kind::Table(DEV), DEV_ABOUT),
    key("services", Kind::TableMap(Form::Service, SERVICE), SERVICES_ABOUT),
    key(
        "hex",
        Kind::TableMap(Form::Repository, HEX),
        "Repositories of hex packages beside the public one, by name; an organisation of the public one is `hexpm:NAME`.",
    ),
    key(
        "mirrors",
        Kind::TextMap(Form::Address, Form::Address),
        "Beginnings of addresses and what stands in their place, for git, hex, Debian and tarballs alike; the longest match wins. `./` and `../` are relative to this file.",
    ),
];

const PROJECT: &[Key] = &[
    required(
        "name",
        Kind::Text(Form::Name),
        "The project's name; by default also the release's and the image's.",
        "name = \"shop\"",
    ),
    required(
        "version",
        Kind::Text(Form::Version),
        "The release's version, and the image's tag.",
        "version = \"1.0.0\"",
    ),
];

const TOOLCHAIN: &[Key] = &[
    required(
        "otp",
        Kind::Text(Form::Otp),
        "OTP's major version; each is a preset of Debian packages.",
        "otp = \"27\"",
    ),
    key(
        "packages",
        Kind::Texts(Form::Package),
        "Debian packages beside the preset's, for C and C++ code.",
    ),
];

const BUILD: &[Key] = &[
    key("tool", Kind::Text(Form::Tool), "The project's build tool; rebar3 by default."),
    key(
        "profile",
        Kind::Text(Form::App),
        "The profile that the release is made with; prod by default.",
    ),
    key("env", ENV, "Variables that every build step sees."),
    key(
        "configure",
        Kind::Commands,
        "Commands that run before the project's configuration is read, when it is locked and when it is built; what they write is part of the project: `[[\"./configure\"]]`.",
    ),
    key(
        "dir",
        Kind::Text(Form::Inside),
        "The directory of the project in which the release is made; the project's root by default.",
    ),
    key(
        "steps",
        Kind::Commands,
        "The commands that make the release, one after another, in place of the tool's own: `[[\"./configure\"], [\"make\", \"rel\"]]`; not where rebar3 or mix builds the project.",
    ),
    key(
        "output",
        Kind::Text(Form::Inside),
        "The release's directory after the last command; the only one in `_rel` or `rel` by default. Not where rebar3 or mix builds the project.",
    ),
];

const LOCK: &[Key] = &[
    key(
        "minimum-age",
        Kind::Text(Form::Age),
        "How long a commit or release must have been public before it is pinned: `12h`, `7d`, `2w`, `1mo`. What is pinned already stays. Debian's packages have no such age: a suite takes only what its own release process let through, and its security updates are wanted at once.",
    ),
    key(
        "vendor",
        Kind::Text(Form::Inside),
        "A directory of the project that `rebeam vendor` made: sources are taken from there before any origin is asked.",
    ),
];

const DEP: &[Key] = &[
    key(
        "use",
        Kind::Text(Form::Address),
        "Which source decides where the closure asks for several: the name of the application that asks, or an address with `#` and a reference.",
    ),
    key(
        "source",
        Kind::Text(Form::Source),
        "Where it comes from, whatever the closure says: `git+URL#tag=…` (or `branch=`, or a commit; `?dir=…`), `URL#sha256=…`, `./path`, `hex:NAME@REQUIREMENT`. What nothing asks for is added to the project's own dependencies.",
    ),
    key("env", ENV, "Variables that this dependency's step sees."),
    key(
        "patches",
        Kind::Tables(PATCH),
        "Patch files, applied in order, after files were replaced.",
    ),
    key(
        "files",
        Kind::Tables(REPLACED),
        "Files of the project that are put in place of the source's own, before its configuration is read.",
    ),
    key(
        "vsn",
        Kind::Text(Form::Version),
        "The version that its application states, where its tag says another or none.",
    ),
    key("ignore-plugins", Kind::Texts(Form::App), "Plugins that are left out."),
    key("tool", Kind::Text(Form::Tool), "The tool that builds it, where the guess is wrong."),
    key(
        "needs",
        Kind::Texts(Form::App),
        "Other dependencies that it needs built and does not name itself; not where rebar3 or mix builds the project.",
    ),
    key(
        "at",
        Kind::Text(Form::Inside),
        "Where the project expects it, `deps/NAME` by default; not where rebar3 or mix builds the project.",
    ),
    key(
        "steps",
        Kind::Commands,
        "The commands that build it in its own directory, in place of the tool's own; not where rebar3 or mix builds the project.",
    ),
];

const PATCH: &[Key] = &[
    required(
        "file",
        Kind::Text(Form::Inside),
        "The patch file's path in the project.",
        "file = \"patches/fix.patch\"",
    ),
    required("sha256", Kind::Text(Form::Sha256), "SHA-256 of the patch file.", "sha256 = \"…\""),
];

const REPLACED: &[Key] = &[
    required(
        "path",
        Kind::Text(Form::Inside),
        "The path in the source.",
        "path = \"rebar.config.script\"",
    ),
    required(
        "file",
        Kind::Text(Form::Inside),
        "The file's path in the project.",
        "file = \"overrides/jsx.config.script\"",
    ),
    required("sha256", Kind::Text(Form::Sha256), "SHA-256 of the file.", "sha256 = \"…\""),
];

const HEX: &[Key] = &[
    key(
        "url",
        Kind::Text(Form::Address),
        "The repository's address; an organisation's by default where the name says one.",
    ),
    key(
        "public-key",
        Kind::Text(Form::Inside),
        "The file of the key that its registry is signed with, in PEM; the public repository's key by default where the name begins with hexpm.",
    ),
    key(
        "auth-key-env",
        Kind::Text(Form::Variable),
        "The variable of the environment that holds the key to a private repository.",
    ),
];

const RELEASE: &[Key] = &[
    key(
        "name",
        Kind::Text(Form::App),
        "relx's release name, where the project has several or it differs from the project's name.",
    ),
    key(
        "keep-debug-info",
        Kind::Flag,
        "Whether beams keep their debug information and documentation, and native code what debuggers read; false by default.",
    ),
    key(
        "boot-timeout",
        SECONDS,
        "Seconds that the release may take to start in the boot check; 30 by default.",
    ),
    key(
        "smoke",
        Kind::Command,
        "A command of the image that has to succeed in the boot check once the release has started.",
    ),
    key(
        "smoke-eval",
        Kind::Text(Form::Any),
        "An Erlang expression that the started node has to evaluate in the boot check, without an error and to anything but `false`.",
    ),
];

const IMAGE: &[Key] = &[
    key(
        "name",
        Kind::Text(Form::ImageName),
        "The repository's name, without a tag; the project's by default.",
    ),
    key(
        "platforms",
        Kind::Texts(Form::Platform),
        "The machines that images are made for, each in a file of its own; by default the one that builds.",
    ),
    key(
        "base",
        Kind::Text(Form::Address),
        "An image that the release is laid over, by tag or digest (`debian:12-slim`); rebeam.lock pins it. What it lacks of libraries and system files comes along; by default everything does.",
    ),
    key("ports", Kind::Texts(Form::Port), "Ports that are exposed."),
    key("env", ENV, "Variables of the container."),
    key("user", Kind::Text(Form::User), "User and group by number; 65532 by default."),
    key(
        "volumes",
        Kind::Texts(Form::Absolute),
        "Directories that are volumes; the user may write to them.",
    ),
    key("labels", Kind::TextMap(Form::Label, Form::Any), "Labels of the image."),
    key(
        "health",
        Kind::Table(HEALTH),
        "A command that the container runtime runs to see whether all is well.",
    ),
    key("entrypoint", Kind::Command, "An entry point in place of the emulator's."),
    key("cmd", Kind::Texts(Form::Any), "Arguments behind the entry point."),
    key(
        "shell",
        Kind::Text(Form::Shell),
        "Which shell the image holds; by default busybox where the release cannot start without a shell (a named node starts epmd through it, `.src` configuration is filled in by it), else none. remote_console needs busybox.",
    ),
    key(
        "epmd",
        Kind::Flag,
        "Whether epmd is started, and waited for, before the entry point; by default where that is a script of the release which asks `bin/nodetool`, for nodetool starts epmd itself and does not wait until it listens.",
    ),
    key("tzdata", Kind::Flag, "Whether time zone data is put in; false by default."),
    key(
        "ca-certificates",
        Kind::Flag,
        "Whether the CA bundle is put in; by default where the release holds ssl.",
    ),
];

const HEALTH: &[Key] = &[
    required("command", Kind::Command, "Command and arguments.", "command = [\"/app/bin/check\"]"),
    key("interval", SECONDS, "Seconds between two checks; 30 by default."),
    key("timeout", SECONDS, "Seconds a check may take; 5 by default."),
    key("retries", Kind::Number(1, 100), "Failures in a row that count; 3 by default."),
];
