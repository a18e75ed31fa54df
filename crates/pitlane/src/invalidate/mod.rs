//! Invalidation by what passes: for routes that are not cached themselves.

mod future;
mod layer;
mod service;

pub use future::InvalidateFuture;
pub use layer::InvalidateLayer;
pub use service::Invalidate;
