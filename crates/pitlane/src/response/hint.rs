use std::time::Duration;

use pitlane_core::Tag;

/// What a handler tells the cache about its answer, as a response extension.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use pitlane::CacheHint;
///
/// let mut response = http::Response::new("…");
/// response
///     .extensions_mut()
///     .insert(CacheHint::tags(["club:42", "clubs"]).ttl(Duration::from_secs(60)));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CacheHint {
    pub(crate) tags: Vec<Tag>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) no_store: bool,
}

impl CacheHint {
    /// The answer shows what these tags name: invalidating one of them makes it unusable.
    pub fn tags<T: Into<Tag>>(tags: impl IntoIterator<Item = T>) -> Self {
        Self {
            tags: tags.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// It shows these as well.
    pub fn add_tags<T: Into<Tag>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// The answer must not be stored.
    pub fn no_store() -> Self {
        Self {
            no_store: true,
            ..Self::default()
        }
    }

    /// For how long it is fresh, where its own headers don't say.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}
