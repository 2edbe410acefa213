//! Tools: what is built from source beside the project, wished or not.

use std::collections::BTreeMap;

use super::Manifest;
use super::rebar::{GitRef, WishSource};

/// The name under which rebar3 is locked.
pub const REBAR3: &str = "rebar3";
/// The name under which an OTP from source is locked.
pub const OTP: &str = "otp";

/// rebar3 3.20.0, the oldest that brings along all that it is built from.
const REBAR3_URL: &str = "https://github.com/erlang/rebar3";
const REBAR3_COMMIT: &str = "3f563feaf1091a1980241adefa83a32dd2eebf7c";
/// The content hash of that commit's tree.
const REBAR3_TREE: &str = "sha256-0CI4JrPmNHdX2ofYGTeOp4nWKDF6lcqZ2G7by0ZjBdY=";
/// The OTP whose Debian suite came before rebar3.
const WITHOUT_REBAR3: &str = "23";

/// What an OTP is built with beside the preset's compilers.
const OTP_NEEDS: [&str; 5] = ["autoconf", "libncurses-dev", "libssl-dev", "m4", "perl"];

/// Returns the content hash of a source that this very program names.
pub fn known_tree(source: &WishSource) -> Option<&'static str> {
    (*source == rebar3()).then_some(REBAR3_TREE)
}

/// Returns the line for `[tools]` that asks for a rebar3 which any OTP from 23 to 26 builds.
pub fn rebar3_line() -> String {
    format!("rebar3 = \"git+{REBAR3_URL}#{REBAR3_COMMIT}\"")
}

fn rebar3() -> WishSource {
    let reference = GitRef::Commit(REBAR3_COMMIT.into());
    WishSource::Git { url: REBAR3_URL.into(), reference, subdir: None }
}

impl Manifest {
    /// Returns the tools that are built from source: those of `[tools]`, and rebar3 where Debian's suite has none.
    pub fn wished_tools(&self) -> BTreeMap<String, WishSource> {
        let mut tools = self.tools.clone();
        if self.toolchain.otp == WITHOUT_REBAR3 {
            tools.entry(REBAR3.into()).or_insert_with(rebar3);
        }
        tools
    }

    /// Returns the Debian packages beside the preset's, sorted: those of `[toolchain]`, and what the tools need.
    pub fn wished_packages(&self) -> Vec<String> {
        let mut packages = self.toolchain.packages.clone();
        if self.tools.contains_key(OTP) {
            packages.extend(OTP_NEEDS.map(str::to_owned));
        }
        packages.sort();
        packages.dedup();
        packages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(otp: &str, tools: &str) -> Manifest {
        let text = format!(
            "[project]\nname = \"shop\"\nversion = \"1\"\n[toolchain]\notp = \"{otp}\"\npackages = [\"libyaml-dev\"]\n[tools]\n{tools}"
        );
        Manifest::parse(&text, std::path::Path::new("/shop/rebeam.toml")).unwrap()
    }

    #[test]
    fn a_suite_without_rebar3_gets_one_from_source() {
        let tools = manifest("23", "").wished_tools();
        assert_eq!(tools, manifest("25", &rebar3_line()).wished_tools());
        assert!(known_tree(&tools[REBAR3]).is_some());
        assert!(manifest("25", "").wished_tools().is_empty());
        let own = manifest("23", "rebar3 = \"./rebar3\"").wished_tools();
        assert_eq!(own[REBAR3], WishSource::Path { path: "rebar3".into() });
    }

    #[test]
    fn an_otp_from_source_brings_what_it_is_built_with() {
        assert_eq!(manifest("25", "").wished_packages(), ["libyaml-dev"]);
        let packages = manifest("25", "otp = \"./otp\"").wished_packages();
        assert!(packages.is_sorted() && packages.contains(&"perl".to_owned()));
    }
}
