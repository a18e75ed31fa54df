//! Data behind the handlers: typed values that are computed once and shared.

mod codec;
mod compute;
mod error;
#[cfg(feature = "locks")]
mod locked;
mod many;

use std::{any::type_name, borrow::Cow, fmt, marker::PhantomData, sync::Arc, time::Duration};

use pitlane_core::{Key, Tag};
use pitlane_policy::Freshness;
use serde::{Serialize, de::DeserializeOwned};

pub use codec::{Codec, CodecError, Json, Postcard};
pub use error::{DataError, DataErrorKind};
#[cfg(feature = "locks")]
pub use locked::LockedData;

use crate::cache::{Cache, Place, Wanted, under_user};

/// A lifetime for what neither the call nor the cache's configuration says one for.
const TTL: Duration = Duration::from_secs(300);

/// The module or type, and the name, of a function.
type Home = [&'static str; 2];

type LifetimeOf<T> = Arc<dyn Fn(&T) -> Option<Duration> + Send + Sync>;

/// How values of one type are cached: for how long, under which tags, in which form. Made by
/// [`Cache::data`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use pitlane::Key;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let caches = pitlane::Caches::builder().cache("query").build()?;
/// # async fn load_members(_: u64) -> Result<Vec<String>, std::io::Error> { Ok(vec!["Ada".into()]) }
/// let members = caches.get("query")?.data().ttl(Duration::from_secs(600)).version(1);
/// let key = Key::new("club").child(42).child("members");
///
/// // 1,000 callers at once are one computation.
/// let ada = members.get_or_compute(&key, async || load_members(42).await).await?;
/// assert_eq!(ada, ["Ada"]);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Data<T, C = Postcard> {
    cache: Cache,
    ttl: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    soft_timeout: Option<Duration>,
    hard_timeout: Option<Duration>,
    lifetime_of: Option<LifetimeOf<T>>,
    tags: Vec<Tag>,
    user: Option<String>,
    version: u32,
    /// Whose values they are, where their key alone doesn't tell.
    home: Home,
    #[cfg(feature = "locks")]
    locking: Option<crate::lock::Locking>,
    codec: PhantomData<fn() -> C>,
}

impl Cache {
    /// Typed values in this cache, with the cache's own lifetimes unless more is said.
    pub fn data<T>(&self) -> Data<T> {
        Data {
            cache: self.clone(),
            ttl: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            soft_timeout: None,
            hard_timeout: None,
            lifetime_of: None,
            tags: Vec::new(),
            user: None,
            version: 0,
            home: [""; 2],
            #[cfg(feature = "locks")]
            locking: None,
            codec: PhantomData,
        }
    }

    /// The value under `key`, or what `compute` makes of it: [`Data::get_or_compute`] without
    /// options.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn get_or_compute<T, E, F, Fut>(
        &self,
        key: &Key,
        compute: F,
    ) -> Result<T, DataError<E>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.data().get_or_compute(key, compute).await
    }
}

impl<T, C> Data<T, C> {
    /// How long a value is fresh; the cache's own unless said, and 5 minutes without either.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long past its lifetime a value is handed out while a new one is computed in the
    /// background; the cache's own unless said.
    pub const fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = Some(window);
        self
    }

    /// How long past its lifetime a value may stand in for a computation that fails or is slow;
    /// the cache's own unless said.
    pub const fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = Some(window);
        self
    }

    /// How long a caller waits where something stale could stand in: then it gets that, and the
    /// computation goes on in the background.
    pub const fn soft_timeout(mut self, timeout: Duration) -> Self {
        self.soft_timeout = Some(timeout);
        self
    }

    /// How long a computation may take at all: then it is dropped, and everybody who waits gets
    /// what is stale, or an error.
    pub const fn hard_timeout(mut self, timeout: Duration) -> Self {
        self.hard_timeout = Some(timeout);
        self
    }

    /// A lifetime of its own for values of a certain kind: for `None`, say, which is soon
    /// something.
    ///
    /// ```
    /// use std::time::Duration;
    /// # let caches = pitlane::Caches::builder().build()?;
    /// # let cache = caches.get("default")?;
    /// let found = cache.data::<Option<String>>().negative(Option::is_none, Duration::from_secs(30));
    /// # let _ = found;
    /// # Ok::<(), pitlane::Error>(())
    /// ```
    ///
    /// Errors are never cached. A failure that is to be remembered is a value: compute a
    /// `Result<T, NotFound>` and name `Result::is_err` here.
    pub fn negative(
        mut self,
        is_negative: impl Fn(&T) -> bool + Send + Sync + 'static,
        ttl: Duration,
    ) -> Self {
        self.lifetime_of = Some(Arc::new(move |value| is_negative(value).then_some(ttl)));
        self
    }

    /// Tags of every value, beside the key and its ancestors.
    pub fn tags<N: Into<Tag>>(mut self, tags: impl IntoIterator<Item = N>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// One user's own values: under `user:{id}:` and the key, tagged `user:{id}`.
    pub fn user(mut self, id: impl fmt::Display) -> Self {
        self.user = Some(id.to_string());
        self
    }

    /// The version of the type. Values of another version are not found, so that old and new code
    /// live side by side: count it up when the type's fields change.
    pub const fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Keeps the values of one function apart from those of another under the same key.
    #[doc(hidden)]
    pub const fn home(mut self, home: &[&'static str; 2]) -> Self {
        self.home = *home;
        self
    }

    /// The form that values are stored in: [`Postcard`] unless said.
    pub fn codec<D: Codec>(self, _: D) -> Data<T, D> {
        Data {
            cache: self.cache,
            ttl: self.ttl,
            stale_while_revalidate: self.stale_while_revalidate,
            stale_if_error: self.stale_if_error,
            soft_timeout: self.soft_timeout,
            hard_timeout: self.hard_timeout,
            lifetime_of: self.lifetime_of,
            tags: self.tags,
            user: self.user,
            version: self.version,
            home: self.home,
            #[cfg(feature = "locks")]
            locking: self.locking,
            codec: PhantomData,
        }
    }
}

impl<T, C: Codec> Data<T, C> {
    /// Where the value under `key` is, and what ends it.
    fn wanted(&self, key: &Key) -> Wanted {
        let key = self.whole_key(key);
        Wanted::at(&self.cache, self.place(&key), &key)
    }

    /// The key, below its user's where there is one.
    fn whole_key<'a>(&self, key: &'a Key) -> Cow<'a, Key> {
        match &self.user {
            Some(id) => Cow::Owned(under_user(id, key)),
            None => Cow::Borrowed(key),
        }
    }

    /// Where the value under a whole key is.
    fn place(&self, key: &Key) -> Place {
        let form = {
            let [place, name] = self.home;
            fingerprint(&[C::NAME, type_name::<T>(), place, name])
        };
        let mut family = [b'c', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let (head, tail) = family.split_at_mut(9);
        for (to, from) in head.iter_mut().skip(1).zip(form.to_be_bytes()) {
            *to = from;
        }
        tail.copy_from_slice(&self.version.to_be_bytes());
        Wanted::place(&self.cache, &family, key)
    }

    fn tags_of(&self) -> impl Iterator<Item = Tag> {
        let user = self.user.as_ref().map(|id| Tag::new(format!("user:{id}")));
        self.tags.iter().cloned().chain(user)
    }

    fn freshness(&self, value: &T) -> Freshness {
        let own = self.cache.settings();
        let negative = self.lifetime_of.as_ref().and_then(|of| of(value));
        let ttl = negative.or(self.ttl).or(own.ttl).unwrap_or(TTL);
        let while_revalidate = self.stale_while_revalidate.or(own.stale_while_revalidate);
        let if_error = self.stale_if_error.or(own.stale_if_error);
        Freshness::new(ttl)
            .with_stale_while_revalidate(while_revalidate.unwrap_or_default())
            .with_stale_if_error(if_error.unwrap_or_default())
    }
}

/// Tells types and forms apart, the same on every node (eight bytes at a time, multiplied and folded; a
/// collision is found when the value is read, or is a value of the same shape).
fn fingerprint(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        let (words, rest) = part.as_bytes().as_chunks::<8>();
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        hash = fold(hash ^ u64::from_le_bytes(last));
        // A part that is longer is another one, whatever it ends with.
        hash = fold(hash.wrapping_add(part.len() as u64));
    }
    hash
}

#[expect(clippy::cast_possible_truncation, reason = "both halves count")]
fn fold(word: u64) -> u64 {
    let product = u128::from(word) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}

impl<T, C> Clone for Data<T, C> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            ttl: self.ttl,
            stale_while_revalidate: self.stale_while_revalidate,
            stale_if_error: self.stale_if_error,
            soft_timeout: self.soft_timeout,
            hard_timeout: self.hard_timeout,
            lifetime_of: self.lifetime_of.clone(),
            tags: self.tags.clone(),
            user: self.user.clone(),
            version: self.version,
            home: self.home,
            #[cfg(feature = "locks")]
            locking: self.locking.clone(),
            codec: PhantomData,
        }
    }
}

impl<T, C> fmt::Debug for Data<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data")
            .field("cache", &self.cache.name())
            .field("type", &type_name::<T>())
            .field("version", &self.version)
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}
