//! Parts of pages, rendered once and shown by many.
//!
//! A [`Fragment`] is the text that a piece of a template renders to, kept under a name and the
//! arguments it was rendered for. Templates are rendered synchronously, within a handler, so a fragment
//! never waits: it is in memory, or it is rendered at once. What [`prefetch`] is told of beforehand is
//! brought from Redis into memory, and what was rendered goes to Redis in the background.
//!
//! # What a fragment may show
//!
//! Its name, its arguments and its user are all that tells it from others. **Whatever else its body
//! shows (a variable of the template around it, who is signed in, the language, the time of day) is
//! shown to everybody who comes later with the same arguments.** Make it an argument, or the
//! [`user`](Fragment::user), or keep it out of the body.
//!
//! # What ends it
//!
//! Its own tags, its key (`club_stats:42`, `club_stats`), and everything that its body takes from caches
//! or names by [`depend_on`](crate::depend_on); a nested fragment ends all that are around it. **Rows that
//! the handler has read before, and the body shows, are named by nobody but the fragment's tags.** Whatever
//! shows a fragment ends with it, and no fragment is newer than the page it was rendered in: one that
//! was invalidated while it was rendered is not used again.
//!
//! That needs a position in the invalidation log from before anything was read. Inside a cache layer
//! there is one. A handler without one opens a [`Scope`](crate::Scope::open) first: outside of any scope
//! a synchronous fragment is used where it is found, and never stored, because nobody knows how old
//! the data in its body are.

mod argument;
#[cfg(feature = "fragments")]
mod edition;
mod prefetch;
mod render;
#[cfg(feature = "fragments")]
mod templates;

use std::{fmt, time::Duration};

use pitlane_core::{Key, Tag};
use pitlane_policy::Freshness;

pub use argument::Argument;
pub use prefetch::prefetch;
#[cfg(feature = "fragments")]
pub use templates::Fragments;

use crate::cache::{Cache, Place, Wanted, under_user};

/// A lifetime for what neither the fragment nor the cache's configuration says one for.
const TTL: Duration = Duration::from_secs(300);

/// The code that renders a fragment, where its name alone doesn't tell.
type Home = [u8; 16];

/// What keys of fragments begin with, apart from those of other values: `f`, home and version.
const FAMILY: usize = 21;

/// One fragment: its name, what it is rendered for, how long it is kept. Made by
/// [`Cache::fragment`].
///
/// # Example
///
/// ```
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let caches = pitlane::Caches::builder().build()?;
/// # let cache = caches.get("default")?;
/// # struct Stats { members: u32 }
/// # impl Stats { fn render(&self) -> Result<String, std::fmt::Error> { Ok(format!("<b>{}</b>", self.members)) } }
/// # let template = Stats { members: 7 };
/// // With askama's `render`, or anything else that makes a text.
/// let html = cache
///     .fragment("club_stats")
///     .arg(42)
///     .ttl(Duration::from_secs(300))
///     .tags(["club:42"])
///     .render(|| template.render())?;
/// assert_eq!(html, "<b>7</b>");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a fragment shows nothing until it is rendered"]
pub struct Fragment {
    cache: Cache,
    home: Home,
    key: Key,
    ttl: Option<Duration>,
    tags: Vec<Tag>,
    user: Option<String>,
    version: u32,
    /// It can't be told from others, and is rendered every time.
    unkept: bool,
}

impl Cache {
    /// A fragment of this cache. Its name stands for the code that renders it: another one for
    /// other code, another [`version`](Fragment::version) where the code changes.
    pub fn fragment(&self, name: impl fmt::Display) -> Fragment {
        Fragment {
            cache: self.clone(),
            home: Home::default(),
            key: Key::new(name),
            ttl: None,
            tags: Vec::new(),
            user: None,
            version: 0,
            unkept: false,
        }
    }
}

impl Fragment {
    /// Something that it is rendered for. Arguments of different kinds differ: `1` is not `"1"`.
    pub fn arg(mut self, argument: impl Into<Argument>) -> Self {
        self.key = self.key.child(argument.into());
        self
    }

    /// How long it is fresh; the cache's own unless said, and 5 minutes without either.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Tags of what it shows, beside its key and everything its body takes from caches.
    pub fn tags<N: Into<Tag>>(mut self, tags: impl IntoIterator<Item = N>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// One user's own: under `user:{id}:` and the key, tagged `user:{id}`.
    pub fn user(mut self, id: impl fmt::Display) -> Self {
        self.user = Some(id.to_string());
        self
    }

    /// The version of the code that renders it. Fragments of another version are not found.
    pub const fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Where it is kept.
    fn place(&self, key: &Key) -> Place {
        let mut family = [0; FAMILY];
        let parts = [&b"f"[..], &self.home, &self.version.to_be_bytes()];
        for (to, from) in family.iter_mut().zip(parts.concat()) {
            *to = from;
        }
        Wanted::place(&self.cache, &family, key)
    }

    /// Its key, below its user's where it has one.
    fn whole_key(&self) -> Key {
        match &self.user {
            Some(id) => under_user(id, &self.key),
            None => self.key.clone(),
        }
    }

    fn tags_of(&self) -> impl Iterator<Item = Tag> {
        let user = self.user.as_ref().map(|id| Tag::new(format!("user:{id}")));
        self.tags.iter().cloned().chain(user)
    }

    fn freshness(&self) -> Freshness {
        Freshness::new(self.ttl.or(self.cache.settings().ttl).unwrap_or(TTL))
    }
}

impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragment")
            .field("cache", &self.cache.name())
            .field("key", &self.key)
            .field("user", &self.user)
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}
