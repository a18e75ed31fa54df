//! `Cache-Control` in both directions (RFC 9111 §5.2), and its targeted forms (RFC 9213).

mod request;
mod response;
mod targeted;
mod tokenizer;

pub use request::{MaxStale, RequestDirectives};
pub use response::ResponseDirectives;
