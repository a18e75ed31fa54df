use pitlane_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{cache::Entry, response::response_of};

/// What an entry is, or would be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntryFacts {
    /// The status of the stored response.
    pub status: u16,
    /// The length of its body, in bytes.
    pub body_bytes: u64,
    /// When it was stored, in milliseconds since the Unix epoch.
    pub stored_at_ms: u64,
    /// How old it is, in seconds, what it was already when it came included.
    pub age_seconds: f64,
    /// How old it may become before it is stale, in seconds.
    pub lifetime_seconds: f64,
    /// What is left of that, in seconds; negative when it is stale.
    pub ttl_seconds: f64,
    /// For how long past that it may be served while it is renewed, in seconds.
    pub stale_while_revalidate_seconds: f64,
    /// For how long past that it may be served when the handler fails, in seconds.
    pub stale_if_error_seconds: f64,
    /// How long its computation took, in seconds.
    pub cost_seconds: f64,
    /// Where it stands in the invalidation log.
    pub position: String,
    /// The tags that were given to it by name.
    pub tags: Vec<String>,
    /// The request headers that select it among the variants of its URI.
    pub vary: Vec<String>,
}

impl EntryFacts {
    pub(super) fn of(entry: &Entry, vary: Vec<String>, now: Timestamp) -> Self {
        let Entry {
            meta, freshness, ..
        } = entry;
        let response = response_of(entry);
        let age = freshness.age(meta.resident(now)).as_secs_f64();
        let lifetime = freshness.lifetime().as_secs_f64();
        let names = meta.tags.names().iter();
        Self {
            status: response.map_or(0, |response| response.status().as_u16()),
            body_bytes: response.map_or(0, |response| response.body().len() as u64),
            stored_at_ms: meta.stored_at.as_millis(),
            age_seconds: age,
            lifetime_seconds: lifetime,
            ttl_seconds: lifetime - age,
            stale_while_revalidate_seconds: freshness.stale_while_revalidate().as_secs_f64(),
            stale_if_error_seconds: freshness.stale_if_error().as_secs_f64(),
            cost_seconds: meta.cost.as_secs_f64(),
            position: meta.stamp.position().to_string(),
            tags: names.map(|tag| tag.name().to_owned()).collect(),
            vary,
        }
    }
}
