//! The layers and caches over a real redis-server, on several nodes in one process.

mod acl;
mod clears;
mod coherence;
#[cfg(feature = "data")]
mod data;
mod faults;
mod invalidate_layer;
mod nodes;
mod pages;
mod places;
mod validation;
mod values;
