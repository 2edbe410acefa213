use super::{GitRef, Overrides, RebarError, RebarFacts, Wish, WishSource, read_terms};
use crate::explain::Explain as _;

fn facts(text: &str) -> RebarFacts {
    RebarFacts::read(text, "rebar.config").unwrap()
}

fn refused(text: &str) -> RebarError {
    RebarFacts::read(text, "rebar.config").expect_err(text)
}

/// One line a wish, to compare at a glance.
fn show(wishes: &[Wish]) -> Vec<String> {
    let show = |wish: &Wish| match &wish.source {
        WishSource::Git { url, reference, subdir } => {
            let subdir = subdir.as_deref().map_or(String::new(), |dir| format!(" in {dir}"));
            format!("{}: {url} {reference}{subdir}", wish.app)
        }
        WishSource::Hex { package, requirement, .. } => {
            let version = requirement.as_deref().unwrap_or("any");
            format!("{}: {package} {version}", wish.app)
        }
        other => format!("{}: {other:?}", wish.app),
    };
    wishes.iter().map(show).collect()
}

#[test]
fn every_form_of_a_dependency_is_read() {
    for (dep, wish) in [
        ("jsx", "jsx: jsx any"),
        ("<<\"jsx\">>", "jsx: jsx any"),
        (r#"{jsx, "3.1.0"}"#, "jsx: jsx 3.1.0"),
        (r#"{jsx, "~> 3.1"}"#, "jsx: jsx ~> 3.1"),
        (r#"{jsx, <<"3.1.0">>}"#, "jsx: jsx 3.1.0"),
        ("{uuid, {pkg, uuid_erl}}", "uuid: uuid_erl any"),
        (r#"{uuid, "2.0.6", {pkg, uuid_erl}}"#, "uuid: uuid_erl 2.0.6"),
        (r#"{uuid, {pkg, uuid_erl, "2.0.6"}}"#, "uuid: uuid_erl 2.0.6"),
        (r#"{<<"uuid">>, {pkg, <<"uuid_erl">>, <<"2.0.6">>}, 0}"#, "uuid: uuid_erl 2.0.6"),
        (r#"{a, {git, "u"}}"#, "a: u default branch"),
        (r#"{a, {git, "u", ""}}"#, "a: u default branch"),
        (r#"{a, {git, "u", []}}"#, "a: u default branch"),
        (r#"{a, {git, "u", "HEAD"}}"#, "a: u default branch"),
        (r#"{a, {git, "u", {ref, "origin/HEAD"}}}"#, "a: u default branch"),
        (r#"{a, {git, "u", {tag, "1.0"}}}"#, "a: u tag 1.0"),
        (r#"{a, {git, "u", {branch, "main"}}}"#, "a: u branch main"),
        (r#"{a, {git, "u", {branch, main}}}"#, "a: u branch main"),
        (r#"{a, {git, "u", {ref, "576FB5D"}}}"#, "a: u commit 576fb5d"),
        (r#"{a, {git, "u", {ref, "v1.2"}}}"#, "a: u tag v1.2"),
        (r#"{a, {git, "u", "master"}}"#, "a: u branch master"),
        (r#"{a, {git, "u", "1.2.3"}}"#, "a: u tag 1.2.3"),
        (r#"{a, ".*", {git, "u", {tag, "1.0"}}}"#, "a: u tag 1.0"),
        (r#"{a, "", {git, "u", "master"}}"#, "a: u branch master"),
        (r#"{a, ".*", {git, "u", "master"}, [raw]}"#, "a: u branch master"),
        (r#"{a, {git, "u", {tag, "1.0"}}, [raw]}"#, "a: u tag 1.0"),
        (r#"{a, {git, "u", {tag, "1.0"}}, []}"#, "a: u tag 1.0"),
        (r#"{a, {git_subdir, "u", {branch, "main"}, "apps/a"}}"#, "a: u branch main in apps/a"),
        (r#"{a, {git_subdir, "u", {tag, "1"}, "./apps/"}}"#, "a: u tag 1 in apps/a"),
    ] {
        let facts = facts(&format!("{{deps, [{dep}]}}."));
        assert_eq!(show(&facts.deps), [wish], "{dep}");
    }
}

#[test]
fn a_dependency_that_fits_no_form_is_named() {
    for (config, message) in [
        ("{deps, jsx}.", "`deps` of `rebar.config` is not a list"),
        (
            "{deps, [{jsx, latest}]}.",
            "`deps` of `rebar.config` holds `{jsx,latest}`, which is no dependency that rebar3 knows",
        ),
        (
            "{plugins, [{}]}.",
            "`plugins` of `rebar.config` holds `{}`, which is no dependency that rebar3 knows",
        ),
        (
            "{project_plugins, [{a, {git, \"u\", {tag}}}]}.",
            "`project_plugins` of `rebar.config` holds `{a,{git,\"u\",{tag}}}`, which is no dependency that rebar3 knows",
        ),
        (
            "{deps, [{a, {git, \"--upload-pack=x\", \"\"}}]}.",
            "`deps` of `rebar.config` holds `{a,{git,\"--upload-pack=x\",\"\"}}`, which is no dependency that rebar3 knows",
        ),
        (
            "{deps, [{a, {git_subdir, \"u\", \"main\", \"../a\"}}]}.",
            "`deps` of `rebar.config` holds `{a,{git_subdir,\"u\",\"main\",\"../a\"}}`, which is no dependency that rebar3 knows",
        ),
        (
            "{deps, [{'../../etc', \"1.0\"}]}.",
            "`../../etc` is no name for an application or package",
        ),
        ("{deps, [{a, {pkg, 'b/c'}}]}.", "`b/c` is no name for an application or package"),
        (
            "{deps, [{a, {hg, \"u\", \"tip\"}}]}.",
            "`a` comes from `hg`, and rebeam fetches from git and hex only",
        ),
        (
            "{deps, [{a, {path, \"../a\"}}]}.",
            "`a` comes from `path`, and rebeam fetches from git and hex only",
        ),
    ] {
        assert_eq!(refused(config).to_string(), message);
    }
}

#[test]
fn a_malformed_configuration_names_file_line_and_column() {
    let failure = crate::explain::Failure::from(refused("{deps, [\n  jsx\n  cowboy\n]}.\n"));
    assert_eq!(
        failure.messages(),
        ["`rebar.config` cannot be read", "line 3, column 3: expected `,` or `]`, found `cowboy`"]
    );
    let conflict = refused("<<<<<<< HEAD\n{deps, []}.\n");
    assert!(conflict.hint().unwrap().contains("settle the merge"));
}

#[test]
fn profiles_and_plugins_are_read() {
    let facts = facts(
        r#"{plugins, [pc, {rebar3_hex, "7.0.0"}]}.
{project_plugins, [erlfmt]}.
{profiles, [
    {prod, [{deps, [recon]}, {plugins, [p]}]},
    {dev, [{deps, [{x, {path, "../x"}}]}]},
    {test, [{deps, [meck]}]}
]}."#,
    );
    assert_eq!(show(&facts.plugins), ["pc: pc any", "rebar3_hex: rebar3_hex 7.0.0"]);
    assert_eq!(show(&facts.project_plugins), ["erlfmt: erlfmt any"]);
    let names: Vec<_> = facts.profiles.keys().map(String::as_str).collect();
    assert_eq!(names, ["prod", "test"], "what cannot be read is left out");
    assert_eq!(show(&facts.profile("prod").unwrap().deps), ["recon: recon any"]);
    assert!(facts.profile("dev").is_err(), "and says so when it is asked for");
    assert_eq!(facts.profile("none").unwrap(), super::ProfileFacts::default());
}

#[test]
fn a_lock_beside_the_configuration_stands_in_place_of_deps() {
    let config = || facts("{deps, [{a, {git, \"u\", {branch, \"main\"}}}]}.");
    let lock = r#"{"1.2.0",
[{<<"a">>,{git,"u",{ref,"0123456789012345678901234567890123456789"}},0},
 {<<"b">>,{pkg,<<"b_erl">>,<<"1.0.0">>},0},
 {<<"c">>,{pkg,<<"c">>,<<"2.0.0">>},1}]}.
[{pkg_hash,[]}]."#;
    let lock = read_terms(lock, "rebar.lock").unwrap();
    let locked = config().with_lock(&lock).unwrap();
    let commit = "0123456789012345678901234567890123456789";
    assert_eq!(show(&locked.deps), [format!("a: u commit {commit}"), "b: b_erl 1.0.0".to_owned()]);
    let bare = read_terms("[{<<\"a\">>,{git,\"v\",{tag,\"1\"}},0}].", "rebar.lock").unwrap();
    assert_eq!(show(&config().with_lock(&bare).unwrap().deps), ["a: v tag 1"]);
    let empty = read_terms("[].", "rebar.lock").unwrap();
    assert_eq!(config().with_lock(&empty).unwrap(), config());
}

#[test]
fn overrides_follow_the_order_of_rebar3() {
    let top = facts(
        r#"{overrides, [
    {del, a, [{deps, [x, gone]}]},
    {add, a, [{deps, [added]}]},
    {override, a, [{deps, [x, y]}, {plugins, [pc]}]},
    {add, [{deps, [everywhere]}]},
    {override, b, [{deps, [wrong]}]},
    nonsense
]}."#,
    );
    let own = facts("{deps, [own]}. {plugins, [old]}. {profiles, [{prod, [{deps, [p]}]}]}.");
    let deps = top.deps_of("a", &own).unwrap();
    assert_eq!(
        show(&deps),
        ["added: added any", "y: y any", "p: p any"],
        "the override by name beats the general add, and del comes last"
    );
    assert_eq!(
        show(&top.deps_of("c", &own).unwrap()),
        ["everywhere: everywhere any", "own: own any", "p: p any"]
    );
    let applied = Overrides::of(&top).unwrap().apply("a", &own).unwrap();
    assert_eq!(show(&applied.plugins), ["pc: pc any"]);
    assert_eq!(own.deps_of("c", &own).unwrap().len(), 2);
}

#[test]
fn the_top_project_has_the_last_word_in_overrides() {
    let top = facts("{overrides, [{override, c, [{deps, [top]}]}]}.");
    let middle =
        facts("{overrides, [{override, c, [{deps, [middle]}]}, {add, c, [{deps, [more]}]}]}.");
    let below = Overrides::of(&top).unwrap().below(&middle).unwrap();
    let leaf = facts("{deps, [leaf]}.");
    let deps = below.below(&leaf).unwrap().apply("c", &leaf).unwrap().deps;
    assert_eq!(show(&deps), ["more: more any", "top: top any"]);
}

#[test]
fn the_overrides_of_a_profile_count_with_the_projects() {
    let top = facts(
        r#"{overrides, [{override, a, [{deps, [default]}]}]}.
{profiles, [{prod, [{overrides, [{override, a, [{deps, [prod]}]}, {add, a, [{deps, [b]}]}]}]}]}."#,
    );
    let own = facts("{deps, [own]}.");
    let overrides = Overrides::of_project(&top, &["prod"]).unwrap();
    let deps = overrides.apply("a", &own).unwrap().deps;
    assert_eq!(show(&deps), ["b: b any", "default: default any"]);
}

#[test]
fn deletion_finds_package_dependencies_by_name_and_others_by_equality() {
    let top = facts(r#"{overrides, [{del, a, [{deps, [x, {y, "1", {pkg, y}}, z]}]}]}."#);
    let wish = |name: &str, requirement: Option<&str>| Wish {
        app: name.to_owned(),
        source: WishSource::Hex {
            package: name.to_owned(),
            requirement: requirement.map(str::to_owned),
            repository: None,
        },
    };
    let package = facts("").with_package_deps(vec![
        wish("x", Some("~> 1.0")),
        wish("y", None),
        wish("w", Some(">= 2.0.0")),
    ]);
    assert_eq!(show(&top.deps_of("a", &package).unwrap()), ["w: w >= 2.0.0"]);
    let git = facts(r#"{deps, [{x, {git, "u", "main"}}, z]}."#);
    assert_eq!(show(&top.deps_of("a", &git).unwrap()), ["x: u branch main"]);
}

#[test]
fn an_override_that_is_no_list_is_refused() {
    let top = facts("{overrides, [{add, a, [{deps, x}]}]}.");
    let error = top.deps_of("a", &facts("")).unwrap_err();
    assert_eq!(error.to_string(), "`overrides: deps` of `rebar.config` is not a list");
}

#[test]
fn git_wishes_survive_the_way_through_terms() {
    let wishes = facts(
        r#"{deps, [{a, {git, "u", {tag, "1"}}}, {b, {git, "u"}}, {c, {git_subdir, "u", {branch, "m"}, "apps/c"}}]}."#,
    )
    .deps;
    let through = facts("").with_package_deps(wishes.clone());
    let applied = Overrides::default().apply("x", &through).unwrap();
    assert_eq!(applied.deps, wishes);
    assert_eq!(
        wishes[1].source,
        WishSource::Git { url: "u".to_owned(), reference: GitRef::Default, subdir: None }
    );
}
