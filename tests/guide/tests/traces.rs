//! tower-http's Trace: outside it sees every request, inside what is computed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use pitlane_testkit::Origin;
use tower::ServiceBuilder;
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::trace::TraceLayer;
use tracing::Span;

use crate::support::{BOTH, Site, TEXT, cache, check};

fn counted(
    seen: &Arc<AtomicUsize>,
) -> TraceLayer<
    SharedClassifier<ServerErrorsAsFailures>,
    tower_http::trace::DefaultMakeSpan,
    impl Fn(&Request<hyper::body::Incoming>, &Span) + Clone + use<>,
> {
    let seen = Arc::clone(seen);
    TraceLayer::new_for_http().on_request(move |_: &Request<_>, _: &Span| {
        seen.fetch_add(1, Ordering::SeqCst);
    })
}

#[tokio::test]
async fn outside_sees_every_request_and_inside_what_is_computed() {
    for protocol in BOTH {
        let (outside, inside) = (Arc::default(), Arc::default());
        let stack = ServiceBuilder::new()
            .layer(counted(&outside))
            .layer(cache())
            .layer(counted(&inside))
            .service(Origin::counting(TEXT));
        let site = Site::start(protocol, stack).await;
        check(&site.get("/", &[]).await, 200, "stored");
        for _ in 0..3 {
            check(&site.get("/", &[]).await, 200, "pitlane; hit");
        }
        assert_eq!(outside.load(Ordering::SeqCst), 4);
        assert_eq!(inside.load(Ordering::SeqCst), 1);
    }
}
