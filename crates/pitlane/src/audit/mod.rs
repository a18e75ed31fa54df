//! An auditor: it computes some hits once more, and finds what is served though it is wrong.
//!
//! The log ends everything that somebody invalidates. What nobody invalidates (a write that goes
//! past the application, a tag that was forgotten) it can't know of; an auditor finds it where it
//! runs, in production, on what visitors ask for.

mod auditor;
mod print;
mod report;

use std::{sync::Arc, time::Duration};

use http::{HeaderName, header};

pub(crate) use auditor::{Auditor, Turn};
pub(crate) use print::Print;
pub use report::{AuditReport, Fault};

use crate::{cache::Cache, response::CacheLayer};

/// How hits are audited, for [`CacheLayer::audit`].
///
/// A hit in memory that is drawn is answered as ever. Behind it its request goes to the inner service
/// once more, in the background, and status, body and some headers are compared with what is stored.
/// Its cache neither stores nor counts anything of that. Where they differ the same is done with a
/// later hit of that entry; an entry is called stale when all of its recomputations agree with one another, differ from it, and
/// nothing that anybody invalidated ends it. A page that is different each time is called unstable.
///
/// One recomputation runs at a time in each cache. Requests with cookies or authorization that
/// reach the handler are not drawn, nor are `HEAD` and `Range`.
///
/// What the handler takes from caches itself it takes as ever: a page that is made of a stale value
/// is the same as before, and it is the value's own layer that has to be audited. That goes for another
/// cache's layer further in as well: it answers, stores and counts such a request like any other. A
/// layer of the same cache further in lets it pass.
///
/// # How soon
///
/// Each hit is drawn with a chance of one in `n`. A stale entry is found after it was drawn once and
/// hit once or twice more, so `N` hits of it leave it unfound with a probability of (1 - 1/n)^(N - 2)
/// (the chance of no success in a binomial trial): with one in 1,000 that is 1 % for 4,600 hits and
/// one in a million for 13,800. Hits that come while another recomputation runs don't count.
///
/// # Example
///
/// ```
/// use pitlane::{AnonymousCacheLayer, Caches, audit::Audit};
///
/// # fn main() -> Result<(), pitlane::Error> {
/// let caches = Caches::builder().build()?;
/// let cache = caches.get("default")?;
/// let layer = AnonymousCacheLayer::new(&cache).audit(Audit::one_in(1000));
/// # let _ = layer;
/// assert_eq!(cache.audit_report().stale, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Audit {
    pub(crate) one_in: u32,
    pub(crate) times: u32,
    pub(crate) grace: Duration,
    pub(crate) deadline: Duration,
    pub(crate) headers: Arc<[HeaderName]>,
}

impl Audit {
    /// Draws one of so many hits; each of them where it is 0 or 1.
    pub fn one_in(hits: u32) -> Self {
        Self {
            one_in: hits.max(1),
            times: 2,
            grace: Duration::from_secs(1),
            deadline: Duration::from_secs(10),
            headers: [header::CONTENT_TYPE, header::LOCATION].into(),
        }
    }

    /// How many recomputations have to agree; 2 unless said, and no fewer. Raise it for pages that
    /// come in a few forms by chance.
    pub fn times(mut self, times: u32) -> Self {
        self.times = times.max(2);
        self
    }

    /// How long after a recomputation the next one is made at the earliest; a second unless said. In
    /// between, a write that was committed just now has the time to be invalidated.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long a recomputation may take; 10 seconds unless said.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The response headers that are compared; `Content-Type` and `Location` unless said.
    pub fn headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.headers = names.into_iter().collect();
        self
    }
}

impl<Form> CacheLayer<Form> {
    /// Has some of the hits audited. What comes of it is in [`Cache::audit_report`], and an entry
    /// that is stale is told by `tracing` as a warning.
    pub fn audit(mut self, audit: Audit) -> Self {
        self.settings_mut().audit = Some(Arc::new(audit));
        self
    }
}

impl Cache {
    /// What auditors of this cache's layers have found since the start.
    #[must_use]
    pub fn audit_report(&self) -> AuditReport {
        self.auditor().report()
    }
}
