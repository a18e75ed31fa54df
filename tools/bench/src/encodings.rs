use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use http_body_util::Full;
use pitlane::{Cache, Caches, Encoding, ResponseCacheLayer};
use tower::{Layer, Service};
use tower_http::compression::CompressionLayer;

use crate::measure::{median, thread_nanoseconds};

/// How many rounds are taken in turns; the median counts.
const ROUNDS: usize = 15;
/// Processor time of one round, in nanoseconds.
const ROUND: f64 = 30e6;

/// Answers with one body.
#[derive(Clone)]
struct Page {
    kind: &'static str,
    body: Bytes,
}

impl Service<Request<Full<Bytes>>> for Page {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let mut response = Response::new(Full::new(self.body.clone()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let fresh = HeaderValue::from_static("max-age=86400");
        headers.insert(header::CACHE_CONTROL, fresh);
        ready(Ok(response))
    }
}

/// What is sent for one request, once every frame of it has been made.
struct Sent {
    coding: Option<HeaderValue>,
    bytes: usize,
}

struct Case {
    name: String,
    work: Box<dyn Fn() -> Sent>,
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let pages = [
        ("HTML, 32 KiB", "text/html; charset=utf-8", html(32 << 10)),
        ("JSON, 4 KiB", "application/json", json(4 << 10)),
    ];
    println!(
        "{:<44} {:>12} {:>8} {:>8}",
        "processor time of a hit", "ns", "ratio", "bytes"
    );
    for (name, kind, body) in pages {
        for accept in ["br, gzip", "gzip"] {
            let page = Page {
                kind,
                body: body.clone(),
            };
            print(&cases(name, &page, accept));
        }
    }
    println!(
        "ratios are against the forms that are kept with the entry; the handler is never asked, \
         and all of each body is made"
    );
}

fn cases(name: &str, page: &Page, accept: &'static str) -> [Case; 3] {
    let codings = [Encoding::Brotli, Encoding::Gzip, Encoding::Zstd];
    let kept = ResponseCacheLayer::new(&cache())
        .encodings(codings)
        .layer(page.clone());
    warm(&kept, accept);
    let plain = ResponseCacheLayer::new(&cache()).layer(page.clone());
    let outside = CompressionLayer::new().layer(plain.clone());
    ask(&plain, "identity");
    [
        case(format!("{name}, {accept}: kept"), kept, accept),
        case(format!("{name}, {accept}: outside"), outside, accept),
        case(format!("{name}: not compressed"), plain, "identity"),
    ]
}

fn cache() -> Cache {
    let caches = Caches::builder().build().expect("caches");
    caches.get("default").expect("the cache")
}

fn case<S, B>(name: String, service: S, accept: &'static str) -> Case
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + 'static,
    B: Body<Data = Bytes>,
{
    let coding = ask(&service, accept).coding;
    let wanted = accept.split(',').next().filter(|one| *one != "identity");
    let got = coding.as_ref().map(HeaderValue::as_bytes);
    assert_eq!(got, wanted.map(str::as_bytes), "{name}");
    let work = Box::new(move || ask(&service, accept));
    Case { name, work }
}

/// Asks until the entry has its forms: they are made in the background.
fn warm<S, B>(service: &S, accept: &'static str)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    B: Body<Data = Bytes>,
{
    for _ in 0..10_000 {
        if ask(service, accept).coding.is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the forms are made");
}

fn ask<S, B>(service: &S, accept: &'static str) -> Sent
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    B: Body<Data = Bytes>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let request = Request::get("http://site.test/page")
        .header(header::ACCEPT_ENCODING, accept)
        .body(Full::default())
        .expect("a request");
    let mut service = service.clone();
    assert!(service.poll_ready(&mut cx).is_ready());
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut cx) else {
        panic!("it answers at once");
    };
    let coding = response.headers().get(header::CONTENT_ENCODING).cloned();
    let mut body = pin!(response.into_body());
    let mut bytes = 0;
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut cx) {
        bytes += frame.data_ref().map_or(0, |data| black_box(data).len());
    }
    Sent { coding, bytes }
}

fn print(cases: &[Case]) {
    let calls: Vec<u32> = cases.iter().map(calibrate).collect();
    let mut times = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for ((case, calls), times) in cases.iter().zip(&calls).zip(&mut times) {
            times.push(nanoseconds(case, *calls));
        }
    }
    let times: Vec<f64> = times.into_iter().map(median).collect();
    for (case, time) in cases.iter().zip(&times) {
        let (ratio, bytes) = (time / times[0], (case.work)().bytes);
        println!("{:<44} {time:>12.0} {ratio:>7.1}x {bytes:>8}", case.name);
    }
}

/// How many calls fill a round.
fn calibrate(case: &Case) -> u32 {
    let mut calls = 1;
    while nanoseconds(case, calls) * f64::from(calls) < ROUND {
        calls *= 2;
    }
    calls
}

fn nanoseconds(case: &Case, calls: u32) -> f64 {
    let start = thread_nanoseconds();
    for _ in 0..calls {
        black_box((case.work)());
    }
    (thread_nanoseconds() - start) / f64::from(calls)
}

/// A page as frameworks write it: much markup that says the same, and words that don't.
fn html(size: usize) -> Bytes {
    let mut words = Words::new();
    let mut page = String::from("<!doctype html><html lang=en><title>Clubs</title><main><ul>");
    while page.len() + 16 < size {
        let (id, members) = (words.number(10_000), words.number(200));
        let name = words.name();
        page += &format!(
            "<li class=\"club club--open\"><a href=\"/clubs/{id}\"><h2>{name}</h2></a>\n  <p>{} {} \
             {}, {members} members.</p></li>\n",
            words.name(),
            words.name(),
            words.name(),
        );
    }
    Bytes::from(page + "</ul></main></html>")
}

fn json(size: usize) -> Bytes {
    let mut words = Words::new();
    let mut list = Vec::new();
    let mut length = 0;
    while length < size {
        let (id, members) = (words.number(10_000), words.number(200));
        let name = words.name();
        let club =
            format!("{{\"id\":{id},\"name\":\"{name}\",\"members\":{members},\"open\":true}}");
        length += club.len() + 1;
        list.push(club);
    }
    Bytes::from(format!("[{}]", list.join(",")))
}

/// The same words in every run.
struct Words(u64);

impl Words {
    const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    const fn number(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// Two or three syllables, of the kind that names are made of.
    fn name(&mut self) -> String {
        const SYLLABLES: [&str; 24] = [
            "ra", "cing", "nord", "mon", "za", "spa", "fran", "cor", "champ", "sil", "ver",
            "stone", "in", "ter", "la", "gos", "su", "zu", "ka", "ima", "la", "bah", "rain", "le",
        ];
        let count = 2 + self.number(2);
        let syllable = |words: &mut Self| SYLLABLES[words.number(24) as usize];
        (0..count).map(|_| syllable(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise the comparison would be one of two answers that say different things.
    #[test]
    fn both_ways_send_the_page_compressed_and_in_less_than_half_of_its_size() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _entered = runtime.enter();
        let page = Page {
            kind: "text/html",
            body: html(32 << 10),
        };
        let cases = cases("page", &page, "br, gzip");
        let sizes: Vec<_> = cases.iter().map(|case| (case.work)().bytes).collect();
        assert_eq!(sizes[2], page.body.len());
        assert!(
            sizes[0] < sizes[2] / 2 && sizes[1] < sizes[2] / 2,
            "{sizes:?}"
        );
    }
}
