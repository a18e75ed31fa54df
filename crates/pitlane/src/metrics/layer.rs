use std::{fmt, sync::Arc};

use http::request::Parts;
use tower_layer::Layer;

use super::{measure::Measure, service::Measured};
use crate::cache::Caches;

/// Measures every request that passes, and keeps the caches' own counters up to date.
///
/// It is the outermost layer. Each request is recorded once in
/// `http_server_request_duration_seconds`, with the labels `method`, `route`, `status` and
/// `outcome`, when the last of its response's body is handed on, or when the body, or the response
/// before it, is dropped. `status` is a number, or `error` for an error of the inner service, or
/// `dropped` when whoever asked went away before there was a response. `outcome` is what the
/// cache layer within did, as it says by itself (a header proves nothing), or `none`.
///
/// All labels come from fixed sets, whatever is requested: unknown methods are `_OTHER`, and of
/// routes there are at most 512 and `unmatched`; more of them are counted as `other`.
///
/// A request passes through as it is, and so does its response: frames, trailers, errors, size
/// hints, extensions, and how ready the inner service is. The layer needs no runtime but for
/// [`caches`](Self::caches), and asks nothing of the bodies' types.
///
/// The names and labels are listed in `docs/reference/metrics.md`. They go to the recorder that
/// the program installs, such as `metrics-exporter-prometheus`; durations that are measured before
/// there is one are lost.
///
/// # Example
///
/// ```
/// use axum::{Router, extract::MatchedPath, routing::get};
/// use pitlane::{AnonymousCacheLayer, Caches, MetricsLayer};
///
/// # fn main() -> Result<(), pitlane::Error> {
/// let caches = Caches::builder().memory(64 << 20).build()?;
/// let app: Router = Router::new()
///     .route("/clubs/{id}", get(async || "a club"))
///     .route_layer(AnonymousCacheLayer::new(&caches.get("default")?))
///     .layer(
///         MetricsLayer::new()
///             .route_label(|parts| Some(parts.extensions.get::<MatchedPath>()?.as_str()))
///             .caches(&caches),
///     );
/// # let _ = app;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct MetricsLayer {
    measure: Arc<Measure>,
}

impl MetricsLayer {
    /// A layer that measures requests without a route.
    pub fn new() -> Self {
        Self {
            measure: Arc::new(Measure::new(None, None)),
        }
    }

    /// Names the route of a request, from a fixed set: never its path.
    pub fn route_label(
        self,
        label: impl for<'a> Fn(&'a Parts) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        let caches = self.measure.caches().cloned();
        Self {
            measure: Arc::new(Measure::new(Some(Arc::new(label)), caches)),
        }
    }

    /// Calls [`Caches::record_metrics`] every second from the first request on, in a task that ends
    /// with the last handle to the caches. Where a scrape has to be exact, call it there as well.
    pub fn caches(self, caches: &Caches) -> Self {
        let label = self.measure.label().cloned();
        Self {
            measure: Arc::new(Measure::new(label, Some(caches.clone()))),
        }
    }
}

impl Default for MetricsLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured::new(inner, Arc::clone(&self.measure))
    }
}

impl fmt::Debug for MetricsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLayer")
            .field("measure", &self.measure)
            .finish()
    }
}
