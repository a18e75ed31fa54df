//! Requests whose body is a part of what is asked.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt::Debug,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use pitlane::{ApiCacheLayer, BodyKeyLayer, General, ReplayBody};
use pitlane_testkit::{Answer, Gate};
use tower::{Layer, Service, ServiceExt};

use crate::drive::{Bench, bench, bounded};

const QUERY: Method = Method::QUERY;

/// Answers with what it was asked: the method, the fields that describe the body, and the body.
#[derive(Clone, Default)]
struct Echo {
    calls: Arc<AtomicUsize>,
    status: Option<StatusCode>,
}

impl Echo {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl<Q> Service<Request<ReplayBody<Q>>> for Echo
where
    Q: Body<Data = Bytes> + Send + 'static,
    Q::Error: Debug + Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<Q>>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let call = this.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let (parts, body) = request.into_parts();
            let text = match body.collect().await {
                Ok(read) => {
                    let trailers = read.trailers().map_or(0, HeaderMap::len);
                    format!("{} {trailers}", String::from_utf8_lossy(&read.to_bytes()))
                }
                Err(error) => format!("broke off: {error:?}"),
            };
            let text = format!("{call} {} {text}", parts.method);
            let answer = Response::builder()
                .status(this.status.unwrap_or_default())
                .header("cache-control", "max-age=60");
            Ok(answer.body(Full::new(text.into())).unwrap())
        })
    }
}

fn layer(bench: &Bench) -> BodyKeyLayer<General> {
    bench.layer.clone().key_body(16)
}

async fn send<S, Q, R>(service: &S, method: Method, headers: &[(&str, &str)], body: Q) -> Answer
where
    S: Service<Request<Q>, Response = Response<R>, Error = Infallible> + Clone,
    R: Body<Data = Bytes>,
    R::Error: Debug,
{
    let mut request = Request::builder().method(method).uri("http://site.test/q");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body).unwrap();
    let answer = service.clone().oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

fn text(body: &'static str) -> Full<Bytes> {
    Full::new(Bytes::from_static(body.as_bytes()))
}

#[tokio::test]
async fn an_answer_to_query_belongs_to_its_body() {
    let bench = bench();
    let service = layer(&bench).layer(Echo::default());
    for (body, expected, hit) in [
        ("a", "1 QUERY a 0", false),
        ("b", "2 QUERY b 0", false),
        ("a", "1 QUERY a 0", true),
        ("b", "2 QUERY b 0", true),
        ("", "3 QUERY  0", false),
        ("", "3 QUERY  0", true),
    ] {
        let answer = send(&service, QUERY, &[], text(body)).await;
        assert_eq!(
            (answer.text(), answer.is_hit()),
            (expected, hit),
            "{answer:?}"
        );
    }
    let get = send(&service, Method::GET, &[], text("")).await;
    assert_eq!((get.text(), get.is_hit()), ("4 GET  0", false));
}

#[tokio::test]
async fn what_describes_a_body_is_part_of_what_is_asked() {
    let bench = bench();
    let echo = Echo::default();
    let service = layer(&bench).layer(echo.clone());
    let described: [&[(&str, &str)]; 6] = [
        &[],
        &[("content-type", "application/json")],
        &[("content-type", "text/plain")],
        &[("content-encoding", "gzip")],
        &[("content-language", "gzip")],
        &[("content-type", "text/plain"), ("content-encoding", "gzip")],
    ];
    for hit in [false, true] {
        for headers in described {
            let answer = send(&service, QUERY, headers, text("a")).await;
            assert_eq!(answer.is_hit(), hit, "{headers:?}");
        }
    }
    assert_eq!(echo.calls(), described.len());
}

#[tokio::test]
async fn a_write_ends_every_answer_of_its_uri() {
    let bench = bench();
    let service = layer(&bench).layer(Echo::default());
    for body in ["a", "b"] {
        send(&service, QUERY, &[], text(body)).await;
    }
    let post = send(&service, Method::POST, &[], text("x")).await;
    assert_eq!(
        post.header("cache-status"),
        "pitlane; fwd=method; detail=method"
    );
    for body in ["a", "b"] {
        assert_eq!(
            send(&service, QUERY, &[], text(body)).await.detail(),
            "invalidated"
        );
    }
}

#[tokio::test]
async fn a_post_is_cached_where_it_only_asks_and_is_a_write_elsewhere() {
    let bench = bench();
    let asks = |_: &http::request::Parts, body: &Bytes| body.starts_with(b"query");
    let service = layer(&bench).posts(asks).layer(Echo::default());
    let post = |body| send(&service, Method::POST, &[], text(body));
    assert!(!post("query a").await.is_hit());
    assert_eq!(post("query a").await.text(), "1 POST query a 0");
    // Another method is another question.
    assert!(!send(&service, QUERY, &[], text("query a")).await.is_hit());
    let write = post("mutation").await;
    assert_eq!(
        (write.detail(), write.text()),
        ("method", "3 POST mutation 0")
    );
    assert_eq!(post("query a").await.detail(), "invalidated");
    // Nobody can tell what it is, so it is a write.
    let long = post("query that is too long").await;
    assert_eq!(
        (long.detail(), long.text()),
        ("method", "5 POST query that is too long 0")
    );
    assert_eq!(post("query a").await.detail(), "invalidated");
}

#[tokio::test]
async fn without_key_body_a_query_passes_and_ends_nothing() {
    let bench = bench();
    let service = bench.layer.layer(Echo::default());
    let ask = |method| {
        let body = pitlane_body("");
        let service = service.clone();
        async move { send(&service, method, &[], body.await).await }
    };
    ask(Method::GET).await;
    assert_eq!(ask(QUERY).await.detail(), "method");
    assert!(ask(Method::GET).await.is_hit());
}

/// A body as the layer hands it on.
async fn pitlane_body(body: &'static str) -> ReplayBody<Full<Bytes>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let taker = tower::service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
        sender.send(request.into_body()).unwrap();
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    send(&layer(&bench()).layer(taker), Method::PUT, &[], text(body)).await;
    receiver.recv().unwrap()
}

#[tokio::test]
async fn a_body_that_is_too_long_reaches_the_handler_whole() {
    let bench = bench();
    let service = layer(&bench).layer(Echo::default());
    let long = "seventeen bytes!!";
    assert_eq!(long.len(), 17);
    for call in 1..3 {
        let answer = send(&service, QUERY, &[], text(long)).await;
        assert_eq!(answer.detail(), "request-body");
        assert_eq!(answer.text(), format!("{call} QUERY {long} 0"));
    }
    let fits = "sixteen bytes!!!";
    send(&service, QUERY, &[], text(fits)).await;
    assert!(send(&service, QUERY, &[], text(fits)).await.is_hit());
}

/// A body that comes in pieces, with a pause before each.
struct Pieces(VecDeque<Result<Frame<Bytes>, io::ErrorKind>>, bool);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::ErrorKind;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::ErrorKind>>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.0.pop_front())
    }
}

fn pieces(texts: &[&'static str], end: Option<Result<Frame<Bytes>, io::ErrorKind>>) -> Pieces {
    let frames = texts
        .iter()
        .map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes()))));
    Pieces(frames.chain(end).collect(), false)
}

#[tokio::test]
async fn pieces_are_one_body_and_what_is_odd_passes_as_it_came() {
    let bench = bench();
    let service = layer(&bench).layer(Echo::default());
    let whole = send(&service, QUERY, &[], pieces(&["a", "", "b"], None)).await;
    assert_eq!(whole.text(), "1 QUERY ab 0");
    assert!(
        send(&service, QUERY, &[], pieces(&["", "ab"], None))
            .await
            .is_hit()
    );
    let long = pieces(&["0123456789", "0123456789", "0123456789"], None);
    let long = send(&service, QUERY, &[], long).await;
    assert_eq!(long.text(), "2 QUERY 012345678901234567890123456789 0");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", http::HeaderValue::from_static("1"));
    let trailed = pieces(&["ab"], Some(Ok(Frame::trailers(trailers))));
    let trailed = send(&service, QUERY, &[], trailed).await;
    assert_eq!(
        (trailed.text(), trailed.detail()),
        ("3 QUERY ab 1", "request-body")
    );
    let broken = pieces(&["ab"], Some(Err(io::ErrorKind::BrokenPipe)));
    let broken = send(&service, QUERY, &[], broken).await;
    assert_eq!(broken.text(), "4 QUERY broke off: BrokenPipe");
}

#[tokio::test]
async fn equal_questions_at_once_are_asked_once() {
    let bench = bench();
    let gate = Gate::new();
    let (echo, inner_gate) = (Echo::default(), gate.clone());
    let inner = echo.clone();
    let slow = tower::service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
        let (inner, gate) = (inner.clone(), inner_gate.clone());
        async move {
            gate.pass().await;
            inner.oneshot(request).await
        }
    });
    let service = layer(&bench).layer(slow);
    let asks: Vec<_> = (0..50)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { send(&service, QUERY, &[], text("a")).await })
        })
        .collect();
    bounded(gate.arrival()).await;
    gate.open(1);
    for ask in asks {
        assert_eq!(bounded(ask).await.unwrap().text(), "1 QUERY a 0");
    }
    assert_eq!(echo.calls(), 1);
}

#[tokio::test]
async fn a_stale_answer_is_renewed_in_the_background_with_its_body() {
    let bench = bench();
    let cache = &bench.cache;
    let echo = Echo::default();
    let service = ApiCacheLayer::new(cache)
        .stale_while_revalidate(Duration::from_secs(60))
        .key_body(16)
        .layer(echo.clone());
    send(&service, QUERY, &[], text("a")).await;
    bench.clock.advance(Duration::from_secs(61));
    let stale = send(&service, QUERY, &[], text("a")).await;
    assert_eq!(
        (stale.text(), stale.detail()),
        ("1 QUERY a 0", "stale-while-revalidate")
    );
    crate::drive::until(|| echo.calls() == 2).await;
    crate::drive::until(|| bench.caches.get("default").unwrap().in_flight() == 0).await;
    let renewed = send(&service, QUERY, &[], text("a")).await;
    assert_eq!((renewed.text(), renewed.is_hit()), ("2 QUERY a 0", true));
}

#[tokio::test]
async fn conditions_and_refusals_hold_for_questions_as_well() {
    let bench = bench();
    let service = layer(&bench).layer(Echo::default());
    let etag = send(&service, QUERY, &[], text("a"))
        .await
        .header("etag")
        .to_owned();
    let same = send(&service, QUERY, &[("if-none-match", &etag)], text("a")).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    let other = send(&service, QUERY, &[("if-none-match", &etag)], text("b")).await;
    assert_eq!((other.status, other.is_hit()), (StatusCode::OK, false));
    let bearer = [("authorization", "Bearer x")];
    let refused = send(&service, QUERY, &bearer, text("a")).await;
    assert_eq!(refused.detail(), "authorization");
    let failing = Echo {
        status: Some(StatusCode::BAD_REQUEST),
        ..Echo::default()
    };
    let service = layer(&bench).layer(failing);
    for call in 1..3 {
        let failed = send(&service, QUERY, &[], text("bad")).await;
        assert_eq!(failed.text(), format!("{call} QUERY bad 0"));
    }
}

#[tokio::test]
async fn a_layer_further_in_does_not_take_a_post_for_a_question() {
    let bench = bench();
    let other = bench.caches.get("default").unwrap();
    let asks = |_: &http::request::Parts, _: &Bytes| true;
    let inner = pitlane::ResponseCacheLayer::new(&other).layer(Echo::default());
    let outer = layer(&bench).posts(asks).layer(inner);
    let first = send(&outer, Method::POST, &[], text("a")).await;
    let members: Vec<_> = first.headers.get_all("cache-status").iter().collect();
    assert_eq!(members[0], "pitlane; fwd=method; detail=method");
}

#[tokio::test]
async fn how_a_body_was_sent_is_not_seen() {
    let bench = bench();
    let inner = tower::service_fn(|request: Request<ReplayBody<Full<Bytes>>>| async move {
        let seen = format!("{:?}", request.headers());
        let answer = Response::builder().header("cache-control", "max-age=60");
        Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(seen))).unwrap())
    });
    let service = layer(&bench).layer(inner);
    let headers = [
        ("transfer-encoding", "evil, chunked"),
        ("content-length", "+1"),
    ];
    let answer = send(&service, QUERY, &headers, text("a")).await;
    assert_eq!(answer.text(), "{\"content-length\": \"1\"}");
}

#[tokio::test]
async fn a_layer_that_is_switched_off_leaves_no_question_behind() {
    let bench = bench();
    let inner = pitlane::ResponseCacheLayer::new(&bench.cache).layer(Echo::default());
    let off = bench.layer.clone().enabled(false).key_body(16);
    let outer = off.posts(|_, _| true).layer(inner);
    for call in 1..3 {
        let answer = send(&outer, Method::POST, &[], text("a")).await;
        assert_eq!(answer.text(), format!("{call} POST a 0"));
    }
}

#[tokio::test]
async fn a_question_that_claims_to_be_another_method_is_a_write() {
    let bench = bench();
    let service = layer(&bench).posts(|_, _| true).layer(Echo::default());
    let ask = |headers| send(&service, Method::POST, headers, text("a"));
    ask(&[]).await;
    assert!(ask(&[]).await.is_hit());
    const ODD: [(&[(&str, &str)], &str); 2] = [
        (&[("x-http-method-override", "DELETE")], "method-override"),
        (&[("x-original-url", "/other")], "uri-override"),
    ];
    for (headers, reason) in ODD {
        assert_eq!(ask(headers).await.detail(), reason);
        assert_eq!(ask(&[]).await.detail(), "invalidated");
    }
}

#[tokio::test]
async fn an_answer_with_replaced_markers_is_whole_for_questions_too() {
    let bench = bench();
    let inner = tower::service_fn(|_: Request<ReplayBody<Full<Bytes>>>| async {
        let answer = Response::builder()
            .header("cache-control", "max-age=60")
            .header("content-type", "text/html");
        Ok::<_, Infallible>(answer.body(text("<p>@nonce@</p>")).unwrap())
    });
    let layer = bench.layer.clone().replace_on_hit("@nonce@", || "1".into());
    let service = layer.key_body(16).layer(inner);
    for _ in 0..2 {
        let part = send(&service, QUERY, &[("range", "bytes=0-4")], text("a")).await;
        assert_eq!((part.status, part.text()), (StatusCode::OK, "<p>1</p>"));
    }
}

#[tokio::test]
async fn a_question_is_no_write_to_what_lies_around_and_within() {
    let bench = bench();
    let questions = layer(&bench).posts(|_, body| body.starts_with(b"query"));
    // A cache around the router, a layer that watches writes on both sides.
    let watch = pitlane::InvalidateLayer::new(&bench.caches).tags(|_| vec!["written".into()]);
    let inner = watch.layer(Echo::default());
    let service = watch.layer(bench.layer.clone().layer(questions.layer(inner)));
    let ask = |body| send(&service, Method::POST, &[], text(body));
    ask("query a").await;
    for _ in 0..3 {
        assert_eq!(ask("query a").await.text(), "1 POST query a 0");
    }
    ask("mutation").await;
    assert_eq!(ask("query a").await.text(), "3 POST query a 0");
}

#[tokio::test]
async fn a_post_that_asks_knows_neither_parts_nor_conditions() {
    let bench = bench();
    let service = layer(&bench).posts(|_, _| true).layer(Echo::default());
    for _ in 0..2 {
        let headers = [("range", "bytes=0-0"), ("if-none-match", "*")];
        let answer = send(&service, Method::POST, &headers, text("a")).await;
        assert_eq!(
            (answer.status, answer.text()),
            (StatusCode::OK, "1 POST a 0")
        );
    }
    let part = send(&service, QUERY, &[("range", "bytes=0-0")], text("a")).await;
    assert_eq!((part.status, part.is_hit()), (StatusCode::OK, false));
}
