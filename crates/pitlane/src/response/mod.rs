//! The HTTP response cache: one mechanism, and presets of it.

mod admit;
#[cfg(feature = "audit")]
mod audited;
mod body;
mod bounds;
mod content;
mod decorate;
#[cfg(feature = "explain")]
mod explained;
mod fetch;
mod forms;
mod future;
mod head;
mod heed;
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
mod serve;
mod service;
mod settle;
mod shape;
mod status;
mod store;
mod stored;
mod swap;
mod traced;
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

#[cfg(feature = "explain")]
pub(crate) use admit::{
    Ask, is_credential, is_harmless, overrides_method, overrides_uri, tunnels_method,
    usual_connection,
};
#[cfg(feature = "explain")]
pub(crate) use explained::key_text;
#[cfg(feature = "explain")]
pub(crate) use fetch::tags_of;
pub(crate) use key::{key_of_url, name_of_url};
pub(crate) use keyed::OnlyAsks;
#[cfg(feature = "metrics")]
pub(crate) use layer::LabelOf;
#[cfg(feature = "explain")]
pub(crate) use layer::Settings;
pub(crate) use layer::UriOf;
#[cfg(feature = "explain")]
pub(crate) use lookup::{Found, find, response_of};
pub(crate) use owing::{Owing, Publishing, Trouble};
pub(crate) use shape::{Effective, Shape};
pub(crate) use status::{Telling, outcome};
#[cfg(feature = "explain")]
pub(crate) use store::find_variants;
pub(crate) use stored::{Ours, StoredResponse, header_value};
