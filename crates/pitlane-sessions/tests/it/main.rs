//! Sessions over real sockets, by tower-sessions' own layer in axum, in a real redis-server.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, in its helpers too"
)]

mod basics;
mod outage;
mod secrets;

mod site;
