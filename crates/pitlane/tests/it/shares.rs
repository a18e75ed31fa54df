//! Whose answer is shown to whom.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use pitlane::{AnonymousCacheLayer, ApiCacheLayer, Outcome, ResponseCacheLayer};
use pitlane_testkit::{Client, Origin, Protocol, Reply, Server};
use tower::Layer;

use crate::drive::{FRESH, ask, bench, get};

/// Answers with the call's number, and with the response header named in the query.
async fn scripted(request: http::Request<()>, call: usize) -> Reply {
    let query = request.uri().query().unwrap_or_default();
    let mut reply = Origin::reply(FRESH, call.to_string());
    if let Some((name, value)) = query.split_once('=') {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        reply
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).unwrap());
    }
    reply
}

#[tokio::test]
async fn what_an_answer_forbids_to_share_is_asked_for_every_time() {
    let bench = bench();
    let service = bench.layer.layer(Origin::new(scripted));
    for (query, detail) in [
        ("set-cookie=s%3D1", "set-cookie"),
        ("cache-control=private", "private"),
        ("cache-control=no-store", "no-store"),
        ("cache-control=no-cache", "needs-validation"),
        ("vary=*", "vary-any"),
    ] {
        let path = format!("/?{query}");
        let first = get(&service, &path).await;
        assert_eq!(first.detail(), detail);
        let second = get(&service, &path).await;
        assert!(!second.is_hit() && second.body != first.body, "{query}");
    }
    let control = get(&service, "/").await;
    assert_eq!(get(&service, "/").await.body, control.body);
}

#[tokio::test]
async fn credentials_and_unknown_cookies_are_neither_answered_from_the_cache_nor_stored() {
    let bench = bench();
    for name in ["authorization", "proxy-authorization", "cookie"] {
        let origin = Origin::counting(FRESH);
        let service = AnonymousCacheLayer::new(&bench.cache)
            .add_harmless_cookie("_ga")
            .layer(origin.clone());
        let path = format!("/{name}");
        let known = [(name, "session=1")];
        for call in 1..=2 {
            let answer = ask(&service, Method::GET, &path, &known).await;
            assert_eq!(answer.text(), format!("{path} {call}"));
        }
        let anonymous = get(&service, &path).await;
        assert_eq!((anonymous.is_hit(), origin.calls()), (false, 3), "{name}");
        assert!(get(&service, &path).await.is_hit());
        let mixed = ask(&service, Method::GET, &path, &known).await;
        assert!(!mixed.is_hit(), "{name}");
    }
}

#[tokio::test]
async fn a_harmless_cookie_hits_and_the_handler_never_sees_it() {
    let bench = bench();
    let origin = Origin::new(|request, _| async move {
        let cookie = request.headers().get(header::COOKIE).cloned();
        Origin::reply(FRESH, format!("{cookie:?}"))
    });
    let service = AnonymousCacheLayer::new(&bench.cache)
        .add_harmless_cookie("_ga*")
        .layer(origin.clone());
    let first = ask(&service, Method::GET, "/a", &[("cookie", "_ga_1=mallory")]).await;
    assert_eq!(first.text(), "None");
    let others = [("cookie", "_ga=x; _gat=y"), ("cookie", "_ga_2=alice")];
    for cookie in others {
        assert!(ask(&service, Method::GET, "/a", &[cookie]).await.is_hit());
    }
    assert!(get(&service, "/a").await.is_hit());
    assert_eq!(origin.calls(), 1);
}

fn user(parts: &http::request::Parts) -> Option<String> {
    let id = parts.headers.get("x-user")?.to_str().ok()?;
    Some(id.to_owned())
}

#[tokio::test]
async fn a_users_answer_is_hit_by_that_user_only_and_ended_by_the_users_tag() {
    let bench = bench();
    let origin = Origin::new(|request, call| async move {
        let who = request.headers().get("x-user").cloned();
        Origin::reply(FRESH, format!("{who:?} {call}"))
    });
    let service = ResponseCacheLayer::new(&bench.cache)
        .per_user(user)
        .layer(origin.clone());
    let as_user = |id: &'static str| {
        let service = service.clone();
        async move {
            let headers = [("x-user", id), ("cookie", "s=1"), ("authorization", "b x")];
            ask(&service, Method::GET, "/me", &headers).await
        }
    };
    let mine = as_user("1").await;
    assert_eq!(mine.header("cache-control"), "private, max-age=60");
    let again = as_user("1").await;
    assert!(again.is_hit() && again.body == mine.body);
    assert!(again.header("cache-control").contains("private"));
    for other in ["2", "11", "", "1 "] {
        let theirs = as_user(other).await;
        assert!(!theirs.is_hit(), "{other:?} saw the answer of user 1");
        assert_ne!(theirs.body, mine.body);
    }
    for _ in 0..2 {
        let nobody = get(&service, "/me").await;
        assert_eq!((nobody.detail(), nobody.is_hit()), ("no-user", false));
    }
    let _ = bench.caches.invalidate(["user:1"]).await.unwrap();
    assert_eq!(as_user("1").await.detail(), "invalidated");
    assert!(as_user("2").await.is_hit());
    let bypassed = bench.cache.counts().into_iter();
    let bypassed = bypassed.filter(|count| count.outcome == Outcome::Bypass);
    assert_eq!(bypassed.map(|count| count.count).sum::<u64>(), 2);
}

#[tokio::test]
async fn an_api_never_shows_a_credentialed_answer_to_anybody_else() {
    let bench = bench();
    let origin = Origin::counting(&[]);
    let service = ApiCacheLayer::new(&bench.cache)
        .ttl(Duration::from_secs(60))
        .layer(origin);
    let known = ask(&service, Method::GET, "/a", &[("authorization", "b x")]).await;
    assert_eq!(known.header("cache-control"), "private, no-cache");
    let anonymous = get(&service, "/a").await;
    assert!(!anonymous.is_hit());
    assert!(anonymous.header("cache-control").starts_with("public"));
    assert!(get(&service, "/a").await.is_hit());
}

#[tokio::test]
async fn hop_by_hop_fields_and_those_that_connection_lists_are_not_stored() {
    let bench = bench();
    let origin = Origin::new(|_, _| async {
        Origin::reply(
            &[
                ("cache-control", "max-age=60"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("upgrade", "h2c"),
                ("age", "7"),
                ("x-end", "1"),
            ],
            "x",
        )
    });
    let service = bench.layer.layer(origin);
    get(&service, "/a").await;
    let hit = get(&service, "/a").await;
    assert!(hit.is_hit());
    for name in ["connection", "x-hop", "keep-alive", "te", "upgrade"] {
        assert!(!hit.headers.contains_key(name), "{name} was stored");
    }
    assert_eq!((hit.header("x-end"), hit.header("age")), ("1", "7"));
}

#[tokio::test]
async fn a_head_first_never_empties_the_get_and_a_head_after_it_is_answered_from_it() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let bench = bench();
        let origin = Origin::new(|request, call| async move {
            // As frameworks do: no content for HEAD.
            let body = match *request.method() {
                Method::HEAD => Bytes::new(),
                _ => Bytes::from(format!("body {call}")),
            };
            Origin::reply(FRESH, body)
        });
        let server = Server::start(bench.layer.layer(origin.clone())).await;
        let client = Client::new(protocol);
        let url = server.url("/a");
        let head = client.ask(Method::HEAD, &url, &[]).await;
        assert_eq!((head.detail(), head.is_hit()), ("head-miss", false));
        let first = client.get(&url, &[]).await;
        assert_eq!((first.text(), first.is_hit()), ("body 2", false));
        let head = client.ask(Method::HEAD, &url, &[]).await;
        assert!(head.is_hit() && head.body.is_empty());
        assert_eq!(head.header("content-length"), "6");
        assert_eq!(client.get(&url, &[]).await.text(), "body 2");
        assert_eq!(origin.calls(), 2);
    }
}
