//! The caches and the layers, from outside.

mod axum_stack;
mod basics;
