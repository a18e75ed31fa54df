//! Help for tests of what is cached: a clock that a test moves, and assertions about answers.
//!
//! Needs the feature `testing`. Put it into `[dev-dependencies]`:
//! `pitlane = { version = "0.1", features = ["testing"] }`.
//!
//! # Example
//!
//! A handler, the layer around it, and time that passes when the test says so:
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, body::Body, http::{Request, Response}, routing};
//! use pitlane::testing::{assert_bypass, assert_hit, assert_miss};
//! use pitlane::{AnonymousCacheLayer, Caches, Reason, testing};
//! use tower::ServiceExt;
//!
//! fn app(caches: &Caches) -> Router {
//!     let cache = caches.get("default").expect("the cache");
//!     Router::new()
//!         .route("/clubs", routing::get(|| async { "all clubs" }))
//!         .layer(AnonymousCacheLayer::new(&cache).ttl(Duration::from_secs(60)))
//! }
//!
//! async fn get(app: &Router, cookie: Option<&str>) -> Response<Body> {
//!     let mut request = Request::get("http://example.org/clubs");
//!     if let Some(cookie) = cookie {
//!         request = request.header("cookie", cookie);
//!     }
//!     app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (caches, clock) = testing::caches();
//! let app = app(&caches);
//!
//! let first = get(&app, None).await;
//! assert_miss!(first, Reason::UriMiss);
//! // The answer is stored when its body has been read to its end.
//! axum::body::to_bytes(first.into_body(), 1024).await.unwrap();
//! assert_hit!(get(&app, None).await);
//!
//! clock.advance(Duration::from_secs(60));
//! assert_miss!(get(&app, None).await, Reason::Expired);
//!
//! assert_bypass!(get(&app, Some("session=1")).await, "cookie");
//! # }
//! ```
//!
//! # What the assertions say
//!
//! They read `Cache-Status` (RFC 9211), which is on every answer unless
//! [`without_cache_status`](crate::CacheLayer::without_cache_status) took it off, and go by what it
//! says: what a client sees is what is tested.
//!
//! | | |
//! | --- | --- |
//! | [`assert_hit!`] | from what is stored, fresh or stale (`hit`) |
//! | [`assert_miss!`] | by the handler, because nothing stored could be used (`fwd=uri-miss`, `vary-miss`, `stale` or `request`) |
//! | [`assert_bypass!`] | by the handler, and the cache had no part in it (`fwd=bypass` or `method`) |
//! | [`assert_reason!`] | any of them, and what is neither: `collapsed`, `validated`, `stale-if-error` |
//!
//! Each takes a [`Reason`](crate::Reason) or its text as well, and compares it with `detail`. The
//! answer may be an [`http::Response`] of any body or anything else whose `headers()` are an
//! [`http::HeaderMap`], such as reqwest's. A request after an answer that could not be stored does
//! not wait for others: the first such answer is a miss, with the reason it was not stored for, and those
//! after it are bypasses with the same reason.
//!
//! # What the clock moves
//!
//! Ages, lifetimes and stale windows. What *waits* does so on tokio's timer (requests for each
//! other's answers, refreshes in the background, Redis): `tokio::time::pause` moves that one.

mod expect;
mod status;

#[doc(hidden)]
pub use expect::{Expected, check};
pub use status::CacheStatus;

#[doc(inline)]
pub use crate::{assert_bypass, assert_hit, assert_miss, assert_reason};

use pitlane_core::Timestamp;

use crate::{cache::Caches, clock::Clock};

/// A registry with one cache, `default`, in memory, and the clock that moves its time.
///
/// For other registries give a [`clock`] to [`CachesBuilder::clock`](crate::CachesBuilder::clock).
#[must_use]
pub fn caches() -> (Caches, Clock) {
    let clock = clock();
    let caches = Caches::builder().clock(clock.clone()).build();
    (caches.expect("a registry in memory"), clock)
}

/// A clock that stands still until [`Clock::advance`] moves it. Its clones move together.
///
/// It begins at the present second, so that what handlers write into `Date` and `Expires` means
/// what it says.
#[must_use]
pub fn clock() -> Clock {
    let now = Clock::system().now().as_millis();
    Clock::manual(Timestamp::from_millis(now / 1000 * 1000))
}
