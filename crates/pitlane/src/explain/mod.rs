//! Why a request is answered as it is, told by the very code that answers it.
//!
//! Needs the feature `explain`. A request is marked in process, and goes through the whole
//! application. Each cache layer that it comes to decides as for any other, in a shadow of its cache:
//! what is stored is seen, and nothing of what is done for this request stays. It is not stored,
//! not counted, makes nothing stay in memory longer, and nobody waits for it.
//!
//! What is stored nowhere has to be computed: the handler is called for a request that would have
//! called it. So only GET and HEAD can be marked, and what a handler does by itself (a query in a
//! cache of its own, a line in a log) it does here as well.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, body::Body, http::Request, routing};
//! use pitlane::{AnonymousCacheLayer, Caches, Reason, explain::Asking};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let caches = Caches::builder().build()?;
//! let app: Router = Router::new()
//!     .route("/", routing::get(|| async { ([("set-cookie", "theme=dark")], "hello") }))
//!     .layer(AnonymousCacheLayer::new(&caches.get("default")?).ttl(Duration::from_secs(60)));
//!
//! let request = Request::get("http://example.org/").body(Body::empty())?;
//! let (request, asked) = Asking::mark(request)?;
//! let answer = app.oneshot(request).await?;
//! // Whether the answer would be stored is known when its body has been read to its end.
//! axum::body::to_bytes(answer.into_body(), 1 << 20).await?;
//!
//! let why = &asked.explanations()[0];
//! assert_eq!(why.reason, Reason::SetCookie);
//! assert_eq!(why.sentence, "The response sets a cookie: `theme`.");
//! assert!(why.advice.as_ref().is_some_and(|advice| advice.starts_with("Set cookies on")));
//! assert_eq!(caches.get("default")?.counts(), []);
//! # Ok(())
//! # }
//! ```

mod asking;
mod detail;
mod explanation;
mod facts;
mod label;
pub mod offline;
#[cfg(test)]
mod page;
mod tale;
mod telling;

pub use asking::{Asked, Asking};
pub use explanation::{Explanation, Stage, Step};
pub use facts::EntryFacts;

pub(crate) use asking::Inquiry;
#[cfg(feature = "metrics")]
pub(crate) use asking::is_marked;
pub(crate) use tale::Tale;
