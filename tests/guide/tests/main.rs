//! What the pages of `docs/guide` say, shown over real sockets, in HTTP/1.1 and HTTP/2: for each
//! layer the order that the guide asks for, and the other one.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod auth;
mod breakers;
mod catch_panic;
mod compression;
mod cors;
mod grpc;
mod limits;
mod links;
mod meters;
mod normalize_path;
mod refused;
mod sessions;
mod stacked;
mod stamps;
mod support;
mod timeouts;
mod traces;
mod writes;
