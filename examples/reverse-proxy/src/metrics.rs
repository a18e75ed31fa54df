//! What the proxy counts and measures, for Prometheus, on an address of its own.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use pitlane::{Caches, MetricsLayer};
use tokio::net::TcpListener;
use tower::service_fn;

use crate::serve;

/// Where durations are told apart, in seconds: from hits in memory to slow origins.
const SECONDS: [f64; 13] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// How often measured durations are put into their buckets when nobody asks for them.
const UPKEEP: Duration = Duration::from_secs(5);

/// What answers scrapes.
#[derive(Clone)]
pub(crate) struct Scrapes {
    prometheus: PrometheusHandle,
    caches: Caches,
}

impl Scrapes {
    /// Installs the recorder of this process: from here on what is measured is kept.
    pub(crate) fn install(caches: &Caches) -> Result<Self, BuildError> {
        let seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS)?;
        Ok(Self {
            prometheus: builder.install_recorder()?,
            caches: caches.clone(),
        })
    }

    /// What measures every request, outside of the cache.
    pub(crate) fn layer(&self) -> MetricsLayer {
        MetricsLayer::new().caches(&self.caches)
    }

    /// Answers scrapes until `stop`.
    pub(crate) async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let scrapes = self.clone();
        let answer =
            service_fn(move |request| ready(Ok::<_, Infallible>(scrapes.answer(&request))));
        tokio::select! {
            // What a scraper still waits for is not worth a word.
            _ = serve(listener, answer, stop) => {}
            () = self.upkeep() => {}
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() != "/metrics" {
            return refused(StatusCode::NOT_FOUND);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = refused(StatusCode::METHOD_NOT_ALLOWED);
            set(&mut response, ALLOW, "GET, HEAD");
            return response;
        }
        // Exact at this moment, and not as of the last second.
        self.caches.record_metrics();
        let mut response = Response::new(Full::from(self.prometheus.render()));
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        set(&mut response, CONTENT_TYPE, kind);
        set(&mut response, CACHE_CONTROL, "no-store");
        response
    }

    /// Keeps what is measured from piling up where nobody asks for it. Never ends.
    async fn upkeep(&self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.prometheus.run_upkeep();
        }
    }
}

fn refused(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn set(response: &mut Response<Full<Bytes>>, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
}
