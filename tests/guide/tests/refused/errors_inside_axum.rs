//! The same in axum.

use axum::{Router, routing::get};
use pitlane::{AnonymousCacheLayer, Cache};
use pitlane_guide::crates::{axum, pitlane, tower};
use tower::ServiceBuilder;

fn app(cache: &Cache) -> Router {
    let stack = ServiceBuilder::new()
        .layer(AnonymousCacheLayer::new(cache))
        .load_shed()
        .concurrency_limit(64);
    Router::new()
        .route("/", get(async || "hello"))
        .layer(stack)
}

fn main() {}
