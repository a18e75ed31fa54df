//! Validation under attack, where time or many requests are part of it: who asks about an entry,
//! what a flood of variants or of `only-if-cached` costs.
//!
//! What one request after another is enough for is told in `tests/scenarios/attacks.toml`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::StatusCode;
use pitlane::{Cache, Caches, Clock, ResponseCacheLayer, Timestamp};
use pitlane_e2e::{Answer, Ask, Content, Fixture, Seen, send};
use pitlane_testkit::{Origin, Protocol, RedisServer};
use tokio::task::JoinSet;
use tower_layer::Layer;

use crate::{
    bounds::get,
    runner::{Subject, in_memory, over_redis, serve},
};

const SUBJECTS: [Subject; 3] = [Subject::Anonymous, Subject::Api, Subject::General];
const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// How often an entry has to be validated before enough was seen.
const VALIDATIONS: usize = 2;

/// Who asked the handler, and about which entity tag.
type Log = Arc<Mutex<Vec<(String, String)>>>;

/// A page that is one thing for everybody and another for each who says who they are, with an
/// entity tag each, stale after a second.
fn page(log: &Log) -> Fixture {
    let log = Arc::clone(log);
    Fixture::new(move |seen, _| {
        let who = who(seen);
        let tag = format!("\"{who}\"");
        let known = seen.header("if-none-match").to_owned();
        log.lock().unwrap().push((who.clone(), known.clone()));
        let answer = Answer::status(if known == tag { 304 } else { 200 });
        let answer = answer
            .header("etag", tag)
            .header("cache-control", "max-age=1");
        match answer.status {
            304 => answer.content(Content::Empty),
            _ => answer.content(Content::Text(format!("for {who}"))),
        }
    })
}

fn who(seen: &Seen) -> String {
    let said = [seen.header("cookie"), seen.header("authorization")].concat();
    match said.is_empty() {
        true => "everybody".to_owned(),
        false => said.replace(|byte: char| !byte.is_ascii_alphanumeric(), "-"),
    }
}

/// Visitors without, before and after a login ask for one page until it was validated often enough.
async fn check_visitors(subject: Subject, protocol: Protocol, cache: Cache) {
    let log = Log::default();
    let server = serve(subject, &cache, page(&log)).await;
    let visitors = [
        ("everybody", Ask::get("/page")),
        (
            "session-alice",
            Ask::get("/page").header("cookie", "session=alice"),
        ),
        (
            "Bearer-bob",
            Ask::get("/page").header("authorization", "Bearer bob"),
        ),
    ];
    let validated = || {
        let log = log.lock().unwrap();
        let about = |(_, tag): &&(String, String)| tag == "\"everybody\"";
        log.iter().filter(about).count()
    };
    while validated() < VALIDATIONS {
        for (name, ask) in &visitors {
            let heard = send(protocol, server.address(), ask).await.unwrap();
            assert_eq!(heard.status, StatusCode::OK);
            assert_eq!(
                heard.body,
                format!("for {name}"),
                "{subject:?} {protocol:?}"
            );
        }
        // An entry becomes stale only with time; what is shown doesn't depend on how much.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (who, tag) in log.lock().unwrap().iter() {
        let allowed = tag.is_empty() || (who == "everybody" && tag == "\"everybody\"");
        assert!(allowed, "{subject:?} {protocol:?}: {who} asked about {tag}");
    }
}

async fn check_all_visitors(mut caches: impl Iterator<Item = Cache>) {
    let mut checks = JoinSet::new();
    for subject in SUBJECTS {
        for protocol in PROTOCOLS {
            checks.spawn(check_visitors(subject, protocol, caches.next().unwrap()));
        }
    }
    let all = tokio::time::timeout(Duration::from_secs(60), checks.join_all()).await;
    assert!(all.is_ok(), "an entry was not validated within a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_with_credentials_validates_what_is_for_everybody() {
    let caches = std::iter::repeat_with(|| in_memory().get("default").unwrap());
    check_all_visitors(caches).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_with_credentials_validates_what_lies_in_redis_for_everybody() {
    let redis = RedisServer::start();
    let caches = over_redis(&redis, SUBJECTS.len() * PROTOCOLS.len()).await;
    let all: Vec<_> = caches.iter().cloned().collect();
    check_all_visitors(all.into_iter()).await;
}

#[tokio::test]
async fn a_flood_of_only_if_cached_asks_nobody_and_fills_nothing() {
    for subject in SUBJECTS {
        for protocol in PROTOCOLS {
            let cache = in_memory().get("default").unwrap();
            let fixture = Fixture::new(|_, _| Answer::default()).cache_control(Some("max-age=60"));
            let server = serve(subject, &cache, fixture.clone()).await;
            let before = cache.memory().bytes;
            for n in 0..500 {
                let ask = Ask::get(format!("/{n}")).header("cache-control", "only-if-cached");
                let heard = send(protocol, server.address(), &ask).await.unwrap();
                assert_eq!(heard.status, StatusCode::GATEWAY_TIMEOUT);
            }
            assert_eq!(fixture.calls(), 0, "{subject:?} {protocol:?}");
            assert_eq!(cache.memory().bytes, before, "{subject:?} {protocol:?}");
        }
    }
}

#[tokio::test]
async fn a_flood_of_variants_is_validated_no_more_than_it_is_kept() {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let caches = Caches::builder().clock(clock.clone()).build().unwrap();
    let cache = caches.get("default").unwrap();
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let origin = Origin::new(move |request, _| {
        let value = |name| request.headers().get(name).cloned();
        let (lang, known) = (value("x-lang"), value("if-none-match"));
        *count.lock().unwrap() += usize::from(known.is_some());
        async move {
            let tag = format!("{:?}", lang.as_ref().unwrap().to_str().unwrap());
            let mut headers = vec![("cache-control", "max-age=60"), ("etag", tag.as_str())];
            headers.extend(NAMES.map(|name| ("vary", name)));
            let body = if known.is_some() {
                String::new()
            } else {
                format!("{lang:?}")
            };
            let mut reply = Origin::reply(&headers, body);
            if let Some(known) = known {
                assert_eq!(known, tag, "one variant's tag was sent for another");
                *reply.status_mut() = StatusCode::NOT_MODIFIED;
            }
            reply
        }
    });
    let service = ResponseCacheLayer::new(&cache).layer(origin);
    for _ in 0..3 {
        for n in 0..2000 {
            let value = n.to_string();
            let (_, body) = get(&service, "/page", Some(("x-lang", &value))).await;
            assert_eq!(body, format!("Some({value:?})"));
        }
        clock.advance(Duration::from_secs(61));
    }
    let asked = *asked.lock().unwrap();
    assert!((1..=64).contains(&asked), "{asked} validations");
}

/// Fields that an answer may depend on, besides the one that it does depend on.
const NAMES: [&str; 8] = ["x-lang", "x-1", "x-2", "x-3", "x-4", "x-5", "x-6", "x-7"];
