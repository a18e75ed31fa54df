//! The reasons that one request after another brings about.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use http_body::Frame;
use pitlane::{CacheHint, Freshness, Invalidation, Key, Profile, Reason};

use super::case::{Case, framed, reply, with_status};

const TAGGED: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("cache-tag", "t")];

pub(super) fn all() -> Vec<Case> {
    let groups = [
        found(),
        unusable(),
        passed(),
        personal(),
        answers(),
        bodies(),
    ];
    groups.into_iter().flatten().collect()
}

/// What is answered from the cache.
fn found() -> Vec<Case> {
    vec![
        Case::new(Reason::Fresh).warm(),
        Case::new(Reason::StaleWhileRevalidate)
            .says(&[("cache-control", "max-age=10, stale-while-revalidate=30")])
            .warm()
            .pause(15),
        Case::new(Reason::StaleIfError)
            .handler(|_, call| match call {
                1 => reply(&[("cache-control", "max-age=10, stale-if-error=30")], "x"),
                _ => with_status(503, &[]),
            })
            .warm()
            .pause(15),
        Case::new(Reason::Validated)
            .layer(|layer, _| layer.profile(Profile::Rfc))
            .handler(|request, _| {
                let asked = request.headers().contains_key("if-none-match");
                let status = if asked { 304 } else { 200 };
                with_status(
                    status,
                    &[("cache-control", "max-age=10"), ("etag", "\"1\"")],
                )
            })
            .warm()
            .pause(15),
        Case::new(Reason::MaxStale)
            .layer(|layer, _| layer.profile(Profile::Rfc))
            .says(&[("cache-control", "max-age=10")])
            .warm()
            .pause(15)
            .with("cache-control", "max-stale=30"),
        Case::new(Reason::DryRun)
            .layer(|layer, _| layer.dry_run())
            .warm(),
    ]
}

/// What is not there, or not to be used.
fn unusable() -> Vec<Case> {
    vec![
        Case::new(Reason::UriMiss),
        Case::new(Reason::VaryMiss)
            .says(&[("cache-control", "max-age=60"), ("vary", "x-kind")])
            .warm_with("x-kind", "a")
            .with("x-kind", "b"),
        Case::new(Reason::Expired)
            .says(&[("cache-control", "max-age=10")])
            .warm()
            .pause(15),
        Case::new(Reason::Invalidated)
            .says(TAGGED)
            .warm()
            .ends(Invalidation::tags(["t"])),
        Case::new(Reason::SoftInvalidated)
            .says(TAGGED)
            .warm()
            .ends(Invalidation::tags(["t"]).soft()),
        // A node remembers so many tags, and forgets the oldest.
        Case::new(Reason::Horizon)
            .warm()
            .ends(Invalidation::tags((0..300_000).map(|n| n.to_string()))),
        Case::new(Reason::HitForMiss)
            .handler(|_, call| match call {
                1 => reply(&[("cache-control", "no-store")], "x"),
                _ => reply(&[("cache-control", "max-age=60")], "x"),
            })
            .warm(),
        Case::new(Reason::HeadMiss).asks(Method::HEAD, "http://site.test/"),
        Case::new(Reason::ValidationMismatch)
            .handler(|_, call| match call {
                1 => reply(&[("cache-control", "max-age=10"), ("etag", "\"1\"")], "x"),
                _ => with_status(304, &[("etag", "\"2\"")]),
            })
            .warm()
            .pause(15),
        Case::new(Reason::RequestNoCache)
            .layer(|layer, _| layer.profile(Profile::Rfc))
            .warm()
            .with("cache-control", "no-cache"),
        Case::new(Reason::OnlyIfCached).with("cache-control", "only-if-cached"),
    ]
}

/// What the cache has no part in, by the request's form.
fn passed() -> Vec<Case> {
    let long = format!("http://site.test/{}", "x".repeat(17 << 10));
    vec![
        Case::new(Reason::Disabled).layer(|layer, _| layer.enabled(false)),
        Case::new(Reason::Method)
            .asks(Method::OPTIONS, "http://site.test/")
            .not_asked(),
        Case::new(Reason::Upgrade).with("upgrade", "websocket"),
        Case::new(Reason::Connection).with("connection", "close, x-kind"),
        Case::new(Reason::RequestBody).body("x"),
        Case::new(Reason::Range).with("range", "bytes=0-0"),
        Case::new(Reason::Precondition)
            .layer(|layer, _| layer.profile(Profile::Rfc))
            .with("if-match", "\"1\""),
        Case::new(Reason::UriOverride).with("x-original-url", "/admin"),
        Case::new(Reason::MethodOverride).with("x-http-method-override", "DELETE"),
        Case::new(Reason::Host)
            .with("host", "a.org")
            .with("host", "b.org"),
        Case::new(Reason::KeyTooLong).asks(Method::GET, &long),
        Case::new(Reason::RequestNoStore)
            .layer(|layer, _| layer.profile(Profile::Rfc))
            .with("cache-control", "no-store"),
    ]
}

/// What the cache has no part in because of who asks.
fn personal() -> Vec<Case> {
    vec![
        Case::new(Reason::Authorization).with("authorization", "Bearer x"),
        Case::new(Reason::Credential).with("x-api-key", "x"),
        Case::new(Reason::Cookie).with("cookie", "session=1"),
        Case::new(Reason::NoUser).layer(|layer, _| layer.per_user(|_| None)),
        Case::new(Reason::NoTenant).layer(|layer, _| layer.tenant(|_| None)),
        Case::new(Reason::Personal).layer(|layer, _| layer.personal(|_| true)),
    ]
}

/// Answers that say by their head that they are not to be stored.
fn answers() -> Vec<Case> {
    let fresh = ("cache-control", "max-age=60");
    let mut many = HeaderMap::new();
    for group in 0..129 {
        let group = HeaderValue::from_str(&format!("\"{group}\"")).unwrap();
        many.append("cache-groups", group);
    }
    vec![
        Case::new(Reason::TooManyGroups).handler(move |_, _| {
            let mut answer = pitlane_testkit::Origin::reply(&[fresh], "x");
            answer.headers_mut().extend(many.clone());
            Box::pin(async { Ok(answer) })
        }),
        Case::new(Reason::NoStore).says(&[("cache-control", "no-store")]),
        Case::new(Reason::Private).says(&[("cache-control", "private, max-age=60")]),
        Case::new(Reason::NeedsValidation).says(&[("cache-control", "no-cache, max-age=60")]),
        Case::new(Reason::SetCookie)
            .says(&[("cache-control", "max-age=60"), ("set-cookie", "a=b")]),
        Case::new(Reason::Status).status(404),
        Case::new(Reason::UnknownStatus)
            .layer(|layer, _| layer.profile(Profile::Rfc))
            .handler(|_, _| with_status(299, &[("cache-control", "must-understand, max-age=60")])),
        Case::new(Reason::Informational).status(103),
        Case::new(Reason::PartialContent).status(206),
        Case::new(Reason::NotModified).status(304),
        Case::new(Reason::Redirect).status(302),
        Case::new(Reason::VaryAny).says(&[("cache-control", "max-age=60"), ("vary", "*")]),
        Case::new(Reason::VaryLimit).handler(move |_, _| {
            let names: Vec<String> = (0..17).map(|n| format!("x-{n}")).collect();
            reply(&[fresh, ("vary", &names.join(", "))], "x")
        }),
        Case::new(Reason::ReflectedOrigin)
            .says(&[
                ("cache-control", "max-age=60"),
                ("access-control-allow-origin", "https://a.org"),
            ])
            .with("origin", "https://a.org"),
        Case::new(Reason::NoFreshness).says(&[("x-nothing", "said")]),
        Case::new(Reason::ExpiredOnArrival).says(&[("cache-control", "max-age=10"), ("age", "20")]),
        Case::new(Reason::Hint).handler(move |_, _| {
            let mut answer = pitlane_testkit::Origin::reply(&[fresh], "x");
            answer.extensions_mut().insert(CacheHint::no_store());
            Box::pin(async { Ok(answer) })
        }),
        Case::new(Reason::StaleDependency).handler_over(move |caches| {
            let query = caches.get("query").unwrap();
            keep_stale(&query);
            Arc::new(move |_, _| {
                let query = query.clone();
                Box::pin(async move {
                    assert!(query.get(&Key::new("x")).unwrap().is_stale());
                    Ok(pitlane_testkit::Origin::reply(&[fresh], "x"))
                })
            })
        }),
        Case::new(Reason::EventStream).says(&[
            ("cache-control", "max-age=60"),
            ("content-type", "text/event-stream"),
        ]),
        Case::new(Reason::TooLarge).handler(move |_, _| reply(&[fresh], vec![b'x'; (1 << 20) + 1])),
        Case::new(Reason::Failed)
            .handler(|_, _| Box::pin(async { Err("it failed".to_owned()) }))
            .no_answer(),
    ]
}

/// Answers whose bodies are not what their heads promise.
fn bodies() -> Vec<Case> {
    let fresh = ("cache-control", "max-age=60");
    let data = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
    vec![
        Case::new(Reason::EmptyBody).handler(move |_, _| reply(&[fresh], "")),
        Case::new(Reason::CspNonce)
            .handler(move |_, _| {
                let kind = ("content-type", "text/html");
                framed(&[fresh, kind], vec![Ok(Frame::data("<b nonce=x>".into()))])
            })
            .late(),
        Case::new(Reason::BodyError)
            .handler(move |_, _| framed(&[fresh], vec![data("x"), Err("it broke off")]))
            .late(),
        Case::new(Reason::LengthMismatch)
            .handler(move |_, _| framed(&[fresh, ("content-length", "5")], vec![data("x")]))
            .late(),
        Case::new(Reason::Trailers)
            .handler(move |_, _| {
                let trailers = Frame::trailers(HeaderMap::new());
                framed(&[fresh], vec![data("x"), Ok(trailers)])
            })
            .late(),
    ]
}

/// Puts a value into a cache that is stale as soon as it is there, within its window.
fn keep_stale(cache: &pitlane::Cache) {
    let window = Duration::from_secs(3600);
    let freshness = Freshness::new(Duration::ZERO).with_stale_while_revalidate(window);
    let claim = async {
        let pitlane::Claim::Fill(fill) = cache.claim(&Key::new("x")).await else {
            panic!("nothing is there");
        };
        fill.store_with("old", freshness, [] as [&str; 0])
    };
    let claimed = std::pin::pin!(claim);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(claimed.poll(&mut cx).is_ready());
}
