//! What happens, told through the facade of the crate `metrics`.

mod extras;
mod running;
mod stopwatch;
mod told;

pub(crate) use extras::Extras;
pub(crate) use running::Running;
pub(crate) use told::Told;
