//! The one server behind the proxy, as a Tower service.

mod body;
mod headers;
mod refusal;
mod service;
mod upgrade;
mod url;

use std::net::SocketAddr;

pub use body::{ProxyBody, RequestBody};
pub use service::Origin;
pub use url::{OriginUrl, OriginUrlError};

/// Who is at the other end of the connection that a request came on.
///
/// The server puts it into a request's extensions; [`Origin`] reports it in `X-Forwarded-For`.
/// A request without it (one that a layer made by itself) is forwarded without that report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);
