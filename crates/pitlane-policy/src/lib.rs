//! HTTP caching policy as pure functions: may a response be stored, for how long, and why not.
//!
//! Nothing here reads a clock, waits, or performs I/O: time is an argument. What is needed to
//! judge a stored response ([`Freshness::judge`], [`RequestDirectives`], [`selecting_value`])
//! allocates nothing of its own.
//!
//! The rules are those of a *shared cache run by the origin* (a gateway): RFC 9111 on top of
//! RFC 9110, with the stale windows of RFC 5861, the targeted fields of RFC 9213 and the groups of
//! RFC 9875.
//!
//! # Example
//!
//! ```
//! use http::{HeaderMap, HeaderValue, StatusCode, header::CACHE_CONTROL};
//! use pitlane_policy::{Profile, RequestFacts, Rules, Verdict, may_store};
//! use std::time::{Duration, SystemTime};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
//!
//! let freshness = may_store(
//!     &Rules::new(Profile::Application),
//!     &RequestFacts::default(),
//!     StatusCode::OK,
//!     &headers,
//!     false,
//!     SystemTime::UNIX_EPOCH,
//! )
//! .expect("nothing forbids it");
//!
//! let verdict = freshness.judge(Duration::from_secs(20));
//! assert!(matches!(verdict, Verdict::Fresh { ttl, .. } if ttl == Duration::from_secs(40)));
//! ```

pub mod age;
pub mod conditional;
pub mod date;
pub mod encoding;
pub mod groups;
pub mod hop;
pub mod range;
pub mod update;

mod content;
mod directives;
mod entity_tag;
mod freshness;
mod lifetime;
mod profile;
mod refusal;
mod rules;
mod seconds;
mod selecting;
mod status;
mod store;
mod structured;
mod syntax;
mod vary;

pub use directives::{MaxStale, RequestDirectives, ResponseDirectives};
pub use freshness::{Freshness, Verdict};
pub use lifetime::LifetimeSource;
pub use profile::Profile;
pub use refusal::Refusal;
pub use rules::{RequestFacts, Rules};
pub use selecting::selecting_value;
pub use store::{may_store, may_store_post};
pub use vary::Vary;
