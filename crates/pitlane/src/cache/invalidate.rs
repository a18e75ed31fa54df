use std::{fmt, mem, sync::Arc};

use pitlane_core::{Key, Position, Record, Tag, TagKind};
use tracing::Instrument;

use super::shared::Shared;
use crate::{
    error::{Error, ErrorKind},
    response::{key_of_url, name_of_url},
    stats::Invalidating,
    trace,
};

/// What became of an invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Invalidated {
    /// It is in the log: no read that begins now returns anything older.
    Applied {
        /// Where it stands in the log.
        position: Position,
    },
    /// It holds on this node at once and is owed to the others: the log can't be reached, or did
    /// not answer in time. The queue is memory: [`Caches::shutdown`](super::Caches::shutdown)
    /// drains it, and a crash of this process loses it.
    Queued,
}

/// A set of things to invalidate together.
///
/// # Example
///
/// ```
/// use pitlane::{Invalidation, Key};
///
/// let invalidation = Invalidation::default()
///     .add_tag("clubs")
///     .add_key(&Key::new("club").child(42))
///     .add_url("http://example.org/clubs/42")?;
/// assert_eq!(invalidation.len(), 3);
/// # Ok::<(), pitlane::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Invalidation {
    pub(crate) tags: Vec<Tag>,
    pub(crate) soft: bool,
}

impl Invalidation {
    /// An invalidation of everything that carries one of `tags`.
    pub fn tags<T: Into<Tag>>(tags: impl IntoIterator<Item = T>) -> Self {
        Self {
            tags: tags.into_iter().map(Into::into).collect(),
            soft: false,
        }
    }

    /// Everything that carries this tag.
    pub fn add_tag(mut self, tag: impl Into<Tag>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// A key and everything below it, in whole segments.
    pub fn add_key(self, key: &Key) -> Self {
        self.add_tag(Tag::of(TagKind::Subtree, key.path()))
    }

    /// Every variant of one absolute URL, with its path and query exactly as requested, such as
    /// `http://example.org/clubs?page=2`. Letter case and default port of the host don't matter,
    /// nor does the scheme.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Url`] when it is no absolute URL.
    pub fn add_url(self, url: &str) -> Result<Self, Error> {
        let name = name_of_url(url).ok_or_else(|| no_url(url))?;
        Ok(self.add_tag(Tag::of(TagKind::Uri, name)))
    }

    /// Every URL below one, in whole segments of its path: `http://example.org/clubs` ends
    /// `/clubs`, `/clubs/42` and `/clubs/42/members`, and not `/clubs2`. Only the first 8 segments
    /// count.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Url`] when it is no absolute URL.
    pub fn add_url_prefix(self, url: &str) -> Result<Self, Error> {
        let key = key_of_url(url).ok_or_else(|| no_url(url))?;
        Ok(self.add_key(&key))
    }

    /// Makes entries stale instead of unusable: stale-while-revalidate and stale-if-error may
    /// still serve them.
    pub const fn soft(mut self) -> Self {
        self.soft = true;
        self
    }

    /// All that the other names as well. It stays soft, or hard, as it is.
    pub fn add_all(mut self, other: Self) -> Self {
        self.tags.extend(other.tags);
        self
    }

    /// What it names, in the order in which that was added.
    #[must_use]
    pub fn names(&self) -> &[Tag] {
        &self.tags
    }

    /// How many things it names.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.tags.len()
    }

    /// Whether it names nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }
}

fn no_url(url: &str) -> Error {
    let message =
        format!("{url:?} is no absolute URL: write it whole, as in http://example.org/clubs");
    Error::new(ErrorKind::Url, message)
}

impl Shared {
    /// Appends to the log, and applies here before it returns.
    pub(crate) async fn invalidate(&self, invalidation: Invalidation) -> Invalidated {
        let Invalidation { tags, soft } = &invalidation;
        let mut counting = Invalidating::begin(self, tags.iter().map(Tag::kind));
        let Some(uplink) = &self.uplink else {
            counting.applied();
            let position = self.log.invalidate(tags, *soft);
            self.note_own(&invalidation, position);
            return Invalidated::Applied { position };
        };
        if tags.is_empty() {
            let position = self.log.basis().position;
            return Invalidated::Applied { position };
        }
        let record = Record::of(self.log.tags(), tags, *soft);
        let span = trace::redis(None, "append");
        let position = uplink.append(record).instrument(span.clone()).await;
        let applied = position.is_some();
        span.record("outcome", if applied { "ok" } else { "queued" });
        match position {
            Some(position) => {
                counting.applied();
                Invalidated::Applied { position }
            }
            None => Invalidated::Queued,
        }
    }

    /// Remembers for people what was invalidated: nobody else keeps a record of it.
    #[cfg_attr(
        not(feature = "manage"),
        expect(unused_variables, clippy::unused_self, reason = "nobody asks then")
    )]
    fn note_own(&self, invalidation: &Invalidation, position: Position) {
        #[cfg(feature = "manage")]
        if !invalidation.is_empty() {
            let Invalidation { tags, soft } = invalidation;
            let record = Record::of(self.log.tags(), tags, *soft);
            self.recent.note(position, self.clock.now(), &record);
        }
    }

    /// Applies here at once, and appends as soon as possible. It does not wait: an owed
    /// invalidation is made in `Drop`.
    pub(crate) fn owe(&self, invalidation: &Invalidation) {
        let Invalidation { tags, soft } = invalidation;
        let mut counting = Invalidating::begin(self, tags.iter().map(Tag::kind));
        match &self.uplink {
            Some(uplink) => uplink.owe(Record::of(self.log.tags(), tags, *soft)),
            None => {
                counting.applied();
                let position = self.log.invalidate(tags, *soft);
                self.note_own(invalidation, position);
            }
        }
    }
}

/// An invalidation that is owed from here on: a write is about to be committed.
///
/// Publish it once the write is known to have happened; [`Owed::cancel`] it only when the write
/// is known *not* to have happened. Dropped in any other way (the handler was aborted, the
/// connection broke, the commit's outcome is unknown) it is published all the same: an
/// invalidation too many costs a miss, one too few serves old data.
///
/// A dropped guard publishes at once, and a database may still finish a commit whose future was
/// dropped. Where a handler can be aborted between the two, let commit and publish run in a task
/// of their own, which nobody drops: `tokio::spawn(async move { commit.await?; owed.publish().await })`.
#[must_use = "an owed invalidation that is dropped at once is published at once"]
pub struct Owed {
    shared: Arc<Shared>,
    invalidation: Invalidation,
}

impl Owed {
    pub(crate) const fn new(shared: Arc<Shared>, invalidation: Invalidation) -> Self {
        Self {
            shared,
            invalidation,
        }
    }

    /// Adds what else the write turns out to touch.
    pub fn add<T: Into<Tag>>(&mut self, tags: impl IntoIterator<Item = T>) {
        self.invalidation
            .tags
            .extend(tags.into_iter().map(Into::into));
    }

    /// Publishes after the commit.
    ///
    /// # Errors
    ///
    /// None today: trouble with Redis is [`Invalidated::Queued`]. A caller must be ready for them
    /// all the same.
    pub async fn publish(mut self) -> Result<Invalidated, Error> {
        let invalidation = mem::take(&mut self.invalidation);
        Ok(self.shared.invalidate(invalidation).await)
    }

    /// Nothing was written.
    pub fn cancel(mut self) {
        self.invalidation = Invalidation::default();
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if !self.invalidation.is_empty() {
            self.shared.owe(&self.invalidation);
        }
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owed")
            .field("invalidation", &self.invalidation)
            .finish_non_exhaustive()
    }
}
