//! The layers and caches over a real redis-server, on several nodes in one process.

mod acl;
mod clears;
mod coherence;
#[cfg(feature = "data")]
mod data;
#[cfg(feature = "explain")]
mod explain;
mod faults;
mod fragments;
mod invalidate_layer;
#[cfg(feature = "locks")]
mod locks;
#[cfg(feature = "manage")]
mod manage;
mod nodes;
mod pages;
mod places;
#[cfg(feature = "explain")]
mod reasons;
#[cfg(feature = "stats")]
mod statistics;
mod validation;
mod values;
