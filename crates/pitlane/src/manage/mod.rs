//! What a cache holds, and whether it works: for operators, dashboards and the command line.
//!
//! Nothing here serves a request, and nothing here changes what a request is answered with. Names
//! of keys hold what clients sent; they are bounded, and written so that they garble neither a
//! terminal nor a page ([`printable`]).
//!
//! Times are milliseconds since the Unix epoch (`_ms`), durations are seconds (`_seconds`), and
//! sizes are bytes (`_bytes`).

mod affected;
mod check;
mod entry;
mod keys;
mod name;
mod recent;
mod resident;
mod tags;
mod verdict;
mod view;

pub use affected::{Affected, AffectedCache};
pub use check::{CheckReport, CheckStep};
pub use keys::{KeyPage, KeyQuery, KeyView};
pub use name::{KeyKind, printable};
pub use recent::{InvalidatedItem, RecentInvalidation};
pub use verdict::Verdict;
pub use view::{EncodingView, EntryView, HeaderView, StoredView, TagView};

#[cfg(feature = "stats")]
pub(crate) use name::Name;
pub(crate) use recent::Ring;

use std::{error::Error as _, time::Duration};

use pitlane_core::{StoreError, StoreErrorKind};

use crate::error::{Error, ErrorKind};

/// What went wrong with Redis, as a sentence.
fn failed(error: StoreError) -> Error {
    let what = match error.kind() {
        StoreErrorKind::TimedOut => "Redis did not answer in time".to_owned(),
        StoreErrorKind::Busy => "too much is on its way to Redis".to_owned(),
        StoreErrorKind::Refused => match error.source() {
            Some(source) => format!("Redis refused: {source}"),
            None => "Redis refused".to_owned(),
        },
        StoreErrorKind::Protocol => "Redis answered something that makes no sense".to_owned(),
        StoreErrorKind::Open => {
            "the circuit to Redis is open: what was sent just now failed".to_owned()
        }
        _ => "Redis can't be reached".to_owned(),
    };
    Error::new(ErrorKind::Redis, what).with_source(error)
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
