//! One module a target; each has `run`, which takes any bytes.

pub(crate) mod age;
pub(crate) mod cache_control;
pub(crate) mod dates;
pub(crate) mod policy;
pub(crate) mod range;
pub(crate) mod structured_fields;
pub(crate) mod vary;
