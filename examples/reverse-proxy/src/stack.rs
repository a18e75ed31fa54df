//! What a request passes on its way to the origin.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower_service::Service;

use crate::{Options, Origin};

/// Everything between a connection and the origin.
///
/// The body's type is left open, so that a layer with a body of its own changes nothing outside
/// this function.
pub fn stack(
    options: &Options,
) -> impl Service<
    Request<Incoming>,
    Response = Response<
        impl Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static + use<>,
    >,
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
