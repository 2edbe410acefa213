//! Seen: the page in a real browser: it is live, pauses, searches and compares, and no stranger's text is markup.
//!
//! With `REBEAM_LOOK=DIRECTORY` pictures are put there of every page, in two sizes, dark and light (`scripts/look`).

use std::path::Path;

use super::browser::Browser;
use super::*;

fn address(stand: &Stand, path: &str) -> String {
    format!("http://{}{path}", stand.page.address())
}

/// Runs what a person does in a browser beside the stand that they look at.
async fn in_browser(stand: &Arc<Stand>, act: impl FnOnce(&mut Browser, &Stand) + Send + 'static) {
    let stand = Arc::clone(stand);
    let acted = tokio::task::spawn_blocking(move || {
        let Some(mut browser) = Browser::start() else { return };
        act(&mut browser, &stand);
        assert_eq!(browser.faults, Vec::<String>::new());
    });
    acted.await.unwrap();
}

const COUNT: &str = "document.querySelectorAll('#live tbody tr').length";

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_messages_come_live_wait_while_paused_and_are_searched() {
    let stand = Arc::new(Stand::start());
    in_browser(&stand, |browser, stand| {
        browser.open(&address(stand, "/messages"));
        browser.until("document.getElementById('status').textContent === '● live'");
        std::thread::sleep(Duration::from_millis(500));
        stand.publish("room/a", "{\"value\":1}");
        stand.publish(TOPIC, PAYLOAD);
        browser.until(&format!("{COUNT} === 2"));
        browser.press("p");
        browser.until("document.getElementById('status').textContent === '‖ paused'");
        stand.publish("room/a", "{\"value\":3}");
        std::thread::sleep(Duration::from_millis(800));
        assert_eq!(browser.see(COUNT), 2);
        browser.press("p");
        browser.until(&format!("{COUNT} === 3"));
        // The first row is the newest, and `j` goes there.
        browser.press("j");
        let text = "document.activeElement.textContent.includes('\"value\":3')";
        assert_eq!(browser.see(text), true);
        browser.press("/");
        assert_eq!(browser.see("document.activeElement.id"), "search");
        browser.write("onerror=alert");
        browser.press("Enter");
        browser.until("location.search.includes('onerror') && document.readyState === 'complete'");
        browser.until(&format!("{COUNT} === 1"));
        assert_eq!(browser.see("document.querySelectorAll('#live img').length"), 0);
        // What comes and is not wanted stays away; what is, comes.
        stand.publish("room/a", "no");
        stand.publish("room/b", "onerror=alert");
        browser.until(&format!("{COUNT} === 2"));
        browser.press("1");
        browser
            .until("document.title.startsWith('Overview') && document.readyState === 'complete'");
    })
    .await;
    Arc::into_inner(stand).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_two_messages_of_a_topic_are_compared_with_and_without_the_script() {
    let stand = Arc::new(Stand::start());
    stand.watch().await;
    for value in [1, 2, 5] {
        stand.publish("room/a", &format!("{{\"value\":{value},\"unit\":\"C\"}}"));
    }
    stand.until_seen(3).await;
    in_browser(&stand, |browser, stand| {
        for is_on in [true, false] {
            browser.script(is_on);
            browser.open(&address(stand, "/topic?name=room%2Fa"));
            if is_on {
                // Until somebody chooses, the newest is proposed for comparison with the one before it.
                stand.publish("room/a", "{\"value\":7,\"unit\":\"C\"}");
                browser.until(&format!("{COUNT} >= 4"));
                assert_eq!(
                    browser.see("[...document.querySelectorAll('#live input:checked')].map(i => i.id).join()"),
                    "b4,a3"
                );
                // What was chosen stays chosen while newer messages come.
                browser.see("document.getElementById('a1').click()");
                stand.publish("room/a", "{\"value\":9,\"unit\":\"C\"}");
                browser.until(&format!("{COUNT} >= 5"));
                assert_eq!(browser.see("document.getElementById('a1').checked"), true);
                browser.see("document.getElementById('b3').click()");
                browser.see("document.querySelector('#live form button').click()");
                browser
                    .until("location.pathname === '/diff' && document.readyState === 'complete'");
            } else {
                assert_eq!(browser.see(COUNT), 5);
                browser.open(&address(stand, "/diff?a=1&b=3"));
            }
            let text = browser.see("document.getElementById('live').innerText").to_string();
            assert!(text.contains("+4") && text.contains("+   \\\"value\\\": 5"), "{text}");
        }
    })
    .await;
    Arc::into_inner(stand).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_no_page_runs_what_a_stranger_wrote_or_is_wider_than_a_phone() {
    let (stand, _client) = evil().await;
    for number in 0..12 {
        stand.publish(
            "home/kitchen/temperature",
            &format!("{{\"value\":2{number}.5,\"unit\":\"C\"}}"),
        );
        stand.publish("home/kitchen/note", "one line\nand another");
        stand.publish(&"very/long/topic".repeat(20), &"x".repeat(3000));
        stand.publish(&"withoutlevels".repeat(60), "short");
    }
    let stand = Arc::new(stand);
    in_browser(&stand, |browser, stand| {
        let look = std::env::var_os("REBEAM_LOOK");
        let more =
            ["/topic?name=home%2Fkitchen%2Ftemperature", "/events", "/messages", "/diff?a=3&b=6"];
        for (size, screen) in [("desk", (1280, 860)), ("phone", (390, 844))] {
            for scheme in ["light", "dark"] {
                browser.screen(screen, scheme);
                for (at, page) in PAGES.into_iter().chain(more).enumerate() {
                    browser.open(&address(stand, page));
                    browser.until(
                        "!document.querySelector('[data-live]') || \
                         document.getElementById('status').textContent === '● live'",
                    );
                    let is_wide = "document.documentElement.scrollWidth > innerWidth";
                    assert_eq!(browser.see(is_wide), false, "{page} on a {size}");
                    if let Some(look) = &look {
                        std::thread::sleep(Duration::from_millis(1200));
                        let path: String = page.chars().take_while(|c| *c != '?').collect();
                        let name = format!("{at:02}{}-{size}-{scheme}.png", path.replace('/', "-"));
                        std::fs::create_dir_all(look).unwrap();
                        browser.picture(&Path::new(look).join(name));
                    }
                }
            }
        }
    })
    .await;
    Arc::into_inner(stand).unwrap().stop().await;
}
