//! tower-http's Compression: outside, one entry serves all; inside, each form is an entry.

use std::io::Read;

use flate2::read::GzDecoder;
use http::{Method, header};
use pitlane::Encoding;
use pitlane_testkit::{Answer, Origin};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;

use crate::support::{BOTH, Site, TEXT, cache, check, until};

/// What clients say that they take, and the coding that they get.
const CLIENTS: &[(&str, &str)] = &[
    ("gzip", "gzip"),
    ("", ""),
    ("gzip, deflate, br, zstd", "gzip"),
    ("br", ""),
    ("gzip;q=0", ""),
    ("identity", ""),
    ("*;q=0, gzip;q=0.5", "gzip"),
    ("gzip;q=0, *;q=1", ""),
    ("nonsense;q=x", ""),
];

fn page() -> String {
    "a page that repeats itself, ".repeat(100)
}

fn handler() -> Origin {
    Origin::new(|_, _| async { Origin::reply(TEXT, page()) })
}

#[track_caller]
fn check_form(answer: &Answer, accepts: &str, coding: &str) {
    let told = answer.header("cache-status");
    assert_eq!(answer.status, 200, "{accepts}: {told}");
    assert_eq!(
        answer.header("content-encoding"),
        coding,
        "{accepts}: {told}"
    );
    let mut text = String::new();
    match coding {
        "gzip" => GzDecoder::new(&*answer.body).read_to_string(&mut text),
        _ => (&*answer.body).read_to_string(&mut text),
    }
    .unwrap();
    assert_eq!(text, page(), "{accepts}: {told}");
    let vary = answer.header("vary");
    assert_eq!(vary, "accept-encoding", "{accepts}: {told}");
}

async fn get(site: &Site, accepts: &str) -> Answer {
    match accepts {
        "" => site.get("/", &[]).await,
        _ => site.get("/", &[("accept-encoding", accepts)]).await,
    }
}

/// Whatever else tower-http was built with.
fn gzip() -> CompressionLayer {
    CompressionLayer::new().no_br().no_deflate().no_zstd()
}

#[tokio::test]
async fn outside_one_entry_serves_every_client() {
    for protocol in BOTH {
        let origin = handler();
        let stack = ServiceBuilder::new()
            .layer(gzip())
            .layer(cache())
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for (accepts, coding) in CLIENTS.iter().chain(CLIENTS) {
            check_form(&get(&site, accepts).await, accepts, coding);
        }
        assert_eq!(origin.calls(), 1);
    }
}

#[tokio::test]
async fn inside_each_form_is_an_entry_and_nobody_gets_a_coding_they_refuse() {
    for protocol in BOTH {
        let origin = handler();
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(gzip())
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        for (accepts, coding) in CLIENTS {
            check_form(&get(&site, accepts).await, accepts, coding);
        }
        let calls = origin.calls();
        assert!(calls > 2, "one page is many entries: {calls}");
        for (accepts, coding) in CLIENTS {
            let answer = get(&site, accepts).await;
            check_form(&answer, accepts, coding);
            check(&answer, 200, "pitlane; hit");
        }
        assert_eq!(origin.calls(), calls);
    }
}

#[tokio::test]
async fn outside_a_client_that_takes_nothing_harms_nobody() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(gzip())
            .layer(cache())
            .service(handler());
        let site = Site::start(protocol, stack).await;
        assert_eq!(get(&site, "identity;q=0, *;q=0").await.status, 406);
        let answer = get(&site, "gzip").await;
        check_form(&answer, "gzip", "gzip");
        check(&answer, 200, "pitlane; hit");
    }
}

#[tokio::test]
async fn inside_a_client_that_takes_nothing_keeps_nobody_from_the_cache() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(gzip())
            .service(handler());
        let site = Site::start(protocol, stack).await;
        for _ in 0..2 {
            assert_eq!(get(&site, "identity;q=0, *;q=0").await.status, 406);
            for (accepts, coding) in CLIENTS {
                check_form(&get(&site, accepts).await, accepts, coding);
                check(&get(&site, accepts).await, 200, "pitlane; hit");
            }
        }
    }
}

/// What the guide warns of: the layer leaves the handler's strong ETag on what it has encoded.
#[tokio::test]
async fn outside_a_strong_etag_names_both_forms() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(gzip())
            .layer(cache())
            .service(handler());
        let site = Site::start(protocol, stack).await;
        get(&site, "gzip").await;
        let (zipped, plain) = (get(&site, "gzip").await, get(&site, "").await);
        let etag = zipped.header("etag");
        assert!(etag.starts_with('"'), "{etag}");
        assert_eq!(etag, plain.header("etag"));

        let fresh = [("accept-encoding", "gzip"), ("if-none-match", etag)];
        check(&site.get("/", &fresh).await, 304, "pitlane; hit");
        // The rest of a gzip that broke off would be plain text: don't resume, or don't compress.
        let rest = [
            ("accept-encoding", "gzip"),
            ("range", "bytes=10-19"),
            ("if-range", etag),
        ];
        let part = site.get("/", &rest).await;
        check(&part, 206, "pitlane; hit");
        assert_eq!(part.header("content-encoding"), "");
        assert_eq!(part.body, page().as_bytes()[10..20]);
    }
}

#[tokio::test]
async fn inside_each_form_has_an_etag_of_its_own() {
    for protocol in BOTH {
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(gzip())
            .service(handler());
        let site = Site::start(protocol, stack).await;
        for accepts in ["gzip", ""] {
            get(&site, accepts).await;
        }
        let (zipped, plain) = (get(&site, "gzip").await, get(&site, "").await);
        assert_ne!(zipped.header("etag"), plain.header("etag"));
        assert!(zipped.headers.contains_key(header::ETAG));
        // A HEAD is answered from the form that a GET would get.
        let url = site.server.url("/");
        let head = site
            .client
            .ask(Method::HEAD, &url, &[("accept-encoding", "gzip")])
            .await;
        check(&head, 200, "pitlane; hit");
        assert_eq!(head.header("etag"), zipped.header("etag"));
    }
}

#[tokio::test]
async fn outside_it_leaves_alone_what_the_cache_has_encoded() {
    for protocol in BOTH {
        let origin = handler();
        let stack = ServiceBuilder::new()
            .layer(gzip())
            .layer(cache().encodings([Encoding::Brotli, Encoding::Gzip]))
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        let plain = get(&site, "").await;
        until("the form is made", async || {
            let answer = get(&site, "gzip, br;q=0.5").await;
            // Until then the layer outside encodes it, or nobody does.
            answer.header("content-encoding") == "gzip"
                && answer.header("etag") != plain.header("etag")
        })
        .await;
        let answer = get(&site, "gzip").await;
        let mut text = String::new();
        GzDecoder::new(&*answer.body)
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, page(), "once, and not twice");
        assert_eq!(get(&site, "gzip;q=0, br;q=0").await.body, page());
        assert_eq!(origin.calls(), 1);
    }
}
