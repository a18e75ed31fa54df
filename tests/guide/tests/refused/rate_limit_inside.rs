//! The cache clones what is inside it, and a `RateLimit` can't be cloned.

use std::time::Duration;

use pitlane::{AnonymousCacheLayer, Cache};
use pitlane_guide::crates::{pitlane, tower};
use pitlane_guide::{Handler, serve};
use tower::ServiceBuilder;

fn site(cache: &Cache, handler: Handler) {
    let site = ServiceBuilder::new()
        .layer(AnonymousCacheLayer::new(cache))
        .rate_limit(100, Duration::from_secs(1))
        .service(handler);
    serve(site);
}

fn main() {}
