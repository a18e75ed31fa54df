//! The HTTP response cache: one mechanism, and presets of it.

mod admit;
mod body;
mod decorate;
mod fetch;
mod future;
mod hint;
mod key;
mod layer;
mod lookup;
mod recording;
mod refresh;
mod service;
mod settle;
mod status;
mod store;
mod stored;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use hint::CacheHint;
pub use layer::{
    Anonymous, AnonymousCacheLayer, Api, ApiCacheLayer, CacheLayer, General, ResponseCacheLayer,
};
pub use service::ResponseCache;

pub(crate) use key::{key_of_url, name_of_url};
pub(crate) use stored::{StoredResponse, header_value};
