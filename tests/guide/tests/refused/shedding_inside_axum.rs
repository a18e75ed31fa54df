//! A limit's error is no answer: axum asks for one between the limit and the cache.

use axum::{Router, routing::get};
use pitlane::{AnonymousCacheLayer, Caches};
use tower::ServiceBuilder;

fn main() {
    let caches = Caches::builder().build().unwrap();
    let pages = AnonymousCacheLayer::new(&caches.get("default").unwrap());
    let stack = ServiceBuilder::new()
        .layer(pages)
        .load_shed()
        .concurrency_limit(64);
    let _: Router = Router::new()
        .route("/", get(async || "hello"))
        .layer(stack);
}
