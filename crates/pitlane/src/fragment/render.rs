use std::future::Future;

use bytes::Bytes;
use pitlane_core::Reason;

use super::Fragment;
use crate::cache::{Claimed, Fill, Place, Scope, Wanted, poll_in};

impl Fragment {
    /// The text from memory, or what `render` makes.
    ///
    /// Never waits, neither for Redis nor for anybody else: two who miss the same fragment at once
    /// both render it. What is rendered is stored inside of a [`Scope`] only (every cache layer opens
    /// one; see [`Scope::open`]); in a cache whose hits the log has to confirm
    /// ([`Coherence::Strict`](crate::Coherence::Strict)) nothing is found.
    ///
    /// # Errors
    ///
    /// The error of `render`, which is never cached.
    pub fn render<E>(self, render: impl FnOnce() -> Result<String, E>) -> Result<String, E> {
        if self.unkept {
            self.note();
            return render();
        }
        let key = self.whole_key();
        let place = self.place(&key);
        let why = match self.find(&place) {
            Ok(text) => return Ok(text),
            Err(why) => why,
        };
        // Nobody knows how old the data are that it would be made of.
        if !Scope::current().is_open() {
            return render();
        }
        let wanted = Wanted::at(&self.cache, place, &key);
        let fill = self.begin(wanted, why);
        match poll_in(fill.work(), render) {
            Ok(text) => {
                self.store(fill, &text);
                Ok(text)
            }
            Err(error) => {
                fill.end(Reason::Failed);
                Err(error)
            }
        }
    }

    /// The text from memory or from Redis, or what `render` makes.
    ///
    /// Of all who ask at once, in this process, one renders, and the others wait for it; where that
    /// one fails or is dropped, the next one renders. What `render` reads itself is newer than the
    /// position that is noted before it begins, so that no [`Scope`] is needed around; what it was
    /// given may be older.
    ///
    /// # Errors
    ///
    /// The error of `render`, which is never cached.
    pub async fn render_async<E, F, Fut>(self, render: F) -> Result<String, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<String, E>>,
    {
        if self.unkept {
            self.note();
            return render().await;
        }
        let key = self.whole_key();
        let wanted = Wanted::at(&self.cache, self.place(&key), &key);
        let fill = match self.cache.claim_wanted(wanted.clone()).await {
            Claimed::Fill(fill) => {
                self.cache.stats().count_lookup(fill.why());
                self.noted(fill)
            }
            Claimed::Hit(found) => {
                self.cache.stats().count_lookup(found.look());
                match std::str::from_utf8(&found.bytes).map(ToOwned::to_owned) {
                    Ok(text) => {
                        let _ = found.take();
                        return Ok(text);
                    }
                    Err(_) => {
                        self.cache.withdraw_value(&wanted.place, &found.entry);
                        self.begin(wanted, Reason::UriMiss)
                    }
                }
            }
        };
        // What it does before its first await belongs to it, too.
        match fill.run(async { render().await }).await {
            Ok(text) => {
                self.store(fill, &text);
                Ok(text)
            }
            Err(error) => {
                fill.end(Reason::Failed);
                Err(error)
            }
        }
    }

    /// What memory holds. The current scope depends on it from here on.
    fn find(&self, place: &Place) -> Result<String, Reason> {
        if self.cache.must_confirm() {
            return Err(Reason::Unconfirmed);
        }
        let found = self.cache.peek_counted(place)?;
        if found.stale {
            return Err(Reason::Expired);
        }
        let Ok(text) = std::str::from_utf8(&found.bytes) else {
            self.cache.withdraw_value(place, &found.entry);
            return Err(Reason::UriMiss);
        };
        let text = text.to_owned();
        let _ = found.take();
        Ok(text)
    }

    /// Begins to render, at the position of the scope around: what the body shows was read after
    /// that.
    fn begin(&self, wanted: Wanted, why: Reason) -> Fill {
        let budget = self.cache.budget();
        self.noted(self.cache.begin(wanted, None, budget, why))
    }

    /// Whoever shows a fragment ends with it, stored or not. And what a body shows may have been read
    /// before it began: where something stale was among that, so it may be here.
    fn noted(&self, fill: Fill) -> Fill {
        fill.inherit_staleness();
        fill.note(self.tags_of());
        fill.measured()
    }

    /// The same where nothing is kept.
    fn note(&self) {
        let key = self.whole_key();
        let ended_by = Wanted::at(&self.cache, self.place(&key), &key).tags;
        Scope::current().note(&self.cache, self.tags_of(), &ended_by);
    }

    fn store(&self, fill: Fill, text: &str) {
        if text.len() as u64 > self.cache.tier().max_body() {
            return fill.release_because(Reason::TooLarge);
        }
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        drop(fill.store_exact(bytes, self.freshness(), self.tags_of()));
    }
}

#[cfg(test)]
mod tests {
    use pitlane_core::Tag;
    use pitlane_policy::Freshness;

    use super::*;
    use crate::Caches;

    /// As another build, or whoever else can write to Redis, may leave it.
    #[tokio::test]
    async fn bytes_that_are_no_text_are_a_miss_and_go() {
        let caches = Caches::builder().build().unwrap();
        let cache = caches.get("default").unwrap();
        for waits in [false, true] {
            let fragment = cache.fragment("card");
            let key = fragment.whole_key();
            let wanted = Wanted::at(&cache, fragment.place(&key), &key);
            let fill = cache.begin(wanted.clone(), None, None, Reason::UriMiss);
            let freshness = Freshness::new(super::super::TTL);
            drop(fill.store_exact(Bytes::from_static(b"\xff"), freshness, [] as [Tag; 0]));
            assert!(cache.peek(&wanted.place).is_ok());
            let text = if waits {
                fragment.render_async(async || Err("rendered")).await
            } else {
                Scope::open(&cache).sync(|| fragment.render(|| Err("rendered")))
            };
            assert_eq!(text, Err("rendered"));
            assert!(cache.peek(&wanted.place).is_err(), "waits: {waits}");
        }
    }
}
