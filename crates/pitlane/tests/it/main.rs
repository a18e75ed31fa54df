//! The caches and the layers, from outside.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod accounts;
#[cfg(feature = "audit")]
mod audit;
mod axum_stack;
mod basics;
mod bodies;
mod body_keys;
mod breaker;
mod collapse;
mod conditionals;
#[cfg(feature = "data")]
mod data;
mod drive;
#[cfg(feature = "encodings")]
mod encodings;
#[cfg(feature = "explain")]
mod explain;
mod fragment;
mod fragments;
mod interleavings;
mod invalidate_layer;
mod leaders;
#[cfg(feature = "locks")]
mod locks;
#[cfg(feature = "manage")]
mod manage;
mod named;
#[cfg(feature = "explain")]
mod offline;
mod options;
mod owed;
mod parts;
mod patience;
mod shares;
mod spans;
mod stacks;
mod stale;
#[cfg(feature = "stats")]
mod statistics;
#[cfg(feature = "fragments")]
mod template_fragments;
#[cfg(feature = "testing")]
mod testing;
mod validation;
mod variants;
