//! Encoded forms of what is stored.

use std::{io::Read, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use pitlane::{AnonymousCacheLayer, CacheLayer, Encoding, General, ResponseCache};
use pitlane_testkit::{Answer, Client, Origin, Protocol, Server};
use tower::Layer;

use crate::drive::{Bench, ask, bench, bounded, get};

const PAGE: &[(&str, &str)] = &[
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "max-age=60"),
];
const ALL: &[(&str, &str)] = &[("accept-encoding", "gzip, br, zstd")];

fn text() -> String {
    "<p>A page that says the same thing over and over again.</p>".repeat(50)
}

fn layer(bench: &Bench) -> CacheLayer<General> {
    let order = [Encoding::Brotli, Encoding::Zstd, Encoding::Gzip];
    bench.layer.clone().encodings(order)
}

fn page(fields: &[(&'static str, &'static str)]) -> Origin {
    let fields = fields.to_vec();
    Origin::new(move |_, _| {
        let reply = Origin::reply(&fields, text());
        async move { reply }
    })
}

fn decoded(answer: &Answer) -> String {
    let mut text = Vec::new();
    match answer
        .headers
        .get("content-encoding")
        .map(|value| value.to_str().unwrap())
    {
        Some("br") => drop(
            brotli::Decompressor::new(&answer.body[..], 4096)
                .read_to_end(&mut text)
                .unwrap(),
        ),
        Some("gzip") => drop(
            flate2::read::GzDecoder::new(&answer.body[..])
                .read_to_end(&mut text)
                .unwrap(),
        ),
        Some("zstd") => text = zstd::decode_all(&answer.body[..]).unwrap(),
        Some(other) => panic!("{other}"),
        None => text = answer.body.to_vec(),
    }
    String::from_utf8(text).unwrap()
}

fn coding(answer: &Answer) -> Option<String> {
    let coding = answer.headers.get("content-encoding")?;
    Some(coding.to_str().unwrap().to_owned())
}

/// Stores the page and has its forms made.
async fn warm(service: &ResponseCache<Origin>) {
    let miss = ask(service, Method::GET, "/", ALL).await;
    assert_eq!((miss.is_hit(), coding(&miss)), (false, None));
    until_coded(service).await;
}

async fn until_coded(service: &ResponseCache<Origin>) {
    bounded(async {
        while coding(&ask(service, Method::GET, "/", ALL).await).is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn each_client_gets_a_form_that_it_takes_and_all_say_the_same() {
    let bench = bench();
    let origin = page(PAGE);
    let server = Server::start(layer(&bench).layer(origin.clone())).await;
    warm(&layer(&bench).layer(origin.clone())).await;
    let mut tags = std::collections::HashSet::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = Client::new(protocol);
        let url = server.url("/");
        let (miss, mut last) = (client.get(&url, &[]).await, None);
        assert_eq!(coding(&miss), None);
        for _ in 0..2000 {
            let answer = client.get(&url, ALL).await;
            if coding(&answer).is_some() {
                break;
            }
            last = Some(answer);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Before there are forms the answer is whole as well, and says that it varies.
        if let Some(answer) = last {
            assert_eq!(
                (decoded(&answer), answer.header("vary")),
                (text(), "Accept-Encoding")
            );
        }
        for (accept, expected) in [
            ("gzip, br, zstd", Some("br")),
            ("gzip", Some("gzip")),
            ("zstd;q=0.5, gzip;q=0.4", Some("zstd")),
            ("br;q=0, *", Some("zstd")),
            ("identity", None),
            ("gzip;q=0, br;q=0, zstd;q=0", None),
            ("deflate", None),
            ("", None),
            ("gzip;q=0", None),
        ] {
            let answer = client.get(&url, &[("accept-encoding", accept)]).await;
            assert_eq!(coding(&answer).as_deref(), expected, "{accept}");
            assert!(answer.is_hit());
            assert_eq!(decoded(&answer), text(), "{accept}");
            assert_eq!(answer.header("vary"), "Accept-Encoding", "{accept}");
            assert_eq!(
                answer.header("content-length"),
                answer.body.len().to_string()
            );
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
            tags.insert((expected, answer.header("etag").to_owned()));
        }
    }
    assert_eq!(
        tags.len(),
        4,
        "one tag a form, the same in both protocols: {tags:?}"
    );
    let distinct: std::collections::HashSet<_> = tags.iter().map(|(_, tag)| tag).collect();
    assert_eq!(distinct.len(), 4);
}

#[tokio::test]
async fn forms_are_made_once_and_the_handler_is_asked_once() {
    let bench = bench();
    let origin = page(PAGE);
    let service = layer(&bench).layer(origin.clone());
    warm(&service).await;
    let before = bench.cache.memory();
    let first = ask(&service, Method::GET, "/", ALL).await;
    let again = ask(&service, Method::GET, "/", ALL).await;
    assert_eq!(first.body.as_ptr(), again.body.as_ptr());
    assert_eq!((origin.calls(), bench.cache.memory()), (1, before));
}

#[tokio::test]
async fn the_tier_counts_what_forms_take() {
    let bench = bench();
    let service = layer(&bench).layer(page(PAGE));
    get(&service, "/").await;
    let plain = bench.cache.memory();
    until_coded(&service).await;
    let coded = bench.cache.memory();
    assert_eq!(coded.entries, plain.entries);
    let mut forms = 0;
    for accept in ["br", "zstd", "gzip"] {
        let answer = ask(&service, Method::GET, "/", &[("accept-encoding", accept)]).await;
        forms += answer.body.len() as u64;
    }
    assert!(
        coded.bytes - plain.bytes >= forms,
        "{plain:?} {coded:?} {forms}"
    );
}

#[tokio::test]
async fn conditions_are_judged_by_the_form_that_would_be_sent() {
    let bench = bench();
    let service = layer(&bench).layer(page(PAGE));
    warm(&service).await;
    let br = ask(&service, Method::GET, "/", ALL)
        .await
        .header("etag")
        .to_owned();
    let own = get(&service, "/").await.header("etag").to_owned();
    assert_eq!(br, own.replace("\"", "").join_tag("--pitlane-br"));
    let of = |headers: Vec<(&'static str, String)>| {
        let service = service.clone();
        async move {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            ask(&service, Method::GET, "/", &headers).await
        }
    };
    let accept = ("accept-encoding", "br".to_owned());
    let same = of(vec![accept.clone(), ("if-none-match", br.clone())]).await;
    assert_eq!(
        (same.status, same.header("etag")),
        (StatusCode::NOT_MODIFIED, &*br)
    );
    assert_eq!(same.header("vary"), "Accept-Encoding");
    let other = of(vec![accept.clone(), ("if-none-match", own.clone())]).await;
    assert_eq!(other.status, StatusCode::OK);
    let plain = of(vec![("if-none-match", own.clone())]).await;
    assert_eq!(plain.status, StatusCode::NOT_MODIFIED);
    // A part is one of the entry's own form, and a part of another is never mixed with it.
    let part = of(vec![accept.clone(), ("range", "bytes=0-2".into())]).await;
    assert_eq!(
        (part.status, part.text()),
        (StatusCode::PARTIAL_CONTENT, "<p>")
    );
    assert_eq!((part.header("etag"), coding(&part)), (&*own, None));
    let resumed = vec![accept, ("range", "bytes=0-2".into()), ("if-range", br)];
    let resumed = of(resumed).await;
    assert_eq!(
        (resumed.status, decoded(&resumed)),
        (StatusCode::OK, text())
    );
    let head = ask(&service, Method::HEAD, "/", ALL).await;
    assert_eq!((coding(&head).as_deref(), head.body.len()), (Some("br"), 0));
}

trait JoinTag {
    fn join_tag(&self, mark: &str) -> String;
}

impl JoinTag for String {
    fn join_tag(&self, mark: &str) -> String {
        format!("\"{self}{mark}\"")
    }
}

#[tokio::test]
async fn the_handler_hears_only_of_tags_that_it_gave() {
    let bench = bench();
    let origin = Origin::new(|request, _| async move {
        if request.method() == Method::GET {
            return Origin::reply(&[PAGE, &[("etag", "\"v1\"")]].concat(), text());
        }
        let said = |name| {
            let values = request.headers().get_all(name);
            let values: Vec<_> = values.iter().map(|value| value.to_str().unwrap()).collect();
            values.join(" | ")
        };
        Origin::reply(
            &[],
            format!("{} / {}", said("if-match"), said("if-none-match")),
        )
    });
    let service = layer(&bench).layer(origin);
    warm(&service).await;
    let tag = ask(&service, Method::GET, "/", ALL)
        .await
        .header("etag")
        .to_owned();
    assert_eq!(tag, "\"v1--pitlane-br\"");
    let headers = [
        ("if-match", "\"v1--pitlane-br\", \"v1--pitlane-gzip\""),
        ("if-match", "\"v1--pitlane-lzma\""),
        ("if-none-match", "W/\"v1--pitlane-zstd\""),
    ];
    let put = ask(&service, Method::PUT, "/", &headers).await;
    let seen = "\"v1\", \"v1\" | \"v1--pitlane-lzma\" / W/\"v1\"";
    assert_eq!(put.text(), seen);
}

#[tokio::test]
async fn a_weak_tag_stands_for_every_form() {
    let bench = bench();
    let fields: &[_] = &[PAGE[0], PAGE[1], ("etag", "W/\"v1\"")];
    let service = layer(&bench).layer(page(fields));
    warm(&service).await;
    let br = ask(&service, Method::GET, "/", ALL).await;
    assert_eq!(
        (br.header("etag"), coding(&br).as_deref()),
        ("W/\"v1\"", Some("br"))
    );
}

#[tokio::test]
async fn what_must_not_be_compressed_is_not() {
    for fields in [
        &[PAGE[1], ("content-type", "image/png")][..],
        &[PAGE[0], PAGE[1], ("content-encoding", "x-own")],
        &[PAGE[0], PAGE[1], ("content-digest", "sha-256=:x:")],
        &[PAGE[0], PAGE[1], ("repr-digest", "sha-256=:x:")],
        &[PAGE[0], ("cache-control", "max-age=60, no-transform")],
    ] {
        let bench = bench();
        let service = layer(&bench).layer(page(fields));
        let own = get(&service, "/").await;
        for _ in 0..3 {
            let answer = ask(&service, Method::GET, "/", ALL).await;
            assert_eq!(
                answer.headers.get("content-encoding"),
                own.headers.get("content-encoding")
            );
            assert_eq!(answer.body, own.body, "{fields:?}");
            assert!(answer.headers.get("vary").is_none(), "{fields:?}");
            settle(&bench).await;
        }
    }
}

/// Time for what runs in the background, if anything does.
async fn settle(_: &Bench) {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn what_is_small_or_does_not_shrink_stays_as_it_is() {
    let noise: Bytes = (0..4096u64)
        .flat_map(|n| blake3_like(n).to_le_bytes())
        .collect();
    for body in [Bytes::from_static(b"short"), noise] {
        let bench = bench();
        let own = body.clone();
        let origin = Origin::new(move |_, _| {
            let own = own.clone();
            async move { Origin::reply(PAGE, own) }
        });
        let service = layer(&bench).layer(origin);
        get(&service, "/").await;
        for _ in 0..3 {
            let answer = ask(&service, Method::GET, "/", ALL).await;
            assert_eq!((coding(&answer), &answer.body), (None, &body));
            assert_eq!(answer.header("vary"), "Accept-Encoding");
            settle(&bench).await;
        }
    }
}

/// Numbers without a pattern.
const fn blake3_like(n: u64) -> u64 {
    let mut x = n
        .wrapping_add(0x9e37_79b9_7f4a_7c15)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 31;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 29)
}

#[tokio::test]
async fn a_new_entry_has_forms_of_its_own() {
    let bench = bench();
    let origin =
        Origin::new(
            |_, call| async move { Origin::reply(PAGE, format!("<h1>{call}</h1>{}", text())) },
        );
    let service = AnonymousCacheLayer::new(&bench.cache).encodings([Encoding::Gzip]);
    let service = service.layer(origin);
    for call in [1, 3, 5] {
        get(&service, "/").await;
        bounded(async {
            while coding(&ask(&service, Method::GET, "/", ALL).await).is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        let answer = ask(&service, Method::GET, "/", ALL).await;
        assert_eq!(decoded(&answer), format!("<h1>{call}</h1>{}", text()));
        ask(&service, Method::DELETE, "/", &[]).await;
    }
}

#[tokio::test]
async fn an_answer_that_varies_already_says_so_once() {
    let bench = bench();
    let fields: &[_] = &[
        PAGE[0],
        PAGE[1],
        ("vary", "accept-encoding, accept-language"),
    ];
    let service = layer(&bench).layer(page(fields));
    warm(&service).await;
    for headers in [ALL, &[]] {
        let answer = ask(&service, Method::GET, "/", headers).await;
        let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
        assert_eq!(vary, ["accept-encoding, accept-language"]);
    }
}

#[tokio::test]
async fn where_markers_are_replaced_nothing_is_compressed() {
    let bench = bench();
    let layer = layer(&bench).replace_on_hit("again", || "once".into());
    let service = layer.layer(page(PAGE));
    for _ in 0..3 {
        let answer = ask(&service, Method::GET, "/", ALL).await;
        assert_eq!(answer.text(), text().replace("again", "once"));
        settle(&bench).await;
    }
}

#[tokio::test]
async fn a_part_of_an_encoded_form_is_no_part_of_what_the_handler_has() {
    let bench = bench();
    let origin = Origin::new(|request, _| async move {
        if request.headers().contains_key("range") {
            let said = request.headers().get("if-range").cloned();
            let said = said.map_or_else(String::new, |tag| tag.to_str().unwrap().to_owned());
            return Origin::reply(&[("cache-control", "no-store")], said);
        }
        Origin::reply(&[PAGE, &[("etag", "\"v1\"")]].concat(), text())
    });
    let service = layer(&bench).layer(origin);
    warm(&service).await;
    bench.clock.advance(Duration::from_secs(61));
    let resumed = [("range", "bytes=9-"), ("if-range", "\"v1--pitlane-br\"")];
    let passed = ask(&service, Method::GET, "/", &resumed).await;
    assert_eq!(passed.text(), "\"v1--pitlane-br\"");
}

#[tokio::test]
async fn forms_stay_within_the_tiers_limit() {
    let limit = 2 << 20;
    let caches = pitlane::Caches::builder().memory(limit).max_body(64 << 10);
    let cache = caches.build().unwrap().get("default").unwrap();
    let origin = Origin::new(|request, _| async move {
        let path = request.uri().path().to_owned();
        // Hard to compress: each form is nearly as long as the entry.
        let words = (0..4000u64).map(|n| format!("{path}{:x} ", blake3_like(n)));
        Origin::reply(PAGE, words.collect::<String>())
    });
    let layer =
        pitlane::ResponseCacheLayer::new(&cache).encodings([Encoding::Brotli, Encoding::Gzip]);
    let service = layer.layer(origin);
    for round in 0..4 {
        for page in 0..60 {
            ask(
                &service,
                Method::GET,
                &format!("/{page}"),
                if round == 0 { &[] } else { ALL },
            )
            .await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let there = cache.memory();
    assert!(there.bytes <= limit, "{there:?}");
}
