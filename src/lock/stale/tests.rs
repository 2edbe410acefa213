use std::collections::BTreeMap;

use super::stale;
use crate::digest::Digest;
use crate::lock::{Lock, Pin, ProjectFacts, Role, ServiceLock, Source};
use crate::manifest::rebar::RebarFacts;
use crate::manifest::{
    Build, DepOverride, DevWish, ImageWish, Manifest, Project, ReleaseWish, Tool, ToolchainWish,
};

fn manifest() -> Manifest {
    Manifest {
        dev: DevWish::default(),
        services: BTreeMap::new(),
        content: Digest::of(b""),
        project: Project { name: "top".into(), version: "1".into() },
        toolchain: ToolchainWish {
            otp: "25".into(),
            packages: vec!["libz-dev".into(), "libexpat1-dev".into()],
        },
        build: Build { tool: Tool::Rebar3, profile: "prod".into(), ..Build::default() },
        lock: Default::default(),
        deps: BTreeMap::new(),
        tools: BTreeMap::new(),
        release: ReleaseWish::default(),
        image: ImageWish {
            name: "top".into(),
            platforms: vec![],
            base: None,
            ports: vec![],
            env: BTreeMap::new(),
            user: (1, 1),
            volumes: vec![],
            labels: BTreeMap::new(),
            health: None,
            entrypoint: None,
            cmd: vec![],
            shell: None,
            epmd: None,
            tzdata: false,
            ca_certificates: None,
        },
        hex: BTreeMap::new(),
        mirrors: BTreeMap::new(),
    }
}

fn list(names: &str) -> String {
    let dep = |name: &str| {
        let (app, tag) = name.split_once('@').unwrap();
        format!(r#"{{{app}, {{git, "git://git.example/{app}.git", {{tag, "{tag}"}}}}}}"#)
    };
    let deps: Vec<String> = names.split_whitespace().map(dep).collect();
    format!("[{}]", deps.join(", "))
}

fn project(deps: &str, prod: &str, plugins: &str) -> ProjectFacts {
    let text = format!(
        "{{deps, {}}}. {{plugins, {}}}. {{profiles, [{{prod, [{{deps, {}}}]}}]}}.",
        list(deps),
        list(plugins),
        list(prod)
    );
    ProjectFacts {
        name: "top".into(),
        profiles: vec!["prod".into()],
        config: RebarFacts::read(&text, "rebar.config").unwrap(),
        apps: BTreeMap::from([("top".into(), RebarFacts::default())]),
        local: BTreeMap::new(),
        tools: vec![],
        rule: Default::default(),
    }
}

fn source(role: Role, app: &str, parents: &[&str]) -> Source {
    Source {
        parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
        ..Source::of(
            app,
            role,
            Pin::Git {
                url: format!("https://git.example/{app}"),
                commit: "0".repeat(40),
                subdir: None,
                tree: Digest::of(app.as_bytes()),
            },
            "tag 1",
        )
    }
}

/// `a` and, in `prod`, `b`; `c` below `a`; the plugin `pc`.
fn lock() -> Lock {
    let mut b = source(Role::Dep, "b", &["top"]);
    b.profiles.insert("prod".into());
    let mut lock = Lock::of(vec![
        source(Role::Dep, "a", &["top"]),
        b,
        source(Role::Dep, "c", &["a"]),
        source(Role::Plugin, "pc", &["top"]),
    ]);
    lock.toolchain.wished = vec!["libexpat1-dev".into(), "libz-dev".into()];
    lock
}

fn said(lock: &Lock, project: &ProjectFacts, manifest: &Manifest) -> Vec<String> {
    stale(lock, project, manifest).iter().map(ToString::to_string).collect()
}

fn fitting() -> ProjectFacts {
    project("a@1", "b@1", "pc@1")
}

#[test]
fn a_lock_that_fits_has_nothing_stale() {
    assert_eq!(said(&lock(), &fitting(), &manifest()), Vec::<String>::new());
}

#[test]
fn each_stale_field_is_named_with_what_is_asked_for() {
    let now = project("a@2 d@1", "", "");
    let mut manifest = manifest();
    manifest.toolchain.otp = "27".into();
    manifest.toolchain.packages = vec![];
    let mut lock = lock();
    lock.image_format = 0;
    assert_eq!(
        said(&lock, &now, &manifest),
        [
            "`image_format` of the lock is `0`, and `1` is asked for",
            "`otp` of [toolchain] is `25`, and `27` is asked for",
            "`packages` of [toolchain] is `libexpat1-dev, libz-dev`, and `none` is asked for",
            "`wanted` of dep `a` is `tag 1`, and `tag 2` is asked for",
            "dep `d` is not locked, and `https://git.example/d tag 1` is asked for",
            "dep `b` is locked as `https://git.example/b tag 1`, and the project no longer asks for it",
            "plugin `pc` is locked as `https://git.example/pc tag 1`, and the project no longer asks for it",
        ]
    );
}

#[test]
fn another_address_is_stale_and_another_spelling_of_it_is_not() {
    let mut lock = lock();
    let Pin::Git { url, .. } = &mut lock.sources[0].pin else { unreachable!("it is git") };
    *url = "https://elsewhere.example/a".into();
    assert_eq!(
        said(&lock, &fitting(), &manifest()),
        [
            "`url` of dep `a` is `https://elsewhere.example/a`, and `https://git.example/a` is asked for"
        ]
    );
}

#[test]
fn a_move_between_profiles_is_stale() {
    let now = project("b@1", "a@1", "pc@1");
    assert_eq!(
        said(&lock(), &now, &manifest()),
        [
            "`profiles` of dep `a` is `default`, and `prod` is asked for",
            "`profiles` of dep `b` is `prod`, and `default` is asked for",
        ]
    );
}

#[test]
fn a_plugin_that_lost_to_one_installed_before_it_is_not_stale() {
    let mut lock = lock();
    let now = project("a@1", "b@1", "pc@2");
    assert_eq!(said(&lock, &now, &manifest()).len(), 1);
    lock.sources[3].lost = vec!["https://git.example/pc tag 2 (by top)".into()];
    assert_eq!(said(&lock, &now, &manifest()), Vec::<String>::new());
}

#[test]
fn a_choice_is_stale_until_it_is_what_is_locked() {
    let mut manifest = manifest();
    let choose =
        |choice: &str| DepOverride { use_source: Some(choice.into()), ..DepOverride::default() };
    for (choice, expected) in [
        ("top", None),
        ("https://git.example/a#1", None),
        ("c", Some("`wanted` of dep `a` is `tag 1`, and `c` is asked for")),
        (
            "https://git.example/a#2",
            Some("`wanted` of dep `a` is `tag 1`, and `https://git.example/a#2` is asked for"),
        ),
    ] {
        manifest.deps.insert("a".into(), choose(choice));
        let said = said(&lock(), &fitting(), &manifest);
        assert_eq!(said.first().map(String::as_str), expected, "{choice}");
    }
}

#[test]
fn a_choice_of_a_parent_that_lost_is_stale() {
    let mut lock = lock();
    lock.sources[0].parents.insert("c".into());
    let mut manifest = manifest();
    let dep = manifest.deps.entry("a".into()).or_default();
    dep.use_source = Some("c".into());
    assert_eq!(said(&lock, &fitting(), &manifest), Vec::<String>::new());
    lock.sources[0].lost = vec!["https://git.example/a tag 9 (by b, c)".into()];
    assert_eq!(
        said(&lock, &fitting(), &manifest),
        ["`wanted` of dep `a` is `tag 1`, and `c` is asked for"]
    );
}

#[test]
fn an_application_that_became_the_projects_own_is_stale() {
    let mut now = fitting();
    now.apps.insert("c".into(), RebarFacts::default());
    assert_eq!(
        said(&lock(), &now, &manifest()),
        [
            "dep `c` is locked as `https://git.example/c tag 1`, and the project no longer asks for it"
        ]
    );
}

#[test]
fn an_ignored_plugin_is_not_missed() {
    let mut manifest = manifest();
    let dep = manifest.deps.entry("top".into()).or_default();
    dep.ignore_plugins = vec!["lint".into()];
    let now = project("a@1", "b@1", "pc@1 lint@1");
    assert_eq!(said(&lock(), &now, &manifest), Vec::<String>::new());
}

#[test]
fn a_service_whose_packages_are_not_locked_is_stale_and_one_too_much_is_too() {
    let services = "[services.db]\nkind = \"postgres\"\n";
    let text = format!(
        "[project]\nname = \"top\"\nversion = \"1\"\n[toolchain]\notp = \"25\"\n{services}"
    );
    let path = std::path::Path::new("rebeam.toml");
    let wished = Manifest::parse(&text, path).unwrap().services;
    let manifest = Manifest { services: wished, ..manifest() };
    let mut lock = Lock::of(vec![]);
    let said = |lock: &Lock, manifest: &Manifest| {
        let found = stale(lock, &project("", "", ""), manifest);
        let about = found.iter().filter(|one| one.entry.contains("service"));
        about.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        said(&lock, &manifest),
        ["a service of `[[service]]` is not locked, and `postgresql` is asked for"]
    );
    let (wished, suite) = (vec!["postgresql".into()], "bookworm".into());
    lock.services = vec![ServiceLock { wished, suite, debs: vec![] }];
    assert_eq!(said(&lock, &manifest), Vec::<String>::new());
    let none = Manifest { services: BTreeMap::new(), ..manifest };
    assert_eq!(
        said(&lock, &none),
        [
            "a service of `[[service]]` is locked as `postgresql`, and the project no longer asks for it"
        ]
    );
}
