//! `Cache-Control` in both directions (RFC 9111 §5.2).

mod request;
mod response;
mod tokenizer;

pub use request::{MaxStale, RequestDirectives};
pub use response::ResponseDirectives;
