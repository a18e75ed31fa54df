//! What happens, told through the facade of the crate `metrics`.

mod body;
mod extras;
mod future;
mod handles;
mod invalidations;
mod keeper;
mod layer;
mod ledger;
mod measure;
#[cfg(all(test, feature = "redis"))]
mod page;
mod registry;
mod running;
mod service;
mod spec;
mod stopwatch;
mod told;

pub use body::MeasuredBody;
pub use future::MeasuredFuture;
pub use layer::MetricsLayer;
pub use service::Measured;

pub(crate) use extras::Extras;
pub(crate) use invalidations::{Counting, Invalidations};
#[cfg(feature = "stats")]
pub(crate) use ledger::{memory_lookups, memory_outcome, remote_outcome};
pub(crate) use registry::{Eviction, Registry};
pub(crate) use running::Running;
pub(crate) use told::Told;
