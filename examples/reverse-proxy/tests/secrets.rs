//! Nothing that the program says, at any level, shows a secret.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use pitlane_testkit::{Client, Origin, Protocol, RedisServer, Server};

use crate::support::proxies::until;
use crate::support::running::{Started, output, signal, start_with};

const PASSWORD: &str = "canary-of-the-redis-password";
const WRONG: &str = "canary-of-a-password-that-is-wrong";
const TOKEN: &str = "canary-of-the-admin-token-of-32-bytes";

/// Ends the program and looks at everything that it has said.
async fn check(mut started: Started) {
    signal(&started.child, "TERM").await;
    started.child.wait().await.expect("an end");
    let said = started.said.await.expect("text");
    // What is not logged can't show anything.
    for spoke in [
        "TRACE fred::",
        "TRACE h2::",
        "TRACE hyper_util::",
        "pitlane_redis::",
    ] {
        assert!(said.contains(spoke), "{spoke}: {said}");
    }
    let shown: Vec<_> = said
        .lines()
        .filter(|line| line.contains("canary"))
        .collect();
    assert!(shown.is_empty(), "{shown:#?}");
}

async fn ask(client: &Client, method: Method, url: &str, token: &str) -> http::StatusCode {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(br#"{"tags":["a"]}"#)));
    client.send(request.expect("a request")).await.status
}

#[tokio::test]
async fn no_secret_is_shown_at_trace() {
    let redis = RedisServer::builder().password(PASSWORD).start();
    let server = Server::start(Origin::counting(&[("cache-control", "max-age=600")])).await;
    let token = redis.folder().join("token");
    std::fs::write(&token, TOKEN).expect("a file");
    let token = token.to_str().expect("text");
    let flags = ["--admin", "127.0.0.1:0", "--admin-token-file", token];
    let (address, url) = (redis.address(), redis.url_of(2));
    let bare = format!("redis://{address}/2");
    let wrong = format!("redis://:{WRONG}@{address}/2");
    for (flags, variables, is_let_in) in [
        (
            flags.to_vec(),
            vec![("PITLANE_REDIS_URL", url.as_str())],
            true,
        ),
        (
            [&flags[..], &["--redis", &bare]].concat(),
            vec![("PITLANE_REDIS_PASSWORD", PASSWORD)],
            true,
        ),
        ([&flags[..], &["--redis", &wrong]].concat(), vec![], false),
    ] {
        let variables = [&variables[..], &[("RUST_LOG", "trace")]].concat();
        let started = start_with(server.address(), &flags, &variables).await;
        let admin = started.admin.expect("an admin API");
        let stats = format!("http://{admin}/api/stats");
        let client = Client::new(Protocol::Http1);
        let bearer = format!("Bearer {TOKEN}");
        let state = if is_let_in { "closed" } else { "open" };
        until(
            "Redis has said what it thinks of the password",
            async || {
                let answer = client.get(&stats, &[("authorization", &bearer)]).await;
                assert!(!answer.text().contains("canary"), "{}", answer.text());
                answer.text().contains(&format!("\"write\":\"{state}\""))
            },
        )
        .await;
        let page = format!("http://{}/page", started.address);
        assert_eq!(client.get(&page, &[]).await.status, 200);
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let client = Client::new(protocol);
            let url = format!("http://{admin}/api/invalidate");
            assert_eq!(ask(&client, Method::POST, &url, TOKEN).await, 200);
            let wrong = format!("canary-{TOKEN}");
            assert_eq!(ask(&client, Method::POST, &url, &wrong).await, 401);
        }
        check(started).await;
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_not_shown() {
    for url in [
        format!("http://:{PASSWORD}@127.0.0.1"),
        format!("redis://:{PASSWORD}@"),
        format!("redis://:{PASSWORD}@127.0.0.1:x/y"),
        format!("redis://{PASSWORD}:{PASSWORD}@127.0.0.1/999"),
    ] {
        let always = ["--listen", "127.0.0.1:0", "--origin", "http://127.0.0.1:1"];
        let output = output(&[&always[..], &["--redis", &url]].concat()).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("cannot set up the cache: Redis can't be used"),
            "{said}"
        );
        assert!(!said.contains("canary"), "{said}");
    }
}
