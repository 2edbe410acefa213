//! Usual: where what builds of the BEAM's world ask for most stands, for when no index may be read.
//!
//! Names that differ between Debian's suites are left to the index.

use super::Lack;

/// A package with its headers (a directory stands for all below it), libraries and modules of pkg-config.
type Row = (&'static str, &'static str, &'static str, &'static str);

const LIBRARIES: [Row; 60] = [
    ("libacl1-dev", "sys/acl.h", "acl", "libacl"),
    ("libarchive-dev", "archive.h archive_entry.h", "archive", "libarchive"),
    ("libargon2-dev", "argon2.h", "argon2", "libargon2"),
    ("libasound2-dev", "alsa/", "asound", "alsa"),
    ("libbluetooth-dev", "bluetooth/", "bluetooth", "bluez"),
    ("libbz2-dev", "bzlib.h", "bz2", ""),
    ("libcap-dev", "sys/capability.h", "cap", "libcap"),
    ("libcurl4-openssl-dev", "curl/", "curl", "libcurl"),
    ("libev-dev", "ev.h", "ev", ""),
    ("libevent-dev", "event.h event2/", "event event_core event_openssl", "libevent"),
    ("libexpat1-dev", "expat.h expat_external.h", "expat", "expat"),
    ("libffi-dev", "ffi.h", "ffi", "libffi"),
    ("libgcrypt20-dev", "gcrypt.h", "gcrypt", "libgcrypt"),
    ("libgd-dev", "gd.h", "gd", "gdlib"),
    ("libgmp-dev", "gmp.h gmpxx.h", "gmp gmpxx", "gmp"),
    ("libgnutls28-dev", "gnutls/", "gnutls", "gnutls"),
    ("libhiredis-dev", "hiredis/", "hiredis", "hiredis"),
    ("libicu-dev", "unicode/", "icudata icui18n icuio icuuc", "icu-i18n icu-io icu-uc"),
    ("libjansson-dev", "jansson.h", "jansson", "jansson"),
    ("libjpeg62-turbo-dev", "jpeglib.h jerror.h", "jpeg", "libjpeg"),
    ("libkrb5-dev", "krb5.h gssapi.h gssapi/", "krb5 gssapi_krb5", "krb5 krb5-gssapi"),
    ("libldap-dev", "ldap.h lber.h", "ldap lber", "ldap lber"),
    ("libleveldb-dev", "leveldb/", "leveldb", ""),
    ("liblmdb-dev", "lmdb.h", "lmdb", "lmdb"),
    ("liblz4-dev", "lz4.h lz4frame.h lz4hc.h", "lz4", "liblz4"),
    ("liblzma-dev", "lzma.h", "lzma", "liblzma"),
    ("libmagic-dev", "magic.h", "magic", "libmagic"),
    ("libmariadb-dev", "mariadb/ mysql.h", "mariadb mariadbclient", "libmariadb mariadb"),
    (
        "libncurses-dev",
        "curses.h ncurses.h term.h",
        "curses ncurses ncursesw tinfo",
        "ncurses ncursesw tinfo",
    ),
    ("libnuma-dev", "numa.h", "numa", "numa"),
    ("libpam0g-dev", "security/", "pam pam_misc", "pam"),
    ("libpcap0.8-dev", "pcap.h pcap/", "pcap", "libpcap"),
    ("libpcre2-dev", "pcre2.h pcre2posix.h", "pcre2-8 pcre2-16 pcre2-32 pcre2-posix", "libpcre2-8"),
    ("libpng-dev", "png.h libpng16/", "png png16", "libpng libpng16"),
    ("libpq-dev", "libpq-fe.h postgresql/", "pq", "libpq"),
    ("libre2-dev", "re2/", "re2", "re2"),
    ("librdkafka-dev", "librdkafka/", "rdkafka rdkafka++", "rdkafka"),
    ("libreadline-dev", "readline/", "readline history", "readline"),
    ("librocksdb-dev", "rocksdb/", "rocksdb", "rocksdb"),
    ("libsasl2-dev", "sasl/", "sasl2", "libsasl2"),
    ("libsctp-dev", "netinet/sctp.h", "sctp", "libsctp"),
    ("libseccomp-dev", "seccomp.h", "seccomp", "libseccomp"),
    ("libsnappy-dev", "snappy.h snappy-c.h", "snappy", "snappy"),
    ("libsodium-dev", "sodium.h sodium/", "sodium", "libsodium"),
    ("libsqlite3-dev", "sqlite3.h sqlite3ext.h", "sqlite3", "sqlite3"),
    ("libssl-dev", "openssl/", "crypto ssl", "libcrypto libssl openssl"),
    ("libsystemd-dev", "systemd/", "systemd", "libsystemd"),
    ("libtiff-dev", "tiff.h tiffio.h", "tiff", "libtiff-4"),
    ("libudev-dev", "libudev.h", "udev", "libudev"),
    ("libunistring-dev", "unistr.h uniconv.h unicase.h", "unistring", ""),
    ("libusb-1.0-0-dev", "libusb.h libusb-1.0/", "usb-1.0", "libusb-1.0"),
    ("libuv1-dev", "uv.h uv/", "uv", "libuv"),
    ("libwebp-dev", "webp/", "webp", "libwebp"),
    ("libxml2-dev", "libxml/", "xml2", "libxml-2.0"),
    ("libyaml-dev", "yaml.h", "yaml", "yaml-0.1"),
    ("libzmq3-dev", "zmq.h", "zmq", "libzmq"),
    ("libzstd-dev", "zstd.h zdict.h", "zstd", "libzstd"),
    ("unixodbc-dev", "sql.h sqlext.h odbcinst.h", "odbc odbcinst", "odbc odbcinst"),
    ("uuid-dev", "uuid/", "uuid", "uuid"),
    ("zlib1g-dev", "zlib.h zconf.h", "z", "zlib"),
];

/// A package with its programs.
const PROGRAMS: [(&str, &str); 22] = [
    ("autoconf", "autoconf autoheader autoreconf autom4te"),
    ("automake", "aclocal automake"),
    ("bc", "bc"),
    ("bison", "bison"),
    ("cmake", "cmake"),
    ("curl", "curl"),
    ("file", "file"),
    ("flex", "flex lex"),
    ("gettext", "msgfmt"),
    ("git", "git"),
    ("libtool", "libtoolize glibtoolize"),
    ("libtool-bin", "libtool"),
    ("m4", "m4"),
    ("ninja-build", "ninja"),
    ("nasm", "nasm"),
    ("perl", "perl"),
    ("python3", "python3"),
    ("rsync", "rsync"),
    ("unzip", "unzip"),
    ("wget", "wget"),
    ("xsltproc", "xsltproc"),
    ("xxd", "xxd"),
];

/// Returns the package that has it, where that is common knowledge.
pub(super) fn package(lack: &Lack) -> Option<&'static str> {
    let has = |names: &str, wanted: &str| {
        let fits = |name: &str| name == wanted || name.ends_with('/') && wanted.starts_with(name);
        names.split(' ').any(|name| !name.is_empty() && fits(name))
    };
    let mut libraries = LIBRARIES.into_iter();
    match lack {
        Lack::Header(name) => libraries.find(|row| has(row.1, name)).map(|row| row.0),
        Lack::Library(name) => libraries.find(|row| has(row.2, name)).map(|row| row.0),
        Lack::Module(name) => libraries.find(|row| has(row.3, name)).map(|row| row.0),
        Lack::Program(name) => PROGRAMS.into_iter().find(|row| has(row.1, name)).map(|row| row.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_is_known_without_a_network() {
        for (lack, known) in [
            (Lack::Header("expat.h".into()), Some("libexpat1-dev")),
            (Lack::Header("openssl/evp.h".into()), Some("libssl-dev")),
            (Lack::Header("openssl".into()), None),
            (Lack::Library("yaml".into()), Some("libyaml-dev")),
            (Lack::Module("libxml-2.0".into()), Some("libxml2-dev")),
            (Lack::Program("autoreconf".into()), Some("autoconf")),
            (Lack::Header("own.h".into()), None),
        ] {
            assert_eq!(package(&lack), known, "{lack}");
        }
    }

    #[test]
    fn no_two_packages_are_named_for_one_thing() {
        let mut seen = std::collections::BTreeSet::new();
        for (_, headers, _, _) in LIBRARIES {
            assert!(headers.split(' ').all(|header| seen.insert(header)), "{headers}");
        }
    }
}
