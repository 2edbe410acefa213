//! emqttd's semantics, a test a sentence.

use std::time::Duration;

use super::bench::{allows, ask, connect, over_each, settled, wish};
use crate::dev::access::Denial;
use crate::manifest::{AccessWish, Anonymous};

const SHA256: &str = "5d5b09f6dcb2d53a5fffc60c4ac0d55fabdf556069d6631545f42aa6e3500f2e";

fn bad(rule: &str) -> Result<bool, (Denial, String)> {
    Err((Denial::BadCredentials, rule.to_owned()))
}

fn sha256(anonymous: Anonymous) -> AccessWish {
    let auth = "select password from mqtt_user where username = '%u' limit 1";
    AccessWish {
        auth_query: Some(auth.to_owned()),
        password_hash: Some("sha256".to_owned()),
        anonymous,
        ..wish()
    }
}

#[test]
fn the_rows_that_every_database_begins_with_let_the_readmes_user_do_everything() {
    over_each(async |database| {
        let guard = database.guard(wish());
        assert_eq!(connect(&guard, "username password any 10.0.0.1").await, Ok(false));
        assert_eq!(
            connect(&guard, "username passwort any 10.0.0.1").await,
            bad("the password is wrong")
        );
        for line in ["sub #", "sub a/b", "pub a/b", "pub x/y"] {
            assert!(allows(&guard, &format!("username c 10.0.0.1 {line}")).await, "{line}");
        }
        for (line, is_allowed) in [
            ("username c 10.0.0.1 sub $SYS/#", false),
            ("username c 127.0.0.1 sub $SYS/#", true),
            ("dashboard c 10.0.0.1 sub $SYS/broker", true),
            ("username c 127.0.0.1 pub $SYS/x", false),
        ] {
            assert_eq!(allows(&guard, line).await, is_allowed, "{line}");
        }
        // The next row finds a number that is free.
        database
            .sql("insert into mqtt_acl (allow, username, access, topic) values (1, 'x', 1, 'a')");
        database.sql("insert into mqtt_user (username, password) values ('x', 'y')");
    });
}

#[test]
fn who_gives_no_name_or_password_is_refused_and_unknown_names_are_let_in_as_emqttd_does() {
    over_each(async |database| {
        let none = "no user name or no password was given";
        let guard = database.guard(sha256(Anonymous::Emqttd));
        database.users(&format!("(false, 'sha256', null, null, '{SHA256}', null)"));
        assert_eq!(connect(&guard, "- - c 127.0.0.1").await, bad(none));
        assert_eq!(connect(&guard, "sha256 - c 127.0.0.1").await, bad(none));
        assert_eq!(connect(&guard, "sha256 sha256 c 127.0.0.1").await, Ok(false));
        assert_eq!(connect(&guard, "sha256 x c 127.0.0.1").await, bad("the password is wrong"));
        assert_eq!(connect(&guard, "nobody x c 127.0.0.1").await, Ok(false));
        let guard = database.guard(sha256(Anonymous::Deny));
        let refused = connect(&guard, "nobody x c 127.0.0.1").await.unwrap_err();
        assert_eq!(refused.0, Denial::BadCredentials);
        assert!(refused.1.contains("user `nobody` as client `c` from 127.0.0.1"), "{}", refused.1);
        let guard = database.guard(sha256(Anonymous::Allow));
        assert_eq!(connect(&guard, "- - c 127.0.0.1").await, Ok(false));
        assert!(connect(&guard, "nobody x c 127.0.0.1").await.is_err());
    });
}

#[test]
fn every_way_to_keep_passwords_works_from_a_row() {
    let bcrypt = "$2a$12$sSS8Eg.ovVzaHzi1nUHYK.HbUIOdlQI0iS22Q5rd5z.JVVYH6sfm6";
    let rows = [
        ("plain", "password", "plain", "-", "plain"),
        ("md5", "password", "1bc29b36f623ba82aaf6724fd3b16718", "-", "md5"),
        ("sha", "password", "d8f4590320e1343a915b6394170650a8f35d6926", "-", "sha"),
        ("sha256", "password", SHA256, "-", "sha256"),
        ("salt,md5", "password, salt", "963e2232fa95666443f1ee9ffcdceda0", "salt", "pw"),
        ("md5,salt", "password, salt", "55e70b9971d050fe8f7455eb551189cf", "salt", "pw"),
        ("salt,bcrypt", "password, salt", bcrypt, "$2a$12$sSS8Eg.ovVzaHzi1nUHYK.", "foo"),
        ("bcrypt", "password", bcrypt, "-", "foo"),
        (
            "pbkdf2,sha,1,16",
            "password, salt",
            "cdedb5281bb2f801565a1122b2563515",
            "ATHENA.MIT.EDUraeburn",
            "password",
        ),
    ];
    over_each(async |database| {
        let mut guards = Vec::new();
        for (hash, columns, ..) in rows {
            let auth = format!("select {columns} from mqtt_user where username = '%u' limit 1");
            let wish = AccessWish {
                auth_query: Some(auth),
                password_hash: Some(hash.to_owned()),
                ..wish()
            };
            guards.push(database.guard(wish));
        }
        for ((hash, _, kept, salt, password), guard) in rows.iter().zip(guards) {
            database.users(&format!("(false, 'u', null, null, '{kept}', '{salt}')"));
            assert_eq!(connect(&guard, &format!("u {password} c ::1")).await, Ok(false), "{hash}");
            assert_eq!(connect(&guard, "u no c ::1").await, bad("the password is wrong"), "{hash}");
        }
    });
}

#[test]
fn a_query_with_the_wrong_columns_or_rows_refuses_and_says_so() {
    over_each(async |database| {
        database.guard(wish());
        let with = |auth: &str| {
            let auth_query = Some(auth.to_owned());
            database.guard(AccessWish { auth_query, password_hash: Some("md5".into()), ..wish() })
        };
        database.sql("insert into mqtt_user (username, password) values ('username', 'x')");
        for (auth, why) in [
            ("select password from mqtt_user where username = '%u'", "gave 2 rows"),
            (
                "select password, salt from mqtt_user where username = '%u' limit 1",
                "gives 2 columns, and the hash needs 1",
            ),
            ("select passwort from mqtt_user", "the auth query is refused"),
        ] {
            let (code, rule) = connect(&with(auth), "username x c ::1").await.unwrap_err();
            assert_eq!(code, Denial::BadCredentials, "{auth}");
            assert!(rule.contains(why), "{auth}: {rule}");
        }
    });
}

#[test]
fn only_a_boolean_that_is_true_makes_a_superuser() {
    over_each(async |database| {
        let guard = database.guard(sha256(Anonymous::Deny));
        let text = AccessWish {
            super_query: Some(
                "select 'true' from mqtt_user where username = '%u' limit 1".to_owned(),
            ),
            ..sha256(Anonymous::Deny)
        };
        let text = database.guard(text);
        let none = database
            .guard(AccessWish { super_query: Some(String::new()), ..sha256(Anonymous::Deny) });
        for (value, is_superuser) in [("true", true), ("false", false), ("null", false)] {
            database.users(&format!("({value}, 'sha256', null, null, '{SHA256}', null)"));
            let line = "sha256 sha256 c 127.0.0.1";
            assert_eq!(connect(&guard, line).await, Ok(is_superuser), "{value}");
            assert_eq!(connect(&text, line).await, Ok(false));
            assert_eq!(connect(&none, line).await, Ok(false));
        }
    });
}

#[test]
fn a_row_for_a_client_or_an_address_is_for_that_one_alone() {
    over_each(async |database| {
        let auth = "select password from mqtt_user where username = '%u' and (ipaddr = '%a' or ipaddr = '$all') \
                    and (clientid = '%c' or clientid is NULL) limit 1";
        let wish = AccessWish { auth_query: Some(auth.into()), ..sha256(Anonymous::Emqttd) };
        let guard = database.guard(wish);
        // As the first project has it: a row without an address is found for nobody, so its name is unknown.
        database.users(&format!(
            "(false, 'username', null, null, '{SHA256}', null), (false, 'username', 'client1', '127.0.0.1', '{SHA256}', null), \
             (false, 'username', 'client4', '$all', '{SHA256}', null)"
        ));
        for (line, is_let_in) in [
            ("username wrong any 127.0.0.1", true),
            ("username wrong client1 127.0.0.1", false),
            ("username wrong client1 10.0.0.1", true),
            ("username wrong client4 10.0.0.1", false),
            ("username sha256 client4 10.0.0.1", true),
            ("username sha256 client1 ::ffff:127.0.0.1", true),
            ("username wrong client1 ::ffff:127.0.0.1", false),
        ] {
            assert_eq!(connect(&guard, line).await.is_ok(), is_let_in, "{line}");
        }
    });
}

#[test]
fn the_last_row_of_the_query_is_asked_first_and_the_first_that_speaks_decides() {
    over_each(async |database| {
        let query = |order: &str| {
            let columns = "allow, ipaddr, username, clientid, access, topic";
            format!("select {columns} from mqtt_acl order by id {order}")
        };
        let guard = |order| database.guard(AccessWish { acl_query: Some(query(order)), ..wish() });
        let (rising, falling) = (guard("asc"), guard("desc"));
        database.rows("(1, null, '$all', null, 2, 'a'), (0, null, '$all', null, 3, '#')");
        let line = "u c 127.0.0.1 pub a";
        settled(&rising, line, false).await;
        assert!(allows(&falling, line).await);
        assert!(!allows(&falling, "u c 127.0.0.1 sub a").await);
    });
}

#[test]
fn rows_then_the_file_then_nomatch_decide() {
    over_each(async |database| {
        let file = database.state().join("acl.conf");
        std::fs::write(&file, "{allow, {ipaddr, \"127.0.0.1\"}, pubsub, [\"#\"]}.").unwrap();
        let with = |nomatch_allows| {
            database.guard(AccessWish { file: Some("acl.conf".into()), nomatch_allows, ..wish() })
        };
        let (deny, allow) = (with(false), with(true));
        database.rows("(0, null, '$all', null, 1, 'eq #'), (1, null, '$all', null, 3, '$mine/#')");
        settled(&deny, "u c 127.0.0.1 sub #", false).await;
        for (line, by) in [
            ("u c 127.0.0.1 sub #", "of mqtt_acl: deny all subscribe eq #"),
            ("u c 127.0.0.1 sub a/b", "rule 1 of acl.conf: allow address 127.0.0.1 pubsub #"),
            ("u c 10.0.0.1 sub a/b", "no rule speaks of it, and `nomatch` is deny"),
            // Names that begin with a dollar are asked of no row.
            ("$u c 127.0.0.1 sub #", "rule 1 of acl.conf"),
        ] {
            let verdict = ask(&deny, line).await;
            assert!(verdict.rule.contains(by), "{line}: {}", verdict.rule);
        }
        settled(&allow, "u c 127.0.0.1 sub #", false).await;
        assert!(allows(&allow, "u c 10.0.0.1 sub a/b").await);
        std::fs::write(&file, "{deny, all}.").unwrap();
        let took = settled(&deny, "u c 127.0.0.1 sub a/b", false).await;
        assert!(took < Duration::from_secs(2), "{took:?}");
    });
}

#[test]
fn a_row_that_means_nothing_denies_and_is_named() {
    over_each(async |database| {
        let acl = "select allow, ipaddr, username, clientid, access, topic, id from mqtt_acl";
        let guard = database.guard(AccessWish { acl_query: Some(acl.into()), ..wish() });
        database.rows("(1, null, '$all', null, 3, '#'), (1, null, null, null, 3, 'a')");
        settled(&guard, "u c 127.0.0.1 sub b", false).await;
        let verdict = ask(&guard, "u c 127.0.0.1 sub b").await;
        assert!(
            verdict.rule.contains("of mqtt_acl means nothing: it names nobody"),
            "{}",
            verdict.rule
        );
    });
}

#[test]
fn what_a_client_calls_itself_is_never_read_as_sql() {
    over_each(async |database| {
        let guard = database.guard(wish());
        for name in ["'or'1'='1", "x';drop--", "\\", "$1", "'%u'", "ö😀"] {
            assert!(connect(&guard, &format!("{name} x {name} 127.0.0.1")).await.is_err());
            assert!(!allows(&guard, &format!("{name} {name} 127.0.0.1 pub $SYS/x")).await);
        }
        assert_eq!(connect(&guard, "username password c 127.0.0.1").await, Ok(false));
    });
}

#[test]
fn a_changed_row_counts_within_two_seconds() {
    over_each(async |database| {
        let guard = database.guard(wish());
        let line = "u c 127.0.0.1 pub a";
        assert!(allows(&guard, line).await);
        for (change, is_allowed) in [
            ("update mqtt_acl set allow = 0 where topic = '#'", false),
            ("update mqtt_acl set allow = 1 where topic = '#'", true),
            ("delete from mqtt_acl", false),
            ("insert into mqtt_acl (allow, username, access, topic) values (1, 'u', 2, 'a')", true),
        ] {
            let before = guard.generation();
            database.sql(change);
            let took = settled(&guard, line, is_allowed).await;
            assert!(took < Duration::from_secs(2), "{change}: {took:?}");
            assert!(guard.generation() > before, "{change}");
        }
    });
}
