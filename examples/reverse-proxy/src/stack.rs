//! What a request passes on its way to the origin.

use std::convert::Infallible;

use http::{Request, Response};
use hyper::body::Incoming;
use tower_service::Service;

use crate::{Options, Origin, ProxyBody};

/// Everything between a connection and the origin, outermost layer last.
pub fn stack(
    options: &Options,
) -> impl Service<
    Request<Incoming>,
    Response = Response<ProxyBody>,
    Error = Infallible,
    Future: Send + 'static,
>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    Origin::new(options.origin.clone())
}
