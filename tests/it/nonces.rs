//! `.replace_on_hit`: no two visitors have the same nonce, and nobody knows another's: class 35.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pitlane::{AnonymousCacheLayer, Cache};
use pitlane_e2e::{Ask, Heard, send};
use pitlane_testkit::{Origin, Protocol, Reply, Server, Steps};
use tokio::task::JoinSet;
use tower_layer::Layer;

use crate::{
    naive::{Flaw, Naive},
    runner::in_memory,
};

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];
const MARKER: &str = "@nonce@";
const VISITORS: usize = 12;

/// How the handler gives its page.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Whole,
    Streamed,
}

/// A page with the marker in head and body, and with what a visitor has said in both.
fn page(sent: Sent) -> Origin {
    Origin::new(move |request, _| async move {
        let said = request.headers().get("x-said");
        let said = said
            .map(|said| said.to_str().unwrap().to_owned())
            .unwrap_or_default();
        let headers = [
            ("content-type", "text/html"),
            ("content-security-policy", "script-src 'nonce-@nonce@'"),
            ("etag", "\"page\""),
            ("x-said", said.as_str()),
        ];
        match sent {
            Sent::Whole => Origin::reply(
                &headers,
                format!("<script nonce=\"@nonce@\"></script>{said}<i nonce='@nonce@'>"),
            ),
            Sent::Streamed => streamed(&headers, &said),
        }
    })
}

/// The page in pieces that end within the marker, none of which is there at once.
fn streamed(headers: &[(&str, &str)], said: &str) -> Reply {
    let piece = |text: String| async move {
        tokio::task::yield_now().await;
        text.into()
    };
    let pieces = [
        "<script nonce=\"@no",
        "nce@\"></script>",
        said,
        "<i nonce='@",
        "nonce@'>",
    ];
    let pieces = pieces.into_iter().filter(|text| !text.is_empty());
    let steps = pieces.fold(Steps::new(), |steps, text| {
        steps.then(piece(text.to_owned()))
    });
    steps.reply(headers)
}

fn layer() -> AnonymousCacheLayer {
    layer_over(&in_memory().get("default").unwrap())
}

fn layer_over(cache: &Cache) -> AnonymousCacheLayer {
    let next = Arc::new(AtomicUsize::new(0));
    AnonymousCacheLayer::new(cache)
        .ttl(Duration::from_secs(60))
        .replace_on_hit(MARKER, move || {
            format!("N{:06}", next.fetch_add(1, Ordering::SeqCst))
        })
}

/// The nonce of an answer, where all that it says agrees.
fn nonce_of(heard: &Heard) -> Result<String, String> {
    let told = || format!("{heard:?}");
    let policy = heard.header("content-security-policy");
    let nonce = policy.strip_prefix("script-src 'nonce-").ok_or_else(told)?;
    let nonce = nonce.strip_suffix('\'').ok_or_else(told)?;
    let expected = format!("<script nonce=\"{nonce}\"></script><i nonce='{nonce}'>");
    let same = heard.body == expected && !heard.contains(MARKER);
    let timeless = !heard.headers.contains_key("etag") && heard.status == 200;
    if same && timeless {
        Ok(nonce.to_owned())
    } else {
        Err(told())
    }
}

/// Visitors at once, and then one by one, whatever they say: as many nonces.
async fn check(protocol: Protocol, address: SocketAddr) -> Result<(), String> {
    let page = || Ask::get("/page");
    let mut asks = vec![page(); VISITORS];
    asks.extend([
        page().header("range", "bytes=0-20"),
        page()
            .header("range", "bytes=16-22")
            .header("if-range", "\"page\""),
        page().header("if-none-match", "*"),
        page().header("if-none-match", "\"page\""),
        page().header("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT"),
        page().header("cookie", "session=1"),
        page().header("authorization", "Bearer 1"),
        page().header("cache-control", "no-cache"),
        page().header("accept-encoding", "gzip, br"),
    ]);
    let mut nonces = HashSet::new();
    for together in [asks.len(), 1] {
        for some in asks.chunks(together) {
            let mut visits = JoinSet::new();
            for ask in some {
                let ask = ask.clone();
                visits.spawn(async move { send(protocol, address, &ask).await.unwrap() });
            }
            for heard in visits.join_all().await {
                let nonce = nonce_of(&heard)?;
                if !nonces.insert(nonce) {
                    return Err(format!("the second with this nonce: {heard:?}"));
                }
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_visitors_have_the_same_nonce() {
    for sent in [Sent::Whole, Sent::Streamed] {
        for protocol in PROTOCOLS {
            let origin = page(sent);
            let server = Server::start(layer().layer(origin.clone())).await;
            let checked = check(protocol, server.address()).await;
            checked.unwrap_or_else(|error| panic!("{sent:?} {protocol:?}: {error}"));
            // Only who has a session or a token is never answered from the cache.
            assert!(origin.calls() <= 5, "{} calls", origin.calls());
        }
    }
}

/// The positive control: what is stored with its nonce in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_cache_outside_of_the_nonces_is_caught() {
    for protocol in PROTOCOLS {
        let nonces = layer().layer(page(Sent::Whole));
        let server = Server::start(Naive::new(nonces, Flaw::All)).await;
        assert!(check(protocol, server.address()).await.is_err());
    }
}

/// A marker that somebody else may write is no secret, and what they get for it is their own nonce.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_the_marker_learns_no_nonce_but_their_own() {
    for protocol in PROTOCOLS {
        for sent in [Sent::Whole, Sent::Streamed] {
            let hidden = layer().strip_unkeyed().layer(page(sent));
            let server = Server::start(hidden).await;
            let planted = Ask::get("/page").header("x-said", MARKER);
            let attack = send(protocol, server.address(), &planted).await.unwrap();
            let victim = send(protocol, server.address(), &Ask::get("/page"))
                .await
                .unwrap();
            let (attack, victim) = (nonce_of(&attack).unwrap(), nonce_of(&victim).unwrap());
            assert_ne!(attack, victim);
        }
    }
}

/// Two layers over one cache, of which one replaces nothing: the marker itself would be everybody's
/// nonce.
#[tokio::test(flavor = "multi_thread")]
async fn a_layer_beside_it_shows_no_page_that_was_stored_for_its_markers() {
    for protocol in PROTOCOLS {
        let cache = in_memory().get("default").unwrap();
        let origin = page(Sent::Whole);
        let swapping = Server::start(layer_over(&cache).layer(origin.clone())).await;
        let plain = AnonymousCacheLayer::new(&cache).ttl(Duration::from_secs(60));
        let plain = Server::start(plain.layer(origin.clone())).await;
        let ask = Ask::get("/page");
        send(protocol, swapping.address(), &ask).await.unwrap();
        for calls in 2..4 {
            let heard = send(protocol, plain.address(), &ask).await.unwrap();
            assert!(!heard.header("cache-status").contains("hit;"), "{heard:?}");
            assert_eq!(origin.calls(), calls, "{protocol:?}");
        }
        let heard = send(protocol, swapping.address(), &ask).await.unwrap();
        nonce_of(&heard).unwrap();
        assert_eq!(origin.calls(), 3, "{protocol:?}");
    }
}

/// What can't be searched keeps its markers, and then its scripts don't run: the policy has a nonce.
#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_page_keeps_its_markers_and_its_policy_does_not() {
    let origin = Origin::new(|_, _| async {
        let headers = [
            ("content-type", "text/html"),
            ("content-encoding", "x-own"),
            ("content-security-policy", "script-src 'nonce-@nonce@'"),
        ];
        Origin::reply(&headers, "<script nonce=\"@nonce@\">")
    });
    let server = Server::start(layer().layer(origin)).await;
    for protocol in PROTOCOLS {
        let mut policies = HashSet::new();
        for _ in 0..3 {
            let heard = send(protocol, server.address(), &Ask::get("/page"))
                .await
                .unwrap();
            assert_eq!(heard.body, "<script nonce=\"@nonce@\">");
            let policy = heard.header("content-security-policy").to_owned();
            assert!(!policy.contains(MARKER), "{policy}");
            assert!(policies.insert(policy));
        }
    }
}
