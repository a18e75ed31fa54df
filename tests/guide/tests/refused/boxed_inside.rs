//! A service in a box that can't be cloned.

use pitlane::{AnonymousCacheLayer, Cache};
use pitlane_guide::crates::{pitlane, tower};
use pitlane_guide::{Handler, serve};
use tower::util::BoxService;
use tower::{Layer, ServiceExt};

fn site(cache: &Cache, handler: Handler) {
    serve(AnonymousCacheLayer::new(cache).layer(BoxService::new(handler.boxed())));
}

fn main() {}
