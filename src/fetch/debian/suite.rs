//! Suite: which Debian suite has which OTP, and what of it a toolchain is made of.

/// One Debian suite as a toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suite {
    /// OTP's major version.
    pub(super) otp: &'static str,
    /// The suite's code name.
    pub(super) name: &'static str,
    /// Whether it is not released yet, so that its packages change daily.
    pub(super) is_testing: bool,
}

/// The suites that have a preset.
const SUITES: [Suite; 4] = [
    Suite { otp: "23", name: "bullseye", is_testing: false },
    Suite { otp: "25", name: "bookworm", is_testing: false },
    Suite { otp: "27", name: "trixie", is_testing: false },
    Suite { otp: "29", name: "forky", is_testing: true },
];

/// What stands in every toolchain: nobody depends on essential packages by name, so they are named here.
const SYSTEM: [&str; 17] = [
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "libc-bin",
    "mawk",
    "ncurses-base",
    "patch",
    "sed",
    "tar",
];

/// The compilers, and what an image may take along.
const TOOLS: [&str; 9] = [
    "binutils",
    "busybox-static",
    "ca-certificates",
    "g++",
    "gcc",
    "libc6-dev",
    "make",
    "pkg-config",
    "tzdata",
];

/// OTP's applications; `erlang-base` has kernel, stdlib, sasl, compiler and the emulator.
const ERLANG: [&str; 20] = [
    "erlang-asn1",
    "erlang-base",
    "erlang-common-test",
    "erlang-crypto",
    "erlang-dev",
    "erlang-diameter",
    "erlang-edoc",
    "erlang-eldap",
    "erlang-eunit",
    "erlang-ftp",
    "erlang-inets",
    "erlang-mnesia",
    "erlang-os-mon",
    "erlang-parsetools",
    "erlang-public-key",
    "erlang-runtime-tools",
    "erlang-snmp",
    "erlang-ssh",
    "erlang-ssl",
    "erlang-tftp",
];

/// More of them, which other parts name as dependencies anyway.
const ERLANG_TOOLS: [&str; 3] = ["erlang-syntax-tools", "erlang-tools", "erlang-xmerl"];

/// Packages that nothing in a build needs and that would bring hundreds with them: graphics, init
/// systems, log-in, package management, headers of NIS. A dependency on one counts as met; a wish by
/// name is obeyed.
const DROPPED: [&str; 20] = [
    "adduser",
    "debconf",
    "dpkg",
    "e2fsprogs",
    "erlang-debugger",
    "erlang-et",
    "erlang-observer",
    "erlang-reltool",
    "erlang-wx",
    "init-system-helpers",
    "libdpkg-perl",
    "libnsl-dev",
    "libtirpc-dev",
    "login",
    "openssl",
    "passwd",
    "procps",
    "rpcsvc-proto",
    "systemd",
    "sysvinit-utils",
];

/// The same for packages with a number or a part in their names: sanitizers, PAM.
const DROPPED_SERIES: [&str; 6] =
    ["libasan", "libhwasan", "liblsan", "libpam", "libtsan", "libubsan"];

impl Suite {
    /// Returns the suite that has this OTP.
    pub(super) fn of_otp(otp: &str) -> Option<Self> {
        SUITES.into_iter().find(|suite| suite.otp == otp)
    }

    /// Returns the suites whose indices count: updates and security updates belong to a released one.
    pub(super) fn parts(self) -> Vec<String> {
        let parts: &[&str] = if self.is_testing { &[""] } else { &["", "-updates", "-security"] };
        let name = |part: &&str| format!("{}{part}", self.name);
        parts.iter().map(name).collect()
    }

    /// Returns the packages that a toolchain of this suite begins with.
    pub(super) fn packages(self) -> impl Iterator<Item = &'static str> {
        // Bullseye has no rebar3.
        let rebar3 = (self.name != "bullseye").then_some("rebar3");
        let lists = SYSTEM.into_iter().chain(TOOLS).chain(ERLANG);
        lists.chain(ERLANG_TOOLS).chain(rebar3)
    }
}

/// Returns OTP's major versions that a suite has.
pub(super) fn known_otps() -> String {
    SUITES.map(|suite| suite.otp).join(", ")
}

/// Tells whether a dependency on this package counts as met without it.
pub(super) fn is_dropped(package: &str) -> bool {
    let begins = |start: &&str| package.starts_with(*start);
    DROPPED.contains(&package) || DROPPED_SERIES.iter().any(begins)
}
