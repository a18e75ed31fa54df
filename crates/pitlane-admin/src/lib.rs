//! The admin API and the dashboard of Pitlane's caches, as one axum router.
//!
//! ```
//! use pitlane::Caches;
//! use pitlane_admin::{Admin, AdminToken};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = std::env::temp_dir().join(format!("pitlane-admin-doc-{}", std::process::id()));
//! # let _ = std::fs::remove_file(&file);
//! let caches = Caches::builder().cache("default").build()?;
//! let token = AdminToken::create_file(&file)?;
//! let router = Admin::new(caches, token).at("/admin/cache").router();
//! # let _: axum::Router = router;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is shown to anybody without the token: scripts send it as `Authorization: Bearer …`, a
//! person types it into a form once and gets a cookie. Serve the router on loopback, or behind
//! something that encrypts; it answers to names of this machine only, unless
//! [`Admin::add_host`] names others. Peers are told apart, and locked out when they guess, by
//! their addresses: serve with `into_make_service_with_connect_info::<SocketAddr>()`, or put a
//! [`ConnectInfo`](axum::extract::ConnectInfo) into each request's extensions.
//! Behind a reverse proxy all peers have the proxy's address, and are locked out together.

mod admin;
mod api;
mod asked;
mod door;
mod failure;
mod pages;
mod seal;
mod serve;
mod view;

pub use admin::Admin;
pub use door::{AdminToken, AdminTokenError, AdminTokenErrorKind};

/// The guide's page, whose code is compiled with this crate.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/admin.md")]
struct Guide;

/// What refuses or fails on the way.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
