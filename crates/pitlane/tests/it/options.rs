//! What an operator can say of requests and answers beyond the usual.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use pitlane::{AnonymousCacheLayer, Invalidation, Outcome, Reason, ResponseCacheLayer};
use pitlane_testkit::{Answer, Client, Origin, Protocol, Server};
use tower::{Layer, Service, ServiceExt};

use crate::drive::{FRESH, ask, bench, get, request};

/// A handler that shows all it was asked: target, headers, and how often.
fn mirror() -> Origin {
    Origin::new(|request, call| async move {
        let mut seen = format!("{call} {}", request.uri());
        for (name, value) in request.headers() {
            seen.push_str(&format!(" {name}={}", value.to_str().unwrap()));
        }
        Origin::reply(FRESH, seen)
    })
}

#[track_caller]
fn check_hit(answer: &Answer, hit: bool) {
    assert_eq!(answer.is_hit(), hit, "{answer:?}");
}

#[tokio::test]
async fn parameters_that_do_not_count_are_neither_keyed_nor_seen() {
    let bench = bench();
    let layer = bench.layer.query_ignore(["utm_*", "gclid"]);
    let service = layer.layer(mirror());
    let miss = get(&service, "/a?q=1&utm_source=evil&gclid=2").await;
    assert!(
        miss.text().starts_with("1 http://site.test/a?q=1"),
        "{miss:?}"
    );
    assert!(!miss.text().contains("evil"));
    for path in ["/a?q=1", "/a?q=1&gclid", "/a?utm_x=1&q=1"] {
        check_hit(&get(&service, path).await, true);
    }
    for path in ["/a?q=2", "/a", "/a?q=1&utm=1", "/a?q=1;utm_x=1"] {
        check_hit(&get(&service, path).await, false);
    }
}

#[tokio::test]
async fn of_an_allow_list_nothing_else_reaches_the_handler() {
    let bench = bench();
    let service = bench.layer.query_allow(["page"]).layer(mirror());
    let miss = get(&service, "/a?page=2&_method=DELETE&x=evil").await;
    assert!(
        miss.text().starts_with("1 http://site.test/a?page=2"),
        "{miss:?}"
    );
    assert!(!miss.text().contains("evil"));
    check_hit(&get(&service, "/a?page=2").await, true);
    check_hit(&get(&service, "/a?page=3").await, false);
}

#[tokio::test]
async fn what_the_cache_has_no_part_in_passes_with_all_its_parameters() {
    let bench = bench();
    let layer = AnonymousCacheLayer::new(&bench.cache).query_allow(["page"]);
    let service = layer.layer(mirror());
    let cookie = [("cookie", "session=1"), ("x-forwarded-host", "b.test")];
    let passed = ask(&service, Method::GET, "/a?x=1", &cookie).await;
    assert_eq!(passed.detail(), "cookie");
    assert!(passed.text().contains("/a?x=1"), "{passed:?}");
    let posted = ask(&service, Method::POST, "/a?x=1", &[]).await;
    assert!(posted.text().contains("/a?x=1"), "{posted:?}");
}

#[tokio::test]
async fn a_write_ends_what_its_uri_stands_for_whatever_its_parameters() {
    let bench = bench();
    let service = bench.layer.query_ignore(["utm_*"]).layer(mirror());
    get(&service, "/a?utm_x=1").await;
    get(&service, "/b").await;
    ask(&service, Method::POST, "/a?utm_x=2", &[]).await;
    let after = get(&service, "/a?utm_x=3").await;
    assert_eq!(after.detail(), "invalidated");
    check_hit(&get(&service, "/b").await, true);
    let invalidation = Invalidation::default()
        .add_url("http://site.test/a")
        .unwrap();
    let _ = bench.caches.publish(invalidation).await.unwrap();
    assert_eq!(get(&service, "/a").await.detail(), "invalidated");
}

fn proxied(trusted: bool) -> (crate::drive::Bench, ResponseCacheLayer) {
    let bench = bench();
    let layer = bench.layer.clone().trusted_proxy(move |parts| {
        assert!(parts.headers.contains_key("host") || parts.uri.host().is_some());
        trusted
    });
    (bench, layer)
}

#[tokio::test]
async fn a_trusted_proxy_says_which_site_it_is() {
    let (bench, layer) = proxied(true);
    let service = layer.layer(mirror());
    let shop = |host| [("x-forwarded-host", host), ("x-forwarded-proto", "https")];
    let miss = ask(&service, Method::GET, "/a", &shop("Shop.Test")).await;
    assert!(
        miss.text().contains("x-forwarded-host=shop.test"),
        "{miss:?}"
    );
    let again = ask(&service, Method::GET, "/a", &shop("shop.test:443")).await;
    check_hit(&again, true);
    check_hit(
        &ask(&service, Method::GET, "/a", &shop("blog.test")).await,
        false,
    );
    let invalidation = Invalidation::default()
        .add_url("https://shop.test/a")
        .unwrap();
    let _ = bench.caches.publish(invalidation).await.unwrap();
    let after = ask(&service, Method::GET, "/a", &shop("shop.test")).await;
    assert_eq!(after.detail(), "invalidated");
    check_hit(
        &ask(&service, Method::GET, "/a", &shop("blog.test")).await,
        true,
    );
    ask(&service, Method::DELETE, "/a", &shop("BLOG.test")).await;
    let after = ask(&service, Method::GET, "/a", &shop("blog.test")).await;
    assert_eq!(after.detail(), "invalidated");
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_is_heard() {
    let (_bench, layer) = proxied(false);
    let service = layer.layer(mirror());
    let evil = [
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.test"),
    ];
    let miss = ask(&service, Method::GET, "/a", &evil).await;
    assert!(!miss.text().contains("evil"), "{miss:?}");
    check_hit(&get(&service, "/a").await, true);
}

#[tokio::test]
async fn tenants_never_share_and_end_by_their_tag() {
    let bench = bench();
    let tenant = |parts: &http::request::Parts| {
        let tenant = parts.headers.get("x-tenant")?.to_str().ok()?;
        Some(tenant.to_owned())
    };
    let service = bench.layer.tenant(tenant).layer(mirror());
    let of = |tenant| ask(&service, Method::GET, "/a", tenant);
    check_hit(&of(&[("x-tenant", "a")]).await, false);
    check_hit(&of(&[("x-tenant", "b")]).await, false);
    check_hit(&of(&[("x-tenant", "a")]).await, true);
    let nobody = of(&[]).await;
    assert_eq!(nobody.detail(), "no-tenant");
    check_hit(&of(&[]).await, false);
    let _ = bench.caches.invalidate(["tenant:a"]).await.unwrap();
    assert_eq!(of(&[("x-tenant", "a")]).await.detail(), "invalidated");
    check_hit(&of(&[("x-tenant", "b")]).await, true);
}

#[tokio::test]
async fn a_fill_sees_nothing_that_is_not_in_the_key() {
    let bench = bench();
    let language = HeaderName::from_static("accept-language");
    let layer = bench.layer.strip_unkeyed().key_header(language);
    let service = layer.layer(mirror());
    let evil = [
        ("accept-language", "de"),
        ("x-evil", "1"),
        ("user-agent", "evil"),
        ("if-none-match", "\"evil\""),
    ];
    let miss = ask(&service, Method::GET, "/a", &evil).await;
    assert!(!miss.text().contains("evil"), "{miss:?}");
    assert!(miss.text().contains("accept-language=de"), "{miss:?}");
    let hit = ask(&service, Method::GET, "/a", &[("accept-language", "de")]).await;
    check_hit(&hit, true);
    let posted = ask(&service, Method::POST, "/a", &evil).await;
    assert!(posted.text().contains("x-evil=1"), "{posted:?}");
}

#[tokio::test]
async fn what_passes_for_a_while_is_stripped_too_when_it_may_be_stored() {
    let bench = bench();
    // The first answer can't be stored, the next ones can.
    let origin = Origin::new(|request, call| async move {
        let seen = request.headers().contains_key("x-evil");
        let fields = if call == 1 { &[][..] } else { FRESH };
        Origin::reply(fields, format!("{call} {seen}"))
    });
    let service = bench.layer.strip_unkeyed().layer(origin);
    get(&service, "/a").await;
    let passed = ask(&service, Method::GET, "/a", &[("x-evil", "1")]).await;
    assert_eq!((passed.text(), passed.is_hit()), ("2 false", false));
    let hit = get(&service, "/a").await;
    assert_eq!((hit.text(), hit.is_hit()), ("2 false", true));
}

/// A page with a nonce of its own in every answer.
fn nonces(bench: &crate::drive::Bench) -> AnonymousCacheLayer {
    let next = AtomicUsize::new(0);
    AnonymousCacheLayer::new(&bench.cache)
        .ttl(Duration::from_secs(60))
        .replace_on_hit("@nonce@", move || {
            format!("n{}", next.fetch_add(1, Ordering::Relaxed) + 1)
        })
}

const PAGE: &[(&str, &str)] = &[
    ("content-type", "text/html"),
    ("content-security-policy", "script-src 'nonce-@nonce@'"),
    ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
];

#[tokio::test]
async fn every_answer_has_a_nonce_of_its_own_in_head_and_body() {
    let bench = bench();
    let origin = Origin::new(|_, call| async move {
        Origin::reply(PAGE, format!("<script nonce=\"@nonce@\">{call}</script>"))
    });
    let server = Server::start(nonces(&bench).layer(origin)).await;
    let client = Client::new(Protocol::Http1);
    for call in 1..4 {
        let headers = [("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT")];
        let answer = client.get(&server.url("/"), &headers).await;
        assert_eq!(answer.status, StatusCode::OK);
        check_hit(&answer, call > 1);
        assert_eq!(
            answer.text(),
            format!("<script nonce=\"n{call}\">1</script>")
        );
        let policy = answer.header("content-security-policy");
        assert_eq!(policy, format!("script-src 'nonce-n{call}'"));
        assert_eq!(
            answer.header("content-length"),
            answer.body.len().to_string()
        );
        assert!(!answer.headers.contains_key("etag"));
        assert!(!answer.headers.contains_key("last-modified"));
    }
    let head = client.ask(Method::HEAD, &server.url("/"), &[]).await;
    check_hit(&head, true);
    assert!(!head.headers.contains_key("content-length"), "{head:?}");
}

#[tokio::test]
async fn another_nonce_is_still_not_stored() {
    let bench = bench();
    let origin = Origin::new(|_, call| async move {
        Origin::reply(PAGE, format!("<script nonce=\"own{call}\"></script>"))
    });
    let service = nonces(&bench).layer(origin);
    get(&service, "/").await;
    let again = get(&service, "/").await;
    assert_eq!((again.detail(), again.is_hit()), ("csp-nonce", false));
}

/// A body of pieces, none of which is there at the first look.
struct Pieces {
    left: VecDeque<&'static str>,
    ends: bool,
    looked: bool,
    _held: Arc<()>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.looked = !self.looked;
        if self.looked {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.left.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece.into())))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn streaming(
    pieces: &'static [&'static str],
    ends: bool,
    held: &Arc<()>,
) -> impl Service<
    Request<Empty<Bytes>>,
    Response = Response<Pieces>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Pieces>, Infallible>> + Send + 'static,
> + Clone
+ Send
+ 'static {
    let held = Arc::clone(held);
    tower::service_fn(move |_| {
        let page = Response::builder().header("content-type", "text/html");
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let page = page.header("content-length", length.to_string());
        let body = Pieces {
            left: pieces.iter().copied().collect(),
            ends,
            looked: false,
            _held: Arc::clone(&held),
        };
        std::future::ready(Ok(page.body(body).unwrap()))
    })
}

#[tokio::test]
async fn a_streamed_page_is_replaced_across_its_pieces_and_stays_whole() {
    let bench = bench();
    let pieces = &["<p>@no", "nce@</p><p>@", "nonce@", "</p>@non"];
    let service = nonces(&bench).layer(streaming(pieces, true, &Arc::default()));
    let miss = get(&service, "/").await;
    assert_eq!(miss.text(), "<p>n1</p><p>n1</p>@non");
    assert!(!miss.headers.contains_key("content-length"));
    let hit = get(&service, "/").await;
    assert_eq!((hit.text(), hit.is_hit()), ("<p>n2</p><p>n2</p>@non", true));
}

#[tokio::test]
async fn a_body_that_is_dropped_in_the_middle_is_let_go() {
    let bench = bench();
    let held = Arc::new(());
    let service = nonces(&bench).layer(streaming(&["<p>", "@non"], false, &held));
    let idle = Arc::strong_count(&held);
    let answer = service.oneshot(request(Method::GET, "/", &[])).await;
    let mut body = answer.unwrap().into_body();
    assert!(body.frame().await.is_some());
    assert_eq!(Arc::strong_count(&held), idle);
    drop(body);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn what_is_compressed_or_no_text_is_left_as_it_is() {
    let bench = bench();
    let origin = Origin::new(|request, _| async move {
        let fields: &[_] = if request.uri().path() == "/png" {
            &[("content-type", "image/png"), ("etag", "\"x\"")]
        } else {
            &[("content-type", "text/html"), ("content-encoding", "br")]
        };
        Origin::reply(fields, "@nonce@".to_owned())
    });
    let service = nonces(&bench).layer(origin);
    let image = get(&service, "/png").await;
    assert_eq!((image.text(), image.header("etag")), ("@nonce@", "\"x\""));
    assert_eq!(get(&service, "/br").await.text(), "@nonce@");
}

#[tokio::test]
async fn a_dry_run_reports_and_changes_nothing() {
    let bench = bench();
    let origin = mirror();
    let tries = AnonymousCacheLayer::new(&bench.cache)
        .ttl(Duration::from_secs(60))
        .query_allow(["page"])
        .strip_unkeyed()
        .add_harmless_cookie("_ga")
        .dry_run();
    let service = tries.layer(origin.clone());
    let headers = [("cookie", "_ga=1"), ("x-any", "1")];
    let of = |path| ask(&service, Method::GET, path, &headers);
    let miss = of("/a?x=1").await;
    let told = "pitlane; fwd=uri-miss; stored; detail=uri-miss";
    assert_eq!(miss.header("cache-status"), told);
    let hit = of("/a?x=2").await;
    assert_eq!(
        hit.header("cache-status"),
        "pitlane; fwd=bypass; detail=dry-run"
    );
    for answer in [&miss, &hit] {
        assert!(!answer.headers.contains_key("etag"), "{answer:?}");
        assert!(answer.text().contains("cookie=_ga=1"), "{answer:?}");
        assert!(answer.text().contains("x-any=1"), "{answer:?}");
    }
    assert!(
        hit.text().starts_with("2 http://site.test/a?x=2"),
        "{hit:?}"
    );
    let session = ask(&service, Method::GET, "/a", &[("cookie", "s=1")]).await;
    assert_eq!(session.detail(), "cookie");
    assert_eq!(origin.calls(), 3);
    let counts = bench.cache.counts();
    let tried = counts.iter().find(|count| count.reason == Reason::DryRun);
    let tried = tried.map(|count| (count.outcome, count.count));
    assert_eq!(tried, Some((Outcome::Bypass, 1)));
}

#[tokio::test]
async fn what_a_dry_run_stored_is_nobodys() {
    let bench = bench();
    let origin = mirror();
    let tries = bench.layer.clone().dry_run().layer(origin.clone());
    get(&tries, "/a").await;
    assert_eq!(get(&tries, "/a").await.detail(), "dry-run");
    let service = bench.layer.layer(origin.clone());
    check_hit(&get(&service, "/a").await, false);
    check_hit(&get(&service, "/a").await, true);
    let _ = bench.caches.invalidate(["x"]).await.unwrap();
    ask(&tries, Method::POST, "/a", &[]).await;
    assert_eq!(get(&tries, "/a").await.detail(), "invalidated");
}

#[tokio::test]
async fn a_credential_under_any_name_is_somebody_unless_it_is_keyed() {
    let bench = bench();
    let own = HeaderName::from_static("x-badge");
    let layer = AnonymousCacheLayer::new(&bench.cache).add_credential(own);
    let service = layer.clone().layer(mirror());
    get(&service, "/a").await;
    for name in ["x-api-key", "x-badge", "x-forwarded-user"] {
        let answer = ask(&service, Method::GET, "/a", &[(name, "1")]).await;
        assert_eq!((answer.detail(), answer.is_hit()), ("credential", false));
        assert!(answer.text().contains(&format!("{name}=1")));
    }
    let keyed = layer.key_header(HeaderName::from_static("x-api-key"));
    let service = keyed.layer(mirror());
    for hit in [false, true] {
        let answer = ask(&service, Method::GET, "/k", &[("x-api-key", "1")]).await;
        check_hit(&answer, hit);
    }
    check_hit(
        &ask(&service, Method::GET, "/k", &[("x-api-key", "2")]).await,
        false,
    );
    check_hit(&get(&service, "/k").await, false);
}

#[derive(Clone, Default)]
struct Session(Arc<AtomicUsize>);

#[tokio::test]
async fn what_a_session_was_written_for_is_one_persons() {
    let bench = bench();
    let modified = |session: &Session| session.0.load(Ordering::Relaxed) > 0;
    let layer = bench
        .layer
        .clone()
        .personal(move |extensions| extensions.get::<Session>().is_some_and(modified));
    let inner = tower::service_fn(|request: Request<Empty<Bytes>>| async move {
        if request.uri().path() == "/form" {
            let session = request.extensions().get::<Session>().unwrap();
            session.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<_, Infallible>(Origin::reply(FRESH, "page"))
    });
    let cached = layer.layer(inner);
    let outside = tower::service_fn(move |mut request: Request<Empty<Bytes>>| {
        request.extensions_mut().insert(Session::default());
        cached.clone().oneshot(request)
    });
    for hit in [false, true] {
        check_hit(&get(&outside, "/page").await, hit);
    }
    for _ in 0..2 {
        let answer = get(&outside, "/form").await;
        assert_eq!(answer.detail(), "personal");
    }
}

#[tokio::test]
async fn an_answer_that_a_head_provoked_keeps_nobody_from_the_cache() {
    let bench = bench();
    let origin = Origin::new(|request, call| async move {
        let odd = request.headers().contains_key("x-odd");
        let mut reply = Origin::reply(&[FRESH[0], ("vary", "x-odd")], format!("{call}"));
        if odd {
            *reply.status_mut() = StatusCode::NOT_ACCEPTABLE;
        }
        reply
    });
    let service = bench.layer.layer(origin);
    let provoked = ask(&service, Method::GET, "/a", &[("x-odd", "1")]).await;
    assert_eq!(provoked.detail(), "status");
    let told = "pitlane; fwd=uri-miss; stored; detail=uri-miss";
    assert_eq!(get(&service, "/a").await.header("cache-status"), told);
    check_hit(&get(&service, "/a").await, true);
}

#[tokio::test]
async fn what_a_proxied_requests_own_uri_says_is_keyed_too() {
    let (_bench, layer) = proxied(true);
    let service = layer.layer(mirror());
    let of = |site: &'static str, hit: bool| {
        let service = service.clone();
        async move {
            let request = Request::builder()
                .uri(format!("http://{site}/a"))
                .header("x-forwarded-host", "shop.test");
            let request = request.body(Empty::new()).unwrap();
            let answer = crate::drive::try_send(service, request).await.unwrap();
            check_hit(&answer, hit);
            assert!(answer.text().contains(site), "{answer:?}");
        }
    };
    for (site, hit) in [
        ("a.test", false),
        ("b.test", false),
        ("a.test", true),
        ("b.test", true),
    ] {
        of(site, hit).await;
    }
}

#[tokio::test]
async fn a_layer_further_in_looks_at_the_uri_that_it_was_given() {
    let bench = bench();
    let other = bench.caches.get("default").unwrap();
    let inner = ResponseCacheLayer::new(&other)
        .query_ignore(["y"])
        .layer(mirror());
    let rewriting = tower::service_fn(move |mut request: Request<Empty<Bytes>>| {
        let language = request.headers().get("x-language").cloned();
        let path = format!(
            "http://site.test/{}/page",
            language.unwrap().to_str().unwrap()
        );
        *request.uri_mut() = path.parse().unwrap();
        inner.clone().oneshot(request)
    });
    let outer = ResponseCacheLayer::new(&bench.cache)
        .query_ignore(["x"])
        .key_header(HeaderName::from_static("x-language"))
        .layer(rewriting);
    for language in ["de", "en"] {
        let page = ask(&outer, Method::GET, "/page", &[("x-language", language)]).await;
        assert!(
            page.text().contains(&format!("/{language}/page")),
            "{page:?}"
        );
    }
}

#[tokio::test]
async fn a_page_with_markers_is_only_for_layers_that_replace_them() {
    let bench = bench();
    let origin = Origin::new(|_, call| async move {
        Origin::reply(PAGE, format!("<script nonce=\"@nonce@\">{call}</script>"))
    });
    let replacing = nonces(&bench).layer(origin.clone());
    get(&replacing, "/").await;
    check_hit(&get(&replacing, "/").await, true);
    let plain = AnonymousCacheLayer::new(&bench.cache).ttl(Duration::from_secs(60));
    let shown = get(&plain.layer(origin), "/").await;
    assert_eq!((shown.is_hit(), shown.detail()), (false, "csp-nonce"));
}

#[tokio::test]
async fn what_describes_a_body_that_is_not_there_is_hidden_from_a_fill() {
    let bench = bench();
    let service = bench.layer.strip_unkeyed().layer(mirror());
    let headers = [("content-type", "evil"), ("content-encoding", "evil")];
    let miss = ask(&service, Method::GET, "/a", &headers).await;
    assert!(!miss.text().contains("evil"), "{miss:?}");
}
