//! What is stored under which flags, for how long, and what is served when the origin is gone.

use std::time::Duration;

use http::StatusCode;
use pitlane_testkit::{Answer, Client, Origin, Protocol, Server};

use crate::support::{impatient_proxy, proxy_with};

type Fields = &'static [(&'static str, &'static str)];

const DATED: Fields = &[("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")];
const MAX_AGE: Fields = &[("cache-control", "max-age=60")];
const SHARED: Fields = &[("cache-control", "s-maxage=60, max-age=0")];
const EXPIRES: Fields = &[("expires", "Fri, 01 Jan 2100 00:00:00 GMT")];
const NO_STORE: Fields = &[("cache-control", "no-store")];
const PRIVATE: Fields = &[("cache-control", "private, max-age=60")];
const COOKIE: Fields = &[("set-cookie", "id=1"), ("cache-control", "max-age=60")];
const PUBLIC_COOKIE: Fields = &[
    ("set-cookie", "id=1"),
    ("cache-control", "public, max-age=60"),
];

const NONE: &[&str] = &[];
const TTL: &[&str] = &["--ttl", "60s"];
const RFC: &[&str] = &["--profile", "rfc"];
const RFC_TTL: &[&str] = &["--profile", "rfc", "--ttl", "60s"];

/// Asks twice; `Err` is why nothing was stored.
async fn check(fields: Fields, flags: &[&str], expected: Result<(), &str>) {
    let origin = Origin::counting(fields);
    let server = Server::start(origin.clone()).await;
    let url = format!("http://{}/", proxy_with(server.address(), flags).await);
    let client = Client::new(Protocol::Http1);
    let first = client.get(&url, &[]).await;
    let second = client.get(&url, &[]).await;
    let seen = match second.is_hit() {
        true => Ok(()),
        false => Err(first.detail()),
    };
    assert_eq!(seen, expected, "{fields:?} {flags:?}");
    assert_eq!(origin.calls(), if expected.is_ok() { 1 } else { 2 });
}

#[tokio::test]
async fn without_a_ttl_only_stated_freshness_is_stored() {
    for (fields, with, without) in [
        (&[][..], Ok(()), Err("no-freshness")),
        (DATED, Ok(()), Err("no-freshness")),
        (MAX_AGE, Ok(()), Ok(())),
        (SHARED, Ok(()), Ok(())),
        (EXPIRES, Ok(()), Ok(())),
        (NO_STORE, Err("no-store"), Err("no-store")),
        (PRIVATE, Err("private"), Err("private")),
    ] {
        check(fields, TTL, with).await;
        check(fields, NONE, without).await;
    }
}

#[tokio::test]
async fn only_the_rfc_profile_guesses_from_the_last_change() {
    check(DATED, RFC, Ok(())).await;
    check(DATED, NONE, Err("no-freshness")).await;
    check(&[], RFC, Err("no-freshness")).await;
}

#[tokio::test]
async fn a_cookie_is_stored_only_where_the_rfc_and_the_origin_want_it() {
    let refused = Err("set-cookie");
    for flags in [NONE, TTL] {
        check(COOKIE, flags, refused).await;
        check(PUBLIC_COOKIE, flags, refused).await;
    }
    for flags in [RFC, RFC_TTL] {
        check(COOKIE, flags, refused).await;
        check(PUBLIC_COOKIE, flags, Ok(())).await;
    }
}

/// Asks until the entry is no longer fresh. Two seconds are the rule; a slow machine takes more.
async fn outlive(client: &Client, url: &str) -> Answer {
    loop {
        let answer = client.get(url, &[]).await;
        if !(answer.is_hit() && answer.detail() == "fresh") {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// An origin that can be shut down: no connection to it outlives its answer.
async fn mortal(cache_control: &'static str, flags: &[&str]) -> (Server, String) {
    let origin = Origin::new(move |_, _| async move {
        let fields = [("cache-control", cache_control), ("connection", "close")];
        Origin::reply(&fields, "page")
    });
    let server = Server::start(origin).await;
    let url = format!("http://{}/", proxy_with(server.address(), flags).await);
    (server, url)
}

#[tokio::test]
async fn a_stale_page_is_served_while_the_origin_is_down() {
    for (said, flags) in [("max-age=1, stale-if-error=60", NONE), ("max-age=1", RFC)] {
        let (server, url) = mortal(said, flags).await;
        let client = Client::new(Protocol::Http2);
        assert_eq!(client.get(&url, &[]).await.detail(), "uri-miss");
        drop(server);
        let stale = outlive(&client, &url).await;
        assert_eq!((stale.status, stale.text()), (StatusCode::OK, "page"));
        let told = stale.header("cache-status");
        assert!(
            told.starts_with("pitlane; fwd=stale; fwd-status=502; ttl="),
            "{told}"
        );
        assert_eq!(stale.detail(), "stale-if-error");
        // It stays so, for those who have the page as well.
        let etag = stale.header("etag");
        let known = client.get(&url, &[("if-none-match", etag)]).await;
        assert_eq!(known.status, StatusCode::NOT_MODIFIED);
        assert_eq!(known.detail(), "stale-if-error");
    }
}

/// The proxy's own 504 counts as the origin's failure.
#[tokio::test]
async fn a_stale_page_is_served_while_the_origin_is_silent() {
    let origin = Origin::new(|_, call| async move {
        if call > 1 {
            std::future::pending::<()>().await;
        }
        let fields = [("cache-control", "max-age=1, stale-if-error=60")];
        Origin::reply(&fields, "page")
    });
    let server = Server::start(origin).await;
    let proxy = impatient_proxy(server.address(), Duration::from_millis(200)).await;
    let (client, url) = (Client::new(Protocol::Http1), format!("http://{proxy}/"));
    client.get(&url, &[]).await;
    let stale = outlive(&client, &url).await;
    assert_eq!((stale.status, stale.text()), (StatusCode::OK, "page"));
    assert_eq!(stale.detail(), "stale-if-error");
}

#[tokio::test]
async fn without_leave_a_stale_page_is_not_served_for_an_error() {
    for (said, flags) in [
        ("max-age=1", NONE),
        ("max-age=1, must-revalidate, stale-if-error=60", NONE),
        ("max-age=1, must-revalidate", RFC),
    ] {
        let (server, url) = mortal(said, flags).await;
        let client = Client::new(Protocol::Http1);
        client.get(&url, &[]).await;
        drop(server);
        let answer = outlive(&client, &url).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{said}");
        assert!(!answer.is_hit(), "{answer:?}");
    }
}
