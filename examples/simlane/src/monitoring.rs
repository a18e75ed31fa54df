//! What the site counts and measures, for Prometheus.

use std::sync::OnceLock;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use pitlane::{Caches, MetricsLayer};

use crate::Site;
use crate::caching::matched_path;

/// Where durations are told apart, in seconds: from hits in memory to slow handlers.
const SECONDS: [f64; 13] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// How often measured durations are put into their buckets when nobody asks for them.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of this process, which all sites in it share.
fn prometheus() -> Option<&'static PrometheusHandle> {
    static INSTALLED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS);
        builder.ok()?.install_recorder().ok()
    };
    INSTALLED.get_or_init(install).as_ref()
}

/// What measures every request, outside of everything else. The recorder is installed first, so
/// that nothing is measured in vain.
pub(crate) fn layer(caches: &Caches) -> MetricsLayer {
    let _ = prometheus();
    MetricsLayer::new().route_label(matched_path).caches(caches)
}

/// `GET /metrics`
pub(crate) async fn scrape(State(site): State<Site>) -> impl IntoResponse {
    // Exact at this moment, and not as of the last second.
    site.0.caching.caches.record_metrics();
    let text = prometheus().map(PrometheusHandle::render);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text.unwrap_or_default())
}

/// Keeps what is measured from piling up where nobody asks for it. Never ends.
pub(crate) async fn upkeep() {
    loop {
        tokio::time::sleep(UPKEEP).await;
        if let Some(prometheus) = prometheus() {
            prometheus.run_upkeep();
        }
    }
}
