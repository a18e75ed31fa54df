use std::time::Duration;

use http::{Method, StatusCode};
use pitlane::{Caches, ResponseCacheLayer};
use pitlane_testkit::{Client, Origin, Protocol, Server};
use tower::Layer;

const FRESH: &[(&str, &str)] = &[
    ("cache-control", "max-age=60"),
    ("content-type", "text/plain"),
];

async fn serve(origin: &Origin) -> (Caches, Server, Client) {
    let caches = Caches::builder().build().unwrap();
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let server = Server::start(layer.layer(origin.clone())).await;
    (caches, server, Client::new(Protocol::Http1))
}

#[tokio::test]
async fn a_miss_is_stored_and_then_hit_with_age_and_etag() {
    let origin = Origin::counting(FRESH);
    let (_caches, server, client) = serve(&origin).await;
    let miss = client.get(&server.url("/a"), &[]).await;
    assert_eq!(
        miss.header("cache-status"),
        "pitlane; fwd=uri-miss; stored; detail=uri-miss"
    );
    let hit = client.get(&server.url("/a"), &[]).await;
    assert!(hit.is_hit(), "{hit:?}");
    assert_eq!(hit.detail(), "fresh");
    assert_eq!(hit.text(), "/a 1");
    assert_eq!(hit.header("age"), "0");
    assert_eq!(hit.header("etag"), miss.header("etag"));
    assert!(hit.header("etag").len() > 10);
    assert_eq!(hit.header("content-type"), "text/plain");
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn a_known_etag_is_answered_304_and_head_is_answered_from_get() {
    let origin = Origin::counting(FRESH);
    let (_caches, server, client) = serve(&origin).await;
    let url = server.url("/a");
    let etag = client.get(&url, &[]).await.header("etag").to_owned();
    let same = client.get(&url, &[("if-none-match", &etag)]).await;
    assert_eq!(
        (same.status, same.body.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    assert_eq!(same.header("etag"), etag);
    let other = client.get(&url, &[("if-none-match", "\"x\"")]).await;
    assert_eq!((other.status, other.text()), (StatusCode::OK, "/a 1"));
    let head = client.ask(Method::HEAD, &url, &[]).await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (StatusCode::OK, "4")
    );
    assert!(head.is_hit() && head.body.is_empty());
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn an_invalidated_tag_makes_the_next_get_a_miss_and_no_other() {
    let origin = Origin::new(|request, call| async move {
        let path = request.uri().path().to_owned();
        let mut reply = Origin::reply(FRESH, format!("{path} {call}"));
        reply
            .extensions_mut()
            .insert(pitlane::CacheHint::tags([path]));
        reply
    });
    let (caches, server, client) = serve(&origin).await;
    for path in ["/a", "/b"] {
        client.get(&server.url(path), &[]).await;
    }
    let _ = caches.invalidate(["/a"]).await.unwrap();
    let a = client.get(&server.url("/a"), &[]).await;
    assert_eq!((a.detail(), a.text()), ("invalidated", "/a 3"));
    assert!(client.get(&server.url("/b"), &[]).await.is_hit());
}

#[tokio::test]
async fn a_write_to_a_uri_ends_its_entry_unless_it_fails() {
    let origin = Origin::new(|request, call| async move {
        let mut reply = Origin::reply(FRESH, call.to_string());
        if request.headers().contains_key("fail") {
            *reply.status_mut() = StatusCode::CONFLICT;
        }
        reply
    });
    let (_caches, server, client) = serve(&origin).await;
    let url = server.url("/a?x=1");
    client.get(&url, &[]).await;
    client.ask(Method::POST, &url, &[("fail", "1")]).await;
    assert!(client.get(&url, &[]).await.is_hit());
    let post = client.ask(Method::POST, &url, &[]).await;
    assert_eq!(
        post.header("cache-status"),
        "pitlane; fwd=method; detail=method"
    );
    assert_eq!(client.get(&url, &[]).await.detail(), "invalidated");
}

#[tokio::test]
async fn an_expired_entry_is_a_miss_and_a_stale_one_within_its_window_is_served() {
    let clock = pitlane::Clock::manual(pitlane::Timestamp::from_millis(1_000_000_000_000));
    let caches = Caches::builder().clock(clock.clone()).build().unwrap();
    let origin = Origin::counting(&[("cache-control", "max-age=60, stale-while-revalidate=30")]);
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let server = Server::start(layer.layer(origin.clone())).await;
    let client = Client::new(Protocol::Http1);
    let url = server.url("/a");
    client.get(&url, &[]).await;
    clock.advance(Duration::from_secs(59));
    assert_eq!(client.get(&url, &[]).await.header("age"), "59");
    clock.advance(Duration::from_secs(1));
    let stale = client.get(&url, &[]).await;
    assert_eq!(
        (stale.detail(), stale.text()),
        ("stale-while-revalidate", "/a 1")
    );
    while origin.calls() < 2 {
        tokio::task::yield_now().await;
    }
    loop {
        let hit = client.get(&url, &[]).await;
        if hit.detail() == "fresh" {
            assert_eq!(hit.text(), "/a 2");
            break;
        }
    }
    assert_eq!(origin.calls(), 2);
    clock.advance(Duration::from_secs(91));
    assert_eq!(client.get(&url, &[]).await.detail(), "expired");
}

/// Or anybody could empty the cache with GETs that no handler heeds.
#[tokio::test]
async fn a_get_that_claims_another_method_passes_and_ends_nothing() {
    let origin = Origin::counting(FRESH);
    let (_caches, server, client) = serve(&origin).await;
    let url = server.url("/a");
    client.get(&url, &[]).await;
    let tunnelled = client
        .get(&url, &[("x-http-method-override", "DELETE")])
        .await;
    assert_eq!(tunnelled.detail(), "method-override");
    assert!(client.get(&url, &[]).await.is_hit());
}

#[tokio::test]
async fn what_is_invalidated_while_the_handler_fails_does_not_stand_in_for_it() {
    let gate = pitlane_testkit::Gate::new();
    let inside = gate.clone();
    let origin = Origin::new(move |_, call| {
        let gate = inside.clone();
        async move {
            let headers = [
                ("cache-control", "max-age=1, stale-if-error=600"),
                ("cache-tag", "x"),
            ];
            let mut reply = Origin::reply(&headers, "page");
            if call > 1 {
                gate.pass().await;
                *reply.status_mut() = StatusCode::BAD_GATEWAY;
            }
            reply
        }
    });
    let clock = pitlane::Clock::manual(pitlane::Timestamp::from_millis(1_000_000_000_000));
    let caches = Caches::builder().clock(clock.clone()).build().unwrap();
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let server = Server::start(layer.layer(origin)).await;
    let client = Client::new(Protocol::Http1);
    let url = server.url("/a");
    client.get(&url, &[]).await;
    clock.advance(Duration::from_secs(5));
    let ask = || {
        tokio::spawn({
            let (client, url) = (client.clone(), url.clone());
            async move { client.get(&url, &[]).await }
        })
    };
    let stale = ask();
    gate.arrival().await;
    gate.open(1);
    assert_eq!(stale.await.unwrap().detail(), "stale-if-error");
    let gone = ask();
    gate.arrival().await;
    let _ = caches.invalidate(["x"]).await.unwrap();
    gate.open(1);
    assert_eq!(gone.await.unwrap().status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn urls_are_named_whole_whatever_their_scheme_and_prefixes_in_whole_segments() {
    let origin = Origin::counting(FRESH);
    let (caches, server, client) = serve(&origin).await;
    let paths = ["/clubs", "/clubs/42", "/clubs2", "/clubs/42?page=2"];
    let check = async |expected: [&str; 4]| {
        for (path, expected) in paths.into_iter().zip(expected) {
            let answer = client.get(&server.url(path), &[]).await;
            assert_eq!(answer.detail(), expected, "{path}");
        }
    };
    check(["uri-miss"; 4]).await;
    let host = server.address();
    let one = pitlane::Invalidation::default().add_url(&format!("HTTPS://{host}/clubs/42"));
    let _ = caches.publish(one.unwrap()).await.unwrap();
    check(["fresh", "invalidated", "fresh", "fresh"]).await;
    let prefix = pitlane::Invalidation::default().add_url_prefix(&server.url("/clubs"));
    let _ = caches.publish(prefix.unwrap()).await.unwrap();
    check(["invalidated", "invalidated", "fresh", "invalidated"]).await;
    for bad in ["/clubs", "", "http://", "not a url", "a.org", "a.org:80"] {
        let empty = pitlane::Invalidation::default;
        for result in [empty().add_url(bad), empty().add_url_prefix(bad)] {
            assert_eq!(result.unwrap_err().kind(), pitlane::ErrorKind::Url, "{bad}");
        }
    }
}

#[tokio::test]
async fn an_api_calls_nothing_public_that_it_does_not_store() {
    let origin = Origin::new(|request, _| async move {
        match request.uri().path() {
            "/cookie" => Origin::reply(&[("set-cookie", "a=1")], "x"),
            "/error" => {
                let mut reply = Origin::reply(&[], "x");
                *reply.status_mut() = StatusCode::NOT_FOUND;
                reply
            }
            _ => Origin::reply(&[], "x"),
        }
    });
    let caches = Caches::builder().build().unwrap();
    let minute = Duration::from_secs(60);
    let layer = pitlane::ApiCacheLayer::new(&caches.get("default").unwrap());
    let server = Server::start(layer.ttl(minute).client_ttl(minute).layer(origin)).await;
    let client = Client::new(Protocol::Http1);
    let public = "public, max-age=60, must-revalidate";
    for (path, headers, told) in [
        ("/", &[][..], public),
        ("/", &[][..], public),
        ("/cookie", &[], "private, no-cache"),
        ("/error", &[], "private, no-cache"),
        ("/", &[("x-original-url", "/evil")], "private, no-cache"),
        ("/", &[("cookie", "id=1")], "private, no-cache"),
    ] {
        let answer = client.get(&server.url(path), headers).await;
        assert_eq!(answer.header("cache-control"), told, "{path} {headers:?}");
    }
}
