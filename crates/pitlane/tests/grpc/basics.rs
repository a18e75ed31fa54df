//! Hits, and what passes untouched.

use std::time::Duration;

use http::HeaderName;
use http_body_util::BodyExt;
use pitlane::{CacheHint, GrpcCacheLayer, Invalidation, Key, Outcome, Reason, depend_on};
use pitlane_testkit::Server;
use tower::Layer;

use crate::client::{Client, full};
use crate::fixture::{CACHED, DEADLINE, Echo, OTHER, TTL, bench, ended, message, ok, open};

#[tokio::test]
async fn a_hit_repeats_metadata_message_and_trailers_and_asks_nobody() {
    let bench = bench();
    let echo = Echo::new(|seen| async move {
        let (writer, reply) = open(&[
            ("x-serves", "one"),
            ("x-serves", "two"),
            ("x-digest-bin", "AAECAw"),
            ("grpc-accept-encoding", "gzip"),
        ]);
        writer.data(message(&format!("answer {}", seen.call)));
        writer.trailers(&[
            ("grpc-status", "0"),
            ("grpc-message", ""),
            ("x-cost", "7"),
            ("x-trace-bin", "/w"),
        ]);
        reply
    });
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let miss = client.call("a").await;
    let hit = client.call("a").await;
    assert_eq!(
        miss.cache_status(),
        "pitlane; fwd=uri-miss; stored; detail=uri-miss"
    );
    assert_eq!(hit.cache_status(), "pitlane; hit; ttl=60; detail=fresh");
    assert_eq!((hit.status, hit.text()), (miss.status, "answer 1"));
    assert_eq!(hit.own_head(), miss.own_head());
    assert_eq!(hit.trailers, miss.trailers);
    assert_eq!(hit.trailers.unwrap()["x-trace-bin"], "/w");
    assert_eq!(echo.calls(), 1);
    // Another message is another call.
    assert_eq!(client.call("b").await.text(), "answer 2");
}

#[tokio::test]
async fn a_hit_ends_with_its_lifetime_and_another_method_has_its_own() {
    let bench = bench();
    let echo = Echo::counting();
    let layer = bench.layer.method(OTHER, Duration::from_secs(5));
    let server = Server::start(layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let other = || client.request(OTHER, &[], full(message("a")));
    assert_eq!(client.call("a").await.text(), "1");
    assert_eq!(client.send(other()).await.text(), "2");
    bench.clock.advance(Duration::from_secs(5));
    assert_eq!(client.call("a").await.text(), "1");
    let expired = client.send(other()).await;
    assert_eq!((expired.text(), expired.detail()), ("3", "expired"));
    bench.clock.advance(TTL);
    assert_eq!(client.call("a").await.text(), "4");
}

#[tokio::test]
async fn a_method_that_is_not_named_passes_as_it_is_while_it_streams() {
    let bench = bench();
    let (writer, reply) = open(&[]);
    let reply = std::sync::Mutex::new(Some(reply));
    let echo = Echo::new(move |_| {
        let reply = reply.lock().unwrap().take().unwrap();
        async move { reply }
    });
    let server = Server::start(bench.layer.layer(echo)).await;
    let client = Client::connect(&server).await;
    let request = client.request(OTHER, &[("authorization", "Bearer x")], full(message("a")));
    let mut response = client.open(request).await;
    assert!(!response.headers().contains_key("cache-status"));
    // Each item arrives before the next one is made.
    for item in ["one", "two", "three"] {
        writer.data(message(item));
        let frame = tokio::time::timeout(DEADLINE, response.body_mut().frame());
        let frame = frame.await.expect("in time").unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), message(item));
    }
    writer.trailers(&[("grpc-status", "0")]);
    let frame = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap()["grpc-status"], "0");
    let counts = bench.cache.counts();
    let counted: Vec<_> = counts
        .iter()
        .map(|count| (&*count.route, count.outcome, count.reason, count.count))
        .collect();
    assert_eq!(
        counted,
        [("unmatched", Outcome::Bypass, Reason::NotNamed, 1)]
    );
    assert_eq!(bench.cache.memory().entries, 0);
}

#[tokio::test]
async fn every_call_is_counted_once_under_its_method() {
    let bench = bench();
    let server = Server::start(bench.layer.layer(Echo::counting())).await;
    let client = Client::connect(&server).await;
    client.call("a").await;
    client.call("a").await;
    client.call("a").await;
    client.call_with("a", &[("cookie", "a=b")]).await;
    let counts = bench.cache.counts();
    let counted: Vec<_> = counts
        .iter()
        .map(|count| (&*count.route, count.outcome, count.reason, count.count))
        .collect();
    let expected = [
        (CACHED, Outcome::Hit, Reason::Fresh, 2),
        (CACHED, Outcome::Miss, Reason::UriMiss, 1),
        (CACHED, Outcome::Bypass, Reason::Cookie, 1),
    ];
    assert_eq!(counted, expected);
    assert_eq!(bench.cache.fills(), [(Reason::Stored, 1)]);
}

#[tokio::test]
async fn whatever_named_a_tag_ends_by_it() {
    let bench = bench();
    let cache = bench.cache.clone();
    let echo = Echo::new(move |seen| {
        let cache = cache.clone();
        async move {
            depend_on(&cache, ["inside"]);
            let mut reply = ok(&seen.call.to_string());
            reply.extensions_mut().insert(CacheHint::tags(["hint"]));
            reply
        }
    });
    let tagged = bench.layer.tags(|path, request| {
        assert_eq!(path, CACHED);
        vec![format!("message:{}", String::from_utf8_lossy(request)).into()]
    });
    let server = Server::start(tagged.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    client.call("a").await;
    let key = Key::new("grpc").child("test.Echo");
    let ways = [
        Invalidation::tags(["inside"]),
        Invalidation::tags(["hint"]),
        Invalidation::tags(["message:a"]),
        Invalidation::default().add_key(&key),
        Invalidation::default().add_key(&key.child("Cached")),
    ];
    for (round, way) in ways.into_iter().enumerate() {
        assert!(client.call("a").await.is_hit());
        let _ = bench.caches.publish(way.clone()).await.unwrap();
        let again = client.call("a").await;
        assert_eq!(again.detail(), "invalidated", "{way:?}");
        assert_eq!(again.text(), (round + 2).to_string());
    }
    // Something else's end is not this one's.
    for other in [
        Invalidation::tags(["message:b"]),
        Invalidation::default().add_key(&key.child("Other")),
    ] {
        let _ = bench.caches.publish(other).await.unwrap();
        assert!(client.call("a").await.is_hit());
    }
}

#[tokio::test]
async fn a_hint_says_for_how_long_or_not_at_all() {
    let bench = bench();
    let echo = Echo::new(|seen| async move {
        let mut reply = ok(&seen.call.to_string());
        let hint = match &seen.body[5..] {
            b"short" => CacheHint::default().ttl(Duration::from_secs(1)),
            _ => CacheHint::no_store(),
        };
        reply.extensions_mut().insert(hint);
        reply
    });
    let server = Server::start(bench.layer.layer(echo)).await;
    let client = Client::connect(&server).await;
    client.call("short").await;
    assert_eq!(
        client.call("short").await.cache_status(),
        "pitlane; hit; ttl=1; detail=fresh"
    );
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(client.call("short").await.detail(), "expired");
    let refused = client.call("never").await;
    assert_eq!(refused.cache_status(), "pitlane; fwd=uri-miss; detail=hint");
}

#[tokio::test]
async fn metadata_that_is_named_is_part_of_the_key_and_the_handler_sees_it() {
    let bench = bench();
    let language = HeaderName::from_static("accept-language");
    let layer = bench.layer.add_metadata(language);
    let echo = Echo::new(|seen| async move {
        let languages: Vec<_> = seen
            .head
            .headers
            .get_all("accept-language")
            .iter()
            .collect();
        ok(&format!("{languages:?} {}", seen.call))
    });
    let server = Server::start(layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let values: [&[(&str, &str)]; 5] = [
        &[],
        &[("accept-language", "")],
        &[("accept-language", "de")],
        &[("accept-language", "de"), ("accept-language", "fr")],
        &[("accept-language", "de, fr")],
    ];
    let mut texts = Vec::new();
    for metadata in values {
        texts.push(client.call_with("a", metadata).await.text().to_owned());
    }
    assert_eq!(echo.calls(), values.len());
    assert!(texts[3].starts_with(r#"["de", "fr"]"#), "{texts:?}");
    for (metadata, text) in values.iter().zip(&texts) {
        let hit = client.call_with("a", metadata).await;
        assert!(hit.is_hit());
        assert_eq!(hit.text(), text);
    }
}

#[tokio::test]
async fn cache_status_can_be_left_out() {
    let bench = bench();
    let layer = bench.layer.without_cache_status();
    let echo = Echo::counting();
    let server = Server::start(layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    for metadata in [&[][..], &[], &[("cookie", "a=b")]] {
        let answer = client.call_with("a", metadata).await;
        assert!(!answer.head.contains_key("cache-status"));
    }
    assert_eq!(echo.calls(), 2);
}

#[tokio::test]
async fn the_same_layer_around_itself_does_not_wait_for_itself() {
    let bench = bench();
    let echo = Echo::counting();
    let twice = bench.layer.layer(bench.layer.layer(echo.clone()));
    let server = Server::start(twice).await;
    let client = Client::connect(&server).await;
    let began = tokio::time::timeout(Duration::from_secs(5), client.call("a"));
    assert_eq!(began.await.expect("no waiting").text(), "1");
    assert_eq!(client.call("a").await.text(), "1");
}

#[tokio::test]
async fn a_stale_dependency_is_not_stored_as_fresh() {
    let bench = bench();
    let key = Key::new("part");
    let soft = Invalidation::tags(["part"]).soft();
    let freshness = pitlane::Freshness::new(TTL).with_stale_while_revalidate(TTL);
    let pitlane::Claim::Fill(fill) = bench.cache.claim(&key).await else {
        panic!("nothing is stored yet");
    };
    fill.store_with("part", freshness, ["part"]);
    let _ = bench.caches.publish(soft).await.unwrap();
    let cache = bench.cache.clone();
    let echo = Echo::new(move |seen| {
        let part = cache.get(&Key::new("part"));
        async move {
            assert!(part.unwrap().is_stale());
            ended(&seen.call.to_string(), &[("grpc-status", "0")])
        }
    });
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let answer = client.call("a").await;
    assert_eq!(
        answer.cache_status(),
        "pitlane; fwd=uri-miss; detail=stale-dependency"
    );
    assert_eq!(client.call("a").await.text(), "2");
}

#[test]
#[should_panic(
    expected = "\"test.Echo/Cached\" is no gRPC method: write it as /package.Service/Method"
)]
fn a_method_that_could_never_be_called_is_refused_at_once() {
    let bench = bench();
    let _ = GrpcCacheLayer::new(&bench.cache).method("test.Echo/Cached", TTL);
}
