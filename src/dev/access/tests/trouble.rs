//! What happens when the database does not do what it should.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bench::{Database, allows, ask, connect, settled, wish};
use super::cluster::Cluster;
use crate::dev::access::{Access, AccessError, Denial, Settings, guard, postgres_schema};
use crate::explain::Explain as _;
use crate::manifest::AccessWish;

const LINE: &str = "u c 127.0.0.1 pub a";
const LOGIN: &str = "username password c 127.0.0.1";

fn over(url: &str) -> Arc<dyn Access> {
    let url = Some(url.to_owned());
    let nowhere = Path::new("/nonexistent");
    let settings = Settings::new(&AccessWish { url, ..wish() }, nowhere, None).unwrap();
    guard(&settings, nowhere).unwrap()
}

async fn is_unavailable(guard: &Arc<dyn Access>) -> bool {
    let begin = Instant::now();
    let answer = connect(guard, LOGIN).await;
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    matches!(answer, Err((Denial::Unavailable, rule)) if rule.contains("does not answer"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_makes_nobody_wait_and_is_used_again_once_it_is_back() {
    let Some(mut cluster) = Cluster::start() else { return };
    let database = cluster.database(postgres_schema());
    let guard = over(&cluster.url(&database));
    assert_eq!(connect(&guard, LOGIN).await, Ok(false));
    assert!(allows(&guard, LINE).await);
    cluster.down();
    assert!(is_unavailable(&guard).await);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begin = Instant::now();
    assert!(is_unavailable(&guard).await);
    assert!(begin.elapsed() < Duration::from_millis(300), "{:?}", begin.elapsed());
    let verdict = ask(&guard, "new c 127.0.0.1 pub a").await;
    assert!(!verdict.is_allowed && verdict.rule.contains("does not answer"), "{}", verdict.rule);
    let before = guard.generation();
    cluster.up();
    let took = settled(&guard, "new c 127.0.0.1 pub a", true).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    // What the broker remembers as denied is asked anew.
    assert!(guard.generation() > before);
    assert_eq!(connect(&guard, LOGIN).await, Ok(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_holds_nobody_up_for_long() {
    let Some(cluster) = Cluster::start() else { return };
    let database = cluster.database(postgres_schema());
    let guard = over(&cluster.url(&database));
    assert_eq!(connect(&guard, LOGIN).await, Ok(false));
    cluster.freeze(true);
    let many = (0..20).map(|_| is_unavailable(&guard));
    let all = futures_util::future::join_all(many).await;
    cluster.freeze(false);
    assert!(all.into_iter().all(|is_unavailable| is_unavailable));
    settled(&guard, "new c 127.0.0.1 pub a", true).await;
}

#[tokio::test]
async fn a_server_that_was_never_there_is_no_reason_not_to_start() {
    let guard = over("postgres://nobody:secret@127.0.0.1:1/none");
    let (code, rule) = connect(&guard, LOGIN).await.unwrap_err();
    assert_eq!(code, Denial::Unavailable);
    assert!(!rule.contains("secret"), "{rule}");
}

#[tokio::test]
async fn somebody_who_writes_for_long_holds_nobody_up() {
    let database = Database::sqlite();
    let guard = database.guard(wish());
    let writer = rusqlite::Connection::open(database.state().join("access.sqlite")).unwrap();
    writer.execute_batch("begin exclusive; delete from mqtt_user").unwrap();
    // Readers do not wait for writers, and see what was there before.
    assert_eq!(connect(&guard, LOGIN).await, Ok(false));
    writer.execute_batch("commit").unwrap();
    assert!(connect(&guard, LOGIN).await.is_err());
}

#[tokio::test]
async fn a_query_without_end_is_ended() {
    let database = Database::sqlite();
    let endless =
        "with recursive n(x) as (select 1 union all select x + 1 from n) select max(x) from n";
    let wish = AccessWish { auth_query: Some(endless.to_owned()), ..wish() };
    let guard = database.guard(wish);
    assert!(is_unavailable(&guard).await);
}

#[tokio::test]
async fn a_damaged_database_says_how_to_begin_anew() {
    let database = Database::sqlite();
    std::fs::write(database.state().join("access.sqlite"), [b'x'; 4096]).unwrap();
    let error = guard(&database.settings(wish()), database.state()).unwrap_err();
    assert!(matches!(error, AccessError::Damaged { .. }), "{error}");
    assert!(error.hint().unwrap().contains("down --volumes"));
}

#[test]
fn wishes_that_cannot_be_kept_are_refused_before_anything_starts() {
    let refused = |wish: AccessWish| {
        let error = Settings::new(&wish, Path::new("/p"), None).unwrap_err();
        (error.to_string(), error.hint().unwrap_or_default())
    };
    let (text, hint) = refused(AccessWish { password_hash: Some("plain;".into()), ..wish() });
    assert!(text.contains("`plain;`") && hint.contains("sha256"), "{text} {hint}");
    let (text, hint) = refused(AccessWish { url_env: Some("PG_URL".into()), ..wish() });
    assert!(text.contains("`PG_URL`") && hint.contains("export PG_URL="), "{text} {hint}");
    let conf = crate::manifest::AccessProvider::Conf;
    let (text, _) = refused(AccessWish { provider: conf, ..wish() });
    assert!(text.contains("`file`"), "{text}");
}
