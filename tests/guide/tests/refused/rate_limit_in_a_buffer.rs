//! The positive control: with a `Buffer` between them, and answers made of its errors.

use std::time::Duration;

use pitlane::{AnonymousCacheLayer, Cache};
use pitlane_guide::crates::{pitlane, tower};
use pitlane_guide::{Handler, answering, serve};
use tower::{Layer, ServiceBuilder};

fn site(cache: &Cache, handler: Handler) {
    let limited = ServiceBuilder::new()
        .buffer(16)
        .rate_limit(100, Duration::from_secs(1))
        .service(handler);
    serve(AnonymousCacheLayer::new(cache).layer(answering(limited)));
}

fn main() {}
