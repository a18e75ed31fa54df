//! A limit's error is no answer: a server asks for one between the limit and the cache.

use pitlane::{AnonymousCacheLayer, Cache};
use pitlane_guide::crates::{pitlane, tower};
use pitlane_guide::{Handler, serve};
use tower::ServiceBuilder;

fn site(cache: &Cache, handler: Handler) {
    let site = ServiceBuilder::new()
        .layer(AnonymousCacheLayer::new(cache))
        .load_shed()
        .concurrency_limit(64)
        .service(handler);
    serve(site);
}

fn main() {}
