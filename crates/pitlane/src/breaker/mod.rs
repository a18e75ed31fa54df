//! A circuit breaker around any service, HTTP or not.
//!
//! What has just been failing is not asked again at once: the circuit *opens*, and calls are
//! answered without the service. After a while one call at a time is let through to find out
//! whether the trouble is over (*half-open*), and when enough of those succeeded the circuit
//! *closes*.
//!
//! The state machine is `pitlane_core`'s (Nygard, "Release It!", 2007). Nothing in it waits, and
//! while the circuit is closed a call costs no lock: its permission is one atomic load, and its
//! success is counted on a cache line of the calling thread's own. Failures take a short lock,
//! so that they are counted in their order. Refusals take none.

mod circuit;
mod error;
mod future;
mod judge;
mod layer;
mod service;

pub use circuit::{Circuit, CircuitOpen};
pub use error::{BreakerError, BreakerErrorKind};
pub use future::CircuitFuture;
pub use judge::{ErrorsFail, Judge, ServerErrorsFail};
pub use layer::CircuitBreakerLayer;
pub use pitlane_core::{BreakerRules, BreakerSnapshot, BreakerState};
pub use service::{Answer, CircuitBreaker, GiveError, RespondWith};
