//! The cache for unary gRPC calls.

mod admit;
mod body;
mod fetch;
mod future;
mod layer;
mod message;
mod recording;
mod reply;
mod service;

pub use body::GrpcBody;
pub use future::GrpcFuture;
pub use layer::GrpcCacheLayer;
pub use service::GrpcCache;
