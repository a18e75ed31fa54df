//! The HTTP response cache: one mechanism, and presets of it.

mod admit;
mod body;
mod content;
mod decorate;
mod fetch;
mod forms;
mod future;
mod head;
mod hint;
mod key;
mod keyed;
mod layer;
mod lookup;
mod options;
mod owing;
mod post;
mod ranges;
mod recording;
mod refresh;
mod service;
mod settle;
mod shape;
mod status;
mod store;
mod stored;
mod swap;
mod validate;

pub use body::ResponseBody;
pub use forms::Encoding;
pub use future::ResponseFuture;
pub use hint::CacheHint;
pub use keyed::{BodyKey, BodyKeyLayer};
pub use layer::{
    Anonymous, AnonymousCacheLayer, Api, ApiCacheLayer, CacheLayer, General, ResponseCacheLayer,
};
pub use service::ResponseCache;

pub(crate) use key::{key_of_url, name_of_url};
pub(crate) use keyed::OnlyAsks;
#[cfg(feature = "metrics")]
pub(crate) use layer::LabelOf;
pub(crate) use layer::UriOf;
pub(crate) use owing::{Owing, Publishing, Trouble};
pub(crate) use shape::{Effective, Shape};
pub(crate) use status::{Telling, outcome};
pub(crate) use stored::{Ours, StoredResponse, header_value};
