use serde::{Deserialize, Serialize};

/// What auditors have found since the start. Each hit that was drawn ends as one of the counts, or is
/// looked at still.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditReport {
    /// Hits that were drawn.
    pub audited: u64,
    /// What was computed once more is what was served.
    pub same: u64,
    /// Computations differed from one another as well: nothing can be said of such a page.
    pub unstable: u64,
    /// All computations agreed, and what was served is something else.
    pub stale: u64,
    /// The entry was invalidated, or its lifetime was over, before anything could be said.
    pub ended: u64,
    /// A computation failed, took too long, or was too large; or Redis could not confirm that
    /// nothing had ended the entry.
    pub failed: u64,
    /// Something differed, and the entry was not hit again to find out.
    pub unresolved: u64,
    /// The last stale entries, the latest first; at most 16.
    pub faults: Vec<Fault>,
}

impl AuditReport {
    /// The share of what was decided that was stale; `None` before anything was.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs few digits")]
    pub fn stale_rate(&self) -> Option<f64> {
        let decided = self.same + self.stale;
        (decided > 0).then(|| self.stale as f64 / decided as f64)
    }
}

/// An entry that was served and is wrong, and its story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// The host and the target of the request that found it.
    pub key: String,
    /// When it was found, in milliseconds since the Unix epoch.
    pub found_ms: u64,
    /// When it was stored, by whichever node that was, in milliseconds since the Unix epoch.
    pub stored_ms: u64,
    /// How old it was.
    pub age_seconds: f64,
    /// How long computing it had taken.
    pub cost_seconds: f64,
    /// Where it stands in the invalidation log.
    pub position: String,
    /// The tags that somebody gave it: the one that the write should have named, or the one that is
    /// missing here.
    pub tags: Vec<String>,
    /// What differs: `status`, `body`, or the name of a header.
    pub differs: Vec<String>,
}
