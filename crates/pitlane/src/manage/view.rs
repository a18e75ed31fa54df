//! What is shown of an entry.

use pitlane_core::Position;
use serde::{Deserialize, Serialize};

use super::name::KeyKind;
use super::verdict::Verdict;
use crate::cache::Cache;

/// Something in a cache, as it is in Redis and in this node's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntryView {
    /// The cache.
    pub cache: String,
    /// What people call it; see [`KeyView::name`](super::KeyView::name).
    pub name: String,
    /// What it is.
    pub kind: KeyKind,
    /// What it is called in Redis; nothing in a store, and nothing without Redis.
    pub redis_key: Option<String>,
    /// What is in this node's memory.
    pub memory: Option<StoredView>,
    /// What is in Redis.
    pub redis: Option<StoredView>,
    /// Other keys that the same name may mean: the variants of a URL, other versions of a value.
    pub others: Vec<String>,
}

/// What one tier holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredView {
    /// Whether a hit would use it.
    pub verdict: Verdict,
    /// Where it stands in the invalidation log, and in which life of it.
    pub position: Option<String>,
    /// The life of the log that it was made in: 16 hexadecimal digits.
    pub incarnation: Option<String>,
    /// Whether that is the log's life now.
    pub incarnation_is_current: bool,
    /// When its computation ended, in milliseconds since the Unix epoch.
    pub stored_ms: Option<u64>,
    /// When its lifetime ends, in milliseconds since the Unix epoch.
    pub expires_ms: Option<u64>,
    /// How old it is, in seconds, counted from when the origin made it.
    pub age_seconds: Option<f64>,
    /// For how long it is fresh from then on, in seconds.
    pub lifetime_seconds: Option<f64>,
    /// For how long beyond that it is served while a new one is made, in seconds.
    pub stale_while_revalidate_seconds: Option<f64>,
    /// For how long beyond that it stands in when the handler fails, in seconds.
    pub stale_if_error_seconds: Option<f64>,
    /// How long its computation took, in seconds.
    pub cost_seconds: Option<f64>,
    /// What it takes in this tier, in bytes.
    pub bytes: u64,
    /// How long its body is, in bytes.
    pub body_bytes: Option<u64>,
    /// How the body is compressed in Redis: `none`, `lz4`, `zstd`.
    pub compression: Option<String>,
    /// Forms of the body that are ready for clients that take them.
    pub encodings: Vec<EncodingView>,
    /// The status of a response.
    pub status: Option<u16>,
    /// The headers of a response, printable; values that may be secret are hidden.
    pub headers: Vec<HeaderView>,
    /// Everything that it can be invalidated by.
    pub tags: Vec<TagView>,
    /// The request headers that select the variants of a URL.
    pub vary: Vec<String>,
}

/// A header of a stored response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeaderView {
    /// Its name, in lower case.
    pub name: String,
    /// Its value, printable and cut after 400 characters; nothing where it may be secret.
    pub value: Option<String>,
}

/// A form of a body that is ready for clients that take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EncodingView {
    /// The content coding.
    pub name: String,
    /// How long the body is in it, in bytes.
    pub body_bytes: u64,
}

/// A name that an entry can be invalidated by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TagView {
    /// `tag`, `subtree`, `cache`, `uri` or `group`; `unknown` where only its number is known.
    pub kind: String,
    /// The name, printable; the beginning of its number where that is all there is.
    pub name: String,
}

impl StoredView {
    pub(super) fn nothing(verdict: Verdict, bytes: u64) -> Self {
        Self {
            verdict,
            position: None,
            incarnation: None,
            incarnation_is_current: false,
            stored_ms: None,
            expires_ms: None,
            age_seconds: None,
            lifetime_seconds: None,
            stale_while_revalidate_seconds: None,
            stale_if_error_seconds: None,
            cost_seconds: None,
            bytes,
            body_bytes: None,
            compression: None,
            encodings: Vec::new(),
            status: None,
            headers: Vec::new(),
            tags: Vec::new(),
            vary: Vec::new(),
        }
    }

    pub(super) fn stands_at(&mut self, cache: &Cache, position: Position) {
        let current = cache.shared().log.basis().position.incarnation;
        self.position = Some(position.to_string());
        self.incarnation = Some(format!("{:016x}", position.incarnation.as_u64()));
        self.incarnation_is_current = position.incarnation == current;
    }
}
