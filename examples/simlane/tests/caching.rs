//! What visitors and their clients see of the cache.

use serde_json::json;
use simlane::{Options, Switch};

use crate::client::Client;
use crate::server::Server;

const MISS: &str = "pitlane; fwd=uri-miss; stored; detail=uri-miss";

#[track_caller]
fn seconds_left(cache_status: &str) -> u64 {
    let ttl = cache_status.strip_prefix("pitlane; hit; ttl=").unwrap();
    ttl.strip_suffix("; detail=fresh").unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_second_visit_is_a_hit_for_as_long_as_its_kind_of_page_is_kept() {
    let server = Server::start().await;
    let (mut nobody, mut ada) = (server.client().await, server.signed_in("ada").await);
    for path in ["/", "/clubs", "/clubs/1", "/events/4", "/about"] {
        check_kept(&mut nobody, path, 900).await;
    }
    for path in ["/me", "/settings"] {
        check_kept(&mut ada, path, 300).await;
    }
    check_kept(&mut nobody, "/search?q=spa", 300).await;
    for path in ["/api/clubs", "/api/search?q=spa"] {
        check_kept(&mut nobody, path, 180).await;
    }
    check_kept(&mut ada, "/api/me", 180).await;
}

async fn check_kept(client: &mut Client, path: &str, seconds: u64) {
    let miss = client.get(path).await;
    assert_eq!(miss.cache_status(), MISS, "{path}");
    assert_eq!(miss.header("age"), None, "{path}");
    let hit = client.get(path).await;
    let left = seconds_left(hit.cache_status());
    assert!(
        left <= seconds && left > seconds / 2,
        "{path}: {left} of {seconds} s"
    );
    assert_eq!((hit.status, &hit.body), (200, &miss.body), "{path}");
    assert!(hit.header("age").is_some(), "{path}");
    assert!(
        hit.header("etag").is_some_and(|etag| etag.len() > 10),
        "{path}"
    );
    assert_eq!(hit.header("etag"), miss.header("etag"), "{path}");
    assert_eq!(
        hit.header("content-security-policy"),
        miss.header("content-security-policy")
    );
}

#[tokio::test]
async fn a_client_that_has_the_page_is_told_so() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let page = client.get("/clubs/1").await;
    let etag = page.header("etag").unwrap();
    for known in [etag.to_owned(), format!("\"x\", W/{etag}"), "*".to_owned()] {
        let same = client
            .send("GET", "/clubs/1", &[("if-none-match", &known)], "")
            .await;
        assert_eq!((same.status, same.body.as_str()), (304, ""), "{known}");
        assert_eq!(same.header("etag"), Some(etag));
    }
    let other = client
        .send("GET", "/clubs/1", &[("if-none-match", "\"x\"")], "")
        .await;
    assert_eq!((other.status, &other.body), (200, &page.body));

    client
        .json("PATCH", "/api/clubs/1", &json!({ "tagline": "Zebra" }))
        .await;
    let changed = client
        .send("GET", "/clubs/1", &[("if-none-match", etag)], "")
        .await;
    assert_eq!(changed.status, 200);
    assert!(changed.body.contains("Zebra"), "{}", changed.body);
    assert_ne!(changed.header("etag"), Some(etag));
}

#[tokio::test]
async fn a_head_is_answered_from_the_page_and_never_becomes_one() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let early = client.send("HEAD", "/clubs/1", &[], "").await;
    assert_eq!(
        early.cache_status(),
        "pitlane; fwd=uri-miss; detail=head-miss"
    );
    let page = client.get("/clubs/1").await;
    assert_eq!(page.cache_status(), MISS);
    assert!(page.body.contains("Night Shift Racing"));
    let head = client.send("HEAD", "/clubs/1", &[], "").await;
    seconds_left(head.cache_status());
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let length = page.body.len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    assert_eq!(head.header("etag"), page.header("etag"));
}

#[tokio::test]
async fn a_write_ends_the_pages_that_show_its_row_and_no_others() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let ended = ["/", "/clubs", "/clubs/1", "/api/clubs/1", "/search?q=night"];
    let kept = [
        "/clubs/2",
        "/events",
        "/api/clubs/2",
        "/search?q=apex",
        "/about",
    ];
    for path in ended.into_iter().chain(kept) {
        client.get(path).await;
    }
    let refused = client
        .json("PATCH", "/api/clubs/1", &json!({ "founded": "soon" }))
        .await;
    assert_eq!(refused.status, 422);
    for path in ended {
        seconds_left(client.get(path).await.cache_status());
    }
    let written = client
        .json("PATCH", "/api/clubs/1", &json!({ "tagline": "Zebra" }))
        .await;
    assert_eq!(
        (written.status, written.cache_status()),
        (200, "pitlane; fwd=method; detail=method")
    );
    for path in ended {
        let again = client.get(path).await;
        assert_eq!(
            again.cache_status(),
            "pitlane; fwd=uri-miss; stored; detail=invalidated",
            "{path}"
        );
    }
    for path in ended.into_iter().chain(kept) {
        seconds_left(client.get(path).await.cache_status());
    }
}

#[tokio::test]
async fn who_might_be_somebody_gets_a_page_of_their_own() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for path in ["/clubs/1", "/search?q=spa", "/api/clubs/1"] {
        client.get(path).await;
        for (header, value, expected) in [
            ("cookie", "tracker=1", "cookie"),
            ("cookie", "theme=dark; tracker=1", "cookie"),
            ("cookie", "simlane_session=0", "cookie"),
            ("cookie", "THEME=dark", "cookie"),
            ("authorization", "Bearer x", "authorization"),
            ("cookie", "theme=dark", "fresh"),
            ("cookie", "_ga=GA1.1; _ga_ABC=GS1.1; theme=dark", "fresh"),
        ] {
            let answer = client.send("GET", path, &[(header, value)], "").await;
            let what = format!("{path} {header}: {value}: {}", answer.cache_status());
            assert_eq!(answer.detail(), expected, "{what}");
            assert!(!answer.cache_status().contains("stored"), "{what}");
        }
    }
}

#[tokio::test]
async fn a_personal_page_is_kept_for_its_user_whatever_the_session() {
    let server = Server::start().await;
    let (mut ada, mut carla) = (
        server.signed_in("ada").await,
        server.signed_in("carla").await,
    );
    let mut ada_elsewhere = server.signed_in("ada").await;
    assert_ne!(ada.cookie, ada_elsewhere.cookie);
    for (path, names) in [
        ("/me", ["Ada Marlow", "Carla Reyes"]),
        ("/settings", ["Ada Marlow", "Carla Reyes"]),
        ("/api/me", ["Ada Marlow", "Carla Reyes"]),
    ] {
        let first = ada.get(path).await;
        assert_eq!(first.cache_status(), MISS, "{path}");
        assert!(first.body.contains(names[0]), "{path}");
        assert_eq!(
            first.header("cache-control"),
            Some("private, no-cache"),
            "{path}"
        );
        for again in [ada.get(path).await, ada_elsewhere.get(path).await] {
            seconds_left(again.cache_status());
            assert_eq!(again.body, first.body, "{path}");
            assert_eq!(
                again.header("cache-control"),
                Some("private, no-cache"),
                "{path}"
            );
        }
        let other = carla.get(path).await;
        assert_eq!(other.cache_status(), MISS, "{path}");
        assert!(
            other.body.contains(names[1]) && !other.body.contains(names[0]),
            "{path}"
        );
        seconds_left(carla.get(path).await.cache_status());
    }

    ada.form("/settings", "bio=Zebra").await;
    assert_eq!(ada.get("/me").await.detail(), "invalidated");
    assert!(ada_elsewhere.get("/me").await.body.contains("Zebra"));
    // What is Ada's ends with her tag; the answer's Location names a URI, and ends all of that.
    seconds_left(carla.get("/api/me").await.cache_status());
    assert_eq!(carla.get("/me").await.detail(), "invalidated");

    let cookie = ada.cookie.clone();
    ada.form("/logout", "").await;
    ada.cookie = cookie;
    let gone = ada.get("/me").await;
    assert_eq!((gone.status, gone.detail()), (303, "no-user"));
    seconds_left(ada_elsewhere.get("/me").await.cache_status());
}

#[tokio::test]
async fn a_stranger_is_sent_to_the_login_each_time() {
    let server = Server::start().await;
    let mut ada = server.signed_in("ada").await;
    let mut stranger = server.client().await;
    for cookie in [
        None,
        Some("simlane_session=1"),
        Some("theme=dark"),
        Some("user=1"),
    ] {
        stranger.cookie = cookie.map(str::to_owned);
        for path in ["/me", "/settings"] {
            ada.get(path).await;
            for _ in 0..2 {
                let answer = stranger.get(path).await;
                assert_eq!(
                    (answer.status, answer.header("location")),
                    (303, Some("/login"))
                );
                assert_eq!(answer.cache_status(), "pitlane; fwd=bypass; detail=no-user");
            }
        }
        assert_eq!(stranger.get("/api/me").await.status, 401);
    }
}

#[tokio::test]
async fn forms_are_kept_by_no_cache() {
    let server = Server::start().await;
    let mut ada = server.client().await;
    let login = ada.sign_in("ada", "pitlane").await;
    assert!(login.header("set-cookie").is_some());
    let mut answers = vec![login];
    for path in ["/login", "/clubs/1/manage"] {
        for _ in 0..2 {
            answers.push(ada.get(path).await);
        }
    }
    answers.push(ada.form("/clubs/1/manage", "action=paint").await);
    answers.push(ada.form("/login", "username=ada&password=wrong").await);
    answers.push(ada.form("/logout", "").await);
    for answer in answers {
        assert_eq!(
            answer.header("cache-control"),
            Some("no-store"),
            "{answer:?}"
        );
        assert_eq!(
            (answer.cache_status(), answer.header("age")),
            ("", None),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn what_was_not_found_is_there_as_soon_as_it_exists() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for detail in ["status", "hit-for-miss"] {
        let missing = client.get("/clubs/13").await;
        assert_eq!(missing.status, 404);
        assert!(
            !missing.cache_status().contains("stored"),
            "{detail}: {missing:?}"
        );
    }
    let new = json!({ "name": "Zebra", "country": "SE", "founded": 2020 });
    client.json("POST", "/api/clubs", &new).await;
    assert_eq!(client.get("/clubs/13").await.status, 200);
    seconds_left(client.get("/clubs/13").await.cache_status());
}

#[tokio::test]
async fn a_site_without_its_cache_says_so() {
    let options = Options {
        cache: Switch::Off,
        ..Options::default()
    };
    let server = Server::with(options).await;
    let mut ada = server.signed_in("ada").await;
    for path in ["/clubs/1", "/me", "/api/clubs/1", "/search?q=spa"] {
        for _ in 0..2 {
            let answer = ada.get(path).await;
            assert_eq!(
                answer.cache_status(),
                "pitlane; fwd=bypass; detail=disabled",
                "{path}"
            );
        }
    }
}
