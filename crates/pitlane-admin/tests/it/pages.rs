//! What somebody who has signed in sees and can do.

use pitlane_testkit::RedisServer;

use crate::stage::{BASE, Stage, TOKEN, cookie_of, field};

/// Every page that only shows something.
const PAGES: [&str; 14] = [
    "/",
    "/?span=hour",
    "/caches",
    "/cache?name=default",
    "/routes",
    "/activity",
    "/redis",
    "/nodes",
    "/keys",
    "/keys?cache=api",
    "/entry?cache=default&key=page",
    "/explain",
    "/invalidate",
    "/clear?cache=default",
];

/// What holds of every page.
#[track_caller]
fn check_page(path: &str, page: &str) {
    for part in [
        "<!doctype html>",
        "<html lang=\"en\">",
        "<main id=\"content\"",
        "href=\"#content\"",
        "name=\"viewport\"",
    ] {
        assert!(page.contains(part), "{path}: no {part}: {page}");
    }
    assert_eq!(page.matches("<h1").count(), 1, "{path}");
    for never in [
        "style=",
        "<style",
        "onclick",
        "javascript:",
        "http-equiv",
        "<script>",
    ] {
        assert!(!page.contains(never), "{path}: {never}");
    }
    assert!(!page.contains(TOKEN), "{path}");
    let tables = page.matches("<table").count();
    assert_eq!(
        page.matches("<caption").count(),
        tables,
        "{path}: a caption a table"
    );
}

#[tokio::test]
async fn every_page_is_there_for_who_has_signed_in() {
    let stage = Stage::set().await;
    let _ = stage.caches.invalidate(["other"]).await.unwrap();
    let cookie = stage.sign_in().await;
    for path in PAGES {
        let answer = stage.page(&cookie, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        check_page(path, answer.text());
    }
}

#[tokio::test]
async fn every_page_is_there_with_redis_and_without_it_again() {
    let redis = RedisServer::start();
    let caches = pitlane::Caches::builder()
        .redis(redis.url_of(0))
        .cache("default")
        .cache("api")
        .build()
        .unwrap();
    let _keeper = caches.keep_stats(pitlane::stats::StatsOptions::new().name("one"));
    let stage = Stage::over(caches, |admin| admin).await;
    let cookie = stage.sign_in().await;
    for path in PAGES {
        let answer = stage.page(&cookie, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        check_page(path, answer.text());
    }
    redis.kill();
    for path in PAGES {
        let answer = stage.page(&cookie, path).await;
        // An entry that is looked for in Redis can't be shown without it; all else can.
        match path.starts_with("/entry") {
            true => assert_eq!(answer.status, 503, "{path}: {}", answer.text()),
            false => assert_eq!(answer.status, 200, "{path}: {}", answer.text()),
        }
        check_page(path, answer.text());
    }
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_sent_to_the_form_and_back_again() {
    let stage = Stage::set().await;
    let sent = stage.page("", "/keys?cache=api").await;
    assert_eq!(sent.status, 303);
    let to = format!("{BASE}/sign-in?to=keys%3Fcache%3Dapi");
    assert_eq!(sent.header("location"), to);
    let form = stage.page("", "/sign-in?to=keys%3Fcache%3Dapi").await;
    assert_eq!(form.status, 200);
    let to = field(form.text(), "to");
    let entered = stage
        .post("", "/sign-in", &[("token", TOKEN), ("to", &to)])
        .await;
    assert_eq!(entered.status, 303);
    assert_eq!(entered.header("location"), format!("{BASE}/keys?cache=api"));
    let set = entered.header("set-cookie");
    let attributes = format!("; Path={BASE}/; HttpOnly; SameSite=Strict");
    assert!(set.ends_with(&attributes), "{set}");
    assert_eq!(stage.page(&cookie_of(&entered), "/keys").await.status, 200);
}

#[tokio::test]
async fn the_mount_without_its_slash_leads_to_the_pages() {
    let stage = Stage::set().await;
    let answer = stage.page("", "").await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), format!("{BASE}/"));
}

#[tokio::test]
async fn an_invalidation_is_asked_about_once_more_before_it_happens() {
    let stage = Stage::set().await;
    let cookie = stage.sign_in().await;
    let csrf = stage.csrf(&cookie).await;
    let form = [("csrf", csrf.as_str()), ("tags", "news\n\n other ")];
    let asked = stage.post(&cookie, "/invalidate", &form).await;
    assert_eq!(asked.status, 200);
    assert!(
        asked.text().contains("Invalidate these?"),
        "{}",
        asked.text()
    );
    assert!(
        asked
            .text()
            .contains("That is 1 entry now: 1 in <bdi>default</bdi>"),
        "{}",
        asked.text()
    );
    assert!(stage.still_holds());

    let tags = field(asked.text(), "tags");
    let tags = tags.replace("&#10;", "\n");
    let form = [
        ("csrf", csrf.as_str()),
        ("tags", &tags),
        ("confirmed", "yes"),
    ];
    let done = stage.post(&cookie, "/invalidate", &form).await;
    assert_eq!(done.status, 200);
    assert!(
        done.text().contains("It stands in the log at"),
        "{}",
        done.text()
    );
    assert!(!stage.still_holds());
    let activity = stage.page(&cookie, "/activity").await;
    assert!(
        activity.text().contains("<bdi>news</bdi>"),
        "{}",
        activity.text()
    );
    assert!(
        activity.text().contains("<bdi>other</bdi>"),
        "{}",
        activity.text()
    );
}

#[tokio::test]
async fn what_cannot_be_invalidated_is_said_beside_what_was_typed() {
    let stage = Stage::set().await;
    let cookie = stage.sign_in().await;
    let csrf = stage.csrf(&cookie).await;
    let form = [("csrf", csrf.as_str()), ("tags", "news"), ("urls", "/page")];
    let answer = stage.post(&cookie, "/invalidate", &form).await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.text().contains("is no absolute URL"),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains(">news</textarea>"),
        "{}",
        answer.text()
    );
    assert!(stage.still_holds());
}

#[tokio::test]
async fn a_cache_is_cleared_and_no_other() {
    let stage = Stage::set().await;
    let api = stage.caches.get("api").unwrap();
    crate::stage::store(&api, "other", &[]).await;
    let cookie = stage.sign_in().await;
    let csrf = stage.csrf(&cookie).await;
    let form = [("csrf", csrf.as_str()), ("cache", "default")];
    let done = stage.post(&cookie, "/clear", &form).await;
    assert_eq!(done.status, 200);
    assert!(done.text().contains("Cleared default"), "{}", done.text());
    assert!(!stage.still_holds());
    assert!(api.get(&pitlane::Key::new("other")).is_some());
    let form = [("csrf", csrf.as_str()), ("cache", "apj")];
    assert_eq!(stage.post(&cookie, "/clear", &form).await.status, 404);
}

#[tokio::test]
async fn a_path_is_explained_and_nothing_is_stored() {
    let stage = Stage::set().await;
    let cookie = stage.sign_in().await;
    let csrf = stage.csrf(&cookie).await;
    for _ in 0..2 {
        let form = [
            ("csrf", csrf.as_str()),
            ("path", "/page"),
            ("headers", "accept: text/html"),
        ];
        let answer = stage.post(&cookie, "/explain", &form).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        check_page("/explain", answer.text());
        assert!(answer.text().contains("Status 200"), "{}", answer.text());
        assert!(answer.text().contains("uri-miss"), "{}", answer.text());
    }
    assert_eq!(stage.calls(), 2);
    let form = [
        ("csrf", csrf.as_str()),
        ("path", "/page"),
        ("headers", "no header"),
    ];
    let answer = stage.post(&cookie, "/explain", &form).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
}

#[tokio::test]
async fn an_entry_shows_its_tags_and_whether_it_is_usable() {
    let stage = Stage::set().await;
    let cookie = stage.sign_in().await;
    let entry = stage.page(&cookie, "/entry?cache=default&key=page").await;
    assert!(entry.text().contains("Usable.</b>"), "{}", entry.text());
    assert!(entry.text().contains("<bdi>news</bdi>"), "{}", entry.text());
    let _ = stage.caches.invalidate(["news"]).await.unwrap();
    let entry = stage.page(&cookie, "/entry?cache=default&key=page").await;
    assert!(entry.text().contains("Not usable.</b>"), "{}", entry.text());
    assert!(entry.text().contains("invalidated"), "{}", entry.text());
}

#[tokio::test]
async fn what_is_not_there_is_a_page_that_says_so() {
    let stage = Stage::set().await;
    let cookie = stage.sign_in().await;
    for (path, status, says) in [
        ("/none", 404, "there is nothing here"),
        ("/cache?name=apj", 404, "no cache is named"),
        ("/cache", 400, "name is missing"),
        ("/keys?cache=apj", 404, "no cache is named"),
        ("/keys?cache=api&cursor=garbage", 400, "no cursor"),
        ("/keys?page=2", 400, "a parameter is unknown"),
        (
            "/entry?cache=default&key=none",
            404,
            "holds nothing of that name",
        ),
        ("/?span=year", 400, "span is minutes or hour"),
    ] {
        let answer = stage.page(&cookie, path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        check_page(path, answer.text());
        let text = answer.text().to_lowercase();
        assert!(text.contains(says), "{path}: {}", answer.text());
        assert!(text.contains("sign out"), "{path}: it has its navigation");
        assert!(text.contains("back to the overview"), "{path}: {text}");
        assert!(
            !text.contains("sign in"),
            "{path}: who is there is told to come"
        );
    }
}
