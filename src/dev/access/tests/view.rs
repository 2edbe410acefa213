//! Listing, changing, explaining and judging rules.

use super::bench::{Database, connect, over_each, settled, wish};
use crate::dev::access::{AccessError, Action, Book, Explained, Finding, NewRow, Question, guard};
use crate::explain::Explain as _;
use crate::manifest::{AccessProvider, AccessWish, Anonymous};

/// The first project's own queries and rows.
const AUTH: &str = "select password from mqtt_user where username = '%u' and (ipaddr = '%a' or ipaddr = '$all') \
                    and (clientid = '%c' or clientid is NULL) limit 1";
const ACL: &str = "select allow, ipaddr, username, clientid, access, topic from mqtt_acl \
                   where ipaddr = '%a' or username = '%u' or username = '$all' or clientid = '%c'";
const USERS: &str = "(false, 'username', null, null, 'password', null), \
    (false, 'username', 'client1', '127.0.0.1', 'password', null), (false, null, 'client2', '127.0.0.1', null, null), \
    (false, 'username', 'client4', '$all', 'password', null)";
const ROWS: &str = "(1, null, '$all', null, 2, '#'), (0, null, '$all', null, 1, '$SYS/#'), \
    (0, null, '$all', null, 1, 'eq #'), (1, '127.0.0.1', null, null, 2, '$SYS/#'), \
    (1, '127.0.0.1', null, null, 2, '#'), (1, null, 'dashboard', null, 1, '$SYS/#')";
const CONF: &str = "{allow, {user, \"dashboard\"}, subscribe, [\"$SYS/#\"]}.\n\
    {allow, {ipaddr, \"127.0.0.1\"}, pubsub, [\"$SYS/#\", \"#\"]}.\n\
    {deny, all, subscribe, [\"$SYS/#\", {eq, \"#\"}]}.\n";

fn book(database: &Database, wish: AccessWish) -> Book {
    Book::open(&database.settings(wish), database.state()).unwrap()
}

/// The first project's settings, with the word that is no hash spelled right.
fn seed(database: &Database) -> AccessWish {
    std::fs::write(database.state().join("acl.conf"), CONF).unwrap();
    AccessWish {
        auth_query: Some(AUTH.into()),
        acl_query: Some(ACL.into()),
        password_hash: Some("plain".into()),
        file: Some("acl.conf".into()),
        anonymous: Anonymous::Emqttd,
        ..wish()
    }
}

/// Explains `user client address pub|sub topic`.
async fn explain(book: &Book, line: &str) -> Explained {
    let words: Vec<&str> = line.split(' ').collect();
    let [user, client, address, action, topic] = words[..] else { panic!("{line}") };
    let question = Question {
        client: client.into(),
        user: Some(user).filter(|user| *user != "-").map(Into::into),
        address: address.parse().unwrap(),
        topic: topic.into(),
        action: if action == "pub" { Action::Publish } else { Action::Subscribe },
    };
    book.explain(&question).await.unwrap()
}

fn has(found: &[Finding], place: &str, problem: &str) -> bool {
    found.iter().any(|finding| {
        (place.is_empty() || finding.place.contains(place)) && finding.problem.contains(problem)
    })
}

#[test]
fn what_the_first_project_really_does_is_explained() {
    over_each(async |database| {
        let book = book(database, seed(database));
        database.users(USERS);
        database.rows(ROWS);
        for (line, allowed, by) in [
            ("username any 10.0.0.1 pub a/b", true, "allow all publish #"),
            ("username any 127.0.0.1 pub $SYS/x", true, "allow address 127.0.0.1 publish $SYS/#"),
            (
                "username any 10.0.0.1 pub $SYS/x",
                false,
                "no rule speaks of it, and `nomatch` is deny",
            ),
            ("username any 10.0.0.1 sub a/b", false, "no rule speaks of it, and `nomatch` is deny"),
            ("username any 10.0.0.1 sub #", false, "deny all subscribe eq #"),
            ("username any 127.0.0.1 sub a/b", true, "rule 2 of acl.conf"),
            ("username any 127.0.0.1 sub #", false, "deny all subscribe eq #"),
            ("dashboard any 10.0.0.1 sub $SYS/x", true, "allow user dashboard subscribe $SYS/#"),
        ] {
            let explained = explain(&book, line).await;
            assert_eq!(explained.allowed, allowed, "{line}: {explained:?}");
            assert!(explained.decided_by.contains(by), "{line}: {}", explained.decided_by);
        }
        for (line, connects, why) in [
            ("username any 10.0.0.1 pub a", true, "`anonymous` lets it in"),
            ("username client4 10.0.0.1 pub a", true, "the password decides"),
            ("- client2 127.0.0.1 pub a", false, "no user name or no password"),
        ] {
            let explained = explain(&book, line).await;
            assert_eq!(explained.connects, connects, "{line}");
            assert!(explained.connecting.contains(why), "{line}: {}", explained.connecting);
        }
    });
}

#[test]
fn an_explanation_says_why_each_rule_before_did_not_decide() {
    over_each(async |database| {
        let book = book(database, wish());
        database.rows(
            "(1, null, 'other', null, 3, '#'), (1, null, '$all', null, 3, '#'), (1, null, 'u', null, 2, '%c/#'), \
             (0, null, 'u', null, 2, 'eq a'), (0, null, 'u', 'd', 3, '#'), (1, null, 'u', null, 1, 'a/b'), \
             (1, '10.0.0.1', null, null, 3, 'x/#')",
        );
        let explained = explain(&book, "u c 127.0.0.1 pub a/b").await;
        assert!(explained.allowed);
        let whys: Vec<&str> = explained.steps.iter().map(|step| step.why.as_str()).collect();
        let wanted = [
            "it is about subscribe",
            "it is for client `d`, and this one is `c`",
            "`eq a` does not match `a/b`: `eq` compares texts",
            "`%c/#` does not match `a/b`: `%u` is `u` here, and `%c` is `c`",
            "it is for this client and matches",
        ];
        assert_eq!(whys, wanted);
        assert!(explained.steps.last().unwrap().decides);
        assert_eq!(explained.not_selected.len(), 2, "{:?}", explained.not_selected);
        let dollar = explain(&book, "u c 127.0.0.1 pub $SYS/x").await;
        assert!(dollar.steps.last().unwrap().why.contains("begins with `$`"), "{dollar:?}");
        // A superuser is asked nothing.
        database.users("(true, 'root', null, null, 'x', 'y')");
        let explained = explain(&book, "root c 127.0.0.1 pub $SYS/x").await;
        assert!(explained.allowed && explained.decided_by.contains("superuser"));
    });
}

#[test]
fn rows_are_added_listed_and_removed_and_useless_ones_are_refused() {
    over_each(async |database| {
        let book = book(database, wish());
        let guard = guard(&database.settings(wish()), database.state()).unwrap();
        let row = NewRow {
            user: Some("bob".into()),
            publish: true,
            topic: "secret/#".into(),
            ..NewRow::default()
        };
        let added = book.add(&row).await.unwrap();
        assert_eq!(
            (added.allows, added.whom.as_str(), added.action.as_str()),
            (Some(false), "user bob", "publish")
        );
        let listed = book.rules().await.unwrap();
        assert_eq!(listed.last(), Some(&added));
        // What was added last is asked first.
        settled(&guard, "bob c 127.0.0.1 pub secret/a", false).await;
        assert!(!has(&book.lint().await.unwrap(), &added.rule, "is asked first"));
        let all =
            NewRow { allows: true, subscribe: true, user: None, topic: "#".into(), ..row.clone() };
        let all = book.add(&all).await.unwrap();
        let found = book.lint().await.unwrap();
        let dead = format!("{} (allow all pubsub #) is asked first", all.rule);
        assert!(has(&found, &added.rule, &dead), "{found:?}");
        book.remove(all.number).await.unwrap();
        book.remove(1).await.unwrap();
        settled(&guard, "eve c 127.0.0.1 pub a", false).await;
        assert_eq!(book.remove(added.number).await.unwrap(), added);
        assert!(matches!(book.remove(added.number).await, Err(AccessError::NoRow { .. })));
        let add = async |change: &dyn Fn(&mut NewRow)| {
            let mut row = row.clone();
            change(&mut row);
            book.add(&row).await.unwrap_err().to_string()
        };
        assert!(add(&|row| row.topic = "a/#/b".into()).await.contains("no filter"));
        assert!(add(&|row| row.topic = "eq a/#".into()).await.contains("nobody can publish"));
        assert!(add(&|row| row.address = Some("10.0.0.0/33".into())).await.contains("range"));
        assert!(add(&|row| row.publish = false).await.contains("`access`"));
    });
}

#[test]
fn a_password_is_kept_by_its_hash_and_counts_at_once() {
    over_each(async |database| {
        let book = book(database, wish());
        let guard = guard(&database.settings(wish()), database.state()).unwrap();
        book.set_user("alice", b"hunter2", false).await.unwrap();
        assert_eq!(connect(&guard, "alice hunter2 c 10.0.0.1").await, Ok(false));
        book.set_user("alice", b"hunter3", true).await.unwrap();
        assert!(connect(&guard, "alice hunter2 c 10.0.0.1").await.is_err());
        assert_eq!(connect(&guard, "alice hunter3 c 10.0.0.1").await, Ok(true));
        assert!(book.set_user("$all", b"x", false).await.is_err());
        assert_eq!(book.lint().await.unwrap(), vec![]);
        let kept = database.one("select password from mqtt_user where username = 'alice'");
        assert!(kept.len() == 64 && !kept.contains("hunter"), "{kept}");
    });
}

#[test]
fn lint_finds_what_is_wrong_with_the_first_project() {
    over_each(async |database| {
        let book = book(database, seed(database));
        database.users(USERS);
        database.rows(ROWS);
        let found = book.lint().await.unwrap();
        for (place, problem) in [
            ("acl-query", "without `order by`"),
            ("anonymous", "whatever the password"),
            ("password-hash", "reads the passwords"),
            (
                "of mqtt_user",
                "does not find it: whoever gives the name `username` is taken for unknown",
            ),
            ("of mqtt_user", "a client without a name is refused"),
        ] {
            assert!(has(&found, place, problem), "{place} {problem}: {found:#?}");
        }
    });
}

#[test]
fn rows_that_never_decide_are_found() {
    over_each(async |database| {
        let book = book(database, wish());
        database.rows(
            "(1, null, 'u', null, 2, 'a/c'), (1, null, 'u', null, 1, 'b+'), (0, null, 'u', null, 2, 'eq b/+'), \
             (1, null, '$me', null, 1, 'b'), (1, null, 'v', null, 5, 'b'), (1, null, null, null, 1, 'b'), \
             (1, '10.0.0.0/8', null, null, 3, 'x'), (0, null, 'u', null, 2, 'a/b'), (1, null, '$all', null, 3, 'a/#')",
        );
        let found = book.lint().await.unwrap();
        for problem in [
            "(allow all pubsub a/#) is asked first",
            "the acl query does not select it",
            "names nobody",
            "`access` is 5",
            "begin with `$` are asked of no row",
            "nobody can publish to `b/+`",
            "`b+` is no filter",
        ] {
            assert!(has(&found, "of mqtt_acl", problem), "{problem}: {found:#?}");
        }
        assert_eq!(found.len(), 8, "{found:#?}");
        database.rows("(1, null, '$all', null, 2, '#')");
        let found = book.lint().await.unwrap();
        assert!(has(&found, "the rules", "no rule lets anybody subscribe"), "{found:#?}");
    });
}

#[test]
fn what_every_database_begins_with_has_nothing_to_be_found() {
    over_each(async |database| {
        let book = book(database, wish());
        assert_eq!(book.lint().await.unwrap(), vec![]);
    });
}

#[test]
fn queries_that_the_database_refuses_are_found() {
    over_each(async |database| {
        let wish = AccessWish {
            auth_query: Some("select password from mqtt_user where username = '%u'".into()),
            super_query: Some("select is_super from mqtt_user".into()),
            acl_query: Some("select allow, topic from mqtt_acl order by id".into()),
            ..wish()
        };
        let found = book(database, wish).lint().await.unwrap();
        assert!(has(&found, "auth-query", "gives 1 columns, and 2 are needed"), "{found:#?}");
        assert!(has(&found, "super-query", "is_super"), "{found:#?}");
        assert!(has(&found, "acl-query", "gives 2 columns, and 6 are needed"), "{found:#?}");
    });
}

#[test]
fn numbers_that_were_given_by_hand_are_found_before_an_insert_collides() {
    over_each(async |database| {
        let book = book(database, wish());
        database.sql("insert into mqtt_acl (id, allow, username, access, topic) values (9, 1, 'u', 3, '$a/#')");
        let found = book.lint().await.unwrap();
        let is_found = has(&found, "mqtt_acl", "the next insert collides");
        // SQLite counts by what is there.
        assert_eq!(is_found, database.is_postgres(), "{found:#?}");
    });
}

#[tokio::test]
async fn a_file_is_listed_explained_and_judged_and_not_changed() {
    let database = Database::sqlite();
    std::fs::write(
        database.state().join("acl.conf"),
        format!("{CONF}{{deny, all}}.\n{{allow, all}}."),
    )
    .unwrap();
    let conf = AccessWish {
        provider: AccessProvider::Conf,
        file: Some("acl.conf".into()),
        ..AccessWish::default()
    };
    let book = Book::open(&database.settings(conf), database.state()).unwrap();
    assert_eq!(book.rules().await.unwrap().len(), 5);
    let explained = explain(&book, "u c 10.0.0.1 pub a").await;
    assert_eq!(explained.decided_by, "rule 4 of acl.conf: deny all");
    assert_eq!(explained.steps.len(), 4);
    let found = book.lint().await.unwrap();
    assert!(has(&found, "rule 5 of acl.conf", "rule 4 of acl.conf (deny all) is asked first"));
    let error = book.add(&NewRow::default()).await.unwrap_err();
    assert!(error.hint().unwrap().contains("provider = \"sql\""), "{error}");
}
