use std::path::Path;

use super::{Detected, FILE_NAME, detect};
use crate::disk;
use crate::explain::Explain as _;
use crate::manifest::Manifest;
use crate::manifest::Tool;

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        disk::create_dir_all(path.parent().unwrap()).unwrap();
        disk::write_atomic(&path, text.as_bytes()).unwrap();
    }
    dir
}

fn manifest(detected: &Detected) -> Manifest {
    let text = detected.to_manifest_text();
    Manifest::parse(&text, Path::new("rebeam.toml")).unwrap()
}

#[test]
fn a_release_with_a_nif_is_found() {
    let dir = project(&[
        (
            "rebar.config",
            r#"{minimum_otp_vsn, "25.1"}. {deps, [jsx, {ranch, "2.1.0"}]}. {plugins, [pc]}.
{relx, [{release, {hello_http, "1.2.0+dev"}, [hello, sasl]}, {dev_mode, false}]}."#,
        ),
        ("rebar.config.script", "CONFIG."),
        ("rebar.lock", "[]."),
        ("apps/hello/src/hello.app.src", "{application, hello, [{vsn, \"1.2.0\"}]}."),
        ("apps/web/src/web.app.src", "{application, web, [{vsn, git}]}."),
        ("apps/hello/c_src/nif.c", ""),
        ("mix.exs", ""),
    ]);
    let detected = detect(dir.path()).unwrap();
    assert_eq!(
        detected.lines(),
        [
            "`rebar.config` with 2 dependencies and 1 plugin",
            "`rebar.config.script`, which `rebeam lock` evaluates",
            "`rebar.lock`, which `rebeam lock` imports",
            "release `hello_http` 1.2.0+dev",
            "application `hello` 1.2.0",
            "application `web` with a computed version",
            "C code in `apps/hello/c_src`",
            "OTP 25.1 or later is asked for",
            "`mix.exs`, which rebeam does not read",
        ]
    );
    assert!(!detected.has_manifest);
    let manifest = manifest(&detected);
    assert_eq!(manifest.project.name, "hello_http");
    assert_eq!(manifest.project.version, "1.2.0-dev");
    assert_eq!(manifest.toolchain.otp, "27");
    assert_eq!(manifest.release.name, None);
}

#[test]
fn a_plain_application_is_found() {
    let dir = project(&[("src/my_app.app.src", "{application, my_app, [{vsn, \"0.3\"}]}.")]);
    let detected = detect(dir.path()).unwrap();
    assert_eq!(detected.lines(), ["application `my_app` 0.3"]);
    assert_eq!(
        detected.to_manifest_text(),
        r#"# What rebeam builds, and with what. `rebeam lock` comes next.

[project]
name = "my_app"
version = "0.3"

[toolchain]
otp = "27" # one of 23, 25, 27, 29
# packages = ["zlib1g-dev"]

[image]
# ports = [8080]
# volumes = ["/data"]
# shell = "busybox" # for remote_console
"#
    );
    manifest(&detected);
}

#[test]
fn names_that_no_image_may_have_are_changed_and_kept_for_the_release() {
    let config = "{relx, [{release, {'Shop__', semver}, [a]}]}.";
    let dir = project(&[("rebar.config", config), ("src/a.app.src", "not terms")]);
    let detected = detect(dir.path()).unwrap();
    let manifest = manifest(&detected);
    assert_eq!(manifest.project.name, "shop");
    assert_eq!(manifest.project.version, "0.1.0");
    assert_eq!(manifest.release.name.as_deref(), Some("Shop__"));
}

#[test]
fn the_preset_follows_tool_versions_and_the_minimum() {
    for (tools, config, otp) in [
        ("", "", "27"),
        ("elixir 1.15\nerlang 25.3.2\n", "", "25"),
        ("erlang 24.0\n", "", "25"),
        ("erlang 31.0\n", "", "29"),
        ("", "{minimum_otp_vsn, \"28\"}.", "29"),
        ("", "{minimum_otp_vsn, \"21.0\"}.", "27"),
        ("", "{require_min_otp_vsn, \"R16\"}.", "27"),
    ] {
        let dir = project(&[(".tool-versions", tools), ("rebar.config", config)]);
        assert_eq!(detect(dir.path()).unwrap().otp, otp, "{tools}{config}");
    }
}

#[test]
fn a_directory_without_a_project_is_refused() {
    let dir = project(&[("gleam.toml", "")]);
    let error = detect(dir.path()).unwrap_err();
    let message = format!(
        "`{}` holds no project of rebar3, rebar 2, erlang.mk, mix or make, only `gleam.toml`",
        dir.path().display()
    );
    assert_eq!(error.to_string(), message);
    assert!(error.hint().unwrap().contains("rebar.config"));
}

#[test]
fn a_mix_project_gets_a_manifest_that_says_so() {
    let text = "def project, do: [app: :shop, version: \"1.2.0\"]";
    let dir = project(&[("mix.exs", text), ("mix.lock", "%{}")]);
    let detected = detect(dir.path()).unwrap();
    assert_eq!((detected.name.as_str(), detected.version.as_str()), ("shop", "1.2.0"));
    assert!(detected.lines().contains(&"`mix.lock`, which `rebeam lock` imports".to_owned()));
    assert!(detected.to_manifest_text().contains("[build]\ntool = \"mix\"\n"));
}

#[test]
fn a_malformed_configuration_is_refused() {
    let dir = project(&[("rebar.config", "{deps, [}.")]);
    let error = detect(dir.path()).unwrap_err();
    assert_eq!(error.to_string(), "`rebar.config` cannot be read");
}

#[test]
fn releases_in_a_profile_or_a_file_of_relx_are_found() {
    let config = "{profiles, [{prod, [{relx, [{release, {a, \"1\"}, [b]}]}]}]}.";
    let relx = "{release, {c, \"2\"}, [d], [{include_erts, true}]}.";
    let dir = project(&[("rebar.config", config), ("relx.config", relx), (FILE_NAME, "")]);
    let detected = detect(dir.path()).unwrap();
    let names: Vec<_> = detected.releases.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    assert!(detected.has_manifest);
}

#[test]
fn a_manifest_is_written_once_and_never_over_another() {
    let dir = project(&[("rebar.config", "{deps, []}.")]);
    let detected = detect(dir.path()).unwrap();
    let path = detected.write_manifest(dir.path()).unwrap();
    assert!(Manifest::read(dir.path()).is_ok());
    let error = detected.write_manifest(dir.path()).unwrap_err();
    let message = format!("`{}` exists and is not overwritten", path.display());
    assert_eq!(error.to_string(), message);
}

fn found(files: &[(&str, &str)]) -> Detected {
    let place = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = place.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let detected = detect(place.path()).unwrap();
    let path = place.path().join(FILE_NAME);
    super::super::Manifest::parse(&detected.to_manifest_text(), &path).unwrap();
    detected
}

#[test]
fn words_that_only_a_script_understands_are_left_to_it_and_configure_comes_first() {
    let config = "{deps, [{if_var_true, pam, {epam, \"1.0\"}}]}.
{relx, [{release, {talk, {cmd, \"x\"}}, [talk]}]}.";
    let files =
        [("rebar.config", config), ("configure.ac", ""), ("rebar.config.script", "CONFIG.")];
    let detected = found(&files);
    assert_eq!((detected.tool, detected.name.as_str()), (Tool::Rebar3, "talk"));
    let manifest = manifest(&detected);
    assert_eq!(manifest.build.configure, [vec!["autoreconf", "-fi"], vec!["./configure"]]);
    assert_eq!(manifest.toolchain.packages, ["autoconf", "automake"]);
    let dir = project(&files[..1]);
    assert!(detect(dir.path()).is_err());
}

#[test]
fn projects_of_other_tools_are_recognised() {
    let makefile = "PROJECT = shop\nPROJECT_VERSION = 2.3\nDEPS = a\ninclude erlang.mk\n";
    let relx = "{release, {shop_rel, \"2.3\"}, [shop]}.";
    let erlang_mk =
        found(&[("Makefile", makefile), ("erlang.mk", "perl -e"), ("relx.config", relx)]);
    assert_eq!(erlang_mk.tool, Tool::ErlangMk);
    assert_eq!((erlang_mk.name.as_str(), erlang_mk.version.as_str()), ("shop_rel", "2.3"));
    assert_eq!(erlang_mk.packages, ["perl"]);

    let reltool = "{sys, [{rel, \"couch\", \"3.4\", [kernel]}, {boot_rel, \"couch\"}]}.";
    let rebar = found(&[
        ("rebar.config", "{sub_dirs, [\"src/a\", \"rel\"]}."),
        ("rel/reltool.config", reltool),
    ]);
    assert_eq!(
        (rebar.tool, rebar.name.as_str(), rebar.version.as_str()),
        (Tool::Rebar, "couch", "3.4")
    );

    let script = found(&[
        ("rebar.config.script", "CONFIG."),
        ("rel/reltool.config", &reltool.replace("3.4", "")),
        ("configure", "#!/bin/sh"),
        ("Makefile", "rel:\n\trebar generate\n"),
        ("mix.exs", ""),
    ]);
    assert_eq!((script.tool, script.name.as_str()), (Tool::Rebar, "couch"));
    assert_eq!(script.configure, ["./configure"]);

    let own = found(&[("Makefile", "rel:\n\t./build\n")]);
    assert_eq!(own.tool, Tool::Make);

    let both = found(&[("Makefile", "all:\n\trebar3 compile\n"), ("rebar.config", "{deps, []}.")]);
    assert_eq!(both.tool, Tool::Rebar3);
}
