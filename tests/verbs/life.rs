//! The lock's life: `lock --diff`, `outdated`, `audit`, and how old must be what is pinned.

use std::process::Command;

use serde_json::Value;

use super::harness::{Ran, World};
use super::hex::{declare, field, number, project};

/// The objects of a kind that a run printed.
fn events(ran: &Ran, kind: &str) -> Vec<Value> {
    let parsed = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    parsed.filter(|value: &Value| value["event"] == kind).collect()
}

#[test]
fn diff_names_the_fields_that_moved_since_a_file_and_since_a_revision() {
    let world = World::with("hello");
    world.rebeam(&["lock"]).succeeds();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(world.project()).args(arguments);
        for name in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{name}_NAME"), "a")
                .env(format!("GIT_{name}_EMAIL"), "a@b.test");
        }
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "lock"]);
    std::fs::copy(world.project().join("rebeam.lock"), world.path("old.lock")).unwrap();
    assert_eq!(world.rebeam(&["lock", "--diff", "HEAD"]).succeeds().stdout, "");
    let old = world.git("adler", &["rev-parse", "main"]);
    let new = world.commit("adler", "src/adler.app.src", "Adler-32 in C", "Adler-32 in plain C");
    world.rebeam(&["update", "adler"]).succeeds();
    for from in ["HEAD", "../old.lock"] {
        let said = world.rebeam(&["lock", "--diff", from]).succeeds();
        let row = said.stdout.lines().find(|line| line.contains(" commit ")).unwrap().to_owned();
        assert!(row.starts_with("dep adler") && row.contains(&old) && row.contains(&new), "{row}");
        assert!(said.stderr.contains("1 moved: adler"), "{}", said.stderr);
    }
    let said = world.rebeam(&["lock", "--diff", "HEAD", "--json"]).succeeds();
    let found = events(&said, "lock_difference");
    let commit = found.iter().find(|found| found["field"] == "commit").unwrap();
    assert_eq!((&commit["from"], &commit["to"]), (&Value::from(old), &Value::from(new)));
    world.rebeam(&["lock", "--diff", "nothing"]).fails(1, &["`nothing`", "git -C"]);
}

#[test]
fn outdated_shows_what_moved_upstream_and_the_newest_version() {
    let world = World::with("hello");
    world.rebeam(&["lock"]).succeeds();
    let row = |app: &str| {
        let said = world.rebeam(&["outdated", "--json"]).succeeds();
        events(&said, "outlook").into_iter().find(|row| row["app"] == app).unwrap()
    };
    let before = row("adler");
    assert_eq!((&before["behind"], &before["wanted"]), (&false.into(), &"branch main".into()));
    let new = world.commit("adler", "src/adler.app.src", "Adler-32 in C", "Adler-32 in plain C");
    let after = row("adler");
    assert_eq!((&after["behind"], &after["current"]), (&true.into(), &new[..8].into()));
    world.git("tinyhttp", &["tag", "v9.1.0", "main"]);
    let tagged = row("tinyhttp");
    assert_eq!(
        (&tagged["locked"], &tagged["newest"], &tagged["behind"]),
        (&"1.0.0".into(), &"v9.1.0".into(), &false.into())
    );
    world.git(
        "words",
        &["tag", "-f", "v0.2.0", &world.commit("words", "src/words.erl", "Unknown", "Odd")],
    );
    assert!(row("words")["current"].as_str().unwrap().starts_with("v0.2.0 (moved to "));
    let table = world.rebeam(&["outdated", "--behind", "--offline"]).succeeds().stdout;
    assert!(table.lines().next().unwrap().starts_with("app"), "{table}");
    assert!(table.contains("adler") && !table.contains("tinyhttp"), "{table}");
    std::fs::remove_dir_all(world.path("git/adler.git")).unwrap();
    let said = world.rebeam(&["outdated"]).succeeds();
    assert!(said.stderr.contains("adler") && said.stdout.contains('?'), "{}", said.stdout);
}

#[test]
fn audit_finds_what_the_signed_registry_warns_of_and_answers_without_it_later() {
    let world = project();
    world.edit("rebeam.toml", "url = \"../hex\"", "url = \"https://hex.rebeam.test\"");
    world.edit("rebeam.toml", "[mirrors]", "[mirrors]\n\"https://hex.rebeam.test\" = \"../hex\"");
    world.rebeam(&["lock"]).succeeds();
    let clean = world.rebeam(&["audit"]).succeeds();
    assert_eq!(clean.stdout, "");
    assert!(clean.stderr.contains("not covered: 3 sources"), "{}", clean.stderr);
    let advisory = [
        field(1, "GHSA-aaaa"),
        field(2, "reads what it should not"),
        field(3, "https://advisories.test/GHSA-aaaa"),
        number(4, 4),
        field(7, "CVE-2026-1"),
    ];
    declare(&world.path("hex"), "acme_tongue", &[&[number(6, 0)]], &[advisory.concat()]);
    let retired = field(4, [number(1, 2), field(2, "use another")].concat());
    let newer = [field(1, "1.1.0")];
    declare(&world.path("hex"), "acme_greeting", &[&[retired], &newer], &[]);
    let found = world.rebeam(&["audit"]).fails(1, &["2 of 2 releases"]);
    for words in ["acme/acme_tongue", "GHSA-aaaa", "critical", "retired", "security: use another"] {
        assert!(found.stdout.contains(words), "{words}: {}", found.stdout);
    }
    // Without the mirror the registry is out of reach; what the last audit heard is in the store.
    world.edit("rebeam.toml", "\"https://hex.rebeam.test\" = \"../hex\"\n", "");
    let again = world.rebeam(&["audit", "--offline", "--json"]).fails(1, &[]);
    let findings = events(&again, "finding");
    let matters: Vec<&Value> = findings.iter().map(|found| &found["matter"]).collect();
    assert_eq!(matters, ["retired", "advisory"], "{}", again.stdout);
    std::fs::remove_dir_all(world.path("store/hex")).unwrap();
    world.rebeam(&["audit", "--offline"]).fails(3, &["the network is closed"]);
    assert_eq!(events(&again, "audited")[0]["not_covered"]["sources"].as_array().unwrap().len(), 3);
}

#[test]
fn outdated_says_what_is_retired_and_what_is_newer_in_the_registry() {
    let world = project();
    world.rebeam(&["lock"]).succeeds();
    let retired = field(4, number(1, 3));
    let [newer, newest] = [[field(1, "1.1.0")], [field(1, "2.0.0")]];
    declare(&world.path("hex"), "acme_greeting", &[&[retired], &newer, &newest], &[]);
    let said = world.rebeam(&["outdated", "--json"]).succeeds();
    let rows = events(&said, "outlook");
    let row = rows.iter().find(|row| row["app"] == "greeting").unwrap();
    assert_eq!(
        (&row["wanted"], &row["current"], &row["locked"], &row["newest"], &row["retired"]),
        (&"~> 1.0".into(), &"1.1.0".into(), &"1.0.0".into(), &"2.0.0".into(), &"deprecated".into())
    );
}

fn with_minimum_age(world: &World, age: &str) {
    world.edit(
        "rebeam.toml",
        "[mirrors]",
        &format!("[lock]\nminimum-age = \"{age}\"\n\n[mirrors]"),
    );
}

#[test]
fn a_branch_gives_way_to_what_it_was_when_it_was_old_enough() {
    let world = World::with("hello");
    let old = world.git("adler", &["rev-parse", "main"]);
    let new = world.commit("adler", "src/adler.app.src", "Adler-32 in C", "Adler-32 in plain C");
    with_minimum_age(&world, "7d");
    let locked = world.rebeam(&["update", "adler"]).succeeds();
    assert!(
        locked.stderr.contains("minutes old") && locked.stderr.contains("7 days"),
        "{}",
        locked.stderr
    );
    assert!(world.read("rebeam.lock").contains(&old) && !world.read("rebeam.lock").contains(&new));
    // What is too young is not what an update would take.
    let said = world.rebeam(&["outdated", "--json"]).succeeds();
    let rows = events(&said, "outlook");
    let row = rows.iter().find(|row| row["app"] == "adler").unwrap();
    assert_eq!(row["current"], row["locked"], "{row}");
    world.rebeam(&["update", "adler", "--any-age"]).succeeds();
    assert!(world.read("rebeam.lock").contains(&new));
    // What is pinned already stays.
    world.rebeam(&["lock"]).succeeds();
    assert!(world.read("rebeam.lock").contains(&new));
}

#[test]
fn a_commit_or_a_tag_that_is_too_young_is_an_error_with_its_age() {
    let world = World::with("hello");
    let new = world.commit("adler", "src/adler.app.src", "Adler-32 in C", "Adler-32 in plain C");
    with_minimum_age(&world, "2w");
    let lock = world.read("rebeam.lock");
    world.edit("rebar.config", "{branch, \"main\"}", &format!("{{ref, \"{new}\"}}"));
    let says = ["`adler`", &new, "0 minutes old", "14 days", "--any-age"];
    world.rebeam(&["lock"]).fails(1, &says);
    // An old commit with a young tag is as young as the tag.
    world.edit("rebar.config", &format!("{{ref, \"{new}\"}}"), "{tag, \"9.0\"}");
    let tagged = Command::new("git")
        .arg("-C")
        .arg(world.path("git/adler.git"))
        .args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b.test",
            "tag",
            "-am",
            "9.0",
            "9.0",
            "main~1",
        ])
        .output()
        .unwrap();
    assert!(tagged.status.success(), "{tagged:?}");
    world.rebeam(&["lock"]).fails(1, &["`adler`", "(tag 9.0)", "14 days"]);
    assert_eq!(world.read("rebeam.lock"), lock);
    world.rebeam(&["lock", "--any-age"]).succeeds();
    assert!(world.read("rebeam.lock").contains("wanted = \"tag 9.0\""));
}

#[test]
fn a_release_must_have_been_published_long_enough_ago() {
    let world = project();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let published = |days: u64| field(7, number(1, now - days * 24 * 60 * 60));
    let old = [published(30)];
    let young = [field(1, "1.1.0"), published(2)];
    declare(&world.path("hex"), "acme_greeting", &[&old, &young], &[]);
    with_minimum_age(&world, "7d");
    let locked = world.rebeam(&["lock"]).succeeds();
    let words = "`acme_greeting` 1.1.0 is 2 days old and `minimum-age` is 7 days: 1.0.0 is taken";
    assert!(locked.stderr.contains(words), "{}", locked.stderr);
    let silent = "says nothing of `acme_tongue` 1.0.0";
    assert!(locked.stderr.contains(silent), "{}", locked.stderr);
    world.edit("rebar.config", "{greeting, \"~> 1.0\"", "{greeting, \"~> 1.1\"");
    world.rebeam(&["lock"]).fails(1, &["release 1.1.0 is 2 days old", "wait 5 days"]);
    world.edit("rebeam.toml", "minimum-age = \"7d\"", "minimum-age = \"a week\"");
    world.rebeam(&["lock"]).fails(1, &["minimum-age", "`7d`"]);
}

#[test]
fn the_pins_of_a_nix_expression_are_proved() {
    let world = World::with("hello");
    world.edit("rebeam.toml", "[mirrors]", "[mirrors]\n\"https://github.com/acme/\" = \"../git/\"");
    let commit = |app: &str| world.git(app, &["rev-parse", "main"]);
    let hash = |app: &str| {
        let address =
            format!("git+file://{}#{}", world.path("git").join(app).display(), commit(app));
        world.rebeam(&["hash", &address]).succeeds().stdout.trim().to_owned()
    };
    let pin = |app: &str, revision: &str, hash: &str| {
        format!(
            "fetchFromGitHub {{ owner = \"acme\"; repo = \"{app}\"; rev = \"{revision}\"; sha256 = \"{hash}\"; }}\n"
        )
    };
    let good =
        pin("adler", &commit("adler"), &hash("adler")) + &pin("words", "v0.2.0", &hash("words"));
    world.write("deps.nix", &good);
    let proved = world.rebeam(&["lock", "--from-nix", "deps.nix"]).succeeds();
    assert!(proved.stderr.contains("2 of 2 pins are equal"), "{}", proved.stderr);
    world
        .write("deps.nix", &(good.clone() + &pin("tinyhttp", &commit("tinyhttp"), &hash("adler"))));
    let found = world.rebeam(&["lock", "--from-nix", "deps.nix", "--json"]).fails(1, &[]);
    let rows = events(&found, "nix_pin");
    assert_eq!(
        (&rows[2]["verdict"], &rows[2]["found"]),
        (&"different".into(), &hash("tinyhttp").into())
    );
    world.write("deps.nix", &(good + &pin("nothing", &"1".repeat(40), &hash("adler"))));
    let found = world.rebeam(&["lock", "--from-nix", "deps.nix"]).fails(3, &["2 of 3"]);
    assert!(found.stdout.contains("not fetched"), "{}", found.stdout);
    world.write("deps.nix", "{ }: 1");
    world.rebeam(&["lock", "--from-nix", "deps.nix"]).fails(1, &["fetchFromGitHub"]);
}

#[test]
fn a_toolchain_that_cannot_be_locked_leaves_the_manifest_as_it_was() {
    let world = World::with("hello");
    let before = world.read("rebeam.toml");
    world.rebeam(&["toolchain", "add", "Not_A_Package"]).fails(1, &["`Not_A_Package`"]);
    world.rebeam(&["toolchain", "remove", "libexpat1-dev"]).fails(1, &["not among the packages"]);
    world
        .rebeam(&["toolchain", "add", "libexpat1-dev", "--offline"])
        .fails(3, &["the network is closed"]);
    assert_eq!(world.read("rebeam.toml"), before);
}

#[test]
fn a_package_comes_into_the_toolchain_and_goes_and_nothing_else_moves() {
    let world = World::with("hello");
    world.rebeam(&["lock"]).succeeds();
    let (manifest, lock) = (world.read("rebeam.toml"), world.read("rebeam.lock"));
    world.rebeam(&["toolchain", "add", "libyaml-dev"]).succeeds();
    assert!(world.read("rebeam.toml").contains("packages = [\"libyaml-dev\"]"));
    let old = |line: &&str| line.contains("package = ");
    let more = world.read("rebeam.lock");
    for line in lock.lines().filter(old) {
        assert!(more.contains(line), "{line}");
    }
    assert!(more.contains("package = \"libyaml-0-2\""), "{more}");
    world.rebeam(&["lock", "--check"]).succeeds();
    world.rebeam(&["toolchain", "remove", "libyaml-dev"]).succeeds();
    assert_eq!((world.read("rebeam.toml"), world.read("rebeam.lock")), (manifest, lock));
}
