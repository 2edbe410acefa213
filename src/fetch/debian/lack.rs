//! Lack: what a failed build says it did not find, in the words of compilers, linkers, pkg-config and configure.

use std::collections::BTreeSet;
use std::fmt;

/// Things that one log may name; a configure script that finds nothing names hundreds.
const LACKS_MAX: usize = 8;

/// Something of the system that a build asked for and that is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// A header, as it is included: `openssl/ssl.h`.
    Header(String),
    /// A library, as `-l` names it: `expat`.
    Library(String),
    /// A module of pkg-config: `libxml-2.0`.
    Module(String),
    /// A program: `autoconf`.
    Program(String),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) | Self::Program(name) => write!(f, "`{name}`"),
            Self::Library(name) => write!(f, "`-l{name}`"),
            Self::Module(name) => write!(f, "`{name}.pc`"),
        }
    }
}

/// Reads what a log says is not there.
pub fn lacks(log: &str) -> Vec<Lack> {
    let mut found = BTreeSet::new();
    // What configure looked for last is what its error is about.
    let mut sought = None;
    for line in log.lines() {
        sought = not_found(line).or(sought);
        let said = said(line);
        if line.contains("configure: error:") {
            found.extend(said.or_else(|| sought.take()));
        } else {
            found.extend(said);
        }
        if found.len() >= LACKS_MAX {
            break;
        }
    }
    found.into_iter().collect()
}

fn said(line: &str) -> Option<Lack> {
    compiler(line)
        .or_else(|| linker(line))
        .or_else(|| pkg_config(line))
        .or_else(|| shell(line))
        .or_else(|| configure(line))
}

/// `x.c:1:10: fatal error: expat.h: No such file or directory`, and clang's `'expat.h' file not found`.
fn compiler(line: &str) -> Option<Lack> {
    let (_, rest) = line.split_once("fatal error: ")?;
    let name = rest
        .strip_suffix(": No such file or directory")
        .or_else(|| rest.strip_prefix('\'')?.strip_suffix("' file not found"))?;
    Some(Lack::Header(plain(name)?))
}

/// `ld: cannot find -lexpat: No such file or directory`, and `ld: library not found for -lexpat`.
fn linker(line: &str) -> Option<Lack> {
    let (_, rest) = line
        .split_once("cannot find -l")
        .or_else(|| line.split_once("library not found for -l"))?;
    Some(Lack::Library(plain(rest.split([':', ' ']).next()?)?))
}

/// `Package libxml-2.0 was not found in the pkg-config search path.` and `No package 'libxml-2.0' found`.
fn pkg_config(line: &str) -> Option<Lack> {
    let name = match line.split_once("No package '") {
        Some((_, rest)) => rest.split_once("' found")?.0,
        None => {
            let (_, rest) = line.split_once("Package ")?;
            let (name, rest) = rest.split_once(' ')?;
            rest.starts_with("was not found in the pkg-config search path").then_some(name)?
        }
    };
    Some(Lack::Module(plain(name.trim_end_matches(','))?))
}

/// `sh: 1: autoreconf: not found`, `bash: cmake: command not found`, `make: cmake: No such file or directory`.
fn shell(line: &str) -> Option<Lack> {
    let makes = ["make: ", "env: '", "make[1]: ", "make[2]: ", "make[3]: "];
    let is_make = makes.iter().any(|start| line.starts_with(start));
    let rest = line
        .strip_suffix(": command not found")
        .or_else(|| line.strip_suffix(": not found"))
        .or_else(|| line.strip_suffix(": No such file or directory").filter(|_| is_make))?;
    let name = rest.rsplit([' ', '/']).next()?.trim_matches('\'');
    Some(Lack::Program(plain(name)?))
}

/// `configure: error: Header file yaml.h was not found.` and `configure: error: libyaml not found`.
fn configure(line: &str) -> Option<Lack> {
    let (_, rest) = line.split_once("configure: error: ")?;
    if !rest.contains("not found") && !rest.contains("required") && !rest.contains("missing") {
        return None;
    }
    let words =
        || rest.split(|c: char| c.is_whitespace() || matches!(c, ',' | '\'' | '"' | '(' | ')'));
    if let Some(header) =
        words().map(|word| word.trim_matches(['<', '>', '.'])).find(|word| word.ends_with(".h"))
    {
        return Some(Lack::Header(plain(header)?));
    }
    let library =
        words().find_map(|word| word.strip_prefix("lib").filter(|name| name.len() > 1))?;
    Some(Lack::Library(plain(library.trim_end_matches(['.', ':']))?))
}

/// `checking for expat.h... no` and `checking for XML_Parse in -lexpat... no`.
fn not_found(line: &str) -> Option<Lack> {
    let rest = line.strip_prefix("checking for ")?;
    let what = rest.strip_suffix("... no")?;
    if let Some((_, library)) = what.split_once(" in -l") {
        return Some(Lack::Library(plain(library)?));
    }
    what.ends_with(".h").then(|| plain(what).map(Lack::Header))?
}

/// Takes a name for what it seems to be only if it is one: a log is a stranger's text.
fn plain(name: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._+-/".contains(c);
    let is_name = !name.is_empty() && name.len() < 200 && name.chars().all(fits);
    (is_name && !name.starts_with(['-', '/', '.'])).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(log: &str) -> Lack {
        let found = lacks(log);
        assert_eq!(found.len(), 1, "{log}: {found:?}");
        found.into_iter().next().unwrap()
    }

    #[test]
    fn every_tools_words_are_understood() {
        let header = |name: &str| Lack::Header(name.into());
        let library = |name: &str| Lack::Library(name.into());
        let module = |name: &str| Lack::Module(name.into());
        let program = |name: &str| Lack::Program(name.into());
        for (line, lack) in [
            ("c_src/x.c:3:10: fatal error: expat.h: No such file or directory", header("expat.h")),
            ("x.cc:1:10: fatal error: 'openssl/ssl.h' file not found", header("openssl/ssl.h")),
            ("/usr/bin/ld: cannot find -lexpat: No such file or directory", library("expat")),
            ("/usr/bin/ld: cannot find -lexpat", library("expat")),
            ("ld: library not found for -lyaml", library("yaml")),
            (
                "Package libxml-2.0 was not found in the pkg-config search path.",
                module("libxml-2.0"),
            ),
            ("No package 'gtk+-3.0' found", module("gtk+-3.0")),
            (
                "Package 'x', required by 'virtual:world', not found\nNo package 'x' found",
                module("x"),
            ),
            ("sh: 1: autoreconf: not found", program("autoreconf")),
            ("/bin/sh: line 2: cmake: command not found", program("cmake")),
            ("make: cmake: No such file or directory", program("cmake")),
            ("configure: error: Header file yaml.h was not found.", header("yaml.h")),
            ("configure: error: libyaml not found", library("yaml")),
            ("checking for expat.h... no\nconfigure: error: Expat is needed", header("expat.h")),
            ("checking for XML_Parse in -lexpat... no\nconfigure: error: no XML", library("expat")),
        ] {
            assert_eq!(one(line), lack, "{line}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_left_alone() {
        for line in [
            "fatal error: : No such file or directory",
            "x.c:1:10: fatal error: ../own.h: No such file or directory",
            "x.c:1:10: fatal error: $(evil): No such file or directory",
            "checking for expat.h... no",
            "===> hook not found in the plan",
            "Package foo was built",
            "cp: cannot stat 'x': No such file or directory",
        ] {
            let found = lacks(line);
            let is_program = |lack: &Lack| matches!(lack, Lack::Program(_));
            assert!(found.iter().all(is_program), "{line}: {found:?}");
        }
    }
}
