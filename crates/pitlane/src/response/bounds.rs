//! What the response layers ask of the service inside them and of bodies, in one word each.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

/// The service inside a cache. It is cloned to be called, and what it computes may be waited for
/// in a task of its own.
pub(crate) trait Inner<Q, R>:
    Service<Request<Q>, Response = Response<R>, Future: Send + 'static, Error: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<S, Q, R> Inner<Q, R> for S where
    S: Service<Request<Q>, Response = Response<R>, Future: Send + 'static, Error: Send + 'static>
        + Clone
        + Send
        + 'static
{
}

/// The body of a request. Nothing but its end is looked at here.
pub(crate) trait Asked: Body + Send + 'static {}

impl<Q: Body + Send + 'static> Asked for Q {}

/// The body of an answer.
pub(crate) trait Answered: Body<Data = Bytes, Error: Send> + Send + 'static {}

impl<R: Body<Data = Bytes, Error: Send> + Send + 'static> Answered for R {}
